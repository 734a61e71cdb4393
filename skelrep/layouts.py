"""Axis orders of bare arrays, and zeros that mean missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_PERSONS = 2  # in a 4-D array whose layout is not said; more are taken for a batch of one-person clips


def clips_from_array(array: Any, layout: str | None) -> list[np.ndarray]:
    """The clips (M, T, V, C) of one array; see `Poses.from_array`."""
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
    if batch.shape[4] not in (2, 3):
        raise ValueError(
            f"axis C of the array {array.shape} read as {layout} has {batch.shape[4]} channels, not 2 or 3; "
            "pass layout= if the axes stand in another order (a confidence channel belongs into Poses.scores)"
        )
    if 0 in batch.shape:
        raise ValueError(f"an array of shape {array.shape} holds no pose")
    if batch.shape[4] == 3 and _confidences(batch):
        raise ValueError(
            "the third channel lies within 0 and 1 and the others beyond 50: a confidence beside pixels, no depth; "
            "pass array[..., :2], with NaN where the confidence is low, or Poses with scores"
        )
    clips = []
    for clip in batch:
        clip = missing_as_nan(np.asarray(clip, dtype=np.float32))
        if "N" in layout and not is_certainly_finite(clip):
            seen = np.flatnonzero(~np.isnan(clip).all(axis=(0, 2, 3)))
            clip = clip[:, : seen[-1] + 1] if len(seen) else clip[:, :1]
        clips.append(clip)
    return clips


def missing_as_nan(clip: np.ndarray) -> np.ndarray:
    """Marks as NaN what sensors and estimators write as zeros because they did not see it.

    That is every person's frame (V, C) of a (..., V, C) array in which all coordinates are exactly zero; and in a
    two-dimensional clip (M, T, V, 2) every joint at exactly (0, 0), the corner of an image, unless a single joint lies
    there all the time: the origin of centred poses.

    Returns:
        A copy, or the array itself where nothing is to be marked.
    """
    images = clip.ndim == 4 and clip.shape[-1] == 2
    if not (clip[..., 0] == 0 if images else clip[..., 0, 0] == 0).any():  # nearly always, and no time lost
        return clip
    zero = (clip == 0).all(axis=-1)
    absent = zero.all(axis=-1)
    if images:
        always = (zero | absent[..., None]).all(axis=(0, 1))
        if always.sum() == 1:
            zero[..., always] = False
    else:
        zero = absent
    if not zero.any() and not absent.any():
        return clip
    marked = clip.copy()
    marked[zero] = np.nan
    marked[absent] = np.nan
    return marked


def is_certainly_finite(clip: np.ndarray) -> bool:
    """Whether certainly no coordinate is NaN or infinite; the fastest look, which very large numbers mislead."""
    flat = clip.reshape(-1)
    with np.errstate(over="ignore"):
        return math.isfinite(np.dot(flat, flat))


def _confidences(array: np.ndarray) -> bool:
    """Whether the third channel is a confidence beside pixels: no room is 50 metres wide and within one metre deep."""
    third, pixels = array[..., 2], array[..., :2]
    if not 0 <= third.flat[0] <= 1 and not np.isnan(third.flat[0]):  # one number tells of most clips
        return False
    if not (np.fmin.reduce(third, axis=None) >= 0 and np.fmax.reduce(third, axis=None) <= 1):  # False if all are NaN
        return False
    return bool(np.fmax.reduce(pixels, axis=None) > 50 or np.fmin.reduce(pixels, axis=None) < -50)
