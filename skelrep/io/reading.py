"""`read` and `read_parts`: poses out of a file or a folder of any known format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from skelrep.files import check_file
from skelrep.fractions import check_unit, fractions_postponed, unit_is_checked
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.registry import collected, reader_called, reader_for, recognised, suffixes
from skelrep.messages import nearest, warn
from skelrep.missing import Zeros, assumed_zeros
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton
from skelrep.splits import in_split, split_names

#: Stands before the suffix of what `skelrep embed` writes beside its inputs.
EMBEDDINGS = ".embeddings"


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
    zeros: Zeros | None = None,
) -> Poses:
    """Reads poses from a file, or from all files below a folder.

    Args:
        path: A file of a known suffix, or a folder, which is searched with the folders below it. Formats may be mixed.
            Files that begin with a dot, and the `.embeddings.npy` that `skelrep embed` writes, are not read.
        format: The name of a reader ("ntu", "csv" ...), where suffix and content do not say it.
        layout: The axes of a bare array in its own order, such as "NCTVM" (see `Poses.from_array`).
        skeleton: A `Skeleton`, a name of one or V joint names, where the file does not say it.
        split: Keep the members of this split, where the file has splits ("xsub_train", "train", "test" ...); of
            several, the clips that are members of all.
        fps: Frames per second, where the file does not say it or says it wrong.
        scale: Coordinates are multiplied by it, or each axis by its own: 0.001 for millimetres, (1920, 1080) for
            fractions of a picture.
        min_score: A joint of lower score (confidence, visibility) becomes missing.
        zeros: What coordinates mean that are exactly zero: "missing", "coordinates", or None to judge by the data,
            with a warning where single joints count as missing (see `skelrep.missing`).

    Returns:
        The clips. A single clip of a file is called by the file's stem; clips of a folder by the path of their file
        below it, without the suffix, followed by the clip's own id where the file holds several.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        ValueError: for an unknown format, an empty or malformed file, a folder without a readable file, an unknown
            split, or `min_score` for poses without scores; the message names the path and says what was expected.
        ModuleNotFoundError: if a format needs an extra that is not installed; the message says how to install it.

    Example:
        >>> poses = skelrep.read("recordings", fps=30)
    """
    parts = list(
        read_parts(
            path,
            format=format,
            layout=layout,
            skeleton=skeleton,
            split=split,
            fps=fps,
            scale=scale,
            min_score=min_score,
            zeros=zeros,
        )
    )
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
    zeros: Zeros | None = None,
) -> Iterator[Poses]:
    """As `read`, but a data set of many files comes in parts, so that it need not fit into memory."""
    path = Path(path).expanduser()
    reader = None if format is None else reader_called(format)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    check_file(path)
    splits = [split] if isinstance(split, str) else list(split or ())
    options = ReadOptions(layout, skeleton, splits[0] if splits else None, fps, scale)
    known: set[str] = set()
    found = False
    parts = _read_folder(path, reader, options) if path.is_dir() else _read_file(path, reader, options)
    for poses in _undeclared(parts, zeros):
        part_of = split_names(poses.info)
        known.update(part_of)
        keep = np.ones(len(poses), dtype=bool)
        for name in splits:
            # A file of a folder may hold one half of a split column ("train"), another file the other half.
            absent = "split" in poses.info and name not in part_of
            keep &= False if absent else in_split(poses.info, name, path)
        if keep.any() or not splits:
            found = True
            yield _declared(poses if keep.all() else poses[keep], path, fps, scale, min_score)
    if not found:
        for name in splits:
            if name not in known:
                raise ValueError(
                    f"{path} has no split {name!r}{nearest(name, known)} (it has: {', '.join(sorted(known))})"
                )
        names = " and ".join(map(repr, splits))
        raise ValueError(f"no clip of {path} is in the split{'s' * (len(splits) > 1)} {names}")


def _undeclared(parts: Iterator[Poses], zeros: Zeros | None) -> Iterator[Poses]:
    """The parts as readers make them, who need not know what the caller says of zeros and of the scale."""
    while True:
        with assumed_zeros(zeros), fractions_postponed():
            part = next(parts, None)
            if part is not None and zeros is not None and part.zeros is None:
                part = replace(part, zeros=zeros)
        if part is None:
            return
        yield part


def _declared(
    poses: Poses, path: Path, fps: float | None, scale: float | Sequence[float] | None, min_score: float | None
) -> Poses:
    """The poses with what the caller says about them."""
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
    if scale is None:
        check_unit(poses)
    else:
        unit_is_checked(poses)
    return poses


def _read_file(path: Path, reader: Reader | None, options: ReadOptions) -> Iterator[Poses]:
    """The clips of one file, in parts."""
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        reader = reader or reader_for(path)
        if options.layout is not None and reader.name not in ("npy", "npz"):
            raise ValueError(f"layout= is for bare arrays; the format {reader.name!r} fixes its axes")
        parts = reader.read(path, options)
        yield from [parts] if isinstance(parts, Poses) else parts
    except ValueError as error:
        if f"{path}" in f"{error}":
            raise
        raise ValueError(f"{path}: {error}") from error  # so that readers need not say it themselves


def _read_folder(folder: Path, reader: Reader | None, options: ReadOptions) -> Iterator[Poses]:
    """The clips of all files below a folder, in parts."""
    files = _files_below(folder)
    if reader is None:
        groups = list(collected(files))
        taken = {file for _, mine in groups for file in mine}
        single = [file for file in files if file not in taken and file.suffix.lower() in suffixes()]
    else:
        mine = [file for file in files if file.suffix.lower() in reader.suffixes]
        groups = [(reader, reader.collect(mine) or mine)] if reader.collect is not None and mine else []
        single = [] if groups else mine
    found = False
    for several, mine in groups:
        assert several.read_many is not None, f"the reader {several.name} has collect, but no read_many"
        for part in several.read_many(folder, mine, options):
            found = True
            yield part
    names = _names_below(folder, single)
    unknown = []
    for file in single:
        chosen = reader or recognised(file)
        if chosen is None:
            unknown.append(file.relative_to(folder).as_posix())
            continue
        for part in _read_file(file, chosen, replace(options, split=None)):
            found = True
            ids = [names[file] if name == file.stem else f"{names[file]}/{name}" for name in part.ids]
            yield replace(part, ids=ids)
    if not found:
        raise ValueError(
            f"the folder {folder} holds no file that can be read{f' as {reader.name}' if reader else ''} "
            f"(known suffixes: {', '.join(suffixes())})"
        )
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warn(f"left out of {folder}: {len(unknown)} of {len(files)} files that no reader recognises as poses ({shown})")


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffixes[-2:-1] != [EMBEDDINGS]
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _names_below(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """The path of each file below the folder, with its suffix only where two would be called alike without it."""
    bare = {file: file.relative_to(folder).with_suffix("").as_posix() for file in files}
    called = list(bare.values())
    return {
        file: name if called.count(name) == 1 else file.relative_to(folder).as_posix() for file, name in bare.items()
    }
