"""Errors in single frames: left and right swapped, joints that jump away and back, a T-pose before the motion.

The first two are searched in concatenated tracks (see `skelrep.preprocess`), before gaps in time are interpolated. A
fast test of all rows finds the few that need a closer one.
"""

from __future__ import annotations

import numpy as np

from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton

#: Sides count as swapped if the inner product of the vectors from right to left with those of the previous frame is
#: below this, relative to their mean square. It is 1 for a body that keeps its pose and -1 for one that is mirrored.
#: For legs that cross in a side view it is near 0; at 15 frames per second it reaches -0.2.
REVERSED = -0.5
#: Cost of a swapped frame, where a reversal costs 1 to 2. Swaps of up to 100 frames are therefore undone if both their
#: ends are clear; after a single reversal in the middle of a clip, at most 50 frames count as swapped.
COST = 0.02
#: Jump between two frames that is tested more closely, in radii of the body: 0.25 m for an adult.
JUMP = 0.5
#: Number of frames around a jump that a joint is compared with (Hampel filter), and the minimum distance from their
#: median, in median distances: three standard deviations of normally distributed noise.
NEIGHBOURHOOD, OUTLIER = 5, 3 * 1.4826
#: Rows that are compared with those before them at a time, so that their differences stay in the cache.
BLOCK = 1024
#: Number of frames of a track from which the radius of the body is computed.
SAMPLE = 5


def find_swaps(
    rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, skeleton: Skeleton, joints: np.ndarray
) -> np.ndarray:
    """Finds frames in which left and right are swapped, by the continuity of each person's movement.

    The vectors from right to left of all pairs of joints change little from frame to frame, and are reversed at a swap.
    Every frame is either swapped or not; the sequence that explains the reversals with the fewest swapped frames is
    found by the Viterbi algorithm.

    Args:
        rows: (F, V, C) concatenated tracks, NaN where missing.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.
        skeleton: The skeleton of the rows.
        joints: The joints to consider.

    Returns:
        (F,) whether left and right are swapped.
    """
    swapped = np.zeros(len(rows), dtype=bool)
    pairs = [(left, skeleton.mirror[left]) for left in joints.tolist() if skeleton.joints[left].startswith("left_")]
    pairs = [(left, right) for left, right in pairs if left != right]
    if not pairs:
        return swapped
    # The two pairs of the trunk show whether there is a swap; all pairs then decide which frames are swapped.
    trunk = [pair for pair in pairs if skeleton.joints[pair[0]] in ("left_shoulder", "left_hip")]
    suspect = _agreement(rows, starts, lengths, trunk or pairs) < REVERSED
    for track in np.unique(np.searchsorted(starts, np.flatnonzero(suspect), side="right") - 1):
        begin, end = starts[track], starts[track] + lengths[track]
        agreement = _agreement(rows[begin:end], np.array([0]), lengths[track : track + 1], pairs)
        swapped[begin:end] = _fewest_exchanges(agreement)
    return swapped


