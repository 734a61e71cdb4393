"""Neighbours against scikit-learn and against plain loops; the probe against a scikit-learn pipeline."""

from __future__ import annotations

import json
import math
import warnings
import weakref
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skelrep.evaluate import KNNResult, knn_eval, linear_eval, logistic, retrieve, wilson_interval
from skelrep.evaluate import knn as evaluate

TINY = 4000  # bytes: blocks of a few rows on either side


@pytest.fixture(scope="module")
def data():
    """Two overlapping samples of 7 classes in 12 dimensions: (train, labels, test, labels), accuracies of about 0.7."""
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(7, 12))
    labels, test_labels = np.arange(211) % 7, np.arange(83) % 7
    train = centers[labels] + 1.5 * generator.normal(size=(211, 12))
    test = centers[test_labels] + 1.5 * generator.normal(size=(83, 12))
    return train.astype(np.float32), labels, test.astype(np.float32), test_labels


def naive(query, bank, k, metric, allowed=lambda i, j: True):
    """Neighbours of each query by a loop over pairs in float64 and a stable sort."""
    rows = []
    for i, q in enumerate(query.astype(np.float64)):
        similarities = []
        for j, b in enumerate(bank.astype(np.float64)):
            lengths = np.linalg.norm(q) * np.linalg.norm(b)
            value = -np.linalg.norm(q - b) if metric == "euclidean" else q @ b / lengths if lengths else 0.0
            if allowed(i, j):
                similarities.append((-value, j))
        rows.append(sorted(similarities)[:k])
    return np.array([[j for _, j in row] for row in rows]), -np.array([[value for value, _ in row] for row in rows])


# -- neighbours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [60_000, evaluate.BLOCK_BYTES])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_predictions_are_those_of_scikit_learn(data, metric, block_bytes):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=(1, 2, 5, 20, 211), metric=metric, block_bytes=block_bytes)
    for k, predictions in result.predictions.items():
        classifier = KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(train, labels)
        assert (predictions == classifier.predict(test)).all()
        assert result.accuracy[k] == pytest.approx(classifier.score(test, test_labels))
        assert result.balanced_accuracy[k] == pytest.approx(balanced_accuracy_score(test_labels, predictions))
    assert (result.confusion == confusion_matrix(test_labels, result.predictions[1])).all()
    distances, neighbors = KNeighborsClassifier(20, metric=metric).fit(train, labels).kneighbors(test)
    assert (result.neighbors[:, :20] == neighbors).all()
    expected = 1 - distances if metric == "cosine" else -distances
    np.testing.assert_allclose(result.similarities[:, :20], expected, atol=2e-6)
    assert result.neighbors.dtype == np.int64
    assert result.similarities.dtype == np.float32


def test_softmax_votes_are_those_of_scikit_learn_with_the_weights_of_dino(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=(3, 20), weights="softmax", temperature=0.2)

    def weigh(distances):
        return np.exp((1 - distances) / 0.2)

    for k in (3, 20):
        classifier = KNeighborsClassifier(k, metric="cosine", weights=weigh).fit(train, labels)  # type: ignore[arg-type]
        assert (result.predictions[k] == classifier.predict(test)).all()
    uniform = knn_eval(train, labels, test, test_labels, k=20)
    assert (result.predictions[20] != uniform.predictions[20]).any()


def test_softmax_votes_stay_finite_for_far_rows_and_low_temperatures():
    bank, query = np.array([[1e4], [3e4], [3.1e4]]), np.array([[0.0]])
    result = knn_eval(bank, list("abb"), query, ["a"], k=3, metric="euclidean", weights="softmax", temperature=1e-3)
    assert result.predictions[3].tolist() == ["a"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 6),
    st.sampled_from(["cosine", "euclidean"]),
    st.integers(0, 2**32 - 1),
)
def test_neighbours_are_those_of_a_loop_whatever_the_block_size(n, q, dim, k, metric, seed):
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
def test_equal_rows_come_in_the_order_of_the_gallery(metric, block_bytes):
    generator = np.random.default_rng(1)
    distinct = generator.normal(size=(5, 300)).astype(np.float32) + 3
    bank = np.tile(distinct, (40, 1))  # row j equals row j + 5: float32 products of such rows differ in the last bit
    result = retrieve(distinct, bank, k=50, metric=metric, block_bytes=block_bytes)
    assert (result.indices[:, :40] == np.arange(5)[:, None] + 5 * np.arange(40)).all()
    rest = result.indices[:, 40:]
    assert (np.diff(rest, axis=1) == 5).all()  # ten of the forty equal rows that come next, the lowest ones
    assert (rest[:, 0] < 5).all()
    assert (np.ptp(result.similarities[:, :40], axis=1) == 0).all()


