"""Training in several processes started by `torchrun`: each computes a part of every batch; all have equal banks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def start(device: torch.device) -> torch.device:
    """Joins the process group if `torchrun` started this process; returns the device of this process."""
    if "RANK" not in os.environ or dist.is_initialized():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Leaves the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


#: What torch says when another process of the group has ended, by gloo and NCCL.
_ENDED = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "remote process")


@contextlib.contextmanager
def ended_processes_named(folder: Path) -> Iterator[None]:
    """Says in one sentence that another process has ended, which torch reports as an error of a connection.

    Raises:
        ConnectionError: if another process has ended; `folder` is where the run is resumed.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or any(words in str(error) for words in _ENDED)
        if processes() == 1 or not lost:
            raise
        raise ConnectionError(
            f"another process of this run has ended; the last checkpoint is kept in {folder}, and the same command "
            "resumes it"
        ) from error


def rank() -> int:
    """The rank of this process; the process of rank 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gathered(part: Tensor, dim: int) -> Tensor:
    """The parts of all processes, joined along an axis in the order of ranks; no gradient is propagated."""
    if processes() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(processes())]
    dist.all_gather(parts, part.contiguous())
    return torch.cat(parts, dim=dim)


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process; every process must call this."""
    if processes() == 1:
        return flag
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return bool(raised.item())


def parallel(module: nn.Module) -> nn.Module:
    """Wraps a module so that gradients and BatchNorm statistics are computed over the parts of all processes."""
    share_statistics(module)
    wrapped = DistributedDataParallel(module)
    wrapped.broadcast_buffers = False  # buffers are equal in all processes; the argument is deprecated in newer torch
    return wrapped


def share_statistics(module: nn.Module) -> None:
    """Makes every BatchNorm in a module compute its statistics over the parts of all processes.

    On CUDA this is torch's SyncBatchNorm, which only supports CUDA; elsewhere it is an equivalent class below.
    """
    if _on_cuda(module):
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for child in module.modules():
        if type(child) in _SHARED:
            child.__class__ = _SHARED[type(child)]


def _on_cuda(module: nn.Module) -> bool:
    return next(module.parameters()).device.type == "cuda"


@torch.no_grad()
def statistics(rows: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance (F,) of the rows (R, F) of all processes, which have equally many, and their number."""
    rows = rows.float()
    count = len(rows) * processes()
    mean = _total(rows.sum(dim=0)) / count
    return mean, _total((rows - mean).square().sum(dim=0)) / count, count


def _total(part: Tensor) -> Tensor:
    """The sum of the parts of all processes, which overwrites `part`."""
    if processes() > 1:
        dist.all_reduce(part)
    return part


class _Sum(torch.autograd.Function):
    """Sums values over all processes in the forward pass, gradients in the backward pass; torch's own is deprecated."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # type: ignore[override]
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _Sum.forward(ctx, gradient.contiguous())


class _SharedStatistics(nn.modules.batchnorm._BatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        if not self.training or processes() == 1:
            return super().forward(input)
        x = input
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        count = x.numel() // x.shape[1] * processes()  # parts are of equal size
        mean = _Sum.apply(x.float().sum(dim=axes)) / count
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dim=axes)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        gain = (variance + self.eps).rsqrt() * self.weight
        return centred * gain.view(shape) + self.bias.view(shape)


class _Shared1d(_SharedStatistics, nn.BatchNorm1d): ...


class _Shared2d(_SharedStatistics, nn.BatchNorm2d): ...


_SHARED: dict[type, type] = {nn.BatchNorm1d: _Shared1d, nn.BatchNorm2d: _Shared2d}
