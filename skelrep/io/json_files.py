"""Functions for the readers of JSON: loading, keys with several spellings, and files with one frame each.

A format is a `Family`: `recognises` checks the structure of a file's content, `recordings` extracts the recordings,
and `reader` creates the `Reader`. If the files of a family contain one frame each (`frame_files=True`), the numbered
files of a folder are read as one recording.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.json_clips import as_rows, clips_in
from skelrep.io.key_names import key_of, unit_of, value_of
from skelrep.io.people import Recording, poses_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.timeline import as_seconds, frame_numbers
from skelrep.json_text import check_numbers
from skelrep.messages import one_line
from skelrep.poses import Poses

# What may follow the frame number in the name of a file with one frame.
FRAME_FILE = re.compile(r"_(keypoints|pose|skeleton|landmarks|results?)$")
_DAMAGED = (KeyError, IndexError, TypeError, AttributeError)


class Family(NamedTuple):
    """One JSON format, or several similar ones.

    Attributes:
        name: The name for `skelrep.read(format=...)`.
        recognises: Whether a file's content is of this kind, by its structure.
        recordings: The recordings in content of this kind; raises ValueError if it is damaged.
        frame_files: Whether a recording may be a folder of files with one frame each.
    """

    name: str
    recognises: Callable[[Any], bool]
    recordings: Callable[[Any], list[Recording]]
    frame_files: bool = False


def reader(family: Family) -> Reader:
    """The `Reader` of a family."""

    def read(path: Path, options: ReadOptions) -> Poses:
        return read_content(family, path, options)

    if not family.frame_files:
        return Reader(family.name, (".json",), read, functools.partial(_is_of, family))

    def read_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
        return _read_frame_files(family, folder, files, options)

    collect = functools.partial(_collect, family)
    return Reader(family.name, (".json",), read, functools.partial(_is_of, family), collect, read_folder)


def read_content(family: Family, path: Path, options: ReadOptions) -> Poses:
    """Reads one file of a family.

    Raises:
        ValueError: if it is not JSON, or is damaged.
    """
    try:
        return poses_of(_recordings(family, path), f"{path}", path.stem, options)
    finally:
        forget()


def load(path: Path) -> Any:
    """The content of a JSON file; the last content is kept, because several readers inspect the same file in turn.

    Raises:
        ValueError: if it is not JSON.
    """
    about = path.stat()
    content = _loaded(path, about.st_mtime_ns, about.st_size)
    if isinstance(content, ValueError):
        raise content
    return content


def forget() -> None:
    """Drops the last file's content, so that a large one does not stay in memory after it was read."""
    _loaded.cache_clear()


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, changed: int, size: int) -> Any:
    """The content, or the error, so that a large file that is not JSON is also parsed only once."""
    try:
        return parsed(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return ValueError(f"{path} is not JSON ({one_line(error)})")


def parsed(text: bytes) -> Any:
    """The content of JSON, or the list of the contents of JSON lines.

    Raises:
        ValueError: if it is neither.
    """
    check_numbers(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data") or b"\n" not in text:
            raise
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise error from None


def as_list(value: Any, what: str) -> list:
    """The value, if it is a list.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(value, list):
        raise ValueError(f"{what} is a {type(value).__name__}, not a list")
    return value


def first_of(entry: Any, keys: Iterable[str], default: Any = None) -> Any:
    """The value of the first of several keys for which a dict has a value other than None."""
    if not isinstance(entry, Mapping):
        return default
    return next((entry[key] for key in keys if entry.get(key) is not None), default)


def number_of(value: Any) -> float | None:
    """A number that may be written as text or as a list of one, else None."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def rate_of(content: Any) -> float | None:
    """The frame rate that a file states at its top level or in its metadata."""
    for part in (content, value_of(content, "about")):
        stated = number_of(value_of(part, "rate"))
        if stated is not None and stated > 0:
            return stated
    return None


class When(NamedTuple):
    """The frame numbers and times of a recording, as in `Recording`."""

    numbers: list[float] | None
    times: list[float] | None
    unit: float | None


def when(frames: Sequence[Any]) -> When:
    """Frame numbers and times of frames that are dicts, if every frame has them."""
    numbers = [number_of(value_of(frame, "frame", "row")) for frame in frames]
    key = key_of(frames[0], "time") if frames else None
    times = [_time_of(first_of(frame, (key,))) for frame in frames] if key else []
    whole_numbers = None if None in numbers or not numbers else numbers
    whole_times = None if None in times or not times else times
    return When(whole_numbers, whole_times, unit_of(key) if key else None)  # type: ignore[arg-type]


def _time_of(value: Any) -> float | None:
    """A time as a number, or as text such as an ISO date; None if it is neither."""
    number = number_of(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        return float(as_seconds([value])[0])
    except ValueError:
        return None


def natural(name: Any) -> list:
    """A sort key by which "frame 2" precedes "frame 10"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", str(name))]


def keyed_frames(content: Mapping[str, Any]) -> tuple[list[str], list[float] | None]:
    """The keys of a dict of frames in order, and their numbers if the keys are numbers or numbered names."""
    keys = sorted(content, key=natural)
    plain = [number_of(key) for key in keys]
    if None not in plain:
        order = np.argsort(np.array(plain, dtype=float), kind="stable")
        return [keys[i] for i in order], [plain[i] for i in order]  # type: ignore[misc]
    names, numbers = frame_numbers([str(key).rsplit(".", 1)[0] for key in keys])
    if len(set(names)) == 1 and None not in numbers:
        return keys, [float(number) for number in numbers if number is not None]
    return keys, None


def _is_of(family: Family, path: Path) -> bool:
    try:
        content = as_rows(load(path))
        clips = clips_in(content)
        return family.recognises(content if clips is None else clips[0].content)
    except (ValueError, *_DAMAGED):
        return False


def recordings_in(family: Family, content: Any, where: str) -> list[Recording]:
    """The recordings in a file's content: one clip, or several that it lists.

    Raises:
        ValueError: if it is damaged; the message names `where`.
    """
    try:
        content = as_rows(content)
        clips = clips_in(content)
        if clips is None:
            return family.recordings(content)
        names = _unique([clip.name for clip in clips])
        return [
            recording._replace(
                name="/".join(part for part in (name, recording.name) if part),
                label=recording.label if clip.label is None else clip.label,
                info={**recording.info, **clip.info},
            )
            for name, clip in zip(names, clips)
            for recording in family.recordings(clip.content)
        ]
    except _DAMAGED as error:
        raise ValueError(f"{where} is not a valid {family.name} file ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _recordings(family: Family, path: Path) -> list[Recording]:
    return recordings_in(family, load(path), f"{path}")


def _unique(names: list[str]) -> list[str]:
    """Names of clips; a clip without a name gets its number."""
    return names if len({*names}) == len(names) else [f"{name}/{i}" for i, name in enumerate(names)]


# -- files with one frame each ----------------------------------------------------------------------------------------


def _groups(files: Sequence[Path]) -> Iterator[tuple[Path, str, list[tuple[int | None, Path]]]]:
    """The files by folder and by the part of the name without the frame number, in the order of the numbers."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    for folder, members in folders.items():
        names, numbers = frame_numbers([FRAME_FILE.sub("", file.stem) for file in members])
        recordings: dict[str, list[tuple[int | None, Path]]] = {}
        for name, number, file in zip(names, numbers, members):
            recordings.setdefault(name, []).append((number, file))
        for name, numbered in recordings.items():
            yield folder, name, sorted(numbered, key=lambda pair: (pair[0] is None, pair[0], natural(pair[1].stem)))


def _collect(family: Family, files: Sequence[Path]) -> list[Path]:
    """The files with one frame each: OpenPose's by their names, others if they are a numbered series of such files."""
    chosen = []
    for _, _, numbered in _groups([file for file in files if file.suffix.lower() == ".json"]):
        members = [file for _, file in numbered]
        openpose = family.name == "openpose" and all(file.name.endswith("_keypoints.json") for file in members)
        if openpose or (len(members) > 1 and _in_series(numbered) and _is_one_frame(family, members)):
            chosen += members
    return chosen


def _in_series(numbered: Sequence[tuple[int | None, Path]]) -> bool:
    """Whether file numbers follow each other like frame numbers: mostly with the same step."""
    numbers = [number for number, _ in numbered]
    if None in numbers or len(set(numbers)) < len(numbers):
        return False
    gaps = np.diff(np.array(numbers, dtype=float))
    return bool((gaps == gaps.min()).mean() >= 0.5 or np.median(gaps) <= 10 or min(numbers) > 1e9)  # type: ignore[type-var]


def _is_one_frame(family: Family, files: Sequence[Path]) -> bool:
    """Whether the first, the middle and the last file each contain one frame of the family, or none."""
    few = [files[i] for i in sorted({0, len(files) // 2, len(files) - 1})]
    try:
        found = [_recordings(family, file) for file in few if _is_of(family, file) or not _is_empty(file)]
    except ValueError:
        return _is_of(family, files[0])  # a damaged file is read, so that the error names it
    return bool(found) and all(len(recordings) == 1 and len(recordings[0].frames) == 1 for recordings in found)


def _is_empty(file: Path) -> bool:
    """Whether a file states that nobody was seen."""
    return load(file) in ([], {}, None)


def _read_frame_files(family: Family, folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """A clip for every folder and name, whose frames are the files in the order of their numbers.

    Files with several frames, among those for which the caller gave this format, are separate clips.
    """
    for parent, name, numbered in _groups(files):
        try:
            yield from _read_group(family, parent, parent.relative_to(folder).as_posix(), name, numbered, options)
        except ValueError as error:
            if options.skip is None:
                raise
            options.skip(parent / name, error)


def _read_group(
    family: Family,
    parent: Path,
    below: str,
    name: str,
    numbered: Sequence[tuple[int | None, Path]],
    options: ReadOptions,
) -> Iterator[Poses]:
    parts: list[tuple[int | None, Recording]] = []
    for number, file in numbered:
        if _is_empty(file):
            parts.append((number, Recording([[]])))
            continue
        if not _is_of(family, file):
            raise ValueError(f"{file} is not a {family.name} file with one frame, unlike the other files in its folder")
        recordings = _recordings(family, file)
        if len(recordings) > 1 or len(recordings[0].frames) > 1:
            stem = "/".join(part for part in (below, file.stem) if part != ".")
            yield poses_of(recordings, f"{file}", stem, options)
        else:
            parts.append((number, recordings[0]))
    if parts:
        stem = "/".join(part for part in (below, name) if part not in (".", "")) or parent.name
        yield poses_of([_joined(parts)], f"{parent / name}" if name else f"{parent}", stem, options)


def _joined(parts: Sequence[tuple[int | None, Recording]]) -> Recording:
    """One recording from files with one frame each; the file numbers are the frames, unless each file has a time."""
    first = next((recording for _, recording in parts if recording.frames[0]), parts[0][1])
    numbers = [number for number, _ in parts if number is not None]
    times = [recording.times[0] for _, recording in parts if recording.times]
    return first._replace(
        frames=[recording.frames[0] for _, recording in parts],
        numbers=numbers if len({*numbers}) == len(parts) else None,
        times=times if len(times) == len(parts) else None,
    )
