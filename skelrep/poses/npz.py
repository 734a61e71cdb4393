"""The `.npz` that keeps everything about poses.

Its arrays are `format_version` (1), `poses` (R, V, C) with R the sum of M x T, clip after clip and person after person,
`persons` (N,), `frames` (N,), `skeleton`, `joints` (V,), `parents` (V,), `ids` (N,), and if known `labels` (N,), `fps`,
`scores` (R, V), `zeros`, `person_ids` (the sum of M; empty if unknown) and `info_<column>` (N,).
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.messages import one_line
from skelrep.npy import Archive, opened, save_npz
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from skelrep.poses.poses import Poses

POSES_VERSION = 1  # raised only when the meaning of a stored array changes
#: Columns of a recording that is read in stretches: the first frame of a stretch, and the frames of the recording.
STRETCH = ("stretch_first", "stretch_of")
_BY_POSE = ("poses", "scores")  # the large arrays
_NOT_BY_CLIP = ("joints", "parents", "person_ids")  # which may be as many as clips by chance
#: What numpy raises for arrays of another shape or type, and for text that is no Unicode (the last).
_DAMAGED = (ValueError, TypeError, LookupError, OverflowError, SystemError)
_NEEDED = {"format_version", "poses", "persons", "frames", "skeleton", "joints", "parents", "ids"}


def save(poses: Poses, path: str | os.PathLike) -> None:
    """Writes poses; see `Poses.save`."""
    if not poses.clips:
        raise ValueError("there is no clip to save")
    found: dict[str, Any] = {
        "format_version": POSES_VERSION,
        "poses": np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in poses.clips]),
        "persons": [clip.shape[0] for clip in poses.clips],
        "frames": [clip.shape[1] for clip in poses.clips],
        "skeleton": poses.skeleton.name,
        "joints": poses.skeleton.joints,
        "parents": poses.skeleton.parents,
        "ids": poses.ids,
        "labels": poses.labels,
        "fps": poses.fps,
        "zeros": poses.zeros,
    }
    if poses.scores is not None:
        found["scores"] = np.concatenate([score.reshape(-1, score.shape[2]) for score in poses.scores])
    if poses.person_ids is not None:
        found["person_ids"] = [name or "" for names in poses.person_ids for name in names]
    found |= {f"info_{key}": column for key, column in poses.info.items()}
    save_npz(path, {key: np.asarray(value) for key, value in found.items() if value is not None})


def load(
    path: str | os.PathLike, clips: tuple[int, int] | None = None, frames: tuple[int, int] | None = None
) -> dict[str, Any]:
    """What `save` wrote, as the arguments of `Poses`.

    Args:
        path: The file.
        clips: First and last clip (exclusive); the coordinates of others are not read.
        frames: First and last frame (exclusive) of a single clip; the others are not read. The columns of `STRETCH`
            say which frames they are.

    Raises:
        ValueError: if the file is not of this format, of a newer version, or inconsistent.
    """
    arrays = _arrays(path, clips, frames)
    try:
        version = int(arrays.get("format_version", 0))
    except (ValueError, TypeError, OverflowError):
        raise ValueError(
            f"{path} is not a skelrep .npz: its format_version is {arrays['format_version']!r:.100}"
        ) from None
    if version > POSES_VERSION:
        raise ValueError(f"{path} has format version {version}, this skelrep reads up to {POSES_VERSION}: update it")
    if missing := sorted(_NEEDED - set(arrays)):
        raise ValueError(f"{path} is not a skelrep .npz: it lacks {', '.join(missing)}")
    try:
        return _parts(arrays)
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def stretches(path: str | os.PathLike, clips: tuple[int, int], most_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Clips and ranges of their frames for `load` that have at most about so many bytes: clip, first and last frame.

    Empty if none of the clips is larger, or the file is not of this format.
    """
    with opened(path) as file:
        if isinstance(file, np.ndarray) or not set(file.files) >= _NEEDED:
            return
        try:
            persons, frames = (file[key][slice(*clips)].astype(int).tolist() for key in ("persons", "frames"))
            rows, *shape = file.mapped("poses").shape
        except _DAMAGED:  # said when the clips are read
            return
    frame_bytes = max(1, 4 * int(np.prod(shape)))
    # Billions of frames that are not there would be billions of ranges.
    if min(persons + frames, default=0) < 0 or sum(map(operator.mul, persons, frames)) > rows:
        return
    if all(some * length * frame_bytes <= most_bytes for some, length in zip(persons, frames)):
        return
    for clip, (some, length) in enumerate(zip(persons, frames), clips[0]):
        step = max(1, most_bytes // max(1, some * frame_bytes))
        for first in range(0, length, step):
            yield clip, first, min(first + step, length)


def count(path: str | os.PathLike) -> int | None:
    """Number of clips in a file that `save` wrote; None for other files."""
    with opened(path) as file:
        if isinstance(file, np.ndarray) or not set(file.files) >= _NEEDED:
            return None
        persons = file["persons"]
        if persons.ndim != 1:
            return None
        return len(persons)


def _arrays(
    path: str | os.PathLike, clips: tuple[int, int] | None, frames: tuple[int, int] | None
) -> dict[str, np.ndarray]:
    try:
        with opened(path) as file:
            if isinstance(file, np.ndarray):
                raise ValueError("it is a single array; skelrep.read takes it")
            return {key: file[key] for key in file.files} if clips is None else _some(file, *clips, frames)
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a skelrep .npz, or damaged ({one_line(error)})") from error


def _some(file: Archive, first: int, last: int, part: tuple[int, int] | None) -> dict[str, np.ndarray]:
    """The arrays of some of the clips, or of some frames of a single one."""
    small = {key: file[key] for key in file.files if key not in _BY_POSE}
    persons, frames = small["persons"], small["frames"]
    if persons.shape != frames.shape or persons.ndim != 1 or {persons.dtype.kind, frames.dtype.kind} - {*"iu"}:
        raise ValueError("its persons and frames are not one whole number for each clip")
    poses_until, persons_until = (np.concatenate([[0], np.cumsum(a)]) for a in (persons * frames, persons))
    rows = slice(poses_until[first], poses_until[last])
    by_clip = {key for key, array in small.items() if array.shape[:1] == persons.shape and key not in _NOT_BY_CLIP}
    arrays = {key: array[first:last] if key in by_clip else array for key, array in small.items()}
    if "person_ids" in small:
        arrays["person_ids"] = small["person_ids"][persons_until[first] : persons_until[last]]
    if part is None:
        return arrays | {key: np.array(file.mapped(key)[rows]) for key in _BY_POSE if key in file.files}
    length = int(frames[first])
    begins = range(int(rows.start), int(rows.stop), length)  # of the persons
    large = {
        key: np.concatenate([file.mapped(key)[begin + part[0] : begin + part[1]] for begin in begins])
        for key in _BY_POSE
        if key in file.files
    }
    of_file = {f"info_{name}": np.array([value]) for name, value in zip(STRETCH, (part[0], length))}
    return arrays | large | of_file | {"frames": np.array([part[1] - part[0]])}


def _parts(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    rows = arrays["poses"]
    shapes = np.stack([arrays["persons"], arrays["frames"]], axis=1).astype(np.int64)
    if arrays["skeleton"].shape != () or arrays["skeleton"].dtype.kind != "U":
        raise ValueError(f"its skeleton is no name, but {arrays['skeleton'].dtype} of shape {arrays['skeleton'].shape}")
    if rows.ndim != 3 or shapes.min(initial=1) < 1 or shapes.prod(axis=1).sum() != len(rows):
        raise ValueError(f"its persons and frames do not add up to its {len(rows)} poses")
    bounds = np.cumsum(shapes.prod(axis=1))[:-1]

    def ragged(rows: np.ndarray, trailing: int) -> list[np.ndarray]:
        if rows.ndim != 1 + trailing or len(rows) != shapes.prod(axis=1).sum():
            raise ValueError(f"an array of shape {rows.shape} does not have one row for each pose")
        return [part.reshape(*shape, *rows.shape[1:]) for shape, part in zip(shapes, np.split(rows, bounds))]

    found: dict[str, Any] = {
        "clips": ragged(rows, 2),
        "skeleton": Skeleton(
            str(arrays["skeleton"]), tuple(map(str, arrays["joints"])), tuple(int(p) for p in arrays["parents"])
        ),
        "ids": [str(name) for name in np.atleast_1d(arrays["ids"])],
        "labels": arrays.get("labels"),
        "fps": float(arrays["fps"]) if "fps" in arrays else None,
        "scores": ragged(arrays["scores"], 1) if "scores" in arrays else None,
        "info": {key.removeprefix("info_"): column for key, column in arrays.items() if key.startswith("info_")},
        "zeros": str(arrays["zeros"]) if "zeros" in arrays else None,
    }
    if "person_ids" in arrays:
        names = [str(name) or None for name in arrays["person_ids"]]
        ends = np.cumsum(shapes[:, 0])
        if len(names) != (ends[-1] if len(ends) else 0):
            raise ValueError(f"its {len(names)} person_ids are not one for each person")
        found["person_ids"] = [tuple(names[end - count : end]) for end, count in zip(ends, shapes[:, 0])]
    return found
