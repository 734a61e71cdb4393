"""Arrays in the format of 2s-AGCN, CMD and related code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.ntu import columns_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_pickle
from skelrep.missing import absent_as_nan
from skelrep.npy import opened
from skelrep.persons import ever_seen
from skelrep.poses import Poses
from skelrep.skeletons import resolve

PART = 2000  # clips in memory at a time, some 500 MB for two persons in 300 frames
_DERIVED = ("data_bone", "data_motion", "data_joint_motion", "data_bone_motion")  # computed from joints; not poses


def read_agcn(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads `train_data_joint.npy` (N, C, T, V, M) with `train_label.pkl` and `train_num_frame.npy` beside it.

    The label file contains (names, labels). The label file and the frame counts may be absent. All clips in these
    arrays have the same length, often 300: AGCN's normalisation repeats a short clip until the end, or zeros follow it.
    The true length is in `*_num_frame.npy`. Without that file, it is the smallest exact period, or else the length
    without the zeros at the end. (If two persons have different lengths, each was repeated with its own period; such a
    clip keeps all frames.)

    Args:
        path: The `.npy` file. It is memory-mapped.
        options: `skeleton`: the joints; by default NTU's for 25 joints in 3-D.

    Yields:
        `PART` clips (M, T, V, C) at a time, without persons that are never seen. Channels are x, y, z (or x, y).
        Coordinates are as in the file; for NTU they are usually relative to the first person's spine in every frame.

    Raises:
        ValueError: if the array has another shape, or the files next to it do not belong to it.
    """
    prefix, label_path, frames_path = _files(path)
    if path.stem.endswith(_DERIVED):
        raise ValueError(f"{path} contains bones or motions, not joints; read {prefix}_data_joint.npy instead")
    with opened(path) as array:
        if not isinstance(array, np.ndarray) or not _is_agcn(array):
            raise ValueError(
                f"{path} has shape {getattr(array, 'shape', None)}; expected the AGCN layout (clips, 2 or 3 channels, "
                "frames, joints, 1 or 2 persons); for other arrays, pass layout= instead of format="
            )
        skeleton = "ntu-25" if options.skeleton is None and array.shape[3] == 25 else options.skeleton
        table = resolve(skeleton, array.shape[3])
        names, labels = _labels(label_path, len(array)) if label_path.is_file() else (None, None)
        frames = None
        if frames_path.is_file():
            with opened(frames_path) as counts:
                frames = np.asarray(counts).reshape(-1).astype(np.int64)
            if len(frames) != len(array):
                raise ValueError(f"{frames_path} counts the frames of {len(frames)} clips, but {path} has {len(array)}")
        columns = {"split": np.full(len(array), prefix)} | columns_of(names or [])
        for some in _parts_of(len(array), options):
            clips = []
            for i in range(*some):
                clip = np.array(array[i].transpose(3, 1, 2, 0), dtype=np.float32)  # (M, T, V, C)
                length = _true_length(clip) if frames is None else int(frames[i])
                clip = absent_as_nan(clip[:, : max(length, 1)])
                clips.append(clip[ever_seen(clip)])
            rows = slice(*some)
            yield Poses(
                clips,
                table,
                [str(i) for i in range(*some)] if names is None else names[rows],
                None if labels is None else labels[rows],
                info={key: column[rows] for key, column in columns.items()},
            )


def _parts_of(count: int, options: ReadOptions) -> Iterator[tuple[int, int]]:
    """The ranges of clips that are read together."""
    first, last = (0, count) if options.clips is None else options.clips
    return ((at, min(at + PART, last)) for at in range(first, last, PART))


def count(path: Path, options: ReadOptions) -> int:
    """Number of clips in a data file."""
    with opened(path) as array:
        return len(array) if isinstance(array, np.ndarray) else 0


def divide(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yields each data file together with the files that belong to it."""
    return ([file, *sorted(_companions(file) & {*files})] for file in _data(files))


def sniff(path: Path) -> bool:
    """Whether a `.npy` has this format: its shape fits, and a label file is next to it."""
    if not _files(path)[1].is_file():
        return False
    with opened(path) as array:
        return _is_agcn(array)


def collect(files: Sequence[Path]) -> list[Path]:
    """The data files, and the files beside each that belong to it: labels, frame counts, bones and motions."""
    data = [file for file in files if file.suffix == ".npy" and not file.stem.endswith(_DERIVED) and sniff(file)]
    return data + sorted({other for file in data for other in _companions(file)} & {*files} - {*data})


def read_agcn_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads the data files that `collect` found; if there are several, ids begin with the path of the file."""
    data = _data(files)
    for file in data:
        where = file.relative_to(folder).with_suffix("").as_posix() if options.ids is None else options.ids[file]
        bare = len(data) == 1 and options.ids is None
        for poses in read_agcn(file, options):
            yield poses if bare else replace(poses, ids=[f"{where}/{name}" for name in poses.ids])


def _data(files: Sequence[Path]) -> list[Path]:
    companions = {other for file in files for other in _companions(file)}
    return [file for file in files if file not in companions]


def _companions(path: Path) -> set[Path]:
    prefix, *beside = _files(path)
    return {*beside, *(path.with_name(f"{prefix}_{kind}.npy") for kind in _DERIVED)}


def _files(path: Path) -> tuple[str, Path, Path]:
    """The prefix of a data file ("train"), and the paths of its labels and its frame counts."""
    prefix = re.sub(r"_(data(_\w+)?|joint|position)$", "", path.stem)
    return prefix, path.with_name(f"{prefix}_label.pkl"), path.with_name(f"{prefix}_num_frame.npy")


def _is_agcn(array: Any) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.ndim == 5
        and array.dtype.kind in "fiu"
        and array.shape[1] in (2, 3)
        and array.shape[4] in (1, 2)
        and array.size > 0
    )


def _labels(path: Path, count: int) -> tuple[list[str], np.ndarray]:
    content = load_pickle(path)
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        raise ValueError(f"{path} contains a {type(content).__name__}; expected the pair (names, labels)")
    names, labels = np.ravel(content[0]), np.asarray(content[1])
    if len(names) != count or labels.shape != (count,) or labels.dtype.kind not in "fiubU":
        raise ValueError(
            f"{path} has {len(names)} names and labels of shape {labels.shape} ({labels.dtype}), but its data file has "
            f"{count} clips; expected one name and one label per clip"
        )
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():  # PKU-MMD's are stored as floats
        labels = labels.astype(np.int64)
    return [str(name).removesuffix(".skeleton") for name in names], labels


def _true_length(clip: np.ndarray) -> int:
    """Frames of a (M, T, V, C) clip before it was tiled, or padded with zeros, to T."""
    frames = clip.transpose(1, 0, 2, 3).reshape(clip.shape[1], -1)
    for period in np.flatnonzero((frames[1:] == frames[0]).all(axis=1)) + 1:
        if np.array_equal(frames[period:], frames[:-period]):
            return int(period)
    filled = np.flatnonzero(frames.any(axis=1))
    return int(filled[-1]) + 1 if len(filled) else 1


READER = Reader("agcn", (".npy",), read_agcn, sniff, collect, read_agcn_folder, divide=divide, count=count)
