"""Cutting recordings into windows of equal duration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from skelrep.poses.npz import STRETCH

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


def windows_of_stretches(stretches: Iterable[Poses], window: float, stride: float) -> Iterator[Poses]:
    """The windows of one recording that is read in stretches (`skelrep.poses.npz.STRETCH`), as `windows` cuts them.

    Only a stretch and a window are in memory. Windows that show nobody are left out.

    Yields:
        The windows that end in each stretch.

    Raises:
        ValueError: as `windows`.
    """
    pending, first, begin = None, 0, 0  # frames that are not done, the first of them, and that of the next window
    for stretch in stretches:
        windows(stretch[:0], window, stride)  # checks
        assert stretch.fps is not None
        length, step = max(1, round(window * stretch.fps)), max(1, round(stride * stretch.fps))
        pending = stretch if pending is None else _joined(pending, stretch)
        until, total = first + pending.clips[0].shape[1], int(stretch.info[STRETCH[1]][0])
        begins = list(range(begin, until - length + 1, step))
        begin = begins[-1] + step if begins else begin
        if until == total and (last := max(total - length, 0)) not in begins and last != begin - step:
            begins.append(last)
        [clip] = pending.clips
        seen = np.logical_not(np.isnan(clip).all(axis=(0, 2, 3)))
        starts = [at - first for at in begins if seen[at - first : at - first + length].any()]
        ends = [min(at + length, clip.shape[1]) for at in starts]
        if starts:
            yield cut(pending, [0] * len(starts), starts, ends, first)
        done = min(begin, max(total - length, 0), until)  # the last window may begin before the next one
        pending = None if done == until else _joined(pending, None, done - first)
        first = done


def _joined(one: Poses, other: Poses | None, begin: int = 0) -> Poses:
    """A clip and the frames after it as one, from its frame `begin` on."""
    parts = [one] if other is None else [one, other]

    def along_time(columns: list[list[np.ndarray]]) -> list[np.ndarray]:
        return [np.concatenate([column[0] for column in columns], axis=1)[:, begin:]]

    scores = None if one.scores is None else along_time([part.scores or [] for part in parts])
    return replace(one, clips=along_time([part.clips for part in parts]), scores=scores)


def cut(poses: Poses, source: Sequence[int], starts: Sequence[int], ends: Sequence[int], later: int = 0) -> Poses:
    """Parts of recordings: of each its recording, first frame, and the frame after its last one.

    In their names and times, `later` frames are before the first frame of the recordings.
    """
    assert poses.fps is not None
    picked = poses[np.asarray(source, dtype=int)]
    seconds = (np.asarray(starts) + later) / poses.fps, (np.asarray(ends) + later) / poses.fps
    return replace(
        picked,
        clips=[clip[:, a:b] for clip, a, b in zip(picked.clips, starts, ends)],
        ids=[f"{name}@{a:.2f}-{b:.2f}" for name, a, b in zip(picked.ids, *seconds)],
        scores=None if picked.scores is None else [s[:, a:b] for s, a, b in zip(picked.scores, starts, ends)],
        info=picked.info | {"source": np.asarray(picked.ids), "start": seconds[0], "end": seconds[1]},
    )
