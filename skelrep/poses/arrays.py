"""`as_poses`: converts arrays, tensors, lists and data sets of poses to `Poses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skelrep.fractions import check_unit, fractions_postponed
from skelrep.layouts import as_array
from skelrep.missing import Zeros
from skelrep.poses.poses import Poses
from skelrep.poses.xarrays import from_xarray
from skelrep.skeletons import Skeleton, resolve


def as_poses(
    poses: Any,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
    zeros: Zeros | None = None,
    scale: float | Sequence[float] | None = None,
    channels: str | None = None,
) -> Poses:
    """Converts poses in memory, in any of several forms, to `Poses`.

    Args:
        poses: `Poses`; an array or tensor as `Poses.from_array` takes it; an xarray DataArray with the dimensions time,
            space, keypoints and optionally individuals, or a Dataset with `position` and optionally `confidence`, as in
            the movement package; or a list of clips, each (T, V, C), (M, T, V, C) or one of these, of any lengths.
        skeleton: As in `Poses.from_array`; for `Poses`, it replaces theirs.
        layout: The axes of the array, or of each array in the list.
        fps: Frames per second; overrides those of `Poses`.
        zeros: What exact zeros mean (see `Poses`).
        scale: Coordinates are multiplied by it, or each axis by its own (see `Poses.scaled`).
        channels: The meaning of an array's channels, such as "xys" (see `Poses.from_array`).

    Raises:
        ValueError: if it is empty, or a shape does not fit; the message says what was expected.
        TypeError: if it is something else.

    Examples:
        >>> poses = as_poses([walk, jump], skeleton="coco-17", fps=30)  # two arrays (T, 17, 2)
    """
    said: dict[str, Any] = {"skeleton": skeleton, "fps": fps, "zeros": zeros}
    if scale is not None:  # no warning about the unit
        with fractions_postponed():
            return as_poses(poses, **said, layout=layout, channels=channels).scaled(scale)
    if isinstance(poses, Poses):
        return _declared(poses, **said)
    if hasattr(poses, "dims") and hasattr(poses, "coords"):  # from xarray, recognised without importing it
        return as_poses(Poses(**from_xarray(poses), zeros=zeros), skeleton=skeleton, fps=fps)
    said |= {"layout": layout, "channels": channels}
    array = as_array(poses)
    if array is not None:
        return Poses.from_array(array, **said)
    if not isinstance(poses, (list, tuple, np.ndarray)):
        raise TypeError(f"poses must be Poses, an array, a tensor or a list of clips, got {type(poses).__name__}")
    if not len(poses):
        raise ValueError("the list of clips is empty")
    if any(as_array(clip) is None for clip in poses):
        return Poses.concatenate([as_poses(clip, **said) for clip in poses])
    return Poses.from_clips(list(poses), **said)


def _declared(poses: Poses, skeleton: Any, fps: float | None, zeros: Zeros | None) -> Poses:
    if not len(poses):
        raise ValueError("there is no clip in these poses")
    check_unit(poses)
    if skeleton is not None:
        poses = replace(poses, skeleton=resolve(skeleton, len(poses.skeleton)))
    if zeros is not None:  # joints that the rule marked as missing stay missing
        poses = replace(poses, zeros=zeros)
    return poses if fps is None else replace(poses, fps=fps)
