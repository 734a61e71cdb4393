"""Named skeletons, and how poses of one become poses of another.

Every table names its joints from one vocabulary (``left_wrist`` is ``left_wrist`` in all of them), so that mapping is
a matter of names; `skelrep.joint_names` understands other spellings. A joint that a source lacks is derived from its
neighbours by the rules in `DERIVATIONS`; where no rule applies the mapping is refused with both lists of names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelrep.joint_names import SIDES, canonical_names
from skelrep.joint_names import canonical_name as canonical_name
from skelrep.messages import nearest
from skelrep.skeleton_tables import TABLES


@dataclass(frozen=True)
class Skeleton:
    """Joint names and the tree that connects them.

    Attributes:
        name: What to call it; one of `SKELETONS` or any name of the user's.
        joints: V joint names, in the order of the arrays' joint axis.
        parents: V indices into `joints`; the root is its own parent, so that its bone is zero.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuses tables that would only fail later, and less clearly."""
        if not isinstance(self.name, str) or not all(isinstance(joint, str) for joint in self.joints):
            raise ValueError(f"a skeleton's name and joints must be strings, got {str((self.name, self.joints))[:200]}")
        if not all(hasattr(parent, "__index__") for parent in self.parents):
            raise ValueError(f"the parents of skeleton {self.name!r} must be whole numbers, got {self.parents}")
        if len(set(self.joints)) != len(self.joints):
            twice = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
            raise ValueError(f"skeleton {self.name!r} names a joint twice: {', '.join(twice)}")
        if len(self.parents) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name!r} has {len(self.joints)} joints but {len(self.parents)} parents; give one each"
            )
        if not all(0 <= parent < len(self.joints) for parent in self.parents):
            raise ValueError(f"skeleton {self.name!r} has a parent outside 0..{len(self.joints) - 1}: {self.parents}")

    def __len__(self) -> int:
        """Number of joints, V."""
        return len(self.joints)

    def __repr__(self) -> str:
        """Short: the table itself is in `joints`."""
        return f"Skeleton({self.name!r}, {len(self)} joints)"

    @property
    def mirror(self) -> tuple[int, ...]:
        """For every joint the index of its left/right twin (itself where it has none)."""
        index = {joint: i for i, joint in enumerate(self.joints)}
        return tuple(index.get(other_side(joint), i) for i, joint in enumerate(self.joints))


def other_side(joint: str) -> str:
    """The name of a joint's left/right twin, or its own where it has no side."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            return other + joint.removeprefix(side)
    return joint


def custom(joints: Sequence[str], parents: Sequence[int] | None = None, name: str = "custom") -> Skeleton:
    """A skeleton of the user's own.

    Args:
        joints: V names, in any common spelling (see `skelrep.joint_names.canonical_names`).
        parents: V indices; -1 or its own index marks a root. Left out, every joint hangs on the first:
            enough for embedding, since the bones are taken after mapping to the encoder's skeleton.
        name: What to call it.
    """
    names = canonical_names(joints)
    if parents is None:
        parents = [0] * len(names)
    tree = tuple(i if parent < 0 else int(parent) for i, parent in enumerate(parents))
    return Skeleton(name, tuple(names), tree)


def _table(name: str, text: str) -> Skeleton:
    """Reads ``joint<parent`` pairs in array order; a joint without ``<`` is a root. `-` swaps for `left_`/`right_`."""
    pairs = [(entry + "<" + entry).split("<")[:2] if "<" not in entry else entry.split("<") for entry in text.split()]
    joints = tuple(_side(joint) for joint, _ in pairs)
    return Skeleton(name, joints, tuple(joints.index(_side(parent)) for _, parent in pairs))


def _side(joint: str) -> str:
    return re.sub(r"^([lr])\.", lambda match: SIDES[match[1]], joint)


#: Every known skeleton by name. Joint orders are those of the formats' own documentation.
SKELETONS: dict[str, Skeleton] = {name: _table(name, text) for name, text in TABLES.items()}

