"""CAD-60 (Sung, Ponce, Selman, Saxena, 2011): `0512164529.txt` and `activityLabel.txt`, Kinect v1 by OpenNI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import read_text
from skelrep.io.data_sets.clips import beside, clip_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import custom

LABELS = "activityLabel.txt"
# The first eleven also have an orientation. The files name the sides as in a mirrored image: by their names, three of
# four people phone, drink and brush their teeth with the left hand. Left and right are therefore exchanged here.
SKELETON = custom(
    [
        *("head", "neck", "torso", "right_shoulder", "right_elbow", "left_shoulder", "left_elbow", "right_hip"),
        *("right_knee", "left_hip", "left_knee", "right_hand", "left_hand", "right_foot", "left_foot"),
    ],
    [1, 2, 2, 1, 3, 1, 5, 2, 7, 2, 9, 4, 6, 8, 10],
    "cad-15",
)
_ORIENTED = 11
_WIDTH = 1 + 14 * _ORIENTED + 4 * (len(SKELETON) - _ORIENTED)  # frame number, 3 x 3 rotations, positions, confidences
_NAME = re.compile(r"\d{10}$")


def read_cad60(path: Path, options: ReadOptions) -> Poses:
    """Reads one recording: rows with a frame number, orientations, positions and their confidences.

    Args:
        path: The file; `activityLabel.txt` next to it names the activities, and the folder names the person ("data1").
        options: `skeleton`: another order of the joints.

    Returns:
        One clip (1, T, 15, 3) in metres at 30 frames per second, with scores; left and right are exchanged (see
        `SKELETON`). The activity is the label, and the column `subject` is the person; the usual protocol leaves out
        one person at a time.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    rows = []
    for number, line in enumerate(read_text(path, errors="replace").splitlines(), start=1):
        words = [word for word in line.split(",") if word.strip()]
        if not words or words[0].strip() == "END":
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != _WIDTH:
            raise ValueError(f"{path}, line {number}: got {line[:40]!r}, expected {_WIDTH} numbers")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} contains no frames")
    values = np.array(rows)[:, 1:]
    oriented = values[:, : 14 * _ORIENTED].reshape(len(values), _ORIENTED, 14)[..., 10:]
    plain = values[:, 14 * _ORIENTED :].reshape(len(values), -1, 4)
    cells = np.concatenate([oriented, plain], axis=1)
    points, scores = cells[..., :3] / 1000, cells[..., 3]
    folder = re.search(r"(\d+)$", path.parent.name)
    info: dict[str, Any] = {"subject": int(folder[1])} if folder else {}
    label = _label(path)
    return clip_of(path, points, SKELETON, options, fps=30, label=label, scores=scores, **info)


def is_cad60(path: Path) -> bool:
    """Whether a file is named like the recordings of the data set (ten digits) and has rows of this width."""
    if not _NAME.match(path.stem):
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return sum(bool(word.strip()) for word in file.readline().split(",")) == _WIDTH


READER = Reader("cad-60", (".txt",), read_cad60, is_cad60)


def _label(path: Path) -> str | None:
    """The activity according to the list: "0512164529,brushing teeth,"."""
    found = beside(path, LABELS)
    if found is None:
        return None
    for line in read_text(found, errors="replace").splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) > 1 and words[0] == path.stem:
            return words[1]
    return None
