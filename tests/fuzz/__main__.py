"""`python -m tests.fuzz`: a table of outcomes for every format."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.fuzz.run import Worker, fuzz
from tests.fuzz.seeds import SEEDS, SLOW

OUTCOMES = ("clean", "accepted", "crash", "hang", "memory")
SLOWER = 5  # slow formats get a fifth of the cases of the others


def main() -> int:
    """Prints the table; 1 where there is a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Damaged inputs for every reader and store."
    )
    parser.add_argument("--cases", type=int, default=6000, help="over all formats (default: %(default)s)")
    parser.add_argument("--formats", nargs="+", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder to keep faulty inputs in")
    parser.add_argument("--show", type=int, default=3, help="faults shown of each format (default: %(default)s)")
    arguments = parser.parse_args()
    faulty, worker = False, Worker()  # one for all: what it imports takes longer than many cases
    print(f"{'':20s}{'tried':>8s}" + "".join(f"{outcome:>10s}" for outcome in OUTCOMES))
    for format in arguments.formats:
        cases = -(-arguments.cases // len(arguments.formats)) // (SLOWER if format in SLOW else 1)
        report = fuzz(format, cases, arguments.seed, arguments.keep, worker)
        print(f"{format:20s}{cases:8d}" + "".join(f"{report.counts[outcome]:10d}" for outcome in OUTCOMES), flush=True)
        for outcome, error, kept in report.faults[: arguments.show]:
            print(f"    {outcome}: {error[:300]} {kept}")
        faulty |= bool(report.faults)
    worker.close()
    return int(faulty)


if __name__ == "__main__":
    raise SystemExit(main())
