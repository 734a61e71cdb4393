"""Derives joints that are never seen in a clip from those that are.

There are two steps. `derive` works on raw poses, in any unit and orientation: a joint is a weighted sum of others, by
the rules of `skelrep.skeletons` and those below. Joints that are then still missing have no seen neighbours, such as
both legs. After the pose has been rotated upright and scaled, `complete` places them as for a relaxed, standing
person.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.skeletons import DERIVATIONS, Skeleton, combination, other_side

SHORTEST = 1e-6  # lengths of the trunk; a shorter bone has no direction

#: Rules in the notation of `DERIVATIONS`, which are tried after those. They assume symmetry. That is valid for a person
#: whose joint is not seen in a clip, but not for a skeleton that lacks the joint.
BY_SYMMETRY: dict[str, tuple[str, ...]] = {
    # Shoulders are 1.5 (motion capture) to 2.2 times (Kinect v1) as far apart as hips, and about parallel to them. The
    # neck is not between them: Kinect v1's is a tenth of a metre higher.
    "left_shoulder": ("1 right_shoulder 2 left_hip -2 right_hip", "2 neck -1 right_shoulder"),
    "left_hip": (
        "1 right_hip 0.5 left_shoulder -0.5 right_shoulder",
        "1 pelvis 0.25 left_shoulder -0.25 right_shoulder",
    ),
}
BY_SYMMETRY |= {
    other_side(joint): tuple(" ".join(map(other_side, rule.split())) for rule in rules)
    for joint, rules in BY_SYMMETRY.items()
}
_RULES = {joint: DERIVATIONS.get(joint, ()) + BY_SYMMETRY.get(joint, ()) for joint in (*DERIVATIONS, *BY_SYMMETRY)}


class Rigid(NamedTuple):
    """A joint at a constant offset (right, front, up) from another."""

    joint: str
    other: str
    offset: tuple[float, float, float]


class Standing(NamedTuple):
    """A joint vertically below another, at a constant height: `drop` below the highest position of the other."""

    joint: str
    other: str
    drop: float


class Bent(NamedTuple):
    """A joint between two others, connected to them by bones of at most the given lengths, and bent to one side."""

    joint: str
    upper: str
    lower: str
    bones: tuple[float, float]
    side: tuple[float, float, float]


# In lengths of the trunk: values between those of Kinect v1 and of motion capture, which put hips, shoulders and head
# differently.
_TRUNK, _HEAD, _SHOULDER, _HIP = 1.0, 0.5, 0.35, 0.18
_UPPER_ARM, _FOREARM, _THIGH, _SHIN = 0.65, 0.57, 1.1, 0.95
_DOWN, _FRONT = (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)


def _limbs(side: str, sign: float) -> tuple[Rigid | Standing | Bent, ...]:
    shoulder, elbow, wrist, hip, knee, ankle = (
        f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    )
    return (
        Rigid(shoulder, "mid_shoulders", (sign * _SHOULDER, 0.0, 0.0)),
        Bent(elbow, shoulder, wrist, (_UPPER_ARM, _FOREARM), _DOWN),
        # An arm that is not seen may be anywhere; the middle of the trunk is about equally far from all its positions.
        Rigid(elbow, shoulder, (-sign * _SHOULDER, 0.0, -_TRUNK / 2)),
        Rigid(wrist, elbow, (0.0, 0.0, 0.0)),
        Rigid(hip, "mid_hips", (sign * _HIP, 0.0, 0.0)),
        # Feet that are not seen stay on the ground, so a person who sits down or crouches comes nearer to them.
        Standing(ankle, knee, _SHIN),
        Standing(ankle, hip, _THIGH + _SHIN),
        Bent(knee, hip, ankle, (_THIGH, _SHIN), _FRONT),
    )


#: Positions of joints that are not seen: for each joint, the first rule applies whose other joints are known by then.
AT_EASE: tuple[Rigid | Standing | Bent, ...] = (
    Rigid("mid_shoulders", "left_shoulder", (_SHOULDER, 0.0, 0.0)),
    Rigid("mid_shoulders", "right_shoulder", (-_SHOULDER, 0.0, 0.0)),
    Rigid("mid_hips", "left_hip", (_HIP, 0.0, 0.0)),
    Rigid("mid_hips", "right_hip", (-_HIP, 0.0, 0.0)),
    Rigid("mid_shoulders", "mid_hips", (0.0, 0.0, _TRUNK)),
    Rigid("mid_shoulders", "head", (0.0, 0.0, -_HEAD)),
    Standing("mid_hips", "mid_shoulders", _TRUNK),
    Rigid("head", "mid_shoulders", (0.0, 0.0, _HEAD)),
    *_limbs("left", -1.0),
    *_limbs("right", 1.0),
)


def derive(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, seen: np.ndarray, skeleton: Skeleton) -> None:
    """Writes joints that are never seen in a track into it, if a rule derives them from others.

    Args:
        rows: (F, V, C) concatenated tracks without gaps in time; NaN where a joint is never seen.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.
        seen: (R, V) which joints are seen in each track.
        skeleton: The skeleton of the rows.
    """
    for track in np.flatnonzero(seen.any(axis=1) & ~seen.all(axis=1)):
        joints, weights = _derivable(skeleton, seen[track].tobytes())
        if len(joints):
            poses = rows[starts[track] : starts[track] + lengths[track]]
            poses[:, joints] = weights @ np.nan_to_num(poses)


@functools.lru_cache(maxsize=4096)
def _derivable(skeleton: Skeleton, seen: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The joints that can be derived from those seen, (K,), and their weights, (K, V)."""
    shown = np.frombuffer(seen, dtype=bool)
    index = {joint: i for i, joint in enumerate(skeleton.joints) if shown[i]}
    lost = {i: combination(skeleton.joints[i], index, len(skeleton), _RULES) for i in np.flatnonzero(~shown)}
    found = {i: weights for i, weights in lost.items() if weights is not None}
    weights = np.array(list(found.values()), dtype=np.float32).reshape(len(found), len(skeleton))
    return np.array(list(found), dtype=np.int64), weights


