"""Fixtures of the tests of evaluations."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def data():
    """Two overlapping samples of 7 classes in 12 dimensions: (train, labels, test, labels), accuracies of about 0.7."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(7, 12))
    labels, test_labels = np.arange(211) % 7, np.arange(83) % 7
    train = centers[labels] + 1.5 * generator.normal(size=(211, 12))
    test = centers[test_labels] + 1.5 * generator.normal(size=(83, 12))
    return train.astype(np.float32), labels, test.astype(np.float32), test_labels
