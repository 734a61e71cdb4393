"""Modalities of a skeleton sequence: the inputs of an encoder's streams."""

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
        compute: Computes the modality from prepared poses (..., T, V, C) and V parent indices; the shape stays.
        to_onnx: Adds nodes that compute the same. Takes a graph, the name of the (N, M, T, V, 3) poses, V parent
            indices and T, and returns the name of the result. None: encoders with this modality cannot be exported.
        lookahead: The number of following frames that the value of a frame depends on, 0 or 1, apart from the frame
            itself; the last frame of a clip has none. None: it depends on other frames too, so the modality cannot be
            streamed.
        lookback: The number of frames before that it depends on, 0 or 1; the first frame of a clip has none.
    """

    compute: Callable[[Tensor, Sequence[int]], Tensor]
    to_onnx: Callable[[Graph, str, Sequence[int], int], str] | None = None
    lookahead: int | None = None
    lookback: int = 0


def _bone(joints: Tensor, parents: Sequence[int]) -> Tensor:
    return joints - select_joints(joints, parents)


def _bone_to_onnx(graph: Graph, joints: str, parents: Sequence[int], frames: int) -> str:
    return graph("Sub", joints, graph("Gather", joints, list(parents), axis=-2))


def _motion(joints: Tensor, parents: Sequence[int]) -> Tensor:
    return torch.diff(joints, dim=-3, append=joints[..., -1:, :, :])


def _causal_motion(joints: Tensor, parents: Sequence[int]) -> Tensor:
    return torch.diff(joints, dim=-3, prepend=joints[..., :1, :, :])


def _causal_motion_to_onnx(graph: Graph, joints: str, parents: Sequence[int], frames: int) -> str:
    return graph("Sub", joints, graph("Gather", joints, [0, *range(frames - 1)], axis=-3))


def _motion_to_onnx(graph: Graph, joints: str, parents: Sequence[int], frames: int) -> str:
    following = [*range(1, frames), frames - 1]
    return graph("Sub", graph("Gather", joints, following, axis=-3), joints)


#: All modalities by name. The first three are those of CMD (ECCV 2022, arXiv 2208.12448). "causal_motion" needs no
#: later frame, so a stream knows the motion of its newest frame. To add one, set
#: `MODALITIES["velocity"] = Modality(...)` before a config names it.
MODALITIES: dict[str, Modality] = {
    "joint": Modality(lambda joints, parents: joints, lambda graph, joints, parents, frames: joints, lookahead=0),
    "bone": Modality(_bone, _bone_to_onnx, lookahead=0),
    "motion": Modality(_motion, _motion_to_onnx, lookahead=1),
    "causal_motion": Modality(_causal_motion, _causal_motion_to_onnx, lookahead=0, lookback=1),
}


def modality(
    name: str, joints: Annotated[Tensor, "... T V C"], parents: Sequence[int]
) -> Annotated[Tensor, "... T V C"]:
    """Computes one modality of prepared poses.

    Args:
        name: "joint" (the poses themselves), "bone" (x[v] - x[parent(v)]; 0 for a root, which is its own parent),
            "motion" (x[t + 1] - x[t]; 0 in the last frame), "causal_motion" (x[t] - x[t - 1]; 0 in the first frame),
            or another key of `MODALITIES`.
        joints: (..., T, V, C) poses, already resampled and, in training, augmented.
        parents: V joint indices.

    Returns:
        A tensor of the same shape.

    Raises:
        ValueError: for an unknown name.
    """
    return find_modality(name).compute(joints, parents)


def find_modality(name: str) -> Modality:
    """The modality with this name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in MODALITIES:
        raise ValueError(f"there is no modality {name!r}; known modalities: {', '.join(MODALITIES)}")
    return MODALITIES[name]
