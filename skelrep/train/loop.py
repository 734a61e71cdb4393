"""The training loop, which can stop and resume at any step.

The random numbers of a step depend only on the recipe's seed, the step and the process, so a checkpoint stores neither
the state of a generator nor the position of a sampler.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import Tensor
from tqdm.auto import tqdm

from skelrep import checkpoints
from skelrep.encoder import Encoder
from skelrep.encoder.device import keep_freed_memory
from skelrep.files import check_no_link, read_bytes, replacing
from skelrep.matmul import check_products
from skelrep.train import distributed
from skelrep.train.accumulation import losses_with_gradients
from skelrep.train.augment import distort
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method, MethodConfig
from skelrep.train.recipes import Recipe


class Stopped(Exception):
    """The run was stopped by a signal or at the time given by `until`; the same call resumes it from its checkpoint."""


def pretrain(
    recipe: Recipe,
    corpus: Corpus,
    folder: Path,
    *,
    start: Encoder | None = None,
    method: Callable[[Encoder, MethodConfig], Method] = Method,
    save_every: int = 200,
    monitor: Callable[[Encoder], dict[str, float]] | None = None,
    until: float | None = None,
    on_line: Callable[[dict[str, float], int, float], object] | None = None,
    show_progress: bool | None = None,
) -> Encoder:
    """Trains an encoder without labels.

    Args:
        recipe: The hyper-parameters of the run.
        corpus: The clips, on the device to train on. If there are several processes, each creates its own views.
        folder: Folder for `recipe.json`, `corpus.json` (sources and licence), `log.jsonl`, `checkpoint.pt`, and
            TensorBoard files if TensorBoard is installed. A checkpoint of the same recipe and corpus in it is resumed,
            with the same result as an uninterrupted run.
        start: An encoder whose weights training starts from; by default they are random. Projection heads, momentum
            encoders and banks start anew. It must have the config of the recipe's encoder, except for its pooling,
            which has no weights.
        method: Creates the module to train from the encoder and the recipe's `method`: a subclass of `Method`, or a
            function such as `partial(Method, losses=...)`. Resume with the same method; a checkpoint contains only
            weights.
        save_every: Steps between checkpoints, log lines and calls of `monitor`.
        monitor: Called with the encoder; the numbers that it returns are written into the log.
        until: When to save a checkpoint and stop, in seconds since 1970.
        on_line: Called with each line of the log, the number of steps of the run, and an estimate of the seconds left;
            and with such a line that is not logged, if a minute has passed since the last one.
        show_progress: A bar on stderr; by default only in a terminal or notebook.

    Returns:
        The trained encoder, in evaluation mode.

    Raises:
        ValueError: if the folder has a run of another recipe, corpus or start, or a damaged checkpoint; if the weights
            to start from do not fit the recipe; or if losses or weights are no longer finite (the last good checkpoint
            is kept).
        Stopped: after SIGTERM or SIGUSR1, or at `until`.
    """
    recipe.check()
    device, processes, writes = corpus.device, distributed.processes(), distributed.rank() == 0
    if recipe.precision == "bfloat16" and device.type == "cpu":
        check_products()
    if recipe.batch % (processes * recipe.accumulate):
        parts = "" if recipe.accumulate == 1 else f" with {recipe.accumulate} parts each (accumulate)"
        raise ValueError(f"a batch of {recipe.batch} does not divide into {processes} processes{parts}")
    if recipe.batch > recipe.method.slots:
        raise ValueError(f"a batch of {recipe.batch} does not fit into banks of {recipe.method.slots} slots")
    steps = recipe.length(len(corpus))
    if save_every < 1:
        raise ValueError(f"save_every must be at least 1 step, got {save_every}")

    torch.manual_seed(recipe.seed)  # every process starts with the same weights and banks
    encoder = Encoder(recipe.in_training).to(device)
    if start is not None:
        _copy_weights(start, encoder)
    module = method(encoder, recipe.method).to(device).train()
    optimizer = _optimizer(module, recipe)
    # After the checks, so that an invalid recipe leaves no files.
    with (
        _claimed(folder, recipe, corpus.about, start) if writes else contextlib.nullcontext(),
        _asked_to_stop() as asked,
        distributed.ended_processes_named(folder),
    ):
        begin = _resume(folder / "checkpoint.pt", module, optimizer)
        forward: Any = distributed.parallel(module) if processes > 1 else module
        if recipe.compile:
            forward = torch.compile(forward)

        keep_freed_memory(2**30)
        log = _Log(folder, begin) if writes else None
        bar = tqdm(
            range(begin, steps),
            initial=begin,
            total=steps,
            desc="pretrain",
            unit="step",
            disable=True if not writes else None if show_progress is None else not show_progress,
        )
        sums: dict[str, Tensor] = {}
        since, started, preparing = begin, time.monotonic(), 0.0
        told = started
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _schedule(step, steps, recipe)

            torch.manual_seed((recipe.seed * 10_000_019 + step) * processes + distributed.rank())
            before_views = time.monotonic()
            views = _views(recipe, corpus, step)
            preparing += time.monotonic() - before_views
            optimizer.zero_grad(set_to_none=True)
            try:
                losses = losses_with_gradients(
                    functools.partial(_losses, forward, recipe, step / steps), forward, module, views, recipe.accumulate
                )
            except torch.OutOfMemoryError as error:
                raise ValueError(
                    f"{device} has too little memory for {len(views[0]) // recipe.accumulate} clips at a time; compute "
                    f"each batch in more parts, such as accumulate={2 * recipe.accumulate}"
                ) from error
            if recipe.clip_gradient:
                torch.nn.utils.clip_grad_norm_(_trained(module), recipe.clip_gradient)
            optimizer.step()
            module.after_step()
            sums = {name: sums.get(name, 0) + loss.detach().sum() for name, loss in losses.items()}

            done = step + 1
            if not bar.disable and done % SHOW_EVERY == 0:
                bar.set_postfix({name: f"{total.item() / (done - since):.3f}" for name, total in sums.items()})
            at_interval = done % save_every == 0 or done == steps
            # All processes must stop at the same step, so the flag is synchronised, but not at every step.
            due = asked.is_set() or (until is not None and time.time() >= until)
            together = processes == 1 or at_interval or done % STOP_EVERY == 0
            stopping = distributed.any_process(due, device) if together else False
            telling = on_line is not None and time.monotonic() - told >= LINE_EVERY
            if not (at_interval or stopping or (telling and writes)):
                continue
            seconds = time.monotonic() - started
            line = {"step": done, **{name: total.item() / (done - since) for name, total in sums.items()}}
            line |= {
                "epoch": round(done * recipe.batch / len(corpus), 3),
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": round(seconds, 3),
                "data_fraction": round(preparing / seconds, 3),
                "clips_per_second": round((done - since) * recipe.batch / seconds, 1),
            }
            if at_interval or stopping:
                _check_finite(module, sums["total"], done, folder)
                if log is not None:
                    if monitor is not None and not stopping:
                        line |= monitor(_finished(encoder, recipe))
                    log.write(line)
                    _save(folder / "checkpoint.pt", module, optimizer, done)
            if on_line is not None and writes:
                on_line(line, steps, (steps - done) * seconds / (done - since))
                told = time.monotonic()
            if at_interval or stopping:
                sums, since, started, preparing = {}, done, time.monotonic(), 0.0
            if stopping and done < steps:
                raise Stopped(f"stopped at step {done} of {steps}; the same command resumes it from {folder}")
    return _finished(encoder, recipe)


def _losses(forward: Any, recipe: Recipe, progress: float, first: Tensor, *rest: Tensor) -> dict[str, Tensor]:
    """The losses, with the networks' products in the recipe's precision."""
    with torch.autocast(first.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        return forward(first, *rest, progress)


STOP_EVERY = 10  # steps between which several processes ask each other whether to stop
LINE_EVERY = 60.0  # seconds, if checkpoints are further apart
SHOW_EVERY = 20  # steps; reading a loss synchronises with the device


def _finished(trained: Encoder, recipe: Recipe) -> Encoder:
    """The recipe's encoder with the current weights."""
    encoder = Encoder(recipe.encoder).to(trained.device)
    encoder.load_state_dict(trained.state_dict())
    return encoder


