"""Columns of clips as arrays of numbers or strings."""

from __future__ import annotations

from typing import Any

import numpy as np


def plain_column(values: Any, what: str) -> np.ndarray:
    """A column as an array of numbers or strings; string objects, as in columns of pandas, become strings."""
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