def _agreement(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Inner product of the vectors from right to left with those of the previous frame, per mean square: (F,)."""
    flat, channels = rows.reshape(len(rows), -1), np.arange(rows.shape[2])
    left, right = ((joints[:, None] * len(channels) + channels).ravel() for joints in np.array(pairs).T)
    # One coordinate after the other, since sums over a long axis are several times as fast as over three numbers.
    across = np.ascontiguousarray((flat.take(left, axis=1) - flat.take(right, axis=1)).T)  # (P C, F)
    square = np.square(across).sum(axis=0)
    lost = np.flatnonzero(np.isnan(square))  # few frames
    if len(lost):
        across[:, lost] = np.nan_to_num(across[:, lost], nan=0.0)
        square[lost] = np.square(across[:, lost]).sum(axis=0)
    product = np.empty_like(square)
    (across[:, 1:] * across[:, :-1]).sum(axis=0, out=product[1:])
    mean = np.add.reduceat(square, starts) / lengths
    product[starts] = mean  # the first frame of a track has none before it
    return product / np.repeat(np.maximum(mean, np.finfo(rows.dtype).tiny), lengths)


def _fewest_exchanges(agreement: np.ndarray) -> np.ndarray:
    """The sequence of swapped frames (T,) with the largest sum of agreement minus `COST` for each of them."""
    # An unclear frame is evidence neither for a swap nor against one.
    gain = np.where((agreement < 0) & (agreement > REVERSED), 0.0, np.clip(agreement, -1, 1))
    as_seen, exchanged = 0.0, -COST
    stayed = np.empty((len(gain), 2), dtype=bool)  # whether the best path to each state comes from the same state
    for frame in range(1, len(gain)):
        same, other = gain[frame], -gain[frame]
        stayed[frame] = as_seen + same >= exchanged + other, exchanged + same >= as_seen + other
        as_seen, exchanged = (
            max(as_seen + same, exchanged + other),
            max(exchanged + same, as_seen + other) - COST,
        )
    states = np.empty(len(gain), dtype=bool)
    state = exchanged > as_seen
    for frame in range(len(gain) - 1, -1, -1):
        states[frame] = state
        state = state if stayed[frame, int(state)] else not state
    return states


def squared_steps(rows: np.ndarray) -> np.ndarray:
    """Sum of the squared differences of each of (F, V, C) rows from the one before, (F,); for the first row, itself.

    It is NaN where a number of either row is missing.
    """
    flat, moved = rows.reshape(len(rows), -1), np.empty(len(rows), rows.dtype)
    moved[0] = flat[0] @ flat[0]
    block = np.empty((min(BLOCK, len(rows)), flat.shape[1]), rows.dtype)
    for begin in range(1, len(rows), BLOCK):
        end = min(begin + BLOCK, len(rows))
        steps = np.subtract(flat[begin:end], flat[begin - 1 : end - 1], out=block[: end - begin])
        np.einsum("fi,fi->f", steps, steps, out=moved[begin:end])
    return moved


def find_spikes(
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    joints: np.ndarray,
    moved: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds positions of a joint that are far from its positions in the surrounding frames.

    Args:
        rows: (F, V, C) concatenated tracks, NaN where missing.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.
        joints: The joints from which the size of the body is computed.
        moved: `squared_steps(rows)`, if they are known; changed.

    Returns:
        Their rows and their joints, (K,) each.
    """
    least = np.repeat(np.square(JUMP * _radius(rows, starts, lengths, joints)), lengths)
    moved = squared_steps(rows) if moved is None else moved
    moved[starts] = 0
    lively = np.flatnonzero(~(moved < least))  # NaN is tested more closely, too
    of_joints = np.square(rows[lively] - rows[lively - 1]) @ np.ones(rows.shape[2], rows.dtype)
    jump, joint = np.nonzero(of_joints > least[lively, None])
    if not len(jump):
        return jump, joint
    # The wrong position may be in either of the two frames of a jump.
    row, joint = np.concatenate([lively[jump], lively[jump] - 1]), np.concatenate([joint, joint])
    track = np.searchsorted(starts, row, side="right") - 1
    first, last = starts[track], (starts + lengths)[track] - 1
    around = row + np.arange(NEIGHBOURHOOD)[:, None] - NEIGHBOURHOOD // 2
    sightings = np.moveaxis(rows[around.clip(first, last), joint], 2, 1).copy()  # (NEIGHBOURHOOD, C, K)
    sightings[np.broadcast_to(((around < first) | (around > last))[:, None], sightings.shape)] = np.nan
    distance = np.sqrt(np.square(sightings - _median(sightings)).sum(axis=1))
    own = distance[NEIGHBOURHOOD // 2]
    away = (own > OUTLIER * _median(distance)) & (np.square(own) > least[row])
    return row[away], joint[away]


def _radius(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Root mean square distance of a body's joints from their middle, (R,): the median over some of its frames."""
    chosen = starts[:, None] + lengths[:, None] * (2 * np.arange(SAMPLE) + 1) // (2 * SAMPLE)
    poses = rows[chosen].take(joints, axis=2).astype(np.float64)  # (R, SAMPLE, V, C)
    flat = poses.reshape(-1, poses.shape[2] * poses.shape[3])
    # Products, because they take a fraction of the time of sums over a short axis.
    middle = flat @ np.tile(np.eye(poses.shape[3]), (poses.shape[2], 1)) / poses.shape[2]
    squares = np.square(flat) @ np.ones(flat.shape[1]) / poses.shape[2] - np.square(middle).sum(axis=1)
    squares = np.maximum(squares, 0).reshape(poses.shape[:2])
    if len(lost := np.flatnonzero(np.isnan(squares).any(axis=1))):
        poses = poses[lost]
        seen = np.isfinite(poses[..., :1])
        count = seen.sum(axis=2, keepdims=True)
        middle = np.where(seen, poses, 0).sum(axis=2, keepdims=True) / np.maximum(count, 1)
        total = np.square(np.where(seen, poses - middle, 0)).sum(axis=(2, 3))
        squares[lost] = np.where(count[..., 0, 0] > 1, total / np.maximum(count[..., 0, 0], 1), np.nan)
    return np.sqrt(_median(squares.T))


def _median(values: np.ndarray) -> np.ndarray:
    """The median over axis 0 (a few values) without NaN; the lower one of two middle values."""
    lost = np.isnan(values)
    ordered = list(np.where(lost, np.inf, values))
    # A bubble sort of whole arrays is several times as fast as `np.sort`, and faster than `np.nanmedian`.
    for end in range(len(ordered) - 1, 0, -1):
        for i in range(end):
            ordered[i : i + 2] = np.minimum(*ordered[i : i + 2]), np.maximum(*ordered[i : i + 2])
    count = len(ordered) - lost.sum(axis=0)
    middle = np.choose(np.maximum(count - 1, 0) // 2, ordered)
    return np.where(count > 0, middle, np.nan)


# A first frame from another recording, or a calibration pose: the minimum step to the second frame, relative to the
# largest later step and to the extent of the body.
_APART, _LEAST_STEP = 3.0, 0.06
_FEWEST_FRAMES, _FIRST_FRAMES = 6, 64  # enough to know the steps of a motion


def first_frame_is_apart(clip: np.ndarray) -> bool:
    """Whether the first frame of a clip (M, T, V, C) is not part of its motion, such as a T-pose before it.

    That is the case if a person's joints move far more from the first frame to the second than between any later
    frames.
    """
    if clip.shape[1] < _FEWEST_FRAMES:
        return False
    start = clip[:, :_FIRST_FRAMES]
    candidates = _first_step_is_largest(start)
    for track in start[candidates]:
        steps = np.linalg.norm(np.diff(track, axis=0), axis=-1)
        shared = ~np.isnan(steps)
        if 2 * shared[0].sum() < steps.shape[1]:
            continue
        moved = np.where(shared, steps, 0).sum(axis=1) / np.maximum(shared.sum(axis=1), 1)
        seen = track[1][~np.isnan(track[1]).any(axis=-1)]
        extent = np.linalg.norm(np.ptp(seen, axis=0)) if len(seen) else 0.0
        if moved[0] > _LEAST_STEP * extent and moved[0] > _APART * moved[1:].max():
            return True
    return False


def _first_step_is_largest(tracks: np.ndarray) -> np.ndarray:
    """A fast test of (R, T, V, C) tracks by four frames, which excludes nearly all of them: (R,)."""
    with np.errstate(invalid="ignore"):
        steps = np.diff(tracks[:, :4], axis=1)
        moved = np.nan_to_num(np.sqrt(np.einsum("rtvc,rtvc->rtv", steps, steps))).mean(axis=2)
        return moved[:, 0] > _APART * moved[:, 1:].max(axis=1)


def warn_of_first_frames(poses: Poses) -> None:
    """Warns of clips whose first frame is not part of the motion: one frame may change the embedding of the clip."""
    long = [i for i, clip in enumerate(poses.clips) if clip.shape[1] >= _FEWEST_FRAMES]
    apart = []
    for begin in range(0, len(long), BLOCK):
        clips = [poses.clips[i] for i in long[begin : begin + BLOCK]]
        candidates = _first_step_is_largest(np.concatenate([clip[:, :4] for clip in clips]))
        of_clip = np.repeat(long[begin : begin + BLOCK], [len(clip) for clip in clips])
        found = np.unique(of_clip[candidates]).tolist()
        apart += [poses.ids[i] for i in found if first_frame_is_apart(poses.clips[i])]
    if apart:
        shown = ", ".join(apart[:3]) + (" ..." if len(apart) > 3 else "")
        warn(
            f"the first frame of {len(apart)} of {len(poses)} clips ({shown}) is far from the motion that follows, "
            "like a T-pose for calibration, and changes the embedding; if it is one, leave it out (clip[:, 1:])"
        )
