"""JSON of any known kind: which family a file's content belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skelrep.io import azure_kinect, coco, mediapipe, named_joints, nw_ucla, openpose, panoptic, people_json
from skelrep.io.json_files import Family, reader
from skelrep.io.people import Recording

_MODULES = (openpose, coco, mediapipe, azure_kinect, panoptic, nw_ucla, named_joints)
#: The more specific first: the last understands frames of persons in most structures.
FAMILIES: tuple[Family, ...] = (*(module.FAMILY for module in _MODULES), people_json.FAMILY)


def recognises(content: Any) -> bool:
    """Whether any family recognises the content."""
    return any(family.recognises(content) for family in FAMILIES)


def recordings(content: Any) -> list[Recording]:
    """The recordings in a content, by the first family that recognises it."""
    family = next((family for family in FAMILIES if family.recognises(content)), None)
    if family is not None:
        return family.recordings(content)
    what = f"a dict of {', '.join(map(str, content))[:100]}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        f"it holds {what}; known are OpenPose's people, COCO's annotations or results, MediaPipe's landmarks, bodies "
        "of Azure Kinect and Panoptic, positions by frame and joint, and frames of persons with keypoints, as MMPose, "
        "Ultralytics, AlphaPose and Kinetics-skeleton have them"
    )


READERS = (*(module.READER for module in _MODULES), reader(Family("json", recognises, recordings, frame_files=True)))
