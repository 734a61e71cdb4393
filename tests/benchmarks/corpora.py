"""A large made-up corpus, embedded by the command line: time and memory while it grows.

    python -m tests.benchmarks.corpora --clips 1000000 --folder FOLDER [--workers N] [--picture FILE.png] [--json]

Writes FOLDER/clips with files of 1000 clips (what is there is kept), runs `skelrep embed FOLDER/clips -o FOLDER/rows/`
as a user would, and reads the run's processor time and memory from the system (Linux only) at each shard. FOLDER/rows
stays; a run that was stopped is resumed by the same command, but its curve then begins where it resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS

CLIPS_PER_FILE = 1000
FRAMES = 16
SUBJECTS, ACTIONS = 500, 200
ROOT = Path(__file__).parents[2]


class Sample(NamedTuple):
    """A run after one of its shards."""

    rows: int  # of all shards so far
    elapsed: float  # seconds since the process began
    processor: float  # seconds, of the process and its workers
    resident: int  # bytes of memory of them
    peak: int  # bytes: the largest sum of their memory that was seen


def make_clips(folder: Path, count: int) -> None:
    """Writes `count` clips of one person of `FRAMES` frames, each an action of its own kind by one of many subjects.

    A clip is a pose at rest, of which all joints swing: the action decides where to and how fast, the subject the size
    and the own manner. Labels are unevenly frequent, as those of real corpora are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = SKELETONS["common-15"]
    rng = np.random.default_rng(0)
    rest = _rest()
    swings = rng.normal(0, 0.15, (ACTIONS, 2, len(skeleton), 3))
    speeds = rng.uniform(0.2, 1.0, (ACTIONS, 2))
    sizes = rng.uniform(0.8, 1.2, (SUBJECTS, 1, 1))
    manners = rng.normal(0, 0.03, (SUBJECTS, len(skeleton), 3))
    for number in range(-(-count // CLIPS_PER_FILE)):
        path = folder / f"{number:05}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([1, number])
        many = min(CLIPS_PER_FILE, count - number * CLIPS_PER_FILE)
        action = np.minimum(rng.geometric(0.02, many) - 1, ACTIONS - 1)
        subject = rng.integers(0, SUBJECTS, many)
        phase = rng.uniform(0, 2 * np.pi, (many, 1, 1)) + rng.normal(0, 0.3, (many, 1, 2))
        moment = np.sin(speeds[action][:, None] * np.arange(FRAMES)[:, None] + phase)  # (clips, frames, 2)
        moved = np.einsum("nts,nsvc->ntvc", moment, swings[action])
        points = sizes[subject][:, None] * (rest + manners[subject][:, None] + moved)
        points += rng.normal(0, 0.01, points.shape)
        Poses(
            list(points[:, None].astype(np.float32)),
            skeleton,
            [f"{i:03}" for i in range(many)],
            np.array([f"action {i:03}" for i in action]),
            30.0,
            info={"subject": subject},
        ).save(path)


def _rest() -> np.ndarray:
    """A person who stands, (15, 3) metres with y up, in the order of "common-15"."""
    joints = SKELETONS["common-15"].joints
    heights = {"hip": 0.95, "knee": 0.5, "ankle": 0.1, "shoulder": 1.45, "elbow": 1.15, "wrist": 0.9}
    aside = {"hip": 0.1, "knee": 0.1, "ankle": 0.1, "shoulder": 0.2, "elbow": 0.25, "wrist": 0.25}
    rest = np.zeros((len(joints), 3))
    for i, joint in enumerate(joints):
        side, _, part = joint.rpartition("_")
        if part in heights:
            rest[i, :2] = aside[part] * (1 if side == "left" else -1), heights[part]
        else:
            rest[i, 1] = {"mid_hips": 0.95, "mid_shoulders": 1.45, "head": 1.7}[joint]
    return rest


def embed(clips: Path, rows: Path, workers: int) -> Iterator[Sample]:
    """Runs the command, and yields a sample after each shard."""
    log = rows.with_suffix(".jsonl")
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "skelrep", "embed", str(clips), "-o", f"{rows}/", "--log", str(log), "-q"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([*command, "--workers", str(workers)], env=environment)
    started, seen, done = time.monotonic(), 0, 0
    processor, resident, peak = 0.0, 0, 0
    try:
        running = True
        while running:
            running = process.poll() is None
            if running:
                processor, resident = _usage(process.pid)
                peak = max(peak, resident)
            lines = log.read_text().splitlines() if log.exists() else []
            if len(lines) > seen:
                done += sum(json.loads(line)["rows"] for line in lines[seen:])
                seen = len(lines)
                yield Sample(done, time.monotonic() - started, processor, resident, peak)
            time.sleep(0.05)
    finally:
        process.terminate()
        code = process.wait()
    if code:
        raise SystemExit(f"skelrep embed ended with {code}")


def _usage(pid: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process and all that it has started."""
    seconds, resident = 0.0, 0
    for path in (Path(f"/proc/{each}") for each in _family(pid)):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # user and system
            resident += int((path / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):  # it has ended
            continue
    return seconds, resident


def _family(pid: int | str) -> list[int | str]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(each for child in children for each in _family(child))]


def at(samples: Sequence[Sample], rows: int) -> Sample:
    """The first sample with at least so many rows, else the last."""
    return next((sample for sample in samples if sample.rows >= rows), samples[-1])


def picture(samples: Sequence[Sample], path: str) -> None:
    """Draws processor time and memory over the number of rows."""
    import matplotlib.pyplot as plt

    rows = np.array([sample.rows for sample in samples])
    figure, (time_axis, memory_axis) = plt.subplots(1, 2, figsize=(7, 2.4), layout="constrained")
    time_axis.plot(rows / 1e3, [sample.processor for sample in samples])
    time_axis.set(xlabel="thousand clips", ylabel="CPU seconds", ylim=0)
    memory_axis.plot(rows / 1e3, [sample.resident / 1e6 for sample in samples], label="at the time")
    memory_axis.plot(rows / 1e3, [sample.peak / 1e6 for sample in samples], label="peak")
    memory_axis.set(xlabel="thousand clips", ylabel="memory (MB)", ylim=0)
    memory_axis.legend()
    figure.savefig(path, dpi=150)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.corpora",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clips", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, required=True, help="3 GB for clips and 6 GB for rows of a million")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--picture", metavar="FILE.png", help="a picture of the curve (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="all samples as one JSON document")
    arguments = parser.parse_args(words)
    clips = arguments.folder / "clips"
    make_clips(clips, arguments.clips)
    samples = list(embed(clips, arguments.folder / "rows", arguments.workers))
    if not samples:
        raise SystemExit("nothing was to be made: give a new folder")
    if arguments.picture:
        picture(samples, arguments.picture)
    if arguments.json:
        print(json.dumps([sample._asdict() for sample in samples]))
        return
    for line in table(samples):
        print(line)


def table(samples: Sequence[Sample]) -> list[str]:
    """The curve at its first shard, at powers of ten and at its end, as a table in Markdown."""
    last = samples[-1].rows
    wanted = [samples[0].rows, *(10**power for power in range(4, 10) if 10**power < last), last]
    lines = ["| embedded | CPU seconds | elapsed | memory at the time | peak |", "|---|---|---|---|---|"]
    for sample in dict.fromkeys(at(samples, rows) for rows in wanted):
        megabytes: Any = (f"{size / 1e6:.0f} MB" for size in (sample.resident, sample.peak))
        lines.append(f"| {sample.rows} | {sample.processor:.1f} | {sample.elapsed:.0f} s | {' | '.join(megabytes)} |")
    return lines


if __name__ == "__main__":
    main()
