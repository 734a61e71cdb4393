"""Files of poses: `read` and `write`, and one module for each family of formats.

A reader is a function of a path that returns `Poses`, or yields them in parts; `FORMATS` names them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import replacing
from skelrep.io import agcn, asf_amc, bvh, c3d, keypoint_json, ntu, numpy_files, pku, pose_format, pyskl, tables
from skelrep.io.keypoint_json import from_mediapipe as from_mediapipe
from skelrep.messages import nearest
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton

#: Readers by the name that `read(format=)` takes.
FORMATS: dict[str, Callable[..., Poses | Iterator[Poses]]] = {
    "npy": numpy_files.read_numpy,
    "npz": numpy_files.read_numpy,
    "agcn": agcn.read_agcn,
    "ntu": ntu.read_ntu,
    "pku": pku.read_pku,
    "pyskl": pyskl.read_pyskl,
    "bvh": bvh.read_bvh,
    "amc": asf_amc.read_amc,
    "csv": tables.read_csv,
    "parquet": tables.read_parquet,
    "json": keypoint_json.read_json,
    "openpose": keypoint_json.read_openpose,
    "c3d": c3d.read_c3d,
    "pose": pose_format.read_pose,
}
#: Stands before the suffix of what `skelrep embed` writes beside its inputs.
EMBEDDINGS = ".embeddings"
# The formats that a suffix may mean, the usual one first.
_SUFFIXES = {
    ".npy": ("npy", "agcn"),
    ".npz": ("npz",),
    ".skeleton": ("ntu",),
    ".pkl": ("pyskl",),
    ".pickle": ("pyskl",),
    ".bvh": ("bvh",),
    ".amc": ("amc",),
    ".c3d": ("c3d",),
    ".pose": ("pose",),
    ".parquet": ("parquet",),
    ".csv": ("csv",),
    ".tsv": ("csv",),
    ".txt": ("csv",),
    ".json": ("json", "openpose"),
}
# Of a folder, these are read only where it holds nothing else: beside data they are lists and notes.
_COMMON_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".json")


def read(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    layout: str | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    fps: float | None = None,
    scale: float | Sequence[float] | None = None,
    min_score: float | None = None,
) -> Poses:
    """Reads poses from a file, or from all files in a folder.

    Args:
        path: A file of a known suffix, or a folder. A folder with NTU `.skeleton` files, PKU-MMD's recordings or
            OpenPose's `*_keypoints.json` anywhere in it is read as that; of any other folder every file of a known
            suffix directly in it is read, in the order of their names, save the `.embeddings.npy` of `skelrep embed`,
            and tables and JSON only where nothing else is there.
        format: A name in `FORMATS`, where suffix and content do not tell.
        layout: The axes of a bare array in its own order, such as "NCTVM" (see `Poses.from_array`).
        skeleton: A `Skeleton`, a name of one or V joint names, where the file does not tell.
        split: Keep the members of this split, where the file has splits ("xsub_train", "train", "test" ...); of
            several, the clips that are members of all.
        fps: Frames a second, where the file does not tell or tells wrong.
        scale: Coordinates are multiplied by it, or each axis by its own: 0.001 for millimetres, (1920, 1080) for
            fractions of a picture.
        min_score: A joint of lower score (confidence, visibility) becomes missing.

    Returns:
        The clips; a single clip of a file is called by the file's stem.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: for an unknown format, an empty or malformed file, a folder without a readable file, an unknown
            split, or `min_score` for poses without scores; the message names the path and says what was expected.
        ModuleNotFoundError: if a format needs an extra that is not installed; the message says how to install it.
    """
    told: dict[str, Any] = {"format": format, "layout": layout, "skeleton": skeleton, "split": split, "fps": fps}
    parts = list(read_parts(path, **told, scale=scale, min_score=min_score))
    return parts[0] if len(parts) == 1 else Poses.concatenate(parts)


def read_parts(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    layout: str | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    fps: float | None = None,
    scale: float | Sequence[float] | None = None,
    min_score: float | None = None,
) -> Iterator[Poses]:
    """As `read`, but a data set of many files comes in parts, so that it need not fit into memory."""
    path = Path(path).expanduser()
    if format is not None and format not in FORMATS:
        raise ValueError(f"no format is called {format!r}{nearest(format, FORMATS)} (known: {', '.join(FORMATS)})")
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    splits = [split] if isinstance(split, str) else list(split or ())
    data_set = _data_set_in(path, format) if path.is_dir() else None
    if path.is_dir() and data_set is None:
        parts = [_read_folder(path, format, layout, skeleton, scale is not None)]
    else:  # a reader that knows the first split skips the rest; the others are sorted out below
        first = splits[0] if splits else None
        parts = _read_one(path, data_set or format, layout, skeleton, first, scale is not None)
    found = False
    for poses in parts:
        keep = np.ones(len(poses), dtype=bool)
        for name in splits:
            keep &= _membership(poses.info, name, path)
        if keep.any() or not splits:
            found = True
            yield _declared(poses if keep.all() else poses[keep], path, fps, scale, min_score)
    if not found:
        names = " and ".join(map(repr, splits))
        raise ValueError(f"no clip of {path} is in the split{'s' * (len(splits) > 1)} {names}")


def _declared(
    poses: Poses, path: Path, fps: float | None, scale: float | Sequence[float] | None, min_score: float | None
) -> Poses:
    """The poses with what the caller says of them."""
    if fps is not None:
        poses = replace(poses, fps=fps)
    if scale is not None:
        factors = np.asarray(scale, dtype=np.float32)
        if factors.shape not in ((), (1,), (poses.channels,)) or not np.isfinite(factors).all() or not factors.any():
            raise ValueError(f"scale must be a number, or one for each of the {poses.channels} axes, got {scale}")
        poses = replace(poses, clips=[clip * factors for clip in poses.clips])
    if min_score is not None:
        if poses.scores is None:
            raise ValueError(f"{path} holds no scores, so that min_score={min_score} cannot be asked of them")
        low = [np.isnan(score) | (score < min_score) for score in poses.scores]
        poses = replace(poses, clips=[np.where(bad[..., None], np.nan, clip) for bad, clip in zip(low, poses.clips)])
    return poses


def write(poses: Poses, path: str | os.PathLike) -> None:
    """Writes poses to `.npz`, with everything known about them, or to `.npy`, `.csv` or `.parquet`, with less.

    Args:
        poses: What to write.
        path: Ends in `.npz` (see `Poses.save`); in `.npy`, the coordinates alone: one clip becomes (M, T, V, C),
            several of equal shape (N, M, T, V, C); in `.csv` or `.parquet`, a row for each person and frame (see
            `skelrep.io.tables`). It is replaced only when all is written.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: for another suffix, no clips, or a `.npy` of clips that differ in shape.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix == ".npz":
        poses.save(path)
    elif suffix in (".csv", ".parquet"):
        tables.write_table(poses, path)
    elif suffix == ".npy":
        shapes = sorted({clip.shape for clip in poses.clips})
        if not shapes:
            raise ValueError("there is no clip to write")
        if len(shapes) > 1:
            raise ValueError(
                f"a .npy file holds one array, but these {len(poses)} clips have {len(shapes)} shapes, {shapes[0]} to "
                f"{shapes[-1]}; write {path.with_suffix('.npz').name}, which keeps each as it is"
            )
        with replacing(path) as temporary:
            np.save(temporary, poses.clips[0] if len(poses) == 1 else np.stack(poses.clips), allow_pickle=False)
    else:
        raise ValueError(
            f"poses are written as .npz, .npy, .csv or .parquet, but {path} ends in {suffix or 'no suffix'}"
        )


