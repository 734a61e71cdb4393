"""Counts what a Parquet file will need in memory from its own structure, before pyarrow allocates anything.

The lists at the end of a file (its footer), and the numbers of values in it, are only statements. pyarrow allocates a
list before it reads the elements, and reads as many values as the pages contain, which may be billions in some bytes:
a run of equal values states its length. Footer and headers of pages are in the compact protocol of Apache Thrift.

Sources: parquet-format, https://github.com/apache/parquet-format (`parquet.thrift`), and the specification of Thrift's
compact protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

from skelrep.memory_budget import MemoryBudget

# Measured with pyarrow 26: 1400 bytes for a column, 680 for a part of a column, of which the smallest takes 3 bytes.
STRUCT_BYTES = 1500
_LEAST_BYTES = 3
_DELTA_BYTE_ARRAY = 7  # an encoding: a text is stored as what it has in common with the one before, and the rest
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 0, 2, 3
_HEADER_OF = {_DATA_PAGE: 5, _DATA_PAGE_2: 8}  # the field of a page's header that counts its values
_ENCODING_IN = {_DATA_PAGE: 2, _DATA_PAGE_2: 4}


class LayoutError(Exception):
    """The file is damaged."""


class Pages(NamedTuple):
    """What the pages of some columns contain.

    Attributes:
        values: Number of values by column, with those in lists and those that are missing.
        bytes: Their size after decompression. Texts that share their beginnings, and those of a dictionary whose column
            is not read as one, are counted in full.
    """

    values: dict[str, int]
    bytes: int


def footer_size(file: BinaryIO) -> int:
    """The stated size of the footer, at most that of the file, which is the largest number of elements of a list."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    return min(size, int.from_bytes(file.read(4), "little"))


def check_footer(file: BinaryIO, budget: MemoryBudget) -> None:
    """Refuses a file whose footer would take more memory than the file may.

    Raises:
        ValueError: if it does.
        LayoutError: if it is damaged.
    """
    stated = footer_size(file)
    # Lists may be as long as the footer, and their elements contain lists: more than this is impossible.
    if stated * (1 + 1 / _LEAST_BYTES) * STRUCT_BYTES <= budget.limit:
        return
    file.seek(max(0, file.seek(0, os.SEEK_END) - 8 - stated))
    footer = _Compact(file)
    footer.struct()
    budget.claim(footer.structs * STRUCT_BYTES + stated)


def pages_of(
    file: BinaryIO,
    about: Any,
    names: Collection[str],
    groups: Collection[int] | None = None,
    once: Collection[str] = (),
) -> Pages:
    """Reads the headers of all pages of some columns.

    Args:
        file: The file, open for reading.
        about: Its `pyarrow.parquet.FileMetaData`.
        names: Names of columns.
        groups: Numbers of the row groups that will be read; all of them by default.
        once: The columns that are read as dictionaries, in which a text that is repeated stands once.

    Raises:
        LayoutError: if the pages do not contain what the footer states, a header is damaged or columns overlap.
    """
    values, size = dict.fromkeys(names, 0), 0
    left = file.seek(0, os.SEEK_END)
    if about.num_rows != sum(about.row_group(i).num_rows for i in range(about.num_row_groups)):
        raise LayoutError(f"its {about.num_rows} rows are not those of its parts")
    for group in map(about.row_group, range(about.num_row_groups) if groups is None else groups):
        for column in range(group.num_columns):
            chunk, kind = group.column(column), about.schema.column(column)
            name = _named(chunk.path_in_schema, values)
            if name is None:
                continue
            if (left := left - max(0, chunk.total_compressed_size)) < 0:  # reading them again and again takes forever
                raise LayoutError("its columns overlap")
            pages = list(_pages(file, chunk))
            seen = sum(page.values for page in pages)
            # pyarrow reads on until it has as many values and rows as the footer states, even if there are none left.
            rows_fit = group.num_rows <= seen if kind.max_repetition_level else group.num_rows == seen
            if seen != chunk.num_values or not rows_fit:
                raise LayoutError(
                    f"it states {chunk.num_values} values in {group.num_rows} rows for its column {name[:100]!r}, "
                    f"whose pages contain {seen}"
                )
            size += sum(page.unpacked for page in pages)
            # No text is longer than all parts of texts in the page.
            size += sum(page.values * page.unpacked for page in pages if page.encoding == _DELTA_BYTE_ARRAY)
            if kind.physical_type == "FIXED_LEN_BYTE_ARRAY":
                size += seen * max(0, kind.length or 0)
            elif kind.physical_type == "BYTE_ARRAY" and name not in once:
                size += seen * max((page.unpacked for page in pages if page.kind == _DICTIONARY_PAGE), default=0)
            values[name] += seen
    return Pages(values, size)


def _named(path: str, names: Collection[str]) -> str | None:
    """The column that a path such as "embedding.list.element" belongs to, if it is one of these."""
    if path in names:
        return path
    parts = path.split(".")
    return next((name for i in range(len(parts)) if (name := ".".join(parts[:i])) in names), None)


class _Page(NamedTuple):
    """The header of a page."""

    kind: int
    stored: int  # bytes in the file
    unpacked: int  # bytes after decompression
    values: int  # 0 for a dictionary
    encoding: int


def _pages(file: BinaryIO, chunk: Any) -> Iterator[_Page]:
    """The headers of the pages of a column in a row group, as pyarrow finds them."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < at:
        at = chunk.dictionary_page_offset
    if at < 0:
        raise LayoutError(f"a column begins at byte {at}")
    end = at + chunk.total_compressed_size
    while at < end:
        file.seek(at)
        page = _page(file)
        yield page
        at = file.tell() + page.stored


def _page(file: BinaryIO) -> _Page:
    header = _Compact(file).struct()

    def number(fields: Any, at: int) -> int:
        found = fields.get(at, 0) if isinstance(fields, dict) else 0
        return max(0, found) if isinstance(found, int) else 0

    kind = number(header, 1)
    about = header.get(_HEADER_OF.get(kind, -1))
    values = number(about, 1) if kind in _ENCODING_IN else 0
    return _Page(kind, number(header, 3), number(header, 2), values, number(about, _ENCODING_IN.get(kind, -1)))


class _Compact:
    """A reader of Thrift's compact protocol, which counts the structures that it meets."""

    def __init__(self, data: BinaryIO) -> None:
        self.data, self.structs = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure by their numbers.

        Raises:
            LayoutError: if it is damaged.
        """
        if depth > 16:  # those of Parquet are less than half as deep
            raise LayoutError("its structures are nested too deeply")
        self.structs += 1
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10:
                head = self._byte()
                count = head >> 4 if head >> 4 < 15 else self._unsigned()
                for _ in range(count):  # each takes a byte at least, so a wrong number meets the end of the file
                    self._value(head & 15, depth)
                return None
            case 11:
                if count := self._unsigned():
                    kinds = self._byte()
                    for _ in range(count):
                        self._value(kinds >> 4, depth)
                        self._value(kinds & 15, depth)
                return None
            case 12:
                return self.struct(depth + 1)
        raise LayoutError(f"it has a field of the unknown type {kind}")

    def _byte(self) -> int:
        found = self.data.read(1)
        if not found:
            raise LayoutError("it ends within a structure")
        return found[0]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise LayoutError("a number in it has too many bytes")

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _bytes(self, count: int) -> bytes:
        """Passes over bytes, whose content nobody needs here."""
        if count >= 2**31:
            raise LayoutError(f"a text in it has {count} bytes")
        self.data.seek(count, os.SEEK_CUR)
        return b""
