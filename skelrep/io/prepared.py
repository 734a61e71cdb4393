"""Folders written by `skelrep prepare`: checked as a whole, for training; and read as poses, like every other format.

A folder has three files: `rows.npy` with the poses of all tracks (a track is one person of a clip), `tracks.npz` with
their places and the columns of the clips, and `corpus.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from skelrep.files import check_file, read_text
from skelrep.io.reader import Reader, ReadOptions
from skelrep.messages import one_line
from skelrep.npy import Archive, opened
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton

FORMAT_VERSION = 1
PART_CLIPS = 1000  # that are read together
FILES = ("rows.npy", "tracks.npz", "corpus.json")  # the first one is the largest


class StoredCorpus(NamedTuple):
    """The content of the folder.

    Attributes:
        about: `corpus.json` without the skeleton: sources, hours, licence.
        skeleton: The skeleton of the rows.
        rows: (F, V, 3) float32 poses of all tracks, memory-mapped.
        start: (R,) first row of each track.
        length: (R,) rows of each track.
        clip: (R,) index of the clip of each track, in ascending order.
        seen: (R, V) which joints were seen in each track.
        fps: (clips,) frames per second.
        columns: The other columns of the clips: `ids`, and perhaps `labels` and `info_<column>`.
    """

    about: dict[str, Any]
    skeleton: Skeleton
    rows: np.ndarray
    start: np.ndarray
    length: np.ndarray
    clip: np.ndarray
    seen: np.ndarray
    fps: np.ndarray
    columns: dict[str, np.ndarray]


def read_stored(folder: Path, *, with_columns: bool = False) -> StoredCorpus:
    """Opens a prepared corpus.

    Args:
        folder: The folder.
        with_columns: Whether to read the columns, which training does not need.

    Raises:
        ValueError: if the folder has no corpus, or one of another version or a damaged one; the message names the
            fault.
    """
    if not (folder / "corpus.json").exists():
        raise ValueError(f"{folder} contains no training corpus (no corpus.json); write one with `skelrep prepare`")
    try:
        about = json.loads(read_text(folder / "corpus.json"))
        if not isinstance(about, dict) or not isinstance(about.get("skeleton"), dict):
            raise ValueError("corpus.json has no skeleton")
        if about.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format_version is {about.get('format_version')!r:.100}, not {FORMAT_VERSION}")
        sources = about.get("sources", [])
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            raise ValueError("sources in corpus.json must be a list of objects")
        skeleton = Skeleton(**{key: _tuples(value) for key, value in about.pop("skeleton").items()})
        with opened(folder / "tracks.npz") as tracks:
            start, length, clip, seen, fps = (tracks[key] for key in ("start", "length", "clip", "seen", "fps"))
            columns = {key: tracks[key] for key in _columns(tracks)} if with_columns else {}
        # Copy-on-write, because torch expects writable memory, although nothing is written to it.
        check_file(folder / "rows.npy")
        rows = np.load(folder / "rows.npy", mmap_mode="c", allow_pickle=False)
        stored = StoredCorpus(about, skeleton, rows, start, length, clip, seen, fps, columns)
        if fault := _fault(stored):
            raise ValueError(fault)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise any exception in numpy, zipfile and json
        reason = f"no {one_line(error)}" if isinstance(error, KeyError) else one_line(error)
        raise ValueError(f"{folder} cannot be read as a training corpus ({reason}); prepare it again") from error
    return stored


def _fault(stored: StoredCorpus) -> str | None:
    """A description of the first fault in the numbers of a corpus; None if there is none."""
    about, skeleton, rows, start, length, clip, seen, fps, columns = stored
    joints, tracks = len(skeleton), len(start) if start.ndim == 1 else 0
    if rows.ndim != 3 or rows.shape[1:] != (joints, 3) or rows.dtype != np.float32:
        return f"rows.npy must be float32 of shape (frames, {joints}, 3), got {rows.dtype} {rows.shape}"
    if not tracks:
        return "there is no track in tracks.npz"
    for name, column in (("start", start), ("length", length), ("clip", clip)):
        if column.shape != (tracks,) or column.dtype.kind not in "iu":
            return f"{name} must be {tracks} whole numbers, got {column.dtype} {column.shape}"
    if seen.shape != (tracks, joints) or seen.dtype.kind not in "biu":
        return f"seen must be of shape {(tracks, joints)}, got {seen.dtype} {seen.shape}"
    if fps.ndim != 1 or fps.dtype.kind not in "fiu":
        return f"fps must be a number for each clip, got {fps.dtype} {fps.shape}"
    if length.min() < 1 or start.min() < 0 or (start > len(rows) - length).any():
        return f"a track lies outside of the {len(rows)} rows"
    if clip.min() < 0 or clip.max() >= len(fps) or (np.diff(clip.astype(np.int64)) < 0).any():
        return f"clips must be 0 to {len(fps) - 1} in ascending order, got {clip.min()} to {clip.max()}"
    if not np.isfinite(fps).all() or fps.min() <= 0:
        return f"frames per second must be above 0, got {fps.min():g}"
    for name, column in columns.items():
        if column.shape != fps.shape:
            return f"the column {name} must have a value for each of the {len(fps)} clips, got {column.shape}"
    return None


def _columns(tracks: Archive | np.ndarray) -> list[str]:
    """The names of the columns that not every corpus has."""
    names = tracks.files if isinstance(tracks, Archive) else []
    return [name for name in names if name in ("ids", "labels") or name.startswith("info_")]


def _tuples(value: Any) -> Any:
    """JSON lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


