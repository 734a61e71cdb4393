"""Evaluation at the size of NTU RGB+D 60: the linear probe, neighbours among copies, and in a corpus on the disk.

    python -m tests.benchmarks.evaluation_scale FOLDER [--only probe copies corpus groups] [--rows N] [--dim D]

The rows are made up: classes that overlap, subjects that differ, and columns that are correlated as in embeddings,
where the variances along the principal axes fall by five orders of magnitude. For `copies`, rows share a hundredth of
as many contents. `corpus` and `groups` run `skelrep knn --leave-one-out`, without and with `--groups subject`, on a
folder of shards, which stays. Each measurement runs in a process of its own, which reports its processor time and its
largest memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep import corpus, knn_eval, linear_eval
from skelrep.cli.main import main as skelrep
from skelrep.io.embeddings import Embeddings
from tests.benchmarks.made_up_corpus import MODEL, write_corpus

ROOT = Path(__file__).parents[2]
TRAIN, TEST = 40_091, 16_487  # clips of the cross-subject split
CLASSES, SUBJECTS = 60, 40
INFORMATIVE = 64  # principal axes along which classes differ
COPIES = 100


class Labelled(NamedTuple):
    """(N, D) float32 rows, their (N,) classes and (N,) subjects."""

    rows: np.ndarray
    codes: np.ndarray
    subjects: np.ndarray


def made_up(count: int, dim: int, seed: int, subjects: range) -> Labelled:
    """Rows of some of the subjects; a seed gives other clips of the same classes and subjects."""
    common, own = np.random.default_rng(0), np.random.default_rng([seed, count])
    deviation = (1 / np.arange(1, dim + 1)).astype(np.float32)  # along the principal axes
    axes = np.linalg.qr(common.standard_normal((dim, dim), dtype=np.float32))[0]
    means = 0.45 * common.standard_normal((CLASSES, dim), dtype=np.float32)
    means[:, INFORMATIVE:] = 0
    persons = 0.5 * common.standard_normal((SUBJECTS, dim), dtype=np.float32)
    codes, who = own.integers(0, CLASSES, count), own.integers(subjects.start, subjects.stop, count)
    rows = own.standard_normal((count, dim), dtype=np.float32)
    rows += means[codes]
    rows += persons[who]
    rows *= deviation
    return Labelled(rows @ axes.T, codes, who)


def halves(count: int, dim: int) -> tuple[Labelled, Labelled]:
    """So many training rows, and test rows of other subjects."""
    half = range(SUBJECTS // 2), range(SUBJECTS // 2, SUBJECTS)
    return made_up(count, dim, 1, half[0]), made_up(max(1, count * TEST // TRAIN), dim, 2, half[1])


def probe(folder: Path, count: int, dim: int) -> dict[str, Any]:
    """`linear_eval`, with C chosen by cross-validation over subjects."""
    train, test = halves(count, dim)
    started = time.process_time()
    found = linear_eval(train.rows, train.codes, test.rows, test.codes, groups=train.subjects)
    seconds = time.process_time() - started
    assert found.cross_validation is not None
    return {"CPU s": seconds, "accuracy": found.accuracy, "C": found.C, "of each C": found.cross_validation["mean"]}


def copies(folder: Path, count: int, dim: int) -> dict[str, Any]:
    """`knn_eval` where each row has about a hundred equal ones, and of as many rows without copies."""
    figures: dict[str, Any] = {}
    train, test = halves(count, dim)
    rng = np.random.default_rng(0)
    contents = max(1, count // COPIES)
    among = rng.integers(0, contents, len(train.rows)), rng.integers(0, contents, len(test.rows))
    equal = (train.rows[:contents][among[0]], train.rows[:contents][among[1]])
    for name, (bank, queries) in {"copies": equal, "none": (train.rows, test.rows)}.items():
        started = time.process_time()
        found = knn_eval(bank, train.codes, queries, test.codes, k=(1, 5))
        figures |= {f"{name}, CPU s": time.process_time() - started, f"{name}, 1-NN": found.accuracy[1]}
    return figures


def make(folder: Path, count: int, dim: int) -> dict[str, Any]:
    """Writes a corpus of rows of all subjects; parts that exist are kept."""

    def part_of(number: int, positions: range) -> Embeddings:
        some = made_up(len(positions), dim, 10 + number, range(SUBJECTS))
        ids = [f"S001C001P{who + 1:03}R001A{code + 1:03}_{i:08}" for i, code, who in zip(positions, *some[1:])]
        return Embeddings(some.rows, np.array(ids), some.codes, {"subject": some.subjects}, MODEL)

    write_corpus(folder / f"{count}x{dim}", count, dim, part_of)
    return {"rows": len(corpus.open(folder / f"{count}x{dim}"))}


def neighbours(folder: Path, count: int, dim: int, *options: str) -> dict[str, Any]:
    """`skelrep knn --leave-one-out` on the corpus."""
    if code := skelrep(["knn", str(folder / f"{count}x{dim}"), "--leave-one-out", *options]):
        raise SystemExit(code)
    return {"matrix MB": 4 * count * dim / 1e6}


def groups(folder: Path, count: int, dim: int) -> dict[str, Any]:
    """The same among the rows of other subjects."""
    return neighbours(folder, count, dim, "--groups", "subject")


STAGES: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {
    "probe": probe,
    "copies": copies,
    "make": make,
    "corpus": neighbours,
    "groups": groups,
}


def in_a_process(stage: str, folder: Path, count: int, dim: int) -> dict[str, Any]:
    """The figures of a stage, with the processor time and the memory of its process."""
    command = [sys.executable, "-m", "tests.benchmarks.evaluation_scale", str(folder), "--stage", stage]
    process = subprocess.Popen(
        [*command, "--rows", str(count), "--dim", str(dim)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
    whole = {"process, CPU s": used.ru_utime + used.ru_stime, "memory MB": used.ru_maxrss * 1024 / 1e6}
    return json.loads(said.splitlines()[-1]) | whole


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.evaluation_scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for corpora")
    parser.add_argument("--rows", type=int, default=TRAIN, help="default: %(default)s")
    parser.add_argument("--dim", type=int, default=384, help="default: %(default)s")
    named = [stage for stage in STAGES if stage != "make"]
    parser.add_argument("--only", nargs="+", choices=named, default=named, help="default: all")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)  # in this process
    arguments = parser.parse_args(words)
    folder, sizes = arguments.folder.absolute(), (arguments.rows, arguments.dim)
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](folder, *sizes)))
        return
    for stage in arguments.only:
        if STAGES[stage] in (neighbours, groups):
            in_a_process("make", folder, *sizes)
        print(f"\n{stage}")
        for name, value in in_a_process(stage, folder, *sizes).items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
