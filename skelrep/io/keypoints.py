"""The keypoints of one person in JSON of any structure: flat, per joint, per axis or by name, with scores anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.key_names import compact, key_of, of_role, tracker_id, value_of
from skelrep.io.people import Person, numbers_as_array
from skelrep.skeletons import is_joint

_FEWEST = 3  # joints that are named among the other keys of a row
# Kinect's states of a joint.
_STATES = {"tracked": 1.0, "inferred": 0.5, "nottracked": 0.0}
_NO_POINT = (None, [], {})


class Named(NamedTuple):
    """A person, and the names of its joints if they are given."""

    person: Person
    names: list[str] | None


class _Joint(NamedTuple):
    """One joint: its coordinates, and its score if it has one."""

    point: list[Any]
    score: Any


def is_person(entry: Any) -> bool:
    """Whether a dict contains keypoints."""
    return isinstance(entry, Mapping) and (_points_key(entry) is not None or bool(_joints_beside(entry)))


def points_in(entry: Mapping[str, Any]) -> Any:
    """The value of the most reliable key for keypoints in a dict; None if there is none."""
    key = _points_key(entry)
    return None if key is None else entry[key]


def _points_key(entry: Mapping[str, Any]) -> Any:
    """The key of the keypoints; an empty list ("pose_keypoints_3d": []) is skipped if another key has keypoints."""
    keys = list(entry)
    found = [keys[i] for i in of_role(keys, "points") if _is_points(entry[keys[i]])]
    return next((key for key in found if len(entry[key])), found[0] if found else None)


def _joints_beside(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Joints that are keys of a row, next to its frame and person: {"frame": 0, "nose": [x, y], ...}."""
    found = {key: value for key, value in entry.items() if _is_joint(value) and is_joint(str(key))}
    return found if len(found) >= _FEWEST else {}


def _is_points(value: Any) -> bool:
    """Whether the structure of a value is that of one person's keypoints, rather than a list of persons."""
    if isinstance(value, Mapping):
        if isinstance(_axis(value, "x"), list):
            return True
        return any(map(_is_joint, value.values()))
    if not isinstance(value, list):
        return False
    first = next((item for item in value if item is not None), 0)
    if isinstance(first, Mapping):
        return _is_joint(first) or (len(first) == 1 and _is_joint(next(iter(first.values()))))
    return isinstance(first, (int, float, list)) and not isinstance(first, bool)


def _is_joint(value: Any) -> bool:
    """Whether a value is one joint: numbers, or a dict of axes, possibly nested one level deeper."""
    if isinstance(value, list):
        return len(value) in (2, 3, 4) and all(isinstance(n, (int, float)) or n is None for n in value)
    if not isinstance(value, Mapping):
        return False
    if not {"x", "y"} <= {compact(str(key)) for key in value}:
        value = value_of(value, "position")
        return isinstance(value, (list, Mapping)) and _is_joint(value)
    return not isinstance(_axis(value, "x"), (list, Mapping))


def person_of(entry: Any, track: Any = None) -> Named | None:
    """A person from a dict with keypoints, or from the keypoints themselves; None for an empty one.

    Args:
        entry: The dict or list.
        track: The tracker's id, if it is separate from the keypoints; by default the id in the dict.

    Raises:
        ValueError: if the keypoints are not numbers.
    """
    values, scores = entry, None
    if is_person(entry):
        values = points_in(entry)
        keys = list(entry)
        listed = [entry[keys[i]] for i in of_role(keys, "score") if isinstance(entry[keys[i]], list)]
        scores = listed[0] if listed else None
        track = tracker_id(entry) if track is None else track
        if values is None:
            values = _joints_beside(entry)
    if not len(values):
        return None
    names = None
    if isinstance(values, Mapping):
        axes = [axis for axis in "xyz" if isinstance(_axis(values, axis), list)]
        if axes:  # {"x": [...], "y": [...], "visible": [...]}
            points = numbers_as_array([_axis(values, axis) for axis in axes]).T
            beside = value_of(values, "score")
            return _checked(track, points, scores if beside is None else beside, None)
        names, values = [str(name) for name in values], list(values.values())
    elif all(isinstance(value, Mapping) and len(value) == 1 for value in values):  # [{"nose": [x, y]}, ...]
        names, values = map(list, zip(*(pair for value in values for pair in value.items())))
    elif all(
        isinstance(value, list) and len(value) > 2 and isinstance(value[0], str) for value in values
    ):  # [["nose", x, y]]
        names, values = [value[0] for value in values], [value[1:] for value in values]
    if names is None and any(isinstance(value, Mapping) for value in values):
        names = _names(values)
    if names is not None and all(name.isdecimal() for name in names):  # numbers of joints, not names
        values, names = _by_number(names, values), None
    if any(isinstance(value, Mapping) for value in values):  # [{"x": ..., "y": ..., "score": ...}, ...]
        points, scores = _from_joints([_joint(value) for value in values], scores)
        return _checked(track, points, scores, names)
    if any(isinstance(value, list) for value in values):
        width = max(len(value) for value in values if isinstance(value, list))
        values = [[np.nan] * width if value in _NO_POINT else value for value in values]
    points = numbers_as_array(values)
    if points.ndim == 1:
        points = points.reshape(-1, _width(len(points), scores))
    return _checked(track, points, scores, names)


