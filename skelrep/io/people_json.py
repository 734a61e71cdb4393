"""JSON that lists persons frame by frame, in any of the common structures.

- MMPose: {"meta_info", "instance_info": [{"frame_id", "instances": [...]}]} from its demos, the inner list
  from its inferencer, or the instances of one picture; rtmlib's arrays {"keypoints": (P, V, 2), "scores": (P, V)}.
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

from skelrep.io.json_clips import clips_of_rows, label_of
from skelrep.io.json_files import Family, When, keyed_frames, natural, rate_of, when
from skelrep.io.key_names import of_role, rank, value_of
from skelrep.io.keypoints import Named, depth, is_person, people_of, person_of, points_in
from skelrep.io.people import Recording, in_joint_order, people_by_moment


def recognises(content: Any) -> bool:
    """Whether the first frame that is not empty contains keypoints."""
    frames, _ = _frames(content)
    first = next((frame for frame in frames if _people(frame, certain=False)), None)
    return first is not None


def recordings(content: Any) -> list[Recording]:
    """The recording in such a file, or the recordings in rows that name their video or label."""
    keys = list(content) if isinstance(content, Mapping) else []
    listed = [content[keys[i]] for i in of_role(keys, "frames")]
    rows = content if isinstance(content, list) else next((one for one in listed if isinstance(one, list)), [])
    found = clips_of_rows(rows)
    if found is None:
        return [_recording(content, content)]
    clips, remarks = found
    made = [
        _recording(clip.content, content)._replace(name=clip.name, label=clip.label, info=clip.info) for clip in clips
    ]
    return [made[0]._replace(note="; ".join([*remarks, *filter(None, [made[0].note])]) or None), *made[1:]]


def _recording(content: Any, about: Any) -> Recording:
    """The recording of frames; `about` is the content that states the frame rate, joint names and a label."""
    frames, time = _frames(content)
    people = [_people(frame) for frame in frames]
    named = [[(one.person, one.names) for one in frame] for frame in people]
    found, names = in_joint_order(named, _names_in(about))
    note = None
    if len(found) == 1:
        found, note = people_by_moment(found[0])
    return Recording(found, names, *time, fps=rate_of(about), label=label_of(about), note=note)


def _frames(content: Any) -> tuple[list[Any], When]:
    """The frames of a file, and their numbers and times."""
    if isinstance(content, Mapping):
        keys = list(content)
        for key in () if is_person(content) else [keys[i] for i in of_role(keys, "frames")]:
            inner = content[key]
            if isinstance(inner, Mapping):
                return _frames(inner)
            if not isinstance(inner, list) or not inner:
                continue
            first = next((one for one in inner if one), None)
            if rank(key, "people") is not None and is_person(first) and value_of(first, "frame", "time") is None:
                return [content], _NO_TIME  # the persons of one frame
            return _frames(inner) if not _is_frames(key, first) else _rows(inner) or (inner, _NO_TIME)
        arrays = points_in(content)
        if depth(arrays) == 4:  # (T, P, V, C)
            scores = next((content[keys[i]] for i in of_role(keys, "score") if depth(content[keys[i]]) == 3), None)
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
    if isinstance(first, Mapping) and is_person(first) and depth(points_in(first)) < 3:
        return _rows(content) or ([content], _NO_TIME)  # the persons of one picture
    if (
        len(content) == 1
        and isinstance(first, list)
        and isinstance(first[0], Mapping)
        and people_in(first[0]) is not None
    ):
        return _frames(first)  # MMPose's predictions: a list of batches
    return content, when([frame if isinstance(frame, Mapping) else {} for frame in content])


_NO_TIME = When(None, None, None)


def _is_frames(key: str, first: Any) -> bool:
    """Whether a list of poses without numbers is a list of frames rather than persons, judged by its key."""
    return rank(key, "people") is None and key not in ("data", "annotations") and is_person(first)


def _rows(entries: list[Any]) -> tuple[list[Any], When] | None:
    """The frames of a list with one entry per person and frame; None if entries have neither frame nor time."""
    time = when([entry if isinstance(entry, Mapping) else {} for entry in entries])
    if time.numbers or time.times:
        return entries, time
    rows: dict[str, list[Any]] = {}
    for entry in entries:
        image = value_of(entry, "frame", "image")
        if image is None:
            return None
        rows.setdefault(str(image), []).append(entry)
    keys, numbers = keyed_frames(rows)
    return [rows[key] for key in keys], When(numbers, None, None)


def _is_by_name(key: str, value: Any) -> bool:
    """Whether a value is a person with its id or name as key: {"frame": 0, "Anna": {"nose": [x, y], ...}}."""
    if isinstance(value, list):
        return str(key).isdecimal() and depth(value) == 2 and len(value) > 4
    return isinstance(value, Mapping) and is_person(value)


def people_in(frame: Mapping[str, Any]) -> Any:
    """The list (or dict by id) of persons in a frame, or None."""
    keys = list(frame)
    found = [frame[keys[i]] for i in of_role(keys, "people")]
    return next((people for people in found if isinstance(people, (list, Mapping))), None)


def _people(frame: Any, certain: bool = True) -> list[Named]:
    """The persons of a frame; with `certain=False` only those whose keypoints are under a known key."""
    if not frame:
        return []
    if isinstance(frame, Mapping):
        if is_person(frame):
            several = people_of(frame)
            return [one for one in [person_of(frame)] if one] if several is None else several
        inside = people_in(frame)
        if inside is None:
            inside = {key: value for key, value in frame.items() if _is_by_name(key, value)} or None
        if isinstance(inside, Mapping):  # by id
            found = [
                person_of(inside[key], None if isinstance(inside[key], list) and not str(key).isdecimal() else key)
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
    """Joint names that a file lists at its top level or in its metadata."""
    for part in (content, value_of(content, "about")):
        names = value_of(part, "names")
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names, key=natural)]
        if isinstance(names, list) and names and not isinstance(names[0], (list, Mapping)):
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"its joint names are not strings: {str(names)[:60]}")
            return names
    return None


FAMILY = Family("people-json", recognises, recordings, frame_files=True)
