"""The loop: damage a seed, have it read, count what happened."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutators import damage
from tests.fuzz.seeds import SEEDS

SECONDS = 10.0  # of the processor that a case may take, as the project promises
WAIT = 300.0  # for what is imported before the first case of a kind, and for other programs on a busy machine
MEGABYTES = 64.0  # beside which an input may take `TIMES` its size
TIMES = 20


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
    """A process that damages and reads inputs, started anew when one ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, job: dict) -> dict:
        """The answer about an input as it is."""
        return next(self.answers(job, 1))

    def answers(self, job: dict, count: int) -> Iterator[dict]:
        """The answers to a job; a hang or a crash of the process is the last one."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": ""},
                cwd=Path(__file__).parents[2],
                bufsize=0,  # a buffer would hold answers that `select` does not see
            )
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        for number in range(count):
            first = "first" not in job or number == 0
            if not self._ready(SECONDS + (WAIT if first else 0)):
                self.close()
                yield {"outcome": "hang", "error": f"over {SECONDS:g} s", "sentence": "", "megabytes": 0.0, "size": 0}
                return
            if not (line := process.stdout.readline()):
                code = process.wait()
                self.close()
                error = f"process ended with {code}"
                yield {"outcome": "crash", "error": error, "sentence": "", "megabytes": 0.0, "size": 0}
                return
            yield json.loads(line)

    def _ready(self, seconds: float) -> bool:
        """Waits for an answer; false where it takes so much of the processor, or the process waits for something."""
        assert self.process is not None and self.process.stdout is not None
        begun, until = self._processor_seconds(), time.monotonic() + WAIT + seconds
        while not select.select([self.process.stdout], [], [], 1)[0]:
            if self._processor_seconds() - begun > seconds or time.monotonic() > until:
                return False
        return True

    def _processor_seconds(self) -> float:
        assert self.process is not None
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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
        worker: Damages and reads, and goes on living; by default one is started for these cases.
    """
    report, name = Report(), f"{format} {seed}"
    own = worker is None
    worker = worker or Worker()
    with tempfile.TemporaryDirectory() as folder:
        original = SEEDS[format](Path(folder))
        contents = {path: path.read_bytes() for path in original.damaged}
        try:
            answer = worker.ask(original.job())
            assert answer["outcome"] == "accepted", f"the seed of {format} itself is not read: {answer}"
            number = 0
            while number < cases:
                for path, content in contents.items():  # a process that ended left the last one damaged
                    path.write_bytes(content)
                job = original.job() | {"name": name, "first": number, "cases": cases}
                for answer in worker.answers(job, cases - number):
                    _count(report, answer)
                    if answer["outcome"] in ("crash", "hang", "memory"):
                        kept = "" if keep is None else str(keep / f"{format}-{seed}-{number}")
                        if keep is not None:
                            _keep(contents, name, number, Path(folder), Path(kept))
                        report.faults.append((answer["outcome"], f"{answer['error']}: {answer['sentence']}", kept))
                    number += 1
        finally:
            if own:
                worker.close()
    return report


def _count(report: Report, answer: dict) -> None:
    """Counts an answer; what took too much memory becomes a fault."""
    size = answer["size"] / 2**20
    if answer["megabytes"] > MEGABYTES + TIMES * size and answer["outcome"] in ("clean", "accepted"):
        answer |= {"outcome": "memory", "error": f"{answer['megabytes']:.0f} MB of {size:.3f} MB"}
    report.counts[answer["outcome"]] += 1


def _keep(contents: dict[Path, bytes], name: str, number: int, folder: Path, kept: Path) -> None:
    """Stores a case, made again in a copy of the folder, because the worker is already at the next one."""
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    copies = {kept / path.relative_to(folder): content for path, content in contents.items()}
    for path, content in copies.items():
        path.write_bytes(content)
    damage(copies, name, number)
