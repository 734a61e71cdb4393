"""The losses of I²MD as pure functions of tensors.

All of them see the world through `similarity`: cosines between a batch of unit vectors and the slots of a bank, made
once and shared. None synchronises with the host, copies a bank, or sorts. Products and softmaxes are float32 whatever
autocast says, because differences of cosines divided by temperatures of a few hundredths do not survive bfloat16.
`info_nce` and `mutual_distillation` say what is meant; `Method` calls `weighted_losses`, which is the same, faster.

Letters: S streams (or whatever else stands in front), B clips of the batch, K slots, P projected dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelrep.matmul import product

# Added to the cosine of a slot that must not count: its exponential is exactly zero in float32 at any temperature in
# use, and, unlike -inf, zero times it is zero.
EXCLUDED = -1e4
LEAST = -2.0  # below every cosine, above every excluded one

# Cosines that go through the losses at once on a CPU: half a megabyte, of which some five arrays are in use at a time.
CACHED = 2**17


def similarity(vectors: Tensor, bank: Tensor, exclude: Tensor | None = None) -> Tensor:
    """Cosines between unit vectors and a bank.

    Args:
        vectors: (..., B, P).
        bank: (..., K, P).
        exclude: (B, K), `EXCLUDED` where a slot must not count, else 0; see `Memory.own`.

    Returns:
        (..., B, K) float32.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        cosines = product(vectors.float(), bank.float())
        return cosines if exclude is None else cosines.add_(exclude)


