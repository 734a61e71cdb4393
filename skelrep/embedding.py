"""embed(): from the names of files and encoders to embeddings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skelrep.encoder import Encoder
from skelrep.hub import load_pretrained
from skelrep.io import read
from skelrep.poses import as_poses
from skelrep.skeletons import Skeleton


def embed(
    poses: Any,
    model: Encoder | str | os.PathLike = "i2md-small",
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    window: float | None = None,
    stride: float | None = None,
    show_progress: bool | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """One vector for every clip.

    Args:
        poses: `Poses`, a file or folder that `skelrep.read` knows, an array (T, V, C), (M, T, V, C) or
            (N, M, T, V, C), or a list of clips of different lengths. NaN marks joints that were not seen. Axes are
            right-handed, in any orientation, for a mirrored room swaps left and right; images are as usual, with y up
            or down. Metres, or any unit for an encoder that scales, as the one in the box does.
        model: An `Encoder`, or what `load_pretrained` takes.
        skeleton: What the joints of an array are: a `Skeleton`, a known name, or V joint names.
        layout: The axes of an array in another order, for example "NCTVM".
        fps: Frames a second; only `window` needs it.
        streams: Some of the encoder's modalities, for example "joint"; by default all.
        batch_size: Clips at once; by default 64 on a CPU and 1024 on a GPU. The result does not depend on it beyond
            rounding (1e-5; int8 has one scale for all rows of a product, so there as far as int8 itself changes it).
        device: Where to compute; by default where the model is. The model is moved back afterwards.
        precision: Of the network's products. "bfloat16" is about twice as fast where the hardware has it and changes
            an embedding by a cosine of 1e-5 to 1e-4; "int8", for CPUs, up to five times as fast for large encoders, and
            the cosine is 1e-4 to 1e-3, for single clips 1e-2. What is returned is always float32.
        normalize: Scale every row to length 1.
        window: Seconds; cuts every clip into windows, one row each (see `Poses.windows`, which tells their times).
        stride: Seconds between the starts of windows; by default `window`.
        show_progress: A bar on stderr; by default only in a terminal or notebook, and only for work of over a second.
        out: A float32 array or memory map (N, D) to write into, for more rows than memory holds.

    Returns:
        (N, D) float32, one row a clip, in the order of the input; `out` if that was given.

    Raises:
        ValueError: if an input does not fit (the message says what was expected), a clip shows nobody (it is named),
            the skeleton cannot be mapped, or `out` has another shape.
        OSError: if a file or the model cannot be read.
    """
    encoder = model if isinstance(model, Encoder) else load_pretrained(model)
    if isinstance(poses, (str, os.PathLike)):
        poses = read(poses, layout=layout, skeleton=skeleton, fps=fps)
    else:
        poses = as_poses(poses, skeleton=skeleton, layout=layout, fps=fps)
    return encoder.embed(
        poses,
        streams=streams,
        batch_size=batch_size,
        device=device,
        precision=precision,
        normalize=normalize,
        window=window,
        stride=stride,
        show_progress=show_progress,
        out=out,
    )
