"""The losses of I²MD as pure functions of tensors.

All losses are functions of `similarity`: the cosines between a batch of unit vectors and the slots of a bank, which are
computed once for all losses. No loss synchronises with the host, copies a bank, or sorts. Products and softmaxes are
computed in float32 even under autocast, because cosines divided by temperatures of a few hundredths are too imprecise
in bfloat16. `info_nce` and `mutual_distillation` are the readable forms; `Method` calls `weighted_losses`, which
returns the same values faster.

Letters: S streams (or other leading axes), B clips of the batch, K slots, P projected dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelrep.matmul import product

# Added to the cosine of an excluded slot. The exponential of the sum is exactly zero in float32 at any usual
# temperature, and, unlike with -inf, products with zero are zero.
EXCLUDED = -1e4
LOWEST_COSINE = -2.0  # below the cosine of every slot, above that of every excluded slot

# Number of cosines per block of the losses on a CPU: half a megabyte; about five such arrays are in use at a time.
CACHED = 2**17


def similarity(vectors: Tensor, bank: Tensor, exclude: Tensor | None = None) -> Tensor:
    """Cosines between unit vectors and a bank.

    Args:
        vectors: (..., B, P).
        bank: (..., K, P).
        exclude: (B, K), `EXCLUDED` for excluded slots, else 0; see `Memory.own`.

    Returns:
        (..., B, K) float32.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        cosines = product(vectors.float(), bank.float())
        return cosines if exclude is None else cosines.add_(exclude)


