"""Functions for the readers of data sets: rows of numbers, and one labelled clip."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.reader import ReadOptions
from skelrep.memory_budget import bounded
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton, resolve


def numbers_of(path: Path, width: int, skip: int = 0) -> np.ndarray:
    """The rows of numbers (R, `width`) in a text file, separated by spaces or commas; empty lines are ignored.

    Args:
        path: The file.
        width: Numbers per row.
        skip: Lines before the first row.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    rows = []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line, text in enumerate(file, start=1):
            words = text.replace(",", " ").split()
            if line <= skip or not words:
                continue
            try:
                row = [float(word) for word in words]
            except ValueError:
                row = []
            if len(row) != width:
                raise ValueError(f"{path}, line {line}: got {text.strip()[:40]!r}, expected {width} numbers")
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} contains no rows of numbers")
    return np.array(rows)


def frames_of(path: Path, rows: np.ndarray, joints: int) -> np.ndarray:
    """Frames (T, V, C) from rows (T V, C), one row per joint.

    Raises:
        ValueError: if the number of rows is not a multiple of the number of joints.
    """
    if len(rows) % joints:
        raise ValueError(f"{path} contains {len(rows)} rows, which is not a multiple of its {joints} joints")
    return rows.reshape(-1, joints, rows.shape[1])


def clip_of(
    path: Path,
    points: np.ndarray,
    skeleton: Skeleton | str,
    options: ReadOptions,
    *,
    fps: float | None,
    label: str | int | None,
    scores: np.ndarray | None = None,
    ids: str | None = None,
    **info: Any,
) -> Poses:
    """One clip from points (T, V, C) or (M, T, V, C), with one value for each column of `info`."""
    points = np.asarray(points, dtype=np.float32)
    points = points if points.ndim == 4 else points[None]
    bounded(*points.shape)
    if scores is not None:
        scores = np.asarray(scores, dtype=np.float32).reshape(points.shape[:3])
    return Poses(
        [absent_as_nan(points)],
        resolve(skeleton if options.skeleton is None else options.skeleton, points.shape[2]),
        [path.stem if ids is None else ids],
        None if label is None else np.array([label]),
        fps,
        None if scores is None else [scores],
        {key: np.array([value]) for key, value in info.items()},
    )


def train_and_test(value: int, train: Collection[int], test: Collection[int]) -> dict[str, bool]:
    """The columns `train` and `test` of a split by subject."""
    return {"train": value in train, "test": value in test}


def beside(path: Path, name: str) -> Path | None:
    """The path of a list of the data set, in the folder of a file or in the one above; None if there is none."""
    return next((folder / name for folder in path.parents[:2] if (folder / name).is_file()), None)
