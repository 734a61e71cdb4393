"""UTKinect-Action3D (Xia, Chen, Aggarwal, CVPRW 2012): `joints_s01_e01.txt` and `actionLabel.txt`, Kinect v1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import read_text
from skelrep.io.data_sets.clips import beside, clip_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.timeline import timeline
from skelrep.messages import warn
from skelrep.poses import Poses

JOINTS = 20
LABELS = "actionLabel.txt"
# Ten splits with half of the subjects for training, the others for testing (Vemulapalli, Arrate, Chellappa, CVPR 2014).
TRAINING_SUBJECTS = (
    *((2, 5, 7, 8, 9), (2, 3, 8, 9, 10), (2, 3, 6, 7, 8), (3, 5, 6, 8, 9), (2, 4, 5, 6, 10)),
    *((3, 6, 7, 8, 9), (1, 2, 4, 6, 7), (2, 7, 8, 9, 10), (1, 3, 6, 9, 10), (1, 6, 8, 9, 10)),
)
_NAME = re.compile(r"joints_(s(\d\d)_e(\d\d))$", re.IGNORECASE)


def read_utkinect(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads one recording: rows with a frame number and x, y, z of 20 joints.

    Args:
        path: The file; `actionLabel.txt`, with the first and last frame of each action, is next to it or one folder
            above.
        options: `skeleton`: another order of the joints than "kinect-20".

    Yields:
        A clip (1, T, 20, 3) for each action, in metres, with the columns `subject`, `repetition` and, for each of ten
        splits of the subjects into halves, `train_1` and `test_1` to `train_10` and `test_10`; `train` and `test` are
        the first. Without the list, the whole recording is one clip, with a warning.

    Raises:
        ValueError: for a row with a different number of values, or a list that cannot be read.
    """
    rows = numbers_of(path, 1 + 3 * JOINTS)
    numbers, first = np.unique(rows[:, 0], return_index=True)  # some rows are repeated
    points = rows[first, 1:].reshape(-1, JOINTS, 3)
    info: dict[str, Any] = {}
    recording = path.stem
    if name := _NAME.match(path.stem):
        recording, subject = name[1].lower(), int(name[2])
        info = {"subject": subject, "repetition": int(name[3])}
        for i, train in enumerate(TRAINING_SUBJECTS, start=1):
            info |= {f"train_{i}": subject in train, f"test_{i}": subject not in train}
        info |= {"train": bool(info["train_1"]), "test": bool(info["test_1"])}
    actions = {None: (numbers[0], numbers[-1])}
    if (found := beside(path, LABELS)) is None:
        warn(f"{path}: without {LABELS} next to it, the recording is not divided into its actions")
    else:
        actions = _actions(found).get(recording) or actions
    for action, (start, end) in actions.items():
        chosen = (numbers >= start) & (numbers <= end)
        if not chosen.any():
            continue
        line = timeline(frames=numbers[chosen], fps=30)
        ids = path.stem if action is None else f"{recording}_{action}"
        clip = line.on_grid(points[chosen])
        yield clip_of(path, clip, "kinect-20", options, fps=line.fps, label=action, ids=ids, **info)


def is_utkinect(path: Path) -> bool:
    """Whether a file is named like the recordings of the data set."""
    return _NAME.match(path.stem) is not None


READER = Reader("utkinect", (".txt",), read_utkinect, is_utkinect)


def _actions(path: Path) -> dict[str, dict[str | None, tuple[float, float]]]:
    """The first and last frame of each action, by recording; an action that was not recorded has NaN."""
    found: dict[str, dict[str | None, tuple[float, float]]] = {}
    recording = ""
    for number, line in enumerate(read_text(path, errors="replace").splitlines(), start=1):
        words = line.replace(":", " ").split()
        if len(words) == 1:
            recording = words[0].lower()
        elif len(words) == 3:
            try:
                found.setdefault(recording, {})[words[0]] = float(words[1]), float(words[2])
            except ValueError:
                raise ValueError(
                    f"{path}, line {number}: got {line.strip()[:40]!r}, expected 'walk: 252 390'"
                ) from None
    return found
