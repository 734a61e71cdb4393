"""OpenPose's JSON (`--write_json`): one file per frame, {"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}.

Pose2Sim and AlphaPose (`--format open` or `cmu`) write the same structure for other models. Frames that are collected
in one file, in a list or a dict by name, are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skelrep.io.json_files import Family, as_list, keyed_frames, rate_of, reader, when
from skelrep.io.key_names import tracker_id
from skelrep.io.people import ESTIMATORS, Person, Recording, scored


def recognises(content: Any) -> bool:
    """Whether a file, or the first frame in it, has "people", or AlphaPose's "bodies" of "joints"."""
    return any(_is_frame(frame) for frame in _frames(content)[0][:1])


def recordings(content: Any) -> list[Recording]:
    """The recording of one frame, or of the frames collected in one file."""
    frames, numbers = _frames(content)
    people = [_people(frame) if frame else [] for frame in frames]
    first = next((person for frame in people for person in frame), None)
    time = when(frames) if numbers is None and len(frames) > 1 else None
    return [
        Recording(
            people,
            ESTIMATORS.get(len(first.points)) if first else None,
            numbers if time is None else time.numbers,
            fps=rate_of(content),
        )
    ]


def _is_frame(frame: Any) -> bool:
    if not isinstance(frame, Mapping):
        return False
    if "people" in frame:
        people = frame["people"]
        # Other programs also use the key "people"; the prefixes of OpenPose's keys distinguish its files.
        return not people or not isinstance(people, list) or not isinstance(people[0], Mapping) or _has_key(people[0])
    bodies = frame.get("bodies")
    return isinstance(bodies, list) and bool(bodies) and isinstance(bodies[0], Mapping) and {*bodies[0]} == {"joints"}


def _has_key(person: Mapping[str, Any]) -> bool:
    return any(str(key).startswith(("pose_keypoints", "face_keypoints", "hand_")) for key in person)


def _frames(content: Any) -> tuple[list[Any], list[float] | None]:
    if _is_frame(content):
        return [content], None
    if isinstance(content, Mapping):
        if isinstance(content.get("frames"), list):
            return _frames(content["frames"])
        if content and all(_is_frame(frame) for frame in content.values()):
            keys, numbers = keyed_frames(content)
            return [content[key] for key in keys], numbers
    if isinstance(content, list) and any(map(_is_frame, content)):
        return content, None
    return [], None


def _people(frame: Mapping[str, Any]) -> list[Person]:
    people = []
    listed = frame.get("people", frame.get("bodies"))
    for person in as_list([] if listed is None else listed, "people"):
        width, flat = 4, person.get("pose_keypoints_3d")
        if not flat:
            width, flat = 3, person.get("pose_keypoints_2d", person.get("pose_keypoints", person.get("joints")))
        found = scored([] if flat is None else flat, width, tracker_id(person))
        if found is not None:  # None: only a hand or the face was found
            people.append(found)
    return people


FAMILY = Family("openpose", recognises, recordings, frame_files=True)
READER = reader(FAMILY)
