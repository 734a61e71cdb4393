"""`write`: writes poses to files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from skelrep.files import check_parent, replacing
from skelrep.io import json_lines, tables
from skelrep.poses import Poses

SUFFIXES = (".npz", ".npy", ".csv", ".parquet", ".jsonl")


def write(poses: Poses, path: str | os.PathLike) -> None:
    """Writes poses to `.npz` or `.jsonl`, which keep everything, or to `.npy`, `.csv` or `.parquet`, which keep less.

    Args:
        poses: The poses to write.
        path: The file; its suffix decides the format. `.npz`: see `Poses.save`. `.jsonl`: one JSON object per clip, see
            `skelrep.io.json_lines`. `.npy`: the coordinates alone, (M, T, V, C) for one clip and (N, M, T, V, C) for
            several of equal shape. `.csv`, `.parquet`: one row per person and frame, see `skelrep.io.tables`. An
            existing file is replaced only after everything has been written.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: for another suffix, no clips, or a `.npy` of clips that differ in shape.
    """
    path = Path(path).expanduser()
    check_output(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        poses.save(path)
    elif suffix in (".csv", ".parquet"):
        tables.write_table(poses, path)
    elif suffix == ".jsonl":
        json_lines.write_json_lines(poses, path)
    else:
        _write_array(poses, path)


def check_output(path: str | os.PathLike) -> None:
    """Raises the errors of `write` that concern the path, for callers who compute something long before writing."""
    path = Path(path).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"poses are written as {', '.join(SUFFIXES)}, but {path} ends in {path.suffix or 'no suffix'}")
    check_parent(path)


def _write_array(poses: Poses, path: Path) -> None:
    shapes = sorted({clip.shape for clip in poses.clips})
    if not shapes:
        raise ValueError("there is no clip to write")
    if len(shapes) > 1:
        raise ValueError(
            f"a .npy file contains one array, but these {len(poses)} clips have {len(shapes)} shapes, {shapes[0]} to "
            f"{shapes[-1]}; write {path.with_suffix('.npz').name}, which keeps each shape"
        )
    with replacing(path) as temporary:
        np.save(temporary, poses.clips[0] if len(poses) == 1 else np.stack(poses.clips), allow_pickle=False)
