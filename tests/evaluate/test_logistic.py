"""Logistic regression against scikit-learn and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skelrep.evaluate import logistic


@pytest.mark.parametrize("saved", [0, 1000], ids=["columns", "principal-axes"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("count", "dim", "n_classes"), [(300, 20, 5), (300, 20, 2), (60, 300, 4), (60, 300, 2)])
def test_every_fit_of_a_path_reaches_the_minimum_of_scikit_learn(count, dim, n_classes, kind, saved, monkeypatch):
    monkeypatch.setattr(logistic, "_SAVED_EVALUATIONS", saved)
    generator = np.random.default_rng(2)
    codes = np.minimum(generator.integers(0, n_classes + 2, count), n_classes - 1)  # the last class has the most rows
    common = generator.normal(size=(count, 2)) @ generator.normal(size=(2, dim))  # columns that move together
    rows = 3 * common + generator.normal(size=(count, dim)) + 0.5 * generator.normal(size=(n_classes, dim))[codes]
    rows = StandardScaler().fit_transform(rows).astype(kind)
    candidates = [1e-4, 1e-2, 1, 10]
    fits = list(logistic.regularisation_path(torch.from_numpy(rows.copy()), torch.from_numpy(codes), candidates, 1000))
    for C, (weights, intercept, converged) in zip(candidates, fits, strict=True):
        exact = LogisticRegression(C=C, max_iter=10_000, tol=1e-8).fit(rows.astype(np.float64), codes)
        coef, offset = exact.coef_, exact.intercept_
        if n_classes == 2:  # half the difference for each class
            coef, offset = np.concatenate([-coef, coef]) / 2, np.concatenate([-offset, offset]) / 2
        scale = (2 if n_classes == 2 else 1) / (2 * C * count)
        values = []
        for w, b in ((weights.numpy(), intercept.numpy()), (coef, offset)):
            scores = rows.astype(np.float64) @ w.T.astype(np.float64) + b
            chosen = scores[np.arange(count), codes]
            values.append((np.logaddexp.reduce(scores, axis=1) - chosen).mean() + scale * np.square(w).sum())
        assert converged
        assert weights.numpy().dtype == kind
        assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_objective_and_gradient_equal_autograd():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(logistic._BLOCK_ROWS + 40, 6, generator=generator, dtype=torch.float64)
    codes = torch.randint(3, (len(rows),), generator=generator)
    point = torch.randn(3, 7, generator=generator, dtype=torch.float64).requires_grad_()
    scale = torch.rand(3, 7, generator=generator, dtype=torch.float64) + 0.5
    weights, intercept = (point * scale).split([6, 1], dim=1)
    expected = torch.nn.functional.cross_entropy(rows @ weights.T + intercept.T, codes)
    expected = expected + 0.3 / 2 * weights.square().sum()
    value, gradient = logistic._objective(rows, codes, 0.3, scale)(point.detach())
    assert value == pytest.approx(expected.item())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, point)[0])


@pytest.mark.parametrize(("count", "dim"), [(logistic._BLOCK_ROWS + 200, 30), (30, 50)])
def test_principal_axes_keep_products_and_have_no_correlation(count, dim):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    rows = rows @ torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    rows[:, 3] = 0  # a constant column
    rows -= rows.mean(dim=0)
    given = rows.clone()
    coordinates, subspace = logistic._spanned(rows)
    axes, variance = logistic._rotate_to_principal_axes(coordinates)
    axes = axes if subspace is None else subspace @ axes
    torch.testing.assert_close(coordinates @ axes.T, given)
    largest = logistic._largest_variance(coordinates)
    assert 0.5 * variance.max() <= largest <= variance.max() * (1 + 1e-9)
    torch.testing.assert_close(coordinates.T @ coordinates / count, torch.diag(variance))


def test_scale_is_that_of_the_curvature_where_nothing_is_known():
    # At zero all probabilities are 1/K, and p (1 - p) does not depend on the row: the approximation is exact.
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(400, 5, generator=generator, dtype=torch.float64) * torch.tensor([10.0, 3, 1, 0.1, 0.01])
    coordinates = rows - rows.mean(dim=0)
    _, variance = logistic._rotate_to_principal_axes(coordinates)
    codes = torch.randint(4, (400,), generator=generator)
    zero = torch.zeros(4, 6, dtype=torch.float64)
    scale = logistic._scale(logistic._uncertainty(coordinates, zero), variance, 1e-4)
    objective = logistic._objective(coordinates, codes, 1e-4, scale)
    step = 1e-5 * torch.eye(24, dtype=torch.float64).view(24, 4, 6)
    curvature = [(objective(d)[1] - objective(-d)[1]).flatten()[i] / 2e-5 for i, d in enumerate(step)]
    torch.testing.assert_close(torch.stack(curvature), torch.ones(24, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_standardise_equals_scikit_learn(kind):
    generator = np.random.default_rng(0)
    train, test = (generator.normal(size=(size, 5)) for size in (1000, 20))
    for rows in (train, test):
        rows *= [1, 1e-3, 1e3, 1e25, 0]
        rows += [0, 10, -10, 0, 0.1]
    train, test = train.astype(kind), test.astype(kind)
    scaler = StandardScaler().fit(train.astype(np.float64))
    expected = [np.asarray(scaler.transform(rows.astype(np.float64))) for rows in (train, test)]
    logistic.standardise(torch.from_numpy(train), torch.from_numpy(test))
    for rows, other in zip((train, test), expected, strict=True):
        np.testing.assert_allclose(rows, other, atol=2e-3 if kind == np.float32 else 1e-9)
        assert abs(rows[:, 4]).max() < 1e-7  # a constant column
