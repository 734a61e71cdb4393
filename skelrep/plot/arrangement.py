"""Where several persons of one clip are drawn: where they were, or side by side."""

from __future__ import annotations

import warnings

import numpy as np

from skelrep.messages import nearest

PLACEMENTS = ("auto", "recorded", "side-by-side")

# In trunks, of about half a metre.
SAME_PLACE = 0.5  # bodies whose middles stay closer than this cannot be two people, as when each is centred on itself
LARGE_GAP = 4.0  # empty space between neighbours, in all frames, that would only make them small
GAP = 1.0  # between persons that are moved


def shifts(turned: np.ndarray, trunk: float, placement: str) -> np.ndarray:
    """How far each person is moved to the right.

    Args:
        turned: (M, T, V, 3) as a viewer sees them: to the right, up, towards the viewer.
        trunk: Length of a trunk in the same unit.
        placement: One of `PLACEMENTS`. "recorded" moves nobody, "side-by-side" all persons to equal distances. "auto"
            does so where two are at the same position in most frames; else it only narrows large gaps that are empty
            in all frames.

    Returns:
        (M,), zero for those that stay.

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
        _same_place(middle[a], middle[b], trunk) for n, a in enumerate(order) for b in order[:n]
    ):
        gaps = left[1:] - np.maximum.accumulate(right)[:-1]
        excess = np.where(gaps > LARGE_GAP * trunk, gaps - GAP * trunk, 0.0)
        moves[order[1:]] = -np.cumsum(excess)
    else:
        places = left[0] + np.concatenate([[0.0], np.cumsum((right - left + GAP * trunk)[:-1])])
        moves[order] = places - left
    return moves


def _same_place(one: np.ndarray, other: np.ndarray, trunk: float) -> bool:
    """Whether the middles of two bodies, (T, 3), are at the same place in most of the frames that show both."""
    distance = np.linalg.norm(one - other, axis=1)
    distance = distance[~np.isnan(distance)]
    return bool(len(distance)) and float(np.median(distance)) < SAME_PLACE * trunk
