"""The method I²MD as one module: query encoders, momentum (EMA) encoders, banks, and a dict of named losses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

from skelrep.encoder import Encoder
from skelrep.encoder.backbone import NormalisedInput
from skelrep.encoder.encoder import persons_present
from skelrep.encoder.modalities import modality
from skelrep.train.distributed import gathered
from skelrep.train.losses import (
    EXCLUDED,
    aggregate,
    info_nce,
    mutual_distillation,
    similarity,
    weighted_losses,
)
from skelrep.train.memory import Memory


@dataclass(frozen=True)
class MethodConfig:
    """Hyper-parameters of the losses. Defaults are CMD's (ECCV 2022); those marked (ours) are not in CMD.

    Attributes:
        projection: P, dimension of the projected vectors.
        slots: K, the size of every bank.
        temperature: τ of both contrastive losses.
        neighbours: Number of slots in a teacher's neighbourhood, in both distillations.
        teacher_temperature: τ_t of both distillations.
        student_temperature: τ_s of both distillations.
        momentum: Momentum of the EMA encoders.
        instance: Weight of the instance contrast.
        cross_modal: Weight of the inter-modal mutual distillation (CMD).
        cluster: Weight of the contrast between local clusters (DNA), on a separate branch.
        intra_modal: Weight of the mutual distillation between the two branches (IMD).
        aggregated: n, the number of neighbours in a key's cluster (ours).
        aggregation_temperature: τ_d of their weights (ours).
        enqueue: What is stored in the bank of the cluster branch: the "key" or its "centre" (ours).
        neighbours_are_negatives: Whether the members of a cluster are also negatives (ours).
        start: Fraction of the run after which keys are aggregated. The neighbours of an untrained encoder are noise;
            until then, a cluster contains only its key (ours).
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
        """2 if a loss needs the cluster branch, else 1."""
        return 2 if self.cluster or self.intra_modal else 1


@dataclass(frozen=True)
class Batch:
    """The inputs of the losses of a batch: vectors of H branches (instance, cluster) and S streams.

    Attributes:
        query: (H, S, B, P) unit vectors of the query encoders; only these have a gradient.
        key: (H, S, B, P) of the key encoders.
        centre: (H, S, B, P) the positive of each query: its key, or in the cluster branch the centre of a
            neighbourhood.
        bank: (H, S, K, P) keys of earlier batches; slot i of each came from the same clip.
        exclude: (B, K) `EXCLUDED` if a slot contains the clip itself, else 0.
        teacher: (H, S, B, K) cosines of the keys to the banks.
        near: (S, B, 1) the smallest cosine of each neighbourhood, whose slots are not negatives; or None.
        config: Hyper-parameters, such as the temperatures.
    """

    query: Tensor
    key: Tensor
    centre: Tensor
    bank: Tensor
    exclude: Tensor
    teacher: Tensor
    near: Tensor | None
    config: MethodConfig

    @cached_property
    def student(self) -> Tensor:
        """(H, S, B, K) cosines of the queries to the banks."""
        return similarity(self.query, self.bank, self.exclude)

    def distilled(self, teacher: Tensor, student: Tensor) -> Tensor:
        """`mutual_distillation` with the config's temperatures."""
        return mutual_distillation(
            teacher,
            student,
            neighbours=self.config.neighbours,
            teacher_temperature=self.config.teacher_temperature,
            student_temperature=self.config.student_temperature,
        )


#: A loss: a tensor of any shape, whose sum is minimised.
Loss = Callable[[Batch], Tensor]


def instance(batch: Batch) -> Tensor:
    """The instance contrast (CMD), (S,)."""
    positive = (batch.query[0] * batch.centre[0]).sum(dim=-1)
    return info_nce(positive, batch.student[0], batch.config.temperature)


def cross_modal(batch: Batch) -> Tensor:
    """The inter-modal mutual distillation (CMD), (S, S) of teacher and student."""
    return batch.distilled(batch.teacher[0], batch.student[0])