#: Rules for joints that a source lacks, tried in order: every term is "weight joint", and each joint named may itself
#: be derived. Weights beyond 0..1 extrapolate along a bone, with proportions measured on Kinect v1 recordings.
DERIVATIONS: dict[str, tuple[str, ...]] = {
    "mid_hips": ("0.5 left_hip 0.5 right_hip", "1 pelvis"),
    "mid_shoulders": ("0.5 left_shoulder 0.5 right_shoulder", "1 neck"),
    "pelvis": ("1 mid_hips",),
    "neck": ("1 mid_shoulders",),
    "chest": ("1 mid_shoulders",),
    "spine": ("0.5 pelvis 0.5 mid_shoulders",),
    "spine_2": ("0.5 spine 0.5 chest",),
    "head": (
        "0.5 left_ear 0.5 right_ear",
        "0.25 left_front_head 0.25 right_front_head 0.25 left_back_head 0.25 right_back_head",
        "0.5 left_eye 0.5 right_eye",
        "1 nose",
        "1 head_top",
        "1.4 mid_shoulders -0.4 mid_hips",
    ),
    "head_top": ("1 head",),
    "nose": ("1 head",),
    "left_eye": ("1 nose",),
    "left_ear": ("1 head",),
    "left_collar": ("0.5 mid_shoulders 0.5 left_shoulder",),
    # The hip joint centre from markers: behind, inside and below the front of the iliac crest by the proportions of
    # Bell et al. (J. Biomech. 1990), 22, 14 and 30 % of the distance between both.
    "left_hip": (
        "0.5 left_asis 0.35 left_psis 0.15 left_knee",
        "0.5 left_asis 0.35 sacrum 0.15 left_knee",
    ),
    "left_wrist": ("0.5 left_wrist_a 0.5 left_wrist_b", "1 left_hand"),
    "left_hand": ("1.35 left_wrist -0.35 left_elbow",),
    "left_hand_tip": ("1.7 left_wrist -0.7 left_elbow",),
    "left_thumb": ("1 left_hand",),
    "left_index": ("1 left_hand",),
    "left_pinky": ("1 left_hand",),
    "left_ankle": ("1 left_foot", "1 left_heel"),
    "left_foot": ("1 left_toe", "1 left_ankle"),
    "left_toe": ("1 left_foot",),
    "left_small_toe": ("1 left_toe",),
    "left_heel": ("1 left_ankle",),
}
DERIVATIONS |= {
    other_side(joint): tuple(rule.replace("left_", "right_") for rule in rules)
    for joint, rules in DERIVATIONS.items()
    if joint.startswith("left_")
}


@functools.lru_cache(maxsize=256)
def mapping(source: Skeleton, target: Skeleton) -> np.ndarray:
    """The linear map from one skeleton to another, by joint name.

    Args:
        source: The skeleton of the poses at hand, V joints.
        target: The skeleton wanted, W joints.

    Returns:
        A (W, V) float32 matrix whose rows sum to one: `target_pose = matrix @ source_pose` for a (V, C) pose.

    Raises:
        ValueError: if a joint of `target` is neither in `source` nor derivable; both lists of names are given.
    """
    index = {joint: i for i, joint in enumerate(source.joints)}

    rows = [combination(joint, index, len(source), DERIVATIONS) for joint in target.joints]
    missing = [joint for joint, found in zip(target.joints, rows) if found is None]
    if missing:
        raise ValueError(
            f"skeleton {source.name!r} cannot be mapped to {target.name!r}: no joint and no rule for "
            f"{', '.join(missing)}. Joints given: {', '.join(source.joints)}. "
            f"Joints needed: {', '.join(target.joints)}. "
            "Pass skeleton= with names for these joints; NaN stands for joints that were never seen."
        )
    return np.stack(rows)  # type: ignore[arg-type]


def combination(
    joint: str,
    index: Mapping[str, int],
    joints: int,
    rules: Mapping[str, tuple[str, ...]],
    pending: tuple[str, ...] = (),
) -> np.ndarray | None:
    """The weights with which a joint is a sum of others, by the first rule that leads to joints at hand.

    Args:
        joint: Its name.
        index: The joints at hand and their indices.
        joints: V, how many weights there are.
        rules: As `DERIVATIONS`.
        pending: Joints that are being derived already: "hand from wrist" must not be answered by "wrist from hand".

    Returns:
        (V,) float32, or None where no rule leads to joints at hand.
    """
    if joint in index:
        weights = np.zeros(joints, dtype=np.float32)
        weights[index[joint]] = 1
        return weights
    if joint in pending:
        return None
    for rule in rules.get(joint, ()):
        terms = rule.split()
        parts = [combination(name, index, joints, rules, (*pending, joint)) for name in terms[1::2]]
        if all(part is not None for part in parts):
            return sum(np.float32(weight) * part for weight, part in zip(terms[::2], parts))  # type: ignore[return-value]
    return None


