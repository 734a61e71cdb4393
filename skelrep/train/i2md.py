"""The method as one module: query encoders, their slow key copies, the banks, and a dict of named losses."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skelrep.encoder import Encoder
from skelrep.modalities import modality
from skelrep.train.losses import info_nce, mutual_distillation
from skelrep.train.memory import Memory


@dataclass(frozen=True)
class MethodConfig:
    """Hyper-parameters of the losses; the defaults are CMD's (ECCV 2022).

    Attributes:
        projection: P, width of the projected vectors.
        slots: K of every bank.
        temperature: τ of the instance contrast.
        neighbours: Slots over which a teacher's neighbourhood is taken.
        teacher_temperature: τ_t of the distillation.
        student_temperature: τ_s.
        momentum: Of the key copies.
        instance: Weight of the instance contrast.
        cross_modal: Weight of the cross-modal mutual distillation; 0 leaves plain MoCo on each stream.
    """

    projection: int = 128
    slots: int = 16384
    temperature: float = 0.07
    neighbours: int = 8192
    teacher_temperature: float = 0.05
    student_temperature: float = 0.1
    momentum: float = 0.999
    instance: float = 1.0
    cross_modal: float = 1.0


class Method(nn.Module):
    """Instance contrast in every modality and cross-modal mutual distillation between them.

    The key copies follow the weights of the query encoders; their BatchNorm statistics are their own, taken from the
    keys' batches, as in CMD's code. Only the query encoder is kept after training.
    """

    def __init__(self, encoder: Encoder, config: MethodConfig) -> None:
        """Around an encoder, which is trained in place."""
        super().__init__()
        self.config = config
        self.encoder = encoder
        sizes: dict[str, int] = {name: stream.dim for name, stream in encoder.streams.items()}  # type: ignore[misc]
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, config.projection))
                for name, d in sizes.items()
            }
        )
        self.key = copy.deepcopy(nn.ModuleDict({"streams": encoder.streams, "heads": self.heads})).requires_grad_(False)
        self.memory = Memory(len(sizes), config.slots, config.projection)

    def forward(self, first: Tensor, second: Tensor, clip: Tensor) -> dict[str, Tensor]:
        """Losses of a batch; call `after_step` once the optimiser has stepped.

        Args:
            first: (B, T, V, 3) augmented views that the query encoders see.
            second: The other views, for the key encoders.
            clip: (B,) ids; a clip's own older slots are neither negatives nor neighbours.

        Returns:
            "instance": (S,) and, unless its weight is 0, "cross_modal": (S, S); and "total", weighted and summed.
        """
        config, memory = self.config, self.memory
        query = self._project(self.encoder.streams, self.heads, first)
        with torch.no_grad():
            key = self._project(self.key["streams"], self.key["heads"], second)  # type: ignore[arg-type]
        own = memory.own(clip)
        losses = {"instance": info_nce(query, key, memory.bank, config.temperature, own)}
        total = config.instance * losses["instance"].sum()
        if config.cross_modal:
            losses["cross_modal"] = mutual_distillation(
                query,
                key,
                memory.bank,
                neighbours=config.neighbours,
                teacher_temperature=config.teacher_temperature,
                student_temperature=config.student_temperature,
                ignore=own,
            )
            total = total + config.cross_modal * losses["cross_modal"].sum()
        self._waiting = (key, clip)
        return losses | {"total": total}

    def _project(self, streams: nn.ModuleDict, heads: nn.ModuleDict, view: Tensor) -> Tensor:
        """(B, T, V, 3) to (S, B, P) unit vectors."""
        poses = view[:, None]  # one person
        present = torch.ones(len(view), 1, dtype=torch.bool, device=view.device)
        parents = self.encoder.skeleton.parents
        projected = [heads[name](stream(modality(name, poses, parents), present)) for name, stream in streams.items()]
        return nn.functional.normalize(torch.stack(projected).float(), dim=-1)

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the key copies towards the query encoders and writes the step's keys into the banks."""
        follow = list(self.key.parameters())
        lead = [*self.encoder.streams.parameters(), *self.heads.parameters()]
        torch._foreach_lerp_(follow, lead, 1 - self.config.momentum)  # type: ignore[reportPrivateUsage]
        self.memory.write(*self._waiting)