def info_nce(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """Contrastive loss: -log exp(q·k/τ) / (exp(q·k/τ) + Σ_j exp(q·b_j/τ)), mean over the batch.

    MoCo's loss (He et al., CVPR 2020, arXiv 1911.05722, eq. 1).

    Args:
        positive: (..., B) cosines q·k of the two views.
        negative: (..., B, K) cosines q·b.
        temperature: τ.

    Returns:
        (...,) one loss per stream.
    """
    with torch.autocast(negative.device.type, enabled=False):
        positive = positive.float() / temperature
        everything = torch.logaddexp(positive, (negative.float() / temperature).logsumexp(dim=-1))
        return (everything - positive).mean(dim=-1)


def mutual_distillation(
    teacher: Tensor, student: Tensor, *, neighbours: int, teacher_temperature: float, student_temperature: float
) -> Tensor:
    """Each of G groups (streams, branches) learns the neighbourhoods that every other group finds in its own bank.

    KL(softmax(t_a[S] / τ_t) ‖ softmax(s_b[S] / τ_s)), mean over the batch, where S are the slots most similar to the
    teacher (CMD: Mao et al., ECCV 2022, arXiv 2208.12448). With modalities as groups this is inter-modal distillation;
    with the instance and cluster branch of one modality as groups, intra-modal distillation; with all of them, both. S
    is a mask by a threshold of the teacher's cosines, which is equivalent to gathering because the order in S is
    irrelevant.

    Args:
        teacher: (G, B, K) cosines of the keys to their own banks; treated as constant.
        student: (G, B, K) cosines of the queries to theirs. Slot i must contain the same clip in all groups.
        neighbours: Size of S; at least K means all slots.
        teacher_temperature: τ_t, usually lower than τ_s.
        student_temperature: τ_s.

    Returns:
        (G, G): the loss of teacher a and student b at [a, b]; 0 on the diagonal.
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
        # The sums over S for all pairs of teacher and student are a product of (G, K) by (K, G) per clip.
        expected = target.transpose(0, 1) @ logits.permute(1, 2, 0)  # (B, G, G) Σ p_a times the logits of b
        normaliser = (inside.transpose(0, 1) @ logits.exp().permute(1, 2, 0)).clamp(min=SMALLEST)
        cross_entropy = (normaliser.log() - expected).mean(dim=0)
        divergence = negentropy.mean(dim=1)[:, None] + cross_entropy
        return divergence * (1 - torch.eye(len(student), dtype=student.dtype, device=student.device))


SMALLEST = 1e-30  # keeps logarithms finite if all slots contain the clip itself and its neighbourhood is empty


def aggregate(
    key: Tensor, cosines: Tensor, bank: Tensor, *, neighbours: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Dynamic neighbours aggregation: the centre of a key and of the slots that are closest to it.

    c = normalise(a_0 v + Σ_{i ∈ N} a_i C_i) with N the n most similar slots and a = softmax([1, v·C_N] / τ_d). The
    abstract of I²MD (arXiv 2310.15568) states that highly correlated neighbours are aggregated adaptively; the formula
    is our interpretation. Because c is normalised, the denominator of the softmax cancels, and a_0 can be set to 1.

    Args:
        key: (S, B, P) unit vectors v.
        cosines: (S, B, K) of the keys to the bank.
        bank: (S, K, P).
        neighbours: n.
        temperature: τ_d.

    Returns:
        The centres (S, B, P), and (S, B, 1) the smallest cosine in N: a slot is in N if its cosine is not below that.
    """
    with torch.autocast(key.device.type, enabled=False):
        cosines = cosines.float()
        least = _least_of_largest(cosines, neighbours)
        near = torch.ge(cosines, least, out=cosines.new_empty(cosines.shape))
        # Most weights are zero, but gathering would copy S x B x n x P numbers, more than the cosines.
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
    """All losses of a batch and their weighted sum, with its gradient in closed form.

    The values are those of `info_nce` and `mutual_distillation` of `similarity(query, bank, exclude)`, computed in a
    third of the time. Most of the time is spent on passes over (G, B, K) arrays. Therefore all passes are made over a
    few clips at a time, while these are in the cache, and the gradient overwrites the students' cosines. None of these
    arrays is kept after the call.

    Args:
        query: (G, B, P) unit vectors of the students.
        centre: (G, B, P) the positive of each query; treated as constant.
        bank: (G, K, P). Slot i must contain the same clip in all groups.
        teacher: (G, B, K) cosines of the keys to their own banks; treated as constant.
        contrasts: (G,) weights of the contrastive losses.
        pairs: (T, T) weights of teacher a and student b among the first T groups, 0 on the diagonal.
        exclude: As in `similarity`.
        near: (V, B, 1) for the last V groups: slots whose teacher's cosine is not below it are not negatives.
        temperature: τ of the contrastive losses.
        neighbours: Number of slots in a teacher's neighbourhood.
        teacher_temperature: τ_t.
        student_temperature: τ_s.

    Returns:
        The weighted sum (); and, without gradients, the contrastive losses (G,) and the divergences (T, T).
    """
    with torch.autocast(query.device.type, enabled=False):
        query, bank, teacher = query.float(), bank.float(), teacher.float()
        temperatures = temperature, teacher_temperature, student_temperature
        return _WeightedLosses.apply(
            query, centre.float(), bank, teacher, contrasts, pairs, exclude, near, neighbours, temperatures
        )


class _WeightedLosses(torch.autograd.Function):
    """Saves the gradient of the queries (G, B, P) for the backward pass."""

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
            seen.copy_(gradient)  # `seen` is a part of `student`, which from now on contains the gradient
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
    """The contrastive loss (n, G, 1) of n clips; its weighted gradients for positive and (n, G, K) negative cosines."""
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
    """The divergences (n, T, T) of n clips from cosines (n, T, K); adds their gradient for the student to `gradient`.

    The gradient is Σ_a w_ab (softmax over S_a of b - p_a) / τ_s, with p_a the teacher's softmax over its neighbourhood
    S_a.
    """
    teacher_temperature, student_temperature = temperatures
    logits = _scaled(teacher, teacher.amax(dim=-1, keepdim=True), teacher_temperature)
    # A mask of floats, because a boolean mask takes ten times as long on a CPU.
    inside = torch.ge(teacher, _least_of_largest(teacher, neighbours), out=teacher.new_empty(teacher.shape))
    target = logits.exp().mul_(inside)
    total = target.sum(dim=-1, keepdim=True).clamp_(min=SMALLEST)
    negentropy = logits.mul_(target).sum(dim=-1, keepdim=True) / total - total.log()
    logits = _scaled(student, student.amax(dim=-1, keepdim=True), student_temperature)
    # The sums over S for all pairs of teacher and student are a product of (T, K) by (K, T) per clip.
    expected = (target @ logits.mT) / total
    power = logits.exp_()
    normaliser = (inside @ power.mT).clamp_(min=SMALLEST)
    scale = weight.T / student_temperature
    gradient.addcmul_((scale / normaliser.mT) @ inside, power).baddbmm_(scale / total.mT, target, alpha=-1)
    return negentropy + normaliser.log() - expected


def _scaled(cosines: Tensor, peak: Tensor, temperature: float) -> Tensor:
    """(cosines - peak) / temperature in one pass."""
    return torch.add(peak * (-1 / temperature), cosines, alpha=1 / temperature)


def _least_of_largest(cosines: Tensor, count: int) -> Tensor:
    """The smallest of the `count` largest cosines that are not excluded, (..., 1); if there are fewer, of all."""
    slots = cosines.shape[-1]
    if count >= slots:
        return cosines.new_full((), LOWEST_COSINE)
    if cosines.device.type == "cpu":  # numpy's vectorised partition, six times as fast as torch's selection
        split = np.partition(cosines.detach().numpy(), slots - count, axis=-1)[..., slots - count, None]
        least = torch.from_numpy(split)
    else:
        least = cosines.detach().kthvalue(slots - count + 1, dim=-1, keepdim=True).values
    return least.clamp(min=LOWEST_COSINE)
