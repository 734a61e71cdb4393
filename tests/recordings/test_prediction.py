"""What a classifier says about clips and about recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skelrep import Poses
from skelrep.evaluate.folds import folds_of_clips
from skelrep.io import read_parts, reading
from skelrep.poses.windows import windows_of_stretches
from skelrep.recordings import Event, Events, annotated, fit
from skelrep.recordings import prediction as module
from skelrep.recordings.annotations import groups_of
from skelrep.recordings.prediction import clip_events
from tests.recordings.made_up import clips_of, session

SCRIPT = [("squat", 5.0), ("stand", 3.0), ("kick", 4.0), ("squat", 4.0)]
TRUTH = Events.of([Event("session", 0, 5, "squat"), Event("session", 8, 12, "kick"), Event("session", 12, 16, "squat")])


@pytest.fixture
def classifier(tiny_encoder):
    return fit(clips_of(("squat", "kick", "stand"), 4), tiny_encoder)


def test_segments_of_a_recording(classifier):
    found = classifier.segments(session(SCRIPT), reject=False)  # windows of the clips' two seconds
    assert [event.label for event in found] == ["squat", "stand", "kick", "squat"]
    assert found.start[0] == 0 and found.end[-1] == 16
    np.testing.assert_allclose(found.start[1:], [5, 8, 12], atol=0.75)
    assert (found.score > 0.5).all() and set(found.clip) == {"session"}


def test_parts_of_a_recording_make_the_same_segments(classifier, monkeypatch):
    whole = classifier.segments(session(SCRIPT), reject=False)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    for name, column in classifier.segments(session(SCRIPT), reject=False).columns():
        expected = dict(whole.columns())[name]
        if name == "score":  # sums of other batches are rounded differently
            np.testing.assert_allclose(column, expected, atol=1e-6)
        else:
            np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize(
    ("window", "stride", "frames"), [(2.0, 0.5, 37), (2.0, 0.7, 200), (1.0, 3.0, 11), (30.0, 1.0, 50)]
)
def test_windows_of_stretches_are_those_of_the_whole_recording(window, stride, frames):
    recording = session(SCRIPT)
    recording.clips[0][:, 100:160] = np.nan
    [clip], expected = recording.clips, recording.windows(window, stride)
    total = clip.shape[1]
    parts = [
        replace(
            recording,
            clips=[clip[:, first : first + frames]],
            info={"stretch_first": np.array([first]), "stretch_of": np.array([total])},
        )
        for first in range(0, total, frames)
    ]
    found = list(windows_of_stretches(parts, window, stride))
    assert [each for part in found for each in part.ids] == expected.ids
    for key in ("start", "end"):
        np.testing.assert_allclose(np.concatenate([part.info[key] for part in found]), expected.info[key])
    for one, other in zip([each for part in found for each in part.clips], expected.clips):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("per", ["clip", "person"])
def test_large_recordings_are_read_in_stretches(classifier, tmp_path, monkeypatch, per):
    squat, kick = session([("squat", 9.0), ("kick", 7.0)]), session([("kick", 16.0)])
    both = [np.concatenate([squat.clips[0], kick.clips[0]]), squat.clips[0]]
    recordings = Poses(
        both,
        squat.skeleton,
        ids=["two", "one"],
        fps=20,
        person_ids=[("ann", "bob"), ("ann",)],
        scores=[np.ones(clip.shape[:3], np.float32) for clip in both],
    )
    recordings.save(tmp_path / "both.npz")
    expected = classifier.segments(tmp_path / "both.npz", per=per, reject=False)
    assert len(expected) >= 3
    monkeypatch.setattr(reading, "STRETCH_BYTES", 20_000)  # 49 and 98 frames
    parts = list(read_parts(tmp_path / "both.npz", in_stretches=True))
    assert [(part.ids, part.clips[0].shape[1]) for part in parts[:2]] == [(["two"], 49), (["two"], 49)]
    assert sum(part.clips[0].shape[1] for part in parts) == 640 and len(parts) == 7 + 4
    found = classifier.segments(tmp_path / "both.npz", per=per, reject=False)
    for name, column in found.columns():
        if name == "score":
            np.testing.assert_allclose(column, expected.score, atol=1e-5)
        else:
            np.testing.assert_array_equal(column, dict(expected.columns())[name])


def test_each_person_has_separate_segments(classifier):
    squat, kick = session([("squat", 6.0)]), session([("kick", 6.0)])
    both = Poses([np.concatenate([squat.clips[0], kick.clips[0]])], squat.skeleton, fps=20, person_ids=[("ann", "bob")])
    found = classifier.segments(both, per="person", reject=False)
    assert [(event.person, event.label) for event in found] == [("ann", "squat"), ("bob", "kick")]
    rows = clip_events(classifier, both, per="person", reject=False)
    assert [(event.person, event.label, event.end) for event in rows] == [("ann", "squat", 6), ("bob", "kick", 6)]
    with pytest.raises(ValueError, match="'persons'"):
        classifier.segments(both, per="persons")


def test_clips_have_one_row_each(classifier):
    clips = clips_of(("squat", "kick"), 2)
    rows = clip_events(classifier, clips)
    assert [event.clip for event in rows] == clips.ids
    assert [event.label for event in clip_events(classifier, clips, reject=False)] == clips.labels.tolist()
    [event] = clip_events(classifier, replace(clips[0], fps=None))
    assert np.isnan(event.start)


def test_annotated_recordings_are_training_clips(tiny_encoder):
    recording = session(SCRIPT)
    clips = annotated(recording, TRUTH)
    assert clips.labels.tolist() == ["squat", "kick", "squat"]
    assert [clip.shape[1] for clip in clips.clips] == [100, 80, 80]
    windows = annotated(recording, TRUTH, 2.0, 0.5)
    assert windows.labels.tolist().count("none") == 6
    with pytest.warns(UserWarning, match="kick, none occurs only once"):
        classifier = fit(recording, tiny_encoder, events=TRUTH, window=2.0)
    assert classifier.report_ is None
    assert [
        event.label for event in classifier.segments(session(SCRIPT, seed=50), reject=False)
    ] == TRUTH.label.tolist()


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (Event("sesion", 0, 1, "a"), "'sesion'.*did you mean 'session'"),
        (Event("session", 20, 30, "a"), "20 to 30.*16"),
        (Event("session", 1, 1, "a"), "1 to 1"),
        (Event("session", 0, 1, "a", person="3"), "'3'"),
    ],
)
def test_events_that_do_not_fit_are_refused(event, facts):
    with pytest.raises(ValueError, match=facts):
        annotated(session(SCRIPT), Events.of([event]))


def test_of_events_that_overlap_the_nearest_counts():
    twice = Events.of([Event("", 0, 5, "a"), Event("", 4, 8, "b")])
    with pytest.warns(UserWarning, match="2 of 29 windows.*different"):
        labels = annotated(session(SCRIPT), twice, 2.0, 0.5).labels
    assert labels.tolist() == ["a"] * 7 + ["b"] * 7 + ["none"] * 15


def test_figures_of_one_recording_are_of_another_time(tiny_encoder):
    script = [(label, 4.0) for _ in range(6) for label in ("squat", "stand", "kick")]
    ends = np.cumsum([seconds for _, seconds in script])
    truth = Events.of(Event("", end - 4, end, label) for (label, _), end in zip(script, ends) if label != "stand")
    windows = annotated(session(script), truth, 2.0, 0.5)
    name, groups = groups_of(windows)
    assert name == "blocks of time" and np.bincount(groups).max() == 8 and (np.diff(groups) >= 0).all()
    codes = np.unique(windows.labels, return_inverse=True)[1]
    for kept, out in folds_of_clips(windows.info, codes, groups, 5, 0):
        assert len(kept) + len(out) < len(windows)
        shared = np.minimum.outer(windows.info["end"][kept], windows.info["end"][out]) - np.maximum.outer(
            windows.info["start"][kept], windows.info["start"][out]
        )
        assert shared.max() <= 0
    classifier = fit(session(script), tiny_encoder, events=truth, window=2.0, stride=0.5)
    assert classifier.report_.protocol["n_groups"] == len(np.unique(groups)) and classifier.report_.accuracy > 0.8
    two = Poses.concatenate([windows, replace(windows, info={**windows.info, "source": np.full(len(windows), "b")})])
    assert groups_of(two)[0] == "source"
    assert groups_of(replace(two, info={**two.info, "subject": np.arange(len(two))}))[0] == "subject"
    assert groups_of(clips_of(("squat",), 2))[0] == "subject" and groups_of(session(script)) is None


def test_windows_that_overlap_held_out_ones_are_not_trained_on():
    info = {"source": np.array([*"aaab"]), "start": np.array([0.0, 1, 2, 0]), "end": np.array([2.0, 3, 4, 2])}
    codes, groups = np.array([0, 1, 0, 1]), np.arange(4)
    assert folds_of_clips(info, codes, groups, 2, 0) == []  # what is kept is of one class
    assert len(folds_of_clips({}, codes, groups, 2, 0)) == 2
    apart = info | {"start": np.array([0.0, 2, 4, 0]), "end": np.array([2.0, 4, 6, 2])}  # they only touch
    for found, expected in zip(folds_of_clips(apart, codes, groups, 2, 0), folds_of_clips({}, codes, groups, 2, 0)):
        assert [part.tolist() for part in found] == [part.tolist() for part in expected]
