"""Embedding of many clips in batches, called by `Encoder.embed` once its input is `Poses`."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from skelrep.encoder.device import as_device, keep_freed_memory, pool_of_threads, threads_for
from skelrep.matmul import PRECISIONS
from skelrep.messages import nearest
from skelrep.poses import Poses
from skelrep.poses.covering import covering_joints

if TYPE_CHECKING:
    from skelrep.causal import Stepped
    from skelrep.encoder.encoder import Encoder
    from skelrep.preprocess import Prepared

logger = logging.getLogger(__name__)
Rows = TypeVar("Rows")

# Clips per batch: on a CPU, larger batches do not fit into the cache; on a GPU, smaller ones leave it idle.
BATCH_SIZES = {"cpu": 64, "cuda": 1024}
MAX_WORKERS = 8  # batches at a time on a CPU; Python's lock leaves little to more of them, and each needs 40 MB
KEPT = 2**27  # bytes of freed memory that are kept from batch to batch on a CPU; a batch needs about 40 MB


class PersonEmbeddings(NamedTuple):
    """One row per person of each clip.

    Attributes:
        rows: (R, D) float32 in the order of the clips, and of the persons in each clip.
        clips: (R,) index of each row's clip.
        persons: R ids: those of `Poses.person_ids`, or the person's index in the clip if there are none.
    """

    rows: np.ndarray
    clips: np.ndarray
    persons: list[str]


def embed_batches(
    encoder: Encoder,
    poses: Poses,
    *,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    per_frame: bool = False,
    show_progress: bool | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """One row per clip, (N, D) float32, or several, (N, S, D); arguments and errors are those of `skelrep.embed`."""
    names = chosen_streams(encoder, streams)
    features = encoder.per_frame if per_frame else encoder.features
    steps = encoder.most_steps(poses) if per_frame else None

    def embed_batch(batch: Poses) -> np.ndarray:
        rows = features_of(batch)
        check_finite(rows, batch.ids)
        return (torch.nn.functional.normalize(rows, dim=-1) if normalize else rows).cpu().numpy()

    def features_of(batch: Poses) -> Tensor:
        if encoder.config.preprocess.rate is None:
            return embed_prepared(encoder, encoder.prepare_weighted(batch), lambda x: features(x, names, precision))
        stepped = encoder.prepare_stepped(batch)
        if steps is None:
            return _embed_stepped(encoder, stepped, lambda *x: encoder.features(x[0], names, precision, x[1]))
        return _embed_steps(encoder, stepped, steps, lambda x: encoder.per_frame(x, names, precision))

    packed = () if per_frame else names  # features per frame are computed by the modules themselves
    for first, rows in _batches(encoder, packed, poses, embed_batch, batch_size, device, precision, show_progress):
        if out is None:
            out = np.empty((len(poses), *rows.shape[1:]), dtype=np.float32)
        if first == 0:
            _check_out(out, (len(poses), *rows.shape[1:]))
        out[first : first + len(rows)] = rows
    assert out is not None  # Poses contain at least one clip
    return out


def embed_prepared(encoder: Encoder, prepared: Prepared, features: Callable[[Tensor], dict[str, Tensor]]) -> Tensor:
    """The embeddings (N, ..., D) of prepared clips, in which persons are weighted.

    Args:
        encoder: The encoder, whose config states whether persons are weighted.
        prepared: N clips.
        features: The function from poses (N, M, T, V, 3) to (N, ..., dim) for each modality, the mean over the M
            persons.
    """
    poses, weights = prepared
    if encoder.config.preprocess.weigh == "equal" or not _uneven(weights):
        return encoder.fuse(features(poses)).float()
    alone = features(poses[weights > 0][:, None])
    return encoder.fuse({name: _over_persons(rows, weights) for name, rows in alone.items()}).float()


def _embed_stepped(
    encoder: Encoder, stepped: Stepped, features: Callable[[Tensor, Tensor], dict[str, Tensor]]
) -> Tensor:
    """The embeddings (N, D) of clips at a constant frame rate.

    Args:
        encoder: Of this rate.
        stepped: N clips.
        features: Of (R, 1, T, V, 3) persons and their numbers of frames, for each modality (R, dim).
    """
    weights = stepped.weights[..., -1]
    present = weights > 0
    alone = features(stepped.poses[present][:, None], stepped.frames[..., -1][present])
    return encoder.fuse({name: _over_persons(rows, weights) for name, rows in alone.items()}).float()


def _embed_steps(
    encoder: Encoder, stepped: Stepped, count: int, features: Callable[[Tensor], dict[str, Tensor]]
) -> Tensor:
    """The embeddings (N, count, D) of the frames of clips up to each step.

    Args:
        encoder: Of a constant frame rate.
        stepped: N clips.
        count: At least the number of their steps; the rest repeats the last one.
        features: Of (R, 1, T, V, 3) persons, for each modality (R, T, dim), of the frames up to each.
    """
    present = stepped.weights[..., -1] > 0
    latest = (stepped.frames[present] - 1).clamp(min=0)[..., None]  # (R, S, 1)
    alone = features(stepped.poses[present][:, None])
    so_far = {name: x.gather(1, latest.expand(-1, -1, x.shape[-1])) for name, x in alone.items()}
    rows = encoder.fuse({name: _over_persons(x, stepped.weights) for name, x in so_far.items()}).float()
    return rows[:, torch.arange(count, device=rows.device).clamp(max=rows.shape[1] - 1)]


def check_finite(rows: Tensor, ids: Sequence[str]) -> None:
    """Raises a ValueError with the ids of the clips whose rows of (R, ...) are not finite."""
    finite = rows.isfinite().flatten(1).all(dim=1).tolist()
    if wrong := [name for name, fine in zip(ids, finite) if not fine]:
        raise ValueError(
            f"the embeddings of {len(wrong)} clips are not finite: {', '.join(wrong[:5])}"
            f"{', ...' if len(wrong) > 5 else ''}; their coordinates (unit, outliers), or the encoder's weights, "
            "are too large for float32"
        )


def _uneven(weights: Tensor) -> bool:
    """Whether any clip has two present persons of different weights (N, M)."""
    return bool(((weights > 0) & (weights < weights.amax(dim=1, keepdim=True))).any())


def _over_persons(rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted means (N, ...) over the persons of each clip, from rows (R, ...) of the persons with weight above 0.

    Weights are (N, M), or (N, M, S) for rows (R, S, dim); then those of the last step say who is present.
    """
    present = weights.flatten(2)[..., -1] > 0 if weights.ndim > 2 else weights > 0
    share = (weights / weights.sum(dim=1, keepdim=True))[present]
    share = share.view(*share.shape, *[1] * (rows.ndim - share.ndim))
    clip = present.nonzero()[:, 0]
    return rows.new_zeros(len(weights), *rows.shape[1:]).index_add_(0, clip, rows * share.to(rows))


