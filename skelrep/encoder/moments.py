"""Mean and standard deviation over time of the states of a recurrent network: of a whole clip, or of the frames so far.

Unlike the last state, they weight all frames of a clip equally. The moments of the frames so far need no later frame,
and a live stream updates them at constant cost (Welford, Technometrics 1962).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph

STD_WEIGHT = 2.0  # of standard deviations relative to means, as in the convolutional encoders
MIN_VARIANCE = 1e-4  # added, because the gradient of the square root is infinite at zero; usual deviations are 0.1


def of_clip(
    states: Annotated[Tensor, "T N D"], lengths: Annotated[Tensor, "N"] | None = None, std_weight: float = STD_WEIGHT
) -> Annotated[Tensor, "N E"]:
    """Means and weighted standard deviations over the frames of each clip, by default all: (T, N, D) to (N, 2 D)."""
    states = states.to(torch.promote_types(states.dtype, torch.float32))
    if lengths is None:
        mean = states.mean(dim=0)
        return _feature(mean, (states - mean).square().mean(dim=0), std_weight)
    weights = (torch.arange(len(states), device=states.device)[:, None] < lengths)[..., None] / lengths[:, None]
    mean = (states * weights).sum(dim=0)
    return _feature(mean, ((states - mean).square() * weights).sum(dim=0), std_weight)


def so_far(states: Annotated[Tensor, "T N D"], std_weight: float = STD_WEIGHT) -> Annotated[Tensor, "T N E"]:
    """`of_clip` of the frames up to each: (T, N, D) to (T, N, 2 D)."""
    count = torch.arange(1, len(states) + 1, device=states.device)[:, None, None]
    mean = states.cumsum(dim=0) / count
    before = torch.cat([torch.zeros_like(mean[:1]), mean[:-1]])
    return _feature(mean, ((states - before) * (states - mean)).cumsum(dim=0) / count, std_weight)


def to_onnx(graph: Graph, states: str, std_weight: float = STD_WEIGHT) -> str:
    """`of_clip` of all frames of (T, N, D) states, as ONNX nodes."""
    mean = graph("ReduceMean", states, axes=[0], keepdims=1)
    deviation = graph("Sub", states, mean)
    variance = graph("ReduceMean", graph("Mul", deviation, deviation), axes=[0], keepdims=0)
    root = graph("Mul", graph("Sqrt", graph("Add", variance, MIN_VARIANCE)), std_weight)
    return graph("Concat", graph("Squeeze", mean, [0]), root, axis=1)


class Moments(NamedTuple):
    """The moments of the frames of a stream so far.

    Attributes:
        frames: Number of frames.
        mean: (N, D) mean of the states, which are tensors or arrays of numpy.
        squares: (N, D) sums of the squared differences from the mean.
    """

    frames: int
    mean: Any
    squares: Any

    def after(self, state: Annotated[Any, "N D"]) -> Moments:
        """The moments after one more frame."""
        mean = self.mean + (state - self.mean) / (self.frames + 1)
        return Moments(self.frames + 1, mean, self.squares + (state - self.mean) * (state - mean))

    def feature(self, std_weight: float = STD_WEIGHT) -> Annotated[Tensor, "N E"]:
        """The result of `of_clip` for these frames, (N, 2 D)."""
        return _feature(torch.as_tensor(self.mean), torch.as_tensor(self.squares / self.frames), std_weight)


def _feature(mean: Tensor, variance: Tensor, std_weight: float) -> Tensor:
    return torch.cat([mean, std_weight * (variance + MIN_VARIANCE).sqrt()], dim=-1)
