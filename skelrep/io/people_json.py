"""JSON that lists persons frame by frame, in any of its common structures.

- MMPose: {"meta_info", "instance_info": [{"frame_id", "instances": [...]}]} of its demos, the list in it of its
  inferencer, or the instances of one picture; rtmlib's arrays {"keypoints": (P, V, 2), "scores": (P, V)}.
- Ultralytics (YOLO): for each frame a list of {"name", "box", "keypoints": {"x": [...], "y": [...], "visible": [...]}}.
- PoseFlow and AlphaPose: {"0.jpg": [{"keypoints", "scores", "idx"}], ...}.
- Kinetics-skeleton (ST-GCN): {"data": [{"frame_index", "skeleton": [{"pose", "score"}]}], "label"}.
- TensorFlow.js: [{"keypoints": [{"x", "y", "score", "name"}]}].
- Frames of any program: {"fps": 30, "frames": [{"frame": 0, "persons": [{"track_id", "keypoints"}]}]}, or a row for
  each detection: [{"frame", "track_id", "keypoints"}].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skelrep.io.json_files import (
    FRAME_KEYS,
    IMAGE_KEYS,
    TIME_KEYS,
    Family,
    When,
    first_of,
    keyed_frames,
    natural,
    rate_of,
    when,
)
from skelrep.io.keypoints import Named, depth, is_person, people_of, person_of
from skelrep.io.people import Recording, is_one_over_time

_FRAMES = ("instance_info", "frames", "data", "predictions", "results", "frame_data", "poses", "sequence")
_PEOPLE = (
    *("instances", "people", "persons", "skeleton", "skeletons", "bodies", "detections", "predictions", "annotations"),
    *("objects", "poses", "results", "tracks", "players", "subjects"),
)
_NAMES = ("keypoint_id2name", "keypoint_names", "keypoints_names", "joint_names", "landmark_names", "keypoint_labels")


def recognises(content: Any) -> bool:
    """Whether the first frame that holds anything holds keypoints."""
    frames, _ = _frames(content)
    first = next((frame for frame in frames if _people(frame, certain=False)), None)
    return first is not None


def recordings(content: Any) -> list[Recording]:
    """The one recording of such a file."""
    frames, time = _frames(content)
    people = [_people(frame) for frame in frames]
    note = None
    if len(people) == 1 and is_one_over_time([one.person for one in people[0]]):
        people = [[one] for one in people[0]]
        note = f"its {len(people)} poses without frame numbers are taken for the frames of one person, who moves little"
    names = _names_in(content) or next((one.names for frame in people for one in frame if one.names), None)
    label = first_of(content, ("label", "action", "label_index", "class"))
    return [
        Recording(
            [[_in_order(one, names) for one in frame] for frame in people],
            names,
            *time,
            fps=rate_of(content),
            label=label if isinstance(label, (int, str)) else None,
            note=note,
        )
    ]


def _in_order(one: Named, names: list[str] | None):
    """The person with its joints in the order of `names`."""
    if names is None or one.names is None or one.names == names:
        return one.person
    if sorted(one.names) != sorted(names):
        raise ValueError(f"people have different joints: {', '.join(names)[:80]}, and {', '.join(one.names)[:80]}")
    order = [one.names.index(name) for name in names]
    track, points, scores = one.person
    return one.person._replace(points=points[order], scores=None if scores is None else scores[order])


def _frames(content: Any) -> tuple[list[Any], When]:
    """The frames of a file, and when they were."""
    if isinstance(content, Mapping):
        for key in () if is_person(content) else _FRAMES:
            inner = content.get(key)
            if isinstance(inner, Mapping):
                return _frames(inner)
            if not isinstance(inner, list) or not inner:
                continue
            first = next((one for one in inner if one), None)
            if key in _PEOPLE and is_person(first) and first_of(first, FRAME_KEYS) is None:
                return [content], _NO_TIME  # the persons of one frame
            if key in ("frames", "sequence", "frame_data") and is_person(first) and not _by_frame(inner):
                return inner, when([frame if isinstance(frame, Mapping) else {} for frame in inner])
            return _frames(inner)
        arrays = content.get("keypoints")
        if isinstance(arrays, list) and depth(arrays) == 4:  # (T, P, V, C)
            scores = next((content[key] for key in ("scores", "keypoint_scores") if depth(content.get(key)) == 3), None)
            scores = scores or [None] * len(arrays)
            frames = [{"keypoints": k} | ({} if s is None else {"scores": s}) for k, s in zip(arrays, scores)]
            return frames, _NO_TIME
        by_key = content and all(isinstance(value, (list, Mapping)) for value in content.values())
        if by_key and not is_person(content) and people_in(content) is None:
            keys, numbers = keyed_frames(content)
            return [content[key] for key in keys], When(numbers, None, None)
        return [content], _NO_TIME
    if not isinstance(content, list):
        return [], _NO_TIME
    first = next((frame for frame in content if frame), None)
    if isinstance(first, Mapping) and is_person(first) and depth(first_of(first, ("keypoints",))) < 3:
        if rows := _by_frame(content):  # a row for each detection
            keys, numbers = keyed_frames(rows)
            return [rows[key] for key in keys], When(numbers, *_times(rows, keys))
        if not any(key in first for key in TIME_KEYS):
            return [content], _NO_TIME  # the persons of one picture
    if (
        len(content) == 1
        and isinstance(first, list)
        and isinstance(first[0], Mapping)
        and people_in(first[0]) is not None
    ):
        return _frames(first)  # MMPose's predictions: a list of batches
    return content, when([frame if isinstance(frame, Mapping) else {} for frame in content])


_NO_TIME = When(None, None, None)


def _by_frame(entries: list[Any]) -> dict[str, list[Any]]:
    """Detections by the number of their frame or the name of their image; empty if some do not say it."""
    rows: dict[str, list[Any]] = {}
    for entry in entries:
        frame = first_of(entry, (*FRAME_KEYS, *IMAGE_KEYS))
        if frame is None:
            return {}
        rows.setdefault(str(frame), []).append(entry)
    return rows


def _times(rows: Mapping[str, list[Any]], order: list[str]) -> tuple[list[float] | None, float | None]:
    found = when([rows[key][0] for key in order])
    return found.times, found.unit


def people_in(frame: Mapping[str, Any]) -> Any:
    """The list (or dict by id) of persons in a frame, or None."""
    return next((frame[key] for key in _PEOPLE if isinstance(frame.get(key), (list, Mapping))), None)


def _people(frame: Any, certain: bool = True) -> list[Named]:
    """The persons of a frame; with `certain=False` only those whose keypoints are under a known key."""
    if not frame:
        return []
    if isinstance(frame, Mapping):
        if is_person(frame):
            several = people_of(frame)
            return [one for one in [person_of(frame)] if one] if several is None else several
        inside = people_in(frame)
        if isinstance(inside, Mapping):  # by id
            found = [
                person_of(inside[key], None if isinstance(inside[key], list) else key)
                for key in sorted(inside, key=natural)
            ]
            return [one for one in found if one]
        return [] if inside is None else _people(inside, certain)
    if not isinstance(frame, list):
        return []
    if isinstance(frame[0], Mapping):
        if is_person(frame[0]):
            return [one for entry in frame if (one := person_of(entry))]
        if {"x", "y"} <= {*frame[0]} and not isinstance(frame[0]["x"], list):
            return [one for one in [person_of(frame)] if one]
        return [one for entry in frame for one in _people(entry, certain)]
    nested = depth(frame)
    if nested == 2 and len(frame) > 4 and isinstance(frame[0][0] if frame[0] else None, (int, float)):
        return [one for one in [person_of(frame)] if one]
    return [one for body in frame if nested >= 3 and (one := person_of(body))]


def _names_in(content: Any) -> list[str] | None:
    """Joint names that a file lists, at its top or in a part about itself."""
    for part in (content, first_of(content, ("meta_info", "metadata", "meta", "info"))):
        names = first_of(part, _NAMES)
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names, key=natural)]
        if isinstance(names, list) and names:
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"it names joints by other things than words: {str(names)[:60]}")
            return names
    return None


FAMILY = Family("people-json", recognises, recordings, frame_files=True)
