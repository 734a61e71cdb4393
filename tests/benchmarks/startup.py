"""How long does it take to start? Medians of whole processes, beside a bare interpreter in the same run.

python -m tests.benchmarks.startup [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES = {
    "python -c pass": ["-c", "pass"],
    "import skelrep": ["-c", "import skelrep"],
    "skelrep --help": ["-m", "skelrep", "--help"],
    "import torch": ["-c", "import torch"],
    "skelrep embed clip.npy": ["-m", "skelrep", "embed", "clip.npy", "--skeleton", "kinect-20", "-q"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "clip.npy", np.random.default_rng(0).normal(size=(90, 20, 3)))
        for _ in range(arguments.rounds):  # interleaved, so that a busy moment of the machine meets all of them
            for name, command in CASES.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=folder)
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    if arguments.json:
        print(json.dumps(medians, indent=2))
        return
    bare = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:25s} {median:7.3f} s  {median / bare:6.1f} x a bare interpreter")


if __name__ == "__main__":
    main()
