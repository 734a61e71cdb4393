"""Pieces of several files that can be read separately, so that a corpus can be read in any order and in parallel."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.registry import collected, readers, recognised, suffixes
from skelrep.io.sources import Sources
from skelrep.messages import warn
from skelrep.poses import npz

PIECE_BYTES = 2**26  # of a file that is read in ranges of clips: 64 MB, which need about 300 MB of memory
STRETCH_BYTES = 2**23  # of a recording that is read in ranges of frames: 8 MB, 18 minutes of 20 joints at 30 fps
COUNTED_BYTES = 2**20  # larger files are opened to count their clips, where that is possible


class Piece(NamedTuple):
    """Files, or clips of one file, that are read together.

    Attributes:
        files: The files.
        reader: Name of the format, if its files belong together (`Reader.collect`).
        clips: First and last clip (exclusive) of a file that is read in ranges; None for the whole file.
        counted: Number of clips, where they were counted.
        frames: First and last frame (exclusive) of a single clip; None for all.
    """

    files: tuple[Path, ...]
    reader: str | None = None
    clips: tuple[int, int] | None = None
    counted: int | None = None
    frames: tuple[int, int] | None = None


def stretches(some: Iterable[Piece], most_bytes: int) -> Iterator[Piece]:
    """The pieces, with clips of skelrep's own `.npz` above so many bytes in consecutive ranges of frames."""
    for piece in some:
        [file, *more] = piece.files
        parts = []
        if not more and piece.reader is None and file.suffix.lower() == ".npz" and file.stat().st_size > most_bytes:
            with contextlib.suppress(ValueError, OSError):  # said when it is read, where it may be skipped
                if (count := npz.count(file)) is not None:
                    parts = list(npz.stretches(file, piece.clips or (0, count), most_bytes))
        if not parts:
            yield piece
        for clip, begin, end in parts:
            yield piece._replace(clips=(clip, clip + 1), counted=1, frames=(begin, end))


def whole(found: Sources, reader: Reader | None, divided: ReadOptions | None = None) -> Iterator[Piece]:
    """The files in as few pieces as possible: those of a format that belong together, and each of the others.

    Args:
        found: The files.
        reader: The format, where the caller named one.
        divided: The options for reading, if files above `PIECE_BYTES` are read in ranges of clips where that is
            possible; formats whose files belong together are read in parts in any case.
    """
    groups, single = _grouped(found, reader)
    yield from (Piece(tuple(mine), several.name) for several, mine in groups)
    for file in single:
        if divided is None:
            yield Piece((file,))
        else:
            yield from _ranges(Piece((file,)), reader, divided, sys.maxsize, PIECE_BYTES, PIECE_BYTES)


def pieces(
    found: Sources,
    reader: Reader | None,
    options: ReadOptions,
    most: int,
    piece_bytes: int | None = None,
    known: Container[Path] = (),
) -> Iterator[Piece]:
    """The files in the smallest pieces, in order. Only files above `COUNTED_BYTES` are opened, to count their clips.

    Args:
        found: The files.
        reader: The format, if the caller named one.
        options: The options for reading them.
        most: Number of clips in a range.
        piece_bytes: Size of a range; smaller files are one piece, unless they have more than `most` clips. By default
            `PIECE_BYTES`.
        known: Files that are left out; of files that belong together, the first decides.
    """
    piece_bytes = PIECE_BYTES if piece_bytes is None else piece_bytes
    above = min(COUNTED_BYTES, piece_bytes)
    groups, single = _grouped(found, reader)
    for several, mine in groups:
        for files in [mine] if several.divide is None else several.divide(mine):
            if files[0] not in known:
                yield from _ranges(Piece(tuple(files), several.name), several, options, most, piece_bytes, above)
    for file in single:
        if file not in known:
            yield from _ranges(Piece((file,)), reader, options, most, piece_bytes, above)


def _ranges(
    piece: Piece, reader: Reader | None, options: ReadOptions, most: int, piece_bytes: int, above: int
) -> Iterator[Piece]:
    """The piece, or ranges of its clips if it is larger than `above` bytes and they can be counted."""
    file = piece.files[0]
    size = file.stat().st_size
    count = _count(file, reader, options) if size > above else None
    step = max(1, min(most, (count or 0) * piece_bytes // max(size, 1)))
    if not count or count <= step:
        yield piece._replace(counted=count)
        return
    for first in range(0, count, step):
        last = min(first + step, count)
        yield piece._replace(clips=(first, last), counted=last - first)


def _count(file: Path, reader: Reader | None, options: ReadOptions) -> int | None:
    try:
        reader = reader or recognised(file)
        return None if reader is None or reader.count is None else reader.count(file, options)
    except (ValueError, OSError, ModuleNotFoundError):  # said when it is read, where it may be skipped
        return None


def _grouped(found: Sources, reader: Reader | None) -> tuple[list[tuple[Reader, list[Path]]], list[Path]]:
    """Files that belong together, by the format that collects them, and files that are read one by one."""
    if found.alone:
        return [], found.files
    if reader is None:
        found = found if found.named else _without_last_resorts(found)
        groups = list(collected(found.files))
        taken = {file for _, mine in groups for file in mine}
        known = suffixes()
        left = [file for file in found.files if file not in taken]
        return groups, [file for file in left if found.named or file.suffix.lower() in known]
    mine = [file for file in found.files if found.named or file.suffix.lower() in reader.suffixes]
    if reader.collect is not None and mine:
        chosen = {*(reader.collect(mine) or mine)}
        rest = [file for file in mine if file not in chosen and reader.sniff is not None and reader.sniff(file)]
        return [(reader, [file for file in mine if file in chosen])], rest
    return [], mine


def _without_last_resorts(found: Sources) -> Sources:
    """The files, without those of readers that are a last resort if another reader takes any."""
    known = {suffix for reader in readers() if reader.last_resort for suffix in reader.suffixes}
    others = [file for file in found.files if file.suffix.lower() not in known]
    left_out = len(found.files) - len(others)
    if not left_out or not (any(collected(others)) or any(map(recognised, others))):
        return found
    warn(f"left out of {found.said}: {left_out} videos beside files of poses; name the videos themselves to read them")
    return found._replace(files=others)
