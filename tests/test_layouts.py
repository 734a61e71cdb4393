"""Axis orders of bare arrays: suggestions in errors, two persons or two clips, tensors and nested lists."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skelrep import Poses
from skelrep.layouts import likely_layouts
from skelrep.poses import as_poses
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

BODY = walking("ntu-25", 40)[0]
SIZES = {"N": 9, "M": 1, "T": 40, "V": 25, "C": 3}
NTU = SKELETONS["ntu-25"]


def in_order(layout: str) -> np.ndarray:
    """The same body in every clip, in an order of axes."""
    whole = np.broadcast_to(BODY, (9, 1, 40, 25, 3))
    left = [axis for axis in "NMTVC" if axis not in layout]
    order = ["NMTVC".index(axis) for axis in (*left, *layout)]
    return whole.transpose(order)[(0,) * len(left)]


@pytest.mark.parametrize("layout", ["TMVC", "TVMC", "NTVC", "CTVM", "NCTV", "TCV", "CTV", "VTC", "NCTVM", "NTVMC"])
@pytest.mark.parametrize("skeleton", [None, "ntu-25"])
def test_an_error_suggests_the_layout(layout, skeleton):
    array = in_order(layout)
    with pytest.raises(ValueError) as error:
        as_poses(array, skeleton=skeleton)
    offered = re.findall(r'layout="(\w+)"', str(error.value))
    assert offered[:1] == [layout] or "no known skeleton" in str(error.value)
    poses = as_poses(array, skeleton="ntu-25", layout=layout)
    np.testing.assert_array_equal(poses.clips[0], BODY[None])


def test_layouts_that_fit_sizes():
    assert likely_layouts((300, 3, 17), 17) == ["TCV"]
    assert likely_layouts((4, 300, 17, 3), 17) == ["NTVC", "MTVC"]
    assert likely_layouts((64, 3, 300, 25, 2)) == ["NMTVC", "NCTVM"]
    assert likely_layouts((64, 3, 300, 25, 1)) == ["NCTVM"]
    assert likely_layouts((7, 8), 25) == []


def turned(clip: np.ndarray, degrees: float) -> np.ndarray:
    """About the vertical axis through the middle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = clip.mean(axis=(0, 1))
    return (clip - middle) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + middle


def test_two_persons_in_one_room(recwarn):
    """Two persons who face each other, or one of whom is seen only in some frames, or never."""
    late = np.where(np.arange(40)[:, None, None] < 9, 0, BODY)
    ahead = BODY + [0, 0, 1.2]
    for other in (turned(ahead, 180), turned(ahead, 160), late, 0 * BODY, np.full_like(BODY, np.nan)):
        Poses.from_array(np.stack([BODY, other]), skeleton=NTU, zeros="missing")
    Poses.from_array(np.stack([BODY, BODY]), skeleton=NTU, layout="MTVC")
    assert not recwarn.list


def test_two_bodies_may_be_two_clips():
    early = np.where(np.arange(40)[:, None, None] > 30, 0, BODY)  # the shorter clip, padded
    for other in (BODY, BODY[::-1] + np.float32(0.1), BODY + [3, 0, 0], turned(BODY + [1, 0, 0], 90), early):
        with pytest.warns(UserWarning, match="one clip of 2 persons"):
            Poses.from_array(np.stack([BODY, other]), skeleton=NTU)
    with pytest.warns(UserWarning, match="one clip of 2 persons"):
        as_poses(np.stack([BODY, BODY + [3, 0, 0]])[..., :2], skeleton="ntu-25")


def test_rows_of_all_joints():
    np.testing.assert_array_equal(as_poses(BODY.reshape(40, 75), skeleton="ntu-25").clips[0][0], BODY)
    with pytest.raises(ValueError, match="skeleton= .*ntu-25 x 3, openpose-25 x 3"):
        as_poses(BODY.reshape(40, 75))


@pytest.mark.parametrize("make", [lambda a: [a.tolist()], lambda a: a.tolist(), lambda a: list(a.tolist())])
def test_nested_lists(make):
    poses = as_poses(make(BODY), skeleton="ntu-25")
    np.testing.assert_allclose(poses.clips[0][0], BODY, atol=1e-6)


def test_masked_values_and_none_are_missing():
    hidden = np.zeros(BODY.shape, dtype=bool)
    hidden[3:6, 7] = True
    expected = np.where(hidden, np.nan, BODY)
    masked = np.ma.masked_array(BODY, hidden)
    nothing = BODY.astype(object)
    nothing[hidden] = None
    for array in (masked, nothing, nothing.tolist(), [masked], masked.filled(-1)):
        poses = as_poses(array, skeleton="ntu-25")
        np.testing.assert_allclose(poses.clips[0][0], expected, atol=1e-6)


def test_lists_of_different_lengths():
    poses = as_poses([BODY.tolist(), BODY[:7].tolist()], skeleton="ntu-25")
    assert [clip.shape[1] for clip in poses.clips] == [40, 7]
