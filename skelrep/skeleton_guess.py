"""Recognises the skeleton of an array without joint names by its geometry.

An order of joints is accepted if it describes a body: the bones connect neighbours (their total length is near that of
the shortest tree over all joints), keep their lengths, and are equally long on both sides; the pelvis is between the
hips, the neck between the shoulders, the head above the shoulders and the feet on the other side; and in 3-D, the left
side is to the left of the direction of feet and knees. The number of joints alone is no evidence: SMPL and LAFAN1 both
have 22.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.messages import warn
from skelrep.missing import Zeros, zeros_as_nan
from skelrep.skeletons import SKELETONS, Skeleton, resolve

# No other joint order with this number of joints is in use.
_ONLY_ONE_OF_THIS_SIZE = {33: "mediapipe-33", 133: "coco-wholebody-133", 136: "halpe-136"}
_FRAMES = 300  # number of frames that are examined; more do not improve the decision
_LEAST_SEEN = 0.8  # fraction of the joints that must be seen at least once

# Thresholds are between the values of thirteen motion data sets in their own order of joints and the values of the same
# arrays in the orders of the other skeletons.
_MOST_TREE = {3: 1.45, 2: 1.9}  # length of the bones over that of the shortest tree
_MOST_CHANGE = {3: 0.25, 2: 0.6}  # standard deviation of a bone's length over its mean, mean over bones
_MOST_ASYMMETRY = {3: 0.12, 2: 0.25}  # |left - right| / (left + right), mean over pairs of bones
_AHEAD = 0.02  # distance of toes or nose in front of the body, in lengths of a thigh
_STRAIGHT = 0.1  # a knee that is bent by less is straight
_MOST_OFFSET = 0.45  # of pelvis and neck from the middle of hips and shoulders, in lengths of the torso


class Fit(NamedTuple):
    """How well an order of joints describes a body.

    Attributes:
        skeleton: The candidate.
        tree: Length of its bones over that of the shortest tree; 1 is perfect.
        fits: Whether all tests are passed.
    """

    skeleton: Skeleton
    tree: float
    fits: bool


def skeleton_of(
    skeleton: Skeleton | str | Sequence[str] | None, clips: Sequence[np.ndarray], zeros: Zeros | None = None
) -> Skeleton:
    """The skeleton that the caller names, or with a warning the one that fits the geometry of the clips.

    Args:
        skeleton: As `resolve` takes it; None to decide by the geometry.
        clips: Arrays (M, T, V, C) with the same V, NaN where a joint was not seen.
        zeros: What exact zeros mean (see `skelrep.missing`).

    Raises:
        ValueError: for a skeleton that does not fit V; or if none or several of the known skeletons fit the geometry
            (the message lists the candidates, the most likely first).
    """
    joints = clips[0].shape[2]
    if skeleton is not None:
        return resolve(skeleton, joints)
    if joints in _ONLY_ONE_OF_THIS_SIZE:
        return SKELETONS[_ONLY_ONE_OF_THIS_SIZE[joints]]
    candidates = fits(clips, zeros)
    fitting = [fit.skeleton for fit in candidates if fit.fits]
    if len(fitting) == 1:
        warn(
            f"the array does not state what its {joints} joints are; their geometry is that of {fitting[0].name!r}, "
            "which is used: pass skeleton= if it is another"
        )
        return fitting[0]
    if not candidates:
        return resolve(None, joints)
    names = " or ".join(repr(fit.skeleton.name) for fit in candidates)
    if fitting:
        raise ValueError(f"an array of {joints} joints could be {names} by its geometry; choose one with skeleton=")
    only = "the only known skeleton" if len(candidates) == 1 else "the known skeletons"
    raise ValueError(
        f"the array does not state what its {joints} joints are: {only} with this number of joints, {names}, cannot be "
        "recognised by the geometry, and other joint orders are in use; pass skeleton= with one of these names, or "
        f"with a list of {joints} joint names in the order of the array"
    )


def fits(clips: Sequence[np.ndarray], zeros: Zeros | None = None) -> list[Fit]:
    """The fit of each known skeleton of V joints, the best first."""
    candidates = [known for known in SKELETONS.values() if len(known) == clips[0].shape[2]]
    looked_at = clips[:_FRAMES]
    seen = lambda known: [zeros_as_nan(clip, known, zeros)[0] for clip in looked_at]  # noqa: E731
    found = [Fit(known, *_judge(known, _sample(seen(known)))) for known in candidates]
    return sorted(found, key=lambda fit: (not fit.fits, fit.tree))


def _sample(clips: Sequence[np.ndarray]) -> np.ndarray:
    """(P, V, C): a sample of poses of all clips, if possible poses in which all joints are seen."""
    joints, channels = clips[0].shape[2:]
    each = max(2, -(-_FRAMES // len(clips)))
    picked = []
    for clip in clips:
        poses = np.asarray(clip, dtype=np.float64).reshape(-1, joints, channels)
        seen = np.flatnonzero(~np.isnan(poses).any(axis=(1, 2)))
        if not len(seen):
            seen = np.flatnonzero(~np.isnan(poses).all(axis=(1, 2)))
        picked.append(poses[seen[:: max(1, len(seen) // each)][:each]])
    return np.concatenate(picked)


def _judge(skeleton: Skeleton, poses: np.ndarray) -> tuple[float, bool]:
    """The length of the bones relative to the shortest tree, and whether the skeleton fits (P, V, C) poses."""
    channels = poses.shape[2]
    known = np.flatnonzero(~np.isnan(poses).all(axis=(0, 2)))
    if len(known) < _LEAST_SEEN * len(skeleton):
        return np.inf, False
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.linalg.norm(poses[:, :, None] - poses[:, None], axis=-1)
        seen = distances[:, known[:, None], known]
        if np.isnan(seen).all(axis=0).any():  # joints that are never seen at once
            return np.inf, False
        shortest = _shortest_tree(np.nanmedian(seen, axis=0))
        bones = _bones(skeleton, known)
        lengths = distances[:, [joint for joint, _ in bones], [parent for _, parent in bones]]  # (P, B)
        mean = np.nanmean(lengths, axis=0)
        tree = float(np.nanmedian(lengths, axis=0).sum() / shortest) if shortest > 0 else np.inf
        change = float(np.nansum(np.nanstd(lengths, axis=0)) / mean.sum())
        at = {joint: i for i, (joint, _) in enumerate(bones)}
        pairs = [(i, at[twin]) for joint, i in at.items() if (twin := skeleton.mirror[joint]) != joint and twin in at]
        asymmetry = (
            float(np.mean([abs(mean[a] - mean[b]) / max(mean[a] + mean[b], 1e-12) for a, b in pairs])) if pairs else 0.0
        )
    body = _Body(skeleton, poses)
    return tree, bool(
        tree <= _MOST_TREE[channels]
        and change <= _MOST_CHANGE[channels]
        and asymmetry <= _MOST_ASYMMETRY[channels]
        and body.is_one()
        and (channels == 2 or body.faces_ahead() > _AHEAD)
    )


def _bones(skeleton: Skeleton, known: np.ndarray) -> list[tuple[int, int]]:
    """Joint and parent of the joints that are seen; the parent is the next ancestor that is seen."""
    bones = []
    for joint in known.tolist():
        parent = joint
        while (parent := skeleton.parents[parent]) not in known and skeleton.parents[parent] != parent:
            pass
        if parent != joint and parent in known:
            bones.append((joint, parent))
    return bones


def _shortest_tree(distances: np.ndarray) -> float:
    """Length of the shortest tree over all joints (Prim)."""
    left, total = set(range(1, len(distances))), 0.0
    nearest = distances[0].copy()
    while left:
        joint = min(left, key=lambda i: nearest[i])
        total += nearest[joint]
        left.remove(joint)
        nearest = np.minimum(nearest, distances[joint])
    return total


class _Body:
    """Landmarks of poses (P, V, C), by the joint names of a skeleton."""

    def __init__(self, skeleton: Skeleton, poses: np.ndarray) -> None:
        self.index = {joint: i for i, joint in enumerate(skeleton.joints)}
        self.poses = poses

    def point(self, *names: str) -> np.ndarray | None:
        """(P, C) the first of the joints that the skeleton has."""
        return next((self.poses[:, self.index[name]] for name in names if name in self.index), None)

    def middle(self, joint: str) -> np.ndarray:
        """(P, C) the middle between left and right."""
        left, right = self.point(f"left_{joint}"), self.point(f"right_{joint}")
        assert left is not None and right is not None, f"no known skeleton lacks its {joint}s"
        return (left + right) / 2

    def is_one(self) -> bool:
        """Whether the parts are arranged as in a body, in the median over poses."""
        hips, shoulders, knees, ankles = map(self.middle, ("hip", "shoulder", "knee", "ankle"))
        head = self.point("head", "nose")
        torso = _length(shoulders - hips)
        if head is None or not torso > 0:
            return False
        up = shoulders - hips
        along = lambda point: _median(((point - hips) * up).sum(axis=1)) / torso**2  # noqa: E731
        pelvis, neck = self.point("pelvis", "mid_hips"), self.point("neck", "mid_shoulders")
        limbs = [
            (
                _length(self.difference(f"{side}_{a}", f"{side}_{b}")),
                _length(self.difference(f"{side}_{b}", f"{side}_{c}")),
            )
            for side in ("left", "right")
            for a, b, c in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
        ]
        return bool(
            (pelvis is None or _length(pelvis - hips) < _MOST_OFFSET * torso)
            and (neck is None or _length(neck - shoulders) < _MOST_OFFSET * torso)
            and along(head) > 1
            and along(ankles) < along(knees) + 0.5 < 0.8
            and all(0.4 < upper / lower < 2.5 for upper, lower in limbs)
            and _length(head - ankles) > torso
        )

    def faces_ahead(self) -> float:
        """How far toes, nose or bent knees are in front of the body, in lengths of a thigh; NaN if there are none.

        The front follows from left and right for right-handed axes. A negative value means that left and right are
        swapped or the axes are left-handed. Toes are preferred, because the knees of depth sensors bend either way.
        """
        hips, shoulders, thigh = (
            self.middle("hip"),
            self.middle("shoulder"),
            _length(self.difference("left_hip", "left_knee")),
        )
        left = self.difference("left_hip", "right_hip") + self.difference("left_shoulder", "right_shoulder")
        ahead = np.cross(left, shoulders - hips)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        toes = [
            self.difference(f"{side}_{toe}", f"{side}_ankle")
            for side in ("left", "right")
            for toe in ("toe", "foot")
            if f"{side}_{toe}" in self.index
        ]
        nose, neck = self.point("nose"), self.point("neck", "mid_shoulders")
        if nose is not None and "left_ear" in self.index:
            face = [nose - self.middle("ear")]
        elif nose is not None and neck is not None and "head" in self.index:
            face = [nose - (neck + self.poses[:, self.index["head"]]) / 2]
        else:
            face = []
        knees = [
            self.difference(f"{side}_knee", f"{side}_ankle") / 2 + self.difference(f"{side}_knee", f"{side}_hip") / 2
            for side in ("left", "right")
        ]
        pointers = toes or face
        if not pointers:  # a straight knee has no direction
            return _median(np.concatenate([(vector * ahead).sum(axis=1) for vector in knees])) / thigh - _STRAIGHT
        return _median(np.concatenate([(vector * ahead).sum(axis=1) for vector in pointers])) / thigh

    def difference(self, a: str, b: str) -> np.ndarray:
        """(P, C) from joint b to joint a."""
        return self.poses[:, self.index[a]] - self.poses[:, self.index[b]]


def _length(vectors: np.ndarray) -> float:
    return _median(np.linalg.norm(vectors, axis=-1))


def _median(values: Any) -> float:
    return float(np.nanmedian(values)) if not np.isnan(values).all() else float("nan")