def _copy_weights(start: Encoder, encoder: Encoder) -> None:
    """Copies the weights that training starts from; encoders that differ only in their pooling have the same ones."""
    try:
        encoder.load_state_dict(start.state_dict())
    except RuntimeError as error:  # torch lists every tensor that does not fit, one per line
        raise ValueError(
            f"the weights of {start.source.name} do not fit the recipe's encoder: skeleton, streams and sizes of the "
            "backbone must be the same"
        ) from error


def _origin(start: Encoder) -> dict[str, Any]:
    """What a run remembers of the encoder that it started from: its identity, and what its model card must repeat."""
    training = {key: start.config.training[key] for key in ("license", "data") if key in start.config.training}
    return {**start.source._asdict(), "fingerprint": start.fingerprint(), **training}


def _claim(folder: Path, recipe: Recipe, about: dict[str, Any], start: Encoder | None) -> None:
    """Writes recipe, corpus and start into the folder, or checks that its checkpoint belongs to them."""
    check_no_link(folder / "encoder")
    begun = any((folder / name).exists() for name in ("checkpoint.pt", "encoder"))
    plain = {"recipe": dataclasses.asdict(recipe) | {"encoder": recipe.encoder.to_dict()}, "corpus": about}
    if start is not None:
        plain["start"] = _origin(start)
    if begun and ("start" in plain) != (folder / "start.json").exists():
        began = "random weights" if start is not None else "the weights of an encoder (start.json)"
        raise ValueError(f"the run in {folder} started from {began}; start in the same way or choose another folder")
    for name, part in plain.items():
        path, text = folder / f"{name}.json", json.dumps(part, indent=2)
        if begun and path.exists():
            if read_bytes(path) != text.encode() and not (name == "recipe" and _of_older_version(path, part)):
                raise ValueError(f"{folder} has a run with another {name}; choose another folder for this run")
        else:
            with replacing(path, follow_links=False) as file:
                file.write(text.encode())


