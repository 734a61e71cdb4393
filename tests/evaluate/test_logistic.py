"""Logistic regression against scikit-learn and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skelrep.evaluate import logistic


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("count", "dim", "n_classes"), [(300, 20, 5), (300, 20, 2), (60, 300, 4), (60, 300, 2)])
def test_every_fit_of_a_path_reaches_the_minimum_of_scikit_learn(count, dim, n_classes, kind):
    generator = np.random.default_rng(2)
    codes = np.minimum(generator.integers(0, n_classes + 2, count), n_classes - 1)  # the last class has the most rows
    common = generator.normal(size=(count, 2)) @ generator.normal(size=(2, dim))  # columns that move together
    rows = 3 * common + generator.normal(size=(count, dim)) + 0.5 * generator.normal(size=(n_classes, dim))[codes]
    rows = StandardScaler().fit_transform(rows).astype(kind)
    candidates = [1e-4, 1e-2, 1, 10]
    fits = list(logistic.regularisation_path(torch.from_numpy(rows), torch.from_numpy(codes), candidates, 1000))
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
    scores = rows @ point[:, :-1].T + 5 * point[:, -1]
    expected = torch.nn.functional.cross_entropy(scores, codes) + 0.3 / 2 * point[:, :-1].square().sum()
    value, gradient = logistic._objective(rows, codes, 0.3, 5.0)(point.detach())
    assert value == pytest.approx(expected.item())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, point)[0])


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
