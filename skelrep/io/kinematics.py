"""Forward kinematics: joint positions from rotations and offsets relative to the parents."""

from __future__ import annotations

import numpy as np


def rotation(axes: list[str] | str, degrees: np.ndarray) -> np.ndarray:
    """The product, from left to right, of rotations about axes: (T, 3, 3) from degrees (T, len(axes))."""
    total = np.tile(np.eye(3), (len(degrees), 1, 1))
    for axis, angle in zip(axes, np.deg2rad(degrees).T):
        i = "xyz".index(axis)
        j, k = (i + 1) % 3, (i + 2) % 3
        single = np.zeros_like(total)
        single[:, i, i] = 1
        single[:, j, j] = single[:, k, k] = np.cos(angle)
        single[:, k, j] = np.sin(angle)
        single[:, j, k] = -np.sin(angle)
        total = total @ single
    return total


def positions(parents: list[int], offsets: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Joint positions (T, V, 3) from offsets (T, V, 3) and rotations (T, V, 3, 3) relative to the parents."""
    points, rotations = offsets.copy(), rotations.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            points[:, joint] = points[:, parent] + (rotations[:, parent] @ offsets[:, joint, :, None])[..., 0]
            rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
    return points
