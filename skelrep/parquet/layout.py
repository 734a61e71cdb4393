"""Compares what a Parquet file states about itself with what it contains, before pyarrow reads it.

The list of columns at the end of a file (its footer) is only a statement. pyarrow makes a list as long as it says it is
before it reads the elements, looks for stated rows without end, reads as many values as a page contains, which may be
billions in some bytes because a run of equal values states its length, and ends the process at some errors in the
description of a column. Here the footer and the headers of pages are therefore read first, in Python.

Source: https://github.com/apache/parquet-format (`parquet.thrift`), whose numbers of fields appear below.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

from skelrep.memory_budget import MemoryBudget
from skelrep.parquet.thrift import Compact, DamagedError, EndError

# Bytes, measured with pyarrow 26 and in Python: a column needs 1400, and its part in a row group 700 and more.
_STRUCT_BYTES = 500
_COLUMN_BYTES = 1000
_DEEPEST = 100  # groups within groups in a schema
_REPEATED = 2
_BYTE_ARRAY, _FIXED_LENGTH = 6, 7  # types
_DELTA_BYTE_ARRAY = 7  # an encoding: a text is stored as what it has in common with the one before, and the rest
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 0, 2, 3
_HEADER_OF = {_DATA_PAGE: 5, _DATA_PAGE_2: 8}  # the field of a page's header that counts its values
_ENCODING_IN = {_DATA_PAGE: 2, _DATA_PAGE_2: 4}
_HEADER_BYTES, _LONGEST_HEADER = 2**10, 2**24  # of a page: usually, and the most that pyarrow reads


class Content(NamedTuple):
    """What the pages of some columns contain.

    Attributes:
        values: Number of values by column, with those in lists and those that are missing.
        bytes: Their size after decompression. Texts that share their beginnings, and those of a dictionary whose column
            is not read as one, are counted in full.
    """

    values: dict[str, int]
    bytes: int


class _Leaf(NamedTuple):
    """A column of values: one of the table, or a part of one that has lists or structures."""

    column: str
    kind: int
    length: int
    repeated: bool


class _Chunk(NamedTuple):
    """The part of a leaf that is in a row group."""

    values: int
    stored: int
    data: int
    dictionary: int


class _Page(NamedTuple):
    """The header of a page."""

    kind: int
    stored: int  # bytes in the file
    unpacked: int  # bytes after decompression
    values: int  # 0 for a dictionary
    encoding: int


class Layout:
    """Where the columns of a file are.

    Attributes:
        footer: Bytes of the footer, which no list in it exceeds.
        rows: Number of rows of each row group.
    """

    def __init__(self, file: BinaryIO, budget: MemoryBudget) -> None:
        """Reads the footer.

        Args:
            file: The file, open for reading.
            budget: What the footer is counted against.

        Raises:
            DamagedError: if it is damaged.
            ValueError: if it would take too much memory.
        """
        self._file, self._size = file, file.seek(0, os.SEEK_END)
        file.seek(max(0, self._size - 8))
        end = file.read(8)
        self.footer = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or self.footer > self._size - 8:
            raise DamagedError("it does not end like one")
        file.seek(self._size - 8 - self.footer)
        about = Compact(file.read(self.footer), lambda count: budget.claim(count * _STRUCT_BYTES)).struct()
        self._leaves = _leaves(_structs(about, 2))
        budget.claim(len(self._leaves) * _COLUMN_BYTES)
        groups = _structs(about, 4)
        self.rows = [_number(group, 3) for group in groups]
        self._groups = [[_chunk(chunk) for chunk in _structs(group, 1)] for group in groups]
        if any(len(chunks) != len(self._leaves) for chunks in self._groups):
            raise DamagedError("a part of it has another number of columns")
        if min(self.rows, default=0) < 0 or sum(self.rows) != _number(about, 3):
            raise DamagedError(f"its {_number(about, 3)} rows are not those of its parts")

    def content(
        self, names: Collection[str], groups: Collection[int] | None = None, once: Collection[str] = ()
    ) -> Content:
        """Reads the headers of all pages of some columns.

        Args:
            names: Names of columns.
            groups: Numbers of the row groups that will be read; all of them by default.
            once: The columns that are read as dictionaries, in which a text that is repeated stands once.

        Raises:
            DamagedError: if pages do not contain what the footer states, a header is damaged or columns overlap.
        """
        values, size, left = dict.fromkeys(names, 0), 0, self._size
        for group in range(len(self._groups)) if groups is None else groups:
            for leaf, chunk in zip(self._leaves, self._groups[group]):
                if leaf.column not in values:
                    continue
                if chunk.stored < 0 or (left := left - chunk.stored) < 0:  # to read them again and again takes forever
                    raise DamagedError("its columns overlap")
                pages = list(self._pages(chunk)) if chunk.values else []  # pyarrow then reads none either
                seen, rows = sum(page.values for page in pages), self.rows[group]
                if seen != chunk.values or not (rows <= seen if leaf.repeated else rows == seen):
                    raise DamagedError(
                        f"it states {chunk.values} values in {rows} rows for its column {leaf.column[:100]!r}, whose "
                        f"pages contain {seen}"
                    )
                values[leaf.column] += seen
                size += sum(page.unpacked for page in pages)
                # No text is longer than all parts of texts in the page.
                size += sum(page.values * page.unpacked for page in pages if page.encoding == _DELTA_BYTE_ARRAY)
                if leaf.kind == _FIXED_LENGTH:
                    size += seen * leaf.length
                elif leaf.kind == _BYTE_ARRAY and leaf.column not in once:
                    size += seen * max((page.unpacked for page in pages if page.kind == _DICTIONARY_PAGE), default=0)
        return Content(values, size)

    def _pages(self, chunk: _Chunk) -> Iterator[_Page]:
        """The headers of the pages, where pyarrow finds them."""
        at = chunk.dictionary if 0 < chunk.dictionary < chunk.data else chunk.data
        end = at + chunk.stored
        while at < end:
            page, begin = self._page(at)
            yield page
            at = begin + page.stored

    def _page(self, at: int) -> tuple[_Page, int]:
        """The header of the page at a byte, and where its content begins."""
        if at < 0:
            raise DamagedError(f"a page begins at byte {at}")
        header, begin = self._header(at, _HEADER_BYTES)
        kind = _number(header, 1)
        about = header.get(_HEADER_OF.get(kind, -1))
        about = about if isinstance(about, dict) else {}
        page = _Page(
            kind,
            max(0, _number(header, 3)),
            max(0, _number(header, 2)),
            max(0, _number(about, 1)),
            _number(about, _ENCODING_IN.get(kind, -1)),
        )
        return page, begin

    def _header(self, at: int, most: int) -> tuple[dict[int, Any], int]:
        self._file.seek(at)
        reader = Compact(self._file.read(most))
        try:
            return reader.struct(), at + reader.at
        except EndError:
            if most >= _LONGEST_HEADER or len(reader.data) < most:
                raise
        return self._header(at, _LONGEST_HEADER)


def _leaves(elements: list[dict[int, Any]]) -> list[_Leaf]:
    """The columns of values of a schema, a list of elements in which the children of each follow it."""
    if not elements:
        raise DamagedError("it has no columns")
    leaves: list[_Leaf] = []
    open_groups = [(_number(elements[0], 5), "", False)]  # children that follow, the table's column, whether in a list
    for element in elements[1:]:
        while open_groups and open_groups[-1][0] <= 0:
            open_groups.pop()
        if not open_groups:
            raise DamagedError("its columns are not one tree")
        left, column, repeated = open_groups[-1]
        open_groups[-1] = left - 1, column, repeated
        name = element.get(4)
        if len(open_groups) == 1:
            column = name.decode(errors="replace") if isinstance(name, bytes) else ""
        repeated |= element.get(3) == _REPEATED
        if children := _number(element, 5):
            open_groups.append((children, column, repeated))
            if len(open_groups) > _DEEPEST:  # pyarrow follows them by calls within calls
                raise DamagedError(f"its columns are nested more than {_DEEPEST} times")
        else:
            leaves.append(_Leaf(column, _number(element, 1), max(0, _number(element, 2)), repeated))
    return leaves


def _chunk(chunk: dict[int, Any]) -> _Chunk:
    about = chunk.get(3)
    if not isinstance(about, dict):
        raise DamagedError("a column is not described")
    return _Chunk(_number(about, 5), _number(about, 7), _number(about, 9), _number(about, 11))


def _number(fields: dict[int, Any], at: int) -> int:
    found = fields.get(at, 0)
    return found if isinstance(found, int) else 0


def _structs(fields: dict[int, Any], at: int) -> list[dict[int, Any]]:
    found = fields.get(at)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
