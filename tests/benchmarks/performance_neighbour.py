"""One clip and one frame of a stream beside another process that uses a core, against the same without it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from skelrep import load_pretrained
from skelrep.encoder import Encoder
from skelrep.poses import as_poses
from tests.benchmarks.measuring import Row
from tests.benchmarks.workloads import NTU, Sizes, paper_encoder, raw_clips
from tests.corpus_data import another_process

PRECISIONS = ("float32", "bfloat16")


def busy() -> None:
    """Uses one core until it is ended."""
    rows = np.random.default_rng(0).normal(size=(200, 200))
    while True:
        rows = np.tanh(rows @ rows.T)


def neighbour(sizes: Sizes) -> list[Row]:
    """Each case in turns: some times alone, some times beside the other process, and so on."""
    torch.manual_seed(0)
    large, small = Encoder(paper_encoder(sizes.hidden)), load_pretrained("i2md-small")
    [clip, *_] = raw_clips(1)
    poses = as_poses(clip, skeleton=NTU)
    frames = clip[:1].swapaxes(0, 1)

    cases: dict[str, Callable[[], Any]] = {"one clip, i2md-small": functools.partial(small.embed, poses)}
    for precision in PRECISIONS:
        size = f"hidden {sizes.hidden}, 3 streams, {precision}"
        cases[f"one clip, {size}"] = functools.partial(large.embed, poses, precision=precision)
        stream = large.stream(precision=precision)
        cases[f"one frame of a stream, {size}"] = functools.partial(_next_frame, stream, frames)
    alone, beside = ({name: [] for name in cases} for _ in range(2))
    for case in cases.values():
        case()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for _ in range(sizes.rounds):
        _time(cases, alone)
        others = [another_process(busy) for _ in range(max(1, cores // 2))]
        for other in others:
            other.start()
        time.sleep(0.2)
        _time(cases, beside)
        for other in others:
            other.kill()
            other.join()
    table = []
    for name in cases:
        quiet = float(np.median(alone[name]))
        table.append(Row(name, 1e3 * quiet, "ms"))
        table.append(Row(f"{name}, beside a busy process: x alone", float(np.median(beside[name])) / quiet, at_most=3))
    return table


def _time(cases: dict[str, Callable[[], Any]], seconds: dict[str, list[float]]) -> None:
    for name, case in cases.items():
        for _ in range(5):
            begin = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - begin)


def _next_frame(stream: Any, frames: np.ndarray) -> None:
    stream.step(frames[0])
