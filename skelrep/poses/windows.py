"""Cutting recordings into windows of equal duration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skelrep.poses.poses import Poses


def windows(poses: Poses, window: float, stride: float | None = None) -> Poses:
    """The windows of all recordings; see `Poses.windows`."""
    stride = window if stride is None else stride
    if poses.fps is None:
        raise ValueError("windows are in seconds, so the poses need fps; pass fps=")
    if not (0 < window < np.inf and 0 < stride < np.inf):
        raise ValueError(f"window and stride must be positive seconds, got {window} and {stride}")
    length, step = max(1, round(window * poses.fps)), max(1, round(stride * poses.fps))
    source, starts, ends = [], [], []
    for i, clip in enumerate(poses.clips):
        last = max(clip.shape[1] - length, 0)
        begins = list(range(0, last + 1, step))
        if begins[-1] != last:
            begins.append(last)
        seen = np.logical_not(np.isnan(clip).all(axis=(0, 2, 3)))
        # A recording that shows nobody keeps one window, so that embedding refuses it and names it.
        begins = [begin for begin in begins if seen[begin : begin + length].any()] or begins[:1]
        source += [i] * len(begins)
        starts += begins
        ends += [min(begin + length, clip.shape[1]) for begin in begins]
    return cut(poses, source, starts, ends)


def cut(poses: Poses, source: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> Poses:
    """Parts of recordings: of each its recording, first frame, and the frame after its last one."""
    assert poses.fps is not None
    picked = poses[np.asarray(source, dtype=int)]
    seconds = np.asarray(starts) / poses.fps, np.asarray(ends) / poses.fps
    return replace(
        picked,
        clips=[clip[:, a:b] for clip, a, b in zip(picked.clips, starts, ends)],
        ids=[f"{name}@{a:.2f}-{b:.2f}" for name, a, b in zip(picked.ids, *seconds)],
        scores=None if picked.scores is None else [s[:, a:b] for s, a, b in zip(picked.scores, starts, ends)],
        info=picked.info | {"source": np.asarray(picked.ids), "start": seconds[0], "end": seconds[1]},
    )