def embed_persons(
    encoder: Encoder,
    poses: Poses,
    *,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    show_progress: bool | None = None,
) -> PersonEmbeddings:
    """One row per person who is seen, each normalised and encoded alone; arguments are those of `skelrep.embed`.

    Raises:
        ValueError: as `skelrep.embed`, and for an encoder that takes all persons of a clip as one input.
    """
    names = chosen_streams(encoder, streams)
    config = encoder.config.preprocess
    if encoder.config.persons_together:
        raise ValueError("this encoder takes all persons of a clip as one input, so it has no rows per person")
    config = dataclasses.replace(config, persons=max(map(len, poses.clips)), pairs="apart", weigh="equal")

    def embed_batch(batch: Poses) -> tuple[np.ndarray, list[list[int]]]:
        lengths = None
        if config.rate is None:
            prepared, weights = encoder.prepare_weighted(batch, config=config)
        else:
            prepared, frames, weights = encoder.prepare_stepped(batch, config=config)
            weights = weights[..., -1]
            lengths = frames[..., -1][weights > 0]
        rows = encoder.fuse(encoder.features(prepared[weights > 0][:, None], names, precision, lengths)).float()
        found = (weights > 0).nonzero().tolist()
        check_finite(rows, [batch.ids[clip] for clip, _ in found])
        return (torch.nn.functional.normalize(rows, dim=1) if normalize else rows).cpu().numpy(), found

    parts: list[np.ndarray] = []
    clips: list[int] = []
    persons: list[str] = []
    for first, (rows, found) in _batches(
        encoder, names, poses, embed_batch, batch_size, device, precision, show_progress
    ):
        parts.append(rows)
        for clip, person in found:
            clips.append(first + clip)
            persons.append(poses.person_names(first + clip)[person])
    return PersonEmbeddings(np.concatenate(parts), np.array(clips), persons)


