"""Baselines, written from the description of the public code of CMD and related work."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.encoder.recurrent import RecurrentStack
from skelrep.skeletons import mapping
from skelrep.train.data import Corpus
from skelrep.train.i2md import LOSSES, Method, MethodConfig
from skelrep.train.recipes import Recipe
from tests.benchmarks.workloads import NTU


class Stepping(nn.Module):
    """The paper's GRUs as the public code runs them: a bidirectional GRU is called frame by frame."""

    def __init__(self, stack: RecurrentStack) -> None:
        """With a copy of the weights of a stack."""
        super().__init__()
        self.norm = copy.deepcopy(stack.norm)
        layers: Any = stack.layers
        self.gru = nn.GRU(
            stack.norm.num_features, stack.dim // 2, len(layers), batch_first=True, bidirectional=True
        ).to(stack.norm.weight.device)
        weights = {}
        for layer, pair in enumerate(layers):
            for gru, side in zip(pair, ("", "_reverse")):
                weights |= {key.replace("_l0", f"_l{layer}{side}"): value for key, value in gru.state_dict().items()}
        self.gru.load_state_dict(weights)
        self.train(stack.training)

    def forward(self, poses: Tensor) -> Tensor:
        """(N, M, T, V, 3) to (N, dim)."""
        x = poses.permute(0, 2, 3, 4, 1).flatten(2)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        out, state = x, None
        for frame in range(x.shape[1]):
            out, state = self.gru(x[:, frame : frame + 1], state)
        return out[:, 0]


def views_one_by_one(clips: Sequence[np.ndarray], encoder: Encoder, skeleton: Any = NTU) -> dict[str, np.ndarray]:
    """`Encoder.prepare` of the bundled encoder and the three modalities, a clip and a person at a time.

    Args:
        clips: N arrays (M, T, V, 3) without gaps, of at most two persons.
        encoder: With the default preprocessing.
        skeleton: Of the clips.

    Returns:
        For each modality (N, 2, 64, W, 3).
    """
    own = encoder.skeleton
    matrix = mapping(skeleton, own)

    def place(pose: np.ndarray, *joints: str) -> np.ndarray:
        return np.mean([pose[:, own.joints.index(joint)] for joint in joints], axis=0)

    views: dict[str, list[np.ndarray]] = {"joint": [], "bone": [], "motion": []}
    for clip in clips:
        joint = np.zeros((2, 64, len(own), 3), dtype=np.float32)
        for person, track in enumerate(clip):
            rows = torch.from_numpy(track.reshape(len(track), -1).T[None])
            rows = functional.interpolate(rows, size=64, mode="linear", align_corners=False)[0].numpy().T
            pose = np.stack([matrix @ frame for frame in rows.reshape(64, -1, 3)])
            hips, shoulders = place(pose, "mid_hips"), place(pose, "mid_shoulders")
            legs = place(pose, "mid_hips", "left_knee", "right_knee", "left_ankle", "right_ankle")
            up = (shoulders - legs).mean(axis=0)
            up /= np.linalg.norm(up)
            right = (place(pose, "right_shoulder") - place(pose, "left_shoulder")).mean(axis=0)
            right -= (right @ up) * up
            right /= np.linalg.norm(right)
            turn = np.stack([right, np.cross(up, right), up])
            size = np.linalg.norm(shoulders - hips, axis=1).mean()
            origin = (hips + shoulders) / 2
            joint[person] = np.stack([(frame - middle) @ turn.T / size for frame, middle in zip(pose, origin)])
        bone, motion = np.zeros_like(joint), np.zeros_like(joint)
        for child, parent in enumerate(own.parents):
            bone[:, :, child] = joint[:, :, child] - joint[:, :, parent]
        for frame in range(63):
            motion[:, frame] = joint[:, frame + 1] - joint[:, frame]
        for name, view in (("joint", joint), ("bone", bone), ("motion", motion)):
            views[name].append(view)
    return {name: np.stack(parts) for name, parts in views.items()}


