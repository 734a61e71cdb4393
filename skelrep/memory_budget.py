"""A limit on the memory for the poses of a file, so that a small file cannot exhaust it.

A file that states "a million frames" in ten bytes, or one person per line of a table, describes arrays far larger than
itself. Readers therefore call `bounded` before they allocate, and all claims of a file are added up. A file may take 64
MB plus 20 times its own size; the environment variable `SKELREP_MAX_GIGABYTES` raises that limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import TypeVar

Part = TypeVar("Part")

FREE_BYTES = 64 * 2**20
TIMES = 20
# An array of poses is checked, masked and often converted on its way into `Poses`: at the peak, about four arrays of
# its size are assumed to exist.
COPIES = 4


class MemoryBudget:
    """The memory that one file may take; call `claim` before allocating.

    Args:
        size: Bytes of the file, or of the files that are read together.
        path: The file, if there is only one.
    """

    def __init__(self, size: int, path: str | PathLike | None = None) -> None:
        """Creates an unused budget."""
        self.path = path
        self.limit = max(FREE_BYTES + TIMES * size, _asked())
        self.claimed = 0

    def claim(self, count: int) -> None:
        """Claims a number of bytes.

        Raises:
            ValueError: if the sum of all claims exceeds the limit.
        """
        self.claimed += count
        if self.claimed > self.limit:
            raise ValueError(
                f"it would take {self.claimed / 2**30:.2g} GB of memory or more, but a file of its size may "
                f"take {self.limit / 2**30:.2g} GB; split the recording, or the tracks of the people in it, or set the "
                f"environment variable SKELREP_MAX_GIGABYTES to {math.ceil(self.claimed / 2**30)} or more"
            )


_CURRENT: ContextVar[MemoryBudget | None] = ContextVar("skelrep_memory_budget", default=None)


def bounded(*sizes: int) -> None:
    """Claims the memory of a float32 array of this shape from the budget of the file that is being read.

    Outside `counted`, the limit for each array is 2^28 numbers, a gigabyte.

    Raises:
        ValueError: if the file's poses would take too much memory.
    """
    budget = _CURRENT.get() or MemoryBudget((2**30 * COPIES - FREE_BYTES) // TIMES)
    budget.claim(math.prod(sizes) * 4 * COPIES)


def budget_of(path: str | PathLike) -> MemoryBudget:
    """The budget of the file being read if it is this one, else a separate one, for example for a body model."""
    budget = _CURRENT.get()
    return budget if budget is not None and budget.path == path else MemoryBudget(Path(path).stat().st_size, path)


def is_counted() -> bool:
    """Whether a file is being read, and not an array that exists already."""
    return _CURRENT.get() is not None


def counted(parts: Iterator[Part], size: int, path: Path | None = None) -> Iterator[Part]:
    """The parts of a file of `size` bytes, or of several, all of whose arrays are counted against one budget."""
    budget = MemoryBudget(size, path)
    while True:
        before = _CURRENT.set(budget)
        try:
            part = next(parts, None)
        finally:
            _CURRENT.reset(before)
        if part is None:
            return
        yield part


def _asked() -> float:
    text = os.environ.get("SKELREP_MAX_GIGABYTES", "").strip()
    try:
        return float(text or 0) * 2**30
    except ValueError:
        raise ValueError(f"SKELREP_MAX_GIGABYTES must be a number, got {text[:40]!r}") from None