def info_nce(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """Contrast: -log exp(q·k/τ) / (exp(q·k/τ) + Σ_j exp(q·b_j/τ)), the mean over the batch.

    MoCo's loss (He et al., CVPR 2020, arXiv 1911.05722, eq. 1).

    Args:
        positive: (..., B) cosines q·k of the two views.
        negative: (..., B, K) cosines q·b.
        temperature: τ.

    Returns:
        (...,) one loss a stream.
    """
    with torch.autocast(negative.device.type, enabled=False):
        positive = positive.float() / temperature
        everything = torch.logaddexp(positive, (negative.float() / temperature).logsumexp(dim=-1))
        return (everything - positive).mean(dim=-1)


def mutual_distillation(
    teacher: Tensor, student: Tensor, *, neighbours: int, teacher_temperature: float, student_temperature: float
) -> Tensor:
    """Each of G views of the same clips and slots learns the neighbourhood that every other view sees.

    KL(softmax(t_a[S] / τ_t) ‖ softmax(s_b[S] / τ_s)) with S the slots most similar to the teacher, the mean over the
    batch (CMD: Mao et al., ECCV 2022, arXiv 2208.12448). With the modalities as views this is the inter-modal
    distillation; with a modality's instance and cluster branch as views, the intra-modal one; with all of them as
    views, both at once. S enters as a mask by the teacher's threshold, which equals gathering since the order inside S
    does not matter.

    Args:
        teacher: (G, B, K) cosines of the keys to their own banks; a gradient does not pass.
        student: (G, B, K) cosines of the queries to theirs. Slot i must have come from the same clip in every view.
        neighbours: Size of S; at least K means all slots.
        teacher_temperature: τ_t, the sharper one.
        student_temperature: τ_s.

    Returns:
        (G, G): the loss of teacher a and student b at [a, b]; zero on the diagonal.
    """
    with torch.autocast(student.device.type, enabled=False):
        teacher, student = teacher.detach().float(), student.float()
        inside = (teacher >= _least_of_largest(teacher, neighbours)).to(student.dtype)
        logits = (teacher - teacher.amax(dim=-1, keepdim=True)).div_(teacher_temperature)
        weight = logits.exp().mul_(inside)
        total = weight.sum(dim=-1, keepdim=True).clamp_(min=SMALLEST)
        target = weight.div_(total)
        negentropy = torch.linalg.vecdot(target, logits) - total[..., 0].log()  # (G, B) Σ p log p
        logits = (student - student.detach().amax(dim=-1, keepdim=True)) / student_temperature
        # Every sum over S, for each pair of a teacher and a student, is a product of (G, K) by (K, G) in each clip.
        expected = target.transpose(0, 1) @ logits.permute(1, 2, 0)  # (B, G, G) Σ p_a times the logits of b
        normaliser = (inside.transpose(0, 1) @ logits.exp().permute(1, 2, 0)).clamp(min=SMALLEST)
        cross_entropy = (normaliser.log() - expected).mean(dim=0)
        divergence = negentropy.mean(dim=1)[:, None] + cross_entropy
        return divergence * (1 - torch.eye(len(student), dtype=student.dtype, device=student.device))


SMALLEST = 1e-30  # keeps logarithms finite where all slots are a clip's own, so that its neighbourhood is empty


def aggregate(
    key: Tensor, cosines: Tensor, bank: Tensor, *, neighbours: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Dynamic neighbours aggregation: the centre of a key and those slots that are really close to it.

    c = normalise(a_0 v + Σ_{i ∈ N} a_i C_i) with N the n most similar slots and a = softmax([1, v·C_N] / τ_d). The
    abstract of I²MD (arXiv 2310.15568) says that highly correlated neighbours are aggregated adaptively; this formula
    is our reading. Since c is normalised, the softmax's denominator drops out and a_0 may be 1.

    Args:
        key: (S, B, P) unit vectors v.
        cosines: (S, B, K) of the keys to the bank.
        bank: (S, K, P).
        neighbours: n.
        temperature: τ_d.

    Returns:
        The centres (S, B, P), and (S, B, 1) the least cosine in N: a slot is in N if its own is not below that.
    """
    with torch.autocast(key.device.type, enabled=False):
        cosines = cosines.float()
        least = _least_of_largest(cosines, neighbours)
        near = torch.ge(cosines, least, out=cosines.new_empty(cosines.shape))
        # A product with mostly zeros, but no gather, whose S x B x n x P copies would be larger than the cosines.
        weight = _scaled(cosines, cosines.new_ones(()), temperature).exp_().mul_(near)
        centre = torch.nn.functional.normalize(key.float() + product(weight, bank.float().mT), dim=-1)
        return centre, least.expand(*cosines.shape[:-1], 1)


def weighted_losses(
    query: Tensor,
    centre: Tensor,
    bank: Tensor,
    teacher: Tensor,
    *,
    contrasts: Tensor,
    pairs: Tensor,
    exclude: Tensor | None = None,
    near: Tensor | None = None,
    temperature: float,
    neighbours: int,
    teacher_temperature: float,
    student_temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """All losses of a batch with their weighted sum, whose gradient is found on the way, in closed form.

    What `info_nce` and `mutual_distillation` say of `similarity(query, bank, exclude)`, at a third of the time: most of
    it goes into passes over arrays (G, B, K), so a few clips at a time are taken through all of them while they lie in
    the cache, and the gradient takes the place of the students' cosines. None of these arrays outlives the call.

    Args:
        query: (G, B, P) unit vectors of the students.
        centre: (G, B, P) what each of them is drawn to; a gradient does not pass.
        bank: (G, K, P). Slot i must have come from the same clip in every view.
        teacher: (G, B, K) cosines of the keys to their own banks; a gradient does not pass.
        contrasts: (G,) weights of the contrasts.
        pairs: (T, T) weights of teacher a and student b among the first T views, zero on the diagonal.
        exclude: As in `similarity`.
        near: (V, B, 1) for the last V views: a slot whose teacher's cosine is not below that is no negative.
        temperature: τ of the contrasts.
        neighbours: Slots over which a teacher's neighbourhood is taken.
        teacher_temperature: τ_t.
        student_temperature: τ_s.

    Returns:
        The weighted sum (); and, without a gradient, the contrasts (G,) and the divergences (T, T).
    """
    with torch.autocast(query.device.type, enabled=False):
        query, bank, teacher = query.float(), bank.float(), teacher.float()
        temperatures = temperature, teacher_temperature, student_temperature
        return _WeightedLosses.apply(
            query, centre.float(), bank, teacher, contrasts, pairs, exclude, near, neighbours, temperatures
        )


class _WeightedLosses(torch.autograd.Function):
    """What is kept for the backward pass is the gradient of the queries (G, B, P)."""

    @staticmethod
    def forward(
        context,  # noqa: ANN001
        query: Tensor,
        centre: Tensor,
        bank: Tensor,
        teacher: Tensor,
        contrasts: Tensor,
        pairs: Tensor,
        exclude: Tensor | None,
        near: Tensor | None,
        neighbours: int,
        temperatures: tuple[float, float, float],
    ) -> tuple[Tensor, Tensor, Tensor]:
        student = similarity(query, bank, exclude)
        positive = (query * centre).sum(dim=-1, keepdim=True)
        taught, clips = len(pairs), len(positive[0])
        some = max(1, CACHED // student[:, 0].numel()) if student.device.type == "cpu" else clips
        blocks = [cosines.transpose(0, 1).split(some) for cosines in (student, teacher, positive)]
        nears = [None] * len(blocks[0]) if near is None else near.transpose(0, 1).split(some)
        each, among, parts = contrasts[:, None] / clips, pairs / clips, []
        for seen, view, drawn, least in zip(*blocks, nears):
            contrast, toward, gradient = _contrast(seen, drawn, view, least, each, temperatures[0])
            view, learner, found = (cosines[:, :taught] for cosines in (view, seen, gradient))
            divergence = _distil(view, learner, found, among, neighbours, temperatures[1:])
            seen.copy_(gradient)
            parts.append((contrast, toward, divergence))
        contrast, toward, divergence = map(torch.cat, zip(*parts))
        context.save_for_backward(product(student, bank.mT).addcmul_(toward.transpose(0, 1), centre))
        contrast, divergence = contrast[..., 0].mean(dim=0), divergence.mean(dim=0).fill_diagonal_(0)
        context.mark_non_differentiable(contrast, divergence)
        return contrast @ contrasts + (divergence * pairs).sum(), contrast, divergence

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - of the decorator
        context: Any, *given: Tensor
    ) -> tuple[Tensor | None, ...]:
        (gradient,) = context.saved_tensors
        return given[0] * gradient, *[None] * 9


def _contrast(
    student: Tensor, positive: Tensor, teacher: Tensor, near: Tensor | None, weight: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The contrast of clips (n, G, 1), and its weighted gradients for the cosines: positive, and negative (n, G, K)."""
    peak = student.amax(dim=-1, keepdim=True)
    power = _scaled(student, peak, temperature).exp_()
    if near is not None:
        last = teacher[:, -near.shape[1] :]
        power[:, -near.shape[1] :].mul_(torch.lt(last, near, out=last.new_empty(last.shape)))
    positive = (positive - peak) / temperature
    negative = power.sum(dim=-1, keepdim=True).clamp_(min=SMALLEST).log_()
    contrast = torch.nn.functional.softplus(negative - positive)
    weight = weight / temperature
    return contrast, (-contrast).expm1_() * weight, power.mul_((-positive - contrast).exp_() * weight)


def _distil(
    teacher: Tensor,
    student: Tensor,
    gradient: Tensor,
    weight: Tensor,
    neighbours: int,
    temperatures: tuple[float, float],
) -> Tensor:
    """The divergences of clips (n, T, T) from cosines (n, T, K); adds the weighted gradient for the student's.

    It is Σ_a w_ab (softmax over S_a of b - p_a) / τ_s, with p_a the teacher's softmax over its neighbourhood S_a.
    """
    teacher_temperature, student_temperature = temperatures
    logits = _scaled(teacher, teacher.amax(dim=-1, keepdim=True), teacher_temperature)
    # Comparing into booleans, and multiplying by them, takes a CPU ten times as long.
    inside = torch.ge(teacher, _least_of_largest(teacher, neighbours), out=teacher.new_empty(teacher.shape))
    target = logits.exp().mul_(inside)
    total = target.sum(dim=-1, keepdim=True).clamp_(min=SMALLEST)
    negentropy = logits.mul_(target).sum(dim=-1, keepdim=True) / total - total.log()
    logits = _scaled(student, student.amax(dim=-1, keepdim=True), student_temperature)
    # Every sum over S, for each pair of a teacher and a student, is a product of (T, K) by (K, T) in each clip.
    expected = (target @ logits.mT) / total
    power = logits.exp_()
    normaliser = (inside @ power.mT).clamp_(min=SMALLEST)
    share = weight.T / student_temperature
    gradient.addcmul_((share / normaliser.mT) @ inside, power).baddbmm_(share / total.mT, target, alpha=-1)
    return negentropy + normaliser.log() - expected


def _scaled(cosines: Tensor, peak: Tensor, temperature: float) -> Tensor:
    """(cosines - peak) / temperature in one pass."""
    return torch.add(peak * (-1 / temperature), cosines, alpha=1 / temperature)


def _least_of_largest(cosines: Tensor, count: int) -> Tensor:
    """The least of the `count` largest cosines that are not excluded, (..., 1); of all, where there are fewer."""
    slots = cosines.shape[-1]
    if count >= slots:
        return cosines.new_full((), LEAST)
    if cosines.device.type == "cpu":  # numpy's vectorised partition, six times as fast as torch's selection
        split = np.partition(cosines.detach().numpy(), slots - count, axis=-1)[..., slots - count, None]
        least = torch.from_numpy(split)
    else:
        least = cosines.detach().kthvalue(slots - count + 1, dim=-1, keepdim=True).values
    return least.clamp(min=LEAST)