def _of_older_version(path: Path, recipe: dict[str, Any]) -> bool:
    """Whether a stored recipe differs only by lacking fields that have their default value now."""
    try:
        stored = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
    known = {name: value for name, value in recipe.items() if name in stored or value != defaults[name]}
    return stored == json.loads(json.dumps(known))


@contextlib.contextmanager
def _claimed(folder: Path, recipe: Recipe, about: dict[str, Any], start: Encoder | None) -> Iterator[None]:
    """Locks the folder and claims it for a run; the system releases the lock of a killed process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"another process is training in {folder}; wait for it, or choose another folder") from None
    try:
        _claim(folder, recipe, about, start)
        yield
    finally:
        lock.release()


def _trained(method: Method) -> list[torch.nn.Parameter]:
    return [parameter for parameter in method.parameters() if parameter.requires_grad]


def _optimizer(method: Method, recipe: Recipe) -> torch.optim.Optimizer:
    trained = _trained(method)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = trained[0].device.type in ("cpu", "cuda")  # takes a quarter of the time on a CPU
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)


def _views(recipe: Recipe, corpus: Corpus, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """This process's part of a step's batch: two distorted views (b, M, T, V, 3), and (b,) ids of their clips."""
    part = recipe.batch // distributed.processes()
    if recipe.window is None:
        begin = step * recipe.batch + distributed.rank() * part
        clip = corpus.epoch_slice(begin, part, recipe.seed)
    else:
        clip = corpus.windows(part)
    first, second = corpus.views(clip, recipe.window, recipe.crop, recipe.shortest, recipe.encoder, recipe.augment)
    hide = not recipe.encoder.preprocess.derive_missing
    first, second, mirrored = distort(first, second, recipe.encoder.skeleton, recipe.augment, hide=hide)
    return first, second, clip.to(corpus.device) + mirrored * len(corpus)  # mirrored clips have separate ids


def _schedule(step: int, steps: int, recipe: Recipe) -> float:
    """Fraction of the highest learning rate."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    if recipe.drop is not None:
        return 1.0 if step < recipe.drop * steps else 0.1
    begin = max(recipe.warmup, (1 - recipe.decay) * steps)
    progress = max(0.0, step - begin) / max(1, steps - begin)
    return (1 + math.cos(math.pi * progress)) / 2


def _check_finite(method: Method, total: Tensor, step: int, folder: Path) -> None:
    """Raises a ValueError if a loss or a weight is not finite, before it is saved in a checkpoint."""
    healthy = torch.stack([total.isfinite(), *(p.isfinite().all() for p in _trained(method))]).all()
    if distributed.any_process(not healthy.item(), total.device):
        raise ValueError(
            f"losses or weights are no longer finite at step {step}; the last good checkpoint is kept in {folder}. "
            "Lower the learning rate, or clip gradients (clip_gradient=1)"
        )


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGUSR1, which queues send before a time limit, set while the block runs."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield asked
        return
    signals = [signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
    before = [signal.signal(each, lambda *_: asked.set()) for each in signals]
    try:
        yield asked
    finally:
        for each, handler in zip(signals, before):
            signal.signal(each, handler)


class _Log:
    """`log.jsonl`, and TensorBoard's files if that is installed."""

    def __init__(self, folder: Path, begin: int) -> None:
        """Removes lines after the checkpoint from which the run resumes, because those steps are repeated."""
        self.path, self.board = folder / "log.jsonl", None
        before = read_bytes(self.path) if self.path.exists() else b""
        lines = before.decode("utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _step(line) <= begin]
        with replacing(self.path, follow_links=False) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder), purge_step=begin)

    def write(self, line: dict[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["step"])
            self.board.flush()


def _step(line: str) -> float:
    """The step of a line of `log.jsonl`; infinite for an incomplete line, which a killed run may leave."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


def _save(path: Path, method: Method, optimizer: torch.optim.Optimizer, step: int) -> None:
    with replacing(path, follow_links=False) as file:
        torch.save({"step": step, "method": method.state_dict(), "optimizer": optimizer.state_dict()}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        state = checkpoints.load_checkpoint(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged; remove it to start the run again") from error
    kinds = {"step": int, "method": Mapping, "optimizer": Mapping}
    if not isinstance(state, dict) or not all(isinstance(state.get(name), kind) for name, kind in kinds.items()):
        raise ValueError(f"{path} is not a checkpoint of skelrep; remove it to start the run again")
    return state


def _resume(path: Path, method: Method, optimizer: torch.optim.Optimizer) -> int:
    """Restores a checkpoint if there is one, and returns the step to resume from."""
    if not path.exists():
        return 0
    state = load_checkpoint(path)
    try:
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:  # from another network, or damaged; torch's message has many lines
        raise ValueError(f"{path} does not match this recipe; remove it to start the run again") from error
    return state["step"]
