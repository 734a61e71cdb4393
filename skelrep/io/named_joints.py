"""JSON with joints by name in each frame.

- {"positions": {frame: {joint: [x, y] or [x, y, z]}}}, as in the Keraal data set.
- FreeMoCap's data by frame: {frame: {"tracked_points": {"body_nose": {"x", "y", "z"}}, "timestamps": ...}}, in
  millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skelrep.io.json_files import Family, as_list, first_of, keyed_frames, number_of, rate_of, reader
from skelrep.io.people import Person, Recording, numbers_as_array
from skelrep.memory_budget import bounded

_FREEMOCAP = ("data_by_frame", "frame_data", "frames", "data")
_SCORES = ("score", "confidence", "visibility", "likelihood")


def recognises(content: Any) -> bool:
    """Whether there are positions, or frames of tracked points."""
    if not isinstance(content, Mapping):
        return False
    return isinstance(content.get("positions"), Mapping) or _freemocap(content) is not None


def recordings(content: Any) -> list[Recording]:
    """The one recording of such a file."""
    points = _freemocap(content)
    if points is None:
        keys, numbers = keyed_frames(content["positions"])
        return [_recording([content["positions"][key] for key in keys], numbers, None, rate_of(content))]
    keys, numbers = keyed_frames(points)
    frames = [points[key] for key in keys]
    times = [_mean_time(frame.get("timestamps", frame.get("timestamp"))) for frame in frames]
    found = _recording([_tracked(frame) for frame in frames], numbers, times, rate_of(content))
    metres = [[one._replace(points=one.points / 1000) for one in frame] for frame in found.frames]
    return [found._replace(frames=metres)]


def _freemocap(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The frames by number of a FreeMoCap file, else None."""
    parts: list[Any] = [content.get(key) for key in _FREEMOCAP]
    for part in [*parts, content]:
        if isinstance(part, list) and part and isinstance(part[0], Mapping):
            part = {str(i): frame for i, frame in enumerate(part)}
        first = next(iter(part.values()), None) if isinstance(part, Mapping) else None
        if isinstance(part, Mapping) and isinstance(first, Mapping) and _tracked(first) is not None:
            return part
    return None


def _tracked(frame: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The points of a frame by name; those of the body precede those of hands and face."""
    points = first_of(frame, ("tracked_points", "body"))
    first = next(iter(points.values()), None) if isinstance(points, Mapping) else None
    return points if isinstance(first, Mapping) and {"x", "y", "z"} <= {*first} else None


def _mean_time(value: Any) -> float | None:
    return number_of(first_of(value, ("mean", "mean_timestamp")) if isinstance(value, Mapping) else value)


def _recording(frames: list[Any], numbers: Any, times: Any, fps: float | None) -> Recording:
    if not all(isinstance(frame, Mapping) for frame in frames):
        raise ValueError("its positions are not frames of named joints")
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    rows = [{name: _row(point) for name, point in frame.items() if point is not None} for frame in frames]
    channels = max((len(row) for frame in rows for row in frame.values()), default=0)
    bounded(len(frames), len(names), channels)
    people = []
    for frame in rows:
        points = np.full((len(names), channels), np.nan, dtype=np.float32)
        for index, name in enumerate(names):
            if name in frame:
                points[index] = numbers_as_array(frame[name], (channels,))
        people.append([Person(None, points)] if frame else [])
    joints = None if all(str(name).isdecimal() for name in names) else names
    return Recording(people, joints, numbers, None if not times or None in times else times, fps=fps)


def _row(point: Any) -> list:
    if isinstance(point, Mapping) and {"x", "y"} <= {*point}:
        return [np.nan if point.get(axis) is None else point[axis] for axis in ("xyz" if "z" in point else "xy")]
    return as_list(point, "a joint")


FAMILY = Family("named-joints", recognises, recordings)
READER = reader(FAMILY)