def people_of(entry: Mapping[str, Any]) -> list[Named] | None:
    """The persons of a frame in parallel arrays: {"keypoints": (P, V, C), "scores": (P, V), "track_ids": (P,)}.

    None if its keypoints are those of one person.
    """
    bodies = points_in(entry)
    if depth(bodies) < 3:
        return None
    keys = list(entry)
    scores = next((entry[keys[i]] for i in of_role(keys, "score") if depth(entry[keys[i]]) == 2), [None] * len(bodies))
    tracks = next((entry[key] for key in keys if _numbers_persons(key) and isinstance(entry[key], list)), None)
    if tracks is None or len(tracks) != len(bodies):
        tracks = [None] * len(bodies)
    people = [
        person_of({"keypoints": body} | ({} if score is None else {"keypoint_scores": score}), track)
        for body, score, track in zip(bodies, scores, tracks)
    ]
    return [person for person in people if person is not None]


def depth(value: Any) -> int:
    """The nesting depth of lists, judged by their first entries."""
    deep = 0
    while isinstance(value, list):
        deep += 1
        value = next((item for item in value if item is not None), None)
    return deep


def _numbers_persons(key: str) -> bool:
    """Whether a key contains one id per person: "track_ids", "ids", "track_id"."""
    return bool(of_role([key, key.removesuffix("s")], "person") or of_role([key, key.removesuffix("s")], "number"))


def _checked(track: Any, points: np.ndarray, scores: Any, names: list[str] | None) -> Named:
    if points.ndim == 3 and len(points) == 1:  # a list with one person
        points = points[0]
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"keypoints have the shape {points.shape}; expected (joints, 2 or 3), optionally with a score")
    if points.shape[1] > 3:  # x, y, z, score and perhaps more (MediaPipe's presence)
        points, scores = points[:, :3], points[:, 3] if scores is None else scores
    if scores is not None:
        scores = numbers_as_array(scores).reshape(-1)
        if scores.shape != points.shape[:1]:
            raise ValueError(f"{len(points)} keypoints but {len(scores)} scores")
        if points.shape[1] == 3 and np.array_equal(points[:, 2], scores) and np.nanmax(points[:, :2]) > 2:
            points = points[:, :2]  # AlphaPose gives the scores twice
    return Named(Person(track, points, scores), names)


def _width(count: int, scores: Any) -> int:
    """Numbers per joint of a flat list: by the number of separate scores, or else 3 (x, y, score) or 2."""
    if isinstance(scores, list) and scores and count % len(scores) == 0:
        return count // len(scores)
    if count % 3 == 0:
        return 3
    if count % 2 == 0:
        return 2
    raise ValueError(f"keypoints of {count} numbers; expected 2 or 3 for each joint")


def _names(points: Sequence[Any]) -> list[str] | None:
    """The names of joints in a list, if each joint has one: {"name": "nose"}, {"jointType": 3}, {"type": "Head"}."""
    found = [value_of(point, "joint", "joint name") for point in points]
    plain = all(isinstance(name, (str, int)) and not isinstance(name, bool) for name in found)
    return [str(name) for name in found] if plain and len({*found}) == len(found) else None


def _by_number(names: Iterable[str], values: Iterable[Any]) -> list[Any]:
    """Joints in the order of their numbers, None where one is missing."""
    by_number = {int(name): value for name, value in zip(names, values)}
    first = min(by_number, default=0)
    first = first if first in (0, 1) and max(by_number) < 1000 else 0
    if max(by_number) >= 1000:
        raise ValueError(f"joints are numbered up to {max(by_number)}; expected less than 1000")
    return [by_number.get(number) for number in range(first, max(by_number) + 1)]


def _axis(point: Mapping[str, Any], axis: str) -> Any:
    return point.get(axis, point.get(axis.upper()))


def _joint(value: Any) -> _Joint:
    """The coordinates and the score of one joint; they may be nested one level deeper, as in PoseNet's "position"."""
    if value in _NO_POINT:
        return _Joint([], None)
    if isinstance(value, list):
        return _Joint(value[:3], value[3] if len(value) > 3 else None)
    inner, score = value, value_of(value, "score")
    while isinstance(inner, Mapping) and not {"x", "y"} <= {compact(str(key)) for key in inner}:
        inner = value_of(inner, "position")
    if isinstance(inner, Mapping):
        inner = [_axis(inner, axis) for axis in "xyz"]
        inner = inner if inner[2] is not None else inner[:2]
    if not isinstance(inner, list):
        raise ValueError(f"a joint is {str(value)[:60]}; expected x and y, optionally z")
    if isinstance(score, str):
        score = _STATES.get(compact(score), score)
    elif score is not None and compact(str(key_of(value, "score"))).startswith("tracking"):
        score = score / 2
    return _Joint(inner, score)


def _from_joints(joints: Sequence[_Joint], beside: Any) -> tuple[np.ndarray, Any]:
    """Points (V, 2 or 3), NaN for a joint without coordinates, and scores."""
    seen = [joint for joint in joints if joint.point]
    width = min((len(joint.point) for joint in seen), default=2)
    points = [joint.point[:width] or [np.nan] * width for joint in joints]
    without = [joint for joint in seen if joint.score is None]
    scores = None if without or not seen else [joint.score or 0.0 for joint in joints]
    return numbers_as_array(points), beside if scores is None else scores
