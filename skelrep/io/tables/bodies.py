"""The persons and joints of a table by its column names, which may contain numbers and things that are not joints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from skelrep.joint_names import SIDES
from skelrep.skeletons import is_joint

#: Axis ("x", "y", "z", "score") -> column, of one joint.
Joint = dict[str, int]
#: Person -> joint -> axes; "" for the only person of a table that names none.
Tracks = dict[str, dict[str, Joint]]

_BODY_PREFIXES = ("body", "pose")
_FEWEST = 4  # joints that identify a person, or a table of named joints
# Words for things that are recorded along with a body, and names of such things if they stand alone: "hand_center" may
# be a joint.
_THING_WORDS = frozenset(
    (
        *("box", "bb", "roi", "rect", "centroid", "camera", "cam", "screen", "gaze", "mouse", "cursor", "pointer"),
        *("crop", "window", "racket", "plate", "floor", "ground", "resolution", "robot", "drone", "controller"),
    )
)
_THINGS = _THING_WORDS | frozenset(
    (
        *("min", "max", "center", "centre", "img", "image", "origin", "offset", "target", "goal", "size", "width"),
        *("height", "top", "bottom", "left", "right", "com", "cop", "ball", "object", "obj", "table", "chair", "scale"),
        *("shift", "principal", "focal", "calibration", "sensor", "start", "end", "p1", "p2", "tl", "br"),
    )
)
# Words that distinguish versions of one body rather than persons.
_VERSIONS = frozenset(
    (
        *("world", "image", "img", "screen", "pixel", "pixels", "px", "raw", "filtered", "filt", "smooth", "smoothed"),
        *("interp", "interpolated", "norm", "normalized", "normalised", "cam", "camera", "view", "pred", "predicted"),
        *(
            "prediction",
            "gt",
            "true",
            "truth",
            "label",
            "2d",
            "3d",
            "global",
            "local",
            "orig",
            "original",
            "rel",
            "abs",
        ),
        *("relative", "absolute", "front", "side", "back", "std", "mean", "var", "prev", "next"),
    )
)


def tracks_of(joints: dict[str, Joint]) -> tuple[Tracks, list[str]]:
    """The persons of a table by the names of its joints, and the names that are not joints.

    Names of persons come before or after those of their joints: "Anna:Hips", "person1_nose", "Anna_nose", "nose_p2".
    Bodies differ from objects by the names of their joints. Faces and hands are left out if there is a body
    ("face_12"). Numbered joints ("kp0", "landmark_12") are named by their numbers, in order.

    Raises:
        ValueError: if the names contain several versions of one body ("world_nose", "image_nose").
    """
    tracks = _by_mark(joints) or _by_word(joints) or {"": _body(joints)}
    left_out = _things(list(next(iter(tracks.values()))))
    tracks = {
        person: {name: axes for name, axes in body.items() if name not in left_out} for person, body in tracks.items()
    }
    return {person: _numbered(body) for person, body in tracks.items()}, left_out


def _things(body: Sequence[str]) -> list[str]:
    """The names of something other than the body: by their words, or numbers among names (x1, y1, x2, y2)."""
    if len(body) <= _FEWEST or _numbers(body):
        return []
    few_numbers = _known(body) >= _FEWEST and sum(name.isdecimal() for name in body) <= _FEWEST
    return [
        name
        for name in body
        if not is_joint(name)
        and (
            name.lower() in _THINGS
            or {word.lower() for word in _words(name)} & _THING_WORDS
            or (few_numbers and name.isdecimal())
        )
    ]


def _by_mark(joints: dict[str, Joint]) -> Tracks:
    """Persons that are named before a colon, or by a word and a number: "Anna:Hips", "person1_nose"."""
    groups: Tracks = {}
    for name, axes in joints.items():
        person, joint = _person_and_joint(name)
        groups.setdefault(person, {})[joint] = axes
    if len(groups) < 2:
        return {}
    bodies = {person: group for person, group in groups.items() if _known(group) >= 6 or _are_numbered(group)}
    shared = [joint for joint in next(iter(bodies.values()), ()) if all(joint in body for body in bodies.values())]
    if bodies and (_known(shared) >= 6 or _are_numbered(shared)):
        return {person: {joint: body[joint] for joint in shared} for person, body in bodies.items()}
    return {}


def _by_word(joints: dict[str, Joint]) -> Tracks:
    """Persons by words before or after the same joints: "Anna_nose" and "Ben_nose", "nose_Anna" and "nose_Ben"."""
    for in_front in (True, False):
        groups: Tracks = {}
        for name, axes in joints.items():
            words = _words(name)
            for at in range(1, len(words)):
                person, joint = (words[:at], words[at:]) if in_front else (words[at:], words[:at])
                if " ".join(person).lower() not in SIDES and is_joint("_".join(joint)):
                    groups.setdefault("_".join(person), {})["_".join(joint)] = axes
        groups = {person: group for person, group in groups.items() if len(group) >= _FEWEST}
        bodies = {
            person: group
            for person, group in groups.items()
            if any(
                2 * len(group.keys() & other.keys()) > len(group) for name, other in groups.items() if name != person
            )
        }
        if len(bodies) < 2 or sum(map(len, bodies.values())) < 0.6 * len(joints):
            continue
        if any({re.sub(r"\d+$", "", word.lower()) for word in _words(person)} & _VERSIONS for person in bodies):
            raise ValueError(
                f"its columns contain the same joints several times, as {', '.join(list(bodies)[:5])}: keep one version"
            )
        shared = [joint for joint in next(iter(bodies.values())) if all(joint in body for body in bodies.values())]
        return {person: {joint: body[joint] for joint in shared} for person, body in bodies.items()}
    return {}


def _known(joints: Iterable[str]) -> int:
    return sum(map(is_joint, joints))


def _are_numbered(names: Iterable[str]) -> bool:
    return len(_numbers(list(names))) >= _FEWEST


def _numbered(body: dict[str, Joint]) -> dict[str, Joint]:
    """The joints by their numbers, if all have the same name followed by a number: "kp0", "kp1" ..."""
    numbers = _numbers(list(body))
    if not numbers:
        return body
    return {str(number): axes for number, axes in sorted(zip(numbers, body.values()))}


def _numbers(names: Sequence[str]) -> list[int]:
    """The numbers in names that differ only in them, such as 0 to 16 or 1 to 17; empty if there are gaps."""
    found = list(map(_split, names))
    if len(names) < 3 or len({stem for stem, _ in found}) > 1 or not all(number for _, number in found):
        return []
    numbers = [int(number) for _, number in found]
    return numbers if sorted(numbers) in ([*range(len(names))], [*range(1, len(names) + 1)]) else []


def _split(name: str) -> tuple[str, str]:
    """A name without a number of up to four digits at its end and what is no letter before it, and the number."""
    number = match[0] if (match := re.search(r"\d{1,4}\Z", name)) else ""
    end = len(name) - len(number)
    while end and not name[end - 1].isalnum():
        end -= 1
    return name[:end].lower(), number


def _words(name: str) -> list[str]:
    parts = [word for word in re.split(r"[\W_]+", name) if word]
    return parts if len(parts) > 1 else re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)


def _person_and_joint(name: str) -> tuple[str, str]:
    person, colon, joint = name.rpartition(":")
    if colon:
        return person, joint
    match = re.match(
        r"((?:person|player|subject|skeleton|individual|p)[ _]?\d{1,4})[ _.\-]+(?=\S)", name, re.IGNORECASE
    )
    return (match[1], name[match.end() :]) if match else ("", name)


def _body(joints: dict[str, Joint]) -> dict[str, Joint]:
    """Only the joints of the body, if names begin with words for body, face and hands."""
    prefixed = {
        joint.partition("_")[2]: axes for joint, axes in joints.items() if joint.partition("_")[0] in _BODY_PREFIXES
    }
    return prefixed if _known(prefixed) >= 6 or _are_numbered(prefixed) else joints
