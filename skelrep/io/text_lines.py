"""Lines of a large file of text, by where they begin in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_BLOCK = 2**22


def lines_between(path: Path, first: int, last: int) -> Iterator[bytes]:
    """The lines of a file from one offset in bytes to another, each with its end."""
    with path.open("rb") as file:
        file.seek(first)
        while first < last and (line := file.readline()):
            first += len(line)
            yield line


def lines_before(path: Path, offset: int) -> int:
    """Number of lines before an offset in bytes, for messages."""
    count = 0
    with path.open("rb") as file:
        while offset > 0 and (block := file.read(min(_BLOCK, offset))):
            offset -= len(block)
            count += block.count(b"\n")
    return count
