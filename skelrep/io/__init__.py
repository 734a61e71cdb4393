"""Files of poses: `read` and `write`, and one module for each family of formats.

A reader is a function of a path that returns `Poses`, or yields them in parts; `FORMATS` names them all.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from skelrep.io import agcn, arrays, ntu, pku, pyskl
from skelrep.poses import Poses, replacing
from skelrep.skeletons import Skeleton

#: Readers by the name that `read(format=)` takes.
FORMATS: dict[str, Callable[..., Poses | Iterator[Poses]]] = {
    "npy": arrays.read_numpy,
    "npz": arrays.read_numpy,
    "agcn": agcn.read_agcn,
    "ntu": ntu.read_ntu,
    "pku": pku.read_pku,
    "pyskl": pyskl.read_pyskl,
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
}


def read(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    layout: str | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    fps: float | None = None,
) -> Poses:
    """Reads poses from a file, or from all files in a folder.

    Args:
        path: A file of a known suffix, or a folder. A folder with NTU `.skeleton` files or PKU-MMD's recordings
            anywhere in it is read as that; of any other folder every file of a known suffix directly in it is read, in
            the order of their names, save the `.embeddings.npy` of `skelrep embed`.
        format: A name in `FORMATS`, where suffix and content do not tell.
        layout: The axes of a bare array in its own order, such as "NCTVM" (see `Poses.from_array`).
        skeleton: A `Skeleton`, a name of one or V joint names, where the file does not tell.
        split: Keep the members of this split, where the file has splits ("xsub_train", "train", "test" ...); of
            several, the clips that are members of all.
        fps: Frames a second, where the file does not tell or tells wrong.

    Returns:
        The clips; a single clip of a file is called by the file's stem.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: for an unknown format, an empty or malformed file, a folder without a readable file, an unknown
            split; the message names the path and says what was expected.
    """
    parts = list(read_parts(path, format=format, layout=layout, skeleton=skeleton, split=split, fps=fps))
    return parts[0] if len(parts) == 1 else Poses.concatenate(parts)


def read_parts(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    layout: str | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    fps: float | None = None,
) -> Iterator[Poses]:
    """As `read`, but a data set of many files comes in parts, so that it need not fit into memory."""
    path = Path(path).expanduser()
    if format is not None and format not in FORMATS:
        raise ValueError(f"no format is called {format!r}{_nearest(format, FORMATS)} (known: {', '.join(FORMATS)})")
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    splits = [split] if isinstance(split, str) else list(split or ())
    data_set = _data_set_in(path, format) if path.is_dir() else None
    if path.is_dir() and data_set is None:
        parts = [_read_folder(path, format, layout, skeleton)]
    else:  # a reader that knows the first split skips the rest; the others are sorted out below
        parts = _read_one(path, data_set or format, layout, skeleton, splits[0] if splits else None)
    found = False
    for poses in parts:
        keep = np.ones(len(poses), dtype=bool)
        for name in splits:
            keep &= _membership(poses.info, name, path)
        if keep.any() or not splits:
            found = True
            poses = poses if keep.all() else poses[keep]
            yield poses if fps is None else replace(poses, fps=fps)
    if not found:
        names = " and ".join(map(repr, splits))
        raise ValueError(f"no clip of {path} is in the split{'s' * (len(splits) > 1)} {names}")


def write(poses: Poses, path: str | os.PathLike) -> None:
    """Writes poses to `.npz`, with everything known about them, or to `.npy`, the coordinates alone.

    Args:
        poses: What to write.
        path: Ends in `.npz` (see `Poses.save`), or in `.npy`: one clip becomes (M, T, V, C), several of equal shape
            (N, M, T, V, C). It is replaced only when all is written.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: for another suffix, no clips, or a `.npy` of clips that differ in shape.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix == ".npz":
        poses.save(path)
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
        raise ValueError(f"poses are written as .npz or .npy, but {path} ends in {suffix or 'no suffix'}")


def _read_one(
    path: Path, format: str | None, layout: str | None, skeleton: object, split: str | None
) -> Iterator[Poses]:
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        format = format or _format_of(path)
        if layout is not None and FORMATS[format] is not arrays.read_numpy:
            raise ValueError(f"layout= is for bare arrays; the format {format!r} fixes its axes")
        parts = FORMATS[format](path, layout=layout, skeleton=skeleton, split=split)
        yield from [parts] if isinstance(parts, Poses) else parts
    except ValueError as error:
        if f"{path}" in f"{error}":
            raise
        raise ValueError(f"{path}: {error}") from error  # so that readers need not say it themselves


def _data_set_in(folder: Path, format: str | None) -> str | None:
    """The format, if it is `format` or that is None, of a data set that lies in a folder and the folders in it."""
    if format in (None, "ntu") and next(folder.glob("**/*.skeleton"), None):
        return "ntu"
    return "pku" if format in (None, "pku") and pku.is_pku(folder) else None


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{path} has {f'the unknown suffix {suffix!r}' if suffix else 'no suffix'}{_nearest(suffix, _SUFFIXES)} "
            f"(known: {', '.join(_SUFFIXES)}); pass format= one of {', '.join(FORMATS)} if it is one of these"
        )
    if suffix == ".npy" and agcn.is_agcn(path):
        return "agcn"
    return _SUFFIXES[suffix][0]


def _read_folder(folder: Path, format: str | None, layout: str | None, skeleton: object) -> Poses:
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
    parts = [(file, part) for file in readable for part in _read_one(file, format, layout, skeleton, None)]
    if not parts:
        raise ValueError(
            f"the folder {folder} holds no file that can be read{f' as {format}' if format else ''} "
            f"(known suffixes: {', '.join(_SUFFIXES)}; folders within it are searched for NTU's and PKU-MMD's "
            "recordings only)"
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
            f"{path} has no split {split!r}{_nearest(split, known)} (it has: {', '.join(known)})"
            if known
            else f"{path} has no splits, so split={split!r} cannot be taken from it"
        )
    return info[split] if split in flags else named == split


def _nearest(name: str, known: object) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)  # type: ignore[call-overload]
    return f"; did you mean {near[0]!r}?" if near else ""
