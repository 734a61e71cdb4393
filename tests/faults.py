"""Faults of the system at a chosen moment: the process dies, or a call of the system fails.

Moments are the calls with which `skelrep.files` writes: every write to a temporary file, its fsync, and the renaming.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from skelrep import files
from skelrep.cli import main


class Moments:
    """Counts the calls; `reached` says whether the chosen one happened."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self.number, self.act, self.count = number, act, 0

    @property
    def reached(self) -> bool:
        return self.count > self.number

    def before(self, call: Callable) -> Callable:
        def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.number + 1:
                self.act()
            return call(*args, **options)

        return counted


@contextlib.contextmanager
def at(number: int, act: Callable[[], None]) -> Iterator[Moments]:
    """Acts before the call of this number."""
    moments = Moments(number, act)
    write, replace = files._Raw.write, Path.replace

    def refused(raw: files._Raw, data: Any, /) -> int:
        try:
            moments.before(int)()
        except OSError as error:
            raw.refused = error
            raise
        return write(raw, data)

    with (
        mock.patch.object(files._Raw, "write", refused),
        mock.patch.object(os, "fsync", moments.before(os.fsync)),
        mock.patch.object(Path, "replace", moments.before(replace)),
    ):
        yield moments


def failing(number: int) -> Callable[[], None]:
    """The system refuses with this errno."""

    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act


def dying() -> None:
    """The process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def command_until(arguments: list[str], number: int) -> None:
    """A command of skelrep, in a process of its own, that is killed before the call of this number."""
    import torch

    torch.set_num_threads(1)
    with at(number, dying):
        raise SystemExit(main(arguments))


def command(arguments: list[str]) -> None:
    """A command of skelrep, in a process of its own."""
    import torch

    torch.set_num_threads(1)
    raise SystemExit(main(arguments))
