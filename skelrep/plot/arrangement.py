"""Where several persons of one clip are drawn: at their recorded positions, or side by side."""

from __future__ import annotations

import warnings

import numpy as np

from skelrep.messages import nearest

PLACEMENTS = ("auto", "recorded", "side-by-side")

# In trunk lengths, about half a metre each.
SAME_POSITION = 0.5  # the centres of two people cannot stay closer than this; poses centred on each person's hips do
LARGE_GAP = 4.0  # empty space between neighbours, in all frames, that would only make the drawing small
GAP = 1.0  # between persons who are moved


def shifts(turned: np.ndarray, trunk: float, placement: str) -> np.ndarray:
    """The distance by which each person is moved to the right.

    Args:
        turned: (M, T, V, 3) as seen by a viewer: to the right, up, towards the viewer.
        trunk: Length of a trunk in the same unit.
        placement: One of `PLACEMENTS`. "recorded" moves nobody; "side-by-side" moves all persons to equal distances;
            "auto" does the same if two are at the same position in most frames, else it only narrows large gaps that
            are empty in all frames.

    Returns:
        (M,), zero for persons who are not moved.

    Raises:
        ValueError: for an unknown placement.
    """
    if placement not in PLACEMENTS:
        known = ", ".join(map(repr, PLACEMENTS))
        raise ValueError(f"placement={placement!r} must be one of {known}{nearest(placement, PLACEMENTS)}")
    moves = np.zeros(len(turned))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of persons and frames in which nobody is seen
        left, right = (reduce(turned[..., 0], axis=(1, 2)) for reduce in (np.nanmin, np.nanmax))
        middle = np.nanmean(turned, axis=2)  # (M, T, 3)
    seen = np.flatnonzero(~np.isnan(left))
    if len(seen) < 2 or placement == "recorded":
        return moves
    order = seen[np.argsort((left + right)[seen], kind="stable")]
    left, right = left[order], right[order]
    if placement == "auto" and not any(
        _same_position(middle[a], middle[b], trunk) for n, a in enumerate(order) for b in order[:n]
    ):
        gaps = left[1:] - np.maximum.accumulate(right)[:-1]
        excess = np.where(gaps > LARGE_GAP * trunk, gaps - GAP * trunk, 0.0)
        moves[order[1:]] = -np.cumsum(excess)
    else:
        new_left = left[0] + np.concatenate([[0.0], np.cumsum((right - left + GAP * trunk)[:-1])])
        moves[order] = new_left - left
    return moves


def _same_position(one: np.ndarray, other: np.ndarray, trunk: float) -> bool:
    """Whether the centres of two bodies, (T, 3), are at the same position in most of the frames that show both."""
    distance = np.linalg.norm(one - other, axis=1)
    distance = distance[~np.isnan(distance)]
    return bool(len(distance)) and float(np.median(distance)) < SAME_POSITION * trunk
