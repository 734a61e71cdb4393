"""The memory that a block takes, also that of C libraries; measured on Linux only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path


def peak() -> int:
    """The most memory that the process has held since the last call, and from now on anew, in kB."""
    status = Path("/proc/self/status").read_text()
    found = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark becomes what is held now
    return found


@contextlib.contextmanager
def peak_below(megabytes: float) -> Iterator[None]:
    """Asserts that the block takes less memory than this beyond what the process holds already."""
    if sys.platform != "linux":
        yield
        return
    peak()
    before = peak()
    yield
    assert peak() - before < megabytes * 1024
