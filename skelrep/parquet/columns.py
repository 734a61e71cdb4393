"""Columns of untrusted Parquet files: the memory that they need is counted before they are read.

Runs of one value take no room in a Parquet file, but do so in memory. pyarrow's errors are of many kinds and have
several lines; here all of them raise one kind of error with one sentence.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from skelrep.memory_budget import MemoryBudget
from skelrep.messages import one_line, optional
from skelrep.parquet.layout import Layout
from skelrep.parquet.thrift import DamagedError

_NUMBER_BYTES = 16  # of a value as pyarrow holds it, and as numpy does
_TEXTS = ("string", "large_string", "binary", "large_binary")
CELL_BYTES = 100  # of a value as a Python object, in a list


class Table:
    """Columns of a Parquet file.

    Attributes:
        schema: The `pyarrow.Schema` of the whole file.
        columns: The `pyarrow.ChunkedArray` of each column that was read, by its name; text is dictionary-encoded.
        rows: Number of rows.
    """

    def __init__(self, schema: Any, table: Any, counts: dict[str, int], where: object, budget: MemoryBudget) -> None:
        """Takes what was read, and the number of values in each column, with those in its lists."""
        self.schema, self.rows = schema, len(table)
        self.columns = {name: table[name] for name in table.column_names}
        self._counts, self._where, self._budget = counts, where, budget

    def cells(self, name: str) -> list[Any]:
        """A column as Python objects, None where a value is missing.

        Raises:
            ValueError: if a value cannot be one, or they need too much memory.
        """
        self._budget.claim(self._counts[name] * CELL_BYTES)
        with readable(self._where):
            return cells_of(self.columns[name])

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Columns of numbers beside each other, (N, len(names)) float32, NaN where a value is missing.

        Raises:
            ValueError: if a column holds anything else.
        """
        with readable(self._where):
            return np.stack([self.columns[name].to_numpy() for name in names], axis=1).astype(np.float32)

    def values(self, name: str) -> np.ndarray:
        """A column of one value per row, (N,): numbers, or text.

        Raises:
            ValueError: if a value is missing, or the texts need too much memory.
        """
        column = self.columns[name]
        if column.null_count:
            raise ValueError(f"{self._where} has no {name} in {column.null_count} of {len(column)} rows; fill them in")
        with readable(self._where):
            arrow = optional("pyarrow", "parquet")
            if _is_list(column.type) or arrow.types.is_nested(column.type):
                raise ValueError(f"{self._where} is damaged: its {name} is not one value per row, but {column.type}")
            if not arrow.types.is_dictionary(column.type):
                values = column.to_numpy()
                if values.dtype != object:
                    return values
                column = arrow.chunked_array([arrow.array(list(map(str, values))).dictionary_encode()])
            texts = [[text or "" for text in chunk.dictionary.to_pylist()] or [""] for chunk in column.chunks]
            longest = max((len(text) for chunk in texts for text in chunk), default=1)
            self._budget.claim(len(column) * longest * np.dtype("U1").itemsize)
            kind = f"U{max(1, longest)}"
            parts = [np.array(text, dtype=kind)[chunk.indices.to_numpy()] for text, chunk in zip(texts, column.chunks)]
            return np.concatenate(parts) if parts else np.empty(0, dtype=kind)

    def lists(self, name: str) -> np.ndarray:
        """A column of lists of numbers, all of one length: (N, D).

        Raises:
            ValueError: if a list is missing, empty or of another length.
        """
        column = self.columns[name]
        with readable(self._where):
            compute = optional("pyarrow.compute", "parquet")
            if not _is_list(column.type):
                raise ValueError(f"{self._where} is damaged: its column {name!r} contains no lists, but {column.type}")
            lengths = compute.list_value_length(column).unique().to_pylist()
            if len(lengths) != 1 or not lengths[0]:
                raise ValueError(f"{self._where} is damaged: its {name}s are missing, or not all of one length")
            rows = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
            if len(rows) != self.rows * lengths[0]:
                raise ValueError(f"{self._where} is damaged: it has {len(rows)} numbers in {self.rows} {name}s")
            return rows.reshape(self.rows, lengths[0])


