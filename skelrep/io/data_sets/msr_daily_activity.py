"""MSR Daily Activity 3D (Wang, Liu, Wu, Yuan, CVPR 2012): `a01_s01_e01_skeleton.txt`, Kinect v1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import read_text
from skelrep.io.data_sets.clips import clip_of, train_and_test
from skelrep.io.reader import Reader, ReadOptions
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.poses import Poses

JOINTS = 20
ACTIONS = (
    *("drink", "eat", "read book", "call cellphone", "write on a paper", "use laptop", "use vacuum cleaner"),
    *("cheer up", "sit still", "toss paper", "play game", "lie down on sofa", "walk", "play guitar", "stand up"),
    "sit down",
)
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_skeleton$", re.IGNORECASE)
_ROWS = 2 * JOINTS  # of one body: each joint in space, then in pixels
_BODIES = 2


def read_msr_daily_activity(path: Path, options: ReadOptions) -> Poses:
    """Reads one file: the numbers of frames and joints, then for each frame its number of rows and the rows.

    Args:
        path: The file.
        options: `skeleton`: another order of the joints than "kinect-20".

    Returns:
        One clip (M, T, 20, 3) in metres at 30 frames per second; frames without a body are NaN. Its name gives the
        action as label, and the columns `subject`, `posture` (1 sitting, 2 standing), `train` (subjects 1, 3, 5, 7, 9)
        and `test`.

    Raises:
        ValueError: if the file has another structure.
    """
    words = read_text(path, errors="replace").split()
    try:
        frames, joints = int(words[0]), int(words[1])
        if joints != JOINTS or frames < 1:
            raise ValueError(f"it states {frames} frames of {joints} joints, expected {JOINTS} joints")
        bounded(frames, _BODIES, JOINTS, 3)
        clip = np.full((_BODIES, frames, JOINTS, 3), np.nan)
        at = 2
        for frame in range(frames):
            rows, at = int(words[at]), at + 1
            if rows % _ROWS:
                raise ValueError(f"frame {frame} states {rows} rows, which is not a multiple of {_ROWS}")
            cells = np.array(words[at : at + 4 * rows], dtype=float).reshape(rows // _ROWS, JOINTS, 2, 4)
            at += 4 * rows
            clip[: len(cells[:_BODIES]), frame] = cells[:_BODIES, :, 0, :3]
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path} is not a skeleton file of MSR Daily Activity 3D ({one_line(error)})") from None
    seen = ~np.isnan(clip).all(axis=(1, 2, 3)) & (np.nan_to_num(clip) != 0).any(axis=(1, 2, 3))
    seen[0] |= not seen.any()
    label = None
    info: dict[str, Any] = {}
    if name := _NAME.match(path.stem):
        action, subject, posture = map(int, name.groups())
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        split = train_and_test(subject, (1, 3, 5, 7, 9), (2, 4, 6, 8, 10))
        info = {"subject": subject, "posture": posture, **split}
    return clip_of(path, clip[seen], "kinect-20", options, fps=30, label=label, **info)


def is_msr_daily_activity(path: Path) -> bool:
    """Whether a file is named like those of the data set and begins with two integers, the second of which is 20."""
    if not _NAME.match(path.stem):
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        words = file.readline().split()
    return len(words) == 2 and words[1] == str(JOINTS)


READER = Reader("msr-daily-activity", (".txt",), read_msr_daily_activity, is_msr_daily_activity)
