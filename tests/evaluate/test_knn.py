"""kNN classification against scikit-learn, and leaving rows or groups out against loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.neighbors import KNeighborsClassifier

from skelrep.evaluate import knn_eval
from skelrep.evaluate.inputs import BLOCK_BYTES
from tests.evaluate.samples import TINY, naive

ROWS, LABELS = np.eye(4), [0, 1, 0, 1]


@pytest.mark.parametrize("block_bytes", [60_000, BLOCK_BYTES])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_knn_predictions_equal_scikit_learn(data, metric, block_bytes):
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


def test_softmax_votes_equal_scikit_learn_with_dino_weights(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=(3, 20), weights="softmax", temperature=0.2)

    def weigh(distances):
        return np.exp((1 - distances) / 0.2)

    for k in (3, 20):
        classifier = KNeighborsClassifier(k, metric="cosine", weights=weigh).fit(train, labels)  # type: ignore[arg-type]
        assert (result.predictions[k] == classifier.predict(test)).all()
    uniform = knn_eval(train, labels, test, test_labels, k=20)
    assert (result.predictions[20] != uniform.predictions[20]).any()


def test_softmax_votes_are_finite_for_distant_rows_and_low_temperatures():
    bank, query = np.array([[1e4], [3e4], [3.1e4]]), np.array([[0.0]])
    result = knn_eval(bank, list("abb"), query, ["a"], k=3, metric="euclidean", weights="softmax", temperature=1e-3)
    assert result.predictions[3].tolist() == ["a"]


def test_equal_embeddings_give_the_first_rows():
    same = np.ones((50, 8), dtype=np.float32)
    result = knn_eval(same, np.arange(50) % 2, same, np.zeros(50), k=(1, 4, 5), block_bytes=TINY)
    assert (result.neighbors == np.arange(5)).all()
    # 0 wins at k = 4 too: two votes each, and the first class breaks the tie.
    assert result.accuracy == {1: 1.0, 4: 1.0, 5: 1.0}


def test_tied_votes_go_to_the_first_class_as_in_scikit_learn():
    bank, query = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0]]), np.array([[1.0, 0.05]])
    for labels in (["a", "b", "c"], ["b", "a", "c"], ["c", "b", "a"]):
        result = knn_eval(bank, labels, query, ["a"], k=(2, 3))
        for k in (2, 3):
            expected = KNeighborsClassifier(k, metric="cosine").fit(bank, labels).predict(query)
            assert result.predictions[k] == expected == min(labels[:k])


@pytest.mark.parametrize("block_bytes", [TINY, 2**28])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_equals_a_loop_over_rows(data, metric, block_bytes):
    train, labels, _, _ = data
    train, labels = train[:60], labels[:60]
    result = knn_eval(train, labels, k=(1, 3), metric=metric, leave_one_out=True, block_bytes=block_bytes)
    for i in range(60):
        others = np.delete(np.arange(60), i)
        for k in (1, 3):
            classifier = KNeighborsClassifier(k, metric=metric).fit(train[others], labels[others])
            assert classifier.predict(train[i : i + 1]) == result.predictions[k][i]
    assert (result.neighbors == naive(train, train, 3, metric, lambda i, j: i != j)[0]).all()


def test_leave_one_out_returns_the_duplicate_and_not_the_row_itself():
    rows = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    result = knn_eval(rows, [0, 0, 1, 1], k=1, leave_one_out=True)
    assert result.neighbors.ravel().tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("block_bytes", [TINY, 2**28])
def test_leave_one_group_out_equals_a_loop_over_groups(data, block_bytes):
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


def test_k_is_limited_by_the_largest_group():
    rows = np.random.default_rng(0).normal(size=(10, 3))
    groups = [0] * 6 + [1] * 4
    with pytest.warns(UserWarning, match=r"5, 20 .* 4 neighbours") as caught:
        result = knn_eval(rows, np.arange(10) % 2, leave_one_out=True, groups=groups)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert list(result.accuracy) == [1]


def test_confusion_matrix_is_that_of_the_first_k(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=np.array([20, 1, 20]))
    assert list(result.accuracy) == [20, 1]
    assert (result.confusion == confusion_matrix(test_labels, result.predictions[20])).all()


def test_class_without_test_clips_has_accuracy_nan_and_no_weight():
    rows = np.eye(3)
    result = knn_eval(rows, ["a", "b", "c"], rows[[0, 0, 1]], ["a", "b", "b"], k=1)
    assert result.accuracy[1] == pytest.approx(2 / 3)
    assert result.balanced_accuracy[1] == pytest.approx(0.75)
    np.testing.assert_array_equal(result.per_class[1], [1, 0.5, np.nan])
    assert result.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert result.to_dict()["per_class"] == {"1": [1.0, 0.5, None]}


def test_k_larger_than_the_training_set_is_dropped_with_one_warning():
    with pytest.warns(UserWarning, match="5, 20 .* 4 neighbours") as caught:
        result = knn_eval(ROWS, LABELS, ROWS, LABELS)
    assert len(caught) == 1
    assert list(result.accuracy) == [1]
    assert result.protocol["k"] == [1]
    assert result.neighbors.shape == (4, 1)


def test_class_within_one_group_counts_as_wrong_with_a_warning():
    rows = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.warns(UserWarning, match="label jump; the 2 rows") as caught:
        result = knn_eval(
            rows, ["a", "jump", "b", "a", "b", "jump"], k=1, leave_one_out=True, groups=[0, 1, 0, 1, 1, 1]
        )
    assert len(caught) == 1 and caught[0].filename == __file__
    assert result.per_class[1].tolist()[2] == 0
