"""Several processes, one run: started by `torchrun`, each with its part of every batch, all with the same banks."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def start(device: torch.device) -> torch.device:
    """Joins the other processes if `torchrun` started this one; the device that this one works on."""
    if "RANK" not in os.environ or dist.is_initialized():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Leaves the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """This process's number; the one of number 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gathered(part: Tensor, dim: int) -> Tensor:
    """All processes' parts, joined along an axis in the order of their numbers; no gradient passes."""
    if processes() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(processes())]
    dist.all_gather(parts, part.contiguous())
    return torch.cat(parts, dim=dim)


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is raised in any process; every process must ask."""
    if processes() == 1:
        return flag
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return bool(raised.item())


def parallel(module: nn.Module) -> nn.Module:
    """A module whose gradients and BatchNorm statistics are those of all processes' parts together."""
    share_statistics(module)
    wrapped = DistributedDataParallel(module)
    wrapped.broadcast_buffers = False  # they are the same everywhere; as an argument newer torch deprecates it
    return wrapped


def share_statistics(module: nn.Module) -> None:
    """Makes every BatchNorm in a module take its statistics over all processes' parts, as if the batch were one.

    On CUDA by torch's SyncBatchNorm, which takes no other tensors; elsewhere by a few lines that do the same.
    """
    if _on_cuda(module):
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for child in module.modules():
        if type(child) in _SHARED:
            child.__class__ = _SHARED[type(child)]


def _on_cuda(module: nn.Module) -> bool:
    return next(module.parameters()).device.type == "cuda"


class _Sum(torch.autograd.Function):
    """The sum over all processes, of values forwards and of gradients backwards; torch's own is deprecated."""

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
