"""The loop: damage a seed, have it read, count what happened."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutators import mutators
from tests.fuzz.seeds import SEEDS, Seed

SECONDS = 10.0  # that a case may take, as the project promises
FIRST = 120.0  # for what a new process imports before its first case, or a new kind of input
MEGABYTES = 64.0  # beside which an input may take `TIMES` its size
TIMES = 20
LARGEST = 2**20  # bytes of an input: repetitions of repetitions would fill the memory of the harness itself


@dataclass
class Report:
    """The outcomes of the cases of one format.

    Attributes:
        counts: Cases by outcome: "clean", "accepted", "crash", "hang", "memory".
        faults: (outcome, error, where the case is kept) of every case that is neither clean nor accepted.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str, str]] = field(default_factory=list)


class Worker:
    """A process that reads cases, started anew when one ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, case: dict, seconds: float = SECONDS) -> dict:
        if self.process is None:
            seconds = FIRST
            environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": ""}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=Path(__file__).parents[2],
            )
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(case).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], seconds)[0]:
                self.close()
                return {"outcome": "hang", "error": f"over {seconds:g} s", "sentence": "", "megabytes": 0.0}
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = process.wait()
            self.close()
            return {"outcome": "crash", "error": f"process ended with {code}", "sentence": "", "megabytes": 0.0}
        return json.loads(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def fuzz(format: str, cases: int, seed: int = 0, keep: Path | None = None, worker: Worker | None = None) -> Report:
    """Damages the seed of a format `cases` times.

    Args:
        format: A name in `seeds.SEEDS`.
        cases: How often.
        seed: Of the random numbers; the same cases come of the same seed.
        keep: A folder to keep faulty inputs in; by default they are lost.
        worker: Reads the cases, and goes on living; by default one is started for these cases.
    """
    report, rng = Report(), random.Random(f"{format} {seed}")
    own = worker is None
    worker = worker or Worker()
    with tempfile.TemporaryDirectory() as folder:
        original = SEEDS[format](Path(folder))
        contents = {path: path.read_bytes() for path in original.damaged}
        try:
            answer = worker.ask(_case(original), FIRST)
            assert answer["outcome"] == "accepted", f"the seed of {format} itself is not read: {answer}"
            for number in range(cases):
                path = rng.choice(original.damaged)
                data = contents[path]
                for _ in range(rng.choice((1, 1, 1, 2, 3))):
                    data = rng.choice(mutators(path.name))(data, rng)[:LARGEST]
                path.write_bytes(data)
                answer = worker.ask(_case(original))
                size = sum(file.stat().st_size for file in original.damaged) / 2**20
                if answer["megabytes"] > MEGABYTES + TIMES * size and answer["outcome"] in ("clean", "accepted"):
                    answer |= {"outcome": "memory", "error": f"{answer['megabytes']:.0f} MB of {size:.3f} MB"}
                report.counts[answer["outcome"]] += 1
                if answer["outcome"] not in ("clean", "accepted"):
                    kept = ""
                    if keep is not None:
                        kept = str(keep / f"{format}-{seed}-{number}")
                        shutil.copytree(folder, kept, dirs_exist_ok=True)
                    report.faults.append((answer["outcome"], f"{answer['error']}: {answer['sentence']}", kept))
                path.write_bytes(contents[path])
        finally:
            if own:
                worker.close()
    return report


def _case(seed: Seed) -> dict:
    return {"kind": seed.kind, "path": str(seed.path), "options": seed.options}