def complete(poses: Tensor, known: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Places joints that are never seen in a track as for a relaxed, standing person.

    Args:
        poses: (R, T, W, 3) rotated upright and to the front, in lengths of the trunk, but not centred per frame.
        known: (R, W) which joints of each track are known.
        skeleton: The skeleton of the poses.

    Returns:
        The poses with these joints, and (R, W) which joints are known now.
    """
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    poses, shown = poses.clone(), known.cpu().numpy().copy()
    for rule in AT_EASE:
        joint, *others = (index.get(name, -1) for name in _names(rule))
        if min(joint, *others) < 0:
            continue
        wanted = shown[:, others].all(axis=1) > shown[:, joint]
        if wanted.any():
            tracks = torch.from_numpy(np.flatnonzero(wanted)).to(poses.device)
            poses[tracks, :, joint] = _position(rule, *(poses[tracks, :, other] for other in others))
            shown[wanted, joint] = True
    return poses, torch.from_numpy(shown).to(known.device)


def _names(rule: Rigid | Standing | Bent) -> tuple[str, ...]:
    return rule[:3] if isinstance(rule, Bent) else rule[:2]


def _position(rule: Rigid | Standing | Bent, *others: Tensor) -> Tensor:
    """The position (R, T, 3) of a rule's joint, from the positions of the others."""
    if isinstance(rule, Rigid):
        return others[0] + others[0].new_tensor(rule.offset)
    if isinstance(rule, Standing):
        height = others[0][..., 2:].amax(dim=1, keepdim=True) - rule.drop
        return torch.cat([others[0][..., :2], height.expand(-1, others[0].shape[1], -1)], dim=-1)
    upper, lower = others
    line = lower - upper
    length = torch.linalg.vector_norm(line, dim=-1, keepdim=True).clamp(min=SHORTEST)
    line = line / length
    # A limb counts as straight when its ends are furthest apart, so that straight legs are not bent.
    furthest = length.amax(dim=1, keepdim=True)
    one, two = (bone / sum(rule.bones) * furthest.clamp(max=sum(rule.bones)) for bone in rule.bones)
    # By the law of cosines; bones that are too short for the distance are stretched, too long ones fold.
    along = (length.square() + one.square() - two.square()) / (2 * length)
    along = torch.where(length < one + two, along.clamp(-one, one), length * one / (one + two))
    aside = (one.square() - along.square()).clamp(min=0).sqrt() * (length < one + two)
    if length.shape[1] == 1:
        aside = torch.zeros_like(aside)  # a limb that is seen once is straight; the root would only amplify rounding
    side = line.new_tensor(rule.side)
    across = side - (line @ side)[..., None] * line
    across = across / torch.linalg.vector_norm(across, dim=-1, keepdim=True).clamp(min=SHORTEST)
    return upper + along * line + aside * across
