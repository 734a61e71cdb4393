"""The keypoints of a person as JSON spells them: flat, joint by joint, axis by axis, by name, with scores anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.json_files import first_of
from skelrep.io.people import Person, numbers_as_array
from skelrep.tracking import tracker_id

#: Keys under which a person's joints stand, those in space first.
POINT_KEYS = (
    *("keypoints_3d", "keypoints3d", "keypoints3D", "pose_keypoints_3d", "pose_3d", "joints_3d", "joints3d"),
    *("keypoints", "keypoints_2d", "keypoints2d", "pose_keypoints_2d", "pose_keypoints", "pose_2d", "kpts"),
    *("joint_positions", "joints", "landmarks", "skeleton", "pose", "points", "positions"),
)
#: Keys of a score for each joint, within a person or beside the axes of its joints.
SCORE_KEYS = (
    *("keypoint_scores", "keypoints_scores", "keypoint_score", "keypoints_score", "keypoints_conf", "kpt_scores"),
    *("confidences", "scores", "score", "visible", "visibility", "confidence", "conf", "likelihood", "c", "v"),
)
_NAME_KEYS = ("name", "part", "joint", "label", "keypoint", "bodyPart")


class Named(NamedTuple):
    """A person, and the names of its joints where they are given."""

    person: Person
    names: list[str] | None


def is_person(entry: Any) -> bool:
    """Whether a dict holds keypoints."""
    return isinstance(entry, Mapping) and any(_is_points(entry.get(key)) for key in POINT_KEYS)


def _is_points(value: Any) -> bool:
    """Whether a value is a person's keypoints by its structure, rather than a list of persons."""
    if isinstance(value, Mapping):
        if isinstance(value.get("x"), list):
            return True
        value = list(value.values())
    if not isinstance(value, list):
        return False
    first = next((item for item in value if item is not None), 0)
    if isinstance(first, Mapping):
        return {"x", "y"} <= {*first} and not isinstance(first["x"], list) or isinstance(first.get("position"), Mapping)
    return isinstance(first, (int, float, list)) and not isinstance(first, bool)


def person_of(entry: Any, track: Any = None) -> Named | None:
    """A person from a dict with keypoints, or from the keypoints themselves; None for an empty one.

    Args:
        entry: The dict or list.
        track: The tracker's id, where it stands beside the keypoints; by default that of the dict.

    Raises:
        ValueError: if the keypoints are no numbers.
    """
    values, scores = entry, None
    if is_person(entry):
        # An empty list beside a full one ("pose_keypoints_3d": []) is passed over.
        found = [entry[key] for key in POINT_KEYS if _is_points(entry.get(key))]
        values = next((value for value in found if len(value)), found[0])
        listed = [entry[key] for key in SCORE_KEYS if isinstance(entry.get(key), list)]
        scores = listed[0] if listed else None
        track = tracker_id(entry) if track is None else track
    if not len(values):
        return None
    names = None
    if isinstance(values, Mapping):
        axes = [axis for axis in "xyz" if isinstance(values.get(axis), list)]
        if axes:  # {"x": [...], "y": [...], "visible": [...]}
            points = numbers_as_array([values[axis] for axis in axes]).T
            scores = first_of(values, SCORE_KEYS, scores)
            return _checked(track, points, scores, None)
        names, values = list(values), list(values.values())
    if isinstance(values[0], Mapping):  # [{"x": ..., "y": ..., "score": ...}, ...]
        names = names or _names(values)
        points, scores = _from_dicts(values, scores)
        return _checked(track, points, scores, names)
    points = numbers_as_array(values)
    if points.ndim == 1:
        points = points.reshape(-1, _width(len(points), scores))
    return _checked(track, points, scores, names)


def people_of(entry: Mapping[str, Any]) -> list[Named] | None:
    """The persons of a frame in parallel arrays: {"keypoints": (P, V, C), "scores": (P, V), "track_ids": (P,)}.

    None if its keypoints are those of one person.
    """
    bodies = first_of(entry, POINT_KEYS)
    if depth(bodies) < 3:
        return None
    scores = next((entry[key] for key in SCORE_KEYS if depth(entry.get(key)) == 2), [None] * len(bodies))
    keys = ("track_ids", "trackIds", "person_ids", "ids", "tracks", "track_id", "person_id", "id")
    tracks = first_of(entry, keys)
    if not isinstance(tracks, list) or len(tracks) != len(bodies):
        tracks = [None] * len(bodies)
    people = [
        person_of({"keypoints": body} | ({} if score is None else {"keypoint_scores": score}), track)
        for body, score, track in zip(bodies, scores, tracks)
    ]
    return [person for person in people if person is not None]


def depth(value: Any) -> int:
    """How deep lists are nested, by their first entries."""
    deep = 0
    while isinstance(value, list):
        deep += 1
        value = next((item for item in value if item is not None), None)
    return deep


def _checked(track: Any, points: np.ndarray, scores: Any, names: list[str] | None) -> Named:
    if points.ndim == 3 and len(points) == 1:  # the one person of a list of persons
        points = points[0]
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"keypoints have the shape {points.shape}; expected (joints, 2 or 3), with a score or without")
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
    """Numbers per joint of a flat list: as many as with the scores beside it, else x, y, score."""
    if isinstance(scores, list) and scores and count % len(scores) == 0:
        return count // len(scores)
    if count % 3 == 0:
        return 3
    if count % 2 == 0:
        return 2
    raise ValueError(f"keypoints of {count} numbers; expected 2 or 3 for each joint")


def _names(points: Sequence[Mapping[str, Any]]) -> list[str] | None:
    names = [first_of(point, _NAME_KEYS) for point in points]
    return [str(name) for name in names] if all(isinstance(name, str) for name in names) else None


def _from_dicts(points: Sequence[Any], beside: Any) -> tuple[np.ndarray, Any]:
    """Points and scores of [{"x", "y", "z", "score"}, ...]; PoseNet's have x and y in a "position"."""
    inner = [point.get("position", point) for point in points]
    if not all(isinstance(point, Mapping) and "x" in point and "y" in point for point in inner):
        got = next((point for point in inner if not (isinstance(point, Mapping) and {"x", "y"} <= {*point})), None)
        raise ValueError(f"a joint is {str(got)[:60]}; expected x and y, with z or without")
    axes = "xyz" if all(point.get("z") is not None for point in inner) else "xy"
    scores = [first_of(point, SCORE_KEYS) for point in points]
    points = [[point[axis] for axis in axes] for point in inner]
    return numbers_as_array(points), beside if None in scores else scores
