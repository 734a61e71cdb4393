"""The losses of I²MD as pure functions of tensors.

None synchronises with the host, copies a bank, or sorts. Products and softmaxes are float32 whatever autocast says,
because differences of similarities divided by temperatures of a few hundredths do not survive bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor


def info_nce(query: Tensor, key: Tensor, bank: Tensor, temperature: float, ignore: Tensor | None = None) -> Tensor:
    """Instance contrast: -log exp(q·k/τ) / (exp(q·k/τ) + Σ_j exp(q·b_j/τ)), the mean over the batch.

    MoCo's loss (He et al., CVPR 2020, arXiv 1911.05722, eq. 1), for S streams at once.

    Args:
        query: (S, B, P) unit vectors, with gradient.
        key: (S, B, P) unit vectors of the other view, without.
        bank: (S, K, P) earlier keys.
        temperature: τ.
        ignore: (B, K) True where a slot holds the query's own clip and is no negative.

    Returns:
        (S,) one loss a stream.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key, bank = query.float(), key.float(), bank.float()
        positive = (query * key).sum(dim=-1) / temperature  # (S, B)
        negative = query @ bank.mT / temperature  # (S, B, K)
        if ignore is not None:
            negative = negative.masked_fill(ignore, -torch.inf)
        everything = torch.logaddexp(positive, negative.logsumexp(dim=-1))
        return (everything - positive).mean(dim=-1)


def mutual_distillation(
    query: Tensor,
    key: Tensor,
    bank: Tensor,
    *,
    neighbours: int,
    teacher_temperature: float,
    student_temperature: float,
    ignore: Tensor | None = None,
) -> Tensor:
    """Cross-modal mutual distillation: every stream learns the neighbourhood that every other stream sees.

    KL(softmax(k_a·B_a[S] / τ_t) ‖ softmax(q_b·B_b[S] / τ_s)) with S the teacher's most similar slots, the mean over
    the batch (CMD: Mao et al., ECCV 2022, arXiv 2208.12448). S enters as a mask by the teacher's threshold, which
    equals gathering since the order inside S does not matter.

    Args:
        query: (S, B, P) the students' unit vectors, with gradient.
        key: (S, B, P) the teachers', without.
        bank: (S, K, P) index-aligned: slot i of every stream came from the same clip.
        neighbours: Size of S; at least K means all slots.
        teacher_temperature: τ_t, the sharper one.
        student_temperature: τ_s.
        ignore: (B, K) True where a slot holds the query's own clip.

    Returns:
        (S, S): the loss of teacher a and student b at [a, b]; zero on the diagonal.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key, bank = query.float(), key.float(), bank.float()
        teacher = key @ bank.mT  # (S, B, K) cosine similarities
        student = query @ bank.mT / student_temperature
        if ignore is not None:
            teacher = teacher.masked_fill(ignore, -torch.inf)
        slots = bank.shape[1]
        if neighbours < slots:
            threshold = teacher.kthvalue(slots - neighbours + 1, dim=-1, keepdim=True).values
            teacher = teacher.masked_fill(teacher < threshold, -torch.inf)
        inside = (teacher > -torch.inf).to(student.dtype)
        target = (teacher / teacher_temperature).softmax(dim=-1)  # exactly zero outside S
        entropy = torch.special.entr(target).sum(dim=-1)  # (S, B)
        # Every sum over S, for each pair of a teacher and a student, is a product of (S, K) by (K, S) in each clip.
        peak = student.detach().amax(dim=-1, keepdim=True)
        shifted = student - peak
        expected = target.transpose(0, 1) @ shifted.permute(1, 2, 0)  # (B, S, S) Σ p_a log-weights of b
        normaliser = (inside.transpose(0, 1) @ shifted.exp().permute(1, 2, 0)).clamp(min=SMALLEST).log()
        divergence = (normaliser - expected).mean(dim=0) - entropy.mean(dim=1)[:, None]
        return divergence * (1 - torch.eye(len(query), device=query.device))


SMALLEST = 1e-30  # keeps the logarithm finite where a student sees nothing at all of its teacher's neighbourhood