def test_a_collapsed_encoder_gives_the_first_rows():
    same = np.ones((50, 8), dtype=np.float32)
    result = knn_eval(same, np.arange(50) % 2, same, np.zeros(50), k=(1, 4, 5), block_bytes=TINY)
    assert (result.neighbors == np.arange(5)).all()
    # 0 wins at k = 4 too: two votes each, and the first class breaks the tie.
    assert result.accuracy == {1: 1.0, 4: 1.0, 5: 1.0}


def test_votes_at_a_tie_go_to_the_first_class_as_in_scikit_learn():
    bank, query = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0]]), np.array([[1.0, 0.05]])
    for labels in (["a", "b", "c"], ["b", "a", "c"], ["c", "b", "a"]):
        result = knn_eval(bank, labels, query, ["a"], k=(2, 3))
        for k in (2, 3):
            expected = KNeighborsClassifier(k, metric="cosine").fit(bank, labels).predict(query)
            assert result.predictions[k] == expected == min(labels[:k])


def test_rows_of_zeros_are_similar_to_nothing_under_the_cosine():
    bank = np.array([[-1.0, 0], [0, 0], [1, 0]])
    result = retrieve(np.array([[2.0, 0], [0, 0]]), bank, k=3)
    assert result.indices.tolist() == [[2, 1, 0], [0, 1, 2]]
    assert result.similarities.tolist() == [[1, 0, -1], [0, 0, 0]]
    classifier = KNeighborsClassifier(1, metric="cosine").fit(bank, [0, 1, 2])
    assert (classifier.predict([[2.0, 0], [0, 0]]) == [2, 0]).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_scale_changes_nothing(data, metric, scale):
    train, labels, test, test_labels = data
    reference = knn_eval(train, labels, test, test_labels, k=5, metric=metric)
    scaled = knn_eval(train * np.float32(scale), labels, test * np.float32(scale), test_labels, k=5, metric=metric)
    assert (scaled.neighbors == reference.neighbors).all()


def test_euclidean_neighbours_survive_an_offset_and_a_wild_row(data):
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
def test_threads_and_kinds_of_input_change_no_bit(data, metric, tmp_path):
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
def test_a_gpu_changes_no_bit(data, metric):
    bank, bank_labels, query, query_labels = data
    options = {"k": 9, "metric": metric, "query_labels": query_labels, "bank_labels": bank_labels}
    reference = retrieve(query, bank, **options)
    other = retrieve(torch.from_numpy(query).cuda(), torch.from_numpy(bank).cuda(), block_bytes=TINY, **options)
    assert (other.indices == reference.indices).all()
    assert (other.similarities == reference.similarities).all()
    assert other.mean_average_precision == pytest.approx(reference.mean_average_precision)


def test_half_precision_and_integers_are_taken():
    train = torch.eye(4)
    for kind in (torch.float16, torch.bfloat16, torch.int64):
        assert retrieve(train.to(kind), train.to(kind), k=1).indices.ravel().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["plain", "near", "wild", "excluded"])
