"""The method as one module: query encoders, their slow key copies, the banks, and a dict of named losses."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from skelrep.encoder import Encoder
from skelrep.encoder.encoder import persons_present
from skelrep.encoder.modalities import modality
from skelrep.train.distributed import gathered
from skelrep.train.losses import aggregate, similarity, weighted_losses
from skelrep.train.memory import Memory


@dataclass(frozen=True)
class MethodConfig:
    """Hyper-parameters of the losses. The defaults are CMD's (ECCV 2022) where it has them, else ours.

    Attributes:
        projection: P, width of the projected vectors.
        slots: K of every bank.
        temperature: τ of both contrasts.
        neighbours: Slots over which a teacher's neighbourhood is taken in both distillations.
        teacher_temperature: τ_t of both.
        student_temperature: τ_s of both.
        momentum: Of the key copies.
        instance: Weight of the instance contrast.
        cross_modal: Weight of the inter-modal mutual distillation (CMD).
        cluster: Weight of the contrast between local clusters (DNA), on a branch of its own.
        intra_modal: Weight of the mutual distillation between the two branches (IMD).
        aggregated: n, neighbours that may join a key's cluster (ours).
        aggregation_temperature: τ_d of their weights (ours).
        enqueue: What the cluster branch's bank keeps: the "key" itself or its "centre" (ours).
        neighbours_are_negatives: Whether a cluster's members are also contrasted against (ours).
        start: Share of the run after which keys are aggregated. Neighbours of an untrained encoder are noise; until
            then a cluster is its key alone (ours).
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
    cluster: float = 1.0
    intra_modal: float = 1.0
    aggregated: int = 32
    aggregation_temperature: float = 0.1
    enqueue: Literal["key", "centre"] = "key"
    neighbours_are_negatives: bool = False
    start: float = 0.25

    @property
    def branches(self) -> int:
        """1, or 2 where anything needs the cluster branch."""
        return 2 if self.cluster or self.intra_modal else 1


def _weights(config: MethodConfig, streams: int) -> tuple[Tensor, Tensor]:
    """Of the contrasts of all views, branch by branch, and of the pairs among those that are taught."""
    contrasts = torch.tensor([config.instance, config.cluster][: config.branches]).repeat_interleave(streams)
    same, first, across = torch.eye(streams), torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0, 1.0], [1, 0]])
    pairs = config.cross_modal * torch.kron(first, 1 - same) + config.intra_modal * torch.kron(across, same)
    taught = streams * (2 if config.intra_modal else 1 if config.cross_modal else 0)
    return contrasts, pairs[:taught, :taught]


class Method(nn.Module):
    """I²MD, and what it is made of: with some weights 0 it is MoCo on each stream, or CMD.

    The key copies follow the weights of the query encoders; their BatchNorm statistics are their own, taken from the
    keys' batches, as in CMD's code. Only the query encoder is kept after training.
    """

    contrasts: Tensor
    pairs: Tensor

    def __init__(self, encoder: Encoder, config: MethodConfig) -> None:
        """Around an encoder, which is trained in place."""
        super().__init__()
        self.config = config
        self.encoder = encoder
        sizes: dict[str, int] = {name: stream.dim for name, stream in encoder.streams.items()}  # type: ignore[misc]
        self.heads = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, config.projection))
                    for _ in range(config.branches)
                )
                for name, size in sizes.items()
            }
        )
        self.key = copy.deepcopy(nn.ModuleDict({"streams": encoder.streams, "heads": self.heads})).requires_grad_(False)
        self.memory = Memory(config.branches, len(sizes), config.slots, config.projection)
        contrasts, pairs = _weights(config, len(sizes))
        self.register_buffer("contrasts", contrasts, persistent=False)
        self.register_buffer("pairs", pairs, persistent=False)

    def forward(self, first: Tensor, second: Tensor, clip: Tensor, progress: float = 1.0) -> dict[str, Tensor]:
        """Losses of a batch; call `after_step` once the optimiser has stepped.

        Args:
            first: (B, M, T, V, 3) augmented views that the query encoders see.
            second: The other views, for the key encoders.
            clip: (B,) ids; a clip's own older slots are neither negatives nor neighbours.
            progress: Share of the run that is over.

        Returns:
            Those whose weight is not 0 of "instance" (S,), "cross_modal" (S, S) of teacher and student, "cluster" (S,)
            and "intra_modal" (2, S), the instance branch's teaching first; and "total", their weighted sum, the one
            with a gradient.
        """
        config, memory = self.config, self.memory
        query = self._project(self.encoder.streams, self.heads, first)
        with torch.no_grad():
            key = self._project(self.key["streams"], self.key["heads"], second)  # type: ignore[arg-type]
            own = memory.own(clip)
            teacher = similarity(key, memory.bank, own)  # (H, S, B, K)
        centre, near, waiting = key, None, key
        if config.cluster and progress >= config.start:
            own_centre, near = aggregate(
                key[1],
                teacher[1],
                memory.bank[1],
                neighbours=config.aggregated,
                temperature=config.aggregation_temperature,
            )
            centre = torch.stack([key[0], own_centre])
            waiting = centre if config.enqueue == "centre" else key
        total, contrast, pairs = weighted_losses(
            query.flatten(0, 1),
            centre.flatten(0, 1),
            memory.bank.flatten(0, 1),
            teacher.flatten(0, 1),
            contrasts=self.contrasts,
            pairs=self.pairs,
            exclude=own,
            near=None if config.neighbours_are_negatives else near,
            temperature=config.temperature,
            neighbours=config.neighbours,
            teacher_temperature=config.teacher_temperature,
            student_temperature=config.student_temperature,
        )
        streams, losses = len(self.heads), {}
        if config.instance:
            losses["instance"] = contrast[:streams]
        if config.cluster:
            losses["cluster"] = contrast[streams:]
        if config.cross_modal:
            losses["cross_modal"] = pairs[:streams, :streams]
        if config.intra_modal:
            across = pairs[:streams, streams:], pairs[streams:, :streams]
            losses["intra_modal"] = torch.stack([part.diagonal() for part in across])
        losses["total"] = total
        self._waiting = (waiting, clip)
        return losses

    def _project(self, streams: nn.ModuleDict, heads: nn.ModuleDict, view: Tensor) -> Tensor:
        """(B, M, T, V, 3) to unit vectors (H, S, B, P)."""
        parents = self.encoder.skeleton.parents
        present = persons_present(view) if view.shape[1] > 1 else None
        projected = []
        for name, stream in streams.items():
            features = stream(modality(name, view, parents), present)
            projected.append(torch.stack([head(features) for head in heads[name]]))  # type: ignore[union-attr]
        return nn.functional.normalize(torch.stack(projected, dim=1).float(), dim=-1)

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the key copies towards the query encoders; writes the keys of all processes into the banks."""
        follow = list(self.key.parameters())
        lead = [*self.encoder.streams.parameters(), *self.heads.parameters()]
        torch._foreach_lerp_(follow, lead, 1 - self.config.momentum)  # type: ignore[reportPrivateUsage]
        keys, clip = self._waiting
        self.memory.write(gathered(keys, dim=2), gathered(clip, dim=0))
