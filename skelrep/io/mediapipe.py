"""MediaPipe Pose: its landmarks as JSON, and its results in memory.

A frame is a list of 33 landmarks {"x", "y", "z", "visibility"} or [x, y, z, visibility], a list with one such list per
person, or a dict {"pose_world_landmarks": ..., "pose_landmarks": ...} with the names of any of MediaPipe's interfaces.
Frames are in a list, in {"frames": [...]}, or in a dict by their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skelrep.fractions import check_unit, unit_is_checked
from skelrep.io.json_files import Family, When, keyed_frames, rate_of, reader, when
from skelrep.io.people import Person, Recording, numbers_as_array, poses_of
from skelrep.io.reader import ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, canonical_name

_WORLD = (
    *("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks", "landmarks_world"),
    *("pose_landmarks_world", "landmarks_3d", "world"),
)
_PICTURE = (
    "pose_landmarks",
    "poseLandmarks",
    "landmarks",
    "pose",
    "landmark",
    "image_landmarks",
    "normalized_landmarks",
)
_FRAMES = ("frames", "results", "data", "landmarks", "pose_landmarks", "pose_world_landmarks", "poses")
_OTHERS_TOO = ("pose", "world", "landmark")  # keys that other programs also use
_VISIBILITY = ("visibility", "score", "confidence", "v")
_JOINTS = len(SKELETONS["mediapipe-33"])
_HIPS = (23, 24)
UPRIGHT = np.array([1, -1, -1], dtype=np.float32)  # turns world landmarks, whose y points down and z away, to y up
_MOST_PERSONS = 4  # in a frame; a longer list is a list of frames


def from_mediapipe(results: Any, *, fps: float | None = None, scale: Sequence[float] | None = None) -> Poses:
    """Poses from MediaPipe's pose landmarks in memory: one clip of all frames.

    World landmarks are recognised by their origin, which is between the hips. The origin of image landmarks is a corner
    of the picture.

    Args:
        results: For each frame a result of MediaPipe's Pose or PoseLandmarker (world landmarks are preferred), a list
            of landmarks, or a dict of either; or an array (T, 33, 3), (T, 33, 4) or (T, 33, 5) of x, y, z, visibility,
            presence. None means that nobody was seen in the frame.
        fps: Frames per second.
        scale: Factors of x, y and z for image landmarks. These are fractions of the picture's width and height, so
            poses are distorted without it. Pass (width, height, 0): the 0 discards the depth, which is inaccurate in
            image landmarks.

    Returns:
        A clip (M, T, 33, 3): world landmarks in metres with y up, image landmarks multiplied by `scale` with y down;
        the visibility as scores.

    Raises:
        ValueError: if nobody is seen in any frame, or a person does not have 33 landmarks.

    Examples:
        >>> poses = from_mediapipe([landmarker.detect(image) for image in images], fps=30)
    """
    seen = [people_in(frame) for frame in results]
    world = _world_upright(seen)
    recording = Recording(world or seen, "mediapipe-33")
    poses = poses_of([recording], "MediaPipe's landmarks", "0", ReadOptions(scale=scale))
    if world is None and scale is None:
        check_unit(poses)
    elif world is None:
        poses = replace(poses, clips=[clip * np.asarray(scale, dtype=np.float32) for clip in poses.clips])
    poses = poses if fps is None else replace(poses, fps=fps)
    unit_is_checked(poses)
    return poses


def recognises(content: Any) -> bool:
    """Whether the first frame that is not empty has 33 landmarks, or a key of landmarks."""
    frames, _ = _frames(content)
    first = next((frame for frame in frames if frame), None)
    if isinstance(first, Mapping):
        keys = [key for key in (*_WORLD, *_PICTURE) if key in first]
        return "keypoints" not in first and any(key not in _OTHERS_TOO or _is_people(first[key]) for key in keys)
    return _is_people(first)


def recordings(content: Any) -> list[Recording]:
    """The one recording of such a file."""
    frames, time = _frames(content)
    people = [people_in(frame) for frame in frames]
    return [Recording(_world_upright(people) or people, "mediapipe-33", *time, fps=rate_of(content))]


def _world_upright(people: list[list[Person]]) -> list[list[Person]] | None:
    """World landmarks with y up; None for image landmarks.

    The origin of world landmarks is between the hips; that of image landmarks is a corner of the picture.
    """
    for person in (person for frame in people for person in frame):
        if person.points.shape != (_JOINTS, 3):
            raise ValueError(f"MediaPipe Pose has 33 landmarks of x, y, z, got {person.points.shape}")
    hips = [person.points[list(_HIPS)].mean(axis=0) for frame in people for person in frame]
    if not hips or np.isnan(hips).all() or np.nanmedian(np.abs(hips)) > 0.05:
        return None
    return [[person._replace(points=person.points * UPRIGHT) for person in frame] for frame in people]


def _is_body(value: Any) -> bool:
    """Whether a value is the landmarks of one person."""
    if isinstance(value, Mapping):
        return len(value) >= _JOINTS and "x" in next(iter(value.values()), ())
    if _is_flat(value):
        return True
    if not isinstance(value, list) or len(value) != _JOINTS:
        return False
    point = value[0]
    if isinstance(point, Mapping):
        return "x" in point and "keypoints" not in point
    return isinstance(point, list) and 3 <= len(point) <= 5 and all(isinstance(n, (int, float)) for n in point)


def _is_people(value: Any) -> bool:
    """Whether a value is the landmarks of one person or of several, possibly nested once more."""
    if isinstance(value, Mapping) and "landmark" in value:
        value = value["landmark"]
    return _is_body(value) or (isinstance(value, list) and len(value) > 0 and _is_body(value[0]))


def _is_flat(value: Any) -> bool:
    """Whether a value is one person's landmarks in a flat list: 3 to 5 numbers for each."""
    return isinstance(value, list) and len(value) in (99, 132, 165) and isinstance(value[0], (int, float))


