"""Preprocessing against a naive form in float64, and its invariances."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from skelrep.alignment import map_joints, normalise
from skelrep.preprocess import fill_gaps, kept_frames, prepare, resample, trim
from skelrep.preprocess_config import CMD_LINE, ROBUST, STREAMING, PreprocessConfig
from skelrep.skeletons import SKELETONS, Skeleton, mapping
from tests.standing_bodies import COMMON, KINECT, NTU, STANDING, moving, standing

DEFAULT = PreprocessConfig()
SEEDS = st.integers(0, 2**32 - 1)


def gappy(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """With joints, frames and persons lost here and there."""
    clip = clip.copy()
    persons, frames, joints, _ = clip.shape
    for person in range(persons):
        clip[person, random.random((frames, joints)) < random.choice([0, 0.1, 0.5])] = np.nan
        clip[person, random.random(frames) < random.choice([0, 0.2])] = np.nan
        clip[person, :, random.random(joints) < random.choice([0, 0, 0.1])] = np.nan
    if random.random() < 0.3:
        clip[random.integers(persons)] = np.nan
    if np.isnan(clip).all():
        clip[0] = 1
    return clip


def ragged(seed: int, skeleton: Skeleton = NTU, clips: int = 4, persons: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    made = []
    for i in range(clips):
        frames = int(random.choice([1, 2, 3, 20, 39, 64, 90]))
        bodies = np.stack([moving(frames, seed + 7 * i + m, skeleton) for m in range(random.integers(1, persons + 1))])
        turn = Rotation.random(random_state=random.integers(2**31)).as_matrix()
        made.append(gappy(bodies @ turn.T + random.normal(size=(len(bodies), 1, 1, 3)), random).astype(np.float32))
    return made


def run(clips, config=CMD_LINE, source=NTU, target=None) -> np.ndarray:
    target = target or (NTU if "spine" in config.center else COMMON)
    prepared = prepare(clips, source, target, config)
    assert prepared.dtype == torch.float32
    assert prepared.shape == (len(clips), config.persons, config.frames, len(target), 3)
    assert prepared.isfinite().all()
    return prepared.numpy()


# -- the naive form ---------------------------------------------------------------------------------------------------


def naive(clip: np.ndarray, source: Skeleton, target: Skeleton, config: PreprocessConfig) -> np.ndarray:
    """One clip, person after person and frame after frame, in float64."""
    clip = clip.astype(np.float64)
    if len(clip) > config.persons:
        energy = []
        for person in clip:
            points = person[~np.isnan(person).any(axis=-1)]
            energy.append(-sum(points[:, c].std() for c in range(3)) if len(points) else 1)
        clip = clip[np.argsort(energy, kind="stable")[: config.persons]]
    tracks = {m: naive_fill(person) for m, person in enumerate(clip) if not np.isnan(person).any(axis=-1).all()}
    matrix = mapping(source, target).astype(np.float64)
    firsts = {m: naive_map(track[:1], matrix)[0] for m, track in tracks.items()}
    cut = int((1 - config.crop) * clip.shape[1] / 2)
    kept = {m: naive_map(track[cut : len(track) - cut], matrix) for m, track in tracks.items()}
    poses = {m: naive_resample(track, config.frames) for m, track in kept.items()}
    result = np.zeros((config.persons, config.frames, len(target), 3))
    for m in tracks:
        by = m if config.per_person else min(tracks)
        turn, size = naive_rotation(poses[by], firsts[by], target, config), naive_size(poses[by], target, config)
        for t in range(config.frames):
            origin = mean_position(poses[by][t], target, config.center)
            if np.isnan(origin).any():  # nothing to centre by
                origin = mean_position(poses[by][t], target, target.joints)
            for v in range(len(target)):
                moved = turn @ (poses[m][t, v] - origin) / size
                result[m, t, v] = 0 if np.isnan(moved).any() else moved
    return result


def naive_fill(track):
    filled = track.copy()
    for v in range(track.shape[1]):
        seen = np.flatnonzero(~np.isnan(track[:, v]).any(axis=-1))
        for c in range(track.shape[2]):
            filled[:, v, c] = np.interp(np.arange(len(track)), seen, track[seen, v, c]) if len(seen) else np.nan
    return filled


def naive_map(track, matrix):
    result = np.full((len(track), len(matrix), track.shape[2]), np.nan)
    for w, row in enumerate(matrix):
        result[:, w] = sum(weight * track[:, v] for v, weight in enumerate(row) if weight)
    return result


def naive_resample(track, frames):
    flat = torch.from_numpy(track).flatten(1).T[None]
    stretched = torch.nn.functional.interpolate(flat, size=frames, mode="linear", align_corners=False)
    return stretched[0].T.reshape(frames, *track.shape[1:]).numpy()


def mean_position(pose, skeleton, joints):
    seen = [pose[skeleton.joints.index(joint)] for joint in joints]
    seen = [point for point in seen if not np.isnan(point).any()]
    return np.mean(seen, axis=0) if seen else np.full(pose.shape[-1], np.nan)


def direction(pose, skeleton, ends):
    return mean_position(pose, skeleton, ends[1]) - mean_position(pose, skeleton, ends[0])


def naive_rotation(poses, first, skeleton, config):
    if config.align == "first":
        up, right = direction(first, skeleton, config.up), direction(first, skeleton, config.right)
    else:
        up, right = (
            np.mean([direction(p, skeleton, ends) for p in poses], axis=0) for ends in (config.up, config.right)
        )
    upright = smallest_rotation(up, (0, 0, 1))
    across = upright @ right
    if config.align == "mean":
        across[2] = 0
    return smallest_rotation(across, (1, 0, 0)) @ upright


def smallest_rotation(vector, goal):
    if np.isnan(vector).any() or np.linalg.norm(vector) == 0:
        return np.eye(3)
    axis = np.cross(vector, goal)
    angle = np.arctan2(np.linalg.norm(axis), np.dot(vector, goal))
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()


def naive_size(poses, skeleton, config):
    if config.scale is None:
        return 1
    size = np.mean([np.linalg.norm(direction(pose, skeleton, config.scale)) for pose in poses])
    return size if size > 0 else 1  # of one point, or of no known size


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_cmd_preprocessing_equals_the_naive_form(seed):
    clips = ragged(seed)
    expected = [naive(clip, NTU, NTU, CMD_LINE) for clip in clips]
    np.testing.assert_allclose(run(clips), expected, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1, 2]), st.booleans())
def test_default_preprocessing_equals_the_naive_form(seed, persons, per_person):
    config = replace(DEFAULT, frames=16, persons=persons, per_person=per_person, crop=0.8)
    clips = [clip for clip in ragged(seed, KINECT) if not np.isnan(clip[:, :, [KINECT.joints.index("neck")]]).all()]
    # Where hips or shoulders are lost for good their kin stand in, and the naive way has no word for that.
    clips = [clip for clip in clips if all(np.isnan(p).all() or not np.isnan(p).all(axis=(0, 2)).any() for p in clip)]
    if clips:
        expected = [naive(clip, KINECT, COMMON, config) for clip in clips]
        np.testing.assert_allclose(run(clips, config, KINECT), expected, atol=2e-4)


def test_a_clip_by_hand():
    """Two frames of a body of four joints, lying on its back with the head towards +x, its right towards +y."""
    body = Skeleton("body", ("pelvis", "spine", "left_shoulder", "right_shoulder"), (0, 0, 1, 1))
    config = replace(CMD_LINE, frames=2, crop=1.0)
    lying = np.array([[5, 5, 0], [6, 5, 0], [7, 4, 0], [7, 6, 0]], dtype=np.float32)
    clip = np.stack([lying, lying + [0, 0, 3]])[None]
    expected = [[0, 0, -1], [0, 0, 0], [-1, 0, 1], [1, 0, 1]]
    np.testing.assert_allclose(run([clip], config, body, body)[0, 0], [expected, expected], atol=1e-6)
    np.testing.assert_array_equal(run([clip], config, body, body)[0, 1], 0)
    half = replace(config, scale=(("left_shoulder",), ("right_shoulder",)))
    np.testing.assert_allclose(run([clip], half, body, body)[0, 0, 1], np.array(expected) / 2, atol=1e-6)


# -- parts ------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=5), st.integers(1, 80), SEEDS)
def test_resample_is_torchs_interpolate(lengths, frames, seed):
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(sum(lengths) + 3, 2, 3, generator=random)
    starts = torch.tensor(
        [3 + sum(lengths[:i]) for i in range(len(lengths))]
    )  # rows before these belong to other tracks
    got = resample(rows, starts, torch.tensor(lengths), frames)
    assert got.shape == (len(lengths), frames, 2, 3)
    for part, start, length in zip(got, starts.tolist(), lengths):
        flat = rows[start : start + length].double().flatten(1).T[None]
        expected = torch.nn.functional.interpolate(flat, size=frames, mode="linear", align_corners=False)
        torch.testing.assert_close(part.double().flatten(1), expected[0].T, atol=1e-5, rtol=1e-5)


def test_resample_to_the_same_length_changes_nothing():
    rows = torch.randn(50, 4, 3)
    torch.testing.assert_close(resample(rows, torch.tensor([0]), torch.tensor([50]), 50)[0], rows, rtol=0, atol=0)


def test_resample_stretches_overlap_and_differ():
    rows = torch.arange(10.0).view(10, 1, 1)
    got = resample(rows, torch.tensor([0, 2, 9]), torch.tensor([8, 4, 1]), 4)[..., 0, 0]
    torch.testing.assert_close(got, torch.tensor([[0.5, 2.5, 4.5, 6.5], [2, 3, 4, 5], [9, 9, 9, 9]]))


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.floats(0, 1), SEEDS)
def test_fill_gaps_is_numpys_interp_track_by_track(lengths, share, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(sum(lengths), 3, 2)).astype(np.float32)
    rows[random.random(rows.shape[:2]) < share] = np.nan
    before = rows.copy()
    starts = np.cumsum(lengths) - lengths
    fill_gaps(rows, starts, np.array(lengths))
    for start, length in zip(starts, lengths):
        expected = naive_fill(before[start : start + length].astype(np.float64))
        np.testing.assert_allclose(rows[start : start + length], expected, atol=1e-6)


def test_fill_gaps_by_hand():
    track = np.array([np.nan, 1, np.nan, np.nan, 4, np.nan], dtype=np.float32)
    rows = np.stack([track, np.full(6, np.nan, np.float32), np.arange(6, dtype=np.float32)], axis=1)[..., None]
    fill_gaps(rows, np.array([0]), np.array([6]))
    np.testing.assert_array_equal(rows[:, 0, 0], [1, 1, 2, 3, 4, 4])
    assert np.isnan(rows[:, 1]).all()
    np.testing.assert_array_equal(rows[:, 2, 0], np.arange(6))


def test_half_seen_joints_are_not_seen():
    """A number for x and none for z is no position; the number is not mixed into anything."""
    rows = np.array([[[0, 0, 0]], [[99, 99, np.nan]], [[2, 2, 2]]], dtype=np.float32)
    fill_gaps(rows, np.array([0]), np.array([3]))
    np.testing.assert_array_equal(rows[1, 0], [1, 1, 1])
    clip = moving(10)[None].astype(np.float32)
    whole, half = clip.copy(), clip.copy()
    joint = NTU.joints.index("left_knee")
    whole[:, :, joint], half[:, :, joint, 2] = np.nan, np.nan
    np.testing.assert_array_equal(run([half]), run([whole]))
    person = np.concatenate([clip, clip])
    person[1, :, :, 1] = np.nan
    np.testing.assert_array_equal(run([person]), run([clip]))


def test_map_joints_against_a_loop():
    matrix = torch.from_numpy(mapping(KINECT, COMMON))
    poses = torch.from_numpy(gappy(moving(30, skeleton=KINECT)[None], np.random.default_rng(3)))[0].float()
    poses[5, KINECT.joints.index("left_hip"), 1] = torch.nan
    got = map_joints(poses, matrix)
    expected = naive_map(poses.double().numpy(), matrix.double().numpy())
    expected[np.isnan(expected).any(axis=-1)] = np.nan
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got[5, COMMON.joints.index("mid_hips")].isnan().all()
    assert got.isnan().any()


# -- batches and persons ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "config"), [(NTU, CMD_LINE), (KINECT, DEFAULT), (NTU, DEFAULT), (KINECT, ROBUST)])
def test_a_batch_is_its_clips(source, config):
    clips = ragged(5, source, clips=7, persons=4)
    together = run(clips, config, source)
    for clip, got in zip(clips, together):
        np.testing.assert_allclose(run([clip], config, source)[0], got, atol=1e-5)


def test_preprocessing_does_not_change_its_input():
    clips = ragged(1)
    before = [clip.copy() for clip in clips]
    run(clips)
    for clip, old in zip(clips, before):
        np.testing.assert_array_equal(clip, old)


@pytest.mark.parametrize("crop", [0.95, 0.9, 0.8, 0.5, 0.001])
def test_the_middle_is_kept(crop):
    for frames in (1, 2, 19, 20, 40, 41):
        clip = moving(frames)[None]
        cut = int((1 - crop) * frames / 2)  # CMD's count
        config = replace(DEFAULT, frames=8)
        expected = run([clip[:, cut : frames - cut]], config)
        np.testing.assert_allclose(run([clip], replace(config, crop=crop)), expected, atol=1e-6)


def test_of_many_persons_the_most_active_are_kept():
    """They are sorted by energy; two or fewer keep their order."""
    quiet, lively, wild = (standing(NTU) + k * (moving(30, seed=int(9 * k)) - standing(NTU)) for k in (0.2, 1, 3))
    absent = np.full_like(quiet, np.nan)
    for config in (DEFAULT, CMD_LINE):
        one = {name: run([body[None]], config=replace(config, per_person=True)) for name, body in
               {"quiet": quiet, "lively": lively, "wild": wild}.items()}  # fmt: skip
        config = replace(config, per_person=True)
        got = run([np.stack([quiet, absent, wild, lively])], config=config)[0]
        np.testing.assert_allclose(got[0], one["wild"][0, 0], atol=1e-6)
        np.testing.assert_allclose(got[1], one["lively"][0, 0], atol=1e-6)
        kept = run([np.stack([quiet, wild])], config=config)[0]
        np.testing.assert_allclose(kept[0], one["quiet"][0, 0], atol=1e-6)
        single = run([np.stack([quiet, wild])], config=replace(config, persons=1))[0]
        np.testing.assert_allclose(single[0], one["wild"][0, 0], atol=1e-6)


def test_absent_persons_are_zero():
    body = moving(20)
    absent = np.full_like(body, np.nan)
    for config in (CMD_LINE, DEFAULT, replace(DEFAULT, persons=4)):
        alone = run([body[None]], config=config)[0]
        assert (alone[1:] == 0).all()
        np.testing.assert_array_equal(run([np.stack([body, absent])], config=config)[0], alone)
        second = run([np.stack([absent, body])], config=config)[0]  # a person keeps their index
        np.testing.assert_array_equal(second[1], alone[0])
        assert (second[0] == 0).all()


def test_clips_without_persons_are_zero():
    nobody, body = np.full((2, 5, 25, 3), np.nan, np.float32), moving(20)[None]
    for config in (CMD_LINE, DEFAULT):
        assert (run([nobody], config=config) == 0).all()
        both = run([nobody, body, nobody], config=config)
        assert (both[[0, 2]] == 0).all()
        np.testing.assert_allclose(both[1], run([body], config=config)[0], atol=1e-6)


def test_relative_positions_are_kept_unless_persons_are_normalised_separately():
    pair = np.stack([moving(40), moving(40, seed=1) @ np.diag([-1, -1, 1]) + [0, 1.5, 0]])
    resampled = np.stack([naive_resample(body[1:-1], 64) for body in pair])
    together = run([pair])[0]
    for joint in (0, 7, 14):
        np.testing.assert_allclose(
            np.linalg.norm(together[0, :, joint] - together[1, :, joint], axis=-1),
            np.linalg.norm(resampled[0, :, joint] - resampled[1, :, joint], axis=-1),
            atol=1e-5,
        )
    apart = run([pair], config=replace(CMD_LINE, per_person=True))[0]
    spine = NTU.joints.index("spine")
    np.testing.assert_allclose(apart[:, :, spine], 0, atol=1e-6)
    assert np.abs(together[1, :, spine]).max() > 1


def test_the_first_person_seen_leads():
    pair = np.stack([moving(40), moving(40, seed=1) + [0, 1.5, 0]])
    absent = np.full_like(pair[:1], np.nan)
    config = replace(CMD_LINE, persons=3)
    got = run([np.concatenate([absent, pair])], config=config)[0]
    np.testing.assert_array_equal(got[1:], run([pair], config=config)[0, :2])


# -- what it must not depend on ---------------------------------------------------------------------------------------


def moved(clip, turn=None, shift=(0, 0, 0), size=1.0) -> np.ndarray:
    return (size * (clip @ (np.eye(3) if turn is None else turn).T) + np.asarray(shift)).astype(np.float32)


@pytest.mark.parametrize("per_person", [True, False])
@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, shift=st.tuples(*[st.floats(-5, 5)] * 3), size=st.sampled_from([0.01, 1.0, 1.7, 1000.0]))
def test_preprocessing_is_invariant_to_position_heading_and_scale(per_person, seed, shift, size):
    config = replace(DEFAULT, frames=16, per_person=per_person)
    clip = np.stack([moving(25, seed % 1000), moving(25, seed % 1000 + 1) + [1, 0, 0]])
    turn = Rotation.random(random_state=seed).as_matrix()
    expected = run([moved(clip)], config)
    got = run([moved(clip, turn, size * np.array(shift), size)], config)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("degrees", [180, 180 - 1e-5, 180 - 1e-3, 180 - 0.02, 180 - 0.06, 179.9, 179, 170, 90, -180, 0])
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("config", [replace(DEFAULT, frames=8), replace(CMD_LINE, frames=8)], ids=["mean", "first"])
def test_half_turns(axis, degrees, config):
    """People with their back to the camera, and worlds with z down: opposite to where everything is turned to."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    still = standing(NTU)[None, None].repeat(3, axis=1)  # spine and shoulders at right angles: both rules give the same
    np.testing.assert_allclose(run([moved(still, turn)], config=config), run([moved(still)], config=config), atol=1e-4)
    if config.align == "mean":
        clip = moving(20)[None]
        got = run([moved(clip, turn)], config=config)
        np.testing.assert_allclose(got, run([moved(clip)], config=config), atol=1e-4)


