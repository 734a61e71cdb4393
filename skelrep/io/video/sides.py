"""Corrects left and right in frames of a video in which a pose estimator confuses the front and the back of a person.

`skelrep.cleaning.find_swaps` compares neighbouring frames of any recording. That is not enough here: estimators that
smooth landmarks over time blend the two bodies for some frames, so no two neighbours are mirror images of each other.
"""

from __future__ import annotations

import numpy as np

from skelrep.cleaning import COST, REVERSED
from skelrep.skeletons import Skeleton

#: Nobody turns around within this time: a dancer who turns three times per second needs 0.17 s for half a turn.
TURN = 1 / 15  # seconds
_MOST_LAGS = 4  # frames that a frame is compared with: the states of the search are 2 to this power


def find_exchanges(points: np.ndarray, skeleton: Skeleton, fps: float | None) -> np.ndarray:
    """The frames in which left and right of a person are exchanged.

    The vectors from right to left of all pairs of joints are compared with those of the frames up to `TURN` earlier.
    The sequence of exchanged and other frames that explains the reversals best, with the fewest exchanged ones, is
    found by the Viterbi algorithm.

    Args:
        points: (T, V, C), NaN where not seen.
        skeleton: The skeleton of the points.
        fps: Frames per second; None compares neighbouring frames only.

    Returns:
        (T,) bool.
    """
    pairs = [(joint, other) for joint, other in enumerate(skeleton.mirror) if joint < other]
    if not pairs or not len(points):
        return np.zeros(len(points), dtype=bool)
    left, right = np.array(pairs).T
    across = np.nan_to_num(points[:, left].astype(float) - points[:, right]).reshape(len(points), -1)
    seen = np.square(across).sum(axis=1) > 0
    mean = np.square(across[seen]).sum(axis=1).mean() if seen.any() else 1.0
    lags = 1 if fps is None else int(np.clip(round(TURN * fps), 1, _MOST_LAGS))
    gain = np.zeros((len(points), lags))  # of a frame and the one so many frames earlier
    for lag in range(1, min(lags, len(points) - 1) + 1):
        agreement = (across[lag:] * across[:-lag]).sum(axis=1) / mean
        gain[lag:, lag - 1] = np.where((agreement < 0) & (agreement > REVERSED), 0, np.clip(agreement, -1, 1))
    return _best_sequence(gain / lags)


def _best_sequence(gain: np.ndarray) -> np.ndarray:
    """(T,) exchanged or not: the largest sum of gains of (T, L), each with the sign of its two frames, less `COST`."""
    frames, lags = gain.shape
    count = 1 << lags
    states = np.arange(count)  # bit j: whether the frame j + 1 earlier is exchanged
    signs = 1 - 2 * ((states[:, None] >> np.arange(lags)) & 1)
    after = np.stack([states << 1, states << 1 | 1]) & (count - 1)  # by whether the frame itself is exchanged
    # The two states that lead to each state differ in the oldest frame; the frame itself is the lowest bit.
    before = np.stack([states >> 1, states >> 1 | count >> 1])
    assert (after[states & 1, before] == states).all()
    score = np.where(states == 0, 0.0, np.where(states == count - 1, 0.0, -np.inf))
    came = np.empty((frames, count), dtype=np.int64)
    for frame in range(frames):
        evidence = signs @ gain[frame]
        through = np.stack([score + evidence, score - evidence - COST])[states & 1, before]
        best = through.argmax(axis=0)
        came[frame], score = before[best, states], through[best, states]
    state = int(score.argmax())
    exchanged = np.empty(frames, dtype=bool)
    for frame in range(frames - 1, -1, -1):
        exchanged[frame] = state & 1
        state = int(came[frame, state])
    return exchanged
