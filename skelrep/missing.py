"""Numbers that mean "not seen": the rule for all readers and all constructors of `Poses`.

Sensors and pose estimators write zeros for joints that they did not see. A zero may also be a coordinate: poses that
are centred at the pelvis have it at the origin in every frame. The decision depends on the clip:

- A person's frame in which every coordinate is exactly zero was not seen.
- A joint at exactly zero was not seen if the origin is outside the body, or if the joint is elsewhere in the frames
  before and after.
- A joint of the trunk or head that is at zero all the time, in the middle of the body, is the origin of centred poses.
- A joint at exactly -1 in all coordinates was not seen.
- A joint whose score is zero was not seen, unless all scores are zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import numpy as np

from skelrep.skeletons import Skeleton

Zeros = Literal["missing", "coordinates"]

# Poses are centred at one of these or at the root of their skeleton, but never at a hand.
_CENTRES = ("pelvis", "mid_hips", "spine", "spine_2", "chest", "neck", "mid_shoulders", "head", "nose")
_PLACEHOLDERS = (0, -1)
_MARGIN = 0.25  # of the body's extent: without its outermost joint, a body may not reach the origin
_STEP = 0.15  # of the body's extent: a joint that moves by more from one frame to the next was not seen in between

_assumed: ContextVar[Zeros | None] = ContextVar("zeros", default=None)


@contextmanager
def assumed_zeros(zeros: Zeros | None) -> Iterator[None]:
    """Within the block, this is the meaning of zeros for `Poses` that do not specify it."""
    token = _assumed.set(zeros)
    try:
        yield
    finally:
        _assumed.reset(token)


def zeros_as_nan(
    clip: np.ndarray, skeleton: Skeleton, zeros: Zeros | None = None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Marks coordinates of exactly 0 or -1 that mean "not seen" as NaN.

    Args:
        clip: (M, T, V, C).
        skeleton: The skeleton of the clip; its trunk and head may be the origin of centred poses.
        zeros: "missing": all of them are missing; "coordinates": none; None: the rule of this module decides.

    Returns:
        The clip itself if nothing is marked, else a copy; and those of the two numbers at which single joints were
        marked by the rule.
    """
    zeros = zeros or _assumed.get()
    if zeros == "coordinates":
        return clip, ()
    first = np.ascontiguousarray(clip[..., 0])  # which is read several times
    found = [value for value in _PLACEHOLDERS if (first == value).any()]  # usually none, so the rest is skipped
    at = {value: where for value in found if (where := (clip == value).all(axis=-1)).any()}
    if not at:
        return clip, ()
    unseen = np.logical_or.reduce([*at.values(), np.isnan(clip).any(axis=-1)])
    absent = unseen.all(axis=-1, keepdims=True)
    marked, by_rule = clip.copy(), []
    for value, where in at.items():
        joints = where & ~absent
        if zeros is None:
            for person in np.flatnonzero(joints.any(axis=(1, 2))):
                joints[person] &= ~_at_the_origin(clip[person] - value, joints[person], skeleton)
            by_rule += [value] * bool(joints.any())
        marked[joints | (where & absent)] = np.nan
    return marked, tuple(by_rule)


def unscored_as_nan(clips: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Marks as NaN the joints of clips (M, T, V, C) whose scores (M, T, V) are zero; not if all are zero.

    Returns:
        A copy of each clip in which something is marked; the other clips themselves.
    """
    if not any(score.any() for score in scores):
        return list(clips)
    nan = np.float32(np.nan)
    return [clip if s.all() else np.where((s == 0)[..., None], nan, clip) for clip, s in zip(clips, scores)]


def absent_as_nan(clip: np.ndarray) -> np.ndarray:
    """Marks as NaN the persons' frames (V, C) of a (..., V, C) array that are exactly zero.

    Returns:
        A copy, or the array itself if nothing is marked.
    """
    if not (clip[..., 0, 0] == 0).any():
        return clip
    absent = (clip == 0).all(axis=(-1, -2))
    if not absent.any():
        return clip
    marked = clip.copy()
    marked[absent] = np.nan
    return marked


def _at_the_origin(track: np.ndarray, zero: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T, V) which of the joints at zero of a person's (T, V, C) track are coordinates."""
    points = np.where(zero[..., None], np.nan, track)
    seen = np.asarray(~np.isnan(points).any(axis=-1))
    present = seen.any(axis=-1)  # at least one joint is not at zero
    low = np.where(np.isnan(points), np.inf, points).min(axis=1)
    high = np.where(np.isnan(points), -np.inf, points).max(axis=1)
    with np.errstate(invalid="ignore"):
        extent = np.linalg.norm(high - low, axis=-1)
        margin = _MARGIN * extent[:, None]
        inside = present & ((low - margin <= 0) & (high + margin >= 0)).all(axis=-1)
    always = zero[present].any(axis=0) & np.logical_not(seen[present].any(axis=0))
    centre = np.array([joint in _CENTRES or skeleton.parents[i] == i for i, joint in enumerate(skeleton.joints)])
    centred = always & centre & (inside[present].mean() > 0.5 if present.any() else False)
    near = _is_near_before_or_after(points, seen, extent)
    return zero & (centred | (inside[:, None] & near & ~always))


def _is_near_before_or_after(points: np.ndarray, seen: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """(T, V) whether the joint is next to the origin in the frame before or after in which it is seen."""
    frames = np.arange(len(points))[:, None]
    before = np.maximum.accumulate(np.where(seen, frames, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, frames, len(points))[::-1], axis=0)[::-1]
    distance = np.where(seen, np.linalg.norm(points, axis=-1), np.inf)
    distance = np.concatenate([distance, np.full((1, points.shape[1]), np.inf)])  # where there is none before or after
    joints = np.arange(points.shape[1])
    with np.errstate(invalid="ignore"):
        return np.minimum(distance[before, joints], distance[after, joints]) < _STEP * extent[:, None]
