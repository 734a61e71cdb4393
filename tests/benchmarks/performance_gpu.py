"""Embedding and training at paper size on a GPU."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import torch

from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.train.data import Corpus
from skelrep.train.loop import _views
from tests.benchmarks.baselines import Stepping
from tests.benchmarks.measuring import (
    Row,
    of_limit,
    peaks,
    rate,
    ratio,
    rounds,
    synchronised,
    with_peaks,
)
from tests.benchmarks.performance_training import naive_training, paper_recipe, trained
from tests.benchmarks.workloads import Sizes, operations, paper_encoder, step_operations
from tests.corpus_data import corpus_of, pairs


def gpu(sizes: Sizes, device: str = "cuda") -> list[Row]:
    """Embedding and training at paper size on a GPU, if there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        return []
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
    large = dataclasses.replace(sizes, trained_hidden=sizes.hidden)
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
            fraction = of_limit(seconds, precision, step_operations(recipe), limit, precision)
            times = ratio(seconds, "loop", precision)
            table += [
                Row(f"{label}, {precision}", rate(seconds, precision, batch), "clips/s", of_limit=fraction),
                Row(f"{label}, {precision}: x the loop in float32", times, at_least=10),
            ]
    return table
