"""Columns of clips as arrays of numbers or strings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skelrep.memory_budget import MemoryBudget

_CHARACTER_BYTES = np.dtype("U1").itemsize


def check_text(values: Iterable[Any]) -> None:
    """Refuses text of which an array would need far more memory than the text itself.

    An array holds every string in the length of the longest, so that one long label among many short ones fills it.

    Raises:
        ValueError: if the array would need too much memory.
    """
    lengths = [len(value) for value in values if isinstance(value, str)]
    if lengths:
        _claim(_CHARACTER_BYTES * sum(lengths), len(lengths), _CHARACTER_BYTES * max(lengths))


def stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns one after the other.

    Raises:
        ValueError: as `check_text`.
    """
    if all(column.dtype.kind == "U" for column in columns):
        size, count = sum(column.nbytes for column in columns), sum(map(len, columns))
        _claim(size, count, max(column.itemsize for column in columns))
    return np.concatenate(columns)


def _claim(size: int, count: int, longest: int) -> None:
    try:
        MemoryBudget(size).claim(count * longest)
    except ValueError as error:
        characters = longest // _CHARACTER_BYTES
        raise ValueError(
            f"one of {count} ids, labels or other texts has {characters} characters, and an array of all would need as "
            f"many for each, {count * longest / 2**30:.2g} GB; shorten it, or set the environment variable "
            f"SKELREP_MAX_GIGABYTES to {math.ceil(count * longest / 2**30)} or more"
        ) from error


def plain_column(values: Any, what: str) -> np.ndarray:
    """A column as an array of numbers or strings; string objects, as in columns of pandas, become strings."""
    if isinstance(values, (list, tuple)):
        check_text(values)
    try:
        column = np.asarray(values)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{what} hold lists; give one number or string for each clip") from None
    if column.ndim > 1:
        raise ValueError(f"{what} have shape {column.shape}; give one number or string for each clip")
    if not column.dtype.hasobject:
        return column
    kinds = {type(value) for value in column.ravel()}
    if not kinds <= {str, np.str_} and not kinds <= {int, bool, float, np.int64, np.float64, np.bool_}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"{what} hold Python objects ({names}); make them all numbers or all strings")
    plain = np.array(column.tolist())
    if plain.dtype.hasobject:
        raise ValueError(f"{what} hold numbers that are too large; make them strings")
    return plain
