"""The losses of I²MD as pure functions of tensors.

All of them see the world through `similarity`: cosines between a batch of unit vectors and the slots of a bank, made
once and shared. None synchronises with the host, copies a bank, or sorts. Products and softmaxes are float32 whatever
autocast says, because differences of cosines divided by temperatures of a few hundredths do not survive bfloat16.

Letters: S streams (or whatever else stands in front), B clips of the batch, K slots, P projected dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Added to the cosine of a slot that must not count: its exponential is exactly zero in float32 at any temperature in
# use, and, unlike -inf, zero times it is zero.
EXCLUDED = -1e4
LEAST = -2.0  # below every cosine, above every excluded one


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
        cosines = vectors.float() @ bank.float().mT
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
        cross_entropy = _CrossEntropies.apply(student, target, inside, student_temperature)
        divergence = negentropy.mean(dim=1)[:, None] + cross_entropy
        return divergence * (1 - torch.eye(len(student), dtype=student.dtype, device=student.device))


class _CrossEntropies(torch.autograd.Function):
    """Of the targets p_a, with softmaxes over a's slots S of every student b: (G, G), means over the batch.

    The gradient in closed form, Σ_a w_ab (softmax over S_a of b - p_a), costs a third of what autograd makes of the
    same sums, which stores each step and turns some of them the long way round.
    """

    @staticmethod
    def forward(context, student: Tensor, target: Tensor, inside: Tensor, temperature: float) -> Tensor:  # noqa: ANN001
        logits = (student - student.amax(dim=-1, keepdim=True)).div_(temperature)
        # Every sum over S, for each pair of a teacher and a student, is a product of (G, K) by (K, G) in each clip.
        expected = target.transpose(0, 1) @ logits.permute(1, 2, 0)  # (B, G, G) Σ p_a times the logits of b
        power = logits.exp_()
        normaliser = (inside.transpose(0, 1) @ power.permute(1, 2, 0)).clamp_(min=SMALLEST)
        context.save_for_backward(target, inside, power, normaliser)
        context.temperature = temperature
        return (normaliser.log() - expected).mean(dim=0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, given: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN001
        target, inside, power, normaliser = context.saved_tensors
        given = given / (context.temperature * len(normaliser))
        share = (given / normaliser).mT @ inside.transpose(0, 1)  # (B, G, K)
        gradient = share.transpose(0, 1).mul_(power)
        clips, slots = target.shape[1:]
        gradient.sub_((given.mT @ target.flatten(1)).view(-1, clips, slots))
        return gradient, None, None, None


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
        The centres (S, B, P), and (S, B, K) `EXCLUDED` at the slots in N, else 0.
    """
    with torch.autocast(key.device.type, enabled=False):
        cosines = cosines.float()
        near = (cosines >= _least_of_largest(cosines, neighbours)).to(cosines.dtype)
        # A product with mostly zeros, but no gather, whose S x B x n x P copies would be larger than the cosines.
        weight = (cosines - 1).div_(temperature).exp_().mul_(near)
        centre = torch.nn.functional.normalize(key.float() + weight @ bank.float(), dim=-1)
        return centre, near.mul_(EXCLUDED)


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
