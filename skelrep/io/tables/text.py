"""Text tables: their delimiter, the beginning of their rows, and their numbers."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from skelrep.files import remembered
from skelrep.io.reader import ReadOptions
from skelrep.io.tables.array_cells import has_arrays, read_array_cells
from skelrep.io.tables.bare import bare_poses
from skelrep.io.tables.blocks import Header, header_of
from skelrep.io.tables.clip_runs import BATCH, ClipRuns, Texts, clip_runs
from skelrep.io.tables.columns import Columns, columns_of
from skelrep.io.tables.rows import Rows, clips_of
from skelrep.io.text_lines import lines_before, lines_between
from skelrep.messages import one_line
from skelrep.poses import Poses

_HEAD = 60  # lines within which a header ends
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "--", "missing")
_DELIMITERS = ",;\t|"
_COMMENTS = ("#", "//", "%")


def read_csv(path: Path, options: ReadOptions) -> Poses:
    """Reads a text table: with a line of names, with a vendor's block of header lines, or with numbers only.

    Cells are separated by commas, semicolons, tabs, vertical bars or spaces; an empty cell is NaN. A table without
    names needs `skeleton`, or a known skeleton that its columns fit; see `skelrep.io.tables.bare`.

    Args:
        path: The file.
        options: `skeleton`: joint names in the order of the columns, if the table has none.

    Returns:
        Clips (M, T, V, C): one for each recording that the columns distinguish, on a regular time grid: gaps in frame
        numbers or times are NaN.

    Raises:
        ValueError: if a line has a different number of cells or a cell that is not a number (the message gives path and
            line), if no joint is found, or if rows cannot be distinguished.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            return _read(path, file, options)
        except csv.Error as error:
            raise ValueError(f"{path} is not a text table ({one_line(error)})") from error


def is_table(path: Path) -> bool:
    """Whether a file is a table of poses, rather than a list of labels or notes: by its first lines."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = _lines(file.readlines(1 << 20)[:_HEAD])
        if header_of(head.rows, path) is not None:
            return True
        if not head.rows:
            return False
        first, second = (head.rows + head.rows[:1])[:2]
        if all(map(_is_number, first)):
            return len(first) >= 10 and len(second) in (0, len(first))
        if not has_arrays(second):
            columns_of(first)
    except (ValueError, csv.Error):
        return False
    return True


class _Lines(NamedTuple):
    """Lines of text as rows of cells, and the function that splits further lines."""

    rows: list[list[str]]
    skipped: int  # empty lines and comments before the first row
    split: Callable[[Iterator[str]], Iterator[list[str]]]
    comma: bool  # whether numbers may have a decimal comma


def _lines(head: Sequence[str]) -> _Lines:
    skipped = 0
    while skipped < len(head) and (not head[skipped].strip(' ,;|\t\r\n"') or head[skipped].startswith(_COMMENTS)):
        skipped += 1
    kept = head[skipped:]
    first = kept[0] if kept else ""
    whole = "".join(kept)
    delimiter = max(
        _DELIMITERS, key=lambda mark: (first.count(mark) > 1, whole.count(mark) * (first.count(mark) > 1), 0)
    )
    if first.count(delimiter) <= 1:  # a title of one or two cells
        delimiter = max(_DELIMITERS, key=whole.count)

    def split(lines: Iterator[str]) -> Iterator[list[str]]:
        if delimiter in whole:
            return csv.reader(lines, delimiter=delimiter)
        return map(str.split, lines)

    rows = [[cell.strip() for cell in row] for row in split(iter(kept))]
    return _Lines(rows, skipped, split, delimiter != ",")


class _Table(NamedTuple):
    """The beginning of a table, by which the rest of it is read."""

    head: list[str]  # its first lines
    lines: _Lines
    header: Header | None  # None: its cells hold arrays


def _table(path: Path, file: IO[str]) -> _Table:
    head = list(itertools.islice(file, _HEAD))
    lines = _lines(head)
    if not lines.rows:
        raise ValueError(f"{path} contains no rows")
    header = header_of(lines.rows, path)
    if header is not None:
        return _Table(head, lines, header._replace(rows=lines.skipped + header.rows))
    width = len(lines.rows[0])
    if all(map(_is_number, lines.rows[0])):
        return _Table(head, lines, Header(None, lines.skipped, width))
    try:
        return _Table(head, lines, Header(columns_of(lines.rows[0]), lines.skipped + 1, width))
    except ValueError as error:
        if len(lines.rows) > 1 and has_arrays(lines.rows[1]):
            return _Table(head, lines, None)
        raise ValueError(f"{path}: {error}") from None


def _read(path: Path, file: IO[str], options: ReadOptions) -> Poses:
    head, lines, header = _table(path, file)
    if header is None:
        rows = lines.split(itertools.chain(head[lines.skipped + 1 :], file))
        return read_array_cells(path, lines.rows[0], rows, options)
    start, several = None, ()
    if options.clips is None:
        rest = itertools.chain(head[header.rows :], file)
    else:
        runs = remembered(_clip_runs, path)
        assert runs is not None, "only tables whose clips were counted are read in ranges"
        start, end = (int(runs.starts[at]) for at in options.clips)
        rest, several = (line.decode(errors="replace") for line in lines_between(path, start, end)), runs.several
    numbers, texts = _columns(path, lines.split(rest), header, lines.comma, start)
    if not len(numbers):
        raise ValueError(f"{path} contains column names but no rows")
    if header.columns is None:
        return bare_poses(path, numbers, options)
    if options.channels is not None:
        raise ValueError(f"channels= is for numbers without names, but the columns of {path} have names")
    named = _names(lines, header, header.columns)
    return clips_of(path, Rows(header.columns, numbers, texts, named, header.fps, several), options.skeleton)


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of clips, if each is in rows that stand together and its joints have names."""
    try:
        runs = remembered(_clip_runs, path)
    except csv.Error:  # said when it is read
        return None
    return None if runs is None else len(runs.starts) - 1


