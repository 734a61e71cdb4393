"""Labels of any type, and inputs that are refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from skelrep.evaluate import knn_eval, linear_eval, retrieve

ROWS, LABELS = np.eye(4), [0, 1, 0, 1]


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
def test_labels_of_any_hashable_type(kinds):
    rows = np.eye(len(kinds))
    result = knn_eval(rows, kinds, rows, kinds, k=1)
    assert result.accuracy[1] == 1
    assert list(result.predictions[1]) == kinds
    assert set(result.classes.tolist()) == set(kinds)
    json.dumps(result.to_dict(rows=True))


def test_labels_as_arrays_tensors_and_lists():
    rows = np.eye(3)
    for labels in (np.array([5, 4, 3], dtype=np.uint8), torch.tensor([5, 4, 3]), [torch.tensor(5), np.int32(4), 3]):
        result = knn_eval(rows, labels, rows, [5, 4, 3], k=1)
        assert result.accuracy[1] == 1
        assert result.classes.tolist() == [3, 4, 5]


@pytest.mark.parametrize("evaluation", [knn_eval, linear_eval])
def test_class_without_training_rows_counts_as_wrong(evaluation):
    train = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    options = {"k": 1} if evaluation is knn_eval else {"C": 1.0}
    with pytest.warns(UserWarning, match="label jump; the 2 test rows") as caught:
        result = evaluation(train, ["a", "a", "b", "b"], train, ["a", "jump", "b", "jump"], **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    accuracy = result.accuracy[1] if evaluation is knn_eval else result.accuracy
    assert accuracy == 0.5
    assert result.classes.tolist() == ["a", "b", "jump"]


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
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=5), "k=5 .* 4 "),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, k=(5, 6)), r"k=\(5, 6\) .* 4 "),
        (lambda: knn_eval(ROWS, LABELS, k=4, leave_one_out=True), "k=4 .* 3 "),
        (lambda: knn_eval(ROWS, LABELS), "test and test_labels"),
        (lambda: knn_eval(ROWS, LABELS, ROWS), "test and test_labels"),
        (
            lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, leave_one_out=True),
            "leave_one_out=True .* test and test_labels",
        ),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, groups=LABELS), "groups= .* leave_one_out=True"),
        (lambda: knn_eval(ROWS[:1], [0], leave_one_out=True), "got 1 training rows"),
        (lambda: knn_eval(ROWS, LABELS, leave_one_out=True, groups=[1] * 4), "4 training rows of one group"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, LABELS, block_bytes=0), "block_bytes=0 must be a positive"),
        (lambda: knn_eval(ROWS[0], LABELS, ROWS, LABELS), r"train must be \(N, D\), .* got shape \(4,\)"),
        (lambda: knn_eval(ROWS, LABELS, ROWS[None], LABELS), r"test must be \(N, D\), .* got shape \(1, 4, 4\)"),
        (lambda: knn_eval(ROWS[:0], [], ROWS, LABELS), r"train is empty: got shape \(0, 4\)"),
        (lambda: knn_eval(ROWS[:, :0], LABELS, ROWS, LABELS), r"train is empty: got shape \(4, 0\)"),
        (
            lambda: knn_eval(ROWS, LABELS, ROWS[:, :3], LABELS),
            "train rows have 4 .* test rows have 3",
        ),
        (lambda: knn_eval(ROWS.astype(str), LABELS, ROWS, LABELS), "train must contain numbers, got dtype <U"),
        (lambda: knn_eval(torch.eye(4) * 1j, LABELS, ROWS, LABELS), "real numbers, got dtype torch.complex64"),
        (lambda: knn_eval(ROWS, LABELS[:3], ROWS, LABELS), "train_labels has 3 values for 4 rows"),
        (lambda: knn_eval(ROWS, LABELS, ROWS, [*LABELS, 1]), "test_labels has 5 values for 4 rows"),
        (lambda: knn_eval(ROWS, None, ROWS, LABELS), "train_labels must be a sequence .* got None"),  # type: ignore
        (lambda: knn_eval(ROWS, "abcd", ROWS, LABELS), "train_labels must be a sequence .* got 'abcd'"),
        (lambda: knn_eval(ROWS, np.eye(4), ROWS, LABELS), r"got shape \(4, 4\).*argmax\(1\)"),
        (lambda: knn_eval(ROWS, [[0]] * 4, ROWS, LABELS), "train_labels must be hashable values, .* got list"),
        (lambda: knn_eval(ROWS, [0, None, 1, math.nan], ROWS, LABELS), r"None or NaN in 2 rows \(row 1, 3\)"),
        (lambda: knn_eval(ROWS, LABELS, leave_one_out=True, groups=[1]), "groups has 1 values for 4 rows"),
        (
            lambda: knn_eval(with_nan(2), [0] * 9, ROWS, LABELS, block_bytes=100),
            r"train has NaN or infinity in 1 of 9 rows \(row 2\)",
        ),
        (
            lambda: retrieve(torch.from_numpy(with_nan(*range(7))), ROWS[:, :2]),
            r"query has NaN or infinity in 7 of 9 rows \(row 0, 1, 2, 3, 4 \.\.\.\)",
        ),
        (lambda: retrieve(ROWS, ROWS / 0), r"bank has NaN or infinity in 4 of 4 rows"),
        (lambda: retrieve(ROWS, ROWS), "k=10 must be a whole number between 1 and 4, the bank's number of rows$"),
        (lambda: retrieve(ROWS, ROWS, k=4, leave_one_out=True), "between 1 and 3, .* the query's own"),
        (lambda: retrieve(ROWS, ROWS, k=2.0), "k=2.0 must be a whole number"),  # type: ignore
        (lambda: retrieve(ROWS, ROWS[:2], k=1, leave_one_out=True), "got 4 and 2"),
        (lambda: retrieve(ROWS, ROWS[:, :1], k=1), "query rows have 4 numbers but bank rows have 1"),
        (lambda: retrieve(ROWS, ROWS, k=1, query_labels=LABELS), "query_labels and bank_labels"),
        (
            lambda: retrieve(ROWS, ROWS, k=1, query_labels=LABELS, bank_labels=list("abcd")),
            "bank; check that query_labels and bank_labels",
        ),
        (lambda: linear_eval(ROWS, [7] * 4, ROWS, LABELS), "class '7'"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=0), "C=0 must be a positive number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=[]), r"C=\[\] must be a positive number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, C=[1, math.inf]), "must be a positive number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, folds=1), "folds=1 must be a whole number of at least 2"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, max_iter=0), "max_iter=0 must be a positive whole number"),
        (lambda: linear_eval(ROWS, LABELS, ROWS[:, :2], LABELS), "train rows have 4 numbers but test rows have 2"),
        (lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, groups=[0, 1]), "groups has 2 values for 4 rows"),
        (lambda: linear_eval(ROWS, LABELS), "test and test_labels"),
        (lambda: linear_eval(ROWS, LABELS, leave_one_out=True), "give groups="),
        (lambda: linear_eval(ROWS, LABELS, leave_one_out=True, groups=[1] * 4), "4 rows of one group"),
        (
            lambda: linear_eval(ROWS, LABELS, ROWS, LABELS, leave_one_out=True, groups=LABELS),
            "leave_one_out=True .* test and test_labels",
        ),
        (
            lambda: linear_eval(ROWS, LABELS, leave_one_out=True, groups=["x", "x", "y", "x"]),
            "outside group 'x' are of class '0'",
        ),
        (lambda: retrieve(ROWS, ROWS, k=1, groups=LABELS), "groups= .* leave_one_out=True"),
        (
            lambda: retrieve(ROWS, ROWS, k=3, leave_one_out=True, groups=[0, 0, 1, 1]),
            "k=3 .* between 1 and 2, .* query's group",
        ),
        (lambda: retrieve(ROWS, ROWS, k=1, leave_one_out=True, groups=[1]), "groups has 1 values for 4 rows"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
