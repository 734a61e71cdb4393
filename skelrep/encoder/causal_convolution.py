"""Causal temporal convolutions with moments over time: a backbone for live streams that trains fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skelrep.encoder import moments
from skelrep.encoder.backbone import check_sizes, each_alone
from skelrep.encoder.convolution import (
    MAX_BLOCKS,
    Block,
    PackedBlock,
    affine,
    mean_to_onnx,
    persons_to_onnx,
    preceded,
)
from skelrep.matmul import Product

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph


@dataclass(frozen=True)
class CausalConvolutionConfig:
    """Sizes of a `CausalConvolution`.

    Attributes:
        width: Number of channels of the residual stream; the feature has twice as many dimensions.
        blocks: Number of residual blocks.
        kernel: Frames per convolution kernel: the frame itself and those before it.
        std_weight: Weight of each channel's standard deviation over time, which is appended to its mean.
    """

    width: int = 96
    blocks: int = 2
    kernel: int = 9
    std_weight: float = 4.0
    persons: ClassVar[str] = "alone"

    def check(self) -> None:
        """Raises a ValueError for values that no network can be built from."""
        check_sizes(width=self.width, kernel=self.kernel)
        check_sizes(MAX_BLOCKS, blocks=self.blocks)
        if not 0 <= self.std_weight < math.inf:  # false for NaN, too
            raise ValueError(f"std_weight must be a finite number of at least 0, got {self.std_weight}")

    def build(self, joints: int, persons: int, frames: int) -> CausalConvolution:
        """The network, with random weights; it takes any number of frames and of persons."""
        return CausalConvolution(joints, self)


class CausalConvolution(nn.Module):
    """BatchNorm, a convolution over all joints, residual blocks, and moments over time (`skelrep.encoder.moments`).

    Every frame depends on itself and on frames before it; before a clip, its first frame is repeated. Every person is
    encoded alone; the feature of a clip is the mean over the present persons.
    """

    causal = True

    def __init__(self, joints: int, config: CausalConvolutionConfig) -> None:
        """For (N, M, T, joints, 3) input."""
        super().__init__()
        config.check()
        self.dim, self.kernel, self.std_weight = 2 * config.width, config.kernel, config.std_weight
        self.norm = nn.BatchNorm1d(3 * joints)
        for parameter in self.norm.parameters():
            parameter.requires_grad_(False)  # the entry's weights do the same, and the input needs no gradient then
        self.entry = nn.Linear(config.kernel * 3 * joints, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.kernel, causal=True) for _ in range(config.blocks))

    def forward(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        present: Annotated[Tensor, "N M"] | None = None,
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> Annotated[Tensor, "N D"]:
        """Features of one modality; see `CausalNetwork`."""

        def encode(persons: Tensor) -> Tensor:
            return moments.of_clip(self.states(persons).transpose(0, 1), lengths, self.std_weight)

        return each_alone(encode, poses, present)

    def per_frame(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N S D"]:
        """After every frame, `forward` of the frames so far: (N, T, dim)."""

        def encode(persons: Tensor) -> Tensor:
            return moments.so_far(self.states(persons).transpose(0, 1), self.std_weight).transpose(0, 1)

        return each_alone(encode, poses, present)

    def states(self, persons: Annotated[Tensor, "R T V 3"]) -> Annotated[Tensor, "R T W"]:
        """The residual stream after the last block."""
        x = self.rows(persons)
        x = self.entry(frames_until(preceded(x, self.kernel), self.kernel))
        for block in self.blocks:
            x = block(x)
        return x

    def to_onnx(self, graph: Graph, poses: str, present: str) -> str:
        """`forward` as ONNX nodes; see `Backbone.to_onnx`."""
        x = graph.norm(self.norm, persons_to_onnx(graph, poses, present, self.norm.num_features))  # (R, 3V, T)
        weight = self.entry.weight.unflatten(1, (self.kernel, -1)).transpose(1, 2)
        before = self.kernel - 1
        x = graph("Conv", graph("Pad", x, [0, 0, before, 0, 0, 0], mode="edge"), weight, self.entry.bias)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = block.to_onnx(graph, x)
        feature = moments.to_onnx(graph, graph("Transpose", x, perm=[2, 0, 1]), self.std_weight)
        return mean_to_onnx(graph, feature, present, self.dim)

    def packed(self, precision: str) -> PackedCausalConvolution:
        """`forward` with the current weights, in evaluation mode on a CPU."""
        return PackedCausalConvolution(self, precision)

    def rows(self, persons: Annotated[Tensor, "R T V 3"]) -> Annotated[Tensor, "R T F"]:
        """Poses as normalised rows."""
        flat = persons.flatten(2)
        rows = self.norm(flat.flatten(0, 1)).view_as(flat)
        if (device := rows.device.type) != "meta" and torch.is_autocast_enabled(device):
            rows = rows.to(torch.get_autocast_dtype(device))  # before frames are repeated
        return rows


class State(NamedTuple):
    """After the frames so far.

    Attributes:
        windows: For the entry and each block its last inputs, (N, kernel, width); none before the first frame.
        moments: Of the states.
    """

    windows: list[np.ndarray]
    moments: moments.Moments


class PackedCausalConvolution:
    """A causal convolution with constant weights and packed products, for whole clips or frame by frame."""

    def __init__(self, network: CausalConvolution, precision: str) -> None:
        """Packs the current weights."""
        self.network = network
        self.scale, self.shift = affine(network.norm)
        self.entry = Product(network.entry.weight, network.entry.bias, precision)
        self.blocks = [PackedBlock(block, precision) for block in network.blocks if isinstance(block, Block)]

    def __call__(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        present: Annotated[Tensor, "N M"],
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> Annotated[Tensor, "N D"]:
        """`CausalConvolution.forward`."""
        return each_alone(lambda x: self._feature(x, lengths), poses, None if present.all() else present)

    def _feature(self, persons: Annotated[Tensor, "R T V 3"], lengths: Tensor | None) -> Annotated[Tensor, "R D"]:
        kernel = self.network.kernel
        x = self._entered(preceded(self._rows(persons), kernel))
        for block in self.blocks:
            x = block(x, preceded(x, kernel))
        return moments.of_clip(x.transpose(0, 1), lengths, self.network.std_weight)

    def _rows(self, persons: Annotated[Tensor, "R T V 3"]) -> Annotated[Tensor, "R T F"]:
        return torch.addcmul(self.shift, persons.flatten(2), self.scale)

    def _entered(self, rows: Annotated[Tensor, "R S F"]) -> Annotated[Tensor, "R T W"]:
        rows = frames_until(rows, self.network.kernel)
        # The residual stream is float32 in every precision.
        return self.entry(rows.flatten(0, 1)).float().unflatten(0, rows.shape[:2])

    def start(self, clips: int) -> State:
        """The state before the first frame."""
        none = np.zeros((clips, self.network.entry.out_features), np.float32)
        return State([], moments.Moments(0, none, none))

    def step(self, poses: Tensor, state: State) -> tuple[Tensor, State]:
        """Processes one frame; see `CausalNetwork.step`.

        In numpy, apart from the products: for a single frame, a call of torch takes longer than its work.
        """
        states = [state]
        for rows in self._rows(poses[:, 0]).cpu().numpy().swapaxes(0, 1):
            states.append(self._after(rows, states[-1]))
        return states[-1].moments.feature(self.network.std_weight).to(poses.device), states[1]

    def _after(self, x: Annotated[np.ndarray, "N F"], state: State) -> State:
        """The state after one more frame."""
        windows = []

        def window(x: Annotated[np.ndarray, "N W"]) -> Annotated[np.ndarray, "N K W"]:
            x = x[:, None]
            before = state.windows[len(windows)][:, 1:] if state.windows else x.repeat(self.network.kernel - 1, axis=1)
            windows.append(np.concatenate([before, x], axis=1))
            return windows[-1]

        x = self.entry.of_array(window(x).reshape(len(x), -1))
        for block in self.blocks:
            x = block.step(x, window(x))
        return State(windows, state.moments.after(x))


def frames_until(x: Annotated[Tensor, "R S W"], kernel: int) -> Annotated[Tensor, "R T K"]:
    """Each frame with the kernel - 1 frames before it in one row."""
    width = x.shape[2]
    return x.flatten(1).unfold(1, kernel * width, width)
