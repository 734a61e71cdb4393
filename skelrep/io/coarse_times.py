"""Times shared by many frames, such as whole seconds: which rows with the same time are frames, and which persons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skelrep.io.timeline import as_seconds
from skelrep.tracking import are_crowded, jumping, taking_turns, turns

_MOST_JUMPS = 0.3  # fraction of the rows; more jumps mean that the rows are not the frames of one person


def combined(whole: Sequence[str], parts: Sequence[str], unit: float) -> np.ndarray | None:
    """Seconds from columns of whole seconds and of the remainder (ROS: "secs", "nsecs"); None for other columns."""
    seconds, rest = as_seconds(whole), as_seconds(parts)
    if (seconds != np.floor(seconds)).any() or rest.min() < 0 or (rest * unit).max() >= 1:
        return None
    return (seconds - seconds[0]) + rest * unit


def frames_of_rows(ids: Sequence[str | None] | None, poses: Sequence[np.ndarray] | np.ndarray) -> np.ndarray | None:
    """The frame (0, 1 ...) of each row, for rows of one person without frame and time; None if it cannot be determined.

    Args:
        ids: (R,) ids of persons, or None.
        poses: (R,) poses (V, C).

    Raises:
        ValueError: if poses overlap like those of one person at several times, but are in no order.
    """
    if ids is not None and len(set(ids)) < len(ids) and None not in ids:
        return np.array(turns([str(name) for name in ids]))
    several = taking_turns(poses)
    if several is not None:
        return np.arange(len(poses)) // several
    if are_crowded(poses):
        raise ValueError(
            f"{len(poses)} poses have no frame or share one, and overlap like poses of one person at several times; "
            "add a frame number ('frame') to each, and a person id ('track_id') if there are several persons"
        )
    return None


def rows_in_turn(poses: np.ndarray) -> tuple[np.ndarray, str | None]:
    """The frame of each row (R, V, C) of a table without frames, times and persons, and a note for a warning.

    Each row is a frame, unless the rows show several persons in turn.
    """
    seen = np.flatnonzero(~np.isnan(poses).all(axis=(1, 2)))
    several = taking_turns(poses[seen]) if len(seen) == len(poses) else None
    if several is not None and several > 1:
        note = (
            f"its rows show {several} persons in turn and are read as {several} persons (a column 'frame' makes it "
            "clear)"
        )
        return np.arange(len(poses)) // several, note
    if several is None and jumping(poses[seen]) > _MOST_JUMPS:
        note = "positions jump from row to row: if the rows show several persons, add columns 'frame' and 'person'"
        return np.arange(len(poses)), note
    return np.arange(len(poses)), None


def spread(
    times: np.ndarray, ids: Sequence[str | None] | None, poses: Sequence[np.ndarray] | np.ndarray | None
) -> tuple[np.ndarray, str] | None:
    """Distinct times for frames that share one, if rows with the same time are frames rather than persons.

    Args:
        times: (R,) times of rows, in any unit.
        ids: (R,) ids of persons, or None.
        poses: (R,) poses (V, C) of one person each; None if each row is a frame by itself.

    Returns:
        (R,) times in which frames with the same time are spread evenly until the next time, and a note for a warning;
        None if the times need no change.

    Raises:
        ValueError: if rows with the same time are not persons, and are in no order.
    """
    moments, moment, counts = np.unique(times, return_inverse=True, return_counts=True)
    if np.median(counts) < 2 or len(moments) < 2:
        return None
    if poses is not None and ids is not None and None not in ids:
        pairs = {(name, at) for name, at in zip(ids, moment.tolist())}
        if 2 * len(pairs) > len(ids):  # most persons occur only once at a time
            return None
    frame = np.arange(len(times)) if poses is None else _frames_within(moment, ids, poses)
    if frame is None:
        return None
    frames = np.zeros(len(moments), dtype=int)
    inside = np.zeros(len(times), dtype=int)
    for at in range(len(moments)):
        rows = np.flatnonzero(moment == at)
        inside[rows] = np.unique(frame[rows], return_inverse=True)[1]
        frames[at] = inside[rows].max() + 1
    typical = float(np.median(frames[1:-1] if len(frames) > 2 else frames))
    if typical < 2:
        return None
    gap = float(np.median(np.diff(moments)))
    length = np.maximum(frames, typical) if len(frames) < 3 else np.array([*frames], dtype=float)
    length[[0, -1]] = max(typical, *frames[[0, -1]])
    offset = np.where(moment == 0, length[0] - frames[0], 0)  # the first interval may have begun before the recording
    note = (
        f"up to {frames.max()} frames have the same time; they are spread evenly until the next time: pass fps= if the "
        "frame rate is different"
    )
    return moments[moment] + gap * (inside + offset) / length[moment], note


def _frames_within(
    moment: np.ndarray, ids: Sequence[str | None] | None, poses: Sequence[np.ndarray] | np.ndarray
) -> np.ndarray | None:
    """The frame of each row, counted from 0 at each time or continuously; None if it cannot be determined."""
    if ids is not None and None not in ids:
        frame = np.zeros(len(moment), dtype=int)
        for at in range(int(moment.max()) + 1):
            rows = np.flatnonzero(moment == at)
            frame[rows] = turns([str(ids[int(row)]) for row in rows])
        return frame
    order = np.argsort(moment, kind="stable")
    found = frames_of_rows(None, [poses[int(row)] for row in order])
    if found is None:
        return None
    frame = np.empty(len(moment), dtype=int)
    frame[order] = found
    return frame