@pytest.mark.parametrize(
    "config", [CMD_LINE, replace(DEFAULT, up=CMD_LINE.up, center=CMD_LINE.center, scale=None)], ids=["first", "mean"]
)
def test_standing_persons_stay_upright(config):
    """For any heading, a rotation by the shoulders does not change heights."""
    height = standing(NTU)[:, 2] - STANDING["spine"][2]
    for degrees in range(0, 361, 15):
        turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
        got = run([moved(standing(NTU)[None, None], turn)], config)[0, 0, 0]
        np.testing.assert_allclose(got[:, 2], height, atol=1e-5)
        right, left = (got[NTU.joints.index(f"{side}_shoulder")] for side in ("right", "left"))
        np.testing.assert_allclose(right - left, [0.4, 0, 0], atol=1e-5)


def test_cmd_keeps_the_unit():
    clip = moving(20)[None]
    np.testing.assert_allclose(run([moved(clip, size=3)]), 3 * run([moved(clip)]), atol=1e-4)


@settings(deadline=None)
@given(SEEDS)
def test_two_dimensional_views(seed):
    """Image y points down or up, in pixels or not, and a mirrored image shows the same."""
    config = replace(DEFAULT, frames=12)
    flat = moving(20, seed % 1000)[None][..., [0, 2]]
    expected = run([flat.astype(np.float32)], config)
    assert (expected[..., 1] == 0).all()
    assert np.abs(expected[0, 0]).max() > 0.5
    for x, y in [(1, -1), (-1, 1), (-1, -1), (300, -300)]:
        view = (flat * [x, y] + [abs(x), 2 * abs(y)]).astype(np.float32)
        np.testing.assert_allclose(run([view], config), expected, atol=1e-4)
    # Upright, and its right on +x.
    joints = {joint: expected[0, 0, :, i].mean(axis=0) for i, joint in enumerate(COMMON.joints)}
    assert joints["head"][2] > joints["mid_hips"][2]
    assert joints["right_shoulder"][0] > joints["left_shoulder"][0]


