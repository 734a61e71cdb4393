"""Tables in Parquet files, read with pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.files import open_to_read, remembered
from skelrep.io.reader import ReadOptions
from skelrep.io.tables.array_cells import read_array_cells
from skelrep.io.tables.clip_runs import BATCH, ClipRuns, Texts, clip_runs
from skelrep.io.tables.columns import Columns, columns_of
from skelrep.io.tables.rows import Rows, clips_of
from skelrep.memory_budget import MemoryBudget, bounded, budget_of
from skelrep.messages import optional
from skelrep.parquet import CELL_BYTES, cells_of, dictionaries, opened, readable
from skelrep.parquet.layout import Layout
from skelrep.poses import Poses

_POINTER_BYTES = 16  # of a text that exists already, in a list and in a copy of the list
_CHARACTER_BYTES = 4  # at most
_PARSED_TIMES = 8  # of the text of an array: each number of about eight characters becomes an object in a list


def read_parquet(path: Path, options: ReadOptions) -> Poses:
    """Reads a Parquet file with the same columns as for `read_csv`, with the extra `parquet`."""
    with _opened(path) as table:
        names = table.names
        try:
            columns = columns_of(names)
        except ValueError:
            if not _has_lists(table.file):
                raise
            return read_array_cells(path, names, _array_rows(table), options)
        picked = [names[at] for at in columns.picked]
        wanted = [*picked, *(names[at] for places in columns.keys.values() for at in places)]
        # Repeated values take no space in the file, but they do in memory.
        several: tuple[str, ...] = ()
        if options.clips is None:
            table.claim(wanted)
            bounded(sum(table.layout.rows), len(picked))
            rows = table.file.read(columns=wanted)
        else:
            runs = remembered(_clip_runs, path)
            assert runs is not None, "only tables whose clips were counted are read in ranges"
            first, last = (int(runs.starts[at]) for at in options.clips)
            bounded(last - first, len(picked))
            rows, several = _rows(table, first, last, wanted), runs.several
        numbers = np.stack([rows[name].to_numpy() for name in picked], axis=1, dtype=np.float32, casting="unsafe")
        texts = _texts(rows, columns, table)
        del rows  # as large as the numbers, which are copied into clips below
    if not len(numbers):
        raise ValueError(f"{path} contains column names but no rows")
    named = {key: names[places[0]] for key, places in columns.keys.items()}
    return clips_of(path, Rows(columns, numbers, texts, named, several=several), options.skeleton)


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of clips, if each is in rows that stand together and its joints have names."""
    runs = remembered(_clip_runs, path)
    return None if runs is None else len(runs.starts) - 1


def _clip_runs(path: Path) -> ClipRuns | None:
    with _opened(path) as table:
        names = table.names
        try:
            columns = columns_of(names)
        except ValueError:
            return None
        if not columns.tell_clips:
            return None
        wanted = [names[at] for places in columns.keys.values() for at in places]
        named = {key: names[places[0]] for key, places in columns.keys.items()}
        table.claim(wanted)

        def batches() -> Iterator[tuple[list[int], Texts]]:
            first = 0
            for batch in table.file.iter_batches(BATCH, columns=wanted):
                # These texts are soon forgotten, so that they have a budget of their own.
                own = table._replace(budget=MemoryBudget(path.stat().st_size))
                yield list(range(first, first + len(batch))), _texts(batch, columns, own)
                first += len(batch)

        return clip_runs(batches(), sum(table.layout.rows), named)


class _Table(NamedTuple):
    """An open file, where its columns are, and what its content is counted against."""

    file: Any
    layout: Layout
    budget: MemoryBudget

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.file.schema_arrow.names]

    def claim(self, names: Sequence[str], groups: Collection[int] | None = None) -> int:
        """Claims the content of columns in some row groups, and returns the number of their values."""
        found = self.layout.content(names, groups, dictionaries(self.file.schema_arrow))
        self.budget.claim(found.bytes)
        return sum(found.values.values())


@contextmanager
def _opened(path: Path) -> Iterator[_Table]:
    """The file, of which only what is asked for is read; what pyarrow raises becomes a ValueError."""
    budget = budget_of(path)
    with (
        readable(path),
        open_to_read(path) as raw,
        opened(path, raw, path, budget, buffer_size=2**20) as (file, layout),
    ):
        yield _Table(file, layout, budget)


def _has_lists(file: Any) -> bool:
    lists = ("list", "large_list", "fixed_size_list", "struct")
    return any(str(field.type).startswith(lists) for field in file.schema_arrow)


def _array_rows(table: _Table) -> list[list[Any]]:
    """All rows of a table whose cells are arrays, or texts of arrays."""
    table.budget.claim(table.claim(table.names) * CELL_BYTES)
    read = table.file.read()
    columns = [cells_of(read[name]) for name in table.names]
    texts = (cell for column in columns for cell in column if isinstance(cell, str))
    table.budget.claim(_PARSED_TIMES * sum(map(len, texts)))  # also a text that stands once is parsed in every row
    return [list(row) for row in zip(*columns)]


def _rows(table: _Table, first: int, last: int, names: list[str]) -> Any:
    """The rows from one number to another (exclusive), of which those of other row groups are not read."""
    arrow, file = optional("pyarrow", "parquet"), table.file
    ends = np.cumsum(table.layout.rows)
    groups = range(*np.searchsorted(ends, [first, last - 1], side="right") + [0, 1])
    table.claim(names, groups)
    at = int(ends[groups[0] - 1]) if groups[0] else 0
    parts = []
    for batch in file.iter_batches(BATCH, row_groups=list(groups), columns=names):
        begin, end = max(first - at, 0), min(last - at, len(batch))
        if begin < end:  # even an empty slice would keep its batch in memory
            parts.append(batch.slice(begin, end - begin))
        at += len(batch)
    return arrow.Table.from_batches(parts)


def _texts(rows: Any, columns: Columns, table: _Table) -> Texts:
    """The columns that say what a row belongs to, as text; equal texts are one object where the file has them once."""
    texts = {}
    for key, places in columns.keys.items():
        cells = [_as_text(rows[table.names[at]], table.budget) for at in places]
        texts[key] = cells[0] if len(cells) == 1 else _joined(cells, table.budget)
    return texts


def _as_text(column: Any, budget: MemoryBudget) -> list[str]:
    once = str(column.type).startswith("dictionary")
    budget.claim(len(column) * (_POINTER_BYTES if once else CELL_BYTES))
    cells = cells_of(column)
    if not once:
        return ["" if cell is None else str(cell) for cell in cells]
    texts = {id(cell): "" if cell is None else str(cell) for cell in cells}
    return [texts[id(cell)] for cell in cells]


def _joined(cells: list[list[str]], budget: MemoryBudget) -> list[str]:
    """Texts that belong together, joined by slashes."""
    known: dict[tuple[str, ...], str] = {}
    for parts in zip(*cells):
        if parts not in known:
            budget.claim(sum(map(len, parts)) * _CHARACTER_BYTES)
            known[parts] = "/".join(parts)
    budget.claim(len(cells[0]) * _POINTER_BYTES)
    return [known[parts] for parts in zip(*cells)]
