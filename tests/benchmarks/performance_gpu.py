"""Embedding and training on a GPU: at paper size, and the training step of `i2md_small`."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.train.data import Corpus
from skelrep.train.loop import _views
from skelrep.train.recipes import Recipe, i2md_small
from tests.benchmarks.baselines import PlainTraining, Stepping
from tests.benchmarks.measuring import (
    Row,
    Seconds,
    bandwidth,
    of_limit,
    peaks,
    rate,
    ratio,
    rounds,
    synchronised,
    with_peaks,
)
from tests.benchmarks.performance_training import naive_training, one_person, paper_recipe, trained
from tests.benchmarks.workloads import Sizes, operations, paper_encoder, step_bytes, step_operations
from tests.corpus_data import corpus_of, pairs, recordings


def gpu(sizes: Sizes, device: str = "cuda") -> list[Row]:
    """All of them, if there is a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        return []
    return gpu_embedding(sizes, device) + gpu_paper_step(sizes, device) + gpu_small_step(sizes, device)


def gpu_embedding(sizes: Sizes, device: str) -> list[Row]:
    """The networks at paper size against the per-frame loop."""
    limit = peaks(sizes.product[1], device)
    torch.manual_seed(0)
    encoder = Encoder(paper_encoder(sizes.hidden)).to(device)
    stepping = {name: Stepping(stack) for name, stack in encoder.streams.items()}  # type: ignore[arg-type]
    parents, names, table = encoder.skeleton.parents, encoder.config.modalities, []
    for batch in sizes.gpu_batches:
        poses = torch.randn(batch, 2, 64, 25, 3, device=device)
        cases = {
            "loop": lambda poses=poses: [stepping[name](modality(name, poses, parents)) for name in names],
            "float32": functools.partial(encoder.features, poses, names, "float32"),
            "bfloat16": functools.partial(encoder.features, poses, names, "bfloat16"),
        }
        with torch.inference_mode():
            seconds = rounds(
                sizes.rounds, with_peaks(limit, {name: synchronised(case, device) for name, case in cases.items()})
            )
        label = f"{device}, hidden {sizes.hidden}, 3 streams, batch {batch}"
        needed = batch * operations(encoder.config)
        for precision in ("float32", "bfloat16"):
            fraction = of_limit(seconds, precision, needed, limit, precision)
            table += [
                Row(f"{label}, {precision}", rate(seconds, precision, batch), "clips/s", of_limit=fraction),
                Row(f"{label}, {precision}: x the loop in float32", ratio(seconds, "loop", precision)),
            ]
    return table


def gpu_paper_step(sizes: Sizes, device: str) -> list[Row]:
    """The training step at paper size against the per-frame loop and the floor."""
    limit = peaks(sizes.product[1], device)
    large, table = dataclasses.replace(sizes, trained_hidden=sizes.hidden), []
    for batch in sizes.gpu_batches:
        recipe = paper_recipe(large, batch)
        with tempfile.TemporaryDirectory() as folder:
            corpus = Corpus.load(corpus_of(pairs(batch), Path(folder) / "corpus"), recipe.encoder, device)
            naive = naive_training(recipe, corpus)
            naive.step(*_views(recipe, corpus, 0)[:2])
            cases = {
                "loop": synchronised(lambda: naive.step(*_views(recipe, corpus, 0)[:2]), device),  # noqa: B023
                "float32": functools.partial(trained, recipe, corpus, sizes.gpu_steps),
                "bfloat16": functools.partial(
                    trained, dataclasses.replace(recipe, precision="bfloat16"), corpus, sizes.gpu_steps
                ),
            }
            seconds = rounds(sizes.few, with_peaks(limit, cases), warm=False)
        label = f"{device}, training step, hidden {sizes.hidden}, batch {batch}"
        for precision in ("float32", "bfloat16"):
            table += _step_rows(label, dataclasses.replace(recipe, precision=precision), seconds, sizes, device)
    return table


def gpu_small_step(sizes: Sizes, device: str) -> list[Row]:
    """The training step of `i2md_small` against its plain form and the floor."""
    limit = peaks(sizes.product[1], device)
    recipe = dataclasses.replace(i2md_small(), steps=1)
    if sizes.batch < 64:
        recipe = dataclasses.replace(recipe, batch=sizes.batch)
    with tempfile.TemporaryDirectory() as folder:
        poses = recordings(100 if sizes.batch >= 64 else 6, frames=600)
        corpus = Corpus.load(corpus_of(poses, Path(folder) / "corpus"), recipe.encoder, device)
        full = dataclasses.replace(recipe, precision="float32")
        plain = PlainTraining(full, corpus)
        cases = {
            "loop": synchronised(lambda: plain.step(*_views(full, corpus, 0)), device),
            "bfloat16": functools.partial(trained, recipe, corpus, sizes.gpu_steps),
            "float32": functools.partial(trained, full, corpus, sizes.gpu_steps),
            "views": synchronised(lambda: _views(recipe, corpus, 0), device),
        }
        seconds = rounds(sizes.few, with_peaks(limit, cases))
    table = []
    for each in (full, recipe):
        label = f"{device}, i2md_small, batch {recipe.batch}"
        table += _step_rows(label, one_person(each), seconds, sizes, device)
    share = 100 * ratio(seconds, "views", "bfloat16")
    return [*table, Row(f"{device}, i2md_small: views and augmentation", share, "%", at_most=50)]


def _step_rows(label: str, recipe: Recipe, seconds: Seconds, sizes: Sizes, device: str) -> list[Row]:
    """Clips a second, times the loop, and times the floor: what operations and bytes take at the measured rates."""
    precision, limit = recipe.precision, peaks(sizes.product[1], device)
    fraction = of_limit(seconds, precision, step_operations(recipe), limit, precision)
    peak = limit[precision].operations / float(np.median(seconds[f"peak {precision}"]))
    floor = max(step_operations(recipe) / peak, step_bytes(recipe) / bandwidth(device))
    return [
        Row(f"{label}, {precision}", rate(seconds, precision, recipe.batch), "clips/s", of_limit=fraction),
        Row(f"{label}, {precision}: x the loop in float32", ratio(seconds, "loop", precision)),
        Row(f"{label}, {precision}: x the floor", float(np.median(seconds[precision])) / floor),
    ]
