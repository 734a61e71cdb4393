"""All measurements of speed and their targets as one table.

    python -m tests.benchmarks [--only NAME ...] [--threads N] [--json] [--quick] [--hidden N]

See tests/benchmarks/performance.py for what is measured and measuring.py for how. "of limit" is the fraction of the
rate of the machine's fastest matrix product in the same precision. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the measurements; an unknown one lists them")
    parser.add_argument("--threads", type=int, help="of every library; by default what each of them chooses")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that it works; goals are not for these"
    )
    parser.add_argument(
        "--hidden", type=int, help="of the GRUs in training; by default 1024 as in the paper, which takes minutes"
    )
    arguments = parser.parse_args(words)
    if arguments.threads:  # before any library is loaded, and for the processes that are started
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[variable] = str(arguments.threads)

    import torch

    from tests.benchmarks import performance
    from tests.benchmarks.workloads import QUICK, Sizes

    chosen = arguments.only or list(performance.MEASUREMENTS)
    if unknown := [name for name in chosen if name not in performance.MEASUREMENTS]:
        parser.error(f"no measurement is called {unknown[0]!r}; there are {', '.join(performance.MEASUREMENTS)}")
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.hidden:
        sizes = dataclasses.replace(sizes, trained_hidden=arguments.hidden)

    show = (lambda *_, **__: None) if arguments.json else print
    document: dict = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "quick": arguments.quick,
        "measurements": {},
    }
    show(", ".join(f"{key} {value}" for key, value in document.items() if key not in ("measurements", "quick")))
    if arguments.quick:
        show("small sizes: the goals are not for these")
    show(f"{'':72s} {'figure':>10s} {'':8s} {'goal':>8s} {'of limit':>9s}")
    missed = 0
    for name in chosen:
        begin = time.perf_counter()
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows = performance.MEASUREMENTS[name](sizes)
        seconds = time.perf_counter() - begin
        document["measurements"][name] = [row._asdict() | {"met": row.met} for row in rows]
        missed += sum(row.met is False for row in rows)
        show(f"\n{name} ({seconds:.0f} s)" + ("" if rows else ": nothing to measure here"))
        for row in rows:
            show(line(row), flush=True)
    show(f"\n{missed} goals missed" if missed else "\nno goal missed")
    if arguments.json:
        print(json.dumps(document, indent=2))


def line(row) -> str:  # noqa: ANN001
    goals = [f"{sign} {goal:.4g}" for sign, goal in ((">=", row.at_least), ("<=", row.at_most)) if goal is not None]
    # Five digits, and cosines near one to the digit that matters.
    figure = f"{row.figure:10.6f}" if row.unit == "" else f"{row.figure:10.4g}"
    fraction = "" if row.of_limit is None else f"{100 * row.of_limit:.0f} %"
    mark = "  MISSED" if row.met is False else ""
    return f"  {row.name:70s} {figure} {row.unit:8s} {' '.join(goals):>8s} {fraction:>9s}{mark}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(part.split(":")[1].strip() for part in lines if part.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