def covering(source: Skeleton, target: Skeleton) -> Skeleton:
    """The source, with the joints that `target` needs and the source neither has nor implies appended.

    For poses of part of a body, such as sign language without legs: the joints appended count as never seen.

    Raises:
        ValueError: if the source has less than a third of the joints, or neither both shoulders nor both hips, by
            which a body could be aligned: then its names mean something else. See `mapping`.
    """
    try:
        mapping(source, target)
        return source
    except ValueError as error:
        refused = error
    index = {joint: i for i, joint in enumerate(source.joints)}
    known = [joint for joint in target.joints if combination(joint, index, len(source), DERIVATIONS) is not None]
    pairs = [(f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "hip")]
    if 3 * len(known) < len(target) or not any({*pair} <= {*known} for pair in pairs):
        raise refused
    missing = [joint for joint in target.joints if joint not in known]
    extended = source
    # Joints with a side first: the middle ones follow from them.
    for joint in sorted(missing, key=lambda joint: other_side(joint) == joint):
        index = {joint: i for i, joint in enumerate(extended.joints)}
        if combination(joint, index, len(extended), DERIVATIONS) is None:
            extended = Skeleton(source.name, (*extended.joints, joint), (*extended.parents, 0))
    return extended


#: Standards whose joint count no other layout in use shares; 21 joints, say, may also be a hand.
TOLD_BY_COUNT = ("mediapipe-33", "smpl-24", "halpe-26", "coco-wholebody-133", "halpe-136")


@functools.cache
def _vocabulary() -> frozenset[str]:
    return frozenset(joint for skeleton in SKELETONS.values() for joint in skeleton.joints)


def is_joint(name: str) -> bool:
    """Whether a name is that of a joint of a known skeleton, in any spelling."""
    return canonical_name(name) in _vocabulary()


def resolve(skeleton: Skeleton | str | Sequence[str] | None, joints: int | None = None) -> Skeleton:
    """The skeleton meant by a name, a list of joint names, a `Skeleton`, or a bare joint count.

    Args:
        skeleton: A `Skeleton`, a name in `SKELETONS`, V joint names, or None to go by the count.
        joints: V of the array at hand; checked against the skeleton if both are given.

    Raises:
        ValueError: for an unknown name (the nearest is offered), a wrong joint count, or a count that fits no known
            skeleton or more than one (the candidates are listed).
    """
    if skeleton is None:
        if joints is None:
            raise ValueError("neither a skeleton nor a number of joints was given; pass skeleton=")
        fitting = [known for known in SKELETONS.values() if len(known) == joints]
        if len(fitting) == 1 and fitting[0].name in TOLD_BY_COUNT:
            return fitting[0]
        if fitting:
            names = " or ".join(known.name for known in fitting)
            raise ValueError(f"an array of {joints} joints could be {names}; say which with skeleton=")
        names = ", ".join(f"{known.name} ({len(known)})" for known in SKELETONS.values())
        raise ValueError(
            f"an array of {joints} joints fits no known skeleton (known: {names}); pass skeleton= a list of joint names"
        )
    if isinstance(skeleton, str):
        if skeleton not in SKELETONS:
            raise ValueError(
                f"no skeleton is called {skeleton!r}{nearest(skeleton, SKELETONS)} (known: {', '.join(SKELETONS)})"
            )
        skeleton = SKELETONS[skeleton]
    elif not isinstance(skeleton, Skeleton):
        names = tuple(skeleton), custom(skeleton).joints
        skeleton = next((known for known in SKELETONS.values() if known.joints in names), None) or custom(skeleton)
    if joints is not None and len(skeleton) != joints:
        raise ValueError(
            f"skeleton {skeleton.name!r} has {len(skeleton)} joints but the array has {joints}; "
            "check the axis order (a clip is (persons, frames, joints, channels)) or pass another skeleton"
        )
    return skeleton
