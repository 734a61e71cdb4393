"""Joints that are never seen in a clip: their positions by rules and by a body at ease."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skelrep.completion import complete, derive
from skelrep.preprocess import prepare
from skelrep.preprocess_config import ROBUST
from skelrep.skeletons import SKELETONS
from tests.standing_bodies import COMMON, KINECT, NTU, moving, standing

ROBUST_16 = replace(ROBUST, frames=16)


def without(clip: np.ndarray, *joints: str, skeleton=KINECT) -> np.ndarray:
    clip = clip.astype(np.float32).copy()
    clip[..., [skeleton.joints.index(joint) for joint in joints], :] = np.nan
    return clip


def derived(clip: np.ndarray, skeleton=KINECT) -> np.ndarray:
    rows = clip.copy()
    seen = ~np.isnan(rows[:1]).any(axis=-1)
    derive(rows, np.array([0]), np.array([len(rows)]), seen, skeleton)
    return rows


def test_rules_by_hand():
    clip = moving(8, skeleton=KINECT).astype(np.float32)
    at = {joint: clip[:, i] for i, joint in enumerate(KINECT.joints)}
    cases = {
        "left_wrist": at["left_hand"],
        "right_ankle": at["right_foot"],
        "left_shoulder": at["right_shoulder"] + 2 * (at["left_hip"] - at["right_hip"]),
        "right_hip": at["left_hip"] + 0.5 * (at["right_shoulder"] - at["left_shoulder"]),
    }
    for joint, expected in cases.items():
        got = derived(without(clip, joint))
        np.testing.assert_allclose(got[:, KINECT.joints.index(joint)], expected, atol=1e-6)
        others = [i for i, name in enumerate(KINECT.joints) if name != joint]
        np.testing.assert_array_equal(got[:, others], clip[:, others])


def test_without_hips_a_shoulder_is_mirrored_at_the_neck():
    clip = moving(8, skeleton=KINECT).astype(np.float32)
    at = {joint: clip[:, i] for i, joint in enumerate(KINECT.joints)}
    got = derived(without(clip, "left_shoulder", "left_hip", "right_hip", "pelvis"))
    expected = 2 * at["neck"] - at["right_shoulder"]
    np.testing.assert_allclose(got[:, KINECT.joints.index("left_shoulder")], expected, atol=1e-6)
    coco = SKELETONS["coco-17"]
    flat = without(moving(5, skeleton=KINECT)[:, :17, :2], "left_shoulder", "left_hip", "right_hip", skeleton=coco)
    assert np.isnan(derived(flat, coco)[:, coco.joints.index("left_shoulder")]).all()  # nothing to mirror it at


def test_joints_without_a_rule_stay_missing():
    clip = without(moving(8, skeleton=KINECT), "left_knee", "left_ankle", "left_foot")
    got = derived(clip)
    assert np.isnan(got[:, [KINECT.joints.index(f"left_{joint}") for joint in ("knee", "ankle", "foot")]]).all()


def at_ease() -> torch.Tensor:
    """(1, 1, W, 3) a body in lengths of its trunk, upright, knees slightly bent."""
    joints = {
        "mid_hips": (0, 0, 0),
        "mid_shoulders": (0, 0, 1),
        "head": (0, 0, 1.5),
        "shoulder": (0.35, 0, 1),
        "elbow": (0.4, 0, 0.4),
        "wrist": (0.4, 0.2, -0.1),
        "hip": (0.18, 0, 0),
        "knee": (0.2, 0.1, -1.05),
        "ankle": (0.18, 0, -1.95),
    }
    pose = torch.tensor([joints[joint.removeprefix("left_").removeprefix("right_")] for joint in COMMON.joints])
    pose[[joint.startswith("left_") for joint in COMMON.joints], 0] *= -1
    return pose[None, None]


def hide(*joints: str) -> torch.Tensor:
    return torch.tensor([[joint not in joints for joint in COMMON.joints]])


LEGS = ("left_knee", "left_ankle", "right_knee", "right_ankle")
LOWER = ("mid_hips", "left_hip", "right_hip", *LEGS)


@pytest.mark.parametrize("joint", COMMON.joints)
def test_any_derived_joint_is_close_to_its_position(joint):
    """Within a forearm for wrists, which may be anywhere, and within a quarter of the trunk for all others."""
    whole = at_ease()
    got, known = complete(whole * hide(joint)[:, None, :, None], hide(joint), COMMON)
    assert known.all()
    index = COMMON.joints.index(joint)
    others = [i for i in range(len(COMMON)) if i != index]
    torch.testing.assert_close(got[:, :, others], whole[:, :, others])
    assert torch.linalg.vector_norm(got[0, 0, index] - whole[0, 0, index]) < (0.6 if "wrist" in joint else 0.25)


def test_feet_that_are_not_seen_stay_on_the_ground():
    """A person crouches by half a trunk: hips move down, ankles stay, knees bend to the front."""
    down = torch.linspace(0, 0.5, 9)[None, :, None]
    poses = at_ease().repeat(1, 9, 1, 1)
    poses[..., 2] -= down
    got, known = complete(poses * hide(*LEGS)[:, None, :, None], hide(*LEGS), COMMON)
    assert known.all()
    ankle, knee, hip = (got[0, :, COMMON.joints.index(f"left_{joint}")] for joint in ("ankle", "knee", "hip"))
    torch.testing.assert_close(ankle[:, 2], torch.full((9,), -2.05))
    torch.testing.assert_close(ankle[:, :2], hip[:, :2])
    assert (knee[1:, 1] > knee[:-1, 1]).all()
    torch.testing.assert_close(torch.linalg.vector_norm(knee - hip, dim=-1), torch.full((9,), 1.1))


def test_bones_keep_their_lengths_or_stretch():
    poses = at_ease().repeat(1, 4, 1, 1)
    shoulder, elbow, wrist = (COMMON.joints.index(f"right_{joint}") for joint in ("shoulder", "elbow", "wrist"))
    poses[0, :, wrist] = poses[0, :, shoulder] + torch.tensor([0, 1.0, 0]) * torch.tensor([[0.05], [0.5], [1.0], [3.0]])
    got, _ = complete(poses, hide("right_elbow"), COMMON)
    upper = torch.linalg.vector_norm(got[0, :, elbow] - got[0, :, shoulder], dim=-1)
    lower = torch.linalg.vector_norm(got[0, :, elbow] - got[0, :, wrist], dim=-1)
    torch.testing.assert_close(upper[1:3], torch.full((2,), 0.65))
    torch.testing.assert_close(lower[1:3], torch.full((2,), 0.57))
    straight, _ = complete(poses[:, :3], hide("right_elbow"), COMMON)  # as far as the wrist ever gets
    torch.testing.assert_close(straight[0, 2, elbow, 2], poses[0, 2, shoulder, 2], atol=1e-3, rtol=0)
    torch.testing.assert_close(upper[3] / lower[3], torch.tensor(0.65 / 0.57))  # straight
    assert (got[0, 1:3, elbow, 2] < 0.99).all() and got.isfinite().all()


@pytest.mark.parametrize("seen", [("mid_shoulders",), ("head",), ("left_shoulder",), ("right_hip",), ("mid_hips",)])
def test_a_body_is_placed_from_one_joint_of_trunk_or_head(seen):
    hidden = [joint for joint in COMMON.joints if joint not in seen]
    got, known = complete(at_ease() * hide(*hidden)[:, None, :, None], hide(*hidden), COMMON)
    assert known.all() and got.isfinite().all()
    assert torch.linalg.vector_norm(got - at_ease(), dim=-1).max() < 0.8


@pytest.mark.parametrize("hidden", [("left_shoulder",), ("right_hip",), ("left_knee",), ("head",), LEGS])
def test_a_clip_without_some_joints_is_prepared_as_the_whole_clip(hidden):
    clip = standing(KINECT)[None, None].repeat(6, axis=1)
    whole = prepare([clip], KINECT, COMMON, ROBUST_16)[0, 0]
    names = set(hidden) | {joint.replace("ankle", "foot") for joint in hidden}
    got = prepare([without(clip, *(names & set(KINECT.joints)))], KINECT, COMMON, ROBUST_16)[0, 0]
    assert (got - whole).abs().max() < 0.4


def test_hidden_joints_in_training_are_completed_like_missing_ones():
    from skelrep.alignment import normalise
    from skelrep.skeletons import mapping

    poses = torch.from_numpy(moving(16, skeleton=NTU)).float()[None]
    matrix = torch.from_numpy(mapping(NTU, COMMON))
    hidden = ~hide("left_knee", "left_ankle")
    got = normalise(poses, matrix, COMMON, ROBUST_16, first=poses[:, 0], unseen=hidden)
    lost = without(poses.numpy()[0], "left_knee", "left_ankle", "left_foot", skeleton=NTU)[None]
    expected = prepare([lost], NTU, COMMON, ROBUST_16)[0, :1]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_flat_poses_stay_flat():
    clip = without(moving(10, skeleton=KINECT)[None, ..., [0, 2]], *LEGS, "left_foot", "right_foot")
    got = prepare([clip], KINECT, COMMON, ROBUST_16)[0, 0]
    assert (got[..., 1] == 0).all() and (got[:, COMMON.joints.index("left_ankle"), 2] < -1).all()
