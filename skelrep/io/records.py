"""Tables of results as .csv, .json, .jsonl and .parquet files: named columns with one value for each row."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from skelrep.files import check_parent, replacing
from skelrep.messages import optional

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
_DECIMALS = 6  # of numbers in text: microseconds, finer than any camera's clock, and more than float32 has


class Records:
    """Base of results that are tables: named columns with one value for each row.

    Attributes:
        COLUMNS: Names of the attributes that are columns, in the order of files.
        CONTENT: What the table contains, for messages, such as "events".
    """

    COLUMNS: ClassVar[tuple[str, ...]]
    CONTENT: ClassVar[str]

    def columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """The columns by name, in the order of files; `pandas.DataFrame(dict(found.columns()))` makes a table."""
        return ((name, getattr(self, name)) for name in self.COLUMNS)

    def __len__(self) -> int:
        """Number of rows."""
        return len(getattr(self, self.COLUMNS[0]))

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary for each row, in a form that JSON can hold: None for NaN, six decimals."""
        return to_dicts(dict(self.columns()))

    def to_text(self, suffix: str = ".csv") -> str:
        """The content of a .csv, .json or .jsonl file."""
        return to_text(dict(self.columns()), suffix)

    def save(self, path: str | os.PathLike) -> None:
        """Writes a .csv, .json (a list of objects), .jsonl (an object on each line) or .parquet file.

        In text, numbers have six decimals. An existing file is replaced only after everything has been written.

        Raises:
            ValueError: for another suffix.
            OSError: if the file cannot be written.
            ModuleNotFoundError: for .parquet without pyarrow (the extra `parquet`).
        """
        save(dict(self.columns()), path, self.CONTENT)


def check_output(path: str | os.PathLike, what: str) -> None:
    """Raises the errors of `save` that can be known before the work; `what` names the content, such as "events".

    Raises:
        ValueError: for an unknown suffix.
        FileNotFoundError: if the folder does not exist.
        ModuleNotFoundError: for .parquet without pyarrow.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{what} are written to {', '.join(SUFFIXES)} files, got {str(path)!r}")
    check_parent(path)
    if path.suffix.lower() == ".parquet":
        optional("pyarrow", "parquet")


def save(columns: Mapping[str, np.ndarray], path: str | os.PathLike, what: str) -> None:
    """Writes a table in the format of the suffix; an existing file is replaced after everything has been written.

    Raises:
        ValueError: for another suffix; the message says `what` the table contains.
        OSError: if the file cannot be written.
        ModuleNotFoundError: for .parquet without pyarrow (the extra `parquet`).
    """
    path = Path(path)
    check_output(path, what)
    if path.suffix.lower() == ".parquet":
        arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
        with replacing(path) as file:
            parquet.write_table(arrow.table(dict(columns)), file)
        return
    with replacing(path) as file:
        file.write(to_text(columns, path.suffix.lower()).encode())


def to_text(columns: Mapping[str, np.ndarray], suffix: str = ".csv") -> str:
    """The content of a .csv, a .json (a list of objects) or a .jsonl file (an object on each line)."""
    rows = to_dicts(columns)
    if suffix == ".json":
        return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_dicts(columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """One dictionary for each row, in a form that JSON can hold: None for NaN, six decimals."""
    lists = [_plain(column) for column in columns.values()]
    return [dict(zip(columns, row)) for row in zip(*lists)]


def _plain(column: np.ndarray) -> list[Any]:
    if column.dtype.kind != "f":
        return column.tolist()
    return [None if math.isnan(number) else round(number, _DECIMALS) for number in column.tolist()]
