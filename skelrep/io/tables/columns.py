"""The meanings of the columns of a table, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from skelrep.io.key_names import compact, of_role, unit_of
from skelrep.io.tables.bodies import Joint, Tracks, tracks_of
from skelrep.io.units import METRES
from skelrep.skeletons import is_joint

AXES = ("x", "y", "z")
SCORE = "score"

_SCORES = ("score", "confidence", "conf", "likelihood", "visibility", "vis", "prob", "probability")
_AXIS_WORDS = {**{axis: axis for axis in AXES}, **{f"t{axis}": axis for axis in AXES}, **dict.fromkeys(_SCORES, SCORE)}
_NUMBERED = {"x": "x", "y": "y", "z": "z", "v": SCORE, "c": SCORE, "s": SCORE}  # x12, y12, z12, v12
_POSITION_WORDS = ("pos", "position", "positions", "translation", "location", "loc", "coord", "coordinate", "world")
_UNIT_WORDS = (*METRES, "px", "pixel", "pixels")
# Columns of these quantities also end in an axis but are not positions. A name is excluded if one of its words begins
# like this.
_NO_POSITION = ("rot", "quat", "orient", "euler", "vel", "acc", "angle", "proj", "bbox", "boundingbox")
_NO_POSITION_WORDS = ("box", "bb", "roi", "rect", "gyro", "mag", "force", "moment", "ang", "angular", "pixel", "screen")


_LONGEST_NAME = 200  # characters; longer names are not of joints
_MOST_COLUMNS = 10_000  # ten times the joints of a body with face and hands


class Columns(NamedTuple):
    """The meanings of the columns of a table.

    Attributes:
        tracks: Person -> joint -> axis ("x", "y", "z", "score") -> column; for a long table, one joint "".
        keys: "clip", "person", "frame", "time", "joint" ... -> columns; several only for "clip".
        unit: Metres per unit if the names say it, else None.
        incomplete: Joints that lack an axis that the others have.
        left_out: Names that end in an axis but are not joints.
    """

    tracks: Tracks
    keys: dict[str, list[int]]
    unit: float | None = None
    incomplete: list[str] = []
    left_out: list[str] = []

    @classmethod
    def of(
        cls,
        joints: dict[str, Joint],
        keys: dict[str, list[int]],
        unit: float | None = None,
        incomplete: Sequence[str] = (),
    ) -> Columns:
        """From the joints of all columns, which may belong to several persons."""
        tracks, left_out = tracks_of(joints)
        return cls(tracks, keys, unit, list(incomplete), left_out)

    def remarks(self) -> list[str]:
        """What is not used of the table, for warnings."""
        remarks = []
        if self.incomplete:
            remarks.append(f"columns of {', '.join(self.incomplete)} lack an axis of other joints and are ignored")
        if self.left_out:
            remarks.append(f"columns of {', '.join(self.left_out[:10])} are left out: these are not joint names")
        return remarks

    @property
    def long(self) -> bool:
        """Whether a row contains one joint rather than one person."""
        return "joint" in self.keys

    @property
    def tell_clips(self) -> bool:
        """Whether a column tells clips apart, and all else that clips share is known from the names of the columns."""
        return "clip" in self.keys and not self.long and not all(name.isdecimal() for name in self.joints)

    @property
    def joints(self) -> list[str]:
        """Names of the joints of a table with a row for each person and frame."""
        return list(next(iter(self.tracks.values())))

    @property
    def kinds(self) -> list[str]:
        """The axes of every joint, in the order x, y, z, score."""
        return list(next(iter(next(iter(self.tracks.values())).values())))

    @property
    def picked(self) -> list[int]:
        """The columns of numbers, by person, joint and axis."""
        return [at for joints in self.tracks.values() for joint in joints.values() for at in joint.values()]


def columns_of(names: Sequence[str]) -> Columns:
    """The meanings of the columns of a table with one line of names.

    Raises:
        ValueError: if there are no columns of joints, or some joints lack an axis that others have.
    """
    if len(names) > _MOST_COLUMNS:  # names are compared with each other
        raise ValueError(f"it has {len(names)} columns, but a table of joints has at most {_MOST_COLUMNS}")
    names = [name[:_LONGEST_NAME] for name in names]  # patterns take the square of their length
    keys = keys_of(names)
    found: dict[str, Joint] = {}
    units: set[str] = set()
    for at, name in enumerate(names):
        parsed = position_column(name)
        if parsed is not None:
            joint, axis, unit = parsed
            found.setdefault(joint, {}).setdefault(axis, at)
            units |= {unit} if axis in AXES and unit in METRES else set()
    plain = found.pop("", {})
    if not any({"x", "y"} <= set(joint) for joint in found.values()) and not {"x", "y"} <= set(plain):
        found = _unseparated(names) or _with_axis_inside(names)
    unit = METRES[units.pop()] if len(units) == 1 else None
    if {"x", "y"} <= set(plain):
        return _long(names, plain, keys, unit)
    keys.pop("joint", None)
    keys.pop("group", None)
    joints, incomplete = complete(found, names)
    return Columns.of(joints, keys, unit, incomplete)


def position_column(name: str) -> tuple[str, str, str] | None:
    """The joint, the axis ("x", "y", "z", "score") and the unit ("" if none) of a column; None if it is not a position.

    The joint is "" for a column that is named after an axis alone.
    """
    parts = re.split(r"([\W_]+)", name.strip())
    words = parts[::2]
    first, last = 0, len(words)  # the range of words that are not used yet
    while last > first and not words[last - 1]:
        last -= 1
    while first < last and not words[first]:
        first += 1
    unit = ""
    if last - first > 1 and words[last - 1].lower() in _UNIT_WORDS and words[last - 2].lower() in _AXIS_WORDS:
        unit, last = words[last - 1].lower(), last - 1
    if first == last:
        return None
    while last - first > 2 and words[first].lower() in _POSITION_WORDS[:2] and words[first + 1].lower() in _AXIS_WORDS:
        first += 1
    if (axis := _AXIS_WORDS.get(words[last - 1].lower())) is not None:
        last -= 1
        while last > first and words[last - 1].lower() in _POSITION_WORDS:
            last -= 1
        while last - first > 1 and words[first].lower() in _POSITION_WORDS[:2]:
            first += 1
    elif (axis := _AXIS_WORDS.get(words[first].lower())) is not None:
        first += 1
        while last - first > 1 and words[first].lower() in _POSITION_WORDS:
            first += 1
    elif last - first == 1 and words[first][1:].isdecimal() and words[first][0].lower() in _NUMBERED:
        return words[first][1:], _NUMBERED[words[first][0].lower()], unit
    elif words[last - 1][-1] in "XYZ" and len(words[last - 1]) > 1 and words[last - 1][-2].isalnum():
        if words[last - 1][-2].isupper():  # "DXYZ" is a word, "HipsX" a joint and an axis
            return None
        axis = words[last - 1][-1].lower()
        joint = "".join(parts[2 * first : 2 * last - 1])[:-1]
        joint = "" if joint.lower() in _POSITION_WORDS else joint
        return None if _is_no_position(words[first:last]) else (joint, axis, unit)
    else:
        return None
    if _is_no_position(words[first:last]):
        return None
    joint = "".join(parts[2 * first : 2 * last - 1]) if last > first else ""
    return joint, axis, unit


def _is_no_position(words: Sequence[str]) -> bool:
    lower = [word.lower() for word in words]
    ends = {lower[0], lower[-1]} if lower else set()
    later = any(word.startswith(_NO_POSITION) for word in lower[1:])
    return later or bool(ends & {*_NO_POSITION, *_NO_POSITION_WORDS, "rotation", "quaternion", "velocity"})


def _unseparated(names: Sequence[str]) -> dict[str, Joint]:
    """Names that end in an axis without a separator ("nosex"), if another axis of the same joint exists."""
    found: dict[str, Joint] = {}
    for at, name in enumerate(names):
        if len(name) > 1 and name[-1].lower() in AXES:
            found.setdefault(name[:-1], {}).setdefault(name[-1].lower(), at)
    return {joint: axes for joint, axes in found.items() if {"x", "y"} <= set(axes)}


def _with_axis_inside(names: Sequence[str]) -> dict[str, Joint]:
    """Names with something after the axis: "nose_x_p1" is "nose_p1", "kps_x_0" is "kps_0"."""
    found: dict[str, Joint] = {}
    for at, name in enumerate(names):
        match = re.fullmatch(r"(.+?)[\W_]+([A-Za-z]+)[\W_]+([^\W_]+)", name)
        axis = _AXIS_WORDS.get(match[2].lower()) if match else None
        if match and axis is not None:
            found.setdefault(f"{match[1]}_{match[3]}", {})[axis] = at
    return found


def keys_of(names: Sequence[str]) -> dict[str, list[int]]:
    """The columns that state what a row belongs to: the most reliable column for each role, and all for "clip"."""
    keys: dict[str, list[int]] = {}
    for role in ("clip", "label", "person", "frame", "subject", "camera", "joint", "group"):
        if found := of_role(names, role):
            keys[role] = found if role == "clip" else found[:1]
    for role, other in (("frame", "image"), ("person", "number"), ("time", "time")):
        if role not in keys and (found := [at for at in of_role(names, other) if at not in keys.get("clip", ())]):
            keys[role] = found[:1]
    if {"clip", "person", "person_id"} <= {*names}:  # as `write_table` writes them
        keys |= {"person": [names.index("person")], "person_name": [names.index("person_id")]}
    times = of_role(names, "time")
    rest = [at for at in times if unit_of(names[at]) == 1e-9]
    if rest and rest != times[:1] and unit_of(names[times[0]]) == 1:  # ROS: secs and nsecs
        keys["fraction"] = rest[:1]
    if not {"frame", "time"} & set(keys) and names:
        first = [0] if compact(names[0]) in ("", "unnamed0") else of_role(names, "row")
        keys |= {"row": first[:1]} if first else {}
    return dict(sorted(keys.items(), key=lambda item: item[1][0]))


def _long(names: Sequence[str], plain: Joint, keys: dict[str, list[int]], unit: float | None) -> Columns:
    """A table with one row per joint: one column names it, and others are x, y, optionally z and a score."""
    if "joint" not in keys:
        lower = [name.strip().lower() for name in names]
        named = [at for word in ("name", "id", "idx", "index") for at, name in enumerate(lower) if name == word]
        if not named:
            raise ValueError(
                f"it has columns x and y but none that names the joint of a row (such as 'joint'), and no columns of "
                f"joints such as 'hips_x': {', '.join(names)[:200]}"
            )
        keys = {key: found for key, found in keys.items() if named[0] not in found} | {"joint": named[:1]}
        keys.pop("row", None)
    return Columns({"": {"": _ordered(plain)}}, keys, unit)


def _ordered(joint: Joint) -> Joint:
    return {axis: joint[axis] for axis in (*AXES, SCORE) if axis in joint}


def complete(found: dict[str, Joint], names: Sequence[str]) -> tuple[dict[str, Joint], list[str]]:
    """The joints that have all axes, and those that were passed over: a few columns without z beside joints with one.

    Raises:
        ValueError: if no joint is left, or if joints with known names lack an axis.
    """
    joints = {joint: axes for joint, axes in found.items() if {"x", "y"} <= set(axes)}
    incomplete: list[str] = []
    for kind in ("z", SCORE):
        without = [joint for joint, axes in joints.items() if kind not in axes]
        if len(without) in (0, len(joints)):
            continue
        known = [joint for joint in without if is_joint(joint)]
        if known or 2 * len(without) >= len(joints):
            raise ValueError(f"it has no column {kind} of {', '.join((known or without)[:10])}, unlike other joints")
        incomplete += without
        joints = {joint: axes for joint, axes in joints.items() if kind in axes}
    if not joints:
        raise ValueError(
            f"it has no columns of joints, such as 'Hips.X', 'hips_x' or 'x_hips' (it has: {', '.join(names)[:200]})"
        )
    return {joint: _ordered(axes) for joint, axes in joints.items()}, incomplete
