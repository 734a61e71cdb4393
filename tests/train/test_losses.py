"""The losses against loops in float64 that are written from the formulas of docs/method.md."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.train import losses
from skelrep.train.losses import EXCLUDED, aggregate, info_nce, mutual_distillation, similarity, weighted_losses
from tests.naive_losses import naive_distillation, naive_info_nce, unit

TEMPERATURES: dict[str, Any] = {"teacher_temperature": 0.05, "student_temperature": 0.1}


def everyone(views, dtype=torch.float32) -> dict[str, Any]:
    """Weights of `weighted_losses` for the plain sum of everything."""
    return {"contrasts": torch.ones(views, dtype=dtype), "pairs": 1 - torch.eye(views, dtype=dtype)}


def exclusions(batch, slots, share, seed=0):
    """(B, K) which slots must not count, at least one left to each clip."""
    chosen = torch.rand(batch, slots, generator=torch.Generator().manual_seed(seed)) < share
    chosen[:, 5] = False
    return chosen


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_similarity_is_the_cosine_and_excludes(share):
    query, bank, out = unit(2, 5, 8), unit(2, 33, 8, seed=2), exclusions(5, 33, share)
    got = similarity(query.float(), bank.float(), out * EXCLUDED)
    assert got.dtype == torch.float32
    assert (got[:, out] < -9000).all()
    expected = torch.stack([torch.stack([bank[s] @ query[s, b] for b in range(5)]) for s in range(2)])
    torch.testing.assert_close(got[:, ~out].double(), expected[:, ~out], rtol=0, atol=1e-6)
    assert torch.equal(similarity(query.float(), bank.float())[:, ~out], got[:, ~out])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_info_nce_is_the_formula(share):
    query, key, bank, out = unit(2, 5, 8), unit(2, 5, 8, seed=1), unit(2, 33, 8, seed=2), exclusions(5, 33, share)
    expected = [naive_info_nce(query[s], key[s], bank[s], out) for s in range(2)]
    cosines = similarity(query.float(), bank.float(), out * EXCLUDED)
    got = info_nce((query * key).sum(dim=-1), cosines, 0.07)
    torch.testing.assert_close(got, torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("neighbours", [1, 10, 26, 33, 100])
@pytest.mark.parametrize("share", [0.0, 0.3])  # of 33 slots some 23 are then allowed: fewer than 26
def test_mutual_distillation_between_streams_is_the_formula(neighbours, share):
    query, key, bank, out = unit(3, 4, 8), unit(3, 4, 8, seed=1), unit(3, 33, 8, seed=2), exclusions(4, 33, share)
    expected = torch.zeros(3, 3)
    for a in range(3):
        for b in range(3):
            if a != b:
                expected[a, b] = naive_distillation(key[a], bank[a], query[b], bank[b], neighbours, out)
    teacher, student = (similarity(x.float(), bank.float(), out * EXCLUDED) for x in (key, query))
    got = mutual_distillation(teacher, student, neighbours=neighbours, **TEMPERATURES)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_all_pairs_hold_both_distillations():
    """With both branches of every stream as views: CMD in one corner, IMD on the diagonals of the mixed ones."""
    streams, out = 3, exclusions(4, 33, 0.3)
    query, key, bank = unit(2, streams, 4, 8), unit(2, streams, 4, 8, seed=1), unit(2, streams, 33, 8, seed=2)
    teacher, student = (similarity(x.float(), bank.float(), out * EXCLUDED).flatten(0, 1) for x in (key, query))
    got = mutual_distillation(teacher, student, neighbours=10, **TEMPERATURES)
    instance, cluster = 0, 1
    for a in range(streams):
        for b in range(streams):
            if a != b:
                expected = naive_distillation(key[0, a], bank[0, a], query[0, b], bank[0, b], 10, out)
                assert got[a, b].item() == pytest.approx(expected, rel=1e-4)
        for one, other in ((instance, cluster), (cluster, instance)):
            expected = naive_distillation(key[one, a], bank[one, a], query[other, a], bank[other, a], 10, out)
            assert got[one * streams + a, other * streams + a].item() == pytest.approx(expected, rel=1e-4)


def test_clips_whose_slots_are_all_excluded_get_a_finite_gradient_of_zero():
    """The bank of a corpus with one recording contains no other clip."""
    query, key, bank = (unit(2, n, 8, seed=n, dtype=torch.float32) for n in (3, 4, 9))
    key = key[:, :3]
    query.requires_grad_()
    out = torch.zeros(3, 9)
    out[1] = EXCLUDED
    teacher, student = similarity(key, bank, out), similarity(query, bank, out)
    centre, least = aggregate(key, teacher, bank, neighbours=4, temperature=0.1)
    torch.testing.assert_close(centre[:, 1], key[:, 1])
    contrast = info_nce((query * centre).sum(dim=-1), student + (teacher >= least) * EXCLUDED, 0.07)
    pairs = mutual_distillation(teacher, student, neighbours=4, **TEMPERATURES)
    others = [0, 2]
    expected = mutual_distillation(teacher[:, others], student[:, others], neighbours=4, **TEMPERATURES)
    torch.testing.assert_close(pairs, expected * 2 / 3)
    total, *_ = weighted_losses(
        query,
        centre,
        bank,
        teacher,
        exclude=out,
        near=least,
        neighbours=4,
        temperature=0.07,
        **everyone(2),
        **TEMPERATURES,
    )
    for loss in (pairs.sum() + contrast.sum(), total):
        torch.testing.assert_close(loss, pairs.sum() + contrast.sum())
        (gradient,) = torch.autograd.grad(loss, query)
        assert gradient.isfinite().all()
        assert gradient[:, 1].abs().max() == 0


@pytest.mark.parametrize("neighbours", [1, 6, 26, 33, 50])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_aggregate_is_the_formula(neighbours, share):
    key, bank, out = unit(2, 4, 8), unit(2, 33, 8, seed=2), exclusions(4, 33, share)
    cosines = similarity(key.float(), bank.float(), out * EXCLUDED)
    centre, least = aggregate(key.float(), cosines, bank.float(), neighbours=neighbours, temperature=0.1)
    assert least.shape == (2, 4, 1)
    for s in range(2):
        for b in range(4):
            allowed = [j for j in range(33) if not out[b, j]]
            nearest = sorted(allowed, key=lambda j: -(key[s, b] @ bank[s, j]).item())[:neighbours]
            exponents = torch.tensor([1.0] + [(key[s, b] @ bank[s, j]).item() for j in nearest], dtype=torch.float64)
            weights = (exponents / 0.1).softmax(dim=0)
            mixed = weights[0] * key[s, b] + sum(w * bank[s, j] for w, j in zip(weights[1:], nearest))
            torch.testing.assert_close(centre[s, b].double(), mixed / mixed.norm(), rtol=0, atol=1e-6)
            assert (cosines[s, b] >= least[s, b]).nonzero()[:, 0].tolist() == sorted(nearest)


@pytest.mark.parametrize("cached", [1, 700, 2**17])  # a clip, three clips and all nine at once
@pytest.mark.parametrize("near", [0, 2, 4])
@pytest.mark.parametrize("taught", [0, 2, 4])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_weighted_losses_are_the_sum_of_the_others(cached, near, taught, share, monkeypatch):
    monkeypatch.setattr(losses, "CACHED", cached)
    views, clips, slots = 4, 9, 50
    key, bank = unit(views, clips, 8, dtype=torch.float32), unit(views, slots, 8, seed=2, dtype=torch.float32)
    query = unit(views, clips, 8, seed=1, dtype=torch.float32).requires_grad_()
    exclude = exclusions(clips, slots, share) * EXCLUDED
    centre, teacher, student = (
        unit(views, clips, 8, seed=3).float(),
        *(similarity(x, bank, exclude) for x in (key, query)),
    )
    least = aggregate(key, teacher, bank, neighbours=5, temperature=0.1)[1][-near:] if near else None
    generator = torch.Generator().manual_seed(4)
    contrasts = torch.rand(views, generator=generator)
    pairs = torch.rand(taught, taught, generator=generator).fill_diagonal_(0)

    members = torch.zeros_like(teacher)
    if least is not None:
        members[-near:] = (teacher[-near:] >= least) * EXCLUDED
    contrast = info_nce((query * centre).sum(dim=-1), student + members, 0.07)
    divergence = mutual_distillation(teacher[:taught], student[:taught], neighbours=20, **TEMPERATURES)
    expected = (contrast * contrasts).sum() + (divergence * pairs).sum()
    weights = {"contrasts": contrasts, "pairs": pairs}
    total, *parts = weighted_losses(
        query,
        centre,
        bank,
        teacher,
        exclude=exclude,
        near=least,
        neighbours=20,
        temperature=0.07,
        **weights,
        **TEMPERATURES,
    )
    torch.testing.assert_close([total, *parts], [expected, contrast, divergence], rtol=1e-5, atol=1e-5)
    assert not any(part.requires_grad for part in parts)
    gradients = [torch.autograd.grad(3 * loss, query)[0] for loss in (total, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


class Elsewhere(torch.Tensor):
    """A tensor that says it were on an accelerator."""

    device = torch.device("cuda")  # type: ignore[assignment]


@settings(max_examples=40)
@given(
    slots=st.integers(1, 40), count=st.integers(1, 50), share=st.floats(0, 1), ties=st.booleans(), seed=st.integers(0)
)
def test_all_implementations_of_the_threshold_agree(slots, count, share, ties, seed):
    generator = torch.Generator().manual_seed(seed % 2**32)
    cosines = torch.rand(2, 3, slots, generator=generator) * 2 - 1
    cosines = (cosines * 4).round() / 4 if ties else cosines
    cosines = cosines + (torch.rand(3, slots, generator=generator) < share) * EXCLUDED
    expected = (
        cosines.sort(dim=-1, descending=True).values[..., min(count, slots) - 1, None].clamp(min=losses.LOWEST_COSINE)
    )
    inside = cosines >= expected
    for way in (cosines, cosines.as_subclass(Elsewhere)):  # type: ignore[arg-type]
        got = torch.as_tensor(losses._least_of_largest(way, count)).as_subclass(torch.Tensor)  # type: ignore[arg-type]
        # Where all slots are asked for, any threshold below them and above the excluded ones will do.
        assert torch.equal(cosines >= got, inside & (cosines > losses.LOWEST_COSINE))
        if count < slots:
            assert torch.equal(got, expected)


@settings(max_examples=25)
@given(
    streams=st.integers(1, 4),
    batch=st.integers(1, 4),
    slots=st.integers(2, 20),
    neighbours=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_distillation_is_a_divergence(streams, batch, slots, neighbours, seed):
    """Never negative, none on the diagonal, and the order of slots means nothing."""
    bank = unit(streams, slots, 6, seed=seed, dtype=torch.float32)
    teacher, student = (similarity(unit(streams, batch, 6, seed=seed ^ s, dtype=torch.float32), bank) for s in (1, 2))
    got = mutual_distillation(teacher, student, neighbours=neighbours, **TEMPERATURES)
    assert got.shape == (streams, streams)
    assert got.min() > -1e-5
    assert (got.diagonal() == 0).all()
    order = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))
    shuffled = mutual_distillation(teacher[..., order], student[..., order], neighbours=neighbours, **TEMPERATURES)
    torch.testing.assert_close(shuffled, got, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_formulas(monkeypatch):
    # The losses compute in float32; for gradcheck that cast is made a cast to float64.
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor.double())
    query, key, bank = unit(2, 3, 4).requires_grad_(), unit(2, 3, 4, seed=1), unit(2, 9, 4, seed=2)
    out = torch.zeros(3, 9, dtype=torch.float64)
    out[0, 1] = EXCLUDED
    teacher = similarity(key, bank, out)

    def contrast(q):
        return info_nce((q * key).sum(dim=-1), similarity(q, bank, out), 0.07)

    def clusters(q):
        centre, least = aggregate(key, teacher, bank, neighbours=4, temperature=0.1)
        return info_nce((q * centre).sum(dim=-1), similarity(q, bank, out) + (teacher >= least) * EXCLUDED, 0.07)

    def distillation(q):
        return mutual_distillation(teacher, similarity(q, bank, out), neighbours=5, **TEMPERATURES)

    def everything(q):
        centre, least = aggregate(key, teacher, bank, neighbours=4, temperature=0.1)
        given: dict[str, Any] = {"exclude": out, "near": least, "neighbours": 5, "temperature": 0.07}
        return weighted_losses(q, centre, bank, teacher, **given, **everyone(2, torch.float64), **TEMPERATURES)[0]

    for loss in (contrast, clusters, distillation, everything):
        assert torch.autograd.gradcheck(loss, (query,)), loss


def test_the_teacher_gets_no_gradient():
    key = unit(2, 3, 4, dtype=torch.float32).requires_grad_()
    bank = unit(2, 9, 4, seed=2, dtype=torch.float32)
    student = similarity(unit(2, 3, 4, seed=1, dtype=torch.float32).requires_grad_(), bank)
    mutual_distillation(similarity(key, bank), student, neighbours=5, **TEMPERATURES).sum().backward()
    assert key.grad is None


def test_autocast_changes_no_bit():
    query, key, bank = (unit(2, 5, 8, seed=s, dtype=torch.float32) for s in range(3))

    def everything():
        teacher, student = similarity(key, bank), similarity(query, bank)
        positive = (query * key).sum(dim=-1)
        return (
            teacher,
            info_nce(positive, student, 0.07),
            mutual_distillation(teacher, student, neighbours=3, **TEMPERATURES),
            *aggregate(key, teacher, bank, neighbours=2, temperature=0.1),
            *weighted_losses(
                query, key, bank, teacher, neighbours=3, temperature=0.07, **everyone(len(query)), **TEMPERATURES
            ),
        )

    with torch.autocast("cpu", torch.bfloat16):
        assert (query @ bank.mT).dtype == torch.bfloat16  # it is at work
        low = everything()
    for got, expected in zip(low, everything()):
        assert got.dtype == torch.float32
        assert torch.equal(got, expected)


def test_vectors_of_half_the_precision_are_multiplied_in_single():
    query, bank = unit(5, 8, dtype=torch.float32).bfloat16(), unit(9, 8, seed=1, dtype=torch.float32)
    torch.testing.assert_close(similarity(query, bank), query.float() @ bank.mT, rtol=0, atol=1e-6)
