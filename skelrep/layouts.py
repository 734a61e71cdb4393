"""Axis orders of bare arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skelrep.channels import are_certainly_coordinates, judged, split
from skelrep.memory_budget import bounded, is_counted
from skelrep.messages import warn
from skelrep.missing import Zeros, absent_as_nan
from skelrep.skeletons import SKELETONS, Skeleton

MOST_PERSONS = 2  # in a 4-D array without a layout; a longer first axis may count clips, so it is refused

# Orders of axes in use, the most frequent first; an error suggests those that fit an array.
_IN_USE = (
    *("TVC", "CTV", "TCV", "VTC", "CVT", "VCT"),
    *("NTVC", "MTVC", "TMVC", "NCTV", "CTVM", "TVMC", "TVCM", "NTCV", "MTCV", "MCTV", "CTMV", "NVTC", "VTMC", "TCVM"),
    *("NMTVC", "NCTVM", "NTMVC", "NMCTV", "NTVMC", "NTVCM", "NMTCV", "NTCVM"),
)
_FEW_PERSONS = 6  # arrays hardly ever have more persons in every frame


def clips_from_array(
    array: Any,
    layout: str | None,
    zeros: Zeros | None = None,
    *,
    channels: str | None = None,
    known: Skeleton | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """The clips (M, T, V, C) of an array, and scores (M, T, V) if a channel is one; see `Poses.from_array`.

    Args:
        array: The array.
        layout: The order of its axes, or None to decide by their number.
        zeros: What exact zeros mean.
        channels: The meaning of the channels, or None to judge by the numbers (see `skelrep.channels`).
        known: The skeleton that the caller names, or None.
    """
    joints = None if known is None else len(known)
    numbers = as_array(array)
    array = np.asarray(array) if numbers is None else numbers
    if array.dtype.kind not in "fiu":
        raise ValueError(f"poses must be an array of numbers, got dtype {array.dtype}")
    if 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} contains no pose")
    if layout is None and array.ndim == 2:
        array = _rows_of_joints(array, joints, channels)
    layout = layout.upper() if layout is not None else _by_number_of_axes(array, joints)
    absent, order = _order(layout)
    if len(layout) != array.ndim:
        raise ValueError(f"layout {layout!r} has {len(layout)} axes but the array has shape {array.shape}")
    batch = array.reshape((1,) * absent + array.shape).transpose(order)
    _check_sizes(array, layout, batch, channels, known)
    try:
        letters, note = (channels, None) if channels is not None else judged(batch)
        batch, scores = split(batch, letters)
    except ValueError as error:
        raise ValueError(f"the array {array.shape} read as {layout}: {error}") from None
    if note is not None:
        warn(f"the channels of the array {array.shape} {note}")
    clips, kept = [], []
    for i, clip in enumerate(batch):
        if is_counted():  # an array that the caller already has is not limited
            bounded(_filled_frames(clip) if "N" in layout else clip.shape[1], clip[:, 0].size)
        clip = np.asarray(clip, dtype=np.float32)
        seen = clip if zeros == "coordinates" else absent_as_nan(clip)
        if "N" in layout and not is_certainly_finite(seen):
            present = np.flatnonzero(~np.isnan(seen).all(axis=(0, 2, 3)))
            # A copy: a view would keep the padding in memory, which may be most of the batch.
            seen = seen[:, : present[-1] + 1 if len(present) else 1].copy()
        clips.append(seen)
        if scores is not None:
            kept.append(np.asarray(scores[i][:, : seen.shape[1]], dtype=np.float32))
    return clips, kept if scores is not None else None


@lru_cache(maxsize=256)
def _order(layout: str) -> tuple[int, tuple[int, ...]]:
    """How many of N and M a layout lacks, and the order of its axes, after these, that gives NMTVC."""
    if len(set(layout)) != len(layout) or not set("TVC") <= set(layout) <= set("NMTVC"):
        raise ValueError(f"layout {layout!r} must name each of T, V, C once, and N and M at most once")
    absent = "".join(axis for axis in "NM" if axis not in layout)
    return len(absent), tuple((absent + layout).index(axis) for axis in "NMTVC")


def channels_of_all(arrays: Sequence[np.ndarray | None]) -> str | None:
    """The meaning of the last axis of arrays (..., V, C), decided from all of them together, with a warning.

    None if their sizes differ or they are not arrays of joints; other functions report what is wrong with each.
    """
    sizes = {None if array is None or array.ndim < 3 else array.shape[-1] for array in arrays}
    if len(arrays) < 2 or not sizes <= {3, 4} or len(sizes) != 1:
        return None
    known = [array for array in arrays if array is not None]
    if any(map(are_certainly_coordinates, known)):  # usually the first clip, so that the others are not copied
        return "xyz"
    letters, note = judged(np.concatenate([array.reshape(-1, array.shape[-1]) for array in known]))
    if note is not None:
        warn(f"the channels of {len(arrays)} clips {note}")
    return letters


def _filled_frames(clip: np.ndarray) -> int:
    """Frames up to the last one of a (M, T, V, C) clip that is not all zeros."""
    return int(np.flatnonzero((clip != 0).any(axis=(0, 2, 3))).max(initial=0)) + 1


def as_array(poses: Any) -> np.ndarray | None:
    """An array, a tensor or nested lists of numbers as an array, with NaN for None and masked values; else None."""
    if hasattr(poses, "detach"):  # a torch tensor, recognised without importing torch
        poses = poses.detach().cpu().float().numpy()  # numpy has no bfloat16
    if isinstance(poses, np.ma.MaskedArray) and poses.dtype.kind in "fiu":
        return np.ma.filled(poses.astype(np.result_type(poses.dtype, np.float32)), np.nan)
    if isinstance(poses, np.ndarray) and poses.dtype != object:
        return poses
    return _numbers(poses) if _is_nested(poses) else None


def is_certainly_finite(clip: np.ndarray) -> bool:
    """A fast test that no coordinate is NaN or infinite; False also for finite numbers that are very large."""
    flat = clip.reshape(-1)
    with np.errstate(over="ignore"):
        return math.isfinite(np.dot(flat, flat))


def likely_layouts(shape: tuple[int, ...], joints: int | None = None) -> list[str]:
    """Orders of axes in use that fit the shape of an array, the most likely first.

    Args:
        shape: The shape of the array.
        joints: V, or None for the joints of any known skeleton.
    """
    known = {len(skeleton) for skeleton in SKELETONS.values()} if joints is None else {joints}
    fitting = []
    for layout in _IN_USE:
        size = dict(zip(layout, shape))
        fits = len(layout) == len(shape) and size["V"] in known and size["C"] in (2, 3, 4)
        if fits and size.get("M", 1) <= _FEW_PERSONS:
            fitting.append(layout)
    for plain in (lambda size: size["T"] > _FEW_PERSONS, lambda size: size["C"] < 4):
        fitting = [layout for layout in fitting if plain(dict(zip(layout, shape)))] or fitting
    return fitting


def _by_number_of_axes(array: np.ndarray, joints: int | None) -> str:
    """The layout of an array by its number of axes.

    Raises:
        ValueError: if two fit, or none.
    """
    shape = array.shape
    layout = {3: "TVC", 4: "MTVC", 5: "NMTVC"}.get(array.ndim)
    if layout is None:
        raise ValueError(
            f"an array of shape {shape} is neither a clip (T, V, C) or (M, T, V, C) nor a batch (N, M, T, V, C); pass "
            "layout= with the letters of its axes"
        )
    if layout == "MTVC" and shape[0] > MOST_PERSONS:
        raise ValueError(
            f"a 4-D array is one clip (persons, frames, joints, channels), but {shape} would contain {shape[0]} "
            "persons; "
            + _offer(
                likely_layouts(shape, joints), 'pass layout="NTVC" for a batch of one-person clips, or layout="MTVC"'
            )
        )
    if layout == "NMTVC" and shape[1] == 3 and shape[4] == 2:
        raise ValueError(
            f"an array of shape {shape} may be (N, M, T, V, C) of three persons in 2-D or "
            '(N, C, T, V, M) as in AGCN; pass layout="NMTVC" or layout="NCTVM"'
        )
    return layout


def _check_sizes(
    array: np.ndarray, layout: str, batch: np.ndarray, channels: str | None, known: Skeleton | None
) -> None:
    """Raises an error if axis C has an impossible size, or axis V another size than the skeleton."""
    found, joints = batch.shape[4], None if known is None else len(known)
    has_channels, has_joints = channels is not None or 2 <= found <= 7, joints in (None, batch.shape[3])
    if has_channels and has_joints:
        return
    others = [other for other in likely_layouts(array.shape, joints) if other != layout]
    if not has_channels:
        raise ValueError(
            f"axis C of the array {array.shape} read as {layout} has {found} channel{'s' * (found != 1)}, not 2 or 3 "
            f"(a score may follow); {_offer(others, 'pass layout= if the axes are in another order')}"
        )
    assert known is not None
    raise ValueError(
        f"{known.name!r} has {joints} joints but the array {array.shape} read as {layout} has {batch.shape[3]}; "
        + _offer(others, "pass another skeleton=, or layout= if the axes are in another order")
    )


def _offer(layouts: list[str], otherwise: str) -> str:
    """The end of a message: which layouts to pass, or what to do if no known one fits."""
    if not layouts:
        return otherwise
    words = {"N": "clips", "M": "persons", "T": "frames", "V": "joints", "C": "channels"}
    named = [f'layout="{layout}" ({", ".join(words[axis] for axis in layout)})' for layout in layouts[:3]]
    return f"pass {' or '.join(named)} if that is what it contains"


def _rows_of_joints(array: np.ndarray, joints: int | None, channels: str | None) -> np.ndarray:
    """(T, V, C) from an array (T, V x C), with V from the caller's skeleton."""
    frames, width = array.shape
    each = (len(channels),) if channels else (2, 3, 4)
    if joints is not None and width % joints == 0 and width // joints in each:
        return array.reshape(frames, joints, -1)
    if width in (2, 3, 4) and likely_layouts((frames + 1, *array.shape), joints):
        raise ValueError(
            f"an array of shape {array.shape} is a single pose (joints, channels); expected a clip (frames, joints, "
            "channels), for example np.stack of several poses"
        )
    known = [f"{known.name} x {n}" for known in SKELETONS.values() for n in (2, 3) if width == n * len(known)]
    raise ValueError(
        f"an array of shape {array.shape} has no axis of joints; pass skeleton= if each row contains the numbers of "
        f"all joints, one after the other ({width} numbers"
        + (f" may be {', '.join(known[:6])}" if known else "")
        + "), or an array (T, V, C)"
    )


def _is_nested(poses: Any) -> bool:
    """Whether there are lists of lists, or an array of objects, whose first item is a number or None."""
    depth = poses.ndim if isinstance(poses, np.ndarray) else 0
    while isinstance(poses, (list, tuple, np.ndarray)) and len(poses):
        depth += not isinstance(poses, np.ndarray)
        poses = poses[0]
    return depth >= 2 and (poses is None or isinstance(poses, (int, float, np.number)))


def _numbers(poses: Any) -> np.ndarray | None:
    try:
        return np.array(poses, dtype=np.float32)
    except (ValueError, TypeError):  # lists of different lengths
        return None
