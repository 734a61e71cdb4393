"""embed(): resolves names of files and encoders, and embeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skelrep.encoder import Encoder
from skelrep.encoder.inference import PersonEmbeddings
from skelrep.hub import load_pretrained
from skelrep.io import read
from skelrep.missing import Zeros
from skelrep.poses import Poses, as_poses
from skelrep.skeletons import Skeleton


def embed(
    poses: Any,
    model: Encoder | str | os.PathLike = "i2md-small",
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
    zeros: Zeros | None = None,
    scale: float | Sequence[float] | None = None,
    channels: str | None = None,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    window: float | None = None,
    stride: float | None = None,
    per_frame: bool = False,
    show_progress: bool | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Embeds clips: one vector per clip.

        embed("poses.npz")                              # a file, with the bundled encoder
        embed(clips, skeleton="coco-17")                # arrays; every array has a skeleton
        embed(recording, encoder, window=2.0, stride=0.5)

    Args:
        poses: `Poses`, a file or folder that `skelrep.read` knows, an array (T, V, C), (M, T, V, C) or
            (N, M, T, V, C), or a list of clips of different lengths. NaN marks joints that were not seen. Coordinates
            must be right-handed, in any orientation; a left-handed system swaps left and right. Image coordinates may
            have y up or down. The unit is the metre, or any unit for an encoder that scales, as the bundled ones do.
        model: An `Encoder`, or what `load_pretrained` takes.
        skeleton: The joints of an array: a `Skeleton`, a known name, or V joint names.
        layout: The order of an array's axes, if it is another one, for example "NCTVM".
        fps: Frames per second; only `window` and encoders of a constant frame rate (i2md-stream) need it.
        zeros: What coordinates of exactly zero mean: "missing", "coordinates", or None to judge by the data (see
            `skelrep.missing`).
        scale: Coordinates are multiplied by it, or each axis by its own: (1920, 1080) for fractions of a picture.
        channels: The meaning of an array's channels, for example "xys" for x, y and a score; by default judged by the
            numbers (see `Poses.from_array`).
        streams: Some of the encoder's streams, for example "joint"; by default all.
        batch_size: Clips per batch; by default 64 on a CPU and 1024 on a GPU. The result does not depend on it beyond
            rounding: up to 1e-5, and with int8, which has one scale for all rows of a product, as much as int8 itself
            changes an embedding. On a CPU, up to eight batches are computed at once, one per thread of PyTorch; smaller
            ones need less memory.
        device: Where to compute; by default the device of the model. The model is moved back afterwards.
        precision: Precision of the network's matrix products. "bfloat16" is about twice as fast where the hardware
            supports it and changes an embedding by a cosine distance of 1e-5 to 1e-4. "int8", for CPUs, is up to five
            times as fast for large encoders and changes it by 1e-4 to 1e-3, for single clips 1e-2. The result is
            always float32.
        normalize: Scale every row to length 1.
        window: Length of windows in seconds: every clip is cut into windows, one row each. `poses.windows(window,
            stride)` returns the same windows with their times.
        stride: Seconds between the starts of windows; by default `window`.
        per_frame: S rows for every clip instead of one. With an encoder of a constant frame rate, S is the number of
            its frames in the longest clip, a row is the embedding of the clip up to that frame, and shorter clips
            repeat their last row. With a recurrent encoder, S is T, the encoder's number of frames, and a row is the
            embedding up to that frame. With a convolutional encoder, S is
            T / stride, and a row is the feature around one step, before it is averaged over time, so it has fewer
            dimensions. `encoder.frame_positions` returns the frames that the rows belong to. int8 is not supported.
        show_progress: A progress bar on stderr; by default only in a terminal or notebook, and only for work of over a
            second.
        out: A float32 array or memory map of the result's shape to write into, if the result exceeds the memory.

    Returns:
        (N, D) float32, one row per clip, in the order of the input, or (N, S, D) with `per_frame`; `out` if given.

    Raises:
        ValueError: if an input does not fit (the message says what was expected), a clip shows nobody (the message
            names it), the skeleton cannot be mapped, or `out` has another shape.
        OSError: if a file or the model cannot be read.
    """
    encoder = model if isinstance(model, Encoder) else load_pretrained(model)
    said = {"skeleton": skeleton, "layout": layout, "fps": fps, "zeros": zeros, "scale": scale, "channels": channels}
    poses = _read_or_taken(poses, said)
    return encoder.embed(
        poses,
        streams=streams,
        batch_size=batch_size,
        device=device,
        precision=precision,
        normalize=normalize,
        window=window,
        stride=stride,
        per_frame=per_frame,
        show_progress=show_progress,
        out=out,
    )


def embed_persons(
    poses: Any,
    model: Encoder | str | os.PathLike = "i2md-small",
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
    zeros: Zeros | None = None,
    scale: float | Sequence[float] | None = None,
    channels: str | None = None,
    **options: Any,
) -> PersonEmbeddings:
    """One vector for every person of every clip, each encoded alone.

    Args:
        poses: As `embed` takes them.
        model: An `Encoder`, or what `load_pretrained` takes.
        skeleton: As in `embed`.
        layout: As in `embed`.
        fps: As in `embed`.
        zeros: As in `embed`.
        scale: As in `embed`.
        channels: As in `embed`.
        **options: `streams`, `batch_size`, `device`, `precision`, `normalize` and `show_progress` as in `embed`.

    Returns:
        `rows` (R, D) float32; `clips` (R,), the index of each row's clip; and `persons`, R ids: those of
        `Poses.person_ids`, or the person's index in the clip if there are none. Persons never seen have no row.

    Raises:
        ValueError: as `embed`; and for an encoder that takes all persons of a clip as one input.
        OSError: if a file or the model cannot be read.

    Examples:
        >>> two = np.random.default_rng(0).normal(size=(2, 40, 17, 3))
        >>> embed_persons(two, skeleton="coco-17").persons
        ['0', '1']
    """
    encoder = model if isinstance(model, Encoder) else load_pretrained(model)
    said = {"skeleton": skeleton, "layout": layout, "fps": fps, "zeros": zeros, "scale": scale, "channels": channels}
    poses = _read_or_taken(poses, said)
    return encoder.embed_persons(poses, **options)


def maker(encoder: Encoder, streams: Sequence[str] | None) -> str:
    """Encoder, commit and streams, as stored with embeddings: only embeddings with the same maker are comparable."""
    return "@".join(filter(None, encoder.source)) + (f" ({', '.join(streams)})" if streams else "")


def _read_or_taken(poses: Any, said: dict[str, Any]) -> Poses:
    """Poses from a file, a folder or memory, with the caller's arguments applied."""
    return read(poses, **said) if isinstance(poses, (str, os.PathLike)) else as_poses(poses, **said)
