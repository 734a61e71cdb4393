"""Tables with numbers only: the joints of the columns follow from the skeleton and the number of columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skelrep.channels import judged, split
from skelrep.io.reader import ReadOptions
from skelrep.io.timeline import Timeline, timeline
from skelrep.messages import warn
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeleton_guess import fits
from skelrep.skeletons import SKELETONS, Skeleton, resolve

# x, y; x, y, z; x, y, z and a score or tracking state; x, y, z and a quaternion, which is not used.
_WIDTHS = (3, 4, 2, 7)


class _Reading(NamedTuple):
    """One interpretation of the columns."""

    skeleton: Skeleton
    points: np.ndarray  # (T, V, C)
    scores: np.ndarray | None  # (T, V)
    note: str | None  # what was decided about the scores
    lead: np.ndarray  # (T, 0, 1 or 2), frame numbers and times before the joints

    def line(self) -> Timeline | None:
        """The time of the rows."""
        if not self.lead.shape[1]:
            return None
        first, last = self.lead[:, 0], self.lead[:, -1]
        if (first != np.round(first)).any():
            return timeline(times=last)
        return timeline(frames=first, times=last if self.lead.shape[1] == 2 else None)


def bare_poses(path: Path, numbers: np.ndarray, options: ReadOptions) -> Poses:
    """Reads rows of numbers (R, W): two, three, four or seven per joint, optionally after a frame number and a time.

    Rows of two to four numbers are single joints, one after the other, if their count is a multiple of the skeleton's.

    Args:
        path: For messages and for the clip's id.
        numbers: (R, W) float32.
        options: `skeleton`: the joints in the order of the columns; by default the known skeleton that fits the columns
            by the geometry of the body, with a warning.

    Raises:
        ValueError: if no skeleton is given and not exactly one fits, or the columns do not fit the skeleton.
    """
    while numbers.shape[1] > 1 and np.isnan(numbers[:, -1]).all():  # a comma at the end of each line
        numbers = numbers[:, :-1]
    if options.skeleton is None:
        reading = _guessed(path, numbers, options.channels)
    else:
        reading = _as(path, numbers, resolve(options.skeleton), options.channels)
    if reading.note is not None:
        warn(f"{path}: the numbers of its joints {reading.note}")
    points, scores, line = reading.points, reading.scores, reading.line()
    if line is not None:
        if line.note:
            warn(f"{path}: {line.note}")
        points = line.on_grid(_by_moment(points, line))
        scores = None if scores is None else line.on_grid(_by_moment(scores, line))
    return Poses(
        [absent_as_nan(points)[None]],
        reading.skeleton,
        [path.stem],
        fps=None if line is None else line.fps,
        scores=None if scores is None else [np.nan_to_num(scores)[None]],
    )


def _by_moment(values: np.ndarray, line: Timeline) -> np.ndarray:
    if len(line.position) < len(values):
        raise ValueError(
            "its first column repeats numbers; a table without names can have only one person and one recording"
        )
    return values[np.argsort(line.moment)]


def _as(path: Path, numbers: np.ndarray, skeleton: Skeleton, channels: str | None) -> _Reading:
    reading = next(_readings(numbers, skeleton, channels), None)
    if reading is not None:
        return reading
    raise ValueError(
        f"{path} contains {numbers.shape[1]} columns of numbers, but the {len(skeleton)} joints of {skeleton.name!r} "
        "need 2 (x, y), 3 (x, y, z), 4 (x, y, z and a score) or 7 (x, y, z and a quaternion) each, after at most a "
        "frame number and a time"
    )


def _guessed(path: Path, numbers: np.ndarray, channels: str | None) -> _Reading:
    """The only interpretation in which a known skeleton looks like a body."""
    found: list[_Reading] = []
    for skeleton in {len(known): known for known in SKELETONS.values()}.values():
        try:
            readings = list(_readings(numbers, skeleton, channels))
        except ValueError:  # a fourth number that is not a score
            continue
        for reading in readings:
            fitting = [fit.skeleton for fit in fits([absent_as_nan(reading.points)[None]]) if fit.fits]
            found += [reading._replace(skeleton=known) for known in fitting]
    if len(found) == 1:
        warn(
            f"{path} does not state what its columns are; judging by the geometry of the body, they are the joints of "
            f"{found[0].skeleton.name!r}: pass skeleton= if they are others"
        )
        return found[0]
    names = " or ".join(dict.fromkeys(repr(reading.skeleton.name) for reading in found))
    raise ValueError(
        f"{path} contains {numbers.shape[1]} columns of numbers without names"
        + (f", which could be {names}" if found else "")
        + "; pass skeleton= with the name of a known skeleton, or with joint names in the order of the columns"
    )


def _readings(numbers: np.ndarray, skeleton: Skeleton, channels: str | None) -> Iterator[_Reading]:
    rows, columns = numbers.shape
    joints = len(skeleton)
    widths = _WIDTHS if channels is None else (len(channels),)
    for lead in (0, 1, 2):
        for width in widths:
            if columns == lead + joints * width and _increase(numbers[:, :lead]):
                cells = numbers[:, lead:].reshape(rows, joints, width)
                yield _Reading(skeleton, *_split(cells, channels), numbers[:, :lead])
    if columns in widths and columns < 7 and rows % joints == 0 and joints > 1:
        yield _Reading(skeleton, *_split(numbers.reshape(-1, joints, columns), channels), numbers[:: joints or 1, :0])


def _increase(lead: np.ndarray) -> bool:
    return bool(lead.shape[1] == 0 or len(lead) == 1 or (np.diff(lead, axis=0) > 0).all())


def _split(cells: np.ndarray, channels: str | None) -> tuple[np.ndarray, np.ndarray | None, str | None]:
    """Coordinates, scores and a note, from the numbers of joints; the last four of seven are a quaternion."""
    if channels is not None:
        points, scores = split(cells, channels)
        return points, scores, None
    cells = cells[..., :3] if cells.shape[2] == 7 else cells
    letters, note = judged(cells)
    points, scores = split(cells, letters)
    return points, scores, note
