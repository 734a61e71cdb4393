"""Arrays in numpy's own files, `.npy` and the kinds of `.npz` met with skeletons, and in MATLAB's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.matlab import read_mat_array
from skelrep.io.reader import Reader, ReadOptions
from skelrep.npy import opened
from skelrep.persons import ever_seen
from skelrep.poses import Poses
from skelrep.skeletons import resolve


def read_numpy(path: Path, options: ReadOptions) -> Poses:
    """Reads `.npy` and `.npz` without ever executing a pickle.

    - `.npy`, or a `.npz` of a single array: (T, V, C) or (M, T, V, C) one clip, (N, M, T, V, C) a batch, anything
      else with `layout` (see `Poses.from_array`).
    - skelrep's own `.npz` (`Poses.save`).
    - CTR-GCN's `.npz`: `x_train`, `x_test` (N, T, M·V·C) with `y_train`, `y_test` one-hot (N, classes) or (N,).

    Args:
        path: The file.
        options: `layout`: axes of the array, for example "NCTVM". `channels`: those of its axis C. `skeleton`: what the
            joints are. `split`: "train" or "test", to load that half of a CTR-GCN file only.

    Raises:
        ValueError: if the file is something else or damaged, or the array's shape does not fit.
    """
    layout, skeleton = options.layout, options.skeleton
    with opened(path) as content:
        if isinstance(content, np.ndarray):
            return _from_one(content, path, options)
        if len(content.files) == 1:
            return _from_one(content.padded(content.files[0]), path, options)
        for name, said in (("layout", layout), ("channels", options.channels)):
            if said is not None:
                raise ValueError(f"{name}= describes a single array, but {path} holds {', '.join(content.files)}")
        if "format_version" in content.files:
            poses = Poses.load(path)
            return poses if skeleton is None else replace(poses, skeleton=resolve(skeleton, len(poses.skeleton)))
        if {"x_train", "x_test"} & set(content.files):
            return _ctrgcn(content, skeleton, options.split)
        raise ValueError(
            f"{path} holds the arrays {', '.join(content.files) or 'none'}; expected a single array, skelrep's own "
            "(Poses.save) or CTR-GCN's (x_train, y_train, x_test, y_test)"
        )


def _from_one(array: np.ndarray, path: Path, options: ReadOptions) -> Poses:
    said = {"skeleton": options.skeleton, "layout": options.layout, "channels": options.channels}
    poses = Poses.from_array(array, **said)
    return replace(poses, ids=[path.stem]) if len(poses) == 1 else poses


def _ctrgcn(content: Any, skeleton: Any, split: str | None) -> Poses:
    table = resolve("ntu-25" if skeleton is None else skeleton)
    halves = [half for half in ("train", "test") if f"x_{half}" in content.files]
    parts = []
    for half in halves if split not in halves else [split]:
        rows = content.padded(f"x_{half}")
        if rows.ndim != 3 or rows.shape[2] % (3 * len(table)):
            raise ValueError(
                f"x_{half} has shape {rows.shape}; expected (clips, frames, persons x {len(table)} joints x 3) as "
                "CTR-GCN writes it for NTU; pass skeleton= for other joints"
            )
        poses = Poses.from_array(
            rows.reshape(*rows.shape[:2], -1, len(table), 3),
            skeleton=table,
            layout="NTMVC",
            ids=[f"{half}-{i}" for i in range(len(rows))],
        )
        labels = content[f"y_{half}"] if f"y_{half}" in content.files else None
        parts.append(
            replace(
                poses,
                clips=[clip[ever_seen(clip)] for clip in poses.clips],
                labels=labels.argmax(axis=1) if labels is not None and labels.ndim == 2 else labels,
                info={"split": np.full(len(poses), half)},
            )
        )
    return Poses.concatenate(parts)


def read_mat(path: Path, options: ReadOptions) -> Poses:
    """Reads a `.mat` of one array of three axes or more, as `read_numpy` reads one of numpy's.

    Raises:
        ValueError: if it holds none or several, is of version 7.3 or damaged, or the array's shape does not fit.
    """
    return _from_one(read_mat_array(path), path, options)


READERS = (
    Reader("npy", (".npy",), read_numpy),
    Reader("npz", (".npz",), read_numpy),
    Reader("mat", (".mat",), read_mat),
)
