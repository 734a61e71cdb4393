"""Results as text, JSON and HTML."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skelrep.evaluate import KNNResult, knn_eval, linear_eval, retrieve


def test_knn_result_prints_its_protocol(data):
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
    assert "one of 2 groups left out" in str(
        knn_eval(train, labels, k=1, leave_one_out=True, groups=np.arange(len(labels)) < 99)
    )


def test_results_convert_to_json(data):
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


def test_results_are_frozen_and_escape_html(data):
    train, labels, test, test_labels = data
    result = knn_eval(train, labels, test, test_labels, k=1)
    with pytest.raises(AttributeError):
        result.accuracy = {}  # type: ignore[misc]
    changed = KNNResult(**{**vars(result), "protocol": {**result.protocol, "metric": "<script>"}})
    assert "<script>" not in changed._repr_html_()
