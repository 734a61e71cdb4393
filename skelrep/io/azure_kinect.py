"""Azure Kinect's body tracking as Microsoft's offline_processor writes it: {"frames": [{"bodies": [...]}]}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skelrep.io.json_files import Family, as_list, number_of, reader, when
from skelrep.io.people import Person, Recording, numbers_as_array

# The depth camera's axes are x right, y down, z forward, in millimetres; a half turn about x makes y point up.
_TO_METRES_Y_UP = np.array([1, -1, -1], dtype=np.float32) / 1000


def recognises(content: Any) -> bool:
    """Whether there are frames of bodies with joint positions."""
    frames = content.get("frames") if isinstance(content, Mapping) else None
    if not isinstance(frames, list):
        return False
    bodies = [frame["bodies"] for frame in frames if isinstance(frame, Mapping) and "bodies" in frame]
    first = next((found for found in bodies if found), None)
    if first is None:
        return bool(bodies)
    return not isinstance(first, list) or not isinstance(first[0], Mapping) or "joint_positions" in first[0]


def recordings(content: Any) -> list[Recording]:
    """The recording in metres with y up."""
    frames = [[_person(body) for body in as_list(frame["bodies"], "bodies")] for frame in content["frames"]]
    time = when(content["frames"])
    if time.times is not None and number_of(content["frames"][0].get("timestamp_usec")) is not None:
        # The device's timestamps jitter by about a hundred microseconds: 29.998 frames per second means 30.
        return [Recording(frames, _joints(content), time.numbers, time.times, 1e-6)]
    return [Recording(frames, _joints(content), *time)]


def _joints(content: Mapping[str, Any]) -> Any:
    names = content.get("joint_names", "azure-kinect-32")
    if isinstance(names, list) and not all(isinstance(name, str) for name in names):
        raise ValueError(f"its joint names are not strings: {str(names)[:60]}")
    return names


def _person(body: Mapping[str, Any]) -> Person:
    points = numbers_as_array(body["joint_positions"], (len(body["joint_positions"]), 3))
    return Person(body.get("body_id"), points * _TO_METRES_Y_UP)


FAMILY = Family("azure-kinect", recognises, recordings)
READER = reader(FAMILY)
