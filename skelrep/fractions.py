"""Coordinates that are fractions of a picture's width and height, which distorts every pose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

from skelrep.messages import warn
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from skelrep.poses import Poses

# Estimators guess joints beyond the edge of the picture, so some may lie outside of 0 to 1.
_LEAST, _MOST, _WITHIN = -0.25, 3.0, 0.8


_postponed: ContextVar[bool] = ContextVar("postponed", default=False)


@contextmanager
def fractions_postponed() -> Iterator[None]:
    """Within the block, there is no warning about fractions: `skelrep.read` checks poses after scaling."""
    token = _postponed.set(True)
    try:
        yield
    finally:
        _postponed.reset(token)


def are_fractions(clips: Sequence[np.ndarray], skeleton: Skeleton) -> bool:
    """Whether x and y of clips (M, T, V, C) are fractions of a picture.

    In 2-D, they are if nearly all lie between 0 and 1. In 3-D, as in MediaPipe's landmarks, the ankles must also have a
    larger y than the head: in a picture y points down, while rooms are described with y or z up.
    """
    for clip in clips:
        planar = clip[..., :2]
        # For most clips, this decides: pixels are larger, and centred poses have negative coordinates.
        with np.errstate(invalid="ignore"):
            if np.fmin.reduce(planar, axis=None) < _LEAST or np.fmax.reduce(planar, axis=None) > _MOST:
                return False
    points = [clip[..., :2][~np.isnan(clip).any(axis=-1)] for clip in clips[:100]]
    planar = np.concatenate(points) if points else np.empty((0, 2))
    if not len(planar) or np.ptp(planar, axis=0).max() < 0.02 or ((planar >= 0) & (planar <= 1)).mean() < _WITHIN:
        return False
    return clips[0].shape[-1] == 2 or _y_points_down(clips[:100], skeleton)


def _y_points_down(clips: Sequence[np.ndarray], skeleton: Skeleton) -> bool:
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    high = [
        index[joint]
        for joint in ("head", "nose", "head_top", "neck", "left_shoulder", "right_shoulder")
        if joint in index
    ]
    low = [index[joint] for joint in ("left_ankle", "right_ankle", "left_hip", "right_hip") if joint in index]
    if not high or not low:
        return False
    heights = [np.stack([clip[:, :, high[0], 1], clip[:, :, low[0], 1]]).reshape(2, -1) for clip in clips]
    above, below = np.concatenate(heights, axis=1)
    seen = ~np.isnan(above + below)
    return bool(seen.any() and np.median((below - above)[seen]) > 0.02)


def unit_is_checked(poses: Poses) -> None:
    """Marks poses for which no warning about fractions is needed."""
    object.__setattr__(poses, "unit_is_checked", True)


def check_unit(poses: Poses) -> None:
    """Warns, once for the same poses, if coordinates are fractions of a picture."""
    if _postponed.get() or poses.unit_is_checked:
        return
    unit_is_checked(poses)
    if poses.clips and are_fractions(poses.clips, poses.skeleton):
        warn(
            "coordinates between 0 and 1 are interpreted as fractions of a picture's width and height, which distorts "
            "the poses; multiply them by its size in pixels when poses are read or embedded, for example with "
            "scale=(1920, 1080), in 3-D with a third factor for the depth (0 discards it); scale=1 states that they "
            "are not fractions"
        )
