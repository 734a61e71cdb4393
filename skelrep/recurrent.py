"""The causal two-GRU stack: the backbone of the paper line.

The public CMD code steps a "bidirectional" GRU one frame at a time, so that its `*_reverse` weights also run forward
in time. Each layer is thus two forward GRUs side by side, and a layer's input is the concatenation of both outputs of
the layer below. Written so, whole sequences run in one call a GRU, and an embedding can be updated frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]  # for every layer the two hidden states, each (N, hidden)


@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes of a `RecurrentStack`; the defaults are CMD's. The embedding has 2 x hidden dimensions a stream."""

    hidden: int = 1024
    layers: int = 3


class RecurrentStack(nn.Module):
    """BatchNorm over the flattened pose, layers of two forward GRUs, the last frame's output."""

    def __init__(self, joints: int, persons: int, config: RecurrentConfig) -> None:
        """For (N, persons, T, joints, 3) input."""
        super().__init__()
        features = joints * 3 * persons
        self.dim = 2 * config.hidden
        self.norm = nn.BatchNorm1d(features)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.GRU(features if layer == 0 else self.dim, config.hidden, batch_first=True) for _ in range(2)
            )
            for layer in range(config.layers)
        )
        for parameter in self.layers.parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)  # as CMD

    def forward(self, poses: Tensor, present: Tensor | None = None) -> Tensor:
        """Features of one modality: (N, M, T, V, 3) poses to (N, dim). `present` is told by the poses themselves."""
        x = self.norm(_flatten(poses).transpose(1, 2)).transpose(1, 2)
        for first, second in self.layers:  # type: ignore[misc]
            x = torch.cat([first(x)[0], second(x)[0]], dim=-1)  # (N, T, dim)
        return x[:, -1]

    def start(self, clips: int) -> State:
        """The state before the first frame."""
        zero = self.norm.running_mean.new_zeros(clips, self.dim // 2)  # type: ignore[union-attr]
        return [(zero, zero) for _ in self.layers]

    def step(self, pose: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame on: (N, M, V, 3) poses and the state so far to the feature so far (N, dim) and the new state."""
        x = self.norm(_flatten(pose[:, :, None])[:, 0])
        new: State = []
        for (first, second), (a, b) in zip(self.layers, state):  # type: ignore[misc]
            a, b = (gru(x[:, None], hidden[None])[1][0] for gru, hidden in ((first, a), (second, b)))
            new.append((a, b))
            x = torch.cat([a, b], dim=-1)
        return x, new


def _flatten(poses: Tensor) -> Tensor:
    """(N, M, T, V, C) to (N, T, V x C x M) with the person index fastest, CMD's order of its 150 inputs."""
    return poses.permute(0, 2, 3, 4, 1).flatten(2)
