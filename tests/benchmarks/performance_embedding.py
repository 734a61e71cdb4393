"""Speed and memory of embedding: the machine's limits, networks at paper size, the bundled encoder on raw clips."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skelrep import embed, load_pretrained
from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.matmul import PRECISIONS
from skelrep.poses import as_poses
from tests.benchmarks.baselines import Stepping, views_one_by_one
from tests.benchmarks.measuring import (
    Row,
    extra_megabytes,
    of_limit,
    peaks,
    products,
    rate,
    ratio,
    rounds,
    with_peaks,
)
from tests.benchmarks.workloads import NTU, Sizes, operations, paper_encoder, raw_clips, settled

# At paper size, by precision: ratio to the per-frame loop, and cosine to float32.
EMBEDDING_GOALS = {"float32": (3.0, None), "bfloat16": (5.5, 0.9999), "int8": (7.5, 0.999)}


FRAME = 33  # milliseconds between two frames of a camera of 30 Hz


def limits(sizes: Sizes) -> list[Row]:
    """What the machine itself does."""
    side, table = sizes.product[0], []
    for precision, makers in products(side).items():
        seconds = rounds(2 * sizes.rounds, makers)
        table += [
            Row(f"{precision} product of {side} x {side}, {maker}", rate(seconds, maker, 2e-9 * side**3), "GFLOP/s")
            for maker in makers
        ]
    return table


@torch.inference_mode()
def embedding(sizes: Sizes) -> list[Row]:
    """Networks at paper size against the per-frame loop."""
    limit = peaks(sizes.product[0])
    with torch.inference_mode(False):
        encoder, prepared = settled(paper_encoder(sizes.hidden), sizes.batch)
        stepping = {name: Stepping(stack) for name, stack in encoder.streams.items()}  # type: ignore[arg-type]
    parents, table = encoder.skeleton.parents, []
    # The goal for bfloat16 is for CPUs with units for it.
    has_bfloat16 = ratio(rounds(3, with_peaks(limit, {})), "peak float32", "peak bfloat16") > 1.3

    def loop(streams: Sequence[str], poses: Tensor) -> dict[str, Tensor]:
        return {name: stepping[name](modality(name, poses, parents)) for name in streams}

    joint, everything = ("joint",), encoder.config.modalities
    for streams, batch in ((joint, sizes.batch), (everything, sizes.batch), (joint, 8), (joint, 1)):
        poses = prepared[:batch]
        cases: dict[str, Callable[[], Any]] = {"loop": functools.partial(loop, streams, poses)}
        for precision in PRECISIONS:
            cases[precision] = functools.partial(encoder.features, poses, streams, precision)
        seconds = rounds(sizes.rounds, with_peaks(limit, cases))
        label = f"hidden {sizes.hidden}, {len(streams)} stream{'s' * (len(streams) > 1)}, batch {batch}"
        needed = batch * operations(encoder.config) * len(streams) / len(everything)
        fraction = of_limit(seconds, "loop", needed, limit)
        table.append(Row(f"{label}, per-frame loop", rate(seconds, "loop", batch), "clips/s", of_limit=fraction))
        for precision in PRECISIONS:
            goal = EMBEDDING_GOALS[precision][0] if batch == sizes.batch else None
            goal = None if precision == "bfloat16" and not has_bfloat16 else goal
            fraction = of_limit(seconds, precision, needed, limit, precision)
            row = Row(f"{label}, {precision}: x the loop", ratio(seconds, "loop", precision), at_least=goal)
            table.append(row._replace(of_limit=fraction))
            if precision == "float32" and goal:
                table.append(Row(f"{label}, {precision}: fraction of the peak", 100 * fraction, "%", at_least=85))
        if batch == 1:
            table += [
                Row(f"{label}, {precision}: time", 1e3 * float(np.median(seconds[precision])), "ms")
                for precision in PRECISIONS
            ]
        if streams == everything:
            exact, *others = (encoder.features(poses, streams, precision) for precision in PRECISIONS)
            for precision, features in zip(PRECISIONS[1:], others):
                least = min(functional.cosine_similarity(exact[name], features[name]).min().item() for name in streams)
                goal = EMBEDDING_GOALS[precision][1]
                table.append(Row(f"{label}, {precision}: least cosine to float32", least, "", at_least=goal))
    return table


def _in_one_thread(work: Callable[[], object]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
    finally:
        torch.set_num_threads(threads)


def bundled(sizes: Sizes) -> list[Row]:
    """The bundled encoder on raw clips, against the per-frame loop at paper size over three streams."""
    limit = peaks(sizes.product[0])
    encoder, batch, count = load_pretrained("i2md-small"), sizes.batch, sizes.clips
    live = load_pretrained("i2md-stream")
    clips, names, parents = raw_clips(count), encoder.config.modalities, encoder.skeleton.parents
    torch.manual_seed(0)
    large = Encoder(paper_encoder(sizes.hidden))
    stepping = {name: Stepping(stack) for name, stack in large.streams.items()}  # type: ignore[arg-type]
    normal = torch.randn(batch, 2, 64, 25, 3)
    some = as_poses(clips[:batch], skeleton=NTU)
    with_gaps = as_poses(raw_clips(batch, gaps=0.1), skeleton=NTU)

    def whole(out: np.ndarray | None = None, precision: str = "float32") -> None:
        embed(clips, encoder, skeleton=NTU, out=out, precision=precision, show_progress=False)

    def prepare() -> None:
        poses = as_poses(clips, skeleton=NTU)
        for begin in range(0, count, batch):
            encoder.prepare(poses[begin : begin + batch])

    def views() -> dict[str, Tensor]:
        prepared = encoder.prepare(some)
        return {name: modality(name, prepared, parents) for name in names}

    def frame_of_stream(precision: str) -> float:
        stream = large.stream(precision=precision)
        for frame in some.clips[0].swapaxes(0, 1)[:10]:
            begin = time.perf_counter()
            stream.step(frame)
            last = time.perf_counter() - begin
        return last

    def frame_of_person() -> float:
        stream = live.stream(NTU, fps=live.config.preprocess.rate)  # every frame is a step
        frames = some.clips[0][0]
        for frame in frames[:10]:
            stream.step(frame)
        begin = time.perf_counter()
        for frame in frames[10:]:
            stream.step(frame)
        return (time.perf_counter() - begin) / len(frames[10:])

    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        out = np.lib.format.open_memmap(Path(folder) / "rows.npy", "w+", np.float32, (count, encoder.dim))
        cases: dict[str, Callable[[], Any]] = {
            "whole": whole,
            "memory map": functools.partial(whole, out),
            "bfloat16": functools.partial(whole, precision="bfloat16"),
            "whole, one thread": functools.partial(_in_one_thread, whole),
            "prepare, one thread": functools.partial(_in_one_thread, prepare),
            "loop": lambda: [stepping[n](modality(n, normal, large.skeleton.parents)) for n in names],
        }
        seconds = rounds(sizes.few, with_peaks(limit, cases))
        del out
        prepared = encoder.prepare(some)
        cases = {
            "prepare": functools.partial(encoder.prepare, some),
            "with gaps": functools.partial(encoder.prepare, with_gaps),
            "views": views,
            "one by one": lambda: views_one_by_one(some.clips, encoder),
            "one clip": functools.partial(embed, clips[0], encoder, skeleton=NTU),
        }
        cases |= {f"frame, {name}": functools.partial(frame_of_stream, name) for name in PRECISIONS}
        cases["frame of one person"] = frame_of_person
        cases |= {name: functools.partial(encoder.features, prepared, names, name) for name in PRECISIONS}
        parts = rounds(4 * sizes.rounds, with_peaks(limit, cases))
    needed = operations(encoder.config)
    fraction = of_limit(seconds, "whole", count * needed, limit)
    table = [
        Row(f"embed {count} raw clips, float32", rate(seconds, "whole", count), "clips/s", of_limit=fraction),
        Row(
            f"the same: x the per-frame loop, hidden {sizes.hidden}, 3 streams",
            ratio(seconds, "loop", "whole") * count / batch,
            at_least=200,
        ),
        Row("the same, bfloat16", rate(seconds, "bfloat16", count), "clips/s"),
        Row("the same, float32, out= a memory map: x the time without", ratio(seconds, "memory map", "whole")),
        Row(f"the same, {torch.get_num_threads()} threads: x one thread", ratio(seconds, "whole, one thread", "whole")),
        Row(
            "fraction of preprocessing, one thread",
            100 * ratio(seconds, "prepare, one thread", "whole, one thread"),
            "%",
            at_most=15,
        ),
        Row(f"preprocessing alone, batch {batch}", rate(parts, "prepare", batch), "clips/s"),
        Row("preprocessing, one clip in ten with gaps: x the time without", ratio(parts, "with gaps", "prepare")),
        Row("preprocessing and modalities: x one by one", ratio(parts, "one by one", "views")),
    ]
    for precision in PRECISIONS:
        label, fraction = (
            f"network alone, batch {batch}, {precision}",
            of_limit(parts, precision, batch * needed, limit, precision),
        )
        table.append(Row(label, rate(parts, precision, batch), "clips/s", of_limit=fraction))
        if precision == "float32":
            table.append(Row(f"{label}: fraction of the peak", 100 * fraction, "%", at_least=60))
    table.append(Row("embed one raw clip", 1e3 * float(np.median(parts["one clip"])), "ms", at_most=FRAME))
    for precision in PRECISIONS:
        label = f"one frame of a stream, hidden {sizes.hidden}, 3 streams, {precision}"
        table.append(Row(label, 1e3 * float(np.median(parts[f"frame, {precision}"])), "ms", at_most=FRAME))
    label = "one frame of a stream, i2md-stream, one person"
    table.append(Row(label, 1e3 * float(np.median(parts["frame of one person"])), "ms", at_most=1.0))
    return table


def embedding_work(count: int) -> Callable[[], Any]:
    clips, encoder = raw_clips(count), load_pretrained("i2md-small")
    folder = tempfile.TemporaryDirectory()

    def work() -> None:
        with folder:
            out = np.lib.format.open_memmap(Path(folder.name) / "rows.npy", "w+", np.float32, (count, encoder.dim))
            embed(clips, encoder, skeleton=NTU, out=out, show_progress=False)

    return work


def memory(sizes: Sizes) -> list[Row]:
    """Of `embed` into a memory map, for a quarter of the clips and for all."""
    few, many = (extra_megabytes(embedding_work, count) for count in (sizes.clips // 4, sizes.clips))
    if few is None or many is None:
        return []
    return [
        Row(f"embed {sizes.clips // 4} raw clips: extra memory", few, "MB"),
        # Names and columns of the clips take a little; poses would take sixteen times as much.
        Row(f"embed {sizes.clips} raw clips: extra memory", many, "MB", at_most=1.5 * few),
    ]