def _read_one(
    path: Path, format: str | None, layout: str | None, skeleton: object, split: str | None, scaled: bool
) -> Iterator[Poses]:
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        format = format or _format_of(path)
        if layout is not None and FORMATS[format] is not numpy_files.read_numpy:
            raise ValueError(f"layout= is for bare arrays; the format {format!r} fixes its axes")
        options = {"scaled": scaled} if format in ("json", "openpose") else {}
        parts = FORMATS[format](path, layout=layout, skeleton=skeleton, split=split, **options)
        yield from [parts] if isinstance(parts, Poses) else parts
    except ValueError as error:
        if f"{path}" in f"{error}":
            raise
        raise ValueError(f"{path}: {error}") from error  # so that readers need not say it themselves


def _data_set_in(folder: Path, format: str | None) -> str | None:
    """The format, if it is `format` or that is None, of a data set that lies in a folder and the folders in it."""
    if format in (None, "ntu") and next(folder.glob("**/*.skeleton"), None):
        return "ntu"
    if format in (None, "pku") and pku.is_pku(folder):
        return "pku"
    if format == "openpose" or (format is None and next(folder.glob("**/*_keypoints.json"), None)):
        return "openpose"
    return None


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{path} has {f'the unknown suffix {suffix!r}' if suffix else 'no suffix'}{nearest(suffix, _SUFFIXES)} "
            f"(known: {', '.join(_SUFFIXES)}); pass format= one of {', '.join(FORMATS)} if it is one of these"
        )
    if suffix == ".npy" and agcn.is_agcn(path):
        return "agcn"
    return _SUFFIXES[suffix][0]


