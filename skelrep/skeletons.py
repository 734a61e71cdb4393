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


_LIMBS = (  # the part that every layout shares, in the order of the encoder in the box
    "l.shoulder<mid_shoulders l.elbow<l.shoulder l.wrist<l.elbow r.shoulder<mid_shoulders r.elbow<r.shoulder "
    "r.wrist<r.elbow l.hip<mid_hips l.knee<l.hip l.ankle<l.knee r.hip<mid_hips r.knee<r.hip r.ankle<r.knee"
)

_COCO_17 = (
    "nose l.eye<nose r.eye<nose l.ear<l.eye r.ear<r.eye l.shoulder<nose r.shoulder<nose l.elbow<l.shoulder "
    "r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hip<l.shoulder r.hip<r.shoulder l.knee<l.hip "
    "r.knee<r.hip l.ankle<l.knee r.ankle<r.knee"
)
_COCO_FEET = " l.toe<l.ankle l.small_toe<l.toe l.heel<l.ankle r.toe<r.ankle r.small_toe<r.toe r.heel<r.ankle"
_HALPE_26 = (
    "nose<neck l.eye<nose r.eye<nose l.ear<l.eye r.ear<r.eye l.shoulder<neck r.shoulder<neck l.elbow<l.shoulder "
    "r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hip<pelvis r.hip<pelvis l.knee<l.hip r.knee<r.hip "
    "l.ankle<l.knee r.ankle<r.knee head_top<neck neck<pelvis pelvis l.toe<l.ankle r.toe<r.ankle l.small_toe<l.toe "
    "r.small_toe<r.toe l.heel<l.ankle r.heel<r.ankle"
)
_FACE_AND_HANDS = "".join(f" face_{i}<nose" for i in range(68)) + "".join(
    f" {side}.hand_root<{side}.wrist"
    + "".join(
        f" {side}.{finger}_{i}<{side}.{f'{finger}_{i - 1}' if i > 1 else 'hand_root'}"
        for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
        for i in range(1, 5)
    )
    for side in "lr"
)
_PANOPTIC_15 = (
    "neck nose<neck mid_hips<neck l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow l.hip<mid_hips l.knee<l.hip "
    "l.ankle<l.knee r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hip<mid_hips r.knee<r.hip r.ankle<r.knee"
)

