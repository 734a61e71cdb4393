"""Forward kinematics: joint positions of rotations and offsets relative to the parents."""

from __future__ import annotations

import numpy as np


def rotation(axes: list[str] | str, degrees: np.ndarray) -> np.ndarray:
    """The product, from left to right, of turns about axes: (T, 3, 3) of degrees (T, len(axes))."""
    total = np.tile(np.eye(3), (len(degrees), 1, 1))
    for axis, angle in zip(axes, np.deg2rad(degrees).T):
        i = "xyz".index(axis)
        j, k = (i + 1) % 3, (i + 2) % 3
        turn = np.zeros_like(total)
        turn[:, i, i] = 1
        turn[:, j, j] = turn[:, k, k] = np.cos(angle)
        turn[:, k, j] = np.sin(angle)
        turn[:, j, k] = -np.sin(angle)
        total = total @ turn
    return total


def positions(parents: list[int], places: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Forward kinematics: positions (T, V, 3) of places (T, V, 3) and turns (T, V, 3, 3) relative to the parents."""
    points, turns = places.copy(), turns.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            points[:, joint] = points[:, parent] + (turns[:, parent] @ places[:, joint, :, None])[..., 0]
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return points
