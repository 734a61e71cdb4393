"""KIMORE (Capecci et al., 2019): `.../GPP/BackPain/B_ID1/Es1/Raw/JointPosition*.csv`, Kinect v2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from skelrep.io.data_sets.clips import clip_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses

JOINTS = 25
_STATES = 2.0  # of tracking: 0 not tracked, 1 inferred, 2 tracked
_NAME = re.compile(r"JointPosition", re.IGNORECASE)
_GROUPS = ("expert", "notexpert", "not-expert", "stroke", "parkinson", "backpain")


def read_kimore(path: Path, options: ReadOptions) -> Poses:
    """Reads one recording: rows of x, y, z and the state of tracking of 25 joints.

    Args:
        path: The file; the folders above it name the exercise (`Es1` to `Es5`), the person and the group.
        options: `skeleton`: another order of the joints than "ntu-25".

    Returns:
        One clip (1, T, 25, 3) in metres at 30 frames per second, with the state as scores (tracked 1, inferred 0.5).
        The exercise as label, and the columns `subject` and `group`.

    Raises:
        ValueError: for a row of other numbers, with its line.
    """
    cells = numbers_of(path, 4 * JOINTS).reshape(-1, JOINTS, 4)
    folders = [folder.name for folder in path.parents if folder.name][:6]
    exercise = next((folder for folder in folders if re.fullmatch(r"Es\d", folder, re.IGNORECASE)), None)
    info: dict[str, Any] = {}
    if exercise is not None:
        above = folders[folders.index(exercise) + 1 :]
        info = {
            "subject": above[0] if above else "",
            "group": next((folder for folder in above if folder.lower() in _GROUPS), ""),
        }
    scores = cells[..., 3] / _STATES
    ids = "/".join([*([str(info["subject"])] if info else []), *([exercise] if exercise else []), path.stem])
    return clip_of(
        path,
        cells[..., :3],
        "ntu-25",
        options,
        fps=30,
        label=exercise,
        scores=scores,
        ids=ids if exercise else None,
        **info,
    )


def is_kimore(path: Path) -> bool:
    """Whether a file is called as the positions of the data set."""
    return _NAME.match(path.stem) is not None


READER = Reader("kimore", (".csv",), read_kimore, is_kimore)
