"""Coordinates that are fractions of a picture."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, embed, read, write
from skelrep.fractions import are_fractions
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

COCO = SKELETONS["coco-17"]


def picture(channels: int = 2, skeleton: str = "coco-17") -> np.ndarray:
    """A person in the middle of a picture, in fractions of it, y down."""
    clip = walking(skeleton)
    clip = clip - clip.mean(axis=(0, 1, 2))
    return np.stack([0.5 + clip[..., 0] / 4, 0.5 - clip[..., 1] / 4, clip[..., 2] / 4][:channels], axis=-1)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_one_warning_per_file_unless_it_is_scaled(tmp_path, suffix, recwarn):
    path = tmp_path / f"a{suffix}"
    write(Poses([picture()], COCO), path)
    skeleton = COCO if suffix == ".npy" else None
    recwarn.clear()
    read(path, skeleton=skeleton)
    assert [str(warning.message).count("fractions") > 0 for warning in recwarn] == [True]
    recwarn.clear()
    read(path, skeleton=skeleton, scale=(1920, 1080))
    read(path, skeleton=skeleton, scale=1)
    assert not recwarn.list


@pytest.mark.parametrize("make", [lambda clip: clip, lambda clip: [clip], lambda clip: Poses([clip], COCO)])
def test_one_warning_for_all_embedded_clips(make, recwarn):
    embed(make(picture()), skeleton="coco-17")
    assert [str(warning.message).count("fractions") > 0 for warning in recwarn] == [True]


def test_in_three_dimensions_only_where_y_points_down():
    assert are_fractions([picture(3, "mediapipe-33")], SKELETONS["mediapipe-33"])
    upright = picture(3, "mediapipe-33") * [1, -1, 1] + [0, 1, 0]
    assert not are_fractions([upright], SKELETONS["mediapipe-33"])


def test_pixels_metres_and_centred_poses_are_not_fractions():
    assert not are_fractions([picture() * [1920, 1080]], COCO)
    assert not are_fractions([picture() - 0.5], COCO)
    assert not are_fractions([walking("coco-17")], COCO)
    assert not are_fractions([np.full((1, 3, 17, 2), np.nan)], COCO)
    assert not are_fractions([np.ones((1, 3, 17, 2))], COCO)


def test_legs_guessed_below_the_picture_are_still_fractions():
    clip = picture()
    clip[..., -2:, 1] += 0.8
    assert are_fractions([clip], COCO)