def naive_losses(
    query: Sequence[Tensor], key: Sequence[Tensor], banks: Sequence[Tensor], config: MethodConfig
) -> Tensor:
    """CMD's losses of unit vectors (B, P) and banks (K, P), one per stream, directly by their formulas.

    Positive and negative logits are concatenated for a cross entropy, and each teacher's neighbours are sorted and
    gathered.
    """
    total = torch.zeros((), device=query[0].device)
    negatives = [q @ bank.T for q, bank in zip(query, banks)]
    for q, k, negative in zip(query, key, negatives):
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), negative], dim=1) / config.temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        total = total + functional.cross_entropy(logits, target)
    for teacher, (k, bank) in enumerate(zip(key, banks)):
        similar, chosen = (k @ bank.T).topk(config.neighbours, dim=1, sorted=True)
        target = (similar / config.teacher_temperature).softmax(dim=1)
        for student, negative in enumerate(negatives):
            if student != teacher:
                logits = negative.gather(1, chosen) / config.student_temperature
                total = total + functional.kl_div(logits.log_softmax(dim=1), target, reduction="batchmean")
    return total


class PlainTraining:
    """A step of any recipe in readable form: the losses one by one by autograd, optimiser and averages unfused."""

    def __init__(self, recipe: Recipe, corpus: Corpus) -> None:
        """With random weights."""
        torch.manual_seed(0)
        self.method = Method(Encoder(recipe.in_training), recipe.method).to(corpus.device).train()
        trained = [parameter for parameter in self.method.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, foreach=False, fused=False)

    def step(self, first: Tensor, second: Tensor, clip: Tensor) -> Tensor:
        """One step on two views; the loss before it."""
        method, config = self.method, self.method.config
        batch, waiting = method.batch(first, second, clip)
        loss = sum(getattr(config, name) * part(batch).sum() for name, part in LOSSES.items() if getattr(config, name))
        assert isinstance(loss, Tensor)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            lead = [*method.encoder.streams.parameters(), *method.heads.parameters()]
            for slow, fast in zip(method.key.parameters(), lead):
                slow.mul_(config.momentum).add_((1 - config.momentum) * fast)
            method.memory.write(waiting, clip)
        return loss.detach()


class NaiveTraining(nn.Module):
    """A step of CMD's training in its plain form: GRUs stepped frame by frame, `naive_losses`, a stream at a time."""

    def __init__(self, method: Method, recipe: Recipe) -> None:
        """With copies of the weights and banks of a method with CMD's losses; recipe: its SGD is taken."""
        super().__init__()
        self.config, self.parents = method.config, method.encoder.skeleton.parents

        def encoders(streams: Any, heads: Any) -> nn.ModuleDict:
            return nn.ModuleDict(
                {name: nn.Sequential(Stepping(streams[name]), copy.deepcopy(heads[name][0])) for name in streams}
            )

        self.query = encoders(method.encoder.streams, method.heads)
        self.key = encoders(method.key["streams"], method.key["heads"])
        self.banks = list(method.memory.bank[0].clone())
        self.cursor = 0
        self.optimizer = torch.optim.SGD(
            self.query.parameters(), lr=recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
        )

    def step(self, first: Tensor, second: Tensor) -> Tensor:
        """One step on two views (B, M, T, V, 3); the loss before it."""
        query = [self._project(encoder, name, first) for name, encoder in self.query.items()]
        with torch.no_grad():
            key = [self._project(encoder, name, second) for name, encoder in self.key.items()]
        loss = naive_losses(query, key, self.banks, self.config)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.key.parameters(), self.query.parameters()):
                slow.data = slow.data * self.config.momentum + fast.data * (1 - self.config.momentum)
        for bank, k in zip(self.banks, key):
            bank[self.cursor : self.cursor + len(k)] = k
        self.cursor = (self.cursor + len(first)) % self.config.slots
        return loss.detach()

    def _project(self, encoder: nn.Module, name: str, view: Tensor) -> Tensor:
        return functional.normalize(encoder(modality(name, view, self.parents)), dim=1)
