"""Speed of the losses and of whole training steps."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.preprocess_config import PreprocessConfig
from skelrep.train.augment import distort
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method, MethodConfig
from skelrep.train.loop import _views, pretrain
from skelrep.train.recipes import LOSSES, Recipe, i2md_small, paper
from tests.benchmarks.baselines import NaiveTraining, naive_losses
from tests.benchmarks.measuring import (
    Row,
    of_limit,
    peaks,
    rate,
    ratio,
    rounds,
    with_peaks,
)
from tests.benchmarks.workloads import Sizes, paper_encoder, step_operations
from tests.corpus_data import corpus_of, pairs, recordings


def loss_part(config: MethodConfig, batch: int) -> tuple[Callable[[], Tensor], Tensor, Tensor, Tensor]:
    """What `Method` computes behind its networks.

    Returns:
        The total loss as a function, the unit queries (H, S, B, P), which ask for a gradient, the keys, and the banks
        (H, S, K, P). No slot holds one of the clips.
    """
    torch.manual_seed(0)
    method = Method(Encoder(EncoderConfig()), config)
    method._project = lambda streams, heads, view: view  # type: ignore[method-assign]
    key = functional.normalize(torch.randn(config.branches, 3, batch, config.projection), dim=-1)
    query = functional.normalize(key + 0.05 * torch.randn_like(key), dim=-1).requires_grad_()
    return lambda: method(query, key, torch.arange(batch))["total"], query, key, method.memory.bank


def losses(sizes: Sizes) -> list[Row]:
    """CMD's losses and their gradient against their naive form."""
    limit = peaks(sizes.product[0])
    config = MethodConfig(slots=sizes.slots, neighbours=sizes.slots // 2, **LOSSES["cmd"])
    total, query, key, bank = loss_part(config, sizes.batch)
    cases = {
        "naive": lambda: torch.autograd.grad(naive_losses(query[0], key[0], bank[0], config), query),
        "skelrep": lambda: torch.autograd.grad(total(), query),
    }
    seconds = rounds(2 * sizes.rounds, with_peaks(limit, cases))
    needed = 3 * 2.0 * query.numel() * config.slots  # cosines of keys and of queries, the gradient of the latter
    label = f"losses, batch {sizes.batch}, {config.slots} slots, {config.neighbours} neighbours"
    table = [Row(f"{label}: x naive", ratio(seconds, "naive", "skelrep"), at_least=3)]
    for name in cases:
        fraction = of_limit(seconds, name, needed, limit)
        table.append(Row(f"{label}: {name}", 1e3 * float(np.median(seconds[name])), "ms", of_limit=fraction))
    return table


def trained(recipe: Recipe, corpus: Corpus, steps: int) -> float:
    """Seconds that a step of `pretrain` takes, by its own log, after as many that are not counted."""
    recipe = dataclasses.replace(recipe, steps=2 * steps, epochs=0)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(recipe, corpus, Path(folder), save_every=steps, show_progress=False)
        line = (Path(folder) / "log.jsonl").read_text().splitlines()[-1]
    return recipe.batch / json.loads(line)["clips_per_second"]


def paper_recipe(sizes: Sizes, batch: int) -> Recipe:
    """CMD's run at paper size."""
    recipe = paper("cmd")
    method = dataclasses.replace(recipe.method, slots=sizes.slots, neighbours=sizes.slots // 2)
    encoder = paper_encoder(sizes.trained_hidden)
    return dataclasses.replace(recipe, encoder=encoder, method=method, batch=batch, steps=1, epochs=0)


def naive_training(recipe: Recipe, corpus: Corpus) -> NaiveTraining:
    torch.manual_seed(0)
    return NaiveTraining(Method(Encoder(recipe.encoder), recipe.method).to(corpus.device).train(), recipe)


def step(sizes: Sizes) -> list[Row]:
    """The whole training step at paper size."""
    limit = peaks(sizes.product[0])
    recipe = paper_recipe(sizes, sizes.batch)
    low = dataclasses.replace(recipe, precision="bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.load(corpus_of(pairs(2 * sizes.batch), Path(folder) / "corpus"), recipe.encoder)
        naive = naive_training(recipe, corpus)
        naive.step(*_views(recipe, corpus, 0)[:2])  # a warm-up; `trained` has its own
        cases = {
            "loop": lambda: naive.step(*_views(recipe, corpus, 0)[:2]),
            "float32": lambda: trained(recipe, corpus, sizes.steps),
            "bfloat16": lambda: trained(low, corpus, sizes.steps),
            "views": lambda: _views(recipe, corpus, 0),
        }
        seconds = rounds(sizes.few, with_peaks(limit, cases), warm=False)
    label = f"training step, hidden {sizes.trained_hidden}, batch {recipe.batch}"
    fraction = of_limit(seconds, "loop", step_operations(recipe), limit)
    table = [Row(f"{label}, per-frame loop", rate(seconds, "loop", recipe.batch), "clips/s", of_limit=fraction)]
    for precision, goal in (("float32", 2), ("bfloat16", 3.5)):
        fraction = of_limit(seconds, precision, step_operations(recipe), limit, precision)
        table += [
            Row(f"{label}, {precision}", rate(seconds, precision, recipe.batch), "clips/s", of_limit=fraction),
            Row(f"{label}, {precision}: x the loop", ratio(seconds, "loop", precision), at_least=goal),
            # Not the longer half of a step: never the bottleneck.
            Row(f"views and augmentation, {precision}", 100 * ratio(seconds, "views", precision), "%", at_most=50),
        ]
    return table


def one_person(recipe: Recipe) -> Recipe:
    """The recipe for clips of one person each, whose operations are counted."""
    alone = PreprocessConfig(frames=recipe.encoder.preprocess.frames, persons=1)
    return dataclasses.replace(recipe, encoder=dataclasses.replace(recipe.encoder, preprocess=alone))


def bundled_step(sizes: Sizes) -> list[Row]:
    """The training step of the bundled encoder."""
    limit = peaks(sizes.product[0])
    recipe = dataclasses.replace(i2md_small(), steps=1)
    if sizes.batch < 64:
        recipe = dataclasses.replace(recipe, batch=sizes.batch)
    total, query, _, _ = loss_part(recipe.method, recipe.batch)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.load(corpus_of(recordings(100, frames=600), Path(folder) / "corpus"), recipe.encoder)
        first, second, _ = _views(recipe, corpus, 0)
        full = dataclasses.replace(recipe, precision="float32")
        cases = {
            "bfloat16": lambda: trained(recipe, corpus, sizes.steps),
            "float32": lambda: trained(full, corpus, sizes.steps),
            "views": lambda: _views(recipe, corpus, 0),
            "augmentation": lambda: distort(first, second, recipe.encoder.skeleton, recipe.augment),
            "losses": lambda: torch.autograd.grad(total(), query),
        }
        seconds = rounds(sizes.rounds, with_peaks(limit, cases))
    needed = step_operations(one_person(recipe))
    for precision in ("bfloat16", "float32"):
        fraction = of_limit(seconds, precision, needed, limit, precision)
        label = f"i2md_small, batch {recipe.batch}, {precision}"
        table += [
            Row(label, rate(seconds, precision, recipe.batch), "clips/s", of_limit=fraction),
            Row(f"{label}: views and augmentation", 100 * ratio(seconds, "views", precision), "%", at_most=50),
            Row(f"{label}: augmentation alone", 100 * ratio(seconds, "augmentation", precision), "%"),
            Row(f"{label}: losses", 100 * ratio(seconds, "losses", precision), "%"),
        ]
    return table
