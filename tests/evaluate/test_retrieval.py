"""Retrieval and its average precision against scikit-learn and loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from skelrep.evaluate import retrieve
from tests.evaluate.samples import TINY, naive


@pytest.mark.parametrize("block_bytes", [1, TINY, 2**28])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_average_precision_equals_scikit_learn(data, metric, block_bytes):
    bank, bank_labels, query, query_labels = data
    query, query_labels = query[:20], query_labels[:20]
    result = retrieve(
        query, bank, metric=metric, query_labels=query_labels, bank_labels=bank_labels, block_bytes=block_bytes
    )
    order, similarities = naive(query, bank, len(bank), metric)
    assert (result.indices == order[:, :10]).all()
    assert result.average_precision is not None
    assert result.precision is not None
    for i, label in enumerate(query_labels):
        expected = average_precision_score(bank_labels[order[i]] == label, similarities[i])
        assert result.average_precision[i] == pytest.approx(expected)
    assert result.mean_average_precision == pytest.approx(result.average_precision.mean())
    right = bank_labels[result.indices] == query_labels[:, None]
    np.testing.assert_allclose(result.precision, [right[:, :k].mean() for k in range(1, 11)])


def test_average_precision_of_ties_follows_the_returned_order():
    result = retrieve(np.ones((1, 2)), np.ones((3, 2)), k=3, query_labels=["a"], bank_labels=["b", "a", "a"])
    assert result.average_precision == pytest.approx([(1 / 2 + 2 / 3) / 2])
    assert result.precision == pytest.approx([0, 1 / 2, 2 / 3])


@pytest.mark.parametrize("block_bytes", [20_000, 2**28])
def test_leave_one_out_retrieval_equals_searching_the_other_rows(data, block_bytes):
    rows, labels = data[0][:60], data[1][:60]
    result = retrieve(
        rows, rows, k=59, query_labels=labels, bank_labels=labels, leave_one_out=True, block_bytes=block_bytes
    )
    assert (result.indices != np.arange(60)[:, None]).all()
    assert result.average_precision is not None
    for i in (0, 33, 59):
        others = np.delete(np.arange(60), i)
        one = slice(i, i + 1)
        apart = retrieve(rows[one], rows[others], k=59, query_labels=labels[one], bank_labels=labels[others])
        assert (others[apart.indices[0]] == result.indices[i]).all()
        assert apart.average_precision == pytest.approx(result.average_precision[i])


@pytest.mark.parametrize("block_bytes", [20_000, 2**28])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_group_out_retrieval_equals_a_loop(data, metric, block_bytes):
    rows, labels = data[0][:120], data[1][:120]
    groups = np.array([f"S{i}" for i in np.random.default_rng(4).integers(0, 5, 120)])
    result = retrieve(
        rows,
        rows,
        k=9,
        metric=metric,
        query_labels=labels,
        bank_labels=labels,
        leave_one_out=True,
        groups=groups,
        block_bytes=block_bytes,
    )
    order, similarities = naive(rows, rows, 9, metric, lambda i, j: groups[i] != groups[j])
    assert (result.indices == order).all()
    np.testing.assert_allclose(result.similarities, similarities, atol=1e-5)
    assert result.protocol["n_groups"] == 5 and "one of 5 groups left out" in str(result)
    assert result.average_precision is not None
    for i in range(0, 120, 17):
        others = np.flatnonzero(groups != groups[i])
        [ranking] = naive(rows[i : i + 1], rows[others], len(others), metric)[0]
        expected = average_precision_score(labels[others[ranking]] == labels[i], -np.arange(len(others)))
        assert result.average_precision[i] == pytest.approx(expected)


def test_queries_without_relevant_rows_are_left_out_of_the_means():
    rows = np.eye(3)
    with pytest.warns(UserWarning, match="1 of 3 queries") as caught:
        result = retrieve(rows, rows, k=2, query_labels=["a", "b", "x"], bank_labels=["a", "b", "c"])
    assert caught[0].filename == __file__
    assert result.mean_average_precision == 1
    np.testing.assert_array_equal(result.average_precision, [1, 1, np.nan])
    assert result.protocol["n_scored"] == 2
    assert result.precision is not None
    assert result.precision.tolist() == [1, 0.5]
    lines = str(result).splitlines()
    assert lines[0] == "retrieval (cosine): the first 2 of 3 rows for 3 queries of 3 dimensions"
    assert lines[1] == "mean average precision 100.0 %, precision@1 100.0 %, precision@2 50.0 %"
    assert "<td>precision@2</td><td>50.0 %</td>" in result._repr_html_()


def test_retrieval_without_labels_has_no_scores():
    result = retrieve(np.eye(2), np.eye(2), k=1)
    assert result.mean_average_precision is result.average_precision is result.precision is None
    assert str(result).endswith("no labels given")
    assert result._repr_html_()
    json.dumps(result.to_dict(rows=True))
