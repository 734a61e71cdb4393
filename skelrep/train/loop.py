"""The training loop: reads from top to bottom, stops and resumes anywhere."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from skelrep.encoder import Encoder
from skelrep.poses import replacing
from skelrep.train.augment import augment, mirror
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method
from skelrep.train.recipes import Recipe
from skelrep.train.whiten import whiten


def pretrain(
    recipe: Recipe,
    corpus: Corpus,
    folder: Path,
    *,
    save_every: int = 200,
    monitor: Callable[[Encoder], dict[str, float]] | None = None,
    show_progress: bool | None = None,
) -> Encoder:
    """Trains an encoder without labels.

    Args:
        recipe: Everything that defines the run.
        corpus: The recordings, on the device to train on.
        folder: Gets `recipe.json`, `log.jsonl` and `checkpoint.pt`. A checkpoint of the same recipe in it is resumed:
            the run then ends as if it had never stopped.
        save_every: Steps between checkpoints, log lines and calls of `monitor`.
        monitor: Called with the encoder; its numbers go into the log.
        show_progress: A bar on stderr; by default only in a terminal or notebook.

    Returns:
        The trained encoder, in evaluation mode.

    Raises:
        ValueError: if the folder holds another recipe's run, or a loss is no longer finite (the last checkpoint stays).
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.dumps(dataclasses.asdict(recipe), indent=2)
    if (folder / "recipe.json").exists() and (folder / "recipe.json").read_text() != plain:
        raise ValueError(f"{folder} holds a run of another recipe; give this one a folder of its own")
    with replacing(folder / "recipe.json") as file:
        file.write(plain.encode())

    torch.manual_seed(recipe.seed)
    device = corpus.rows.device
    encoder = Encoder(recipe.encoder).to(device)
    method = Method(encoder, recipe.method).to(device).train()
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
    )
    begin = _resume(folder / "checkpoint.pt", method, optimizer)

    started = time.monotonic()
    bar = tqdm(
        range(begin, recipe.steps),
        initial=begin,
        total=recipe.steps,
        desc="pretrain",
        unit="step",
        disable=None if show_progress is None else not show_progress,
    )
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe)

        first, second, clip = corpus.views(recipe.batch, recipe.window, recipe.crop, recipe.encoder)
        first, second, mirrored = mirror(first, second, recipe.encoder.skeleton, recipe.augment.mirror)
        clip = clip + mirrored * len(corpus.lengths)  # a mirrored recording is another recording
        first, second = (augment(view, recipe.encoder.skeleton, recipe.augment) for view in (first, second))

        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            losses = method(first, second, clip)
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        optimizer.step()
        method.after_step()

        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            values = {name: loss.detach().mean().item() for name, loss in losses.items()}
            if not math.isfinite(values["total"]):
                raise ValueError(f"the loss is {values['total']} at step {done}; the last checkpoint is kept: {folder}")
            bar.set_postfix(values)
            _save(folder / "checkpoint.pt", method, optimizer, done)
            line = {"step": done, "seconds": round(time.monotonic() - started, 1), **values}
            if monitor is not None:
                encoder.eval()
                line |= monitor(encoder)
                encoder.train()
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
    encoder.eval()
    if recipe.whiten:
        whiten(encoder, corpus, recipe.window, recipe.crop, recipe.whiten)
    return encoder


def _schedule(step: int, recipe: Recipe) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return (1 + math.cos(math.pi * progress)) / 2


def _save(path: Path, method: Method, optimizer: torch.optim.Optimizer, step: int) -> None:
    state: dict[str, Any] = {
        "step": step,
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    if method.memory.bank.is_cuda:
        state["random_cuda"] = torch.cuda.get_rng_state(method.memory.bank.device)
    with replacing(path) as file:
        torch.save(state, file)


def _resume(path: Path, method: Method, optimizer: torch.optim.Optimizer) -> int:
    """Restores a checkpoint if there is one; the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    method.load_state_dict(state["method"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if "random_cuda" in state:
        torch.cuda.set_rng_state(state["random_cuda"], method.memory.bank.device)
    return state["step"]