def test_the_search_in_float32_misses_nothing(metric, kind, monkeypatch):
    generator = np.random.default_rng(3)
    bank = generator.normal(size=(900, 24)).astype(np.float32)
    query = generator.normal(size=(70, 24)).astype(np.float32)
    excluded = None
    if kind == "near":  # rows that float32 products cannot tell apart: bunches of 5, and one of 60
        bank = bank[np.r_[np.arange(840) // 5, np.full(60, 500)]] * (1 + 1e-7 * generator.normal(size=(900, 24)))
        query[:9] = bank[-1] + 0.1 * query[:9]
    if kind == "wild":
        bank[::100] *= 1e12
        query[3] = bank[100] * (1 + 1e-4)
        query[4] *= 1e25  # its square is no float32
    if kind == "excluded":
        query, excluded = bank, (np.arange(900) // 30,) * 2
    options: dict = {"metric": metric, "excluded": excluded, "device": None}
    left = []
    scan = evaluate._scan
    monkeypatch.setattr(evaluate, "_scan", lambda *inputs: left.append(scan(*inputs)) or left[-1])
    found = [evaluate._search(query, bank, 6, block_bytes=size, **options) for size in (2**15, 2**28)]
    monkeypatch.setattr(evaluate, "SPARE", len(bank))  # no float32
    indices, similarities = evaluate._search(query, bank, 6, block_bytes=2**28, **options)
    assert len(left) == 2
    for got in found:
        assert (got[0] == indices).all()
        assert (got[1] == similarities).all()
    # What float32 leaves to others: the bunch of 60; everything where one row is so far out that nothing is certain.
    expected = {"near": 9, "wild": 70 if metric == "euclidean" else 0}.get(kind, 0)
    assert [len(queries) for queries in left] == [expected] * 2


class Held(TorchDispatchMode):
    """The most bytes in tensors alive at once, of those made inside."""

    def __init__(self):
        super().__init__()
        self.alive, self.now, self.peak = Counter(), 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                storage = tensor.untyped_storage()
                place, size = storage.data_ptr(), storage.nbytes()
                self.now += size * (self.alive[place] == 0)
                self.alive[place] += 1
                self.peak = max(self.peak, self.now)
                weakref.finalize(tensor, self._gone, place, size)
        return result

    def _gone(self, place, size):
        self.alive[place] -= 1
        self.now -= size * (self.alive[place] == 0)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("equal", [False, True])  # rows without end that are equal leave nothing to float32
def test_working_memory_is_bounded_by_the_budget_and_not_by_n(metric, equal):
    generator = np.random.default_rng(0)
    bank, query = generator.normal(size=(3000, 200)), generator.normal(size=(500, 200)).astype(np.float32)
    bank = np.tile(bank[:1] if equal else bank, (3000 if equal else 1, 1)).astype(np.float32)
    for budget in (2**20, 2**22):
        peaks = []
        for copies in (1, 3):
            with Held() as held:
                retrieve(
                    np.tile(query, (copies, 1)), np.tile(bank, (copies, 1)), k=7, metric=metric, block_bytes=budget
                )
            peaks.append(held.peak)
        assert budget / 4 < peaks[0]  # the budget is used
        assert max(peaks) < 1.1 * budget


# -- leaving out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [TINY, 2**28])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_is_a_loop_over_rows(data, metric, block_bytes):
    train, labels, _, _ = data
    train, labels = train[:60], labels[:60]
    result = knn_eval(train, labels, k=(1, 3), metric=metric, leave_one_out=True, block_bytes=block_bytes)
    for i in range(60):
        others = np.delete(np.arange(60), i)
        for k in (1, 3):
            classifier = KNeighborsClassifier(k, metric=metric).fit(train[others], labels[others])
            assert classifier.predict(train[i : i + 1]) == result.predictions[k][i]
    assert (result.neighbors == naive(train, train, 3, metric, lambda i, j: i != j)[0]).all()


def test_leave_one_out_prefers_a_twin_to_itself():
    rows = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    result = knn_eval(rows, [0, 0, 1, 1], k=1, leave_one_out=True)
    assert result.neighbors.ravel().tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("block_bytes", [TINY, 2**28])
def test_leave_one_group_out_is_a_loop_over_groups(data, block_bytes):
    train, labels, _, _ = data
    groups = np.array([f"S{i}" for i in np.random.default_rng(3).integers(0, 6, len(train))])
    result = knn_eval(train, labels, k=(1, 5), leave_one_out=True, groups=groups, block_bytes=block_bytes)
    assert result.protocol["n_groups"] == 6
    for group in np.unique(groups):
        inside = groups == group
        for k in (1, 5):
            classifier = KNeighborsClassifier(k, metric="cosine").fit(train[~inside], labels[~inside])
            assert (classifier.predict(train[inside]) == result.predictions[k][inside]).all()
    assert (groups[result.neighbors] != groups[:, None]).all()


def test_ks_are_limited_by_the_largest_group():
    rows = np.random.default_rng(0).normal(size=(10, 3))
    groups = [0] * 6 + [1] * 4
    with pytest.warns(UserWarning, match=r"k = 5, 20 left out: a row can have 4 neighbours only") as caught:
        result = knn_eval(rows, np.arange(10) % 2, leave_one_out=True, groups=groups)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert list(result.accuracy) == [1]


# -- labels and scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (score, without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_against_published_numbers(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


@given(st.integers(1, 10**6), st.data())
def test_wilson_interval_holds_the_share_and_solves_its_equation(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):  # |share - p| = z sqrt(p (1 - p) / n)
        assert (share - bound) ** 2 == pytest.approx(1.95996398454**2 * bound * (1 - bound) / trials, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match=f"got {successes} successes in {trials} trials; expected"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(
    "kinds",
    [
        ["walk", "run", "wave"],
        [3, 1, 2],
        [1.5, 0.5, -2.0],
        [True, False],
        [("a", 1), ("a", 0), ("b", 0)],
        [1, "1", 2],
        [b"x", b"y"],
    ],
)
def test_labels_may_be_anything_hashable(kinds):
    rows = np.eye(len(kinds))
    result = knn_eval(rows, kinds, rows, kinds, k=1)
    assert result.accuracy[1] == 1
    assert list(result.predictions[1]) == kinds
    assert set(result.classes.tolist()) == set(kinds)
    json.dumps(result.to_dict(rows=True))


def test_labels_of_arrays_tensors_and_lists_are_the_same():
    rows = np.eye(3)
    for labels in (np.array([5, 4, 3], dtype=np.uint8), torch.tensor([5, 4, 3]), [torch.tensor(5), np.int32(4), 3]):
        result = knn_eval(rows, labels, rows, [5, 4, 3], k=1)
        assert result.accuracy[1] == 1
        assert result.classes.tolist() == [3, 4, 5]


def test_a_class_without_test_clips_has_no_accuracy_and_no_weight():
    rows = np.eye(3)
    result = knn_eval(rows, ["a", "b", "c"], rows[[0, 0, 1]], ["a", "b", "b"], k=1)
    assert result.accuracy[1] == pytest.approx(2 / 3)
    assert result.balanced_accuracy[1] == pytest.approx(0.75)
    np.testing.assert_array_equal(result.per_class[1], [1, 0.5, np.nan])
    assert result.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert result.to_dict()["per_class"] == {"1": [1.0, 0.5, None]}


@pytest.mark.parametrize("evaluation", [knn_eval, linear_eval])
def test_a_class_without_training_rows_counts_as_wrong(evaluation):
    train = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    options = {"k": 1} if evaluation is knn_eval else {"C": 1.0}
    with pytest.warns(UserWarning, match=r"no training row has the label jump; the 2 test rows .* wrong") as caught:
        result = evaluation(train, ["a", "a", "b", "b"], train, ["a", "jump", "b", "jump"], **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    accuracy = result.accuracy[1] if evaluation is knn_eval else result.accuracy
    assert accuracy == 0.5
    assert result.classes.tolist() == ["a", "b", "jump"]


def test_the_first_k_has_the_confusion_matrix(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=np.array([20, 1, 20]))
    assert list(result.accuracy) == [20, 1]
    assert (result.confusion == confusion_matrix(test_labels, result.predictions[20])).all()


# -- results ----------------------------------------------------------------------------------------------------------


def test_a_knn_result_says_how_it_was_done(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, weights="softmax")
    assert result.protocol["metric"] == "cosine"
    assert result.protocol["temperature"] == 0.07
    assert (result.protocol["n_train"], result.protocol["n_test"], result.protocol["dim"]) == (211, 83, 12)
    assert result.protocol["skelrep"]
    lines = str(result).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"kNN (cosine, softmax votes at 0.07): 1-NN {100 * result.accuracy[1]:.1f} % [")
    assert lines[1].startswith("83 test clips against 211; 7 classes, 12 dimensions, skelrep ")
    assert repr(result) == str(result)
    table = result._repr_html_()
    assert table.count("<tr>") == 4
    assert f"<td>{100 * result.accuracy[20]:.1f} %</td>" in table
    assert "one left out" in str(knn_eval(train, labels, k=1, leave_one_out=True))
    assert "one of 2 groups left out" in str(knn_eval(train, labels, k=1, leave_one_out=True, groups=labels < 3))


def test_results_become_json(data):
    train, labels, test, test_labels = data
    knn = knn_eval(train, labels, test, test_labels)
    linear = linear_eval(train, labels, test, test_labels, C=[0.1, 1], folds=2)
    found = retrieve(test, train, query_labels=test_labels, bank_labels=labels)
    for result in (knn, linear, found):
        short = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        full = json.loads(json.dumps(result.to_dict(rows=True), allow_nan=False))
        assert short.items() <= full.items() or all(full[key] == value for key, value in short.items())
        assert short["protocol"]["skelrep"]
    assert "neighbors" not in knn.to_dict()
    assert knn.to_dict(rows=True)["neighbors"] == knn.neighbors.tolist()
    assert knn.to_dict()["accuracy"] == {str(k): value for k, value in knn.accuracy.items()}


def test_results_are_frozen_and_escape_their_html(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=1)
    with pytest.raises(AttributeError):
        result.accuracy = {}  # type: ignore[misc]
    changed = KNNResult(**{**vars(result), "protocol": {**result.protocol, "metric": "<script>"}})
    assert "<script>" not in changed._repr_html_()


# -- linear probe -----------------------------------------------------------------------------------------------------


def test_the_probe_is_scikit_learns_pipeline_and_grid_search(data, monkeypatch):
    # Both to the last digits, because some rows lie between two classes.
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-12)
    monkeypatch.setattr(logistic, "FLATNESS", 1e-7)
    train, labels, test, test_labels = (array.astype(np.float64) if array.ndim == 2 else array for array in data)
    result = linear_eval(train, labels, test, test_labels, folds=3, seed=4)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-7))
    folds = StratifiedKFold(3, shuffle=True, random_state=4)
    search = GridSearchCV(pipeline, {"logisticregression__C": np.logspace(-4, 2, 7)}, cv=folds).fit(train, labels)
    assert search.best_params_["logisticregression__C"] == pytest.approx(result.C)
    assert (search.predict(test) == result.predictions).all()
    assert result.accuracy == pytest.approx(search.score(test, test_labels))
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(test_labels, result.predictions))
    assert result.interval == wilson_interval(round(result.accuracy * 83), 83)
    assert (result.confusion == confusion_matrix(test_labels, result.predictions)).all()
    table = result.cross_validation
    assert table is not None
    np.testing.assert_allclose(table["mean"], search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(table["std"], search.cv_results_["std_test_score"])
    assert table["folds"] == result.protocol["folds"] == 3
    lines = str(result).splitlines()
    assert len(lines) == 2
    assert "chosen by 3 folds of the training rows" in lines[0]
    assert "<td>" in result._repr_html_()


def test_the_probe_never_looks_at_the_test_labels(data):
    train, labels, test, test_labels = data
    one = linear_eval(train, labels, test, test_labels, C=[0.01, 1], folds=2)
    other = linear_eval(train, labels, test, test_labels[::-1], C=[0.01, 1], folds=2)
    assert one.C == other.C
    assert (one.predictions == other.predictions).all()


def test_a_given_c_is_used_as_it_is(data):
    train, labels, test, test_labels = data
    result = linear_eval(torch.from_numpy(train), labels, test.tolist(), test_labels, C=0.03)
    assert result.C == 0.03
    assert result.cross_validation is None
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.03)).fit(train, labels)
    assert (pipeline.predict(test) == result.predictions).mean() > 0.97
    assert "not chosen by cross-validation" in str(result)


