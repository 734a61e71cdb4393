"""Modalities of a skeleton sequence: what each stream of an encoder sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from torch import Tensor

from skelrep.alignment import select_joints

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph


class Modality(NamedTuple):
    """One entry of `MODALITIES`.

    Attributes:
        compute: From prepared poses (..., T, V, C) and V parent indices to a tensor of the same shape.
        to_onnx: Adds nodes that compute the same: from a graph, the name of the (N, M, T, V, 3) poses, V parent
            indices and T to the name of the result. None: encoders with this modality cannot be exported.
        lookahead: How many of the following frames a frame's value depends on, 0 or 1, if it depends on no other frame
            beside its own. The last frame of a clip has none after it. None: on others, too; such a modality cannot be
            streamed.
    """

    compute: Callable[[Tensor, Sequence[int]], Tensor]
    to_onnx: Callable[[Graph, str, Sequence[int], int], str] | None = None
    lookahead: int | None = None


def _bone(joints: Tensor, parents: Sequence[int]) -> Tensor:
    return joints - select_joints(joints, parents)


def _bone_to_onnx(graph: Graph, joints: str, parents: Sequence[int], frames: int) -> str:
    return graph("Sub", joints, graph("Gather", joints, list(parents), axis=-2))


def _motion(joints: Tensor, parents: Sequence[int]) -> Tensor:
    return torch.diff(joints, dim=-3, append=joints[..., -1:, :, :])


def _motion_to_onnx(graph: Graph, joints: str, parents: Sequence[int], frames: int) -> str:
    following = [*range(1, frames), frames - 1]
    return graph("Sub", graph("Gather", joints, following, axis=-3), joints)


#: All modalities by name. The first three are those of CMD (ECCV 2022, arXiv 2208.12448); others can be added:
#: `MODALITIES["velocity"] = Modality(...)`, before a config names them.
MODALITIES: dict[str, Modality] = {
    "joint": Modality(lambda joints, parents: joints, lambda graph, joints, parents, frames: joints, lookahead=0),
    "bone": Modality(_bone, _bone_to_onnx, lookahead=0),
    "motion": Modality(_motion, _motion_to_onnx, lookahead=1),
}


def modality(
    name: str, joints: Annotated[Tensor, "... T V C"], parents: Sequence[int]
) -> Annotated[Tensor, "... T V C"]:
    """One modality of prepared poses.

    Args:
        name: "joint" (the poses themselves), "bone" (x[v] - x[parent(v)]; a root, its own parent, gives 0), "motion"
            (x[t + 1] - x[t]; 0 in the last frame), or another key of `MODALITIES`.
        joints: (..., T, V, C) poses, already resampled and, in training, augmented.
        parents: V joint indices.

    Returns:
        A tensor of the same shape.

    Raises:
        ValueError: for an unknown name.
    """
    return find_modality(name).compute(joints, parents)


def find_modality(name: str) -> Modality:
    """The entry of a name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in MODALITIES:
        raise ValueError(f"there is no modality {name!r}; there are {', '.join(MODALITIES)}")
    return MODALITIES[name]
