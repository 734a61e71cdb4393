"""Temporal convolutions with pooling over spans of time: the backbone of the bundled encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from torch import Tensor, nn

from skelrep.encoder.backbone import check_sizes, each_alone
from skelrep.matmul import Product

if TYPE_CHECKING:
    from skelrep.encoder.onnx import Graph

MIN_VARIANCE = 1e-6  # added to variances over time: the gradient of the square root is infinite at zero
MAX_BLOCKS = 100  # every block takes time to build, even on the meta device
MAX_WINDOW_WEIGHTS = 10_000_000  # these are allocated even on the meta device; real encoders have about a hundred


@dataclass(frozen=True)
class ConvolutionConfig:
    """Sizes of a `TemporalConvolution`.

    Attributes:
        width: Number of channels of the residual stream.
        blocks: Number of residual blocks.
        kernel: Frames per convolution kernel; after the entry convolution, one frame per stride.
        stride: Stride of the entry convolution in frames.
        spans: Number of equal parts of the clip. An average is computed around the centre of each, and the averages are
            concatenated, so the order in time is kept.
        reach: Distance from the centre at which the weight of a frame in an average becomes zero, in spans. Above 0.5
            the averages overlap, so an action that is slightly earlier or later has a similar embedding.
        std_weight: Weight of each channel's standard deviation over time, which is appended to the averages. If it is
            0, nothing is appended; else the feature has width x (spans + 1) dimensions.
    """

    width: int = 128
    blocks: int = 3
    kernel: int = 9
    stride: int = 2
    spans: int = 3
    reach: float = 1.5
    std_weight: float = field(default=2.0, metadata={"formerly": "spread"})

    def check(self) -> None:
        """Raises a ValueError for values that no network can be built from."""
        check_sizes(width=self.width, kernel=self.kernel, stride=self.stride, spans=self.spans)
        check_sizes(MAX_BLOCKS, blocks=self.blocks)
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if not 0.5 <= self.reach < math.inf:  # false for NaN, too
            raise ValueError(f"reach must be a finite number of at least 0.5, got {self.reach}")
        if not 0 <= self.std_weight < math.inf:
            raise ValueError(f"std_weight must be a finite number of at least 0, got {self.std_weight}")

    def build(self, joints: int, persons: int, frames: int) -> TemporalConvolution:
        """The network, with random weights. Every person is encoded alone, so `persons` is not used.

        Raises:
            ValueError: if the frames do not divide by the stride, or are too many.
        """
        return TemporalConvolution(joints, frames, self)


class TemporalConvolution(nn.Module):
    """BatchNorm, a strided convolution over all joints, residual blocks, and averages over spans of time.

    Every person is encoded alone; the feature of a clip is the mean over the present persons.
    """

    causal = False
    windows: Tensor

    def __init__(self, joints: int, frames: int, config: ConvolutionConfig) -> None:
        """For (N, M, frames, joints, 3) input.

        Raises:
            ValueError: if the frames do not divide by the stride, or are too many.
        """
        super().__init__()
        config.check()
        if frames % config.stride:
            raise ValueError(f"the number of frames, {frames}, must be a multiple of the stride, {config.stride}")
        if (weights := frames // config.stride * config.spans) > MAX_WINDOW_WEIGHTS:
            raise ValueError(
                f"{config.spans} spans and {frames} frames need {weights:.0e} averaging weights, more than "
                f"{MAX_WINDOW_WEIGHTS:.0e}; reduce spans or frames"
            )
        self.dim, self.std_weight = config.width * (config.spans + (config.std_weight > 0)), config.std_weight
        # All but the depthwise convolutions are computed as matrix products of rows (one per person and frame): in
        # training on a CPU twice as fast as convolutions.
        self.stride, self.kernel = config.stride, config.kernel
        self.norm = nn.BatchNorm1d(3 * joints)
        for parameter in self.norm.parameters():
            parameter.requires_grad_(False)  # the entry's weights do the same, and the input needs no gradient then
        self.entry = nn.Linear(config.kernel * 3 * joints, config.width)
        self.blocks = nn.Sequential(*(Block(config.width, config.kernel) for _ in range(config.blocks)))
        self.register_buffer("windows", _windows(frames // config.stride, config.spans, config.reach), persistent=False)

    def forward(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N D"]:
        """Features of one modality.

        Args:
            poses: (N, M, T, V, 3).
            present: (N, M), which persons are present; None means all, and avoids a synchronisation with a GPU.

        Returns:
            (N, dim).
        """
        return self._pooled(poses, present, self.entry, self.blocks)

    def per_frame(
        self, poses: Annotated[Tensor, "N M T V 3"], present: Annotated[Tensor, "N M"] | None = None
    ) -> Annotated[Tensor, "N S D"]:
        """Features before averaging over time, (N, T / stride, width); step s is centred on frame s x stride."""
        return self._pooled(poses, present, self.entry, self.blocks, lambda x: x)

    def packed(self, precision: str) -> Callable[[Tensor, Tensor], Tensor]:
        """`forward` with the current weights, in evaluation mode on a CPU; products are packed, BatchNorm is folded."""
        entry = Product(self.entry.weight, self.entry.bias, precision)
        blocks = [PackedBlock(block, precision) for block in self.blocks if isinstance(block, Block)]

        def through(x: Tensor) -> Tensor:
            x = x.float()  # the residual stream is float32 in every precision
            for block in blocks:
                x = block(x)
            return x

        def features(poses: Tensor, present: Tensor) -> Tensor:
            return self._pooled(poses, None if present.all() else present, entry, through)

        return features

    def to_onnx(self, graph: Graph, poses: str, present: str) -> str:
        """`forward` as ONNX nodes; see `Backbone.to_onnx`."""
        width, kernel = self.entry.out_features, self.kernel
        x = persons_to_onnx(graph, poses, present, self.norm.num_features)  # (R, 3V, T)
        weight = self.entry.weight.unflatten(1, (kernel, -1)).transpose(1, 2)
        ends = [kernel // 2] * 2
        x = graph("Conv", graph.norm(self.norm, x), weight, self.entry.bias, strides=[self.stride], pads=ends)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = block.to_onnx(graph, x)
        averages = graph("Transpose", graph("MatMul", x, self.windows.T), perm=[0, 2, 1])  # (R, spans, width)
        feature = graph("Reshape", averages, [0, len(self.windows) * width])
        if self.std_weight:
            deviation = graph("Sub", x, graph("ReduceMean", x, axes=[2], keepdims=1))
            variance = graph("ReduceMean", graph("Mul", deviation, deviation), axes=[2], keepdims=0)
            root = graph("Sqrt", graph("Add", variance, MIN_VARIANCE))
            feature = graph("Concat", feature, graph("Mul", root, self.std_weight), axis=1)
        return mean_to_onnx(graph, feature, present, self.dim)

    def _pooled(
        self,
        poses: Tensor,
        present: Tensor | None,
        entry: Callable[[Tensor], Tensor],
        blocks: Callable[[Tensor], Tensor],
        over_time: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Applies the network and `over_time` (by default `_over_time`) to each person; returns means over persons."""

        def encode(tracks: Tensor) -> Tensor:
            persons = tracks.flatten(2)  # (R, T, 3V)
            rows = self.norm(persons.flatten(0, 1)).view_as(persons)
            if (device := rows.device.type) != "meta" and torch.is_autocast_enabled(device):
                rows = rows.to(torch.get_autocast_dtype(device))  # before unfold repeats frames
            rows = nn.functional.pad(rows, (0, 0, self.kernel // 2, self.kernel // 2)).flatten(1)
            width = persons.shape[2]
            rows = rows.unfold(1, self.kernel * width, self.stride * width)  # `kernel` frames in one row
            x = blocks(entry(rows.flatten(0, 1)).unflatten(0, (len(persons), -1)))  # (R, T / stride, width)
            return (over_time or self._over_time)(x)

        return each_alone(encode, poses, present)

    def _over_time(self, x: Annotated[Tensor, "R S W"]) -> Annotated[Tensor, "R D"]:
        """(R, T, width) to (R, dim): the averages of the spans in order, then the standard deviation."""
        averages = (self.windows @ x).flatten(1)
        if not self.std_weight:
            return averages
        x = x.float()
        variance = (x - x.mean(dim=1, keepdim=True)).square().mean(dim=1)  # `Tensor.var` takes thirty times as long
        return torch.cat([averages, self.std_weight * (variance + MIN_VARIANCE).sqrt().to(averages.dtype)], dim=1)


def persons_to_onnx(graph: Graph, poses: str, present: str, features: int) -> str:
    """The present persons of (N, M, T, V, 3) poses, (R, features, T), so that absent persons take no time."""
    x = graph("Reshape", graph("Transpose", poses, perm=[2, 3, 4, 0, 1]), [0, features, -1])
    everybody = graph("Reshape", present, [-1])
    return graph("Compress", graph("Transpose", x, perm=[2, 1, 0]), everybody, axis=0)


def mean_to_onnx(graph: Graph, feature: str, present: str, dim: int) -> str:
    """The mean over the persons of each clip, (N, dim), from (R, dim) features of the present persons."""
    everybody = graph("Reshape", present, [-1])
    indices = graph("Transpose", graph("NonZero", everybody), perm=[1, 0])  # (R, 1)
    size = graph("Concat", graph("Shape", everybody), [dim], axis=0)
    feature = graph("ScatterND", graph("Expand", 0.0, size), indices, feature)
    shape = graph("Concat", graph("Shape", present), [dim], axis=0)
    total = graph("ReduceSum", graph("Reshape", feature, shape), [1], keepdims=0)
    count = graph("ReduceSum", graph("Cast", present, to=graph.FLOAT), [1], keepdims=1)
    return graph("Div", total, graph("Max", count, 1.0))


def _windows(frames: int, spans: int, reach: float) -> Tensor:
    """Triangular weights of frames around the centres of spans, (spans, frames); each row sums to 1."""
    # On the CPU even if an encoder is built on the meta device, because they are not in a checkpoint.
    time = (torch.arange(frames, device="cpu") + 0.5) / frames * spans  # in spans
    centres = torch.arange(spans, device="cpu") + 0.5
    weight = (1 - (time - centres[:, None]).abs() / reach).clamp(min=0)
    return weight / weight.sum(dim=1, keepdim=True)


class Block(nn.Module):
    """x + BN(W2 relu(W1 BN(depthwise(x)))): mixes time and channels separately, with a ninth of the weights."""

    def __init__(self, width: int, kernel: int, causal: bool = False) -> None:
        """If `causal`, a frame depends on those before it and not on those after it."""
        super().__init__()
        self.kernel, self.padded = kernel, not causal
        padding = kernel // 2 if self.padded else 0
        self.time = nn.Conv2d(width, width, (kernel, 1), padding=(padding, 0), groups=width, bias=False)
        self.time.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the layout of its gradients
        self.time_norm = nn.BatchNorm1d(width)
        self.expand = nn.Linear(width, 2 * width)
        self.reduce = nn.Linear(2 * width, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        nn.init.zeros_(self.norm.weight)  # a block starts as the identity: the untrained encoder already averages poses

    def forward(self, x: Annotated[Tensor, "R S W"]) -> Annotated[Tensor, "R S W"]:
        """(R, T, width) to the same shape."""
        rows = self.time_norm(self.mixed(x if self.padded else preceded(x, self.kernel)))
        return x + self.norm(self.reduce(torch.relu(self.expand(rows)))).view_as(x)

    def mixed(self, x: Annotated[Tensor, "R S W"]) -> Annotated[Tensor, "RS W"]:
        """The depthwise convolution over time: (R, T, width) to rows (R T, width).

        If the block is causal, kernel - 1 frames precede the T frames of x.
        """
        # As (R, width, T, 1), with strides that torch recognises as channels-last.
        mixed = self.time(x[:, :, None].permute(0, 3, 1, 2))
        return mixed.squeeze(3).transpose(1, 2).flatten(0, 1)  # the gradient of an index would be a copy

    def to_onnx(self, graph: Graph, x: str) -> str:
        """`forward` as ONNX nodes, from (R, width, T) to the same shape."""
        before = self.kernel - 1
        around = x if self.padded else graph("Pad", x, [0, 0, before, 0, 0, 0], mode="edge")
        ends = [self.kernel // 2 if self.padded else 0] * 2
        y = graph("Conv", around, self.time.weight[..., 0], group=len(self.time.weight), pads=ends)
        y = graph.norm(self.time_norm, y)
        y = graph("Relu", graph("Conv", y, self.expand.weight[..., None], self.expand.bias))
        return graph("Add", x, graph.norm(self.norm, graph("Conv", y, self.reduce.weight[..., None])))


def preceded(x: Annotated[Tensor, "R T W"], kernel: int) -> Annotated[Tensor, "R S W"]:
    """With kernel - 1 copies of the first frame before it."""
    return torch.cat([x[:, :1].expand(-1, kernel - 1, -1), x], dim=1)


class PackedBlock:
    """A block in which each BatchNorm is folded into the product next to it."""

    def __init__(self, block: Block, precision: str) -> None:
        """Packs the current weights."""
        self.block = block
        scale, shift = affine(block.time_norm)
        weight = block.expand.weight
        self.expand = Product(weight * scale, block.expand.bias + weight @ shift, precision, relu=True)
        scale, shift = affine(block.norm)
        self.reduce = Product(block.reduce.weight * scale[:, None], shift, precision)
        self.weight = block.time.weight.detach()[:, 0, :, 0].mT.contiguous().cpu().numpy()  # (kernel, width)

    def __call__(self, x: Tensor, around: Tensor | None = None) -> Tensor:
        """`Block.forward`; `around` as in `Block.mixed`."""
        return x + self.reduce(self.expand(self.block.mixed(x if around is None else around))).view_as(x)

    def step(
        self, x: Annotated[np.ndarray, "N W"], window: Annotated[np.ndarray, "N K W"]
    ) -> Annotated[np.ndarray, "N W"]:
        """`Block.forward` of one frame of a stream; `window` is the frame with the kernel - 1 frames before it."""
        mixed = np.einsum("nkw,kw->nw", window, self.weight)
        return x + self.reduce.of_array(self.expand.of_array(mixed))


def affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Scale and shift of a BatchNorm in evaluation mode, without gradients."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
