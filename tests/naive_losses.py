"""The losses as loops in float64, written from the formulas of docs/method.md, and random unit vectors for them."""

from __future__ import annotations

import math

import torch


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


def naive_info_nce(query, key, bank, excluded):
    """-log exp(q·k/τ) / (exp(q·k/τ) + Σ exp(q·b/τ)), a stream at a time."""
    total = 0.0
    for q, k, out in zip(query, key, excluded):
        positive = math.exp(q @ k / 0.07)
        others = sum(math.exp(q @ bank[j] / 0.07) for j in range(len(bank)) if not out[j])
        total -= math.log(positive / (positive + others)) / len(query)
    return total


def naive_distillation(key, teacher_bank, query, student_bank, neighbours, excluded):
    """KL(softmax(k·B_a[S]/0.05) ‖ softmax(q·B_b[S]/0.1)), S the teacher's top slots."""
    total = 0.0
    for k, q, out in zip(key, query, excluded):
        allowed = [j for j in range(len(teacher_bank)) if not out[j]]
        chosen = sorted(allowed, key=lambda j: -(k @ teacher_bank[j]).item())[:neighbours]
        p = [math.exp(k @ teacher_bank[j] / 0.05) for j in chosen]
        s = [math.exp(q @ student_bank[j] / 0.1) for j in chosen]
        total += sum(a / sum(p) * math.log((a / sum(p)) / (b / sum(s))) for a, b in zip(p, s)) / len(key)
    return total
