"""SkeletonEmbedder inside scikit-learn's own machinery, on ragged clips."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skelrep import sklearn as estimator
from skelrep.embedding import embed
from skelrep.encoder import Encoder
from skelrep.poses import Poses
from skelrep.sklearn import SkeletonEmbedder

SKELETON = "kinect-20"
LABELS = ["still", "wave"] * 9


@pytest.fixture(scope="module")
def clips():
    """18 clips (T, 20, 3) of 20 to 37 frames of a standing body, in every other one of which a hand moves."""
    generator = np.random.default_rng(0)
    body = generator.normal(size=(20, 3))
    ragged = []
    for i in range(18):
        frames = np.tile(body, (20 + i, 1, 1)) + 0.01 * generator.normal(size=(20 + i, 20, 3))
        if LABELS[i] == "wave":
            frames[:, 7:12] += np.sin(np.arange(20 + i) / 2)[:, None, None]
        ragged.append(frames.astype(np.float32))
    return ragged


@pytest.fixture
def embedder(tiny_encoder):
    return SkeletonEmbedder(tiny_encoder, skeleton=SKELETON)


def test_transform_equals_embed(embedder, tiny_encoder, clips):
    embeddings = embedder.fit_transform(clips)
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings, embed(clips, tiny_encoder, skeleton=SKELETON))
    one_stream = embedder.set_params(streams="joint", normalize=True, batch_size=5).transform(clips)
    expected = embed(clips, tiny_encoder, skeleton=SKELETON, streams="joint", normalize=True, batch_size=5)
    np.testing.assert_array_equal(one_stream, expected)


def test_all_input_types_give_the_same_embeddings(embedder, tiny_encoder, clips):
    clips = [clip[:20] for clip in clips]
    expected = embedder.transform(clips)
    objects = np.empty(18, dtype=object)
    for i, clip in enumerate(clips):
        objects[i] = clip[None]
    dense = np.stack(clips)
    poses = Poses.from_array(dense[:, None], skeleton=SKELETON)
    for same in (objects, dense[:, None], tuple(clips), list(poses)):
        np.testing.assert_allclose(embedder.transform(same), expected, atol=1e-5)
    np.testing.assert_allclose(SkeletonEmbedder(tiny_encoder).transform(poses), expected, atol=1e-5)
    by_layout = SkeletonEmbedder(tiny_encoder, skeleton=SKELETON, layout="NTVC")
    np.testing.assert_allclose(by_layout.transform(dense), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["list", "objects", "poses", "dense"])
def test_cross_validation_equals_that_of_embeddings(embedder, clips, kind):
    data = clips
    if kind == "objects":
        data = np.empty(18, dtype=object)
        data[:] = clips
    elif kind == "poses":
        data = Poses([clip[None] for clip in clips], Poses.from_array(clips[0], skeleton=SKELETON).skeleton)
        embedder.set_params(skeleton=None)
    elif kind == "dense":
        data = np.stack([clip[None, :20] for clip in clips])
    classifier, embeddings = KNeighborsClassifier(1), embedder.transform(data)
    protocols: list[dict[str, Any]] = [{"cv": 3}, {"cv": LeaveOneGroupOut(), "groups": np.arange(18) // 6}]
    for options in protocols:
        scores = cross_val_score(make_pipeline(embedder, classifier), data, LABELS, **options)  # type: ignore[arg-type]
        assert scores.tolist() == cross_val_score(classifier, embeddings, LABELS, **options).tolist()


def test_grid_search_over_both_steps(embedder, clips):
    pipeline = make_pipeline(embedder, LogisticRegression())
    grid = {"skeletonembedder__normalize": [False, True], "logisticregression__C": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(clips, LABELS)  # type: ignore[arg-type]
    embeddings = embedder.transform(clips)
    by_hand = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(embeddings, LABELS)
    scores = search.cv_results_["mean_test_score"][search.cv_results_["param_skeletonembedder__normalize"] == False]  # noqa: E712
    assert scores.tolist() == by_hand.cv_results_["mean_test_score"].tolist()
    assert search.predict(clips[:3]).shape == (3,)
    assert search.best_estimator_[0].model is embedder.model


def test_embedder_needs_no_fit(embedder, clips):
    check_is_fitted(embedder)
    check_is_fitted(make_pipeline(embedder))
    assert embedder.fit(None) is embedder
    tags = get_tags(embedder)
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
    assert tags.input_tags.allow_nan


def test_clone_shares_only_the_encoder(embedder, clips):
    embedder.set_output(transform="default")
    copied: Any = clone(embedder)
    assert copied is not embedder
    assert copied.model is embedder.model
    assert copied.get_params() == embedder.get_params()
    copied.set_params(normalize=True)
    copied.set_output(transform="pandas")
    assert not embedder.normalize
    assert isinstance(embedder.transform(clips[:2]), np.ndarray)
    pipeline: Any = clone(make_pipeline(embedder))
    assert pipeline[0].model is embedder.model


def test_named_encoder_is_loaded_once_at_first_use(tiny_encoder, clips, monkeypatch):
    loaded = []

    def load(name):
        loaded.append(name)
        return tiny_encoder

    monkeypatch.setattr(estimator, "load_pretrained", load)
    embedder = SkeletonEmbedder("one", skeleton=SKELETON).fit(clips)
    assert loaded == []
    embedder.transform(clips[:2])
    embedder.get_feature_names_out()
    copied: Any = clone(embedder)
    copied.transform(clips[:2])
    assert loaded == ["one"]
    assert embedder.model == "one"
    embedder.set_params(model="two").transform(clips[:2])
    assert loaded == ["one", "two"]
    stored = pickle.dumps(embedder)
    assert len(stored) < 2000  # the name, not the weights
    pickle.loads(stored).transform(clips[:2])
    assert loaded == ["one", "two", "two"]


def test_pickled_embedder_gives_the_same_embeddings(embedder, clips):
    copied = pickle.loads(pickle.dumps(embedder))
    assert isinstance(copied.model, Encoder)
    np.testing.assert_array_equal(copied.transform(clips), embedder.transform(clips))


def test_feature_names(embedder, clips):
    for streams in (None, "joint", ["joint"], ("joint", "motion")):
        embedder.set_params(streams=streams)
        names = embedder.get_feature_names_out()
        assert len(names) == embedder.transform(clips[:1]).shape[1]
        assert names[0] == "skeletonembedder0"
    assert (make_pipeline(embedder).get_feature_names_out() == names).all()


def test_pandas_output(embedder, clips):
    pandas = pytest.importorskip("pandas")
    frame = embedder.set_output(transform="pandas").transform(clips)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns[0] == "skeletonembedder0"


def test_missing_joints_are_accepted(embedder, clips):
    gappy = [clip.copy() for clip in clips[:3]]
    gappy[1][4:9, 7] = np.nan
    assert np.isfinite(make_pipeline(embedder).fit_transform(gappy)).all()


def test_single_clip_is_refused(embedder, clips):
    with pytest.raises(ValueError, match="X has 2 entries but contains 1 clips"):
        embedder.transform(np.stack([clip[:20] for clip in clips[:2]]))
