"""Copies of clips as they occur in libraries: trimmed, noisy, resampled; mirror images; and crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from skelrep.poses import Poses

SHORTEST = 8  # frames of a clip that is copied: a tenth of fewer frames is less than one frame
_TRIMMED = 0.1  # fraction of the frames that are cut off, at both ends together
_QUARTER = 0.25  # the same for copies that only the crops find
# Fractions of the frames of crops, and their number: they start evenly over the clip, so that a copy without 15 to 40 %
# of the frames differs from one of them by at most a tenth of the frames.
_CROPS = ((0.85, 2), (0.75, 3), (0.65, 4))
_NOISE = 0.01  # standard deviation, relative to the size of the body
_RATES = (0.5, 2.0)  # least and largest factor of the number of frames


def mirrored(poses: Poses) -> Poses:
    """The clips with left and right exchanged, as in a mirror."""
    flip = np.array([-1, *[1] * (poses.channels - 1)], dtype=np.float32)
    sides = list(poses.skeleton.mirror)
    scores = None if poses.scores is None else [score[:, :, sides] for score in poses.scores]
    return replace(poses, clips=[clip[:, :, sides] * flip for clip in poses.clips], scores=scores)


def crops(poses: Poses) -> Iterator[Poses]:
    """Parts of the clips, at least two frames: nine times all clips, each time another part.

    A clip that shows nobody in a part is whole instead.
    """
    for fraction, count in _CROPS:
        for start in np.linspace(0, 1 - fraction, count).tolist():
            clips = []
            for clip in poses.clips:
                first = round(start * clip.shape[1])
                part = clip[:, first : first + max(2, round(fraction * clip.shape[1]))]
                clips.append(clip if np.isnan(part).all() else part)
            yield replace(poses, clips=clips, scores=None)


def trimmed(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(M, T, V, C) without a tenth of the frames, some of them at the start and the others at the end."""
    return _without(_TRIMMED, clip, rng)


def trimmed_by_a_quarter(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same without a quarter of the frames."""
    return _without(_QUARTER, clip, rng)


def _without(fraction: float, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = max(1, round(fraction * clip.shape[1]))
    before = int(rng.integers(count + 1))
    return clip[:, before : clip.shape[1] - (count - before)]


def noisy(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(M, T, V, C) with independent errors of all coordinates: a hundredth of the size of the body."""
    extent = np.fmax.reduce(clip, axis=2) - np.fmin.reduce(clip, axis=2)  # (M, T, C)
    size = float(np.nanmedian(np.linalg.norm(extent, axis=-1)))
    return (clip + _NOISE * size * rng.normal(size=clip.shape)).astype(np.float32)


def resampled(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(M, T', V, C) at another frame rate, by linear interpolation; T' is between half and twice T."""
    frames = clip.shape[1]
    factor = float(np.exp(rng.uniform(*np.log(_RATES))))
    times = np.linspace(0, frames - 1, max(2, round(factor * frames)))
    low = np.minimum(times.astype(int), frames - 2)
    weight = (times - low).astype(np.float32)[:, None, None]
    return clip[:, low] * (1 - weight) + clip[:, low + 1] * weight


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "trimmed": trimmed,
    "noisy": noisy,
    "resampled": resampled,
}
QUARTER = "trimmed by a quarter"  # to the encoder such a copy is another movement, so only its crops are like it


def copies(poses: Poses, kind: str, seed: int = 0) -> Poses:
    """A copy of each clip; `kind` is one of `KINDS`, or `QUARTER`."""
    kinds = KINDS | {QUARTER: trimmed_by_a_quarter}
    rng = np.random.default_rng((seed, list(kinds).index(kind)))
    return replace(poses, clips=[kinds[kind](clip, rng) for clip in poses.clips], scores=None)