def _clip_runs(path: Path) -> ClipRuns | None:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        _, lines, header = _table(path, file)
    if header is None or header.columns is None or header.ends_at_blank or not header.columns.tell_clips:
        return None
    keys, size, end = header.columns.keys, path.stat().st_size, 0

    def decoded() -> Iterator[str]:
        nonlocal end
        for line in lines_between(path, 0, size):
            if b"\r" in line.rstrip(b"\r\n"):
                raise ValueError(f"{path} has line ends of several kinds, or old ones")
            end += len(line)  # which is the end of a row when that row is there
            yield line.decode("utf-8-sig", errors="replace")

    def batches() -> Iterator[tuple[list[int], Texts]]:
        rest = decoded()
        for _ in range(header.rows):
            next(rest)
        begins: list[int] = []
        texts: Texts = {key: [] for key in keys}
        begin = end
        for row in lines.split(rest):
            if any(map(str.strip, row)):
                begins.append(begin)
                _add(texts, keys, row if len(row) == header.width else _fitted(row, header))
            begin = end
            if len(begins) == BATCH:
                yield begins, texts
                begins, texts = [], {key: [] for key in keys}
        if begins:
            yield begins, texts

    try:
        return clip_runs(batches(), size, _names(lines, header, header.columns))
    except csv.Error:
        return None


def _names(lines: _Lines, header: Header, columns: Columns) -> dict[str, str]:
    """What the columns that say what a row belongs to are called."""
    names = lines.rows[header.rows - lines.skipped - 1]
    # The last line of a header block may be shorter than the rows.
    return {key: names[at[0]] if at[0] < len(names) else key for key, at in columns.keys.items()}


def _add(texts: Texts, keys: Mapping[str, Sequence[int]], row: Sequence[str]) -> None:
    for key, at in keys.items():
        texts[key].append("/".join(row[i].strip() for i in at))


def _columns(
    path: Path, rows: Iterator[list[str]], header: Header, comma: bool, start: int | None
) -> tuple[np.ndarray, Texts]:
    """The numbers (R, P) of the columns of joints, and the columns of text that state what a row belongs to.

    `start` is where the rows begin, in bytes, if that is not after the header.
    """
    picked = range(header.width) if header.columns is None else header.columns.picked
    keys = {} if header.columns is None else header.columns.keys
    texts: Texts = {key: [] for key in keys}
    numbers = []
    for line, row in enumerate(rows, start=1):
        if not any(map(str.strip, row)):
            if header.ends_at_blank and numbers:
                break
            continue
        try:
            if len(row) != header.width:
                row = _fitted(row, header)
            numbers.append(np.array(_numbers(row, picked, comma), dtype=np.float32))
        except ValueError as error:
            before = header.rows if start is None else lines_before(path, start)
            raise ValueError(f"{path}, line {before + line}: {error}") from None
        _add(texts, keys, row)
    return (np.stack(numbers) if numbers else np.empty((0, len(picked)), dtype=np.float32)), texts


def _fitted(row: list[str], header: Header) -> list[str]:
    """A row with as many cells as the header: empty cells at the end may be missing or surplus."""
    while len(row) > header.width and not row[-1].strip():
        row = row[:-1]
    if header.pads and len(row) < header.width:
        row = row + [""] * (header.width - len(row))
    if len(row) != header.width:
        raise ValueError(f"{len(row)} cells, but the first line has {header.width}")
    return row


def _numbers(row: Sequence[str], picked: Sequence[int], comma: bool) -> list[float]:
    try:
        return [float(row[at]) for at in picked]
    except ValueError:
        return [_number(row[at], comma) for at in picked]


def _number(cell: str, comma: bool) -> float:
    cell = cell.strip()
    if cell.lower() in _MISSING:
        return np.nan
    return float(cell.replace(",", ".") if comma else cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell, True)
    except ValueError:
        return False
    return True
