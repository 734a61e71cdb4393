"""Tables in Parquet files, read with pyarrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import remembered
from skelrep.io.reader import ReadOptions
from skelrep.io.tables.array_cells import read_array_cells
from skelrep.io.tables.clip_runs import BATCH, ClipRuns, Texts, clip_runs
from skelrep.io.tables.columns import Columns, columns_of
from skelrep.io.tables.rows import Rows, clips_of
from skelrep.memory_budget import bounded, budget_of
from skelrep.messages import one_line, optional
from skelrep.parquet import CELL_BYTES, values_of
from skelrep.poses import Poses


def read_parquet(path: Path, options: ReadOptions) -> Poses:
    """Reads a Parquet file with the same columns as for `read_csv`, with the extra `parquet`."""
    with _opened(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
        try:
            columns = columns_of(names)
        except ValueError:
            if not _has_lists(file):
                raise
            budget_of(path).claim(sum(values_of(file.metadata, names).values()) * CELL_BYTES)
            rows = [list(row.values()) for row in file.read().to_pylist()]
            return read_array_cells(path, names, rows, options)
        picked = [names[at] for at in columns.picked]
        wanted = [*picked, *(names[at] for places in columns.keys.values() for at in places)]
        # Repeated values take no space in the file, but they do in memory.
        several: tuple[str, ...] = ()
        if options.clips is None:
            bounded(file.metadata.num_rows, len(picked))
            table = file.read(columns=wanted)
        else:
            runs = remembered(_clip_runs, path)
            assert runs is not None, "only tables whose clips were counted are read in ranges"
            first, last = (int(runs.starts[at]) for at in options.clips)
            bounded(last - first, len(picked))
            table, several = _rows(file, first, last, wanted), runs.several
        numbers = np.stack([table[name].to_numpy() for name in picked], axis=1).astype(np.float32)
        texts = _texts(table, columns, names)
    if not len(numbers):
        raise ValueError(f"{path} contains column names but no rows")
    named = {key: names[places[0]] for key, places in columns.keys.items()}
    return clips_of(path, Rows(columns, numbers, texts, named, several=several), options.skeleton)


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of clips, if each is in rows that stand together and its joints have names."""
    runs = remembered(_clip_runs, path)
    return None if runs is None else len(runs.starts) - 1


def _clip_runs(path: Path) -> ClipRuns | None:
    with _opened(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
        try:
            columns = columns_of(names)
        except ValueError:
            return None
        if not columns.tell_clips:
            return None
        wanted = [names[at] for places in columns.keys.values() for at in places]
        named = {key: names[places[0]] for key, places in columns.keys.items()}

        def batches() -> Iterator[tuple[list[int], Texts]]:
            first = 0
            for batch in file.iter_batches(BATCH, columns=wanted):
                yield list(range(first, first + len(batch))), _texts(batch, columns, names)
                first += len(batch)

        return clip_runs(batches(), file.metadata.num_rows, named)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, of which only what is asked for is read; what pyarrow raises becomes a ValueError."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(path, buffer_size=2**20) as file:
            names = file.schema_arrow.names
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"{path} has the column {twice[0]!r} more than once; remove or rename one of them")
            yield file
    except (arrow.ArrowException, OSError, MemoryError, AttributeError, TypeError, KeyError, UnicodeError) as fault:
        # pyarrow's messages have several lines, and its OSError is about the content, not the disk.
        raise ValueError(f"{path} is damaged or not a Parquet table of numbers ({one_line(fault)})") from fault


def _has_lists(file: Any) -> bool:
    lists = ("list", "large_list", "fixed_size_list", "struct")
    return any(str(field.type).startswith(lists) for field in file.schema_arrow)


def _rows(file: Any, first: int, last: int, names: list[str]) -> Any:
    """The rows from one number to another (exclusive), of which those of other row groups are not read."""
    arrow = optional("pyarrow", "parquet")
    ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
    groups = range(*np.searchsorted(ends, [first, last - 1], side="right") + [0, 1])
    at = int(ends[groups[0] - 1]) if groups[0] else 0
    parts = []
    for batch in file.iter_batches(BATCH, row_groups=list(groups), columns=names):
        parts.append(batch.slice(max(first - at, 0), max(min(last - at, len(batch)) - max(first - at, 0), 0)))
        at += len(batch)
    return arrow.Table.from_batches(parts)


def _texts(table: Any, columns: Columns, names: list[str]) -> Texts:
    """The columns that say what a row belongs to, as text."""
    texts = {}
    for key, places in columns.keys.items():
        cells = [["" if cell is None else str(cell) for cell in table[names[at]].to_pylist()] for at in places]
        texts[key] = ["/".join(parts) for parts in zip(*cells)]
    return texts
