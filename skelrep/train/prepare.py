"""Writes files of poses as a training corpus: a folder that training memory-maps."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np

from skelrep.corpus.local import in_processes
from skelrep.corpus.manifest import Shard
from skelrep.corpus.options import described
from skelrep.corpus.plan import shards_of
from skelrep.files import check_parent, naming
from skelrep.io.labelling import Column
from skelrep.io.prepared import FORMAT_VERSION
from skelrep.io.reading import Declared
from skelrep.io.report import ReadReport
from skelrep.io.sources import sources
from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton, resolve
from skelrep.train.tracks import (
    Done,
    Job,
    Origin,
    PartMaker,
    Task,
    check_skeleton,
    joined,
    plain_skeleton,
    read_part,
    tracks_of,
    write_part,
)
from skelrep.version import __version__

PART_FILES = 500  # of a part: 15 MB of NTU's tracks, two seconds of work
PART_BYTES = 2**27  # of the files of a part
FEW_BYTES = 2**26  # of all files: to start processes takes longer than to read so little


@dataclass(frozen=True)
class Progress:
    """How far `prepare` is, after each part.

    Attributes:
        parts: Number of finished parts.
        of: Number of parts.
        files: Number of files in finished parts.
        clips: Number of clips in finished parts.
        skipped: Number of files that were left out.
        fraction: Of the files that are in finished parts.
        seconds: Time since the beginning.
    """

    parts: int
    of: int
    files: int
    clips: int
    skipped: int
    fraction: float
    seconds: float


def prepare(
    inputs: Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    splits: Sequence[str] = (),
    licence: str | None = None,
    clean: bool = False,
    reading: Mapping[str, Any] | None = None,
    workers: int = 1,
    on_part: Callable[[Progress], object] | None = None,
    reader: Callable[..., Iterable[Poses]] | None = None,
) -> dict[str, Any]:
    """Writes a training corpus; the same call resumes after any stop.

    A *track* is all frames of one person of a clip. Persons who were never seen have no track, and clips without tracks
    are left out. The folder contains

    - `rows.npy` (F, V, 3) float32: all tracks, concatenated. Gaps in time are interpolated; NaN marks a joint that was
      never seen in the track. Tracks of a clip are adjacent, the most active person first.
    - `tracks.npz`: for R tracks `start` (R,) the first row, `length` (R,) the number of rows, `clip` (R,) the index of
      the clip, `seen` (R, V) which joints were seen; for N clips `ids`, `fps`, and those of `labels` and
      `info_<column>` that all inputs have, each (N,).
    - `corpus.json`: `format_version`, `skeleton` (name, joints, parents), `sources` (name, clips and hours of each
      input, in order), `licence` and the `hours` of all clips.

    The inputs are read in parts of at most `PART_FILES` files, each of which is kept in the hidden folder
    `.NAME.unfinished` beside the output until all are finished. After a stop or an error, the same call reads only what
    is not there; files that have changed, and parts made with other options, are read again. The output appears under
    its name when it is complete. Memory contains one part per process; the disk needs the size of the corpus twice.

    Args:
        inputs: Files and folders of three-dimensional poses, patterns, and "@FILE" or "-" with a path on each line, as
            `skelrep.read` takes them; each is one source.
        folder: The folder to write; must not exist or be empty.
        skeleton: The skeleton to which all poses are mapped by joint name; by default that of the inputs.
        splits: Keep the clips that are members of all of these ("ntu60", "xsub_train").
        licence: Licence of the data, for the cards of models trained on it.
        clean: Whether to correct swapped left and right sides and to interpolate joints that jump away and back, as
            encoders with `undo_swaps` and `remove_spikes` do.
        reading: Options of `skelrep.read`, such as `fps`, `skeleton` (that of the inputs), `labels` or `on_error`.
        workers: Number of processes. A script that starts processes must guard its start by
            `if __name__ == "__main__":`.
        on_part: Called after each part.
        reader: Called with an input and `split=splits` to get its poses, instead of reading files. It runs in this
            process, and its inputs are read again after a stop.

    Returns:
        The content of `corpus.json`.

    Raises:
        FileNotFoundError: if an input or the parent of `folder` does not exist.
        FileExistsError: if `folder` exists and is not empty.
        ValueError: if an input cannot be read, is two-dimensional, has no fps or cannot be mapped; if the inputs'
            skeletons differ and none is given; if no input shows a person; if another process prepares this folder.

    Examples:
        >>> from skelrep.train.prepare import prepare
        >>> prepare(["nturgb+d_skeletons"], "ntu60-xsub", splits=["ntu60", "xsub_train"], workers=8)["hours"]
    """
    folder = Path(folder).expanduser().resolve()
    check_parent(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not an empty folder; remove it or choose another name")
    target = None if skeleton is None else resolve(skeleton)
    with _unfinished(folder) as scratch, naming(folder):
        if reader is None:
            parts = _read(scratch, inputs, target, splits, clean, dict(reading or {}), workers, on_part)
        else:
            parts = _called(scratch, inputs, target, splits, clean, reader)
        if not any(part.clips for part in parts):
            for part in parts:  # of no use to a later call
                part.path.unlink(missing_ok=True)
            said = ", ".join(map(str, inputs)) or "no input"
            names = " and ".join(map(repr, splits))
            within = f" in the split{'s' * (len(splits) > 1)} {names}" if splits else ""
            raise ValueError(f"no person in {said}{within}: nothing to write")
        corpus = scratch / "corpus"
        corpus.mkdir()
        about = _assemble(corpus, inputs, parts, licence)
        if folder.exists():
            folder.rmdir()  # only on POSIX, a rename can replace an empty folder
        corpus.rename(folder)
        for part in parts:
            part.path.unlink(missing_ok=True)
    return about


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """The folder of parts, locked; removed at the end, unless it contains parts that a later call can use."""
    scratch = folder.with_name(f".{folder.name}.unfinished")
    scratch.mkdir(exist_ok=True)
    lock = filelock.FileLock(scratch / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"another process prepares {folder}; wait for it, or choose another folder") from None
    done = False
    try:
        shutil.rmtree(scratch / "corpus", ignore_errors=True)  # of a process that was killed
        yield scratch
        done = True
    finally:
        shutil.rmtree(scratch / "corpus", ignore_errors=True)
        lock.release()
        if done or not any(scratch.glob("part-*.npz")):
            shutil.rmtree(scratch, ignore_errors=True)


def _read(
    scratch: Path,
    inputs: Sequence[str | os.PathLike],
    target: Skeleton | None,
    splits: Sequence[str],
    clean: bool,
    reading: dict[str, Any],
    workers: int,
    on_part: Callable[[Progress], object] | None,
) -> list[Done]:
    """The parts of files, in order: those that a stopped run has made, and the others."""
    skip, report = reading.pop("on_error", "stop") == "skip", reading.pop("report", None)
    asked = {what: reading.pop(f"{what}s", None) for what in ("label", "subject")}
    declared = Declared(split=list(splits), **reading)
    origins, tasks = [], []
    for number, path in enumerate(inputs):
        found = sources(path)
        found = found._replace(root=found.root.absolute(), files=[file.absolute() for file in found.files])
        columns = {what: Column(each, what, found) for what, each in asked.items() if each is not None}
        shards = shards_of(found, declared.options(None), declared.format, PART_FILES, PART_BYTES)
        if not shards:
            raise ValueError(f"{found.said} contains no file that can be read")
        decides = described(
            declared, columns, labels=asked["label"], subjects=asked["subject"], to=target, clean=clean, skip=skip
        )
        for shard in shards:
            content = [FORMAT_VERSION, __version__, decides, str(found.root), found.named, shard]
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
            tasks.append(Task(len(tasks), number, shard, digest))
        origins.append(Origin(str(path), found._replace(files=[]), columns))
    job = Job(scratch, tuple(origins), declared, target, clean, skip)
    size = sum(item.size for task in tasks for item in task.shard.inputs)
    counts = report if report is not None else ReadReport()
    started, parts, said = time.monotonic(), {}, set()
    files = sum(len(task.shard.inputs) for task in tasks)
    common = target
    tables = {
        (number, what): copy.copy(column.join)
        for number, origin in enumerate(origins)
        for what, column in origin.columns.items()
        if column.join is not None
    }
    for table in tables.values():
        table.used = {}  # the parts' own are joined
    for done in in_processes(PartMaker, job, tasks, workers if size > FEW_BYTES else 1):
        parts[done.task.number] = done
        for warning in set(done.warnings) - said:
            said.add(warning)
            warn(warning)
        if done.skeleton is not None:
            common = common or done.skeleton
            check_skeleton(done.skeleton, common, origins[done.task.origin].given)
        for what, used in done.used.items():
            tables[done.task.origin, what].include(used)
        counts.files += len(done.task.shard.inputs) - len(done.skipped)
        counts.clips += done.clips
        counts.skipped += done.skipped
        if on_part is not None:
            read = sum(len(part.task.shard.inputs) for part in parts.values())
            seconds = time.monotonic() - started
            progress = Progress(
                len(parts), len(tasks), read, counts.clips, len(counts.skipped), read / max(1, files), seconds
            )
            on_part(progress)
    for table in tables.values():
        table.finish()
    if counts.skipped and report is None:
        warn(str(counts))
    return [parts[task.number] for task in tasks]


def _called(
    scratch: Path,
    inputs: Sequence[str | os.PathLike],
    target: Skeleton | None,
    splits: Sequence[str],
    clean: bool,
    reader: Callable[..., Iterable[Poses]],
) -> list[Done]:
    """The parts of what a reader yields, each made anew."""
    parts: list[Done] = []
    common = target
    for origin, given in enumerate(inputs):
        for poses in reader(given, split=splits):
            tracks = tracks_of([poses], target, clean, given)
            common = common or poses.skeleton
            if target is None:
                check_skeleton(poses.skeleton, common, given)
            path = scratch / f"reader-{len(parts)}.npz"
            write_part(path, tracks)
            task = Task(len(parts), origin, Shard(()), "")
            parts.append(Done(task, path, len(tracks.columns["ids"]), tracks.skeleton, [], [], {}))
    return parts


def _assemble(
    corpus: Path, inputs: Sequence[str | os.PathLike], parts: Sequence[Done], licence: str | None
) -> dict[str, Any]:
    """Writes the corpus from its parts; returns the content of `corpus.json`."""
    origins: list[dict[str, Any]] = [{"name": _name(path), "clips": 0, "hours": 0.0} for path in inputs]
    parts = [part for part in parts if part.clips]
    skeleton = parts[0].skeleton
    assert skeleton is not None
    length, clip, seen, columns, clips = [], [], [], [], 0
    with (corpus / "rows.npy").open("wb") as file:
        _write_header(file, 0, skeleton)
        for part in parts:
            tracks, source = read_part(part.path), origins[part.task.origin]
            file.write(tracks.rows.astype("<f4", copy=False).data)
            length.append(tracks.length)
            clip.append(tracks.clip + clips)
            seen.append(tracks.seen)
            columns.append(tracks.columns)
            clips += part.clips
            source["clips"] += part.clips
            source["hours"] += tracks.seconds / 3600
        length = np.concatenate(length)
        _write_header(file, int(length.sum()), skeleton)
    arrays = joined(columns) | {
        "start": length.cumsum() - length,
        "length": length,
        "clip": np.concatenate(clip),
        "seen": np.concatenate(seen),
    }
    np.savez(corpus / "tracks.npz", **arrays)  # type: ignore[arg-type]
    about = {"format_version": FORMAT_VERSION, "skeleton": plain_skeleton(skeleton), "sources": origins}
    about |= {"licence": licence, "hours": sum(source["hours"] for source in origins)}
    (corpus / "corpus.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return about


def _name(source: str | os.PathLike) -> str:
    """The name of a file or folder; a pattern or list as it was given."""
    path = Path(source).expanduser().absolute()
    return path.name if path.is_dir() else path.stem if path.is_file() else str(source)


def _write_header(file: BinaryIO, rows: int, skeleton: Skeleton) -> None:
    """Writes the header of `rows.npy`; numpy pads it so that it has the same size whatever the number of rows."""
    file.seek(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, len(skeleton), 3)}
    np.lib.format.write_array_header_1_0(file, header)
