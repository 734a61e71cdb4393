"""Memory banks: the most recent keys of all streams, as queues."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skelrep.train.losses import EXCLUDED


class Memory(nn.Module):
    """Banks with aligned slots, and the clip of each slot.

    Attributes:
        bank: (H, S, K, P) unit vectors of H branches and S streams; slot i of each came from the same clip.
        clip: (K,) clip ids; -1 for slots that have not been written yet and contain random directions.
        cursor: () index of the next slot to write.
    """

    bank: Tensor
    clip: Tensor
    cursor: Tensor

    def __init__(self, branches: int, streams: int, slots: int, width: int) -> None:
        """Fills the banks with random directions, as in MoCo."""
        super().__init__()
        self.register_buffer("bank", nn.functional.normalize(torch.randn(branches, streams, slots, width), dim=-1))
        self.register_buffer("clip", torch.full((slots,), -1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))

    def own(self, clip: Tensor) -> Tensor:
        """(B, K): `EXCLUDED` if a slot contains the clip itself, else 0; the `exclude` argument of `similarity`."""
        return (clip[:, None] == self.clip) * EXCLUDED

    @torch.no_grad()
    def write(self, keys: Tensor, clip: Tensor) -> None:
        """Overwrites the oldest slots with (H, S, B, P) keys of (B,) clips, without synchronising with the host."""
        slots = (self.cursor + torch.arange(len(clip), device=clip.device)) % len(self.clip)
        self.bank.index_copy_(2, slots, keys.to(self.bank.dtype))
        self.clip.index_copy_(0, slots, clip)
        self.cursor.copy_((self.cursor + len(clip)) % len(self.clip))
