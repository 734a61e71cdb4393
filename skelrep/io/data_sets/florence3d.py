"""Florence 3D Actions (Seidenari et al., CVPRW 2013): `Florence_dataset_WorldCoordinates.txt`, Kinect v1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelrep.io.data_sets.clips import clip_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import custom

ACTIONS = (
    *("wave", "drink from a bottle", "answer phone", "clap", "tight lace", "sit down", "stand up", "read watch"),
    "bow",
)
SKELETON = custom(
    [
        *("head", "neck", "spine", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow"),
        *("right_wrist", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"),
    ],
    [1, 2, 2, 1, 3, 4, 1, 6, 7, 2, 9, 10, 2, 12, 13],
    "florence-15",
)


def read_florence3d(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads the file of all recordings: rows with the numbers of video, actor and action, and 15 joints in millimetres.

    Args:
        path: The file.
        options: `skeleton`: another order of the joints.

    Yields:
        A clip (1, T, 15, 3) in metres for each video, with the action as label and the column `subject`. The usual
        protocol leaves out one actor at a time.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    rows = numbers_of(path, 3 + 3 * len(SKELETON))
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=np.nan) != 0)
    for part in np.split(rows, starts[1:]):
        video, subject, action = part[0, :3].astype(int).tolist()
        points = part[:, 3:].reshape(len(part), -1, 3) / 1000
        label = ACTIONS[action - 1] if 0 < action <= len(ACTIONS) else str(action)
        yield clip_of(path, points, SKELETON, options, fps=30, label=label, ids=f"video-{video}", subject=subject)


def is_florence3d(path: Path) -> bool:
    """Whether a file is named like that of the data set."""
    return path.stem.lower() == "florence_dataset_worldcoordinates"


READER = Reader("florence-3d", (".txt",), read_florence3d, is_florence3d)
