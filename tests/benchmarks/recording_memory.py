"""Memory and processor time of the commands for recordings, for made-up recordings of 6, 60 and 180 minutes.

    python -m tests.benchmarks.recording_memory [--minutes 6 60 180] [--folder FOLDER]

Each command runs in a process of its own; the figure is the largest resident memory of this process, in MB. The poses
are 20 joints at 30 frames per second in an `.npz`, 26 MB an hour. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from skelrep import Poses

ROOT = Path(__file__).parents[2]
PIECE = 6  # minutes that are made at once
COMMANDS = {
    "predict": ("predict", "head", "{0}", "--segments", "-o", "segments.csv"),
    "detect": ("detect", "example.npz", "{0}", "-o", "events.csv"),
    "segment": ("segment", "{0}", "-o", "changes.csv"),
}


def made_up(minutes: int) -> Poses:
    """A person who does one thing after the other, in random order."""
    motion = _motion()
    parts = []
    for piece in range(-(-minutes // PIECE)):
        actions = np.random.default_rng(piece).permutation(list(motion.ACTIONS) * 18).tolist()
        [clip] = motion.make_recording(actions, seed=piece)[0].clips
        parts.append(clip[:, : PIECE * 60 * 30])
    clip = np.concatenate(parts, axis=1)[:, : minutes * 60 * 30]
    assert clip.shape[1] == minutes * 60 * 30, "actions for too short a time"
    return Poses([clip], "kinect-20", ids=[f"{minutes} minutes"], fps=30)


def _motion():
    spec = importlib.util.spec_from_file_location("motion", ROOT / "examples" / "motion.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peak(words: list[str], folder: Path) -> tuple[float, float]:
    """The largest resident memory in MB and the processor seconds of a command of skelrep."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "skelrep", *words, "-q"], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"skelrep {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, nargs="+", default=[6, 60, 180])
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--folder", type=Path, help="for the recordings (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        clips = _motion().make_clips(60)
        clips.save(folder / "clips.npz")
        clips.select(labels="squat")[:1].save(folder / "example.npz")
        peak(["fit", "clips.npz", "-o", "head"], folder)
        for minutes in arguments.minutes:
            if not (folder / f"{minutes}.npz").exists():
                made_up(minutes).save(folder / f"{minutes}.npz")
            for name in arguments.only:
                memory, seconds = peak([word.format(f"{minutes}.npz") for word in COMMANDS[name]], folder)
                line = {"command": name, "minutes": minutes, "MB": round(memory), "processor s": round(seconds, 1)}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
