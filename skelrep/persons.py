"""Which persons a clip keeps, and the weight of each of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from skelrep.missing import absent_as_nan
from skelrep.skeletons import Skeleton

PersonRule = Literal["energy", "movement"]

_FACING = 0.7  # cosine of the angle between the direction that a person faces and the direction to the other person


def most_active(clip: np.ndarray, persons: int, rule: PersonRule = "energy") -> np.ndarray:
    """Indices of at most `persons` persons of a (M, T, V, C) clip.

    Args:
        clip: NaN where a joint was not seen.
        persons: How many to keep. If the clip has no more, all are kept in their order; otherwise the most active ones,
            in the order of their activity.
        rule: "energy": `coordinate_energy`. "movement": `motion_energy`.
    """
    if len(clip) <= persons:
        return np.arange(len(clip))
    activity = coordinate_energy(clip) if rule == "energy" else motion_energy(clip)
    return np.argsort(-activity, kind="stable")[:persons]


def ever_seen(clip: np.ndarray) -> np.ndarray:
    """Which persons of a (M, T, V, C) clip are seen in any frame, as (M,) booleans; the others are padding.

    If nobody is seen, the first person counts as seen, because a clip has at least one person.
    """
    present = np.asarray(~np.isnan(clip).all(axis=(1, 2, 3)))
    present[0] |= not present.any()
    return present


def coordinate_energy(clip: np.ndarray) -> np.ndarray:
    """The sum over axes of the standard deviation of all coordinates of each person of a (M, T, V, C) clip, (M,).

    As in 2s-AGCN's NTU reader (Shi et al., CVPR 2019), over all seen frames and joints at once. It depends on the size
    of a person more than on movement, which matters little for NTU's persons, who are about equally large; see
    `motion_energy`.
    """
    energy = np.zeros(len(clip))
    for person, track in enumerate(clip):
        points = track[~np.isnan(track).any(axis=-1)]
        energy[person] = points.std(axis=0).sum() if len(points) else -1.0
    return energy


def motion_energy(clip: np.ndarray) -> np.ndarray:
    """How much each person of a (M, T, V, C) clip moves, in radii of their body, independent of size and noise: (M,).

    The root mean square, over joints and frames, of the distance of a joint from its mean position over time, minus the
    contribution of white noise: second differences of noise of variance s have variance 6 s, those of movement nearly
    none. Joints and frames that are not seen count as still, so a person who is hardly seen hardly moves. A person who
    is never seen gets -1.

    Examples:
        >>> still, moving = np.zeros((2, 20, 15, 3)) + np.arange(15)[:, None]
        >>> moving[:, 3] += np.sin(np.arange(20))[:, None]
        >>> motion_energy(np.stack([still, moving])).argmax()
        1
    """
    seen = np.logical_not(np.isnan(clip).any(axis=-1))  # (M, T, V)
    points = np.where(seen[..., None], clip, 0).astype(np.float64)
    count = np.maximum(seen.sum(axis=1), 1)  # (M, V)
    away = (points - (points.sum(axis=1) / count[..., None])[:, None]) * seen[..., None]
    variance = np.square(away).sum(axis=(1, 3)) / count
    if clip.shape[1] > 2:
        whole = seen[:, 2:] & seen[:, 1:-1] & seen[:, :-2]
        second = (points[:, 2:] - 2 * points[:, 1:-1] + points[:, :-2]) * whole[..., None]
        variance -= np.square(second).sum(axis=(1, 3)) / (6 * np.maximum(whole.sum(axis=1), 1))
    moved = (np.maximum(variance, 0) * seen.mean(axis=1)).mean(axis=1)
    joints = np.maximum(seen.sum(axis=2), 1)  # (M, T)
    middle = points.sum(axis=2) / joints[..., None]
    squares = np.square((points - middle[:, :, None]) * seen[..., None]).sum(axis=(2, 3)) / joints
    radius = np.sqrt(squares.sum(axis=1) / np.maximum(seen.any(axis=2).sum(axis=1), 1))
    moved = np.sqrt(moved) / np.where(radius > 0, radius, np.inf)
    return np.where(seen.any(axis=(1, 2)), moved, -1.0)


def are_together(clip: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether a clip (2, T, V, C) shows that its two bodies are persons in one room, rather than one person twice.

    They are if one appears or disappears while the other is present, if one is never present, or, in 3-D, if they face
    each other.
    """
    points = absent_as_nan(clip)
    present = np.logical_not(np.isnan(points).all(axis=(2, 3)))  # (2, T)
    alone = np.flatnonzero(present[0] != present[1])
    if not present.any(axis=1).all() or (len(alone) and alone[0] < np.flatnonzero(present.all(axis=0)).max(initial=-1)):
        return True
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    names = [f"{side}_{joint}" for joint in ("hip", "shoulder") for side in ("left", "right")]
    if clip.shape[3] == 2 or not {*names} <= {*index}:
        return False
    hips, shoulders = np.split(points[:, :, [index[name] for name in names]], 2, axis=2)  # (2, T, 2, 3)
    ahead = np.cross((hips + shoulders)[:, :, 0] - (hips + shoulders)[:, :, 1], (shoulders - hips).mean(axis=2))
    towards = (hips[::-1] - hips).mean(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (ahead * towards).sum(axis=-1) / np.linalg.norm(ahead, axis=-1) / np.linalg.norm(towards, axis=-1)
    seen = np.logical_not(np.isnan(cosine).any(axis=0))
    return bool(seen.any() and (np.median(cosine[:, seen], axis=1) > _FACING).all())


def sightings(count: np.ndarray, clip_of: np.ndarray) -> np.ndarray:
    """How often each track is seen, relative to the track of its clip that is seen most: (R,), 0..1.

    Args:
        count: (R,) in how many frames joints of each track are seen, summed over joints.
        clip_of: (R,) the clip of each track, in order.
    """
    clips, first = np.unique(clip_of, return_index=True)
    most = np.maximum.reduceat(count, first)
    return count / np.maximum(most, 1)[np.searchsorted(clips, clip_of)]
