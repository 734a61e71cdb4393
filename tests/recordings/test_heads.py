"""Heads against scikit-learn, calibration, and the threshold for unknown classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skelrep.evaluate.folds import stratified_folds
from skelrep.recordings.heads import Fold, best_temperature, fit_head
from tests.recordings.made_up import rows_of_classes, strange_rows


def folds_of(rows: np.ndarray, codes: np.ndarray) -> list[Fold]:
    splits = stratified_folds(codes, None, 5, 0)
    return [Fold(rows[kept], codes[kept], rows[out], codes[out]) for kept, out in splits]


def coded(per_class: int, **options) -> tuple[np.ndarray, np.ndarray]:
    rows, labels = rows_of_classes(per_class, **options)
    return rows, np.unique(labels, return_inverse=True)[1]


def test_a_linear_head_is_scikit_learns_logistic_regression():
    rows, codes = coded(20)
    head, C, _ = fit_head(rows, codes, folds_of(rows, codes), [0.1], keep=0.95)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-8, max_iter=1000)).fit(rows, codes)
    test, _ = coded(20, seed=1)
    assert C == 0.1
    expected = reference.decision_function(test)
    found = head.logits(test) * head.temperature
    np.testing.assert_allclose(found - found.mean(axis=1, keepdims=True), expected, atol=2e-2)
    np.testing.assert_allclose(head.probabilities(test).sum(axis=1), 1)


@pytest.mark.parametrize("per_class", [1, 2])
def test_few_clips_make_prototypes(per_class):
    rows, codes = coded(per_class, noise=0.2)
    folds = folds_of(rows, codes)
    head, C, held_out = fit_head(rows, codes, folds, [0.1, 1.0], keep=0.95)
    assert head.weight is None and C is None and (held_out is None) == (per_class == 1)
    test, truth = coded(10, seed=1, noise=0.2)
    assert (head.probabilities(test).argmax(axis=1) == truth).all()


def test_the_threshold_keeps_the_fraction_and_rejects_other_classes():
    rows, codes = coded(40)
    head, _, held_out = fit_head(rows, codes, folds_of(rows, codes), [0.1, 1.0], keep=0.9)
    assert held_out is not None
    assert (held_out.nearest >= head.threshold).mean() == pytest.approx(0.9, abs=0.01)
    assert head.is_known(coded(200, seed=2)[0]).mean() == pytest.approx(0.9, abs=0.1)
    assert head.is_known(strange_rows(40)).mean() < 0.2


def test_a_class_that_a_fold_lacks_is_neither_predicted_nor_calibrated_on():
    rows, codes = coded(20)
    lacking = codes[:45] != 2
    fold = Fold(rows[:45][lacking], codes[:45][lacking], rows[45:], codes[45:])
    head, _, held_out = fit_head(rows, codes, [fold], [1.0], keep=0.95)
    assert held_out is not None and not held_out.probabilities[:, 2].any()
    assert 0.01 < head.temperature < 10


def test_the_best_temperature_undoes_a_factor():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(4000, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    codes = (probabilities.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert best_temperature(5 * logits, codes) == pytest.approx(5, rel=0.1)
    sure = np.eye(3)[codes] * 9  # all right: no infinite certainty
    assert best_temperature(sure[:20], codes[:20]) > 0.05
