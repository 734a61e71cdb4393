"""Which persons are kept, their weights, and two people in each other's coordinate system."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skelrep import embed, load_pretrained
from skelrep.embedding import embed_persons
from skelrep.encoder import Encoder
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.persons import coordinate_energy, most_active, motion_energy, sightings
from skelrep.poses import Poses
from skelrep.preprocess import prepare, prepare_weighted
from skelrep.preprocess_config import ROBUST
from tests.standing_bodies import COMMON, KINECT, moving, standing

ROBUST_16 = replace(ROBUST, frames=16)


@pytest.fixture(scope="module")
def robust() -> Encoder:
    encoder = load_pretrained("i2md-small")
    assert encoder.config.preprocess == ROBUST
    return encoder


def waving(frames: int = 60, size: float = 1.0) -> np.ndarray:
    body = standing(KINECT)[None].repeat(frames, axis=0)
    for joint, reach in (("right_elbow", 0.15), ("right_wrist", 0.3), ("right_hand", 0.35)):
        body[:, KINECT.joints.index(joint), 0] += reach * np.sin(0.4 * np.arange(frames))
    return size * body


def test_motion_energy_prefers_a_moving_person_to_still_ones():
    """Independent of their size in the picture and of noise."""
    random = np.random.default_rng(0)
    still = standing(KINECT)[None].repeat(60, axis=0)
    near, noisy = 3 * still, still + random.normal(size=still.shape) * 0.05
    ghost = np.full_like(still, np.nan)
    ghost[10:15, :4] = random.normal(size=(5, 4, 3))
    nobody = np.full_like(still, np.nan)
    crowd = np.stack([near, noisy, waving(size=0.5), ghost, nobody])
    assert motion_energy(crowd).argmax() == 2
    assert coordinate_energy(crowd).argmax() != 2
    assert most_active(crowd, 2, "movement")[0] == 2
    assert motion_energy(crowd)[0] == pytest.approx(0) and motion_energy(crowd)[4] == -1
    np.testing.assert_allclose(motion_energy(1000 * crowd[:3]), motion_energy(crowd[:3]), rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(most_active(crowd[:2], 2, "movement"), [0, 1])


def test_movement_without_noise_by_hand():
    track = np.zeros((1, 4, 2, 3))
    track[0, :, 1, 0] = [2, 2, 4, 4]  # the second joint: variance 1, second differences 2, -2: noise (4 + 4) / 12
    radius = np.sqrt((1 + 1 + 4 + 4) / 4)
    assert motion_energy(track)[0] == pytest.approx(np.sqrt((1 - 4 / 6) / 2) / radius)


def test_sightings_by_hand():
    np.testing.assert_allclose(sightings(np.array([3, 2, 3]), np.array([0, 0, 1])), [1, 2 / 3, 1])
    np.testing.assert_allclose(sightings(np.array([0, 0]), np.array([0, 0])), [0, 0])


def pair(seed: int = 0, frames: int = 40) -> np.ndarray:
    one, two = moving(frames, seed, KINECT), moving(frames, seed + 1, KINECT)
    return np.stack([one, two @ np.diag([-1, -1, 1]) + [0.3, 1.5, 0]]).astype(np.float32)


def test_partners_are_seen_from_each_other():
    """Centred at the other, in the other's size, on +x; what moves both in the room changes nothing."""
    got = prepare([pair()], KINECT, COMMON, ROBUST_16)[0]
    hips = got[:, :, :2].mean(dim=2)  # the origin of each body: between hips and shoulders
    torch.testing.assert_close(hips[:, :, 1].mean(dim=1), torch.zeros(2), atol=1e-4, rtol=0)
    assert (hips[:, :, 0] > 2).all()  # 1.5 m are three trunks
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = (2 * pair() @ turn.T + [5, -3, 1]).astype(np.float32)
    torch.testing.assert_close(prepare([moved], KINECT, COMMON, ROBUST_16)[0], got, atol=1e-4, rtol=0)
    further = pair()
    further[1] += [0, 1, 0]
    assert (prepare([further], KINECT, COMMON, ROBUST_16)[0] - got).abs().max() > 1


def test_order_of_persons_does_not_matter_and_one_person_is_unchanged(robust):
    two = pair()
    rows = embed(Poses([two, two[::-1], two[:1]], KINECT), robust)
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    alone = replace(robust.config, preprocess=replace(ROBUST, pairs="apart"))
    apart = Encoder(alone)
    apart.load_state_dict(robust.state_dict())
    one, both = embed(Poses([two[:1], two], KINECT), apart)
    np.testing.assert_array_equal(embed(Poses([two[:1]], KINECT), robust)[0], one)
    assert np.abs(both - rows[0]).max() > 0.01


def test_a_false_detection_has_little_weight(robust):
    actor = moving(60, skeleton=KINECT)[None].astype(np.float32)
    ghost = np.full_like(actor, np.nan)
    ghost[0, 20:25, 4:8] = actor[0, 20:25, 4:8] + 1
    alone, haunted = embed(Poses([actor, np.concatenate([actor, ghost])], KINECT), robust, normalize=True)
    assert alone @ haunted > 0.999
    equal = Encoder(replace(robust.config, preprocess=replace(ROBUST, weigh="equal")))
    equal.load_state_dict(robust.state_dict())
    alone, haunted = embed(Poses([actor, np.concatenate([actor, ghost])], KINECT), equal, normalize=True)
    assert alone @ haunted < 0.99


def test_rows_with_weights_do_not_depend_on_the_batch(robust):
    clips = [pair(), pair(3), moving(30, skeleton=KINECT)[None].astype(np.float32)]
    clips[0][1, :30] = np.nan
    poses = Poses(clips, KINECT)
    together = embed(poses, robust)
    for i in range(3):
        np.testing.assert_allclose(embed(poses[i], robust)[0], together[i], atol=1e-5)
    weights = prepare_weighted(clips, KINECT, COMMON, ROBUST_16).weights
    torch.testing.assert_close(weights, torch.tensor([[1, 0.25], [1, 1], [1, 0]]))


def test_a_row_for_each_person(robust):
    two, one = pair(), moving(30, 9, KINECT)[None].astype(np.float32)
    absent = np.full_like(one, np.nan)
    poses = Poses([two, np.concatenate([absent, one])], KINECT, person_ids=[("anna", None), (None, "7")])
    for batch_size in (1, 2):
        found = embed_persons(poses, robust, batch_size=batch_size)
        assert found.clips.tolist() == [0, 0, 1] and found.persons == ["anna", "1", "7"]
        expected = embed(Poses([two[:1], two[1:], one], KINECT), robust)
        np.testing.assert_allclose(found.rows, expected, atol=1e-5)
    crowd = np.concatenate([two, pair(5)])
    assert len(embed_persons(Poses([crowd], KINECT), robust).rows) == 4
    with pytest.raises(ValueError, match="one input"):
        config = replace(robust.config, preprocess=replace(ROBUST, per_person=False, pairs="apart", weigh="equal"))
        embed_persons(poses, Encoder(config))
    with pytest.raises(ValueError, match="one input"):
        config = replace(robust.config, preprocess=replace(ROBUST, weigh="equal"), backbone=RecurrentConfig(8, 1))
        embed_persons(poses, Encoder(config))
