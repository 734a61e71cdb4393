"""The list of readers, and the choice of the reader of a file, which is made only here."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from skelrep.io import (
    agcn,
    any_json,
    asf_amc,
    bvh,
    c3d,
    data_sets,
    hdf5,
    humanml3d,
    json_lines,
    mvnx,
    ntu,
    numpy_files,
    pku,
    pose_format,
    prepared,
    pyskl,
    sleap,
    smpl,
    tables,
    video,
    videopose3d,
)
from skelrep.io.reader import Reader
from skelrep.messages import nearest, warn

#: The readers of this package. Of several readers with the same suffix, the first that recognises a file reads it. The
#: last one is for the most common format; it also gets files that none recognises, and its error says what is wrong.
READERS: tuple[Reader, ...] = (
    ntu.READER,
    *data_sets.READERS,
    pku.READER,
    prepared.READER,
    agcn.READER,
    videopose3d.READER,
    smpl.READER,
    humanml3d.READER,
    *numpy_files.READERS,
    pyskl.READER,
    bvh.READER,
    asf_amc.READER,
    *tables.READERS,
    *any_json.READERS,
    mvnx.READER,
    hdf5.READER,
    sleap.READER,
    c3d.READER,
    pose_format.READER,
    json_lines.READER,
    video.READER,
)

#: The entry point group through which other packages add a `Reader`, or a sequence of them.
ENTRY_POINTS = "skelrep.readers"


@functools.cache
def readers() -> tuple[Reader, ...]:
    """`READERS` and those of installed packages; a warning names a package whose readers cannot be loaded."""
    found = list(READERS)
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            loaded = entry.load()
            added = [loaded] if isinstance(loaded, Reader) else list(loaded)
        except Exception as error:  # an error in an installed package must not prevent reading other files
            warn(f"the readers that {entry.value} adds cannot be loaded ({type(error).__name__}: {error})")
            continue
        for reader in added:
            if not isinstance(reader, Reader) or reader.name in {known.name for known in found}:
                what = f"a second reader called {reader.name!r}" if isinstance(reader, Reader) else repr(reader)
                warn(f"{entry.value} adds {what}, which is left out; expected a skelrep.io.Reader with a new name")
            else:
                found.append(reader)
    return tuple(found)


def reader_called(name: str) -> Reader:
    """The reader of a format.

    Raises:
        ValueError: if there is none of that name; the nearest name is suggested.
    """
    known = {reader.name: reader for reader in readers()}
    if name not in known:
        raise ValueError(f"there is no format {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    return known[name]


def suffixes() -> list[str]:
    """The suffixes that readers know, without repetition."""
    return list(dict.fromkeys(suffix for reader in readers() for suffix in reader.suffixes))


def recognised(path: Path) -> Reader | None:
    """The reader that recognises a file, else one that takes every file of this suffix, else None."""
    candidates = [reader for reader in readers() if path.suffix.lower() in reader.suffixes]
    for reader in candidates:
        if reader.sniff is not None and reader.sniff(path):
            return reader
    return next((reader for reader in candidates if reader.sniff is None), None)


def reader_for(path: Path) -> Reader:
    """The reader of a file that the caller named. If none recognises it, a reader whose error says what it expects.

    Raises:
        ValueError: for an unknown suffix.
    """
    if path.suffix.lower() not in suffixes():
        suffix = path.suffix.lower()
        raise ValueError(
            f"{path} has {f'the unknown suffix {suffix!r}' if suffix else 'no suffix'}{nearest(suffix, suffixes())} "
            f"(known: {', '.join(suffixes())}); if the file has another known format, pass format= "
            f"({', '.join(reader.name for reader in readers())})"
        )
    return recognised(path) or [reader for reader in readers() if path.suffix.lower() in reader.suffixes][-1]


def collected(files: Sequence[Path]) -> Iterator[tuple[Reader, list[Path]]]:
    """Yields each format of several files with its files below a folder; the first reader that takes a file gets it."""
    left = list(files)
    for reader in readers():
        if reader.collect is not None and (mine := reader.collect(left)):
            yield reader, mine
            taken = {*mine}
            left = [file for file in left if file not in taken]
