"""JSON of any known kind: which family a file's content belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skelrep.io import azure_kinect, coco, mediapipe, named_joints, nw_ucla, openpose, panoptic, people_json
from skelrep.io.json_clips import as_rows, clips_in
from skelrep.io.json_files import Family, reader, recordings_in
from skelrep.io.people import Recording, poses_of
from skelrep.io.reader import ReadOptions
from skelrep.io.tables.json_rows import read_table, table_in
from skelrep.poses import Poses

_MODULES = (openpose, coco, mediapipe, azure_kinect, panoptic, nw_ucla, named_joints)
#: From the most specific to the most general: the last one reads frames of persons in most structures.
FAMILIES: tuple[Family, ...] = (*(module.FAMILY for module in _MODULES), people_json.FAMILY)


def recognises(content: Any) -> bool:
    """Whether any family recognises the content, or the first of the clips in it."""
    content = as_rows(content)
    clips = clips_in(content)
    content = content if clips is None else clips[0].content
    return table_in(content) is not None or any(family.recognises(content) for family in FAMILIES)


def recordings(content: Any) -> list[Recording]:
    """The recordings in the content, read by the first family that recognises it."""
    family = next((family for family in FAMILIES if family.recognises(content)), None)
    if family is not None:
        return family.recordings(content)
    what = f"a dict of {', '.join(map(str, content))[:100]}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        f"it contains {what}; the known kinds are OpenPose's people, COCO's annotations or results, MediaPipe's "
        "landmarks, bodies of Azure Kinect and Panoptic, positions by frame and joint, and frames of persons with "
        "keypoints as in files of MMPose, Ultralytics, AlphaPose and Kinetics-skeleton"
    )


ANY = Family("json", recognises, recordings, frame_files=True)


def poses_in(content: Any, path: Path, options: ReadOptions) -> Poses:
    """The poses in content of any known kind; `path` is the file that it was read from.

    Raises:
        ValueError: if its kind is unknown, or it is damaged.
    """
    if table_in(content) is not None:
        return read_table(content, path, options)
    return poses_of(recordings_in(ANY, content, f"{path}"), f"{path}", path.stem, options)


READERS = (*(module.READER for module in _MODULES), reader(ANY))