def test_no_group_is_on_both_sides_of_a_fold():
    # Two clips of each take, twins to the last digit, and labels by chance: rows split at random find the twins.
    generator = np.random.default_rng(5)
    rows, labels = np.repeat(generator.normal(size=(60, 40)), 2, axis=0), np.repeat(generator.integers(0, 2, 60), 2)
    takes = np.repeat(np.arange(60), 2)
    blind = linear_eval(rows, labels, rows, labels, C=[1, 10])
    grouped = linear_eval(rows, labels, rows, labels, C=[1, 10], groups=takes)
    assert blind.cross_validation is not None
    assert grouped.cross_validation is not None
    assert max(blind.cross_validation["mean"]) > 0.8
    assert max(grouped.cross_validation["mean"]) < 0.65
    assert grouped.protocol["n_groups"] == 60
    codes = labels.astype(np.int64)
    for kept, held_out in evaluate._folds(codes, takes, 5, 0):
        assert not set(takes[kept]) & set(takes[held_out])


@pytest.mark.parametrize(("smallest", "expected"), [(9, 5), (3, 3), (2, 2), (1, 2)])
def test_folds_follow_the_smallest_class(smallest, expected):
    rows = np.random.default_rng(0).normal(size=(20 + smallest, 3))
    labels = ["a"] * 10 + ["b"] * 10 + ["c"] * smallest
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = linear_eval(rows, labels, rows, labels, C=[0.1, 1])
    assert result.protocol["folds"] == expected


