"""The classifier as an estimator of scikit-learn, and what is asked of its input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from skelrep.io.embeddings import Embeddings
from skelrep.recordings import Classifier, fit
from tests.recordings.made_up import clips_of, rows_of_classes, strange_rows

LABELS = ("squat", "wave", "kick")


def test_clips_are_fitted_and_predicted(tiny_encoder):
    train = clips_of(LABELS, 4)
    classifier = fit(train, tiny_encoder, groups="subject")
    assert classifier.classes_.tolist() == sorted(LABELS)
    assert classifier.score(train, train.labels) == 1.0
    probabilities = classifier.predict_proba(train)
    assert (classifier.classes_[probabilities.argmax(axis=1)] == classifier.predict(train)).all()
    assert classifier.report_ is not None and classifier.report_.protocol["n_groups"] == 4
    assert "12 held-out clips" in str(classifier.report_)
    listed = [clip[0] for clip in train.clips]
    again = Classifier(tiny_encoder, skeleton="coco-17").fit(listed, train.labels)
    np.testing.assert_allclose(again.predict_proba(listed), fit(train, tiny_encoder).predict_proba(train), atol=1e-6)


def test_unknown_clips_get_the_given_label():
    rows, labels = rows_of_classes(30)
    classifier = Classifier().fit(rows, labels)
    strange = strange_rows(30)
    assert (classifier.predict(strange, unknown="?") == "?").mean() > 0.7
    assert set(classifier.predict(strange)) <= set(classifier.classes_)
    assert (classifier.predict(rows, unknown="?") != "?").mean() > 0.85
    assert (classifier.is_known(rows) == (classifier.predict(rows, unknown="?") != "?")).all()


def test_the_classifier_is_a_scikit_learn_estimator(tiny_encoder):
    rows, labels = rows_of_classes(10)
    classifier = Classifier(tiny_encoder, C=0.1)
    copy = clone(classifier)
    assert copy.encoder is tiny_encoder and copy.get_params() == classifier.get_params()
    assert cross_val_score(classifier, rows, labels, cv=2).mean() > 0.8
    with pytest.raises(NotFittedError):
        copy.predict(rows)
    assert classifier.set_params(folds=3).fit(rows, labels).protocol_["folds"] == 3
    assert Classifier().fit(rows, (labels == "bow").astype(int)).classes_.tolist() == [0, 1]


def test_one_clip_for_each_class_is_enough():
    rows, labels = rows_of_classes(1)
    classifier = Classifier().fit(rows, labels)
    assert classifier.report_ is None and (classifier.predict(rows) == labels).all()


def test_embeddings_of_another_encoder_are_refused(tiny_encoder):
    train = clips_of(LABELS, 3)
    rows = tiny_encoder.embed(train)
    classifier = Classifier(tiny_encoder).fit(Embeddings(rows, labels=train.labels, model="untrained"))
    assert (classifier.predict(Embeddings(rows)) == classifier.predict(train)).all()
    with pytest.raises(ValueError, match=r"other-model.*untrained"):
        classifier.predict(Embeddings(rows, model="other-model"))
    with pytest.raises(ValueError, match=f"5 numbers.*{rows.shape[1]}"):
        classifier.predict(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"C": -1.0}, "C=-1.0"),
        ({"folds": 1}, "folds=1"),
        ({"keep": 0.0}, "keep=0.0"),
        ({"labels": ["a"] * 6}, "of class 'a'"),
        ({"labels": [0.5, 1.5] * 3}, "float64"),
        ({"labels": ["a", "b"]}, "2 values for 6 rows"),
        ({"groups": "subjet"}, "'subjet'.*subject"),
    ],
)
def test_errors_name_what_is_wrong(tiny_encoder, options, facts):
    with pytest.raises(ValueError, match=facts):
        fit(clips_of(("squat", "wave"), 3), tiny_encoder, **options)


def test_clips_without_labels_are_refused(tiny_encoder):
    with pytest.raises(ValueError, match="no labels"):
        fit(np.zeros((4, 8), np.float32), tiny_encoder)
