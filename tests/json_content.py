"""JSON for the tests of its readers, and a body to put into it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from skelrep.poses import Poses

#: A standing body in pixels, y down, joint by joint of COCO's 17; about 300 high.
BODY = np.array(
    [[0, 0], [6, -6], [-6, -6], [15, -2], [-15, -2], [36, 36], [-36, 36], [44, 92], [-88, 12], [46, 140], [-98, -36]]
    + [[18, 130], [-18, 130], [20, 214], [-20, 214], [20, 294], [-20, 294]],
    dtype=float,
)


def saved(path: Path, content: object) -> Path:
    """Writes content as JSON, with its folder."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content))
    return path


def flat(value: float, joints: int, channels: int = 2, score: float = 0.5) -> list[float]:
    """Keypoints of which every coordinate is `value`."""
    return ([value] * channels + [score]) * joints


def triples(body: np.ndarray, score: float = 0.9) -> list[float]:
    """[x, y, score, ...] of a (V, 2) body."""
    return np.column_stack([body, np.full(len(body), score)]).ravel().tolist()


def walker(person: int, frame: float) -> np.ndarray:
    """The (17, 2) body of one of several people who walk side by side, 400 pixels apart."""
    return BODY + [500 + 400 * person + 3 * frame, 200]


def first_joint(poses: Poses) -> list[list[float]]:
    """x of the first joint, for each person and frame; 0 where it is missing."""
    return np.nan_to_num(poses.clips[0][:, :, 0, 0]).tolist()