@pytest.mark.parametrize(
    ("labels", "groups", "of"),
    [
        (list("abcd"), None, ""),
        (list("aabb"), [0, 0, 1, 1], " of different groups"),
        (list("aabb"), [0, 0, 0, 0], " of different groups"),
    ],
)
def test_without_folds_c_is_one_and_said_so(labels, groups, of):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.warns(UserWarning, match=rf"C cannot be chosen .* two rows{of}; used C=1, pass C= to set it"):
        result = linear_eval(rows, labels, rows, labels, groups=groups)
    assert result.C == 1
    assert result.cross_validation is None


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("count", "dim", "n_classes"), [(300, 20, 5), (300, 20, 2), (60, 300, 4), (60, 300, 2)])
def test_every_fit_of_a_path_is_scikit_learns_minimum(count, dim, n_classes, kind):
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


def test_value_and_gradient_of_the_probe_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(logistic._BLOCK + 40, 6, generator=generator, dtype=torch.float64)
    codes = torch.randint(3, (len(rows),), generator=generator)
    point = torch.randn(3, 7, generator=generator, dtype=torch.float64).requires_grad_()
    scores = rows @ point[:, :-1].T + 5 * point[:, -1]
    expected = torch.nn.functional.cross_entropy(scores, codes) + 0.3 / 2 * point[:, :-1].square().sum()
    value, gradient = logistic._objective(rows, codes, 0.3, 5.0)(point.detach())
    assert value == pytest.approx(expected.item())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, point)[0])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_are_standardised_as_in_scikit_learn(kind):
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


