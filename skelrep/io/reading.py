"""`read` and `read_parts`: read poses from files and folders of any known format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelrep.fractions import check_unit, fractions_postponed
from skelrep.io.labelling import Column, splits_in_folders
from skelrep.io.pieces import STRETCH_BYTES, Piece, stretches, whole
from skelrep.io.reader import Reader, ReadOptions, RootOffset
from skelrep.io.registry import reader_called, reader_for, recognised, suffixes
from skelrep.io.report import ReadReport
from skelrep.io.sources import Sources, sources
from skelrep.io.video import PoseEstimator
from skelrep.memory_budget import counted
from skelrep.messages import nearest, one_line, warn
from skelrep.missing import Zeros, assumed_zeros
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton
from skelrep.splits import in_split, split_names

_ARRAYS = ("npy", "npz", "mat")  # readers of bare arrays
_LONGEST = 1000  # characters of a message that quotes the content of a file
_Divided = Literal["clips", "stretches"] | None  # whether large files are read in parts, and large clips, too
# Clips, and the path of each clip's file below the folder that is read.
_Part = tuple[Poses, list[str]]


def read(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    format: str | None = None,
    layout: str | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    fps: float | None = None,
    scale: float | Sequence[float] | None = None,
    min_score: float | None = None,
    zeros: Zeros | None = None,
    channels: str | None = None,
    root_offset: RootOffset | None = None,
    body_model: str | os.PathLike | None = None,
    pose_model: str | os.PathLike | PoseEstimator | None = None,
    labels: Any = None,
    subjects: Any = None,
    unlabelled: Literal["stop", "skip"] = "stop",
    on_error: Literal["stop", "skip"] = "stop",
    report: ReadReport | None = None,
) -> Poses:
    """Reads poses from a file, or from all files below a folder.

    Args:
        path: A file of a known suffix; a folder, which is searched recursively; a pattern such as "train/*/*.json";
            "@FILE" with one path per line; or a list of these. Formats may be mixed. In a folder, files that begin with
            a dot, and the `.embeddings.*` files that `skelrep embed` writes, are not read.
        format: The name of a reader ("ntu", "csv" ...), if suffix and content do not show the format.
        layout: The order of the axes of a bare array, such as "NCTVM" (see `Poses.from_array`).
        skeleton: A `Skeleton`, the name of one, or V joint names, if the file does not name its joints.
        split: Keep the members of this split, if the file has splits ("xsub_train", "train", "test" ...); with several
            names, keep the clips that are members of all these splits.
        fps: Frames per second, if the file does not state it or states it incorrectly.
        scale: Factor for all coordinates, or one factor per axis: 0.001 for millimetres, (1920, 1080) for fractions of
            a picture.
        min_score: Joints with a lower score (confidence, visibility) become missing.
        zeros: What coordinates of exactly zero mean: "missing", "coordinates", or None to decide from the data, with a
            warning if single joints count as missing (see `skelrep.missing`).
        channels: A letter for each number of a joint in a bare array or a table without names: x, y, z, s for a score,
            _ for an unused number ("xys", "xyzs", "yxs"); by default decided from the numbers.
        root_offset: For BVH: "added" if position channels of the root are added to its OFFSET, "replaced" if they
            replace it; by default decided from the height of the feet.
        body_model: The body model, a file or a folder of such files, for files of SMPL rotations (AMASS).
        pose_model: The model that detects persons in videos: a MediaPipe model bundle (a `.task` file), by default the
            one in the environment variable SKELREP_POSE_MODEL; or a `skelrep.io.PoseEstimator`. Videos in a folder are
            read only if it contains no files of poses.
        labels: Where labels are, if not in the files: "folder", the names of the folders below `path` that contain the
            files ("folder:2" for the second level, "folder:-1" for the last); a table with one line per clip or file,
            such as "labels.csv" or "labels.csv:action"; the name of a column of `info`; or a dict by id.
        subjects: As `labels`, for the column `subject`.
        unlabelled: "stop" at clips that a table of labels does not have, or "skip" them with a warning.
        on_error: "stop" at the first file that cannot be read, or "skip" it.
        report: Receives counts and the list of skipped files; without it, a warning reports them.

    Returns:
        The clips. The id of a single clip of a file is the file's stem. The id of a clip of a folder is the path of its
        file below the folder without the suffix, followed by the clip's own id if the file has several clips.

    Raises:
        FileNotFoundError: if there is no file or folder at `path`.
        ValueError: for an unknown format, an empty or malformed file, a folder without a readable file, an unknown
            split, or `min_score` for poses without scores; the message names the path and what was expected.
        ModuleNotFoundError: if a format needs an extra that is not installed; the message says how to install it.

    Examples:
        >>> poses = skelrep.read("recordings", fps=30)
    """
    declared = Declared(
        format, layout, skeleton, split, fps, scale, min_score, zeros, body_model, channels, root_offset, pose_model
    )
    parts = list(_parts(path, declared, labels, subjects, unlabelled, on_error, report, None))
    return parts[0] if len(parts) == 1 else Poses.concatenate(parts)


def read_parts(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    labels: Any = None,
    subjects: Any = None,
    unlabelled: Literal["stop", "skip"] = "stop",
    on_error: Literal["stop", "skip"] = "stop",
    report: ReadReport | None = None,
    in_stretches: bool = False,
    **declared: Any,
) -> Iterator[Poses]:
    """As `read`, but yields a data set in parts, so that it need not fit into memory.

    Files above 64 MB are read in several parts if their clips can be read separately (see the page on corpora).

    Args:
        path: As in `read`.
        labels: As in `read`.
        subjects: As in `read`.
        unlabelled: As in `read`.
        on_error: As in `read`.
        report: As in `read`.
        in_stretches: Whether recordings above 8 MB in skelrep's own `.npz` are read in consecutive ranges of frames.
            Each is a part, with the columns `stretch_first` (its first frame) and `stretch_of` (the frames of the
            recording) in `info`.
        **declared: The options of `read` that describe the poses: `format`, `layout`, `skeleton`, `split`, `fps`,
            `scale`, `min_score`, `zeros`, `channels`, `root_offset`, `body_model` and `pose_model`.
    """
    how: _Divided = "stretches" if in_stretches else "clips"
    return _parts(path, Declared(**declared), labels, subjects, unlabelled, on_error, report, how)


def _parts(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    declared: Declared,
    labels: Any,
    subjects: Any,
    unlabelled: Literal["stop", "skip"],
    on_error: Literal["stop", "skip"],
    report: ReadReport | None,
    divided: _Divided,
) -> Iterator[Poses]:
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error must be 'stop' or 'skip', got {on_error!r}")
    if unlabelled not in ("stop", "skip"):
        raise ValueError(f"unlabelled must be 'stop' or 'skip', got {unlabelled!r}")
    found = sources(path)
    counts = report if report is not None else ReadReport()
    asked = [(labels, "label"), (subjects, "subject")]
    columns = [Column(each, what, found) for each, what in asked if each is not None]
    selection = _Splits(declared.splits, found.said)
    reader = None if declared.format is None else reader_called(declared.format)
    options = declared.options(counts.skip if on_error == "skip" else None)
    partial = columns[:1] if unlabelled == "skip" and labels is not None else []
    parts = _read_all(found, reader, options, divided)
    yield from _declared_parts(found, parts, declared, columns, selection, counts, partial)
    counts.files = len(found.files) - len(counts.skipped)
    for column in columns:
        column.finish()
    if counts.skipped and not counts.clips:
        raise ValueError(f"none of the {len(counts.skipped)} files in {found.said} can be read: {counts}")
    if counts.skipped and report is None:
        warn(str(counts))
    selection.check()


def read_pieces(
    found: Sources,
    some: Iterable[Piece],
    declared: Declared,
    columns: Sequence[Column] = (),
    skip: Callable[[Path, Exception], None] | None = None,
) -> Iterator[Poses]:
    """Reads some pieces of the files in `found`, as `read_parts` reads all; yields nothing if they have no clips.

    Args:
        found: At least the files of the pieces; its `ids` name their clips.
        some: The pieces to read.
        declared: The options of `read` that describe the poses.
        columns: Labels and subjects that are not in the files.
        skip: Called for a file that cannot be read; None: the error is raised.
    """
    reader = None if declared.format is None else reader_called(declared.format)
    options = replace(declared.options(skip), ids=found.ids)
    parts = _read_pieces(found, some, reader, options)
    yield from _declared_parts(found, parts, declared, columns, _Splits(declared.splits, found.said), ReadReport())


@dataclass(frozen=True)
class Declared:
    """The options of `read` that describe the poses; see there."""

    format: str | None = None
    layout: str | None = None
    skeleton: Skeleton | str | Sequence[str] | None = None
    split: str | Sequence[str] | None = None
    fps: float | None = None
    scale: float | Sequence[float] | None = None
    min_score: float | None = None
    zeros: Zeros | None = None
    body_model: str | os.PathLike | None = None
    channels: str | None = None
    root_offset: RootOffset | None = None
    pose_model: str | os.PathLike | PoseEstimator | None = None

    @property
    def splits(self) -> list[str]:
        """The splits to keep."""
        return [self.split] if isinstance(self.split, str) else list(self.split or ())

    def options(self, skip: Callable[[Path, Exception], None] | None) -> ReadOptions:
        """The options for readers."""
        return ReadOptions(
            layout=self.layout,
            skeleton=self.skeleton,
            splits=tuple(self.splits),
            fps=self.fps,
            scale=self.scale,
            skip=skip,
            body_model=self.body_model,
            channels=self.channels,
            root_offset=self.root_offset,
            pose_model=self.pose_model,
        )


def _declared_parts(
    found: Sources,
    parts: Iterator[_Part],
    declared: Declared,
    columns: Sequence[Column],
    selection: _Splits,
    counts: ReadReport,
    partial: Sequence[Column] = (),
) -> Iterator[Poses]:
    """The clips of the splits, with the columns and the declared options applied.

    Clips without a value in a column of `partial` are left out.
    """
    for poses, files in _undeclared(_no_lone_frames(parts, found), declared.zeros):
        poses = splits_in_folders(poses, files)
        for column in partial:
            known = column.labelled(poses.ids, files)
            poses, files = poses[known], [file for file, keep in zip(files, known) if keep]
        if not len(poses):
            continue
        for column in columns:
            poses = column.add(poses, files)
        counts.clips += len(poses)
        poses = selection.of(poses)
        if len(poses):
            yield declared_poses(poses, found.said, declared)


class _Splits:
    """Selects the members of all of some splits, part by part."""

    def __init__(self, names: list[str], where: str) -> None:
        self.names, self.where = names, where
        self.known: set[str] = set()
        self.found = not names

    def of(self, poses: Poses) -> Poses:
        if not self.names:
            return poses
        part_of = split_names(poses.info)
        self.known.update(part_of)
        keep = np.ones(len(poses), dtype=bool)
        for name in self.names:
            # One file of a folder may contain one half of a split column ("train"), another file the other half.
            absent = "split" in poses.info and name not in part_of
            keep &= False if absent else in_split(poses.info, name, self.where)
        self.found |= bool(keep.any())
        return poses if keep.all() else poses[keep]

    def check(self) -> None:
        """Raises a ValueError if no clip was selected."""
        if self.found:
            return
        for name in self.names:
            if name not in self.known:
                known = ", ".join(sorted(self.known))
                raise ValueError(f"{self.where} has no split {name!r}{nearest(name, self.known)} (it has: {known})")
        names = " and ".join(map(repr, self.names))
        raise ValueError(f"no clip of {self.where} is in the split{'s' * (len(self.names) > 1)} {names}")


def _undeclared(parts: Iterator[_Part], zeros: Zeros | None) -> Iterator[_Part]:
    """The parts from the readers, with `zeros` applied, so that readers need not handle it."""
    while True:
        with assumed_zeros(zeros), fractions_postponed():
            poses, files = next(parts, (None, []))
            if poses is not None and zeros is not None and poses.zeros is None:
                poses = replace(poses, zeros=zeros)
        if poses is None:
            return
        yield poses, files


def declared_poses(poses: Poses, where: str, declared: Declared) -> Poses:
    """Applies fps, scale and min_score to the poses that were read at a place.

    Raises:
        ValueError: for `min_score` of poses without scores.
    """
    fps, scale, min_score = declared.fps, declared.scale, declared.min_score
    if fps is not None:
        poses = replace(poses, fps=fps)
    if scale is not None:
        poses = poses.scaled(scale)
    if min_score is not None:
        if poses.scores is None:
            raise ValueError(f"{where} has no scores, so min_score={min_score} cannot be applied")
        low = [np.isnan(score) | (score < min_score) for score in poses.scores]
        poses = replace(poses, clips=[np.where(bad[..., None], np.nan, clip) for bad, clip in zip(low, poses.clips)])
    check_unit(poses)
    return poses


def _no_lone_frames(parts: Iterator[_Part], found: Sources) -> Iterator[_Part]:
    """Yields the parts; refuses a folder of several files of one frame each, which are probably not clips.

    Readers join frames whose files are numbered. Files that the caller named are accepted as they are.
    """
    held: list[_Part] = []
    for part in parts:
        if found.named or any(clip.shape[1] > 1 for clip in part[0].clips):
            yield from held
            yield part
            yield from parts
            return
        held.append(part)
    files = sorted({file for _, files in held for file in files})
    if len(files) > 1 and not found.named:
        raise ValueError(
            f"{found.said} contains {len(files)} files of a single frame each ({', '.join(files[:3])} ...), whose "
            "names do not number the frames of a recording; number them (walk_000, walk_001 ...) to read them as one "
            "clip, or pass the files themselves (a pattern, a list) to read each as one clip"
        )
    yield from held


def _read_all(found: Sources, reader: Reader | None, options: ReadOptions, divided: _Divided) -> Iterator[_Part]:
    """The clips of all files, in parts, with the path of each clip's file below the root."""
    some = False
    pieces = whole(found, reader, options if divided else None)
    if divided == "stretches":
        pieces = stretches(pieces, STRETCH_BYTES)
    for part in _read_pieces(found, pieces, reader, options):
        some = True
        yield part
    if not some and options.skip is None and not found.alone:
        raise ValueError(
            f"the folder {found.said} contains no file that can be read{f' as {reader.name}' if reader else ''} (known "
            f"suffixes: {', '.join(suffixes())})"
        )


