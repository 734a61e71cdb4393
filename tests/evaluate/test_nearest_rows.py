"""The exact search against plain loops, and the fast search against the exact one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from skelrep.evaluate import exact_search, fast_search, knn_eval, retrieve
from tests.evaluate.samples import TINY, Held, naive


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 6),
    st.sampled_from(["cosine", "euclidean"]),
    st.integers(0, 2**32 - 1),
)
def test_neighbours_equal_a_loop_at_every_block_size(n, q, dim, k, metric, seed):
    # Small integers make ties by the dozen, zeros and repeated rows.
    generator = np.random.default_rng(seed)
    bank, query = generator.integers(-1, 2, (n, dim)), generator.integers(-1, 2, (q, dim))
    k = min(k, n)
    expected, similarities = naive(query, bank, k, metric)
    previous = None
    for block_bytes in (1, 700, 3000, 2**28):
        result = retrieve(query, bank, k=k, metric=metric, block_bytes=block_bytes)
        np.testing.assert_allclose(result.similarities, similarities, atol=2e-7)
        if metric == "euclidean":  # square roots of equal integers: the loop sees the same ties
            assert (result.indices == expected).all()
        if previous is not None:
            assert (result.indices == previous.indices).all()
            assert (result.similarities == previous.similarities).all()
        previous = result


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block_bytes", [1, 9000, 2**20, 2**28])
def test_equal_rows_are_returned_in_bank_order(metric, block_bytes):
    generator = np.random.default_rng(1)
    distinct = generator.normal(size=(5, 300)).astype(np.float32) + 3
    bank = np.tile(distinct, (40, 1))  # row j equals row j + 5: float32 products of such rows differ in the last bit
    result = retrieve(distinct, bank, k=50, metric=metric, block_bytes=block_bytes)
    assert (result.indices[:, :40] == np.arange(5)[:, None] + 5 * np.arange(40)).all()
    rest = result.indices[:, 40:]
    assert (np.diff(rest, axis=1) == 5).all()  # ten of the forty equal rows that come next, the lowest ones
    assert (rest[:, 0] < 5).all()
    assert (np.ptp(result.similarities[:, :40], axis=1) == 0).all()


def test_rows_of_zeros_have_cosine_zero():
    bank = np.array([[-1.0, 0], [0, 0], [1, 0]])
    result = retrieve(np.array([[2.0, 0], [0, 0]]), bank, k=3)
    assert result.indices.tolist() == [[2, 1, 0], [0, 1, 2]]
    assert result.similarities.tolist() == [[1, 0, -1], [0, 0, 0]]
    classifier = KNeighborsClassifier(1, metric="cosine").fit(bank, [0, 1, 2])
    assert (classifier.predict([[2.0, 0], [0, 0]]) == [2, 0]).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_neighbours_do_not_depend_on_scale(data, metric, scale):
    train, labels, test, test_labels = data
    reference = knn_eval(train, labels, test, test_labels, k=5, metric=metric)
    scaled = knn_eval(train * np.float32(scale), labels, test * np.float32(scale), test_labels, k=5, metric=metric)
    assert (scaled.neighbors == reference.neighbors).all()


def test_euclidean_neighbours_with_an_offset_and_an_outlier(data):
    train, _, test, _ = data
    reference = retrieve(test, train, k=5, metric="euclidean")
    far = retrieve(test.astype(np.float64) + 1000, train.astype(np.float64) + 1000, k=5, metric="euclidean")
    assert (far.indices == reference.indices).all()
    wild = np.concatenate([train, np.full((1, 12), 1e6, dtype=np.float32)])
    result = retrieve(test, wild, k=5, metric="euclidean")
    assert (result.indices == reference.indices).all()
    np.testing.assert_allclose(result.similarities, reference.similarities, rtol=1e-2)
    nearest = retrieve(wild[-1:], wild, k=2, metric="euclidean")
    assert nearest.indices[0, 0] == 211
    assert nearest.similarities[0].tolist() == pytest.approx([0, -1e6 * math.sqrt(12)], rel=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_results_are_bit_identical_for_threads_and_input_types(data, metric, tmp_path):
    train, _, test, _ = data
    reference = retrieve(test, train, k=9, metric=metric)
    np.save(tmp_path / "train.npy", train)
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        others = [
            retrieve(torch.from_numpy(test), torch.from_numpy(train).requires_grad_(), k=9, metric=metric),
            retrieve(test.tolist(), mapped, k=9, metric=metric, device="cpu"),
            retrieve(np.asfortranarray(test), train.astype(np.float64), k=9, metric=metric, block_bytes=TINY),
        ]
    finally:
        torch.set_num_threads(threads)
    for other in others:
        assert (other.indices == reference.indices).all()
        assert (other.similarities == reference.similarities).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_results_are_bit_identical_on_a_gpu(data, metric):
    bank, bank_labels, query, query_labels = data
    options = {"k": 9, "metric": metric, "query_labels": query_labels, "bank_labels": bank_labels}
    reference = retrieve(query, bank, **options)
    other = retrieve(torch.from_numpy(query).cuda(), torch.from_numpy(bank).cuda(), block_bytes=TINY, **options)
    assert (other.indices == reference.indices).all()
    assert (other.similarities == reference.similarities).all()
    assert other.mean_average_precision == pytest.approx(reference.mean_average_precision)


def test_half_precision_and_integer_rows():
    train = torch.eye(4)
    for kind in (torch.float16, torch.bfloat16, torch.int64):
        assert retrieve(train.to(kind), train.to(kind), k=1).indices.ravel().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["plain", "near", "wild", "excluded"])
def test_fast_search_equals_exact_search(metric, kind):
    generator = np.random.default_rng(3)
    bank = generator.normal(size=(900, 24)).astype(np.float32)
    query = generator.normal(size=(70, 24)).astype(np.float32)
    excluded = None
    if kind == "near":  # rows that float32 products cannot distinguish: groups of 5, and one of 60
        bank = bank[np.r_[np.arange(840) // 5, np.full(60, 500)]] * (1 + 1e-7 * generator.normal(size=(900, 24)))
        query[:9] = bank[-1] + 0.1 * query[:9]
    if kind == "wild":
        bank[::100] *= 1e12
        query[3] = bank[100] * (1 + 1e-4)
        query[4] *= 1e25  # its square is no float32
    if kind == "excluded":
        query, excluded = bank[:300], (np.arange(300) // 30, np.arange(900) // 30)
    options: dict = {"metric": metric, "excluded": excluded, "device": None}
    indices, similarities = exact_search.nearest_rows(query, bank, 6, block_bytes=2**28, **options)
    for block_bytes in (2**15, 2**28):
        found = fast_search.nearest_rows(query, bank, 6, block_bytes=block_bytes, **options)
        assert (found[0] == indices).all()
        assert (found[1] == similarities).all()
        # Float32 cannot decide the bunch of 60 equal rows, nor any query where one row is so far out that the error
        # bound exceeds all differences. It decides everything else.
        grid = exact_search.Grid.of(bank, metric, None)
        results = np.full_like(indices, -1), np.empty_like(similarities)
        undecided = fast_search._search_candidates(query, bank, grid, excluded, block_bytes, results)
        assert len(undecided) == {"near": 9, "wild": 70 if metric == "euclidean" else 0}.get(kind, 0)
        decided = np.setdiff1d(np.arange(len(query)), undecided)
        assert (results[0][decided] == indices[decided]).all() and (results[0][undecided] == -1).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 6),
    st.integers(1, 60),
    st.sampled_from([None, 2, 40]),
    st.sampled_from(["cosine", "euclidean"]),
    st.integers(0, 2**32 - 1),
)
def test_copies_are_ranked_as_by_a_stable_sort(n, distinct, k, groups, metric, seed):
    # Up to 400 copies of a row: as many as k, fewer and more, in one block and in several, of own and other groups.
    generator = np.random.default_rng(seed)
    bank = generator.normal(size=(distinct, 5))[generator.integers(0, distinct, n)]
    query, excluded = np.concatenate([bank[:4], generator.normal(size=(3, 5))]), None
    if groups:
        codes = generator.integers(0, groups, n)
        excluded = generator.integers(0, groups, len(query)), codes
        k = min(k, n - int(np.bincount(codes).max()))
    k = min(k, n)
    assume(k)
    grid = exact_search.Grid.of(bank, metric, None)
    compared = grid.compare(grid.round(query, slice(None)), grid.round(bank, slice(None)))
    if excluded:
        compared[torch.from_numpy(excluded[0][:, None] == excluded[1])] = -math.inf
    expected = np.argsort(-compared.numpy(), axis=1, kind="stable")[:, :k]
    for block_bytes in (2**15, 2**28):
        for module in (exact_search, fast_search):
            found = module.nearest_rows(
                query, bank, k, metric=metric, excluded=excluded, device=None, block_bytes=block_bytes
            )
            assert (found[0] == expected).all()
            assert (found[1] == grid.similarity(compared).numpy()[np.arange(len(query))[:, None], expected]).all()


def test_candidates_of_many_queries_are_read_together():
    # Every row of a bank on the disk is a query; its candidates are in all parts.
    matrix = np.random.default_rng(0).normal(size=(1500, 200)).astype(np.float32)
    reads, last = 0, None

    class Parts:
        shape, dtype, ndim = matrix.shape, matrix.dtype, 2

        def __len__(self):
            return len(matrix)

        def __getitem__(self, index):
            nonlocal reads, last
            for part in np.unique(np.arange(len(matrix))[index] // 150):
                reads, last = reads + (part != last), part
            return matrix[index]

    every = np.arange(1500)
    options: dict = {"metric": "cosine", "excluded": (every, every), "device": None, "block_bytes": 2**21}
    rows: Any = Parts()
    indices, _ = fast_search.nearest_rows(rows, rows, 6, **options)
    assert (indices == exact_search.nearest_rows(matrix, matrix, 6, **options)[0]).all()
    assert reads < 500  # 10 parts; 2200 reads if the candidates of few queries are read at a time


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("equal", [False, True])  # if all rows are equal, float32 cannot decide any query
def test_memory_is_bounded_by_block_bytes(metric, equal):
    generator = np.random.default_rng(0)
    bank, query = generator.normal(size=(1500, 200)), generator.normal(size=(250, 200)).astype(np.float32)
    bank = np.tile(bank[:1] if equal else bank, (1500 if equal else 1, 1)).astype(np.float32)
    for budget in (2**20, 2**21):
        peaks = []
        for copies in (1, 3):
            with Held() as held:
                retrieve(
                    np.tile(query, (copies, 1)), np.tile(bank, (copies, 1)), k=7, metric=metric, block_bytes=budget
                )
            peaks.append(held.peak)
        assert budget / 4 < peaks[0]  # the budget is used
        assert max(peaks) < 1.1 * budget
