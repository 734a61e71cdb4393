"""The causal two-GRU stack: the backbone of the paper line.

The public CMD code steps a "bidirectional" GRU one frame at a time, so that its `*_reverse` weights also run forward
in time. Each layer is thus two forward GRUs side by side, and a layer's input is the concatenation of both outputs of
the layer below. Written so, whole sequences run in one call a GRU, and an embedding can be updated frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from skelrep.matmul import Product, product

# For every layer and each of its GRUs the state (N, hidden) and its product with the state's weights (N, 3 x hidden).
State = list[list[tuple[Tensor, Tensor]]]


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
            factors = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            last, x = x, x.permute(2, 0, 1).contiguous()
            for pair in self.layers:
                x, last = _Pair.apply(x, factors, trains, *pair.parameters())  # type: ignore[misc]
            return last
        x = x.transpose(1, 2)
        for first, second in self.layers:  # type: ignore[misc]
            x = torch.cat([first(x)[0], second(x)[0]], dim=-1)  # (N, T, dim)
        return x[:, -1]

    def packed(self, precision: str) -> PackedStack:
        """`forward` as it is at this moment, in evaluation mode, on a CPU several times as fast."""
        return PackedStack(self, precision)


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
    def forward(ctx: Any, x: Tensor, factors: torch.dtype, keep: bool, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """States (T, N, 2 x hidden) in the products' dtype, and the last of them (N, 2 x hidden) in the weights' dtype.

        Args:
            ctx: autograd's.
            x: (T, N, features), contiguous.
            factors: dtype of those of all products.
            keep: Whether there may be a backward pass.
            *parameters: Of the one GRU, then of the other.
        """
        hidden = parameters[1].shape[1]
        states = x.new_empty(*x.shape[:2], 2 * hidden, dtype=factors)
        kept: list[Tensor] = []
        rows = x.to(factors)
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
            mine = slice(side * hidden, (side + 1) * hidden)
            own, half = states[:, :, mine], len(kept) // 2
            start = x.new_zeros(clips, hidden, dtype=exact) if of_last is None else of_last[:, mine].clone()
            above = None if of_states is None else of_states[:, :, mine]
            of_gates = _rewind(own, kept[side * half : (side + 1) * half], of_state, start, above).flatten(0, 1)
            of_a, of_b = of_gates[:, hidden:], of_gates[:, : 3 * hidden]
            of_u = product(of_b[clips:].t(), own[:-1].flatten(0, 1).t()).to(exact)  # before the first frame is nothing
            of_bias = of_gates.sum(dim=0).to(exact)
            found += [product(of_a.t(), rows.t()).to(exact), of_u.roll(-hidden, 0)]
            found += [of_bias[hidden:], of_bias[: 3 * hidden].roll(-hidden)]
            if ctx.needs_input_grad[0]:
                part = product(of_a, of_input.to(states.dtype).t())
                of_rows = part if of_rows is None else of_rows.add_(part)
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
    of_input, of_state = of_input.to(x.dtype), of_state.to(x.dtype)
    of_state = of_state.t().contiguous().t()  # in this order a small product is a fifth faster
    bias = torch.cat([input_bias[: 2 * hidden] + state_bias[: 2 * hidden], input_bias[2 * hidden :]])
    state_bias = state_bias[2 * hidden :]
    state = x.new_zeros(clips, hidden, dtype=exact)
    rounded = state.to(x.dtype)  # the same tensor where no dtype differs, and then copying is nothing
    for rows, out in zip(x.split(CHUNK), states.split(CHUNK)):
        gates = product(rows.flatten(0, 1), of_input).to(exact).add_(bias).view(*rows.shape[:2], 3 * hidden)
        inner = gates.new_empty(*rows.shape[:2], hidden)
        if kept is not None:
            kept += [gates, inner]
        views = gates[:, :, : 2 * hidden], *gates.split(hidden, dim=2), inner, out
        for both, reset, keep, new, b, now in zip(*(view.unbind(0) for view in views)):
            wide = product(rounded, of_state).to(exact)
            both.add_(wide[:, : 2 * hidden]).sigmoid_()
            torch.add(wide[:, 2 * hidden :], state_bias, out=b)
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
    of_state = of_state.roll(hidden, 0).to(states.dtype).t()  # n, r, z
    gates, inner = ([frame for chunk in kept[i::2] for frame in chunk] for i in range(2))
    found = states.new_empty(frames, clips, 4 * hidden)
    part = torch.empty_like(gradient)
    zero = states.new_zeros(clips, hidden)
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
        gradient.mul_(keep).add_(product(found[time, :, : 3 * hidden], of_state))
    return found


class PackedStack:
    """A stack whose weights are constants, with packed products: over whole clips, or a frame at a time.

    Chunks of frames go through all layers at once, and the products of all their inputs are one.

    With n = tanh(a) = 2 s(2 a) - 1 and the state kept as u = h / 2, a GRU step needs no tanh, which costs twice a
    sigmoid: u' = m + z (u - m) with m = s(2 a) - 1/2. The factors disappear in the weights. Not in bfloat16, which has
    more digits around tanh(0) than around s(0).

    BatchNorm stays outside: a joint that never moves has a scale of hundreds, which in the weights would leave the
    others nothing of int8's range.
    """

    def __init__(self, stack: RecurrentStack, precision: str) -> None:
        """Packs the weights as they are."""
        self.stack, self.precision = stack, precision
        self.gain = 1.0 if precision == "bfloat16" else 2.0  # h = gain u
        self.layers: list[tuple[Product, list[Product]]] = []
        before = 1.0  # of what the layer is given
        for grus in stack.layers:
            inputs, hidden = zip(*(self._gates(gru, before) for gru in grus))  # type: ignore[arg-type]
            weight, bias = (torch.cat(parts) for parts in zip(*inputs))
            recurrent = [Product(weight, bias, precision) for weight, bias in hidden]
            self.layers.append((Product(weight, bias, precision), recurrent))
            before = self.gain
        self.hidden = stack.dim // 2

    def _gates(self, gru: nn.GRU, before: float) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Weight and bias of a GRU's inputs, and of its states u; rows are the gates r, z, n."""
        of_input, of_state, input_bias, state_bias = [part.detach() for part in gru.parameters()]
        rows = torch.ones_like(input_bias)
        rows[-gru.hidden_size :] = self.gain  # s(2 a), or tanh(a)
        columns = rows[:, None]
        return (before * columns * of_input, rows * input_bias), (self.gain * columns * of_state, rows * state_bias)

    def __call__(self, poses: Tensor, present: Tensor) -> Tensor:
        """`RecurrentStack.forward`."""
        if self.precision == "float32" and len(poses) < FEW:
            return self.stack(poses)
        frames = self.stack.norm(_flatten(poses).transpose(1, 2)).permute(2, 0, 1).contiguous()  # (T, N, F)
        clips, hidden = len(poses), self.hidden
        states = [[frames.new_zeros(clips, hidden)] * 2 for _ in self.layers]
        for chunk in frames.split(CHUNK):
            rows = chunk.flatten(0, 1)
            for (inputs, recurrent), state in zip(self.layers, states):
                given = inputs(rows).view(len(chunk), clips, 2, 3 * hidden)
                out = given.new_empty(len(chunk), clips, 2, hidden)
                for time in range(len(chunk)):
                    for side, recur in enumerate(recurrent):
                        state[side] = self._next(given[time, :, side], recur(state[side]), state[side])
                        out[time, :, side] = state[side]
                rows = out.flatten(2).flatten(0, 1)
        return torch.cat(states[-1], dim=1).float() * self.gain

    def _next(self, of_input: Tensor, of_state: Tensor, state: Tensor) -> Tensor:
        """The state u (N, hidden) after a frame, from both products (N, 3 x hidden) and the state before."""
        hidden = self.hidden
        gates = torch.sigmoid_(of_state[:, : 2 * hidden] + of_input[:, : 2 * hidden])
        reset, keep = gates[:, :hidden], gates[:, hidden:]
        new = torch.addcmul(of_input[:, 2 * hidden :], reset, of_state[:, 2 * hidden :])
        new = new.tanh_() if self.gain == 1 else new.sigmoid_().sub_(0.5)
        return torch.lerp(new, state.to(new.dtype), keep)

    def start(self, clips: int) -> State:
        """The state before the first frame."""
        zero = self.stack.norm.weight.new_zeros(clips, self.hidden)
        return [[(zero, recur(zero)) for recur in recurrent] for _, recurrent in self.layers]

    def step(self, poses: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame on, for one reading of all weights, which is what takes the time.

        Args:
            poses: (N, M, F, V, 3): a frame; if there are more, they are other frames that might come after it.
            state: So far.

        Returns:
            The feature (N, dim) with the last of the frames, and the state after the first.
        """
        rows = self.stack.norm(_flatten(poses).transpose(1, 2)).permute(2, 0, 1).contiguous()  # (F, N, features)
        after: State = []
        for (inputs, recurrent), before in zip(self.layers, state):
            given = inputs(rows.flatten(0, 1)).view(*rows.shape[:2], 2, 3 * self.hidden)
            out, new = [], []
            for side, (recur, (own, of_own)) in enumerate(zip(recurrent, before)):
                own = self._next(given[0, :, side], of_own, own)
                of_own = recur(own)
                new.append((own, of_own))
                out.append(torch.stack([own, *(self._next(x[:, side], of_own, own) for x in given[1:])]))
            after.append(new)
            rows = torch.cat(out, dim=2)
        return rows[-1].float() * self.gain, after


def _flatten(poses: Tensor) -> Tensor:
    """(N, M, T, V, C) to (N, T, V x C x M) with the person index fastest, CMD's order of its 150 inputs."""
    return poses.permute(0, 2, 3, 4, 1).flatten(2)