def test_a_flat_clip_from_the_front_equals_the_clip_in_3d():
    clip = standing(NTU)[None, None].repeat(4, axis=1)
    clip[..., 1] = 0
    solid = run([clip.astype(np.float32)], DEFAULT)
    flat = run([clip[..., [0, 2]].astype(np.float32)], DEFAULT)
    np.testing.assert_allclose(flat, solid, atol=1e-5)


# -- what can go wrong ------------------------------------------------------------------------------------------------

DEGENERATE = {
    "all joints at one point": lambda clip: clip * 0 + 1,
    "all joints at the origin": lambda clip: clip * 0,
    "upside down": lambda clip: clip * [1, -1, -1],
    "upside down, back to front": lambda clip: clip * [-1, 1, -1],
    "inside out": lambda clip: -clip,
    "on a line upwards": lambda clip: clip * [0, 0, 1],
    "on a line across": lambda clip: clip * [1, 0, 0],
    "tiny": lambda clip: clip * 1e-9,
    "huge": lambda clip: clip * 1e9,
    "one frame": lambda clip: clip[:, :1],
    "far away": lambda clip: clip + 1e6,
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize(
    "config",
    [
        CMD_LINE,
        DEFAULT,
        replace(CMD_LINE, align="mean"),
        replace(DEFAULT, align="first", per_person=False),
        ROBUST,
        STREAMING,
    ],
    ids=["cmd", "default", "cmd mean", "default first", "robust", "streaming"],
)
def test_degenerate_bodies_give_numbers(name, config):
    for clip in (standing(NTU)[None, None].repeat(5, axis=1), moving(20)[None]):
        bent = DEGENERATE[name](clip).astype(np.float32)
        got = run([bent, clip.astype(np.float32)], config=config)
        np.testing.assert_allclose(got[1], run([clip.astype(np.float32)], config=config)[0], atol=1e-5)
        run([bent[..., [0, 2]]], config=config)
    if name.startswith("all joints"):
        assert (got[0] == 0).all()


@pytest.mark.parametrize("config", [CMD_LINE, replace(CMD_LINE, align="mean")], ids=["first", "mean"])
def test_shoulders_along_the_spine(config):
    clip = standing(NTU)[None, None].repeat(5, axis=1)
    for side, height in (("left", 1.3), ("right", 1.5)):
        clip[:, :, NTU.joints.index(f"{side}_shoulder")] = (0, 0, height)
    got = run([clip.astype(np.float32)], config=config)[0, 0]
    # Nothing is torn: a rotation keeps all distances.
    np.testing.assert_allclose(
        np.linalg.norm(got[0], axis=-1), np.linalg.norm(clip[0, 0] - clip[0, 0, 1], axis=-1), atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(0, 1), st.sampled_from([2, 3]), st.sampled_from([CMD_LINE, DEFAULT, ROBUST, STREAMING]))
def test_prepared_poses_are_never_nan(seed, share, channels, config):
    random = np.random.default_rng(seed)
    clips = []
    for _ in range(3):
        clip = random.normal(size=(random.integers(1, 4), random.integers(1, 12), 25, channels)).astype(np.float32)
        clip[random.random(clip.shape[:3]) < share] = np.nan
        clip[:, :, random.random(25) < share] = np.nan
        clips.append(clip)
    run(clips, config=replace(config, frames=8))  # asserts that all is finite


@pytest.mark.parametrize("front", [True, False])
def test_frames_without_persons_at_the_ends_change_nothing(front):
    clip = moving(20)[None].astype(np.float32)
    nobody = np.full((1, 13, 25, 3), np.nan, np.float32)
    longer = np.concatenate([nobody, clip] if front else [clip, nobody], axis=1)
    np.testing.assert_array_equal(run([longer], ROBUST), run([clip], ROBUST))
    assert kept_frames(longer, ROBUST) == (13 * front, 20) and kept_frames(longer, DEFAULT) == (0, 33)
    assert np.abs(run([longer], DEFAULT) - run([clip], DEFAULT)).max() > 0.01


def test_trimming_keeps_the_persons_of_a_clip_in_time():
    rows = np.arange(24, dtype=np.float32).reshape(12, 1, 2)
    rows[[0, 1, 5, 6, 7, 11]] = np.nan  # persons of 4, 4 and 4 frames; the first two are one clip
    got, lengths = trim(rows, np.array([4, 4, 4]), np.array([0, 0, 1]))
    assert lengths.tolist() == [4, 4, 3]
    np.testing.assert_array_equal(got, rows[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
    got, lengths = trim(rows, np.array([4, 4, 4]), np.array([0, 1, 2]))
    np.testing.assert_array_equal(got, rows[[2, 3, 4, 8, 9, 10]])


def test_a_running_alignment_needs_no_future():
    clip = moving(30).astype(np.float32)
    turn = Rotation.from_euler("zyx", [70, 20, 10], degrees=True).as_matrix()
    poses = torch.from_numpy(clip @ turn.T).float()[None]
    matrix = torch.from_numpy(mapping(NTU, COMMON))
    whole = normalise(poses, matrix, COMMON, STREAMING, first=poses[:, 0])
    for frames in (1, 7, 30):
        part = normalise(poses[:, :frames], matrix, COMMON, STREAMING, first=poses[:, 0])
        torch.testing.assert_close(part, whole[:, :frames], atol=1e-5, rtol=0)
        mean = normalise(poses[:, :frames], matrix, COMMON, ROBUST, first=poses[:, 0])
        torch.testing.assert_close(part[:, -1], mean[:, -1], atol=1e-5, rtol=0)


def test_joints_never_seen_are_zero_and_change_nothing_else():
    clip = moving(20)[None].astype(np.float32)
    whole = run([clip])
    lost = [NTU.joints.index(joint) for joint in ("left_knee", "right_thumb", "head")]
    clip[:, :, lost] = np.nan
    got = run([clip])
    assert (got[:, :, :, lost] == 0).all()
    kept = [v for v in range(25) if v not in lost]
    np.testing.assert_array_equal(got[:, :, :, kept], whole[:, :, :, kept])


def test_derived_joints_of_a_missing_one_are_zero():
    clip = moving(20)[None].astype(np.float32)
    clip[:, :, NTU.joints.index("left_hip")] = np.nan
    got = run([clip], DEFAULT)[0, 0]
    lost = [COMMON.joints.index(joint) for joint in ("left_hip", "mid_hips")]
    assert (got[:, lost] == 0).all()
    assert (got[:, COMMON.joints.index("right_hip")] != 0).any()


def test_without_the_joint_that_is_centred_by():
    """The mean of the joints that are seen replaces it, so the body does not vanish."""
    clip = moving(20)[None].astype(np.float32)
    clip[:, :, NTU.joints.index("spine")] = np.nan
    got = run([clip])[0, 0]
    np.testing.assert_allclose(got.mean(axis=1), 0, atol=1e-5)
    expected = naive_resample(clip[0], 64)
    np.testing.assert_allclose(
        np.linalg.norm(got[:, 5] - got[:, 15], axis=-1),
        np.linalg.norm(expected[:, 5] - expected[:, 15], axis=-1),
        atol=1e-5,
    )


def test_hips_replace_legs_that_are_never_seen():
    """An upper body, as from a webcam, equals the upper half of the whole body, except for the lean of the legs."""
    clip = standing(NTU)[None, None].repeat(6, axis=1).astype(np.float32)
    whole = run([clip], DEFAULT)[0, 0]
    legs = [joint for joint in NTU.joints if joint.endswith(("knee", "ankle", "foot"))]
    clip[:, :, [NTU.joints.index(joint) for joint in legs]] = np.nan
    upper = [i for i, joint in enumerate(COMMON.joints) if not joint.endswith(("knee", "ankle"))]
    np.testing.assert_allclose(run([clip], DEFAULT)[0, 0][:, upper], whole[:, upper], atol=0.02)


def test_an_unmappable_skeleton_is_refused():
    with pytest.raises(ValueError, match="cannot be mapped"):
        prepare(
            [np.zeros((1, 4, 2, 3), np.float32)], Skeleton("eyes", ("left_eye", "right_eye"), (0, 0)), COMMON, DEFAULT
        )


def test_normalise_by_the_first_frame_alone():
    """The frame for `align="first"` is passed, as in streaming."""
    poses = torch.from_numpy(moving(5)).float()[None]
    turn = torch.from_numpy(Rotation.from_euler("z", 40, degrees=True).as_matrix()).float()
    first = poses[:, 0]
    one = normalise(poses, torch.eye(25), NTU, CMD_LINE, first=first)
    two = normalise(poses[:, 3:], torch.eye(25), NTU, CMD_LINE, first=first)
    torch.testing.assert_close(one[:, 3:], two)
    other = normalise(poses, torch.eye(25), NTU, CMD_LINE, first=first @ turn.T)
    assert not torch.allclose(one, other, atol=1e-2)


@pytest.mark.parametrize("unit", [1.0, 640.0])
def test_without_the_joints_that_are_scaled_by(unit):
    clip = moving(20)[None] * unit
    hips = [NTU.joints.index(joint) for joint in ("left_hip", "right_hip")]
    clip[:, :, hips] = np.nan
    got = run([clip], DEFAULT, target=SKELETONS["common-15"])[0, 0]
    seen = [
        i for i, joint in enumerate(SKELETONS["common-15"].joints) if joint not in ("mid_hips", "left_hip", "right_hip")
    ]
    np.testing.assert_allclose((got[:, seen] ** 2).sum(axis=-1).mean(), 1, rtol=1e-4)  # in any unit
