"""Temporal convolutions pooled over spans of time: the backbone of the encoder in the box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ConvolutionConfig:
    """Sizes of a `TemporalConvolution`.

    Attributes:
        width: Channels of the residual stream.
        blocks: Residual blocks.
        kernel: Frames that a convolution sees (at the stride's rate).
        stride: Frames that the entry convolution steps.
        spans: Equal parts of the clip whose averages are concatenated, so that order in time is kept. The embedding
            has width x spans dimensions a stream.
    """

    width: int = 128
    blocks: int = 3
    kernel: int = 9
    stride: int = 2
    spans: int = 4


class TemporalConvolution(nn.Module):
    """BatchNorm, one strided convolution over all joints, residual blocks, averages over spans of time, whitening.

    Every person is encoded alone; the feature of a clip is the mean over the persons present.
    """

    def __init__(self, joints: int, frames: int, config: ConvolutionConfig) -> None:
        """For (N, M, frames, joints, 3) input.

        Raises:
            ValueError: if the frames do not divide into spans, or the kernel has no middle.
        """
        super().__init__()
        if config.kernel % 2 == 0:
            raise ValueError(f"a kernel of {config.kernel} frames has none in its middle; take an odd number")
        if frames % (config.stride * config.spans):
            raise ValueError(f"{frames} frames at stride {config.stride} do not divide into {config.spans} equal spans")
        self.spans = config.spans
        self.dim = config.width * config.spans
        # Convolutions are two-dimensional over (time, 1): channels-last layout then makes pointwise ones plain matrix
        # products, 1.4 times as fast in training as Conv1d on a CPU.
        self.norm = nn.BatchNorm2d(3 * joints)
        self.entry = nn.Conv2d(
            3 * joints,
            config.width,
            (config.kernel, 1),
            stride=(config.stride, 1),
            padding=(config.kernel // 2, 0),
        )
        self.blocks = nn.Sequential(*(_Block(config.width, config.kernel) for _ in range(config.blocks)))
        # Not learnt by gradient: the identity until pretraining is over, then fitted to the features' covariance
        # (train/whiten.py), so that cosines are not ruled by the few directions in which all clips differ most.
        self.whiten = nn.Linear(self.dim, self.dim).requires_grad_(False)
        self.whiten.weight.zero_().fill_diagonal_(1.0)  # nn.init.eye_ is slow to start on the meta device
        nn.init.zeros_(self.whiten.bias)

    def forward(self, poses: Tensor, present: Tensor) -> Tensor:
        """Features of one modality.

        Args:
            poses: (N, M, T, V, 3).
            present: (N, M) whether a person is there at all.

        Returns:
            (N, dim).
        """
        persons = poses[present].flatten(2)  # (R, T, 3V): absent persons cost nothing
        x = persons.transpose(1, 2)[..., None]  # (R, 3V, T, 1) in channels-last memory
        x = self.blocks(self.entry(self.norm(x)))  # (R, width, T / stride, 1)
        x = x.flatten(2).unflatten(2, (self.spans, -1)).mean(dim=3)  # (R, width, spans)
        x = x.transpose(1, 2).flatten(1)  # (R, dim), the spans in order
        clip = present.nonzero()[:, 0]
        total = x.new_zeros(len(poses), self.dim).index_add_(0, clip, x)
        return self.whiten(total / present.sum(dim=1, keepdim=True).clamp(min=1))


class _Block(nn.Module):
    """x + BN(W2 relu(W1 BN(depthwise(x)))): time and channels are mixed apart, which needs a ninth of the weights."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.time = nn.Conv2d(width, width, (kernel, 1), padding=(kernel // 2, 0), groups=width, bias=False)
        self.time_norm = nn.BatchNorm2d(width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.reduce = nn.Conv2d(2 * width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)  # a block starts as the identity: the untrained encoder already averages poses

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.reduce(torch.relu(self.expand(self.time_norm(self.time(x))))))
