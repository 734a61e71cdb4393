"""A hand-written forward and backward pass of the two GRUs of a recurrent layer on a CPU.

`RecurrentStack.states`, with torch's GRU, is the readable form; tests check that values and gradients are equal. This
form exists for speed (see docs/performance.md): with torch's GRU, autograd computes a gradient of the recurrent weight
for every frame and adds them up; and without gradients, as in momentum encoders, autocast rounds the weights again for
every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from skelrep.matmul import product

MIN_CLIPS = 8  # with fewer clips and no gradients, torch's GRU is faster: one call instead of 64
CHUNK = 8  # frames with a common input product, whose result stays in the processor's cache


def pays(rows: Tensor) -> bool:
    """Whether this form is faster than torch's GRU for (N, T, features) rows."""
    several = torch.is_grad_enabled() or len(rows) >= MIN_CLIPS
    return rows.device.type == "cpu" and several and not torch.compiler.is_compiling()


def all_states(rows: Annotated[Tensor, "N T F"], pairs: Sequence[tuple[nn.GRU, nn.GRU]]) -> tuple[Tensor, Tensor]:
    """`RecurrentStack.states` of (N, T, features) rows: of all frames, (T, N, 2 x hidden), and of the last (N, ...).

    Under autocast those of all frames are rounded.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else rows.dtype
    x, last = rows.transpose(0, 1).contiguous(), rows
    for first, second in pairs:
        parameters = [*first.parameters(), *second.parameters()]
        x, last = GRUPair.apply(x, dtype, torch.is_grad_enabled(), *parameters)
    return x, last


class GRUPair(torch.autograd.Function):
    """Two GRUs over the same sequences, with backpropagation through time.

    s is the logistic function, x are inputs, h states; the gates of weights and biases are in torch's order r, z, n:

        i = W x_t + c        k = U h_t-1 + d                                        (igates, hgates)
        r = s(i_r + k_r)     z = s(i_z + k_z)     n = tanh(i_n + r k_n)     h_t = n + z (h_t-1 - n)

    With g the gradient of h_t, from the layer above and from the next frame, the gradient of

        i_n is (1 - z) g (1 - n^2)                k_n is r times that of i_n
        i_r and k_r is k_n times that of i_n, times r (1 - r)
        i_z and k_z is (h_t-1 - n) g z (1 - z)    h_t-1 is z g + U^T times that of k

    Only the products with U depend on the previous or next frame. The products with W, and the gradients of x and of
    all weights, are computed for all frames, or for a chunk of them, at once.

    Under autocast, the factors of all products are rounded, each weight once; gates, the running state and the running
    gradient are not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype, keep: bool, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        """States (T, N, 2 x hidden) in the products' dtype, and the last one (N, 2 x hidden) in the weights' dtype.

        Args:
            ctx: The context of autograd.
            x: (T, N, features), contiguous.
            dtype: The dtype of the factors of all products.
            keep: Whether there may be a backward pass.
            *parameters: weight_ih, weight_hh, bias_ih and bias_hh of the first GRU, then of the second.
        """
        hidden = parameters[1].shape[1]
        states = x.new_empty(*x.shape[:2], 2 * hidden, dtype=dtype)
        saved: list[Tensor] = []
        rows = x.to(dtype)
        last = [
            _forward_in_time(rows, half, weights, saved if keep else None)
            for half, weights in zip(states.split(hidden, dim=2), (parameters[:4], parameters[4:]))
        ]
        if keep:
            ctx.save_for_backward(x, states, *parameters, *saved)
        ctx.set_materialize_grads(False)  # the last layer has no gradient of `states`, the others none of `last`
        return states, torch.cat(last, dim=1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - of the decorator
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """The gradients of x and of all parameters, from the gradients of both results."""
        grad_states, grad_last = gradients
        x, states, *rest = ctx.saved_tensors
        parameters, saved = rest[:8], rest[8:]
        exact, hidden = parameters[0].dtype, parameters[1].shape[1]
        frames, clips, features = x.shape
        rows = x.to(states.dtype).flatten(0, 1)
        grad_rows: Tensor | None = None
        grad_parameters: list[Tensor] = []
        for gru in range(2):
            weight_ih, weight_hh = parameters[4 * gru : 4 * gru + 2]
            columns = slice(gru * hidden, (gru + 1) * hidden)
            own_states, count = states[:, :, columns], len(saved) // 2
            grad_end = x.new_zeros(clips, hidden, dtype=exact) if grad_last is None else grad_last[:, columns].clone()
            grad_above = None if grad_states is None else grad_states[:, :, columns]
            grad_gates = _backward_in_time(
                own_states, saved[gru * count : (gru + 1) * count], weight_hh, grad_end, grad_above
            ).flatten(0, 1)
            grad_i = grad_gates[:, hidden:]  # of r, z, n
            grad_k = grad_gates[:, : 3 * hidden]  # of n, r, z: `roll` brings them into torch's order
            grad_ih = product(grad_i.t(), rows.t()).to(exact)
            # The state before the first frame is zero and contributes nothing.
            grad_hh = product(grad_k[clips:].t(), own_states[:-1].flatten(0, 1).t()).to(exact)
            grad_bias = grad_gates.sum(dim=0).to(exact)
            grad_parameters += [grad_ih, grad_hh.roll(-hidden, 0)]
            grad_parameters += [grad_bias[hidden:], grad_bias[: 3 * hidden].roll(-hidden)]
            if ctx.needs_input_grad[0]:
                part = product(grad_i, weight_ih.to(states.dtype).t())
                grad_rows = part if grad_rows is None else grad_rows.add_(part)
        grad_x = None if grad_rows is None else grad_rows.view(frames, clips, features).to(x.dtype)
        return grad_x, None, None, *grad_parameters


def _forward_in_time(
    x: Annotated[Tensor, "T N F"],
    states: Annotated[Tensor, "T N H"],
    weights: Sequence[Tensor],
    saved: list[Tensor] | None,
) -> Annotated[Tensor, "N H"]:
    """One GRU over (T, N, features); see `GRUPair`.

    Args:
        x: In the products' dtype.
        states: (T, N, hidden) of the same dtype; written.
        weights: W, U, c and d.
        saved: For each chunk, r, z and n as one tensor (frames, N, 3 x hidden) and k_n (frames, N, hidden) are
            appended.

    Returns:
        The last state (N, hidden).
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    clips, hidden, exact = x.shape[1], weight_hh.shape[1], weight_hh.dtype
    weight_ih, weight_hh = weight_ih.to(x.dtype), weight_hh.to(x.dtype)
    weight_hh = weight_hh.t().contiguous().t()  # with this memory layout a small product is a fifth faster
    bias = torch.cat([bias_ih[: 2 * hidden] + bias_hh[: 2 * hidden], bias_ih[2 * hidden :]])
    bias_n = bias_hh[2 * hidden :]  # part of k_n, which is multiplied by r, so it cannot be added to the other bias
    state = x.new_zeros(clips, hidden, dtype=exact)
    rounded = state.to(x.dtype)  # the same tensor if the dtypes are equal; then copying to it is free
    for rows, out in zip(x.split(CHUNK), states.split(CHUNK)):
        gates = product(rows.flatten(0, 1), weight_ih).to(exact).add_(bias).view(*rows.shape[:2], 3 * hidden)
        k_n = gates.new_empty(*rows.shape[:2], hidden)
        if saved is not None:
            saved += [gates, k_n]
        # The parts of all frames at once, because slicing frame by frame takes longer than a small step.
        parts = gates[:, :, : 2 * hidden], *gates.split(hidden, dim=2), k_n, out
        for reset_update, reset, update, new, k, now in zip(*(part.unbind(0) for part in parts)):
            hgates = product(rounded, weight_hh).to(exact)
            reset_update.add_(hgates[:, : 2 * hidden]).sigmoid_()
            torch.add(hgates[:, 2 * hidden :], bias_n, out=k)
            new.addcmul_(reset, k).tanh_()
            torch.lerp(new, state, update, out=state)
            now.copy_(rounded.copy_(state))
    return state


def _backward_in_time(
    states: Annotated[Tensor, "T N H"],
    saved: Sequence[Tensor],
    weight_hh: Annotated[Tensor, "G H"],
    grad_state: Annotated[Tensor, "N H"],
    grad_above: Annotated[Tensor, "T N H"] | None,
) -> Annotated[Tensor, "T N K"]:
    """One GRU back through time; see `GRUPair`.

    Args:
        states: (T, N, hidden).
        saved: The tensors that `_forward_in_time` appended.
        weight_hh: U.
        grad_state: Gradient of the last state (N, hidden), in addition to `grad_above`; overwritten.
        grad_above: Gradients of all states (T, N, hidden) from the layer above, if any.

    Returns:
        (T, N, 4 x hidden) in the dtype of the states: the gradients of k_n, i_r, i_z and i_n. The last three quarters
        are those of i; the first three are those of k, in the order n, r, z.
    """
    frames, clips, hidden = states.shape
    weight_k = weight_hh.roll(hidden, 0).to(states.dtype).t()  # its columns in the order n, r, z
    gates, k_n = ([frame for chunk in saved[i::2] for frame in chunk] for i in range(2))
    grad_gates = states.new_empty(frames, clips, 4 * hidden)
    part = torch.empty_like(grad_state)
    zero = states.new_zeros(clips, hidden)
    tanh_backward = torch.ops.aten.tanh_backward.grad_input
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    for time in reversed(range(frames)):
        if grad_above is not None:
            grad_state += grad_above[time]
        reset, update, new = gates[time].split(hidden, dim=1)
        grad_k_n, grad_r, grad_z, grad_i_n = grad_gates[time].split(hidden, dim=1)
        torch.addcmul(grad_state, grad_state, update, value=-1, out=part)  # (1 - z) g
        grad_i_n.copy_(tanh_backward(part, new, grad_input=part))
        torch.mul(part, reset, out=grad_k_n)
        sigmoid_backward(part.mul_(k_n[time]), reset, grad_input=grad_r)
        torch.sub(states[time - 1] if time else zero, new, out=part)  # h_t-1 - n
        sigmoid_backward(part.mul_(grad_state), update, grad_input=grad_z)
        grad_state.mul_(update).add_(product(grad_gates[time, :, : 3 * hidden], weight_k))
    return grad_gates
