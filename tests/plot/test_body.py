"""Directions up, left and front, and the lines between joints."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import SKELETONS, Poses
from skelrep.plot import body
from skelrep.skeletons import custom
from tests.plot.bodies import COMMON, STANDING, walking, with_axes


@pytest.mark.parametrize(
    "axes",
    [
        [(1, 0, 0), (0, 1, 0), (0, 0, 1)],  # y up
        [(0, 0, 1), (1, 0, 0), (0, 1, 0)],  # z up, as motion capture has it
        [(-1, 0, 0), (0, -1, 0), (0, 0, 1)],  # y down, as images and MediaPipe have it
        [(0, 0, -1), (0, 1, 0), (1, 0, 0)],  # y up, seen from the side
        [(0.6, 0, 0.8), (0, 1, 0), (-0.8, 0, 0.6)],
    ],
)
def test_up_and_front_are_found_for_every_axis_convention(axes):
    clip = walking().clips[0]
    seen = body.oriented(with_axes(clip, axes), COMMON)
    expected = clip - (clip.min(axis=(0, 1, 2)) + clip.max(axis=(0, 1, 2))) / 2
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_sensor_tilt_up_to_25_degrees_is_corrected():
    clip = np.tile(STANDING, (1, 4, 1, 1))

    def leaning(degrees):
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return body.oriented(with_axes(clip, [(1, 0, 0), (0, cos, -sin), (0, sin, cos)]), COMMON)

    np.testing.assert_allclose(leaning(15), leaning(0), atol=1e-5)
    assert np.abs(leaning(40) - leaning(0)).max() > 0.3


def test_images_are_turned_upright_and_keep_left_and_right():
    clip = walking().clips[0][..., :2] * (-200, -200) + (320, 240)  # who faces a camera has the left hand on its right
    seen = body.oriented(clip.astype(np.float32), COMMON)
    assert seen.shape == (1, 10, 15, 3)
    head, ankle = (seen[0, 0, COMMON.joints.index(joint)] for joint in ("head", "left_ankle"))
    assert head[1] - ankle[1] == pytest.approx(300, abs=1)
    np.testing.assert_allclose(np.diff(seen[0, 0, :, 0]), np.diff(clip[0, 0, :, 0]), atol=1e-3)
    assert body.ground(seen, COMMON) == pytest.approx(ankle[1])


def test_missing_joints_stay_missing_and_unknown_joints_are_accepted():
    clip = walking().clips[0].copy()
    clip[0, 3:6, 4] = np.nan
    seen = body.oriented(clip, COMMON)
    np.testing.assert_array_equal(np.isnan(seen), np.isnan(clip))
    strange = custom(["a", "b", "c"], [0, 0, 1])
    seen = body.oriented(np.random.default_rng(0).normal(size=(1, 5, 3, 3)).astype(np.float32), strange)
    assert np.isfinite(seen).all() and body.ground(seen, strange) is None
    assert np.isnan(body.oriented(np.full((1, 2, 3, 3), np.nan), strange)).all()


@pytest.mark.parametrize("name", SKELETONS)
def test_bones_connect_the_whole_body(name):
    skeleton = SKELETONS[name]
    pairs = body.bones(skeleton)
    expected = {i for i, joint in enumerate(skeleton.joints) if not body.is_face(joint)}
    reached, before = {skeleton.joints.index("left_hip")}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {i for pair in pairs if reached & set(pair) for i in pair}
    assert expected <= reached
    assert body.head(skeleton)
    assert [skeleton.joints[i] for i, side in enumerate(body.sides(skeleton)) if side == 1] == [
        joint for joint in skeleton.joints if joint.startswith("left_")
    ]


def test_coco_has_a_shoulder_line_and_no_line_from_the_nose():
    coco = SKELETONS["coco-17"]
    named = {frozenset(coco.joints[i] for i in pair) for pair in body.bones(coco)}
    assert {"left_shoulder", "right_shoulder"} in named and {"left_hip", "right_hip"} in named
    assert not any("nose" in pair for pair in named)


def test_skeleton_without_a_tree_is_mapped_to_the_common_one():
    poses = walking()
    star = custom(COMMON.joints)
    drawn = body.drawable(Poses(poses.clips, star))
    assert drawn.skeleton is COMMON
    np.testing.assert_allclose(drawn.clips[0], poses.clips[0], atol=1e-6)
    assert body.drawable(poses) is poses
