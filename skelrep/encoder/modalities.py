"""The three views of a skeleton sequence: joints, bones, motion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skelrep.preprocess import select_joints

MODALITIES = ("joint", "bone", "motion")


def modality(name: str, joints: Tensor, parents: Sequence[int]) -> Tensor:
    """One view of prepared poses, as CMD (ECCV 2022, arXiv 2208.12448) takes them.

    Args:
        name: "joint" (the poses themselves), "bone" (x[v] - x[parent(v)]; a root, its own parent, gives 0) or
            "motion" (x[t + 1] - x[t]; 0 in the last frame).
        joints: (..., T, V, C) poses, already resampled and, in training, augmented.
        parents: V joint indices.

    Returns:
        A tensor of the same shape.
    """
    if name == "joint":
        return joints
    if name == "bone":
        return joints - select_joints(joints, parents)
    if name == "motion":
        return torch.diff(joints, dim=-3, append=joints[..., -1:, :, :])
    raise ValueError(f"no modality is called {name!r}; there are {', '.join(MODALITIES)}")
