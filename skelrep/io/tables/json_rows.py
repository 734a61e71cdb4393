"""Tables in JSON, as pandas writes them: rows of named numbers, or columns of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.json_clips import as_rows
from skelrep.io.json_files import forget, load, rate_of
from skelrep.io.key_names import key_of, of_role
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.tables.columns import Columns, columns_of
from skelrep.io.tables.rows import Rows, clips_of
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.poses import Poses


def table_in(content: Any) -> tuple[list[Mapping[str, Any]], list[str], Columns] | None:
    """The rows of a table in the content, its column names, and their meanings; None if there is no table."""
    rows = as_rows(content)
    if isinstance(rows, Mapping):
        keys = list(rows)
        listed = [rows[keys[i]] for i in of_role(keys, "frames") if isinstance(rows[keys[i]], list)]
        by_index = all(isinstance(row, Mapping) for row in rows.values())
        rows = list(rows.values()) if by_index else next(iter(listed), None)
    if not isinstance(rows, list) or len(rows) < 1 or not all(isinstance(row, Mapping) for row in rows):
        return None
    names = list(dict.fromkeys(str(name) for row in rows[:: max(len(rows) // 100, 1)] for name in row))
    known = key_of(dict.fromkeys(names, 0), "frame", "time", "row", "image", "person", "number", "clip")
    if known is None and len(names) < 10:  # a joint, rather than a row of joints
        return None
    try:
        columns = columns_of(names)
    except ValueError:
        return None
    some = [row.get(names[at]) for row in rows[:3] for at in columns.picked]
    return (rows, names, columns) if all(value is None or isinstance(value, (int, float)) for value in some) else None


def read_table(content: Any, path: Path, options: ReadOptions) -> Poses:
    """Reads the table in the content like `skelrep.io.tables.read_csv`.

    Raises:
        ValueError: if there is none, or a cell is not a number.
    """
    found = table_in(content)
    if found is None:
        raise ValueError(f"{path} contains no rows of named columns")
    rows, names, columns = found
    picked = [names[at] for at in columns.picked]
    bounded(len(rows), len(picked))
    try:
        cells = [[np.nan if row.get(name) is None else row[name] for name in picked] for row in rows]
        numbers = np.array(cells, dtype=np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} has a coordinate that is not a number ({one_line(error)})") from error
    keys = {key: [names[at] for at in columns_of_key] for key, columns_of_key in columns.keys.items()}
    texts = {key: ["/".join(_text(row.get(name)) for name in named) for row in rows] for key, named in keys.items()}
    fps = rate_of(content) if isinstance(content, Mapping) else None
    return clips_of(
        path, Rows(columns, numbers, texts, {key: named[0] for key, named in keys.items()}, fps), options.skeleton
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _read(path: Path, options: ReadOptions) -> Poses:
    try:
        return read_table(load(path), path, options)
    finally:
        forget()


def _sniff(path: Path) -> bool:
    try:
        return table_in(load(path)) is not None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False


READER = Reader("table-json", (".json",), _read, _sniff)
