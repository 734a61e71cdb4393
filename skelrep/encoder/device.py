"""Choosing the device to compute on, the number of threads, and how much freed memory is kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

# Several threads share each product and wait for the last of them. With fewer clips a product takes less than a
# millisecond; if another process uses one of the cores, the wait for it takes several, some thousand times per clip.
THREADED_CLIPS = 8

_LOCK = threading.Lock()
_limited = 0  # calls that use one thread at the moment
_before = 1  # the number of threads before the first of them


def as_device(device: torch.device | str | None) -> torch.device:
    """The device with this name; None means a GPU if there is one, else the CPU.

    Raises:
        ValueError: if there is no such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f"there is no device {str(device)!r}; available: {', '.join(usable)}") from error
    return found


def _after_fork() -> None:
    global _LOCK, _limited
    _LOCK, _limited = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def threads_for(clips: int, device: torch.device) -> Iterator[None]:
    """Uses one thread of a CPU while few clips are embedded, so that a busy core does not delay them.

    Args:
        clips: Number of clips that are embedded together; below `THREADED_CLIPS`, one thread is used.
        device: Where they are embedded.
    """
    global _limited, _before
    if clips >= THREADED_CLIPS or device.type != "cpu":
        yield
        return
    with _LOCK:
        before = torch.get_num_threads()
        if _limited and before == 1:  # of a thread of the caller that began meanwhile, and took over the limit
            before = _before
        _limited, _before = _limited + 1, before
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _limited -= 1
            torch.set_num_threads(before)


@contextmanager
def pool_of_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that share the threads of a CPU: each of `workers` uses its part of them for an operation."""
    before = torch.get_num_threads()
    together = threading.Barrier(workers + 1)

    def limit() -> None:
        torch.get_num_threads()  # a thread's first call of this, or of an operation, sets its number to the default
        torch.set_num_threads(max(1, before // workers))
        together.wait()

    with ThreadPoolExecutor(workers, "skelrep") as pool:
        with _LOCK:
            try:
                for _ in range(workers):  # each waits, so that each has a thread of its own
                    pool.submit(limit)
                together.wait()
            finally:
                together.abort()  # does nothing if all are there; else one of them could not be started
                torch.set_num_threads(before)  # has changed the default for threads that the caller starts later
        yield pool


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_kept = 0


def keep_freed_memory(size: int) -> None:
    """Lets glibc keep up to `size` bytes of freed memory for later, in the whole process; more than before, never less.

    Otherwise, depending on the order of blocks in memory, glibc returns what a batch or a training step has freed to
    the system, which clears it before the next one: a tenth of the time on a CPU. Blocks of more than 32 MB are still
    returned.
    """
    global _kept
    if size <= _kept:
        return
    _kept = size
    with contextlib.suppress(OSError, AttributeError):  # another operating system, or another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_TRIM_THRESHOLD, size)
        mallopt(_MMAP_THRESHOLD, 2**25)  # the largest allowed value
