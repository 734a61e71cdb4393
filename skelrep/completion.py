"""Joints that a clip never shows, derived from those that it does.

Two steps. `derive` works on raw poses, in any unit and orientation: a joint is a weighted sum of others, by the rules
of `skelrep.skeletons` and those below. What then is still missing has nothing near it that was seen, such as both legs;
`complete` puts it where it is of somebody who stands at ease on the ground, after the pose was turned upright and
scaled.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.skeletons import DERIVATIONS, Skeleton, combination, other_side

SHORTEST = 1e-6  # lengths of the trunk: below this a bone has no direction

#: Rules in the notation of `DERIVATIONS`, tried after those. They suppose symmetry, which a skeleton that lacks the
#: joint altogether must not be taken to have, but a person whose joint a clip happens not to show has.
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
    """A joint keeps an offset from another, in (right, front, up)."""

    joint: str
    other: str
    offset: tuple[float, float, float]


class Standing(NamedTuple):
    """A joint is below another horizontally, and keeps a height: `drop` below the highest that the other reaches."""

    joint: str
    other: str
    drop: float


class Bent(NamedTuple):
    """A joint between two others, at the ends of two bones of given lengths at most, bent to one side."""

    joint: str
    upper: str
    lower: str
    bones: tuple[float, float]
    side: tuple[float, float, float]


# In lengths of the trunk, between those of Kinect v1 and of motion capture, which set hips, shoulders and head apart.
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
        # An arm that was not seen may be anywhere: the middle of the trunk is equally far from all that it may do.
        Rigid(elbow, shoulder, (-sign * _SHOULDER, 0.0, -_TRUNK / 2)),
        Rigid(wrist, elbow, (0.0, 0.0, 0.0)),
        Rigid(hip, "mid_hips", (sign * _HIP, 0.0, 0.0)),
        # Feet that were not seen stand on the ground, so that whoever sits down or crouches comes nearer to them.
        Standing(ankle, knee, _SHIN),
        Standing(ankle, hip, _THIGH + _SHIN),
        Bent(knee, hip, ankle, (_THIGH, _SHIN), _FRONT),
    )


#: How joints stand that were not seen: the first rule for a joint whose other joints are known by then holds.
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
    """Writes joints that a track never shows into it, where a rule makes them of others.

    Args:
        rows: (F, V, C) tracks end to end, without gaps in time; NaN where a joint is never seen.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.
        seen: (R, V) which joints each track shows.
        skeleton: Of the rows.
    """
    for track in np.flatnonzero(seen.any(axis=1) & ~seen.all(axis=1)):
        joints, weights = _derivable(skeleton, seen[track].tobytes())
        if len(joints):
            poses = rows[starts[track] : starts[track] + lengths[track]]
            poses[:, joints] = weights @ np.nan_to_num(poses)


@functools.lru_cache(maxsize=4096)
def _derivable(skeleton: Skeleton, seen: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The joints that follow from those seen, (K,), and their weights, (K, V)."""
    shown = np.frombuffer(seen, dtype=bool)
    index = {joint: i for i, joint in enumerate(skeleton.joints) if shown[i]}
    lost = {i: combination(skeleton.joints[i], index, len(skeleton), _RULES) for i in np.flatnonzero(~shown)}
    found = {i: weights for i, weights in lost.items() if weights is not None}
    weights = np.array(list(found.values()), dtype=np.float32).reshape(len(found), len(skeleton))
    return np.array(list(found), dtype=np.int64), weights


def complete(poses: Tensor, known: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Joints that a track never shows, as those of somebody who stands at ease.

    Args:
        poses: (R, T, W, 3) in the room, but turned upright and to the front, in lengths of the trunk.
        known: (R, W) which joints each track shows.
        skeleton: Of the poses.

    Returns:
        The poses with these joints, and (R, W) which joints are known now.
    """
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    poses, known = poses.clone(), known.clone()
    for rule in AT_EASE:
        joint, *others = (index.get(name, -1) for name in _names(rule))
        if min(joint, *others) < 0:
            continue
        wanted = ~known[:, joint] & known[:, others].all(dim=1)
        tracks = torch.nonzero(wanted)[:, 0]
        if len(tracks):
            poses[tracks, :, joint] = _position(rule, *(poses[tracks, :, other] for other in others))
            known[:, joint] |= wanted
    return poses, known


def _names(rule: Rigid | Standing | Bent) -> tuple[str, ...]:
    return rule[:3] if isinstance(rule, Bent) else rule[:2]


def _position(rule: Rigid | Standing | Bent, *others: Tensor) -> Tensor:
    """Where a rule puts its joint, (R, T, 3), by the positions of the others."""
    if isinstance(rule, Rigid):
        return others[0] + others[0].new_tensor(rule.offset)
    if isinstance(rule, Standing):
        height = others[0][..., 2:].amax(dim=1, keepdim=True) - rule.drop
        return torch.cat([others[0][..., :2], height.expand(-1, others[0].shape[1], -1)], dim=-1)
    upper, lower = others
    line = lower - upper
    length = torch.linalg.vector_norm(line, dim=-1, keepdim=True).clamp(min=SHORTEST)
    line = line / length
    # A limb is taken to be straight where its ends are furthest apart, so that nobody's straight legs are bent.
    furthest = length.amax(dim=1, keepdim=True)
    one, two = (bone / sum(rule.bones) * furthest.clamp(max=sum(rule.bones)) for bone in rule.bones)
    # By the cosine rule; bones that are too short for the distance are stretched, too long ones fold up.
    along = (length.square() + one.square() - two.square()) / (2 * length)
    along = torch.where(length < one + two, along.clamp(-one, one), length * one / (one + two))
    aside = (one.square() - along.square()).clamp(min=0).sqrt() * (length < one + two)
    side = line.new_tensor(rule.side)
    across = side - (line @ side)[..., None] * line
    across = across / torch.linalg.vector_norm(across, dim=-1, keepdim=True).clamp(min=SHORTEST)
    return upper + along * line + aside * across