def test_the_probe_leaves_its_rows_alone_and_repeats_itself(data):
    train, labels, test, test_labels = (array.copy() for array in data)
    first, second = (linear_eval(train, labels, test, test_labels, C=[0.1, 1], folds=2) for _ in range(2))
    assert first.to_dict(rows=True) == second.to_dict(rows=True)
    assert (train == data[0]).all()
    assert (test == data[2]).all()


def test_a_probe_of_constant_columns_gives_the_commonest_class():
    rows = np.full((9, 4), 0.1, dtype=np.float32)
    result = linear_eval(rows, list("aabbbbbcc"), rows, list("aabbbbbcc"), C=1)
    assert set(result.predictions) == {"b"}


def test_a_probe_that_did_not_converge_says_so(data):
    train, labels, test, test_labels = data
    with pytest.warns(UserWarning, match="had not converged after max_iter=1 iterations; raise it") as caught:
        linear_eval(train, labels, test, test_labels, max_iter=1, C=1)
    assert len(caught) == 1


# -- retrieval --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_bytes", [1, TINY, 2**28])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_average_precision_is_that_of_scikit_learn(data, metric, block_bytes):
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


def test_retrieval_at_ties_is_judged_in_the_order_it_is_given():
    result = retrieve(np.ones((1, 2)), np.ones((3, 2)), k=3, query_labels=["a"], bank_labels=["b", "a", "a"])
    assert result.average_precision == pytest.approx([(1 / 2 + 2 / 3) / 2])
    assert result.precision == pytest.approx([0, 1 / 2, 2 / 3])


