"""Start-up time of the package and of the command."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.measuring import (
    Row,
    ratio,
    rounds,
)
from tests.benchmarks.workloads import Sizes

COMMANDS = {
    "python": ["-c", "pass"],
    "import skelrep": ["-c", "import skelrep"],
    "skelrep --help": ["-m", "skelrep", "--help"],
    "import torch": ["-c", "import torch"],
    "skelrep embed": ["-m", "skelrep", "embed", "clip.npy", "--skeleton", "kinect-20", "-q"],
}


def startup(sizes: Sizes) -> list[Row]:
    """Whole processes, beside a bare interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "clip.npy", np.random.default_rng(0).normal(size=(90, 20, 3)))

        def start(arguments: list[str]) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder)

        cases = {name: functools.partial(start, arguments) for name, arguments in COMMANDS.items()}
        seconds = rounds(sizes.rounds, cases, warm=sizes.rounds > 1)
    median = {name: float(np.median(times)) for name, times in seconds.items()}
    imported = float(np.median(seconds["import skelrep"] - seconds["python"]))
    return [
        Row("a bare interpreter", median["python"], "s"),
        Row("import skelrep, beyond that", imported, "s", at_most=0.05),
        Row("skelrep --help", median["skelrep --help"], "s", at_most=0.1),
        Row("skelrep embed of one clip", median["skelrep embed"], "s"),
        Row("of that, importing torch", 100 * ratio(seconds, "import torch", "skelrep embed"), "%", at_least=50),
    ]
