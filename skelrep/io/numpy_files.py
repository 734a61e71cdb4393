"""Arrays in NumPy files (`.npy` and several kinds of `.npz`) and in MATLAB files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.matlab import read_mat_array
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_numpy_object
from skelrep.layouts import as_array
from skelrep.npy import Archive, holds_one_object, opened
from skelrep.persons import ever_seen
from skelrep.poses import Poses, npz
from skelrep.skeletons import resolve

_LABELS = ("labels", "label", "y")  # names of an array of labels beside clips
_PART = 2000  # clips of a CTR-GCN file in memory at a time, about 400 MB


def read_numpy(path: Path, options: ReadOptions) -> Poses | Iterator[Poses]:
    """Reads `.npy` and `.npz` without ever executing a pickle.

    - `.npy`, or a `.npz` with a single array: one clip (T, V, C) or (M, T, V, C), a batch (N, M, T, V, C), or an array
    with another order of axes and `layout` (see `Poses.from_array`). - skelrep's own `.npz` (`Poses.save`). - CTR-GCN's
    `.npz`: `x_train`, `x_test` (N, T, M·V·C) with `y_train`, `y_test` one-hot (N, classes) or (N,). - A `.npz` of
    several clips, or of an array of clips with `labels` (N,) and perhaps `fps` (see `poses_of_arrays`);
      the same as a dict or list of arrays in a `.npy`.

    Args:
        path: The file.
        options: `layout`: axes of the array, for example "NCTVM". `channels`: the meanings of axis C. `skeleton`: the
            joints. `split`: "train" or "test", to load only that half of a CTR-GCN file.

    Raises:
        ValueError: if the file has other content or is damaged, or the array's shape does not fit.
    """
    layout, skeleton = options.layout, options.skeleton
    if holds_one_object(path):
        with path.open("rb") as stream:
            return poses_of_arrays(load_numpy_object(stream, path.stat().st_size, path), path, options)
    with opened(path) as content:
        if isinstance(content, np.ndarray):
            return _from_one(content, path, options)
        if len(content.files) == 1:
            return _from_one(content.padded(content.files[0]), path, options)
        if "format_version" in content.files:
            for name, said in (("layout", layout), ("channels", options.channels)):
                if said is not None:
                    raise ValueError(f"{name}= is for bare arrays, but {path} states its axes")
            poses = Poses(**npz.load(path, options.clips, options.frames))
            return poses if skeleton is None else replace(poses, skeleton=resolve(skeleton, len(poses.skeleton)))
        if {"x_train", "x_test"} & set(content.files):
            return _ctrgcn(path, options)
        if content.files:
            return _named_clips(content, path, options)
        raise ValueError(f"{path} contains no array")


def _from_one(array: np.ndarray, path: Path, options: ReadOptions) -> Poses:
    ids = None
    if options.clips is not None:
        array = array.take(range(*options.clips), axis=_axis_of_clips(array, options))
        ids = [str(i) for i in range(*options.clips)]
    said = {"skeleton": options.skeleton, "layout": options.layout, "channels": options.channels}
    poses = Poses.from_array(array, ids=ids, **said)
    return replace(poses, ids=[path.stem]) if len(poses) == 1 and ids is None else poses


def _named_clips(content: Archive, path: Path, options: ReadOptions) -> Poses:
    """The arrays of an archive, each a clip by its name; or some of them."""
    if options.clips is None:
        return poses_of_arrays({name: content[name] for name in content.files}, path, options)
    first, last = options.clips
    names = [name for name in content.files if name not in (*_LABELS, "fps")][first:last]
    arrays = {name: content[name] for name in [*names, *({"fps"} & {*content.files})]}
    if labels := next((name for name in _LABELS if name in content.files), None):
        arrays[labels] = content[labels].reshape(-1)[first:last]
    return poses_of_arrays(arrays, path, replace(options, clips=None), one_each=True)


def _are_named_clips(content: Archive, options: ReadOptions) -> bool:
    """Whether the arrays of an archive are a clip each, of joints that are known without looking at all of them."""
    if options.skeleton is None or "N" in (options.layout or ""):
        return False
    headers = [content.header(name) for name in content.files if name not in (*_LABELS, "fps")]
    return len(headers) > 1 and all(2 < len(shape) < 5 and dtype.kind in "fiu" for shape, dtype in headers)


def poses_of_arrays(content: Any, path: Path, options: ReadOptions, one_each: bool = False) -> Poses:
    """Poses from an array, or a list or dict of arrays, for files that contain nothing else.

    Args:
        content: An array; a list of clips; or a dict of clips by their names. A dict may have `labels` (or `label`,
            `y`), one for each clip, and `fps`.
        path: For messages and ids.
        options: `layout`, `channels` and `skeleton`.
        one_each: Whether every array is a clip, even if there is only one.

    Raises:
        ValueError: if it is something else (the message lists the names), or a shape does not fit.
    """
    if isinstance(content, np.ndarray):
        return _from_one(content, path, options)
    named = {str(i): item for i, item in enumerate(content)} if isinstance(content, (list, tuple)) else content
    known = dict(named) if isinstance(named, dict) else {}
    labels = next((known.pop(name) for name in _LABELS if name in known), None)
    fps = known.pop("fps", None)
    clips = {str(name): array for name, item in known.items() if (array := as_array(item)) is not None}
    are_clips = all(array.ndim > 2 and array.dtype.kind in "fiu" for array in clips.values())
    if not clips or len(clips) < len(known) or not are_clips:
        held = ", ".join(map(str, named))[:300] if isinstance(named, dict) else type(content).__name__
        raise ValueError(
            f"{path} contains {held or 'nothing'}; expected an array of poses, a list or dict of clips (T, V, C), "
            "optionally with labels and fps, or the arrays of skelrep (Poses.save) or of CTR-GCN (x_train, y_train, "
            "x_test, y_test)"
        )
    if len(clips) == 1 and not one_each:
        poses = _from_one(next(iter(clips.values())), path, options)
    else:
        said: dict[str, Any] = {"skeleton": options.skeleton, "layout": options.layout, "channels": options.channels}
        one_each = all(array.ndim < 5 for array in clips.values()) and "N" not in (options.layout or "")
        poses = Poses.from_clips(list(clips.values()), ids=list(clips) if one_each else None, **said)
    if fps is not None:
        poses = replace(poses, fps=float(np.asarray(fps, dtype=float).reshape(-1)[0]))
    return poses if labels is None else poses.with_labels(np.asarray(labels).reshape(-1))


def _axis_of_clips(array: np.ndarray, options: ReadOptions) -> int | None:
    """The axis of clips in an array; None if it is one clip, or if all clips are needed to identify the joints."""
    if options.skeleton is None:
        return None
    layout = options.layout or ("NMTVC" if array.ndim == 5 else "")
    return layout.index("N") if "N" in layout else None


def _ctrgcn(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """The clips of a CTR-GCN file, `_PART` at a time."""
    table = resolve("ntu-25" if options.skeleton is None else options.skeleton)
    halves = ("train", "test")
    with opened(path) as content:
        assert not isinstance(content, np.ndarray)
        before = 0
        for half in (half for half in halves if f"x_{half}" in content.files):
            rows = content.mapped(f"x_{half}")
            if rows.ndim != 3 or rows.shape[2] % (3 * len(table)):
                raise ValueError(
                    f"x_{half} has shape {rows.shape}; expected (clips, frames, persons x {len(table)} joints x 3) as "
                    "CTR-GCN writes it for NTU; pass skeleton= for other joints"
                )
            first, last = (0, len(rows)) if options.clips is None else (at - before for at in options.clips)
            before += len(rows)
            if options.split in halves and half != options.split and f"x_{options.split}" in content.files:
                continue
            labels = content[f"y_{half}"] if f"y_{half}" in content.files else None
            labels = labels.argmax(axis=1) if labels is not None and labels.ndim == 2 else labels
            for at in range(max(first, 0), min(last, len(rows)), _PART):
                some = slice(at, min(at + _PART, last, len(rows)))
                part = np.array(rows[some])
                poses = Poses.from_array(
                    part.reshape(*part.shape[:2], -1, len(table), 3),
                    skeleton=table,
                    layout="NTMVC",
                    ids=[f"{half}-{i}" for i in range(some.start, some.stop)],
                )
                yield replace(
                    poses,
                    clips=[clip[ever_seen(clip)] for clip in poses.clips],
                    labels=None if labels is None else labels[some],
                    info={"split": np.full(len(poses), half)},
                )


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of clips in arrays of known joints, or in a `.npz` of skelrep or CTR-GCN; else None."""
    if holds_one_object(path):
        return None
    with opened(path) as content:
        if isinstance(content, np.ndarray):
            axis = _axis_of_clips(content, options)
            return None if axis is None else content.shape[axis]
        if "format_version" in content.files:
            return npz.count(path)
        if halves := {"x_train", "x_test"} & {*content.files}:
            return sum(math.prod(content.header(half)[0][:1]) for half in halves)
        return len({*content.files} - {*_LABELS, "fps"}) if _are_named_clips(content, options) else None


def read_mat(path: Path, options: ReadOptions) -> Poses:
    """Reads a `.mat` with one array of three axes or more, like the arrays of `read_numpy`.

    Raises:
        ValueError: if it contains none or several, is of version 7.3 or damaged, or the array's shape does not fit.
    """
    return _from_one(read_mat_array(path), path, options)


READERS = (
    Reader("npy", (".npy",), read_numpy, count=count),
    Reader("npz", (".npz",), read_numpy, count=count),
    Reader("mat", (".mat",), read_mat),
)
