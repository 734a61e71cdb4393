"""JSON with several clips: a list or a dict of clips, or rows that name their video, subject or label.

Each clip is then read by the family that recognises it, as if it were a separate file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.key_names import compact, key_of, rank, value_of
from skelrep.io.keypoints import depth, is_person, points_in
from skelrep.io.row_groups import recordings_of
from skelrep.tracking import taking_turns

_CLIPS = (
    "x",
    "clips",
    "videos",
    "sequences",
    "recordings",
    "samples",
    "data",
    "annotations",
    "items",
    "dataset",
    "actions",
)
_DETECTED = ("person", "human", "people", "pedestrian", "body", "skeleton", "pose")  # classes of detectors, not actions
_ROLES = ("clip", "subject", "camera", "person", "frame", "time", "label")
_PERSON = re.compile(r"(person|player|track|subject|human|body|actor|skeleton|id)[\W_]*\d{1,6}", re.IGNORECASE)
_FEWEST_FRAMES = 3


class Part(NamedTuple):
    """One clip of a file.

    Attributes:
        content: The content of a file with this clip alone.
        name: Its name in the file.
        label: Its class, or None.
        info: Further columns.
    """

    content: Any
    name: str
    label: Any
    info: dict[str, Any]


def as_rows(content: Any) -> Any:
    """The rows of a table if the content contains its columns, as pandas writes them; else the content itself."""
    if (rows := _rows_of_persons(content)) is not None:
        return rows
    if not isinstance(content, Mapping) or len(content) < 2:
        return content
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        names = [str(name) for name in content["columns"]]
        return [dict(zip(names, row)) for row in content["data"] if isinstance(row, list)]
    if key_of(content, "frame", "time", "row", "person", "clip") is None:
        return content
    columns = list(content.values())
    if all(isinstance(column, Mapping) and column.keys() == columns[0].keys() for column in columns):
        return [{name: content[name][row] for name in content} for row in columns[0]]
    rows = {name: column for name, column in content.items() if isinstance(column, list)}
    when = value_of(rows, "frame", "time")
    if when is None or depth(when) != 1 or not isinstance(when[0], (int, float, str)):
        return content
    rows = {name: column for name, column in rows.items() if len(column) == len(when)}
    if not is_person(rows) and len(rows) < len(content):
        return content
    about = {name: value for name, value in content.items() if name not in rows}
    listed = [{name: column[i] for name, column in rows.items()} for i in range(len(when))]
    return about | {"frames": listed} if about else listed


def _rows_of_persons(content: Any) -> Any:
    """The rows of a recording that is listed person by person: [{"track_id": 1, "frames": [...]}, ...]; else None."""
    about, people = {}, content
    if isinstance(content, Mapping) and content and all(_PERSON.fullmatch(str(name)) for name in content):
        people = [{"track_id": name, "frames": _in_order(one)} for name, one in content.items() if not is_person(one)]
    elif isinstance(content, Mapping):
        key = key_of(content, "people")
        about, people = {other: value for other, value in content.items() if other != key}, content.get(key)
        if isinstance(people, Mapping):
            people = [{"track_id": name, **one} for name, one in people.items() if isinstance(one, Mapping)]
    roles = ["person", "number"] if isinstance(content, Mapping) else ["person"]
    if not isinstance(people, list) or not people or not all(isinstance(one, Mapping) for one in people):
        return None
    if any(key_of(one, *roles) is None or key_of(one, "label", "clip") is not None for one in people):
        return None
    rows = []
    for one in people:
        frames = value_of({key: value for key, value in one.items() if rank(key, "people") is None}, "frames")
        if not isinstance(frames, list) or key_of(one, "frame", "time") not in (None, key_of(one, "frames")):
            return None
        if depth(frames) == 1 and is_person(one) and len(points_in(one)) == len(frames):  # numbers only
            frames = [{"frame": at, "keypoints": pose} for at, pose in zip(frames, points_in(one))]
        named = [
            frame if isinstance(frame, Mapping) else {"keypoints": frame, "frame": i} for i, frame in enumerate(frames)
        ]
        rows += [{**frame, "track_id": value_of(one, *roles)} for frame in named]
    return {**about, "frames": rows} if about else rows


def _in_order(frames: Any) -> Any:
    """The frames of a person as a list, each with its number, if they are a dict by frame number."""
    if not isinstance(frames, Mapping) or not all(str(key).isdecimal() for key in frames):
        return frames
    return [
        {"frame": int(at), **(pose if isinstance(pose, Mapping) else {"keypoints": pose})}
        for at, pose in frames.items()
    ]


def clips_in(content: Any) -> list[Part] | None:
    """The clips that the content lists; None if it is one recording, or rows that do not identify clips."""
    if isinstance(content, list):
        return [_part(entry, {}, str(i)) for i, entry in enumerate(content)] if _are_clips(content) else None
    if not isinstance(content, Mapping):
        return None
    for key in content:
        if compact(str(key)) in _CLIPS and isinstance(content[key], list) and _are_clips(content[key]):
            about = {other: value for other, value in content.items() if other != key}
            labels = _labels_beside(about, len(content[key]))
            parts = [_part(entry, about, str(i)) for i, entry in enumerate(content[key])]
            return [part._replace(label=label) for part, label in zip(parts, labels)] if labels else parts
        if compact(str(key)) in _CLIPS and isinstance(content[key], Mapping) and (found := clips_in(content[key])):
            about = {other: value for other, value in content.items() if other != key}
            return [part._replace(content=_with(about, part.content)) for part in found]
    if len(content) > 1 and key_of(content, "frames", "people") is None and _are_clips(list(content.values())):
        return [_part(entry, {}, str(name)) for name, entry in content.items()]
    return None


def _labels_beside(about: Mapping[str, Any], count: int) -> list[Any]:
    """The labels of clips from a separate list, {"sequences": [...], "labels": [...]}; empty if there is none."""
    labels = value_of(about, "label")
    labels = about.get("y") if labels is None else labels
    return labels if isinstance(labels, list) and len(labels) == count else []


def clips_of_rows(entries: Sequence[Any]) -> tuple[list[Part], list[str]] | None:
    """The clips in rows with the poses of one frame each, separated by video, subject, camera and label.

    Returns:
        The clips, and notes on what was decided, for warnings; None if the rows are one recording without a label.
    """
    rows = [entry for entry in entries if isinstance(entry, Mapping)]
    if len(rows) < len(entries) or len(rows) < 2:
        return None
    texts, names = {}, {}
    for role in _ROLES:
        key = key_of(rows[0], role, *(["image"] if role == "frame" else []))
        values = [row.get(key) for row in rows]
        plain = all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in values)
        if key is None or not plain or (role == "label" and _is_of_detector(rows[0], key)):
            continue
        texts[role], names[role] = [str(value) for value in values], str(key)
    if not {"clip", "label", "subject", "camera"} & texts.keys() and "frame" not in texts:
        return None
    groups, ids, remarks = recordings_of(texts, names, "", len(rows))
    if len(groups) == 1 and "label" not in texts:
        return None
    parts = []
    for group, name in zip(groups, ids):
        first = rows[group[0]]
        label = first.get(names["label"]) if "label" in texts else None
        info = {role: first[names[role]] for role in ("subject", "camera") if role in texts}
        parts.append(Part([rows[i] for i in group], name.strip("/"), label, info))
    return parts, remarks


def label_of(entry: Any) -> Any:
    """The label of a clip, if it is a word or a number."""
    key = key_of(entry, "label")
    if key is None or _is_of_detector(entry, key):
        return None
    value = entry[key]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _is_of_detector(entry: Mapping[str, Any], key: str) -> bool:
    """Whether a class is a detector's class for persons: {"name": "person", "class": 0}."""
    said = [str(entry.get(other)).lower() for other in (key, "name", "category", "class_name")]
    return any(name in _DETECTED for name in said)


