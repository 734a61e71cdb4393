"""NW-UCLA in the JSON of CTR-GCN and its descendants: {"file_name", "skeletons": (T, 20, 3), "label"}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from skelrep.io.json_files import Family, reader
from skelrep.io.keypoints import depth
from skelrep.io.people import Person, Recording, numbers_as_array

_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<repetition>\d+)(_v(?P<camera>\d+))?", re.IGNORECASE)

# Wang et al., CVPR 2014: cameras 1 and 2 are for training, camera 3 is for testing.
TRAINING_CAMERAS = (1, 2)


def about(name: str) -> tuple[int | None, dict[str, Any]]:
    """The action, and the columns subject, repetition, camera, train and test, of a name such as "a01_s02_e03_v01"."""
    found = _NAME.search(name)
    if found is None:
        return None, {}
    info: dict[str, Any] = {key: int(value) for key, value in found.groupdict().items() if key != "action" and value}
    if "camera" in info:
        trains = info["camera"] in TRAINING_CAMERAS
        info |= {"train": trains, "test": not trains}
    return int(found["action"]), info


def recognises(content: Any) -> bool:
    """Whether there are nested lists of skeletons of one person."""
    return isinstance(content, Mapping) and depth(content.get("skeletons")) == 3


def recordings(content: Any) -> list[Recording]:
    """One clip; subject, repetition, camera and the usual split by camera come from the name."""
    points = numbers_as_array(content["skeletons"])
    if points.ndim != 3:
        raise ValueError(f"skeletons have the shape {points.shape}; expected (frames, joints, 3)")
    action, info = about(str(content.get("file_name", "")))
    label = content.get("label", action)
    joints = "kinect-20" if points.shape[1] == 20 else None
    return [Recording([[Person(None, pose)] for pose in points], joints, label=label, info=info)]


FAMILY = Family("nw-ucla", recognises, recordings)
READER = reader(FAMILY)