# -- as poses ---------------------------------------------------------------------------------------------------------


def is_prepared(path: Path) -> bool:
    """Whether a file is one of the three of a prepared corpus."""
    return path.name in FILES and all((path.parent / name).is_file() for name in FILES)


def collect(files: Sequence[Path]) -> list[Path]:
    """The files of prepared corpora."""
    return [file for file in files if is_prepared(file)]


def divide(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The three files of each corpus."""
    folders = dict.fromkeys(file.parent for file in files)
    return ([folder / name for name in FILES] for folder in folders)


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of clips in the corpus; None for a damaged one, whose fault is reported when it is read."""
    with opened(path.parent / "tracks.npz") as tracks:
        return tracks["fps"].size if isinstance(tracks, Archive) and "fps" in tracks else None


def read_prepared(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads the corpus to which a file belongs, in parts of one frame rate; poses are memory-mapped.

    Joints that were never seen are NaN, and gaps in time are interpolated, as they were written.

    Raises:
        ValueError: for a damaged corpus, as `read_stored`; the message names the folder.
    """
    stored = read_stored(path.parent, with_columns=True)
    clips = np.arange(len(stored.fps))[slice(*(options.clips or (None, None)))]
    ids = stored.columns.get("ids", np.arange(len(stored.fps))).astype(str)
    info = {key.removeprefix("info_"): value for key, value in stored.columns.items() if key.startswith("info_")}
    labels = stored.columns.get("labels")
    first, last = np.searchsorted(stored.clip, clips), np.searchsorted(stored.clip, clips, side="right")
    if (first == last).any():
        raise ValueError(f"{path.parent} cannot be read as a training corpus: a clip has no track; prepare it again")
    other_rate = np.flatnonzero(np.diff(stored.fps[clips])) + 1
    for part in np.split(np.arange(len(clips)), np.union1d(other_rate, np.arange(PART_CLIPS, len(clips), PART_CLIPS))):
        chosen = clips[part]
        yield Poses(
            [_clip(stored, range(a, b), path.parent) for a, b in zip(first[part].tolist(), last[part].tolist())],
            stored.skeleton,
            ids=ids[chosen].tolist(),
            labels=None if labels is None else labels[chosen],
            fps=float(stored.fps[chosen[0]]),
            info={key: column[chosen] for key, column in info.items()},
            zeros="coordinates",
        )


def _clip(stored: StoredCorpus, tracks: range, folder: Path) -> np.ndarray:
    """The persons of a clip (M, T, V, 3), a view of the rows where they follow each other."""
    starts, length = stored.start[tracks].tolist(), int(stored.length[tracks[0]])
    if (stored.length[tracks] != length).any():
        raise ValueError(f"{folder} cannot be read as poses: the persons of a clip have different numbers of frames")
    persons, joints = len(tracks), len(stored.skeleton)
    if starts == list(range(starts[0], starts[0] + persons * length, length)):
        poses = stored.rows[starts[0] : starts[0] + persons * length].reshape(persons, length, joints, 3)
    else:
        poses = np.stack([stored.rows[start : start + length] for start in starts])
    if stored.seen[tracks].all():
        return poses
    return np.where(stored.seen[tracks][:, None, :, None].astype(bool), poses, np.float32(np.nan))


def read_prepared_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads the corpora whose files `collect` chose; below another folder, ids begin with the path of the corpus."""
    for rows, *_ in divide(files):
        name = rows.relative_to(folder).as_posix() if options.ids is None else options.ids[rows]
        where = PurePosixPath(name).parent.as_posix()
        for poses in read_prepared(rows, options):
            yield poses if where == "." else replace(poses, ids=[f"{where}/{name}" for name in poses.ids])


READER = Reader(
    "prepared",
    (".npy", ".npz", ".json"),
    read_prepared,
    sniff=is_prepared,
    collect=collect,
    read_many=read_prepared_folder,
    divide=divide,
    count=count,
)