#: Every known skeleton by name. Joint orders are those of the formats' own documentation.
SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        # What every sensor and pose estimator gives, directly or by rule: the skeleton of the encoder in the box.
        # Midpoints stand for pelvis and neck, which sensors place differently (neck to head: 0.19 m in Kinect v1,
        # 0.07 m in motion capture).
        _table("common-15", "mid_hips mid_shoulders<mid_hips head<mid_shoulders " + _LIMBS),
        # Kinect v2 as in NTU RGB+D; the parents are the bone pairs of the AGCN / CMD line.
        _table(
            "ntu-25",
            "pelvis<spine spine<chest neck<chest head<neck l.shoulder<chest l.elbow<l.shoulder l.wrist<l.elbow "
            "l.hand<l.wrist r.shoulder<chest r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
            "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle "
            "chest l.hand_tip<l.thumb l.thumb<l.hand r.hand_tip<r.thumb r.thumb<r.hand",
        ),
        # Kinect v1 in the order of its SDK (JointType); the neck is the SDK's ShoulderCenter.
        _table(
            "kinect-20",
            "pelvis spine<pelvis neck<spine head<neck l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow "
            "l.hand<l.wrist r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
            "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle",
        ),
        # The same joints from the head downwards: UTD-MHAD.
        _table(
            "utd-mhad-20",
            "head<neck neck<spine spine<pelvis pelvis l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow "
            "l.hand<l.wrist r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist l.hip<pelvis "
            "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle",
        ),
        # MSR Action3D; its joint 1 is the left shoulder by geometry.
        _table(
            "msr-action3d-20",
            "l.shoulder<neck r.shoulder<neck neck<spine spine<pelvis l.hip<pelvis r.hip<pelvis pelvis "
            "l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.hand<l.wrist r.hand<r.wrist "
            "l.knee<l.hip r.knee<r.hip l.ankle<l.knee r.ankle<r.knee l.foot<l.ankle r.foot<r.ankle head<neck",
        ),
        _table("coco-17", _COCO_17),
        # Human3.6M's seventeen in the order of VideoPose3D and MotionBERT.
        _table(
            "h36m-17",
            "pelvis r.hip<pelvis r.knee<r.hip r.ankle<r.knee l.hip<pelvis l.knee<l.hip l.ankle<l.knee spine<pelvis "
            "neck<spine nose<neck head<nose l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow r.shoulder<neck "
            "r.elbow<r.shoulder r.wrist<r.elbow",
        ),
        _table(
            "smpl-22",
            "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
            "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.collar<chest r.collar<chest "
            "head<neck l.shoulder<l.collar r.shoulder<r.collar l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow "
            "r.wrist<r.elbow",
        ),
        _table(
            "smpl-24",
            "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
            "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.collar<chest r.collar<chest "
            "head<neck l.shoulder<l.collar r.shoulder<r.collar l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow "
            "r.wrist<r.elbow l.hand<l.wrist r.hand<r.wrist",
        ),
        _table(
            "mediapipe-33",
            "nose l.eye_inner<nose l.eye<l.eye_inner l.eye_outer<l.eye r.eye_inner<nose r.eye<r.eye_inner "
            "r.eye_outer<r.eye l.ear<l.eye_outer r.ear<r.eye_outer l.mouth<nose r.mouth<nose l.shoulder<nose "
            "r.shoulder<nose l.elbow<l.shoulder r.elbow<r.shoulder l.wrist<l.elbow r.wrist<r.elbow l.pinky<l.wrist "
            "r.pinky<r.wrist l.index<l.wrist r.index<r.wrist l.thumb<l.wrist r.thumb<r.wrist l.hip<l.shoulder "
            "r.hip<r.shoulder l.knee<l.hip r.knee<r.hip l.ankle<l.knee r.ankle<r.knee l.heel<l.ankle r.heel<r.ankle "
            "l.toe<l.ankle r.toe<r.ankle",
        ),
        _table(
            "openpose-25",
            "nose<neck neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck l.elbow<l.shoulder "
            "l.wrist<l.elbow pelvis<neck r.hip<pelvis r.knee<r.hip r.ankle<r.knee l.hip<pelvis l.knee<l.hip "
            "l.ankle<l.knee r.eye<nose l.eye<nose r.ear<r.eye l.ear<l.eye l.toe<l.ankle l.small_toe<l.toe "
            "l.heel<l.ankle r.toe<r.ankle r.small_toe<r.toe r.heel<r.ankle",
        ),
        # OpenPose's older model: the order of its POSE_COCO_BODY_PARTS.
        _table(
            "openpose-18",
            "nose<neck neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck l.elbow<l.shoulder "
            "l.wrist<l.elbow r.hip<neck r.knee<r.hip r.ankle<r.knee l.hip<neck l.knee<l.hip l.ankle<l.knee r.eye<nose "
            "l.eye<nose r.ear<r.eye l.ear<l.eye",
        ),
        # Azure Kinect's body tracking in the order of its SDK (k4abt_joint_id_t).
        _table(
            "azure-kinect-32",
            "pelvis spine<pelvis chest<spine neck<chest l.collar<chest l.shoulder<l.collar l.elbow<l.shoulder "
            "l.wrist<l.elbow l.hand<l.wrist l.hand_tip<l.hand l.thumb<l.wrist r.collar<chest r.shoulder<r.collar "
            "r.elbow<r.shoulder r.wrist<r.elbow r.hand<r.wrist r.hand_tip<r.hand r.thumb<r.wrist l.hip<pelvis "
            "l.knee<l.hip l.ankle<l.knee l.foot<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee r.foot<r.ankle "
            "head<neck nose<head l.eye<head l.ear<head r.eye<head r.ear<head",
        ),
        # CMU motion capture reduced to the joints that its BVH and AMC releases share; hands and feet are wrists and
        # ankles.
        _table(
            "cmu-17",
            "pelvis spine<pelvis chest<spine neck<chest head<neck l.shoulder<chest l.elbow<l.shoulder l.wrist<l.elbow "
            "r.shoulder<chest r.elbow<r.shoulder r.wrist<r.elbow l.hip<pelvis l.knee<l.hip l.ankle<l.knee r.hip<pelvis "
            "r.knee<r.hip r.ankle<r.knee",
        ),
        # Bandai-Namco Research motion data sets 1 and 2: their Shoulder is the collar, UpperArm the shoulder and so on.
        _table(
            "bandai-namco-21",
            "pelvis spine<pelvis chest<spine neck<chest head<neck l.collar<chest l.shoulder<l.collar "
            "l.elbow<l.shoulder l.wrist<l.elbow r.collar<chest r.shoulder<r.collar r.elbow<r.shoulder r.wrist<r.elbow "
            "l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.toe<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
            "r.toe<r.ankle",
        ),
        # HDM05's ASF names a position after the segment that ends there: "lhumerus" is the left elbow.
        _table(
            "hdm05-31",
            "pelvis l.hip<pelvis r.hip<pelvis spine<pelvis l.knee<l.hip r.knee<r.hip spine_2<spine l.ankle<l.knee "
            "r.ankle<r.knee chest<spine_2 l.foot<l.ankle r.foot<r.ankle neck<chest l.shoulder<chest r.shoulder<chest "
            "l.toe<l.foot r.toe<r.foot upper_neck<neck l.elbow<l.shoulder r.elbow<r.shoulder head<upper_neck "
            "l.forearm<l.elbow r.forearm<r.elbow l.wrist<l.forearm r.wrist<r.forearm l.hand<l.wrist l.thumb<l.wrist "
            "r.hand<r.wrist r.thumb<r.wrist l.hand_tip<l.hand r.hand_tip<r.hand",
        ),
        # JHMDB's fifteen, 2-D.
        _table(
            "jhmdb-15",
            "neck<spine spine head<neck r.shoulder<neck l.shoulder<neck r.hip<spine l.hip<spine r.elbow<r.shoulder "
            "l.elbow<l.shoulder r.knee<r.hip l.knee<l.hip r.wrist<r.elbow l.wrist<l.elbow r.ankle<r.knee "
            "l.ankle<l.knee",
        ),
        # OpenPose's MPI model; its head is the top of the head.
        _table(
            "openpose-15",
            "head_top<neck neck<chest r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow l.shoulder<neck "
            "l.elbow<l.shoulder l.wrist<l.elbow r.hip<chest r.knee<r.hip r.ankle<r.knee l.hip<chest l.knee<l.hip "
            "l.ankle<l.knee chest",
        ),
        # Halpe Full-Body's 26 of AlphaPose, RTMPose and Pose2Sim: COCO's, then the top of the head, neck and feet.
        _table("halpe-26", _HALPE_26),
        # COCO-WholeBody's 133 and Halpe Full-Body's 136: body and feet, 68 of the face, 21 of each hand.
        _table("coco-wholebody-133", _COCO_17 + _COCO_FEET + _FACE_AND_HANDS),
        _table("halpe-136", _HALPE_26 + _FACE_AND_HANDS),
        # CMU Panoptic's joints19; joints15 are the first fifteen.
        _table("panoptic-19", _PANOPTIC_15 + " l.eye<nose l.ear<l.eye r.eye<nose r.ear<r.eye"),
        _table("panoptic-15", _PANOPTIC_15),
        _table(
            "mpii-16",
            "r.ankle<r.knee r.knee<r.hip r.hip<pelvis l.hip<pelvis l.knee<l.hip l.ankle<l.knee pelvis chest<pelvis "
            "neck<chest head_top<neck r.wrist<r.elbow r.elbow<r.shoulder r.shoulder<chest l.shoulder<chest "
            "l.elbow<l.shoulder l.wrist<l.elbow",
        ),
        # Ubisoft's LAFAN1, in the order of its BVH hierarchy.
        _table(
            "lafan1-22",
            "pelvis l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.toe<l.ankle r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
            "r.toe<r.ankle spine<pelvis spine_1<spine chest<spine_1 neck<chest head<neck l.collar<chest "
            "l.shoulder<l.collar l.elbow<l.shoulder l.wrist<l.elbow r.collar<chest r.shoulder<r.collar "
            "r.elbow<r.shoulder r.wrist<r.elbow",
        ),
        # KIT-ML as HumanML3D distributes it. Its names (LS, LE, LW ...) put the left side first, but the coordinates
        # are mirrored: with right-handed axes people walk ahead only if joints 5 to 7 and 11 to 15 are the right side.
        _table(
            "kit-21",
            "pelvis spine<pelvis chest<spine neck<chest head<neck r.shoulder<neck r.elbow<r.shoulder r.wrist<r.elbow "
            "l.shoulder<neck l.elbow<l.shoulder l.wrist<l.elbow r.hip<pelvis r.knee<r.hip r.ankle<r.knee "
            "r.foot<r.ankle r.toe<r.foot l.hip<pelvis l.knee<l.hip l.ankle<l.knee l.foot<l.ankle l.toe<l.foot",
        ),
    )
}

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