@pytest.mark.parametrize("block_bytes", [20_000, 2**28])
def test_retrieval_among_the_same_rows(data, block_bytes):
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


def test_queries_with_nothing_to_find_are_left_out_of_the_means():
    rows = np.eye(3)
    with pytest.warns(UserWarning, match="1 of 3 queries have no row of their label in the bank") as caught:
        result = retrieve(rows, rows, k=2, query_labels=["a", "b", "x"], bank_labels=["a", "b", "c"])
    assert caught[0].filename == __file__
    assert result.mean_average_precision == 1
    np.testing.assert_array_equal(result.average_precision, [1, 1, np.nan])
    assert result.protocol["n_judged"] == 2
    assert result.precision is not None
    assert result.precision.tolist() == [1, 0.5]
    lines = str(result).splitlines()
    assert lines[0] == "retrieval (cosine): the first 2 of 3 rows for 3 queries of 3 numbers"
    assert lines[1] == "mean average precision 100.0 %, precision@1 100.0 %, precision@2 50.0 %"
    assert "<td>precision@2</td><td>50.0 %</td>" in result._repr_html_()


def test_retrieval_without_labels_is_not_judged():
    result = retrieve(np.eye(2), np.eye(2), k=1)
    assert result.mean_average_precision is result.average_precision is result.precision is None
    assert str(result).endswith("not judged: no labels given")
    assert result._repr_html_()
    json.dumps(result.to_dict(rows=True))


# -- refusals ---------------------------------------------------------------------------------------------------------

ROWS, LABELS = np.eye(4), [0, 1, 0, 1]