def _frames(content: Any) -> tuple[list[Any], When]:
    nothing = When(None, None, None)
    if isinstance(content, list):
        if _is_body(content):
            return [content], nothing
        return content, when([frame if isinstance(frame, Mapping) else {} for frame in content])
    if not isinstance(content, Mapping):
        return [], nothing
    for key in _FRAMES:
        inner = content.get(key)
        if isinstance(inner, Mapping) and not _is_body(inner) and key == "frames":
            return _frames(inner)
        many = key in ("frames", "results", "data") or rate_of(content) is not None
        if isinstance(inner, list) and inner and not _is_body(inner) and (many or len(inner) > _MOST_PERSONS):
            return _frames(inner)
    if any(key in content for key in (*_WORLD, *_PICTURE)):
        return [content], nothing
    if content and all(key.lstrip("-").isdecimal() for key in map(str, content)):
        keys, numbers = keyed_frames(content)
        return [content[key] for key in keys], When(numbers, None, None)
    return [], nothing


def people_in(frame: Any) -> list[Person]:
    """The persons of a frame: a result object, a dict like it, landmarks of one person or of several."""
    found = frame
    keyed = isinstance(frame, Mapping) and not _is_body(frame)
    if keyed or any(hasattr(frame, name) for name in (*_WORLD, *_PICTURE)):
        values = [value for name in (*_WORLD, *_PICTURE) if (value := _field(frame, name)) is not None]
        found = next((value for value in values if hasattr(value, "landmark") or len(value)), None)
    found = _field(found, "landmark", found)  # the older interface nests them once more
    if found is None or not len(found):
        return []
    if isinstance(found, Mapping):  # by name
        names = {canonical_name(str(name)): point for name, point in found.items()}
        missing = [joint for joint in SKELETONS["mediapipe-33"].joints if joint not in names]
        if missing:
            raise ValueError(f"its landmarks lack {', '.join(missing[:5])}; expected MediaPipe Pose's 33")
        found = [names[joint] for joint in SKELETONS["mediapipe-33"].joints]
    if _is_flat(found):
        found = np.reshape(found, (_JOINTS, -1)).tolist()
    bodies = found
    if not _is_several(found):
        bodies = [found]
    people = []
    for body in bodies:
        body = _field(body, "landmark", body)
        rows = numbers_as_array([_landmark(point) for point in body])
        shown = not np.isnan(rows[:, 3]).any() and bool((rows[:, 3] > 0).any())
        people.append(Person(None, rows[:, :3].copy(), rows[:, 3] if shown else None))
    return people


def _is_several(found: Any) -> bool:
    """Whether these are the landmarks of several persons."""
    first = found[0]
    if _field(first, "landmark") is not None:
        return True
    return isinstance(first, (list, tuple)) and len(first) > 0 and not isinstance(first[0], (int, float))


def _landmark(point: Any) -> list:
    """x, y, z and visibility, NaN where it is not known."""
    if isinstance(point, (list, tuple, np.ndarray)):
        if len(point) < 3:
            raise ValueError(f"a landmark is {list(point)}; x, y and z are needed")
        return [*point[:3], point[3] if len(point) > 3 else np.nan]
    axes = [_field(point, axis) for axis in "xyz"]
    visibility = next((value for key in _VISIBILITY if (value := _field(point, key)) is not None), np.nan)
    if None in axes:
        raise ValueError(f"a landmark has x, y, z = {axes}; all three are needed")
    return [*axes, visibility]


def _field(thing: Any, name: str, default: Any = None) -> Any:
    return thing.get(name, default) if isinstance(thing, Mapping) else getattr(thing, name, default)


FAMILY = Family("mediapipe", recognises, recordings, frame_files=True)
READER = reader(FAMILY)