def _read_pieces(found: Sources, some: Iterable[Piece], reader: Reader | None, options: ReadOptions) -> Iterator[_Part]:
    """The clips of some pieces, in parts, with the path of each clip's file below the root."""
    names, unknown = found.names(), []
    for piece in some:
        chosen, files = replace(options, clips=piece.clips, frames=piece.frames), piece.files
        if piece.clips is not None:  # a range may have no clip of a split
            chosen = replace(chosen, splits=())
        if piece.reader is not None:
            several = reader_called(piece.reader)
            assert several.read_many is not None, f"the reader {several.name} has collect, but no read_many"
            parts = counted(several.read_many(found.root, files, chosen), sum(file.stat().st_size for file in files))
            for poses in _guarded(parts, found.root if options.ids is None else files[0], options):
                yield poses, list(poses.ids)
            continue
        [file] = files
        where = file.relative_to(found.root).as_posix()
        its_reader = reader
        if reader is None and not found.named:
            try:
                its_reader = recognised(file)
            except (ValueError, OSError) as error:
                if options.skip is None:
                    raise
                options.skip(file, error)
                continue
            if its_reader is None:
                unknown.append(where)
                continue
        if name := names[file]:
            chosen = replace(chosen, splits=())  # of several files, some may have no clip of a split
        for poses in _guarded(_read_file(file, its_reader, chosen), file, options):
            ids = [(name if each == file.stem else f"{name}/{each}") if name else each for each in poses.ids]
            yield poses if ids == poses.ids else replace(poses, ids=ids), [where] * len(poses)
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warn(
            f"left out of {found.said}: {len(unknown)} of {len(found.files)} files that no reader recognises as poses "
            f"({shown})"
        )


