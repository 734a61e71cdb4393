"""SBU Kinect Interaction (Yun et al., CVPRW 2012): `s01s02/01/001/skeleton_pos.txt`, two persons, Kinect v1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.data_sets.clips import clip_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import custom

ACTIONS = (
    *("approaching", "departing", "kicking", "pushing", "shaking hands", "hugging", "exchanging object", "punching"),
)
SKELETON = custom(
    [
        *("head", "neck", "torso", "left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow"),
        *("right_hand", "left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot"),
    ],
    [1, 2, 2, 1, 3, 4, 1, 6, 7, 2, 9, 10, 2, 12, 13],
    "sbu-15",
)
# The five folds of the data set's authors, by pairs of an acting and a reacting person.
FOLDS = (
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
_SET = re.compile(r"(s(\d\d)s(\d\d))", re.IGNORECASE)


def read_sbu(path: Path, options: ReadOptions) -> Poses:
    """Reads one recording: rows with a frame number and 15 normalised joints of each of two persons.

    Args:
        path: The file; the folders above it name the pair, the action and the repetition.
        options: `skeleton`: another order of the joints.

    Returns:
        One clip (2, T, 15, 3) in metres, y up, converted by the data set's own formula, at 15 frames per second, with
        the action as label and the columns `subject` (the acting person), `partner`, `repetition` and, for each of the
        five folds, `train_1` and `test_1` to `train_5` and `test_5`; `train` and `test` are the first.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    rows = numbers_of(path, 1 + 6 * len(SKELETON))
    normalised = rows[:, 1:].reshape(len(rows), 2, len(SKELETON), 3).swapaxes(0, 1)
    seen = (normalised != 0).any(axis=(-2, -1), keepdims=True)
    # README of the data set: x = 1280 - 2560 x', y = 960 - 1920 y', z = 10000 z' / 7.8125, in millimetres.
    points = (
        np.stack(
            [1280 - 2560 * normalised[..., 0], 960 - 1920 * normalised[..., 1], 1280 * normalised[..., 2]], axis=-1
        )
        / 1000
    )
    points = np.where(seen, points, np.nan)
    folders = [part.name for part in list(path.parents)[:3]]
    name = label = None
    info: dict[str, Any] = {}
    if len(folders) == 3 and (name := _SET.search(folders[2])):
        pair = name[1].lower()
        action, repetition = (int(part) if part.isdecimal() else 0 for part in folders[1::-1])
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        info = {"subject": int(name[2]), "partner": int(name[3]), "repetition": repetition}
        for i, fold in enumerate(FOLDS, start=1):
            info |= {f"train_{i}": pair not in fold, f"test_{i}": pair in fold}
        info |= {"train": info["train_1"], "test": info["test_1"]}
    ids = "/".join(folders[::-1]) if name else path.stem
    return clip_of(path, points, SKELETON, options, fps=15, label=label, ids=ids, **info)


def is_sbu(path: Path) -> bool:
    """Whether a file is named like the recordings of the data set."""
    return path.stem.lower() == "skeleton_pos"


READER = Reader("sbu", (".txt",), read_sbu, is_sbu)