def _part(entry: Any, about: Mapping[str, Any], name: str) -> Part:
    if not isinstance(entry, Mapping):
        return Part(_with(about, {"frames": entry}), name, None, {})
    plain = {
        key: value for key, value in entry.items() if isinstance(value, (str, int)) and not isinstance(value, bool)
    }
    called = value_of(plain, "clip", "joint name", "image")
    info = {role: found for role in ("subject", "camera", "split") if (found := value_of(plain, role)) is not None}
    return Part(_with(about, _in_frames(entry)), name if called is None else str(called), label_of(entry), info)


def _in_frames(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A clip whose poses over time are one array, frame by frame."""
    points = points_in(entry) if is_person(entry) else []
    deep = depth(points)
    if deep not in (3, 4) or points is None:
        return entry
    beside = {key: value for key, value in entry.items() if isinstance(value, list)}
    others = {key: value for key, value in entry.items() if key not in beside}
    if deep == 4 and _is_over_time([person[0] for person in points if person]) < _is_over_time(points[0]):
        # The axis of persons is before that of frames.
        beside = {key: _turned(value) for key, value in beside.items() if depth(value) > 2}
        points = _turned(points)
    rows = [{key: value[i] for key, value in beside.items() if len(value) == len(points)} for i in range(len(points))]
    return others | {key: value for key, value in beside.items() if len(value) != len(points)} | {"frames": rows}


def _turned(value: list) -> list:
    return [list(group) for group in zip(*value)]


def _with(about: Mapping[str, Any], content: Any) -> Any:
    """A clip with what the file states for all its clips, such as the frame rate and the joint names."""
    if not about:
        return content
    content = content if isinstance(content, Mapping) else {"frames": content}
    return {key: value for key, value in about.items() if rank(str(key), "frames") is None} | dict(content)


def _are_clips(entries: Sequence[Any]) -> bool:
    """Whether entries are clips rather than frames or persons: each contains frames, or poses over time."""
    some = [entry for entry in entries if entry]
    return bool(some) and all(map(_is_clip, some[:3])) and all(map(_is_clip, some))


def _is_clip(entry: Any) -> bool:
    if isinstance(entry, list):
        return depth(entry) == 3 and len(entry) >= _FEWEST_FRAMES and _is_over_time(entry)
    if not isinstance(entry, Mapping) or value_of(entry, "frame") is not None and depth(value_of(entry, "frame")) == 0:
        return False
    frames = key_of(entry, "frames")
    said = label_of(entry) is not None or key_of(entry, "clip", "rate") is not None
    if frames is not None and isinstance(entry[frames], (list, Mapping)) and rank(frames, "people") is None:
        return not is_person(entry) or said
    if not is_person(entry):
        return said and frames is not None and isinstance(entry[frames], (list, Mapping))
    points = points_in(entry)
    return depth(points) >= 3 and (said or depth(points) == 4 or _is_over_time(points))


def _is_over_time(poses: Any) -> bool:
    """Whether a list of poses is one person over time."""
    try:
        array = np.array(poses, dtype=float)
    except (ValueError, TypeError):
        return False
    return array.ndim == 3 and len(array) >= _FEWEST_FRAMES and taking_turns(array[..., :2]) == 1
