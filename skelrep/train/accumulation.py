"""Gradient accumulation: the batch of a step in parts, one after the other, which takes less memory.

The losses of a clip depend on the banks and not on the other clips of the batch, and the banks change only after the
step. Therefore the mean of the parts' losses is the loss of the batch, the mean of their gradients is its gradient, and
the keys of all parts are written into the banks in the order of the clips. The only operation across clips is
BatchNorm. If it normalises nothing but the input of a network (`NormalisedInput`: the paper's recurrent network), its
statistics are computed over the whole batch beforehand, so that the step equals the step on the whole batch up to
rounding. BatchNorm between layers (the convolutional network) uses the statistics of each part, as in a batch of that
size; so does an additional loss that compares the clips of a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from skelrep.train import distributed

if TYPE_CHECKING:
    from skelrep.train.i2md import Method


def losses_with_gradients(
    forward: Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]],
    module: Any,
    method: Method,
    views: tuple[Tensor, Tensor, Tensor],
    parts: int,
) -> dict[str, Tensor]:
    """The losses of a batch; adds the gradient of "total" to that of the weights.

    Args:
        forward: Losses of two views (b, M, T, V, 3) and (b,) ids of clips.
        module: What `forward` calls, which synchronises gradients if there are several processes.
        method: The method, which keeps the keys of the parts.
        views: Both views (B, M, T, V, 3) and (B,) ids.
        parts: Number of parts, which divides B.
    """
    if parts == 1:
        losses = forward(*views)
        losses["total"].backward()
        return losses
    sums: dict[str, Tensor] = {}
    with whole_statistics(method.normalised_inputs(*views[:2])):
        for number, part in enumerate(zip(*(view.chunk(parts) for view in views))):
            synchronises = number == parts - 1 or distributed.processes() == 1
            with contextlib.nullcontext() if synchronises else module.no_sync():
                losses = forward(*part)
                (losses["total"] / parts).backward()
            method.after_part()
            sums = {name: sums.get(name, 0) + loss.detach() / parts for name, loss in losses.items()}
    return sums


@contextlib.contextmanager
def whole_statistics(inputs: Iterator[tuple[nn.BatchNorm1d, Tensor]]) -> Iterator[None]:
    """Within the block, each BatchNorm normalises by the statistics of its (R, F) rows; they count as one batch."""
    before = []
    for norm, rows in inputs:
        mean, variance, count = distributed.statistics(rows)
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        own = norm.running_mean.clone(), norm.running_var.clone()
        after = own[0].lerp(mean, norm.momentum), own[1].lerp(variance * (count / (count - 1)), norm.momentum)
        before.append((norm, after))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.eval()
    yield
    for norm, (mean, variance) in before:
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.num_batches_tracked.add_(1)
        norm.train()
