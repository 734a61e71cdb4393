"""A recurrent stack with constant weights and packed products, for whole clips or frame by frame.

`RecurrentStack.states` is the readable form; tests check that both are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from torch import Tensor, nn

from skelrep.encoder.moments import Moments, of_clip
from skelrep.encoder.recurrent_cpu import CHUNK, MIN_CLIPS
from skelrep.matmul import Product

if TYPE_CHECKING:
    from skelrep.encoder.recurrent import RecurrentStack


class State(NamedTuple):
    """After the frames so far.

    Attributes:
        layers: For every layer and each of its GRUs the state (N, hidden) and its product with weight_hh (N, 3 x
            hidden).
        moments: Of the last layer's states.
    """

    layers: list[list[tuple[Tensor, Tensor]]]
    moments: Moments


class PackedStack:
    """A stack with constant weights and packed products; a `CausalNetwork`.

    Frames are processed in chunks: each layer computes one input product for all frames of a chunk.

    A tanh takes twice the time of the logistic function s. With n = tanh(a) = 2 s(2 a) - 1 and the state stored as
    u = h / 2, a GRU step needs no tanh: u' = m + z (u - m) with m = s(2 a) - 1/2. The factors are multiplied into the
    weights. In bfloat16 tanh is used, because bfloat16 is more precise near tanh(0) than near s(0).

    BatchNorm is not folded into the weights: a joint that never moves has a scale of hundreds, and int8 would then have
    no range left for the other joints.
    """

    def __init__(self, stack: RecurrentStack, precision: str) -> None:
        """Packs the current weights."""
        self.stack, self.precision = stack, precision
        self.hidden = stack.width // 2
        self.gain = 1.0 if precision == "bfloat16" else 2.0  # h = gain u
        self.layers: list[tuple[Product, list[Product]]] = []  # input products of both GRUs as one, recurrent products
        input_gain = 1.0  # the input of the first layer is poses, of the others states u
        for pair in stack.pairs():
            inputs, recurrent = zip(*(self._scaled(gru, input_gain) for gru in pair))
            weight_ih, bias_ih = (torch.cat(parts) for parts in zip(*inputs))
            products = [Product(weight_hh, bias_hh, precision) for weight_hh, bias_hh in recurrent]
            self.layers.append((Product(weight_ih, bias_ih, precision), products))
            input_gain = self.gain

    def _scaled(self, gru: nn.GRU, input_gain: float) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Weight and bias for a GRU's inputs, and for its states u; rows are the gates r, z, n."""
        weight_ih, weight_hh, bias_ih, bias_hh = (part.detach() for part in gru.parameters())
        gate_gain = torch.ones_like(bias_ih)
        gate_gain[-self.hidden :] = self.gain  # s(2 a), or tanh(a)
        rows = gate_gain[:, None]
        return (input_gain * rows * weight_ih, gate_gain * bias_ih), (self.gain * rows * weight_hh, gate_gain * bias_hh)

    def __call__(
        self,
        poses: Annotated[Tensor, "N M T V 3"],
        present: Annotated[Tensor, "N M"],
        lengths: Annotated[Tensor, "N"] | None = None,
    ) -> Annotated[Tensor, "N D"]:
        """`RecurrentStack.forward`."""
        if self.precision == "float32" and len(poses) < MIN_CLIPS:
            return self.stack(poses, present, lengths)
        present_or_all = None if present.all() else present
        return self.stack.over_persons(lambda x: self._feature(x, lengths), poses, present_or_all)

    def _feature(self, poses: Annotated[Tensor, "N M T V 3"], lengths: Tensor | None) -> Annotated[Tensor, "N D"]:
        frames = self._rows(poses)
        clips, hidden = len(poses), self.hidden
        states = [[frames.new_zeros(clips, hidden)] * 2 for _ in self.layers]
        last_layer: list[Tensor] = []
        for chunk in frames.split(CHUNK):
            rows = chunk.flatten(0, 1)
            for (input_product, products), state in zip(self.layers, states):
                igates = input_product(rows).view(len(chunk), clips, 2, 3 * hidden)
                out = igates.new_empty(len(chunk), clips, 2, hidden)
                for time in range(len(chunk)):
                    for gru, product in enumerate(products):
                        state[gru] = self._next(igates[time, :, gru], product(state[gru]), state[gru])
                        out[time, :, gru] = state[gru]
                rows = out.flatten(2).flatten(0, 1)
            if self.stack.moments or lengths is not None:
                last_layer.append(rows.float().view(len(chunk), clips, 2 * hidden) * self.gain)
        if self.stack.moments:
            return of_clip(torch.cat(last_layer), lengths)
        if lengths is not None:
            return last_of_each(torch.cat(last_layer), lengths)
        return torch.cat(states[-1], dim=1).float() * self.gain

    def _rows(self, poses: Annotated[Tensor, "N M T V 3"]) -> Annotated[Tensor, "T N F"]:
        """Normalised rows (T, N, features)."""
        return self.stack.rows(poses).transpose(0, 1).contiguous()

    def _next(
        self, igates: Annotated[Tensor, "N G"], hgates: Annotated[Tensor, "N G"], state: Annotated[Tensor, "N H"]
    ) -> Annotated[Tensor, "N H"]:
        """The next state u (N, hidden), from both products (N, 3 x hidden) and the previous state."""
        hidden = self.hidden
        gates = torch.sigmoid_(hgates[:, : 2 * hidden] + igates[:, : 2 * hidden])
        reset, update = gates[:, :hidden], gates[:, hidden:]
        new = torch.addcmul(igates[:, 2 * hidden :], reset, hgates[:, 2 * hidden :])
        new = new.tanh_() if self.gain == 1 else new.sigmoid_().sub_(0.5)
        return torch.lerp(new, state.to(new.dtype), update)

    def start(self, clips: int) -> State:
        """The state before the first frame."""
        zero = self.stack.norm.weight.new_zeros(clips, self.hidden)
        none = zero.new_zeros(clips, 2 * self.hidden)
        layers = [[(zero, product(zero)) for product in products] for _, products in self.layers]
        return State(layers, Moments(0, none, none))

    def step(self, poses: Tensor, state: State) -> tuple[Tensor, State]:
        """Processes one frame; see `CausalNetwork.step`. Most of the time is spent on reading all weights once."""
        rows = self._rows(poses)
        after = []
        for (input_product, products), pair in zip(self.layers, state.layers):
            igates = input_product(rows.flatten(0, 1)).view(*rows.shape[:2], 2, 3 * self.hidden)
            out, new = [], []
            for gru, (product, (own, hgates)) in enumerate(zip(products, pair)):
                own = self._next(igates[0, :, gru], hgates, own)
                hgates = product(own)
                new.append((own, hgates))
                out.append(torch.stack([own, *(self._next(frame[:, gru], hgates, own) for frame in igates[1:])]))
            after.append(new)
            rows = torch.cat(out, dim=2)
        rows = rows.float() * self.gain
        if not self.stack.moments:
            return rows[-1], State(after, state.moments)
        kept = state.moments.after(rows[0])
        moments = kept
        for row in rows[1:]:
            moments = moments.after(row)
        return moments.feature(), State(after, kept)


def last_of_each(states: Annotated[Tensor, "T N D"], lengths: Annotated[Tensor, "N"]) -> Annotated[Tensor, "N D"]:
    """The states after the last frame of each clip."""
    return states[lengths - 1, torch.arange(len(lengths), device=lengths.device)]
