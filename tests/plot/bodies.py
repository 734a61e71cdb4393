"""A body and clips of it, for the tests of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import SKELETONS, Poses
from skelrep.skeletons import mapping

COMMON = SKELETONS["common-15"]
# A person, in metres: to their left, up, to their front.
BODY = {
    "mid_hips": (0, 0.9, 0),
    "mid_shoulders": (0, 1.4, 0),
    "head": (0, 1.6, 0.05),
    "left_shoulder": (0.2, 1.4, 0),
    "left_elbow": (0.3, 1.15, 0),
    "left_wrist": (0.3, 1.2, 0.25),
    "right_shoulder": (-0.2, 1.4, 0),
    "right_elbow": (-0.3, 1.15, 0),
    "right_wrist": (-0.3, 0.9, 0),
    "left_hip": (0.1, 0.9, 0),
    "left_knee": (0.1, 0.5, 0.05),
    "left_ankle": (0.1, 0.1, 0),
    "right_hip": (-0.1, 0.9, 0),
    "right_knee": (-0.1, 0.5, 0.05),
    "right_ankle": (-0.1, 0.1, 0),
}
STANDING = np.array([BODY[joint] for joint in COMMON.joints], dtype=np.float32)


def walking(frames=10, persons=1, skeleton=COMMON, fps=30.0):
    """Clips in which the left hand rises and everybody drifts to the left."""
    clip = np.tile(STANDING, (persons, frames, 1, 1))
    clip[:, :, COMMON.joints.index("left_wrist"), 1] += np.linspace(0, 0.6, frames)
    clip[..., 0] += np.arange(persons)[:, None, None] + np.linspace(0, 0.3, frames)[:, None]
    return Poses([mapping(COMMON, skeleton) @ clip], skeleton, ["somebody"], ["walk $x_"], fps)


def with_axes(clip, columns):
    """The axes of a right-handed file, each a row of (left, up, ahead)."""
    matrix = np.array(columns, dtype=np.float32)
    assert np.linalg.det(matrix) == pytest.approx(1)
    return clip @ matrix.T


def colours(image):
    """How many pixels are blue, for left, and how many vermilion, for right."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    bluer = pixels[..., 2] - pixels[..., 0]
    return [int((bluer > 60).sum()), int((bluer < -60).sum())]
