"""NW-UCLA in the JSON of CTR-GCN and its descendants: {"file_name", "skeletons": (T, 20, 3), "label"}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from skelrep.io.json_files import Family, reader
from skelrep.io.keypoints import depth
from skelrep.io.people import Person, Recording, numbers_as_array

_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<repetition>\d+)_v(?P<camera>\d+)", re.IGNORECASE)

# Wang et al., CVPR 2014: two cameras train, the third tests.
TRAINING_CAMERAS = (1, 2)


def recognises(content: Any) -> bool:
    """Whether there are nested lists of skeletons, of one person."""
    return isinstance(content, Mapping) and depth(content.get("skeletons")) == 3


def recordings(content: Any) -> list[Recording]:
    """One clip; subject, repetition, camera and the usual split by camera come from the name."""
    points = numbers_as_array(content["skeletons"])
    if points.ndim != 3:
        raise ValueError(f"skeletons have the shape {points.shape}; expected (frames, joints, 3)")
    about = _NAME.search(str(content.get("file_name", "")))
    info: dict[str, Any] = {}
    if about:
        info = {key: int(value) for key, value in about.groupdict().items() if key != "action"}
        info |= {"train": info["camera"] in TRAINING_CAMERAS, "test": info["camera"] not in TRAINING_CAMERAS}
    label = content.get("label")
    if label is None and about:
        label = int(about["action"])
    joints = "kinect-20" if points.shape[1] == 20 else None
    return [Recording([[Person(None, pose)] for pose in points], joints, label=label, info=info)]


FAMILY = Family("nw-ucla", recognises, recordings)
READER = reader(FAMILY)
