"""The linear probe against a scikit-learn pipeline and loops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skelrep.evaluate import linear_eval, wilson_interval
from skelrep.evaluate.folds import stratified_folds


def test_probe_equals_scikit_learn_grid_search(data):
    train, labels, test, test_labels = (array.astype(np.float64) if array.ndim == 2 else array for array in data)
    result = linear_eval(train, labels, test, test_labels, folds=3, seed=4)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-7))
    folds = StratifiedKFold(3, shuffle=True, random_state=4)
    search = GridSearchCV(pipeline, {"logisticregression__C": np.logspace(-4, 2, 7)}, cv=folds).fit(train, labels)
    assert search.best_params_["logisticregression__C"] == pytest.approx(result.C)
    # Both fits end near the minimum, and some rows are between two classes.
    ranked = np.sort(search.decision_function(test), axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 0.01
    assert clear.mean() > 0.95
    assert (search.predict(test) == result.predictions)[clear].all()
    assert result.accuracy == (result.predictions == test_labels).mean()
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(test_labels, result.predictions))
    assert result.interval == wilson_interval(round(result.accuracy * 83), 83)
    assert (result.confusion == confusion_matrix(test_labels, result.predictions)).all()
    table = result.cross_validation
    assert table is not None
    np.testing.assert_allclose(table["mean"], search.cv_results_["mean_test_score"], atol=1.01 / 211)  # one row
    np.testing.assert_allclose(table["std"], search.cv_results_["std_test_score"], atol=1.01 / 70)
    assert table["folds"] == result.protocol["folds"] == 3
    lines = str(result).splitlines()
    assert len(lines) == 2
    assert "chosen by 3 folds" in lines[0]
    assert "<td>" in result._repr_html_()


def test_probe_ignores_test_labels(data):
    train, labels, test, test_labels = data
    one = linear_eval(train, labels, test, test_labels, C=[0.01, 1], folds=2)
    other = linear_eval(train, labels, test, test_labels[::-1], C=[0.01, 1], folds=2)
    assert one.C == other.C
    assert (one.predictions == other.predictions).all()


def test_leave_one_group_out_equals_a_loop_over_groups(data):
    train, labels, _, _ = data
    groups = np.array([f"S{i}" for i in np.random.default_rng(3).integers(0, 4, len(train))])
    result = linear_eval(train, labels, leave_one_out=True, groups=groups, C=[0.01, 1], folds=2, seed=5)
    chosen = []
    for group in np.unique(groups):
        inside = groups == group
        outer = train[~inside], labels[~inside], train[inside], labels[inside]
        fold = linear_eval(*outer, groups=groups[~inside], C=[0.01, 1], folds=2, seed=5)
        assert (result.predictions[inside] == fold.predictions).all()
        chosen.append(fold.C)
    assert result.accuracy == (result.predictions == labels).mean() and 0.5 < result.accuracy < 1
    assert (result.confusion == confusion_matrix(labels, result.predictions)).all()
    assert result.cross_validation == {"C": [0.01, 1], "chosen": chosen}
    assert max(set(chosen), key=chosen.count) == result.C
    assert result.protocol["leave_one_out"] and result.protocol["n_groups"] == 4
    assert "one of 4 groups left out" in str(result) and "<td>" in result._repr_html_()


def test_leave_one_group_out_with_a_given_c_equals_scikit_learn(data):
    train, labels, _, _ = data
    groups = np.arange(len(train)) % 3
    result = linear_eval(train, labels, leave_one_out=True, groups=groups, C=0.1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-7, max_iter=1000))
    expected = cross_val_predict(pipeline, train.astype(np.float64), labels, groups=groups, cv=LeaveOneGroupOut())
    assert (result.predictions == expected).mean() > 0.99
    assert result.cross_validation is None and "C = 0.1, not chosen" in str(result)


def test_class_within_one_group_counts_as_wrong_with_a_warning():
    rows = np.random.default_rng(0).normal(size=(6, 3))
    labels = ["a", "jump", "b", "a", "b", "jump"]
    with pytest.warns(UserWarning, match="label jump; the 2 rows") as caught:
        result = linear_eval(rows, labels, leave_one_out=True, groups=[0, 1, 0, 1, 1, 1], C=1)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert result.per_class.tolist()[2] == 0


def test_given_c_is_used(data):
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
    for kept, held_out in stratified_folds(codes, takes, 5, 0):
        assert not set(takes[kept]) & set(takes[held_out])


@pytest.mark.parametrize(("smallest", "expected"), [(9, 5), (3, 3), (2, 2), (1, 2)])
def test_number_of_folds_follows_the_smallest_class(smallest, expected):
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
def test_c_is_one_with_a_warning_where_two_folds_cannot_be_made(labels, groups, of):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.warns(UserWarning, match=rf"training rows{of}; C=1"):
        result = linear_eval(rows, labels, rows, labels, groups=groups)
    assert result.C == 1
    assert result.cross_validation is None


def test_probe_is_repeatable_and_does_not_change_its_inputs(data):
    train, labels, test, test_labels = (array.copy() for array in data)
    first, second = (linear_eval(train, labels, test, test_labels, C=[0.1, 1], folds=2) for _ in range(2))
    assert first.to_dict(rows=True) == second.to_dict(rows=True)
    assert (train == data[0]).all()
    assert (test == data[2]).all()


def test_probe_of_constant_columns_predicts_the_most_frequent_class():
    rows = np.full((9, 4), 0.1, dtype=np.float32)
    result = linear_eval(rows, list("aabbbbbcc"), rows, list("aabbbbbcc"), C=1)
    assert set(result.predictions) == {"b"}


def test_probe_warns_when_it_has_not_converged(data):
    train, labels, test, test_labels = data
    with pytest.warns(UserWarning, match="max_iter=1 ") as caught:
        linear_eval(train, labels, test, test_labels, max_iter=1, C=1)
    assert len(caught) == 1
