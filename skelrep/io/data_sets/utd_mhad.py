"""UTD-MHAD (Chen, Jafari, Kehtarnavaz, ICIP 2015): `a1_s1_t1_skeleton.mat`, Kinect v1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from skelrep.io.data_sets.clips import clip_of, train_and_test
from skelrep.io.matlab import read_mat_array
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses

JOINTS = 20
ACTIONS = (
    *("swipe left", "swipe right", "wave", "clap", "throw", "arm cross", "basketball shoot", "draw X"),
    *("draw circle clockwise", "draw circle counter clockwise", "draw triangle", "bowling", "boxing"),
    *("baseball swing", "tennis swing", "arm curl", "tennis serve", "push", "knock", "catch", "pickup and throw"),
    *("jog", "walk", "sit to stand", "stand to sit", "lunge", "squat"),
)
_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_skeleton", re.IGNORECASE)
_ARRAY = "d_skel"


def read_utd_mhad(path: Path, options: ReadOptions) -> Poses:
    """Reads one `.mat` with `d_skel` (20, 3, T).

    Args:
        path: The file.
        options: `skeleton`: another order of the joints than "utd-mhad-20".

    Returns:
        One clip (1, T, 20, 3) in metres at 30 frames per second. Its name gives the action as label, and the columns
        `subject`, `trial`, `train` (subjects 1, 3, 5, 7) and `test`.

    Raises:
        ValueError: for a `.mat` with other content, or a damaged one.
    """
    array = read_mat_array(path, _ARRAY)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise ValueError(f"its {_ARRAY} has shape {array.shape}; expected (20 joints, 3, frames)")
    name = _NAME.match(path.stem)
    label = None
    info: dict[str, Any] = {}
    if name:
        action, subject, trial = map(int, name.groups())
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        info = {"subject": subject, "trial": trial, **train_and_test(subject, (1, 3, 5, 7), (2, 4, 6, 8))}
    return clip_of(path, array.transpose(2, 0, 1), "utd-mhad-20", options, fps=30, label=label, **info)


def is_utd_mhad(path: Path) -> bool:
    """Whether a file is named like those of the data set, or contains its array."""
    if _NAME.match(path.stem):
        return True
    try:
        return read_mat_array(path, _ARRAY).ndim > 0
    except (ValueError, OSError):
        return False


READER = Reader("utd-mhad", (".mat",), read_utd_mhad, is_utd_mhad)
