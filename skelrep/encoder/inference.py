"""Embedding of many clips in batches: what `Encoder.embed` does once its input is `Poses`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from skelrep.encoder.device import as_device
from skelrep.matmul import PRECISIONS
from skelrep.messages import nearest
from skelrep.poses import Poses
from skelrep.poses.covering import covering_joints

if TYPE_CHECKING:
    from skelrep.encoder.encoder import Encoder

logger = logging.getLogger(__name__)

# Clips per batch by type of device: on a CPU larger batches leave the cache, on a GPU smaller ones leave it idle.
BATCH_SIZES = {"cpu": 64, "cuda": 1024}


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
    """One row per clip, (N, D) float32, or several, (N, S, D); for the arguments and errors see `skelrep.embed`."""
    check_precision(precision)
    names = chosen_streams(encoder, streams)
    home = encoder.device
    target = home if device is None else as_device(device)
    if batch_size is None:
        batch_size = BATCH_SIZES.get(target.type, 64)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")

    features = encoder.per_frame if per_frame else encoder.features
    poses = covering_joints(poses, encoder.skeleton)
    training = encoder.training
    encoder.eval().to(target)
    try:
        done = 0
        with (
            torch.inference_mode(),
            tqdm(
                total=len(poses),
                desc="embed",
                unit="clip",
                delay=1,
                disable=None if show_progress is None else not show_progress,
            ) as bar,
        ):
            while done < len(poses):
                try:
                    prepared = encoder.prepare(poses[done : done + batch_size])
                    rows = encoder.fuse(features(prepared, names, precision)).float()
                except torch.cuda.OutOfMemoryError:
                    if batch_size == 1:
                        raise
                    batch_size //= 2
                    logger.info("out of GPU memory: continuing with batches of %d", batch_size)
                    continue
                if normalize:
                    rows = torch.nn.functional.normalize(rows, dim=-1)
                if out is None:
                    out = np.empty((len(poses), *rows.shape[1:]), dtype=np.float32)
                if done == 0:
                    _check_out(out, (len(poses), *rows.shape[1:]))
                out[done : done + len(rows)] = rows.cpu().numpy()
                done += len(rows)
                bar.update(len(rows))
    finally:
        encoder.to(home).train(training)
    assert out is not None  # Poses hold at least one clip
    return out


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
