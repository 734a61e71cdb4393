"""KARD (Gaglio, Lo Re, Morana, 2014): `a01_s01_e01_realworld.txt`, Kinect v1 by OpenNI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.data_sets.clips import clip_of, frames_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import custom

ACTIONS = (
    *("horizontal arm wave", "high arm wave", "two hand wave", "catch cap", "high throw", "draw X", "draw tick"),
    *("toss paper", "forward kick", "side kick", "take umbrella", "bend", "hand clap", "walk", "phone call", "drink"),
    *("sit down", "stand up"),
)
SKELETON = custom(
    [
        *("head", "neck", "right_shoulder", "right_elbow", "right_hand", "left_shoulder", "left_elbow", "left_hand"),
        *("torso", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot"),
    ],
    [1, 8, 1, 2, 3, 1, 5, 6, 8, 8, 9, 10, 8, 12, 13],
    "kard-15",
)
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_realworld$", re.IGNORECASE)
_MIRROR = np.array([-1, 1, 1])  # OpenNI's x points to the sensor's right: with y up and z forward, this is left-handed


def read_kard(path: Path, options: ReadOptions) -> Poses:
    """Reads one file of 15 rows for each frame: x, y, z in millimetres.

    Args:
        path: The file (`_screen.txt` next to it contains pixels and is not read).
        options: `skeleton`: another order of the joints.

    Returns:
        One clip (1, T, 15, 3) in metres at 30 frames per second, with x mirrored so that the axes are right-handed. Its
        name gives the action as label, and the columns `subject` and `repetition`.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    points = frames_of(path, numbers_of(path, 3), len(SKELETON)) * _MIRROR / 1000
    label = None
    info: dict[str, Any] = {}
    if name := _NAME.match(path.stem):
        action, subject, repetition = map(int, name.groups())
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        info = {"subject": subject, "repetition": repetition}
    return clip_of(path, points, SKELETON, options, fps=30, label=label, **info)


def is_kard(path: Path) -> bool:
    """Whether a file is named like those of the data set with positions in space."""
    return _NAME.match(path.stem) is not None


READER = Reader("kard", (".txt",), read_kard, is_kard)
