"""The meaning of the last axis of a bare array: coordinates, and optionally a score for each joint.

Pose estimators save x, y, score; sensors x, y, z, state. The meaning is decided from the numbers, a message reports the
decision, and `channels=` overrides it: a letter for each number of a joint, x, y, z, s for a score and _ for an unused
number, such as "xys" or "xyzs".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

_PIXELS = 50.0  # larger coordinates are pixels: no room is that many metres wide
_STATES, _PERCENT = 2.0, 100.0  # Kinect: 0 not tracked, 1 inferred, 2 tracked; COCO: 2 visible
_TALLEST = 250.0  # centimetres, a person with raised arms; pictures are larger
_LEAST_INSIDE = 0.8  # of the joints of a person in a picture


class Cells(NamedTuple):
    """Coordinates and scores of joints.

    Attributes:
        points: (..., C) coordinates, C is 2 or 3.
        scores: (...) between 0 and 1, or None.
    """

    points: np.ndarray
    scores: np.ndarray | None = None


def split(cells: np.ndarray, channels: str) -> Cells:
    """Coordinates and scores of (..., K) numbers of joints.

    Args:
        cells: K numbers for each joint.
        channels: K letters.

    Raises:
        ValueError: if the letters do not fit, or the numbers called scores are not scores.
    """
    letters = check_channels(channels, cells.shape[-1])
    axes = [letters.index(axis) for axis in "xyz" if axis in letters]
    # A slice is a view, so that a large array is not held twice.
    straight = axes == [*range(axes[0], axes[0] + len(axes))]
    points = cells[..., axes[0] : axes[0] + len(axes)] if straight else cells[..., axes]
    if "s" not in letters:
        return Cells(points)
    scores = as_scores(cells[..., letters.index("s")])
    if scores is None:
        raise ValueError(
            f"channels={letters!r} makes number {letters.index('s') + 1} of each joint a score, but not all are "
            "between 0 and 1, or 0 and 100"
        )
    return Cells(points, scores)


def judged(cells: np.ndarray) -> tuple[str, str | None]:
    """Decides the letter of each of (..., K) numbers of joints; also returns a note on the decision, or None.

    Raises:
        ValueError: if K numbers cannot be coordinates, or may be x, y, z as well as x, y and a percentage; the message
            gives the letters to choose from.
    """
    count = cells.shape[-1]
    if count == 2:
        return "xy", None
    if count == 3:
        return _of_three(cells)
    if count == 4:
        return _of_four(cells)
    raise ValueError(
        f"{count} numbers for each joint are not 2 or 3 coordinates with or without a score; pass channels= with a "
        f'letter for each, such as channels="{"xyzs".ljust(count, "_")[:count]}" (s: score, _: not used)'
    )


def are_certainly_coordinates(cells: np.ndarray) -> bool:
    """Whether some of (..., K) numbers suffice for `judged` to find x, y, z in all of them."""
    return cells.shape[-1] == 3 and _is_outside(cells[..., 2], _PERCENT) and _is_outside(cells[..., 0], 1)


@lru_cache(maxsize=256)
def check_channels(channels: str, count: int | None = None) -> str:
    """The letters in lower case.

    Raises:
        ValueError: if x or y is missing, a letter is unknown or occurs twice, or there are not `count`.
    """
    letters = channels.lower()
    named = letters.replace("_", "")
    if not set("xy") <= set(named) <= set("xyzs") or len(set(named)) != len(named):
        raise ValueError(
            "channels must name x, y and perhaps z and s (a score) once each, and _ for unused numbers; "
            f"got {channels!r}"
        )
    if count is not None and len(letters) != count:
        raise ValueError(f"channels={channels!r} has {len(letters)} letters, but each joint has {count} numbers")
    return letters


def as_scores(values: np.ndarray) -> np.ndarray | None:
    """Scores between 0 and 1, from scores, from states 0, 1, 2 or from percentages; None for other numbers."""
    least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if not (least >= 0 and most <= _PERCENT):
        return None
    if most <= 1:
        return values
    return values / np.float32(_STATES if _are_states(values) else _PERCENT)


def third_channel(cells: np.ndarray) -> Literal["coordinate", "score", "percent", "flat"]:
    """The meaning of the third of (..., 3) numbers: a coordinate, a score, perhaps a percentage, or constant ("flat").

    If the first two are pixels, a number between 0 and 1 is a score, because no room is 50 metres wide and at most one
    metre deep. It is also a score if they are fractions of a picture, unless coordinates were scaled to fill the range
    from 0 to 1.
    """
    first = cells[..., 2].flat[0]
    if not 0 <= first <= _PERCENT and not np.isnan(first):  # one number decides for most clips
        return "coordinate"
    third = cells[..., 2]
    if not (np.fmin.reduce(third, axis=None) >= 0 and np.fmax.reduce(third, axis=None) <= _PERCENT):
        return "coordinate"
    seen = cells[np.logical_not(np.isnan(cells).any(axis=-1) | (cells == 0).all(axis=-1))]
    planar, third = seen[:, :2], seen[:, 2]
    if len(seen) < 2 or not np.ptp(planar, axis=0).all():
        return "coordinate"
    pixels = np.abs(planar).max() > _PIXELS
    if third.max() == third.min():
        return "score" if pixels and 0 < third[0] <= 1 else "flat"
    if pixels:
        if third.max() <= 1 or _are_states(third):
            return "score"
        return "percent" if planar.min() >= 0 and planar.max() > _TALLEST else "coordinate"
    inside = ((planar >= 0) & (planar <= 1)).all(axis=1).mean() >= _LEAST_INSIDE and planar.min() > -1
    if not inside or planar.max() > 2:
        return "coordinate"
    fills_the_range = planar.min() == 0 and seen.max() == 1
    return "score" if (third.max() <= 1 or third.max() > _STATES) and not fills_the_range else "coordinate"


def _of_three(cells: np.ndarray) -> tuple[str, str | None]:
    kind = third_channel(cells)
    if kind == "score":
        return "xys", 'are interpreted as x, y and a score (channels="xyz" if the third is a coordinate)'
    if kind == "flat":
        return "xy_", ('have the same third number everywhere: poses are treated as 2-D (channels="xyz" keeps it)')
    if kind == "percent":
        raise ValueError(
            "the third number of each joint is between 0 and 100, and others are larger: a coordinate, or a score in "
            'per cent; pass channels="xyz" or channels="xys"'
        )
    if _is_between_0_and_1(cells[..., 0]) and np.fmax.reduce(cells[..., 1:], axis=None) > _PIXELS:
        return "sxy", 'are interpreted as a score, x and y (channels="xyz" if the first is a coordinate)'
    return "xyz", None


def _of_four(cells: np.ndarray) -> tuple[str, str | None]:
    scores = as_scores(cells[..., 3])
    if scores is not None and np.fmax.reduce(scores, axis=None) == 0:
        return "xyz_", 'have a fourth number that is 0 everywhere and is not used (channels="xyzs" if it is a score)'
    if scores is not None:
        return "xyzs", 'are interpreted as x, y, z and a score (channels="xyz_" if the fourth is not)'
    if _is_between_0_and_1(cells[..., 0]):
        return "sxyz", 'are interpreted as a score, x, y and z (channels="_xyz" if the first is not)'
    raise ValueError(
        "the fourth number of each joint is not a score of 0 to 1, a state of 0 to 2 or a percentage; pass channels= "
        "with a "
        'letter for each number, such as channels="xyz_" (s: score, _: not used)'
    )


def _is_outside(values: np.ndarray, most: float) -> bool:
    """Whether a number is below 0 or above `most`; NaN is neither."""
    return bool(np.fmin.reduce(values, axis=None) < 0 or np.fmax.reduce(values, axis=None) > most)


def _are_states(values: np.ndarray) -> bool:
    seen = values[np.isfinite(values)]
    return bool(len(seen) and seen.max() <= _STATES and (seen == np.round(seen)).all())


def _is_between_0_and_1(values: np.ndarray) -> bool:
    return bool(np.fmin.reduce(values, axis=None) >= 0 and np.fmax.reduce(values, axis=None) <= 1)
