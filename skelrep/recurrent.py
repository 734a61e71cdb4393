"""The causal two-GRU stack: the backbone of the paper line.

The public CMD code steps a "bidirectional" GRU one frame at a time, so that its `*_reverse` weights also run forward
in time. Each layer is thus two forward GRUs side by side, and a layer's input is the concatenation of both outputs of
the layer below. Written so, whole sequences run in one call a GRU, and an embedding can be updated frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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
        x = self.norm(_flatten(poses).transpose(1, 2))  # (N, features, T)
        trains = torch.is_grad_enabled()
        if x.device.type == "cpu" and (trains or len(x) >= FEW) and not torch.compiler.is_compiling():
            product = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            last, x = x, x.permute(2, 0, 1).contiguous()
            for pair in self.layers:
                x, last = _Pair.apply(x, product, trains, *pair.parameters())  # type: ignore[misc]
            return last
        x = x.transpose(1, 2)
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
CHUNK = 8  # frames that go through a layer's input product, or all layers, at once: what it leaves is in the cache


class _Pair(torch.autograd.Function):
    """The two GRUs of a layer over whole sequences on a CPU, and back through time.

    With s the logistic function, inputs x, states h, and the gates of a weight and a bias in torch's order r, z, n:

        a = W x_t + c        b = U h_t-1 + d
        r = s(a_r + b_r)     z = s(a_z + b_z)     n = tanh(a_n + r b_n)     h_t = n + z (h_t-1 - n)

    If g is the gradient of h_t, from the layer above and from the frame after, then that of

        a_n is (1 - z) g (1 - n^2)                b_n is r times that of a_n
        a_r and b_r is b_n times that of a_n, times r (1 - r)
        a_z and b_z is (h_t-1 - n) g z (1 - z)    h_t-1 is z g + U^T times that of b

    Only the products with U need the frame before or after. Those with W, and the gradients of x and of all weights,
    are one product over all frames, or a chunk of them. autograd on torch's GRU makes a gradient of U for each frame,
    and adds them; and where it needs none, as in key encoders, autocast rounds the weights anew for each frame.

    Under autocast the factors of all products are rounded, each weight once; gates, the running state and the running
    gradient are not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, product: torch.dtype, keep: bool, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """States (T, N, 2 x hidden) in the products' dtype, and the last of them (N, 2 x hidden) in the weights' dtype.

        Args:
            ctx: autograd's.
            x: (T, N, features), contiguous.
            product: dtype of the factors of all products.
            keep: Whether there may be a backward pass.
            *parameters: Of the one GRU, then of the other.
        """
        hidden = parameters[1].shape[1]
        states = x.new_empty(*x.shape[:2], 2 * hidden, dtype=product)
        kept: list[Tensor] = []
        rows = x.to(product)
        last = [
            _run(rows, side, weights, kept if keep else None)
            for side, weights in zip(states.split(hidden, dim=2), (parameters[:4], parameters[4:]))
        ]
        if keep:
            ctx.save_for_backward(x, states, *parameters, *kept)
        ctx.set_materialize_grads(False)  # all but the last layer lack the one, the last layer lacks the other
        return states, torch.cat(last, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor | None, of_last: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of x and of all parameters."""
        x, states, *rest = ctx.saved_tensors
        parameters, kept = rest[:8], rest[8:]
        exact, hidden = parameters[0].dtype, parameters[1].shape[1]
        frames, clips, features = x.shape
        rows = x.to(states.dtype).flatten(0, 1)
        of_rows, found = None, []
        for side in range(2):
            of_input, of_state = parameters[4 * side : 4 * side + 2]
            part = slice(side * hidden, (side + 1) * hidden)
            own, half = states[:, :, part], len(kept) // 2
            start = x.new_zeros(clips, hidden, dtype=exact) if of_last is None else of_last[:, part].clone()
            above = None if of_states is None else of_states[:, :, part]
            of_gates = _rewind(own, kept[side * half : (side + 1) * half], of_state, start, above).flatten(0, 1)
            of_a, of_b = of_gates[:, hidden:], of_gates[:, : 3 * hidden]
            of_u = (of_b[clips:].t() @ own[:-1].flatten(0, 1)).to(exact)  # before the first frame there is nothing
            of_bias = of_gates.sum(dim=0).to(exact)
            found += [(of_a.t() @ rows).to(exact), of_u.roll(-hidden, 0)]
            found += [of_bias[hidden:], of_bias[: 3 * hidden].roll(-hidden)]
            if ctx.needs_input_grad[0]:
                weight = of_input.to(states.dtype)
                of_rows = of_a @ weight if of_rows is None else of_rows.addmm_(of_a, weight)
        of_x = None if of_rows is None else of_rows.view(frames, clips, features).to(x.dtype)
        return of_x, None, None, *found


def _run(x: Tensor, states: Tensor, weights: Sequence[Tensor], kept: list[Tensor] | None) -> Tensor:
    """One GRU over (T, N, features); see `_Pair`.

    Args:
        x: In the products' dtype.
        states: (T, N, hidden) of the same, written.
        weights: W, U, c and d.
        kept: Gets for each chunk r, z and n as one tensor (frames, N, 3 x hidden), and b_n (frames, N, hidden).

    Returns:
        The last state (N, hidden).
    """
    of_input, of_state, input_bias, state_bias = weights
    clips, hidden, exact = x.shape[1], of_state.shape[1], of_state.dtype
    of_input = of_input.to(x.dtype).t()
    of_state = of_state.to(x.dtype).t().contiguous()  # in this order a small product is a fifth faster
    both = torch.cat([input_bias[: 2 * hidden] + state_bias[: 2 * hidden], input_bias[2 * hidden :]]).to(x.dtype)
    state = x.new_zeros(clips, hidden, dtype=exact)
    rounded = state.to(x.dtype)  # like `wide` the same tensor where no dtype differs, and then copying is nothing
    product = x.new_empty(clips, 3 * hidden)
    wide = product.to(exact)
    for rows, out in zip(x.split(CHUNK), states.split(CHUNK)):
        gates = torch.addmm(both, rows.flatten(0, 1), of_input).to(exact).view(*rows.shape[:2], 3 * hidden)
        inner = gates.new_empty(*rows.shape[:2], hidden)
        if kept is not None:
            kept += [gates, inner]
        for gate, b, now in zip(gates, inner, out):
            torch.mm(rounded, of_state, out=product)
            wide.copy_(product)
            switches, new = gate.split([2 * hidden, hidden], dim=1)
            switches.add_(wide[:, : 2 * hidden]).sigmoid_()
            torch.add(wide[:, 2 * hidden :], state_bias[2 * hidden :], out=b)
            reset, keep = switches.split(hidden, dim=1)
            new.addcmul_(reset, b).tanh_()
            torch.lerp(new, state, keep, out=state)
            now.copy_(rounded.copy_(state))
    return state


def _rewind(states: Tensor, kept: Sequence[Tensor], of_state: Tensor, gradient: Tensor, above: Tensor | None) -> Tensor:
    """One GRU back through time; see `_Pair`.

    Args:
        states: (T, N, hidden).
        kept: By `_run`.
        of_state: U.
        gradient: Of the last state (N, hidden), beside `above`; overwritten.
        above: Gradients of all states (T, N, hidden), if there are any.

    Returns:
        Gradients of b_n, of r's, of z's and of a_n (T, N, 4 x hidden), in the dtype of the states: without the first
        quarter those of a, without the last those of b.
    """
    frames, clips, hidden = states.shape
    of_state = of_state.roll(hidden, 0).to(states.dtype)  # n, r, z
    gates, inner = ([frame for chunk in kept[i::2] for frame in chunk] for i in range(2))
    found = states.new_empty(frames, clips, 4 * hidden)
    product, part = states.new_empty(clips, hidden), torch.empty_like(gradient)
    zero = torch.zeros_like(product)
    tanh_backward, sigmoid_backward = (
        torch.ops.aten.tanh_backward.grad_input,
        torch.ops.aten.sigmoid_backward.grad_input,
    )
    for time in reversed(range(frames)):
        if above is not None:
            gradient += above[time]
        reset, keep, new = gates[time].split(hidden, dim=1)
        of_b, of_reset, of_keep, of_a = found[time].split(hidden, dim=1)
        torch.addcmul(gradient, gradient, keep, value=-1, out=part)
        of_a.copy_(tanh_backward(part, new, grad_input=part))
        torch.mul(part, reset, out=of_b)
        sigmoid_backward(part.mul_(inner[time]), reset, grad_input=of_reset)
        torch.sub(states[time - 1] if time else zero, new, out=part)
        sigmoid_backward(part.mul_(gradient), keep, grad_input=of_keep)
        torch.mm(found[time, :, : 3 * hidden], of_state, out=product)
        gradient.mul_(keep).add_(product)
    return found


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
