"""What a classifier says about clips and about recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skelrep import Poses
from skelrep.recordings import Event, Events, annotated, fit
from skelrep.recordings import prediction as module
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
    classifier = fit(recording, tiny_encoder, events=TRUTH, window=2.0, groups=np.arange(29) % 2)
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
