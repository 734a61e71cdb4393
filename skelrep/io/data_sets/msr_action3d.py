"""MSR Action3D (Li, Zhang, Liu, CVPRW 2010): `a01_s01_e01_skeleton3D.txt`, Kinect v1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from skelrep.io.data_sets.clips import clip_of, frames_of, numbers_of, train_and_test
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses

JOINTS = 20
ACTIONS = (
    *("high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw X"),
    *("draw tick", "draw circle", "hand clap", "two hand wave", "side boxing", "bend", "forward kick", "side kick"),
    *("jogging", "tennis swing", "tennis serve", "golf swing", "pickup and throw"),
)
# Sequences with missing or wrong skeletons, which papers leave out of the 567.
LEFT_OUT = (
    *("a02_s03_e02", "a04_s03_e01", "a07_s04_e01", "a13_s09_e01", "a13_s09_e02", "a13_s09_e03", "a14_s03_e01"),
    *("a20_s07_e01", "a20_s07_e03", "a20_s10_e03"),
)
_NAME = re.compile(r"(a(\d\d)_s(\d\d)_e(\d\d))_skeleton3D$", re.IGNORECASE)


def read_msr_action3d(path: Path, options: ReadOptions) -> Poses:
    """Reads one file with 20 rows per frame: x, y, z and a confidence.

    Args:
        path: The file.
        options: `skeleton`: another order of the joints than "msr-action3d-20".

    Returns:
        One clip (1, T, 20, 3) in the file's unit at 15 frames per second, with scores. Its name gives the action as
        label, and the columns `subject`, `repetition`, `train` (subjects 1, 3, 5, 7, 9) and `test`; the ten sequences
        of `LEFT_OUT` are in neither.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    frames = frames_of(path, numbers_of(path, 4), JOINTS)
    label = None
    info: dict[str, Any] = {}
    if name := _NAME.match(path.stem):
        action, subject, repetition = (int(part) for part in name.groups()[1:])
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        split = train_and_test(subject, (1, 3, 5, 7, 9), (2, 4, 6, 8, 10))
        if name[1].lower() in LEFT_OUT:
            split = dict.fromkeys(split, False)
        info = {"subject": subject, "repetition": repetition, **split}
    points, scores = frames[..., :3], frames[..., 3]
    return clip_of(path, points, "msr-action3d-20", options, fps=15, label=label, scores=scores, **info)


def is_msr_action3d(path: Path) -> bool:
    """Whether a file is named like those of MSR Action3D with positions in space (others contain pixels)."""
    return _NAME.match(path.stem) is not None


READER = Reader("msr-action3d", (".txt",), read_msr_action3d, is_msr_action3d)
