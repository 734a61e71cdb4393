"""Axis orders of bare arrays, and confidences among their channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skelrep.messages import warn
from skelrep.missing import Zeros, absent_as_nan

MOST_PERSONS = 2  # in a 4-D array whose layout is not said; more are taken for a batch of one-person clips


def clips_from_array(
    array: Any, layout: str | None, zeros: Zeros | None = None, *, listed: bool = False
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """The clips (M, T, V, C) of an array, and scores (M, T, V) if its last channel is one; see `Poses.from_array`.

    Args:
        array: The array.
        layout: Its axes, or None to go by their number.
        zeros: What exact zeros mean.
        listed: Whether the array is one of a list, each of which holds a clip.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"poses must be an array of numbers, got dtype {array.dtype}")
    if layout is None:
        layout = {3: "TVC", 4: "MTVC", 5: "NMTVC"}.get(array.ndim)
        if layout is None:
            raise ValueError(
                f"an array of shape {array.shape} is no clip (T, V, C) or (M, T, V, C) and no batch "
                "(N, M, T, V, C); pass layout= with its axes' letters"
            )
        if layout == "MTVC" and array.shape[0] > MOST_PERSONS:
            raise ValueError(
                f"a 4-D array is one clip (persons, frames, joints, channels), but {array.shape} would hold "
                f'{array.shape[0]} persons; pass layout="NTVC" for a batch of one-person clips, or layout="MTVC"'
            )
        if layout == "MTVC" and array.shape[0] == 2 and not listed:
            warn(
                f"the array {array.shape} is taken for one clip of 2 persons (persons, frames, joints, channels); pass "
                'layout="NTVC" if it is 2 clips of one person, or layout="MTVC" to say that it is not'
            )
        if layout == "NMTVC" and array.shape[1] == 3 and array.shape[4] == 2:
            raise ValueError(
                f"an array of shape {array.shape} may be (N, M, T, V, C) of three persons in 2-D or "
                '(N, C, T, V, M) of the AGCN line; pass layout="NMTVC" or layout="NCTVM"'
            )
    layout = layout.upper()
    if len(set(layout)) != len(layout) or not set("TVC") <= set(layout) <= set("NMTVC"):
        raise ValueError(f"layout {layout!r} must name each of T, V, C once, and N and M at most once")
    if len(layout) != array.ndim:
        raise ValueError(f"layout {layout!r} has {len(layout)} axes but the array has shape {array.shape}")
    absent = [axis for axis in "NM" if axis not in layout]
    order = [(("".join(absent)) + layout).index(axis) for axis in "NMTVC"]
    batch = array.reshape((1,) * len(absent) + array.shape).transpose(order)
    if batch.shape[4] not in (2, 3) and not (batch.shape[4] == 4 and _is_confidence(batch)):
        raise ValueError(
            f"axis C of the array {array.shape} read as {layout} has {batch.shape[4]} channels, not 2 or 3; "
            "pass layout= if the axes stand in another order (a confidence, 0 to 1, may follow as the last channel)"
        )
    if 0 in batch.shape:
        raise ValueError(f"an array of shape {array.shape} holds no pose")
    scores = None
    if batch.shape[4] == 4 or (batch.shape[4] == 3 and _confidence_beside_pixels(batch)):
        axes = "x, y, z" if batch.shape[4] == 4 else "x, y"
        warn(f"the channels of the array {array.shape} are taken for {axes} and a score between 0 and 1")
        batch, scores = batch[..., :-1], batch[..., -1]
    clips, kept = [], []
    for i, clip in enumerate(batch):
        clip = np.asarray(clip, dtype=np.float32)
        seen = clip if zeros == "coordinates" else absent_as_nan(clip)
        if "N" in layout and not is_certainly_finite(seen):
            present = np.flatnonzero(~np.isnan(seen).all(axis=(0, 2, 3)))
            seen = seen[:, : present[-1] + 1] if len(present) else seen[:, :1]
        clips.append(seen)
        if scores is not None:
            kept.append(np.asarray(scores[i][:, : seen.shape[1]], dtype=np.float32))
    return clips, kept if scores is not None else None


def as_array(poses: Any) -> np.ndarray | None:
    """An array or a tensor of numbers as an array; None for everything else."""
    if hasattr(poses, "detach"):  # a torch tensor, without importing torch to say so
        poses = poses.detach().cpu().float().numpy()  # numpy knows no bfloat16
    return poses if isinstance(poses, np.ndarray) and poses.dtype != object else None


def is_certainly_finite(clip: np.ndarray) -> bool:
    """Whether certainly no coordinate is NaN or infinite; the fastest look, which very large numbers mislead."""
    flat = clip.reshape(-1)
    with np.errstate(over="ignore"):
        return math.isfinite(np.dot(flat, flat))


def _confidence_beside_pixels(array: np.ndarray) -> bool:
    """Whether the third channel is a confidence beside pixels: no room is 50 metres wide and within one metre deep."""
    third, pixels = array[..., 2], array[..., :2]
    if not 0 <= third.flat[0] <= 1 and not np.isnan(third.flat[0]):  # one number decides for most clips
        return False
    if not _is_confidence(array):
        return False
    return bool(np.fmax.reduce(pixels, axis=None) > 50 or np.fmin.reduce(pixels, axis=None) < -50)


def _is_confidence(array: np.ndarray) -> bool:
    """Whether the last channel lies between 0 and 1; not if all of it is NaN."""
    last = array[..., -1]
    return bool(np.fmin.reduce(last, axis=None) >= 0 and np.fmax.reduce(last, axis=None) <= 1)
