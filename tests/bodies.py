"""A generated person on any named skeleton, who walks on the spot and waves; metres, y up, facing +z."""

from __future__ import annotations

import numpy as np

from skelrep.skeletons import SKELETONS, Skeleton

# (x, y, z) of a person who stands; x of the left side, mirrored for the right.
_MIDDLE = {
    "pelvis": (0, 0.95, 0),
    "mid_hips": (0, 0.92, 0),
    "spine": (0, 1.1, 0),
    "spine_1": (0, 1.15, 0),
    "spine_2": (0, 1.2, 0),
    "chest": (0, 1.32, 0),
    "neck": (0, 1.48, 0),
    "upper_neck": (0, 1.54, 0.01),
    "mid_shoulders": (0, 1.42, 0),
    "head": (0, 1.64, 0.02),
    "head_top": (0, 1.76, 0),
    "nose": (0, 1.62, 0.12),
}
_SIDE = {
    "eye": (0.03, 1.66, 0.1),
    "eye_inner": (0.02, 1.66, 0.1),
    "eye_outer": (0.045, 1.66, 0.09),
    "ear": (0.08, 1.64, 0.02),
    "mouth": (0.02, 1.58, 0.1),
    "collar": (0.06, 1.44, 0),
    "shoulder": (0.18, 1.42, 0),
    "elbow": (0.24, 1.15, -0.02),
    "forearm": (0.25, 1.02, 0.0),
    "wrist": (0.26, 0.9, 0.05),
    "hand": (0.27, 0.82, 0.07),
    "hand_tip": (0.28, 0.74, 0.09),
    "thumb": (0.24, 0.8, 0.11),
    "index": (0.27, 0.76, 0.1),
    "pinky": (0.3, 0.77, 0.06),
    "hip": (0.1, 0.9, 0),
    "knee": (0.11, 0.5, 0.03),
    "ankle": (0.12, 0.1, -0.02),
    "heel": (0.12, 0.03, -0.07),
    "foot": (0.13, 0.04, 0.1),
    "toe": (0.13, 0.02, 0.16),
    "small_toe": (0.17, 0.02, 0.14),
}
_ARM = ("elbow", "forearm", "wrist", "hand", "hand_tip", "thumb", "index", "pinky")
_LEG = ("knee", "ankle", "heel", "foot", "toe", "small_toe")


def walking(skeleton: Skeleton | str, frames: int = 60, seed: int = 0) -> np.ndarray:
    """(1, T, V, 3) float32; seeds differ in speed and in where the person stands."""
    table = SKELETONS[skeleton] if isinstance(skeleton, str) else skeleton
    rng = np.random.default_rng(seed)
    phase = np.arange(frames) * (0.25 + 0.1 * rng.random()) + rng.random()
    clip = np.stack([_path(joint, phase) for joint in table.joints], axis=1)
    clip += rng.normal(size=clip.shape) * 0.003 + [rng.random(), 0, 3]
    return clip[None].astype(np.float32)


def _path(joint: str, phase: np.ndarray) -> np.ndarray:
    """(T, 3) of one joint: arms and legs swing about shoulder and hip in opposite phase, the left hand waves."""
    side, _, part = joint.partition("_")
    if side not in ("left", "right") or part not in _SIDE:
        return np.tile(_MIDDLE[joint], (len(phase), 1)).astype(float)
    sign = 1 if side == "left" else -1
    place = np.array(_SIDE[part], dtype=float)
    turn = np.zeros_like(phase)
    pivot = place
    if part in _ARM:
        pivot, turn = np.array(_SIDE["shoulder"]), sign * 0.5 * np.sin(phase) + (0.8 if sign > 0 else 0.1)
    elif part in _LEG:
        pivot, turn = np.array(_SIDE["hip"]), -sign * 0.3 * np.sin(phase)
    offset = place - pivot
    y = offset[1] * np.cos(turn) + offset[2] * np.sin(turn)
    z = -offset[1] * np.sin(turn) + offset[2] * np.cos(turn)
    return np.stack([np.full_like(phase, sign * place[0]), pivot[1] + y, pivot[2] + z], axis=1)
