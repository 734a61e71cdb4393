"""Embedding of clips that were converted once, beside the network alone: what reading, preparing and writing add.

    python -m tests.benchmarks.second_run FILE [--clips 4000] [--rounds 3]

FILE is what `skelrep convert` writes, such as a .npz. In turns, in one process: the network on clips that are prepared
already, `Encoder.embed` on clips in memory, and `corpus.embed`, which writes a folder, of the file and of what `skelrep
prepare --to common-15` makes of it. Prints the clips of each per second of processor time, best of the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from skelrep import corpus, load_pretrained
from skelrep.encoder.inference import embed_prepared
from skelrep.io import read
from skelrep.train.prepare import prepare

BATCH = 64  # as `embed` takes on a CPU


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.second_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--clips", type=int, default=4000, help="at most so many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    arguments = parser.parse_args(words)
    encoder = load_pretrained("i2md-small")
    names = encoder.config.modalities
    poses = read(arguments.file)[: arguments.clips]
    batches = [encoder.prepare_weighted(poses[at : at + BATCH]) for at in range(0, len(poses), BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clips.npz"
        poses.save(file)
        prepare([str(file)], f"{folder}/corpus", skeleton=encoder.skeleton)

        @torch.inference_mode()
        def network() -> None:
            for prepared in batches:
                embed_prepared(encoder, prepared, lambda x: encoder.features(x, names))

        def preprocess() -> None:
            for at in range(0, len(poses), BATCH):
                encoder.prepare_weighted(poses[at : at + BATCH])

        def embed() -> None:
            encoder.embed(poses, show_progress=False)

        def whole(inputs: str | Path) -> None:
            with tempfile.TemporaryDirectory() as rows:
                corpus.embed(inputs, f"{rows}/rows", encoder, workers=1)

        cases: dict[str, Callable[[], None]] = {
            "the network alone": network,
            "preprocessing alone": preprocess,
            "embed, clips in memory": embed,
            "embed of a file into a folder": lambda: whole(file),
            "embed of a prepared corpus into a folder": lambda: whole(f"{folder}/corpus"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(arguments.rounds):
            for name, case in cases.items():
                seconds[name].append(_seconds(case))
    for name, spent in seconds.items():
        print(f"{name}: {len(poses) / min(spent):.0f} clips per CPU second, {min(spent):.2f} s", flush=True)


def _seconds(case: Callable[[], None]) -> float:
    started = time.process_time()
    case()
    return time.process_time() - started


if __name__ == "__main__":
    main()