def _guarded(parts: Iterator[Poses], path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Yields the parts; an error is raised, or recorded if `options.skip` is given."""
    try:
        yield from parts
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if options.skip is None:
            raise
        options.skip(path, error)


def _parts_of(path: Path, reader: Reader, options: ReadOptions) -> Iterator[Poses]:
    parts = reader.read(path, options)
    yield from [parts] if isinstance(parts, Poses) else parts


def _read_file(path: Path, reader: Reader | None, options: ReadOptions) -> Iterator[Poses]:
    """The clips of one file, in parts."""
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        reader = reader or reader_for(path)
        if options.layout is not None and reader.name not in _ARRAYS:
            raise ValueError(f"layout= is for bare arrays; the format {reader.name!r} fixes its axes")
        if options.root_offset not in (None, "added", "replaced"):
            raise ValueError(f"root_offset must be 'added', 'replaced' or None, got {options.root_offset!r}")
        if options.root_offset is not None and reader.name != "bvh":
            raise ValueError(f"root_offset= is for BVH files; the format {reader.name!r} has no OFFSET")
        if options.channels is not None and reader.name not in (*_ARRAYS, "csv"):
            raise ValueError(f"channels= is for numbers without names; the format {reader.name!r} fixes their meaning")
        yield from counted(_parts_of(path, reader, options), path.stat().st_size, path)
    except ValueError as error:
        said = f"{error}"
        if f"{path}" in said and "\n" not in said and len(said) < _LONGEST:
            raise
        # Readers need not name the path, and names in a file may contain anything, such as line ends.
        where = "" if f"{path}" in said else f"{path}: "
        raise ValueError(where + one_line(error, _LONGEST)) from error
