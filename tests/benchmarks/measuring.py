"""Measuring time and memory, and the rows of the table.

A ratio is the median over rounds of two times of the same round, after a warm-up, so that a busy moment of the machine
affects both. The limit is the rate of the fastest matrix product that torch, numpy or `skelrep.matmul.Product` reaches
in the same rounds; what a case needs is counted by formula.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from skelrep.matmul import PRECISIONS, Product
from tests.corpus_data import another_process


class Row(NamedTuple):
    """One line of the table."""

    name: str
    figure: float
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None
    of_limit: float | None = None  # fraction of the fastest product's rate

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.figure >= self.at_least) and (
            self.at_most is None or self.figure <= self.at_most
        )


Seconds = dict[str, np.ndarray]


def rounds(count: int, cases: dict[str, Callable[[], Any]], warm: bool = True) -> Seconds:
    """Wall-clock seconds of every case, (count,) each, in turns. A case that returns a float has timed itself."""
    if warm:
        for case in cases.values():
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(count):
        for name, case in cases.items():
            begin = time.perf_counter()
            own = case()
            seconds[name].append(own if isinstance(own, float) else time.perf_counter() - begin)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times as long the one takes as the other: the median over rounds."""
    return float(np.median(seconds[slow] / seconds[fast]))


def rate(seconds: Seconds, case: str, units: float) -> float:
    return float(units / np.median(seconds[case]))


@functools.cache
def products(side: int, device: str = "cpu") -> dict[str, dict[str, Callable[[], Any]]]:
    """Products of square matrices: for each precision by what makes them, without those that the machine has not."""
    one, other = torch.rand(2, side, side, device=device) - 0.5
    found: dict[str, dict[str, Callable[[], Any]]] = {}
    for precision in PRECISIONS if device == "cpu" else PRECISIONS[:2]:
        kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}[precision]
        a, b = ((254 * x).round().to(kind) if precision == "int8" else x.to(kind) for x in (one, other))
        product = torch._int_mm if precision == "int8" else torch.mm
        cases = {"torch": synchronised(functools.partial(product, a, b), device)}
        if device == "cpu":
            cases["skelrep"] = functools.partial(Product(other, torch.zeros(side), precision), one)
        if device == "cpu" and precision == "float32":
            cases["numpy"] = functools.partial(np.matmul, one.numpy(), other.numpy())
        for maker, case in cases.items():
            try:
                case()
            except RuntimeError:  # an operator that this torch or this machine lacks
                continue
            found.setdefault(precision, {})[maker] = case
    return found


class Peak(NamedTuple):
    """The fastest matrix product of a precision."""

    run: Callable[[], Any]
    operations: float


@functools.cache
def peaks(side: int, device: str = "cpu") -> dict[str, Peak]:
    """By precision."""
    found = {}
    for precision, makers in products(side, device).items():
        seconds = rounds(3, makers)
        fastest = min(makers, key=lambda maker: np.median(seconds[maker]))
        found[precision] = Peak(makers[fastest], 2.0 * side**3)
    return found


@functools.cache
def bandwidth(device: str = "cpu") -> float:
    """Bytes a second that a copy of large arrays reads and writes."""
    source = torch.ones(2**28 if device != "cpu" else 2**25, device=device)  # beyond every cache
    target = torch.empty_like(source)
    copy = synchronised(lambda: target.copy_(source), device)
    return 2.0 * source.nbytes / float(np.median(rounds(5, {"copy": copy})["copy"]))


def with_peaks(limits: dict[str, Peak], cases: dict[str, Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    return {**cases, **{f"peak {precision}": peak.run for precision, peak in limits.items()}}


def of_limit(
    seconds: Seconds, case: str, operations: float, limits: dict[str, Peak], precision: str = "float32"
) -> float:
    """Fraction of the fastest product's rate that a case of so many operations reaches: the median over rounds."""
    return ratio(seconds, f"peak {precision}", case) * operations / limits[precision].operations


def synchronised(case: Callable[[], Any], device: str) -> Callable[[], Any]:
    """On a GPU a case ends when its last kernel does."""
    if device == "cpu":
        return case

    def run() -> Any:
        torch.cuda.synchronize()
        result = case()
        torch.cuda.synchronize()
        return result

    return run


def _own_bytes() -> int:
    """Resident memory of this process that is no file's: a memory map costs none."""
    resident, shared = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * 4096


def _report_peak(sender: Any, make: Callable[..., Callable[[], Any]], arguments: tuple) -> None:
    work = make(*arguments)
    before, most, over = _own_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, _own_bytes())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    over.set()
    watcher.join()
    sender.send(most - before)


def extra_megabytes(make: Callable[..., Callable[[], Any]], *arguments: Any) -> float | None:
    """The most memory that `make(*arguments)()` has beyond what it was made with, in a process with a fresh heap.

    None where the system does not tell (other than Linux).
    """
    if not Path("/proc/self/statm").exists():
        return None
    receiver, sender = Pipe(duplex=False)
    process = another_process(_report_peak, sender, make, arguments)
    process.start()
    sender.close()
    most = receiver.recv()  # EOFError if the process died
    process.join()
    return most / 1e6