def _batches(
    encoder: Encoder,
    packed: Sequence[str],
    poses: Poses,
    embed_batch: Callable[[Poses], Rows],
    batch_size: int | None,
    device: torch.device | str | None,
    precision: str,
    show_progress: bool | None,
) -> Iterator[tuple[int, Rows]]:
    """Calls `embed_batch` on each batch, in evaluation mode on the device; yields (index of the first clip, result).

    `packed` are the streams whose packed weights `embed_batch` uses on a CPU.
    """
    check_precision(precision)
    poses = covering_joints(poses, encoder.skeleton)
    home = encoder.device
    target = home if device is None else as_device(device)
    if batch_size is None:
        batch_size = BATCH_SIZES.get(target.type, 64)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    workers = 1
    if target.type == "cpu" and len(poses) > batch_size:
        keep_freed_memory(KEPT)
        workers = min(MAX_WORKERS, torch.get_num_threads(), -(-len(poses) // batch_size))

    def compute(batch: Poses) -> Rows:
        # Both are settings of a thread. `precision` decides, not the caller's autocast.
        with torch.inference_mode(), torch.autocast(target.type, enabled=False):
            return embed_batch(batch)

    with (
        _evaluating(encoder, target),
        tqdm(
            total=len(poses),
            desc="embed",
            unit="clip",
            delay=1,
            disable=None if show_progress is None else not show_progress,
        ) as bar,
    ):
        if workers == 1:
            results = _in_turn(compute, poses, batch_size, target)
        else:
            # All threads share the packed weights, so that they are packed before and only once.
            results = _at_once(compute, poses, batch_size, workers, lambda: encoder.packed(packed, precision))
        for clips, rows in results:
            yield clips.start, rows
            bar.update(len(clips))


def _in_turn(
    compute: Callable[[Poses], Rows], poses: Poses, batch_size: int, target: torch.device
) -> Iterator[tuple[range, Rows]]:
    """Batches one after the other, smaller ones if a GPU's memory is too small: (the clips, result)."""
    done = 0
    while done < len(poses):
        batch = poses[done : done + batch_size]
        try:
            with threads_for(len(batch), target):
                rows = compute(batch)
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size //= 2
            logger.info("out of GPU memory: continuing with batches of %d", batch_size)
            continue
        yield range(done, done + len(batch)), rows
        done += len(batch)


def _at_once(
    compute: Callable[[Poses], Rows], poses: Poses, batch_size: int, workers: int, begin: Callable[[], object]
) -> Iterator[tuple[range, Rows]]:
    """Several batches at a time, each in one of `workers` threads, after `begin` has run: (the clips, result).

    Threads that share each operation instead wait for each other some hundred times per batch, and for everything that
    runs in one thread, such as most of the preprocessing. On two cores, that takes 1.3 to 1.5 times as long.
    """
    running: deque[tuple[range, Future[Rows]]] = deque()
    with pool_of_threads(workers) as pool:
        try:
            pool.submit(begin).result()
            for first in range(0, len(poses), batch_size):
                batch = poses[first : first + batch_size]
                running.append((range(first, first + len(batch)), pool.submit(compute, batch)))
                if len(running) > 2 * workers:
                    clips, future = running.popleft()
                    yield clips, future.result()
            while running:
                clips, future = running.popleft()
                yield clips, future.result()
        finally:
            for _, future in running:
                future.cancel()


@contextmanager
def _evaluating(encoder: Encoder, target: torch.device) -> Iterator[None]:
    """Puts the encoder into evaluation mode on a device; the last of several threads restores its mode and device."""
    global _started_threads
    _started_threads |= torch.get_num_threads() > 1
    state = encoder.__dict__
    with _LOCK:
        if not state.get("_embedding", 0):
            state["_before"] = encoder.training, encoder.device
            encoder.eval()
        state["_embedding"] = state.get("_embedding", 0) + 1
        encoder.to(target)
    try:
        yield
    finally:
        with _LOCK:
            state["_embedding"] -= 1
            if not state["_embedding"]:
                training, home = state.pop("_before")
                encoder.to(home).train(training)


_LOCK = threading.Lock()
_started_threads = False  # whether OpenMP may have started its threads


def _after_fork() -> None:
    """Limits a forked process to one thread: OpenMP's threads do not exist there, and it would wait forever."""
    global _LOCK
    _LOCK = threading.Lock()
    if _started_threads:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def chosen_streams(encoder: Encoder, streams: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of some of an encoder's streams, checked; None means all of them."""
    known = encoder.config.modalities
    if streams is None:
        return known
    wanted = (streams,) if isinstance(streams, str) else tuple(streams)
    unknown = [name for name in wanted if name not in known]
    if not wanted or len(set(wanted)) < len(wanted) or unknown:
        hint = nearest(unknown[0], known) if unknown else ""
        raise ValueError(
            f"streams must be some of this encoder's {', '.join(known)}; got {', '.join(wanted) or 'none'}{hint}"
        )
    return wanted


def check_precision(precision: str) -> None:
    """Raises a ValueError for an unknown precision."""
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}{nearest(precision, PRECISIONS)}"
        )


def _check_out(out: np.ndarray, shape: tuple[int, ...]) -> None:
    if out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be a float32 array of shape {shape}, got {out.dtype} {out.shape}")