def read_columns(
    file: BinaryIO,
    where: object,
    choose: Callable[[Any], Sequence[str]],
    budget: MemoryBudget | None = None,
) -> Table:
    """Reads some columns of a Parquet file.

    Args:
        file: The file, open for reading.
        where: Its path, for messages.
        choose: From the file's `pyarrow.Schema` to the names of the columns to read.
        budget: What the columns are counted against; by default a budget of this file's own.

    Raises:
        ValueError: if the file is damaged, has a column twice or needs too much memory; and as `choose`.
        ModuleNotFoundError: without pyarrow (the extra `parquet`).
    """
    budget = MemoryBudget(file.seek(0, os.SEEK_END)) if budget is None else budget
    with readable(where), opened(file, file, where, budget) as (content, layout):
        schema, names = content.schema_arrow, list(choose(content.schema_arrow))
        found = layout.content(names, once=dictionaries(schema))
        budget.claim(sum(found.values.values()) * _NUMBER_BYTES + found.bytes)
        file.seek(0)
        return Table(schema, content.read(columns=names), found.values, where, budget)


@contextmanager
def opened(
    source: Any, file: BinaryIO, where: object, budget: MemoryBudget, **options: Any
) -> Iterator[tuple[Any, Layout]]:
    """Opens a Parquet file whose footer fits into the budget, as `pyarrow.parquet.ParquetFile`, with its layout.

    Text is read as it is stored: once, where it is repeated. Columns may be read after their content was counted
    (`Layout.content`). The file's `metadata` must not be asked about row groups and columns: errors in their
    description end the process.

    Args:
        source: What pyarrow reads, a path or `file`.
        file: The file, open for reading.
        where: Its path, for messages.
        budget: What the footer is counted against.
        options: Further arguments of `ParquetFile`.

    Raises:
        ValueError: if the file has a column twice or its footer needs too much memory.
        DamagedError: if it is damaged; and whatever pyarrow raises. See `readable`.
    """
    parquet = optional("pyarrow.parquet", "parquet")
    layout = Layout(file, budget)
    options["thrift_container_size_limit"] = max(1, layout.footer)  # each element of a list takes a byte at least
    file.seek(0)
    with parquet.ParquetFile(source, **options) as content:
        schema = content.schema_arrow
        if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
            raise ValueError(f"{where} has the column {twice[0][:100]!r} more than once; remove or rename one of them")
        texts = [name for name in schema.names if str(schema.field(name).type) in _TEXTS]
    file.seek(0)
    # Checksums find what a disk has lost.
    with parquet.ParquetFile(source, read_dictionary=texts, page_checksum_verification=True, **options) as content:
        yield content, layout


def dictionaries(schema: Any) -> set[str]:
    """The columns of a `pyarrow.Schema` that are read as dictionaries."""
    types = optional("pyarrow", "parquet").types
    return {field.name for field in schema if str(field.type) in _TEXTS or types.is_dictionary(field.type)}


def cells_of(column: Any) -> list[Any]:
    """An `Array` or `ChunkedArray` of pyarrow as Python objects; equal texts of a dictionary are one object."""
    if not hasattr(column.type, "index_type"):
        return column.to_pylist()
    cells: list[Any] = []
    for chunk in getattr(column, "chunks", [column]):
        texts = chunk.dictionary.to_pylist()
        cells += [None if at is None else texts[at] for at in chunk.indices.to_pylist()]
    return cells


@contextmanager
def readable(where: object) -> Iterator[None]:
    """Turns pyarrow's errors into a ValueError of one sentence."""
    arrow = optional("pyarrow", "parquet")
    kinds = (arrow.ArrowException, DamagedError, MemoryError, OverflowError, AttributeError, TypeError, KeyError)
    try:
        yield
    except FileNotFoundError:
        raise
    except (*kinds, UnicodeError, OSError) as error:  # pyarrow's OSError is of the content, not of the disk
        short = isinstance(error, MemoryError)
        said = "needs more memory than there is" if short else "is damaged or not a Parquet table"
        raise ValueError(f"{where} {said} ({one_line(error)})") from error


def _is_list(kind: Any) -> bool:
    """Whether a column has lists; to pyarrow 15, lists of a fixed length are not nested."""
    types = optional("pyarrow", "parquet").types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
