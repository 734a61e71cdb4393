"""The causal two-GRU stack: the backbone of the paper line.

The public CMD code steps a "bidirectional" GRU one frame at a time, so that its `*_reverse` weights also run forward
in time. Each layer is thus two forward GRUs side by side, and a layer's input is the concatenation of both outputs of
the layer below. Written so, whole sequences run in one call a GRU, and an embedding can be updated frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skelrep.products import Product

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

    def packed(self, precision: str) -> Callable[[Tensor, Tensor], Tensor]:
        """`forward` as it is at this moment, in evaluation mode on a CPU, several times as fast; see `_Packed`."""
        return _Packed(self, precision)

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


FEW = 8  # clips; of fewer torch's own GRU is the faster, for it reads the weights of a layer once, and has no 64 calls
CHUNK = 8  # frames that go through all layers before the next: what one layer leaves is in the cache for the next one


class _Packed:
    """A stack whose weights are constants, with packed products.

    Chunks of frames go through all layers at once, and the products of all their inputs are one.

    With n = tanh(a) = 2 s(2 a) - 1 and the state kept as u = h / 2, a GRU step needs no tanh, which costs twice a
    sigmoid: u' = m + z (u - m) with m = s(2 a) - 1/2. The factors disappear in the weights. Not in bfloat16, which has
    more digits around tanh(0) than around s(0).

    BatchNorm stays outside: a joint that never moves has a scale of hundreds, which in the weights would leave the
    others nothing of int8's range.
    """

    def __init__(self, stack: RecurrentStack, precision: str) -> None:
        self.stack, self.precision = stack, precision
        self.gain = 1.0 if precision == "bfloat16" else 2.0  # h = gain u
        self.layers: list[tuple[Product, list[Product]]] = []
        before = 1.0  # of what the layer is given
        for grus in stack.layers:
            inputs, hidden = zip(*(self._gates(gru, before) for gru in grus))  # type: ignore[arg-type]
            weight, bias = (torch.cat(parts) for parts in zip(*inputs))
            products = [Product(weight, bias, precision) for weight, bias in hidden]
            self.layers.append((Product(weight, bias, precision), products))
            before = self.gain
        self.hidden = stack.dim // 2

    def _gates(self, gru: nn.GRU, before: float) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Weight and bias of a GRU's inputs, and of its states u; rows are the gates r, z, n."""
        of_input, of_state, input_bias, state_bias = [part.detach() for part in gru.parameters()]
        rows = torch.ones(len(input_bias))
        rows[-gru.hidden_size :] = self.gain  # s(2 a), or tanh(a)
        columns = rows[:, None]
        return (before * columns * of_input, rows * input_bias), (self.gain * columns * of_state, rows * state_bias)

    def __call__(self, poses: Tensor, present: Tensor) -> Tensor:
        if self.precision == "float32" and len(poses) < FEW:
            return self.stack(poses)
        frames = self.stack.norm(_flatten(poses).transpose(1, 2)).permute(2, 0, 1).contiguous()  # (T, N, F)
        clips, hidden = len(poses), self.hidden
        states = [[frames.new_zeros(clips, hidden)] * 2 for _ in self.layers]
        for chunk in frames.split(CHUNK):
            rows = chunk.flatten(0, 1)
            for (inputs, products), state in zip(self.layers, states):
                given = inputs(rows).view(len(chunk), clips, 2, 3 * hidden)
                out = given.new_empty(len(chunk), clips, 2, hidden)
                for time in range(len(chunk)):
                    for side, product in enumerate(products):
                        x, h = given[time, :, side], product(state[side])
                        gates = torch.sigmoid_(h[:, : 2 * hidden] + x[:, : 2 * hidden])
                        reset, keep = gates[:, :hidden], gates[:, hidden:]
                        new = torch.addcmul(x[:, 2 * hidden :], reset, h[:, 2 * hidden :])
                        new = new.tanh_() if self.gain == 1 else new.sigmoid_().sub_(0.5)
                        state[side] = torch.lerp(new, state[side].to(new.dtype), keep)
                        out[time, :, side] = state[side]
                rows = out.flatten(2).flatten(0, 1)
        return torch.cat(states[-1], dim=1).float() * self.gain


def _flatten(poses: Tensor) -> Tensor:
    """(N, M, T, V, C) to (N, T, V x C x M) with the person index fastest, CMD's order of its 150 inputs."""
    return poses.permute(0, 2, 3, 4, 1).flatten(2)
