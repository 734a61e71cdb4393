"""`close_pairs` against all cosines in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelrep.evaluate.close_pairs import close_pairs


def _rows(count: int, dim: int, seed: int) -> np.ndarray:
    """Rows in a few tight bundles, and one row of zeros."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(7, dim))[rng.integers(7, size=count)] + 0.3 * rng.normal(size=(count, dim))
    rows[count // 2] = 0
    return rows.astype(np.float32)


def _expected(rows: np.ndarray, other: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    one, two = (each.astype(np.float64) for each in (rows, other))
    one, two = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-300) for each in (one, two))
    cosines = one @ two.T
    return {
        (i, j): cosines[i, j] for i in range(len(rows)) for j in range(i + 1, len(rows)) if cosines[i, j] >= threshold
    }


@pytest.mark.parametrize("block_bytes", [1, 3_000, 2**28])
@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.9])
def test_pairs_equal_those_of_all_cosines(block_bytes, threshold):
    rows, other = _rows(37, 24, 0), _rows(37, 24, 1)
    for second in (None, other):
        found = close_pairs(rows, threshold, other=second, block_bytes=block_bytes)
        expected = _expected(rows, rows if second is None else second, threshold)
        assert list(zip(found.first.tolist(), found.second.tolist())) == list(expected)
        np.testing.assert_allclose(found.cosine, list(expected.values()), atol=1e-6)


def test_the_block_size_changes_no_bit():
    rows = torch.from_numpy(_rows(120, 300, 2))
    one, two = (close_pairs(rows, 0.5, block_bytes=size) for size in (100_000, 2**28))
    assert len(one.first) > 300
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)


def test_equal_rows_have_cosine_one():
    rows = np.random.default_rng(0).normal(size=(1, 1536)).repeat(3, axis=0).astype(np.float32)
    found = close_pairs(rows, 1.0 - 1e-7)
    assert found.first.tolist() == [0, 0, 1] and found.second.tolist() == [1, 2, 2]
    np.testing.assert_allclose(found.cosine, 1, atol=1e-7)


def test_too_many_pairs_are_refused():
    with pytest.raises(ValueError, match=r"threshold=-1: more than 50 pairs"):
        close_pairs(_rows(12, 5, 0), -1, most=50)
    assert len(close_pairs(_rows(12, 5, 0), -1, most=66).first) == 66


def test_no_pairs():
    found = close_pairs(np.eye(4), 0.5)
    assert [len(column) for column in found] == [0, 0, 0]