def _read_folder(folder: Path, format: str | None, layout: str | None, skeleton: object, scaled: bool) -> Poses:
    files = sorted(
        file
        for file in folder.iterdir()
        if (formats := _SUFFIXES.get(file.suffix.lower()))
        and format in (None, *formats)
        and file.is_file()
        and not file.name.startswith(".")
        and file.suffixes[-2:-1] != [EMBEDDINGS]
    )
    beside = set().union(*(agcn.companions(file) for file in files if file.suffix.lower() == ".npy"))
    readable = [file for file in files if file not in beside]
    if format is None and (data := [file for file in readable if file.suffix.lower() not in _COMMON_SUFFIXES]):
        readable = data
    parts = [(file, part) for file in readable for part in _read_one(file, format, layout, skeleton, None, scaled)]
    if not parts:
        raise ValueError(
            f"the folder {folder} holds no file that can be read{f' as {format}' if format else ''} "
            f"(known suffixes: {', '.join(_SUFFIXES)}; folders within it are searched for NTU's, PKU-MMD's and "
            "OpenPose's recordings only)"
        )
    poses = Poses.concatenate([part for _, part in parts])
    if len(set(poses.ids)) == len(poses):
        return poses
    return replace(poses, ids=[n if n == file.stem else f"{file.stem}/{n}" for file, part in parts for n in part.ids])


def members(info: dict[str, np.ndarray], split: str, path: object) -> np.ndarray:
    """Which rows are in a split, (N,) bool: a boolean column of that name says it, or the column `split`.

    Raises:
        ValueError: if there is no such split (those that exist are listed), or nobody in it.
    """
    chosen = _membership(info, split, path)
    if not chosen.any():
        raise ValueError(f"no clip of {path} is in the split {split!r}")
    return chosen


def _membership(info: dict[str, np.ndarray], split: str, path: object) -> np.ndarray:
    flags = [key for key, column in info.items() if column.dtype == bool]
    named = np.asarray(info.get("split", ()), dtype=str)
    if split not in flags and split not in named:
        known = [*flags, *np.unique(named).tolist()]
        raise ValueError(
            f"{path} has no split {split!r}{nearest(split, known)} (it has: {', '.join(known)})"
            if known
            else f"{path} has no splits, so split={split!r} cannot be taken from it"
        )
    return info[split] if split in flags else named == split