def cluster(batch: Batch) -> Tensor:
    """The contrast between local clusters (DNA), (S,)."""
    negative = batch.student[1]
    if batch.near is not None:
        negative = negative + (batch.teacher[1] >= batch.near) * EXCLUDED
    positive = (batch.query[1] * batch.centre[1]).sum(dim=-1)
    return info_nce(positive, negative, batch.config.temperature)


def intra_modal(batch: Batch) -> Tensor:
    """The mutual distillation between each stream's two branches (IMD), (2, S); first the instance branch teaches."""
    streams = batch.query.shape[1]
    pairs = batch.distilled(batch.teacher.flatten(0, 1), batch.student.flatten(0, 1))
    return torch.stack([pairs[:streams, streams:].diagonal(), pairs[streams:, :streams].diagonal()])


#: The losses of I²MD; the weight of each is the field of the same name in `MethodConfig`.
LOSSES: dict[str, Loss] = {
    "instance": instance,
    "cross_modal": cross_modal,
    "cluster": cluster,
    "intra_modal": intra_modal,
}


def fused(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of `LOSSES`, and each loss without a gradient: the same numbers in a third of the time."""
    config, streams = batch.config, batch.query.shape[1]
    contrasts, pairs = (weights.to(batch.query.device, non_blocking=True) for weights in _weights(config, streams))
    total, contrast, taught = weighted_losses(
        batch.query.flatten(0, 1),
        batch.centre.flatten(0, 1),
        batch.bank.flatten(0, 1),
        batch.teacher.flatten(0, 1),
        contrasts=contrasts,
        pairs=pairs,
        exclude=batch.exclude,
        near=batch.near,
        temperature=config.temperature,
        neighbours=config.neighbours,
        teacher_temperature=config.teacher_temperature,
        student_temperature=config.student_temperature,
    )
    losses = {}
    if config.instance:
        losses["instance"] = contrast[:streams]
    if config.cluster:
        losses["cluster"] = contrast[streams:]
    if config.cross_modal:
        losses["cross_modal"] = taught[:streams, :streams]
    if config.intra_modal:
        across = taught[:streams, streams:], taught[streams:, :streams]
        losses["intra_modal"] = torch.stack([part.diagonal() for part in across])
    return total, losses


@lru_cache(maxsize=16)
def _weights(config: MethodConfig, streams: int) -> tuple[Tensor, Tensor]:
    """Weights of the contrastive losses of all streams, by branch, and of the pairs of teacher and student."""
    contrasts = torch.tensor([config.instance, config.cluster][: config.branches]).repeat_interleave(streams)
    same, first, across = torch.eye(streams), torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0, 1.0], [1, 0]])
    pairs = config.cross_modal * torch.kron(first, 1 - same) + config.intra_modal * torch.kron(across, same)
    taught = streams * (2 if config.intra_modal else 1 if config.cross_modal else 0)
    return contrasts, pairs[:taught, :taught]


class Method(nn.Module):
    """I²MD; if some weights are 0, it is CMD, or MoCo on each stream.

    The momentum encoders are exponential moving averages of the query encoders; their BatchNorm statistics come from
    the batches of keys, as in CMD's code. Only the query encoders are kept after training.

    `pretrain` accepts any class or function that creates such a module from an encoder and a config; the module needs
    `encoder`, `forward` and `after_step`.
    """

    def __init__(
        self, encoder: Encoder, config: MethodConfig, *, losses: Mapping[str, tuple[Loss, float]] | None = None
    ) -> None:
        """Wraps an encoder, which is trained in place.

        Args:
            encoder: The encoder.
            config: Hyper-parameters, and the weights of `LOSSES`.
            losses: Additional losses by name, each a function of a `Batch` and a weight.

        Raises:
            ValueError: if an additional loss has a name in `LOSSES`, or is called "total".
        """
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.losses = dict(losses or {})
        if taken := sorted({*LOSSES, "total"} & set(self.losses)):
            raise ValueError(f"{taken[0]!r} is a loss of I²MD or their sum; give the additional loss another name")
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
        self._parts: list[tuple[Tensor, Tensor]] = []

    def forward(self, first: Tensor, second: Tensor, clip: Tensor, progress: float = 1.0) -> dict[str, Tensor]:
        """Losses of a batch; call `after_step` once the optimiser has stepped.

        Args:
            first: (B, M, T, V, 3) augmented views, the inputs of the query encoders.
            second: The other views, the inputs of the momentum encoders.
            clip: (B,) ids; slots of the same clip are neither negatives nor neighbours.
            progress: Completed fraction of the run.

        Returns:
            The losses in `LOSSES` whose weight is not 0, the additional losses, and "total", their weighted sum, which
            is the only one with a gradient.
        """
        batch, waiting = self.batch(first, second, clip, progress)
        self._waiting = (waiting, clip)
        total, losses = fused(batch)
        for name, (loss, weight) in self.losses.items():
            parts = loss(batch)
            losses[name] = parts.detach()
            total = total + weight * parts.sum()
        return {**losses, "total": total}

    def batch(self, first: Tensor, second: Tensor, clip: Tensor, progress: float = 1.0) -> tuple[Batch, Tensor]:
        """The inputs of the losses for the arguments of `forward`; (H, S, B, P) vectors to store in the banks."""
        config, memory = self.config, self.memory
        query = self._project(self.encoder.streams, self.heads, first)
        with torch.no_grad():
            key = self._project(self.key["streams"], self.key["heads"], second)  # type: ignore[arg-type]
            own = memory.own(clip)
            teacher = similarity(key, memory.bank, own)
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
        near = None if config.neighbours_are_negatives else near
        return Batch(query, key, centre, memory.bank, own, teacher, near, config), waiting

    def _project(self, streams: nn.ModuleDict, heads: nn.ModuleDict, view: Tensor) -> Tensor:
        """(B, M, T, V, 3) to unit vectors (H, S, B, P)."""
        parents = self.encoder.skeleton.parents
        present = persons_present(view) if view.shape[1] > 1 else None
        projected = []
        for name, stream in streams.items():
            features = stream(modality(name, view, parents), present)
            projected.append(torch.stack([head(features) for head in heads[name]]))  # type: ignore[union-attr]
        return nn.functional.normalize(torch.stack(projected, dim=1).float(), dim=-1)

    def normalised_inputs(self, first: Tensor, second: Tensor) -> Iterator[tuple[nn.BatchNorm1d, Tensor]]:
        """For two views of a batch, each BatchNorm of an input alone, and the (R, F) rows that it normalises."""
        for streams, view in ((self.encoder.streams, first), (self.key["streams"], second)):
            for name, stream in streams.items():  # type: ignore[union-attr]
                if isinstance(stream, NormalisedInput):
                    rows = stream.flat(modality(name, view, self.encoder.skeleton.parents))
                    yield stream.norm, rows.flatten(0, 1)

    def after_part(self) -> None:
        """Keeps the keys of a part of a batch until `after_step`; called after each part's `forward`."""
        self._parts.append(self._waiting)

    @torch.no_grad()
    def after_step(self) -> None:
        """Updates the momentum encoders, and writes the keys of all parts and processes into the banks."""
        follow = list(self.key.parameters())
        lead = [*self.encoder.streams.parameters(), *self.heads.parameters()]
        torch._foreach_lerp_(follow, lead, 1 - self.config.momentum)  # type: ignore[reportPrivateUsage]
        parts, self._parts = self._parts or [self._waiting], []
        keys, clip = torch.cat([part[0] for part in parts], dim=2), torch.cat([part[1] for part in parts])
        self.memory.write(gathered(keys, dim=2), gathered(clip, dim=0))
