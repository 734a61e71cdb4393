"""Named skeletons, and the mapping of poses from one skeleton to another.

All tables use one vocabulary of joint names (``left_wrist`` is ``left_wrist`` in all of them), so mapping is by name;
`skelrep.joint_names` translates other spellings. A joint that the source lacks is derived from its neighbours by the
rules in `DERIVATIONS`; if no rule applies, the mapping is refused with both lists of names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelrep.joint_names import SIDES, canonical_names
from skelrep.joint_names import canonical_name as canonical_name
from skelrep.messages import nearest, shortened
from skelrep.skeleton_tables import TABLES


@dataclass(frozen=True)
class Skeleton:
    """Joint names and the tree that connects them.

    Attributes:
        name: A name in `SKELETONS`, or any other name.
        joints: V joint names, in the order of the arrays' joint axis.
        parents: V indices into `joints`; the root is its own parent, so that its bone is zero.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises a ValueError if names or parents are invalid."""
        if not isinstance(self.name, str) or not all(isinstance(joint, str) for joint in self.joints):
            raise ValueError(f"a skeleton's name and joints must be strings, got {str((self.name, self.joints))[:200]}")
        given = shortened(str(self.parents))
        if not all(hasattr(parent, "__index__") for parent in self.parents):
            raise ValueError(f"the parents of skeleton {self.name!r} must be whole numbers, got {given}")
        if len(set(self.joints)) != len(self.joints):
            twice = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
            raise ValueError(f"skeleton {self.name!r} has the same joint twice: {', '.join(twice)}")
        if len(self.parents) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name!r} has {len(self.joints)} joints but {len(self.parents)} parents; give one each"
            )
        if not all(0 <= parent < len(self.joints) for parent in self.parents):
            raise ValueError(f"skeleton {self.name!r} has a parent outside 0..{len(self.joints) - 1}: {given}")

    def __len__(self) -> int:
        """Number of joints, V."""
        return len(self.joints)

    def __repr__(self) -> str:
        """The name and the number of joints."""
        return f"Skeleton({self.name!r}, {len(self)} joints)"

    @functools.cached_property
    def mirror(self) -> tuple[int, ...]:
        """For every joint, the index of the same joint on the other side; its own index if it has no side."""
        index = {joint: i for i, joint in enumerate(self.joints)}
        return tuple(index.get(other_side(joint), i) for i, joint in enumerate(self.joints))


def other_side(joint: str) -> str:
    """The name of the same joint on the other side, or the joint's own name if it has no side."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            return other + joint.removeprefix(side)
    return joint


def custom(joints: Sequence[str], parents: Sequence[int] | None = None, name: str = "custom") -> Skeleton:
    """A skeleton from joint names.

    Args:
        joints: V names, in any common spelling (see `skelrep.joint_names.canonical_names`).
        parents: V indices; -1 or the joint's own index marks a root. By default the first joint is the parent of all
            others, which is enough for embedding, because bones are computed on the encoder's skeleton.
        name: The name of the skeleton.
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

#: Rules for joints that a source lacks, tried in order. A rule consists of terms "weight joint", and each of its joints
#: may itself be derived. Weights outside 0..1 extrapolate along a bone, with proportions measured on Kinect v1 data.
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
        source: The skeleton of the poses, V joints.
        target: The skeleton to map to, W joints.

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
            f"{', '.join(missing)}. Joints given: {shortened(', '.join(source.joints))}. "
            f"Joints needed: {shortened(', '.join(target.joints))}. "
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
    """The weights of a joint as a sum of available joints, by the first rule that applies.

    Args:
        joint: The name of the joint.
        index: The available joints and their indices.
        joints: V, the number of weights.
        rules: Rules in the form of `DERIVATIONS`.
        pending: Joints that are being derived already, which prevents circles such as "hand from wrist from hand".

    Returns:
        (V,) float32, or None if no rule leads to available joints.
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
    """The source skeleton, extended by the joints that `target` needs and that cannot be derived from the source.

    For poses of a part of the body, such as sign language without legs; the added joints count as never seen.

    Raises:
        ValueError: if the source has less than a third of the joints, or neither both shoulders nor both hips, which
            are needed to align a body: its joints are then probably not those of a body. See `mapping`.
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
    # Joints with a side first, because the middle ones can be derived from them.
    for joint in sorted(missing, key=lambda joint: other_side(joint) == joint):
        index = {joint: i for i, joint in enumerate(extended.joints)}
        if combination(joint, index, len(extended), DERIVATIONS) is None:
            extended = Skeleton(source.name, (*extended.joints, joint), (*extended.parents, 0))
    return extended


#: Skeletons whose number of joints no other common skeleton has; 21 joints, for example, may also be a hand.
TOLD_BY_COUNT = ("mediapipe-33", "smpl-24", "halpe-26", "coco-wholebody-133", "halpe-136")


@functools.cache
def _vocabulary() -> frozenset[str]:
    return frozenset(joint for skeleton in SKELETONS.values() for joint in skeleton.joints)


def is_joint(name: str) -> bool:
    """Whether a name is that of a joint of a known skeleton, in any spelling."""
    return canonical_name(name) in _vocabulary()


def resolve(skeleton: Skeleton | str | Sequence[str] | None, joints: int | None = None) -> Skeleton:
    """The skeleton for a name, a list of joint names, a `Skeleton`, or a number of joints.

    Args:
        skeleton: A `Skeleton`, a name in `SKELETONS`, V joint names, or None to use the number of joints.
        joints: V of the array; compared with the skeleton if both are given.

    Raises:
        ValueError: for an unknown name (the nearest is suggested), a wrong number of joints, or a number that fits no
            known skeleton or more than one (the candidates are listed).
    """
    if skeleton is None:
        if joints is None:
            raise ValueError("neither a skeleton nor a number of joints was given; pass skeleton=")
        fitting = [known for known in SKELETONS.values() if len(known) == joints]
        if len(fitting) == 1 and fitting[0].name in TOLD_BY_COUNT:
            return fitting[0]
        if fitting:
            names = " or ".join(known.name for known in fitting)
            raise ValueError(f"an array of {joints} joints could be {names}; choose one with skeleton=")
        names = ", ".join(f"{known.name} ({len(known)})" for known in SKELETONS.values())
        raise ValueError(
            f"an array of {joints} joints fits no known skeleton (known: {names}); pass skeleton= a list of joint names"
        )
    if isinstance(skeleton, str):
        if skeleton not in SKELETONS:
            raise ValueError(
                f"there is no skeleton {skeleton!r}{nearest(skeleton, SKELETONS)} (known: {', '.join(SKELETONS)})"
            )
        skeleton = SKELETONS[skeleton]
    elif not isinstance(skeleton, Skeleton):
        if not isinstance(skeleton, Iterable):
            raise ValueError(f"skeleton must be a Skeleton, a name or joint names, got {type(skeleton).__name__}")
        names = tuple(skeleton), custom(skeleton).joints
        skeleton = next((known for known in SKELETONS.values() if known.joints in names), None) or custom(skeleton)
    if joints is not None and len(skeleton) != joints:
        raise ValueError(
            f"skeleton {skeleton.name!r} has {len(skeleton)} joints but the array has {joints}; "
            "check the axis order (a clip is (persons, frames, joints, channels)) or pass another skeleton"
        )
    return skeleton