def with_nan(*rows):
    spoiled = np.ones((9, 2))
    spoiled[list(rows)] = np.nan
    return spoiled


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, metric="cosin"), r"metric='cosin' .* mean 'cosine'\?"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, metric="xx"), "must be one of 'cosine', 'euclidean'$"),
        (lambda: retrieve(ROWS, ROWS, metric="euclid"), r"did you mean 'euclidean'\?"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, weights="soft"), r"weights='soft' .* 'softmax'\?"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, weights="softmax", temperature=0), "temperature=0 must be a pos"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=0), "k=0 must be a whole number of at least 1"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=[1, 2.0]), r"k=\[1, 2.0\] must be a whole number"),  # type: ignore
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=True), "k=True must be a whole number"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=(1, -5)), r"k=\(1, -5\) must be a whole number"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=()), r"k=\(\) must be"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k="5"), "k='5' must be"),  # type: ignore
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=5), "k=5 asks for more neighbours than the 4 .* smaller k"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=(5, 6)), "more neighbours than the 4 that a row can have"),
        (lambda: knn_eval(ROWS, LABELS, k=4, leave_one_out=True), "more neighbours than the 3 that"),
        (lambda: knn_eval(ROWS, LABELS), "give both test and test_labels, or leave_one_out=True"),
        (lambda: knn_eval(ROWS, LABELS, ROWS), "give both test and test_labels"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, leave_one_out=True), "leave test and test_labels out"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, groups=LABELS), "it needs leave_one_out=True"),
        (lambda: knn_eval(ROWS[:1], [0], leave_one_out=True), "got 1 training rows; give at least two$"),
        (lambda: knn_eval(ROWS, LABELS, leave_one_out=True, groups=[1] * 4), "of one group; give at least two groups"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, block_bytes=0), "block_bytes=0 must be a positive"),
        (lambda: knn_eval(ROWS[0], LABELS, ROWS, LABELS), r"train must be \(N, D\), .* got shape \(4,\)"),
        (lambda: knn_eval(ROWS, LABELS, ROWS[None], LABELS), r"test must be \(N, D\), .* got shape \(1, 4, 4\)"),
        (lambda: knn_eval(ROWS[:0], [], ROWS, LABELS), r"train is empty: got shape \(0, 4\)"),
        (lambda: knn_eval(ROWS[:, :0], LABELS, ROWS, LABELS), r"train is empty: got shape \(4, 0\)"),
        (
            lambda: knn_eval(ROWS, LABELS, ROWS[:, :3], LABELS),
            "train rows have 4 numbers but test rows have 3; embed both",
        ),
        (lambda: knn_eval(ROWS.astype(str), LABELS, ROWS, LABELS), "train must hold numbers, got dtype <U"),
        (lambda: knn_eval(torch.eye(4) * 1j, LABELS, ROWS, LABELS), "real numbers, got dtype torch.complex64"),
        (lambda: knn_eval(ROWS, LABELS[:3], ROWS, LABELS), "train_labels has 3 values for 4 rows; give one for each"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, [*LABELS, 1]), "test_labels has 5 values for 4 rows"),
        (lambda: knn_eval(ROWS, None, ROWS, LABELS), "train_labels must be a sequence .* got None"),  # type: ignore
        (lambda: knn_eval(ROWS, "abcd", ROWS, LABELS), "train_labels must be a sequence .* got 'abcd'"),
        (lambda: knn_eval(ROWS, np.eye(4), ROWS, LABELS), r"got shape \(4, 4\); for one-hot rows pass argmax\(1\)"),
        (lambda: knn_eval(ROWS, [[0]] * 4, ROWS, LABELS), "train_labels must be hashable values, .* got list"),
        (lambda: knn_eval(ROWS, [0, None, 1, math.nan], ROWS, LABELS), r"None or NaN in 2 rows \(row 1, 3\); drop"),
        (lambda: knn_eval(ROWS, LABELS, leave_one_out=True, groups=[1]), "groups has 1 values for 4 rows"),
        (
            lambda: knn_eval(with_nan(2), [0] * 9, ROWS, LABELS, block_bytes=100),
            r"train has NaN or infinity in 1 of 9 rows \(row 2\); drop",
        ),
        (
            lambda: retrieve(torch.from_numpy(with_nan(*range(7))), ROWS[:, :2]),
            r"query has NaN or infinity in 7 of 9 rows \(row 0, 1, 2, 3, 4 \.\.\.\)",
        ),
        (lambda: retrieve(ROWS, ROWS / 0), r"bank has NaN or infinity in 4 of 4 rows"),
        (lambda: retrieve(ROWS, ROWS), "k=10 must be a whole number between 1 and 4, the bank's number of rows$"),
        (lambda: retrieve(ROWS, ROWS, k=4, leave_one_out=True), "between 1 and 3, .* but the query's own"),
        (lambda: retrieve(ROWS, ROWS, k=2.0), "k=2.0 must be a whole number"),  # type: ignore
        (lambda: retrieve(ROWS, ROWS[:2], k=1, leave_one_out=True), "got 4 and 2; pass the same array twice"),
        (lambda: retrieve(ROWS, ROWS[:, :1], k=1), "query rows have 4 numbers but bank rows have 1"),
        (lambda: retrieve(ROWS, ROWS, k=1, query_labels=LABELS), "give both query_labels and bank_labels, or neither"),
        (
            lambda: retrieve(ROWS, ROWS, k=1, query_labels=LABELS, bank_labels=list("abcd")),
            "no query has a row of its label in the bank; check",
        ),
        (lambda: linear_eval(ROWS, [7] * 4, ROWS, LABELS), "all of class '7'; a probe needs at least two classes"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=0), "C=0 must be a positive number or several"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=[]), r"C=\[\] must be a positive number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=[1, math.inf]), "must be a positive number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, folds=1), "folds=1 must be a whole number of at least 2"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, max_iter=0), "max_iter=0 must be a positive whole number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS[:, :2], LABELS), "train rows have 4 numbers but test rows have 2"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, groups=[0, 1]), "groups has 2 values for 4 rows"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(call, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_ks_larger_than_the_gallery_are_dropped_with_one_warning():
    with pytest.warns(UserWarning, match="k = 5, 20 left out: a row can have 4 neighbours only") as caught:
        result = knn_eval(ROWS, LABELS, ROWS, LABELS)
    assert len(caught) == 1
    assert list(result.accuracy) == [1]
    assert result.protocol["k"] == [1]
    assert result.neighbors.shape == (4, 1)
