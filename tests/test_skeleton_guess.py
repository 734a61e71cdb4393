"""Which skeleton an array without names has: no wrong guess, and an error if the geometry is ambiguous."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, embed
from skelrep.skeleton_guess import fits, skeleton_of
from skelrep.skeletons import SKELETONS, Skeleton
from tests import motion_data
from tests.bodies import walking

# Those of more joints hold faces and fingers, which the body made up for tests has not.
BODIES = [name for name, skeleton in SKELETONS.items() if len(skeleton) < 40]
LEGS_FIRST = """
    right_hip right_knee right_ankle right_toe left_hip left_knee left_ankle left_toe pelvis spine spine_2 chest neck
    head right_collar right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist left_collar
"""
KIT = """
    pelvis spine spine_2 neck head left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist left_hip
    left_knee left_ankle left_foot left_toe right_hip right_knee right_ankle right_foot right_toe
"""
SBU = """
    head neck spine left_shoulder left_elbow left_hand right_shoulder right_elbow right_hand left_hip left_knee
    left_foot
    right_hip right_knee right_foot
"""


def named(text: str) -> Skeleton:
    joints = text.split()
    return Skeleton("other", tuple(joints), tuple(range(len(joints))))


def best(clip: np.ndarray) -> list[str]:
    return [fit.skeleton.name for fit in fits([clip]) if fit.fits]


@pytest.mark.parametrize("name", BODIES)
def test_each_named_skeleton_is_recognised_or_refused(name):
    found = best(walking(name))
    assert found in ([name], [])
    if name in (
        "ntu-25",
        "kinect-20",
        "utd-mhad-20",
        "msr-action3d-20",
        "smpl-22",
        "lafan1-22",
        "smpl-24",
        "bandai-namco-21",
    ):
        assert found == [name]


@pytest.mark.parametrize("name", BODIES)
def test_swapped_sides_do_not_fit(name):
    """An order with left and right swapped, or left-handed axes: poses are never mirrored silently."""
    skeleton = SKELETONS[name]
    swapped = walking(name)[:, :, list(skeleton.mirror)]
    assert name not in best(swapped)
    assert name not in best(walking(name) * [-1, 1, 1])


@pytest.mark.parametrize("joints", [LEGS_FIRST, KIT, SBU], ids=["22", "kit", "sbu"])
def test_orders_that_no_skeleton_has_are_refused(joints):
    clip = walking(named(joints))
    assert best(clip) == []
    with pytest.raises(ValueError, match=f"{clip.shape[2]} joints.*skeleton="):
        skeleton_of(None, [clip])


def test_shuffled_joints_are_refused():
    rng = np.random.default_rng(0)
    for name in BODIES:
        for _ in range(5):
            assert best(walking(name)[:, :, rng.permutation(len(SKELETONS[name]))]) == []


def test_an_array_of_ntu_is_embedded_without_an_option():
    clip = walking("ntu-25")
    with pytest.warns(UserWarning, match="25 joints.*'ntu-25'"):
        found = embed(clip)
    np.testing.assert_array_equal(found, embed(clip, skeleton="ntu-25"))


@pytest.mark.parametrize("name", ["ntu-25", "kinect-20"])
def test_zeros_that_mean_not_seen_do_not_hide_the_body(name):
    clip = walking(name)
    clip[0, 3:6, 7] = clip[0, ::4, 9] = clip[0, :, -1] = 0
    with pytest.warns(UserWarning) as said:
        poses = Poses.from_array(clip)
    assert poses.skeleton.name == name
    assert len(said) == 2  # the skeleton, and the zeros
    assert np.isnan(poses.clips[0]).any(axis=-1).sum() == 3 + 15 + 60


def test_the_question_names_the_candidates_the_most_likely_first():
    order = [fit.skeleton.name for fit in fits([walking("kinect-20") * [-1, 1, 1]])]
    assert order == ["kinect-20", "utd-mhad-20", "msr-action3d-20"]
    with pytest.raises(ValueError, match="'kinect-20' or 'utd-mhad-20' or 'msr-action3d-20'"):
        Poses.from_array(walking("kinect-20") * [-1, 1, 1])


def test_ambiguous_arrays_are_refused():
    for array in (
        np.ones((1, 5, 25, 3)),
        np.full((1, 5, 25, 3), np.nan),
        np.random.default_rng(0).normal(size=(1, 9, 25, 3)),
    ):
        with pytest.raises(ValueError, match="'ntu-25'"):
            skeleton_of(None, [array])


@pytest.mark.skipif(not motion_data.FOLDER.is_dir(), reason="no motion data at hand")
@pytest.mark.parametrize("name", [*motion_data.PRETRAINING, *motion_data.LABELLED])
def test_no_wrong_guess_on_real_data(name):
    poses = motion_data.load(name)
    joints = poses.skeleton.joints
    right = {known.name for known in SKELETONS.values() if known.joints == joints}
    right |= {"cmu-17"} if name.startswith("cmu") else set()  # whose hands and feet are called wrists and ankles there
    picked = np.random.default_rng(0).choice(len(poses), 20, replace=False)
    found = [best(poses.clips[i]) for i in picked]
    assert all(set(fit) <= right for fit in found)
    if right and ("left_foot" in joints or "left_toe" in joints):
        assert np.mean([bool(fit) for fit in found]) > 0.6
