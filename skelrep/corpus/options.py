"""The options of a corpus as JSON values, to detect whether parts of a stopped run are still valid."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, is_dataclass
from typing import Any

from skelrep.io.labelling import Column
from skelrep.io.reading import Declared


def described(about: Declared, columns: dict[str, Column], **others: Any) -> dict[str, Any]:
    """The given options that affect the output, as JSON values.

    Args:
        about: The options of reading.
        columns: Labels and subjects that are not in the files.
        **others: Other options.

    Raises:
        ValueError: for an option that JSON cannot represent.
    """
    found = vars(about) | others
    for what, column in columns.items():
        if column.level is not None:  # it may depend on the folders that existed at the time
            found[f"{what}s"] = f"folder:{column.level + (column.level >= 0)}"
        if column.table is not None:
            found[f"{what}_table"] = hashlib.sha256(column.table.read_bytes()).hexdigest()
    return {key: value for key, value in _plain(found).items() if value is not None}


def _plain(value: Any) -> Any:
    """The value as it is after a round trip through JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if callable(tolist := getattr(value, "tolist", None)):  # for numpy's arrays and numbers
        return tolist()
    raise ValueError(
        f"a corpus records its options and cannot record an object of type {type(value).__name__}; give a name or path"
    )
