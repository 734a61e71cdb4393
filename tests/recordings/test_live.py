"""Live segments: the same as those of the whole recording, on time, in constant memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skelrep import Poses
from skelrep.io.people import Person
from skelrep.recordings import Event, Events, LiveSegments, SegmentRules, fit
from tests.recordings.made_up import clips_of, session

SCRIPT = [("squat", 5.0), ("stand", 3.0), ("kick", 4.0), ("squat", 4.3)]


@pytest.fixture
def classifier(tiny_encoder):
    return fit(clips_of(("squat", "kick", "stand"), 4), tiny_encoder)


def fed(live: LiveSegments, recording: Poses, ids=None) -> list[tuple[float, Event]]:
    """Each event with the time of the frame with which it came; infinity for those of the end."""
    [clip] = recording.clips
    found = []
    for t in range(clip.shape[1]):
        if not np.isnan(clip[:, t]).all():
            seconds = t / recording.fps
            found += [(seconds, event) for event in live.feed(seconds, clip[:, t], ids)]
    return found + [(np.inf, event) for event in live.finish()]


def check_same(found: list[tuple[float, Event]], expected: Events) -> None:
    assert [event._replace(clip="", score=0) for _, event in found] == [
        event._replace(clip="", score=0) for event in expected
    ]
    np.testing.assert_allclose([event.score for _, event in found], expected.score, atol=1e-5)


@pytest.mark.parametrize("stride", [None, 0.3])
def test_the_segments_are_those_of_the_whole_recording(classifier, stride):
    recording = session(SCRIPT)
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, stride=stride, reject=False)
    found = fed(live, recording)
    assert len(found) == 4
    check_same(found, classifier.segments(recording, 2.0, stride, reject=False))
    assert len(live.frames) <= 2 * 20 + 20  # a window and a stride, whatever the duration


def test_an_event_comes_when_it_is_said_to(classifier):
    rules = SegmentRules(smooth=1.0, shortest=0.5)
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, stride=0.5, rules=rules, reject=False)
    assert live.delay == 1.0 + 0.5 + 0.75
    found = fed(live, session(SCRIPT))
    late = [seconds - event.end for seconds, event in found[:-1]]
    assert len(late) == 3 and max(late) <= live.delay + 1e-9 and min(late) > 1.0


def test_a_pause_and_a_short_recording(classifier):
    recording = session([("squat", 5.0), ("stand", 8.0), ("kick", 4.0)])
    recording.clips[0][:, 110:250] = np.nan
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, reject=False)
    check_same(fed(live, recording), classifier.segments(recording, 2.0, reject=False))
    short = session([("kick", 1.2)])
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, reject=False)
    found = fed(live, short)
    assert len(found) == 1
    check_same(found, classifier.segments(short, 2.0, reject=False))
    assert not list(LiveSegments(classifier, fps=20, window=2.0).finish())


def test_persons_have_segments_of_their_own(classifier):
    squat, kick = session([("squat", 6.0)]), session([("kick", 6.0)])
    kick.clips[0][..., 0] += 3
    both = Poses([np.concatenate([squat.clips[0], kick.clips[0]])], squat.skeleton, fps=20, person_ids=[("ann", "bob")])
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, per="person", reject=False)
    found = fed(live, both, ("ann", "bob"))
    check_same(found, classifier.segments(both, 2.0, per="person", reject=False))
    assert {(event.person, event.label) for _, event in found} == {("ann", "squat"), ("bob", "kick")}


def test_what_cannot_be_followed_is_refused(classifier):
    [clip] = session(SCRIPT).clips
    live = LiveSegments(classifier, fps=20, window=2.0)
    assert not list(live.feed(1.0, clip[:, 0]))
    with pytest.raises(ValueError, match=r"at 0.5 s, before .* 1 s"):
        list(live.feed(0.5, clip[:, 1]))
    with pytest.raises(ValueError, match="ids"):
        list(LiveSegments(classifier, fps=20, window=2.0, per="person").feed(0.0, clip[:, 0]))
    with pytest.raises(ValueError, match="fps"):
        LiveSegments(classifier, fps=0, window=2.0)
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=0.5, min_score=0.5)
    with pytest.raises(ValueError, match="min_score"):
        fed(live, session(SCRIPT))


def test_of_more_frames_than_the_rate_says_the_last_ones_count(classifier):
    recording = session(SCRIPT)
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, reject=False)
    [clip], found = recording.clips, []
    for t in range(clip.shape[1]):
        if t:
            found += [(t / 20, event) for event in live.feed(t / 20 - 0.01, clip[:, t] + 1)]
        found += [(t / 20, event) for event in live.feed(t / 20, clip[:, t])]
    check_same(found + [(np.inf, event) for event in live.finish()], classifier.segments(recording, 2.0, reject=False))


def test_a_remark_is_made_once(classifier, recwarn):
    [clip] = session(SCRIPT).clips
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0, reject=False)
    for t in range(clip.shape[1]):
        people = [Person(f"{t}.{i}", one[t]) for i, one in enumerate((clip[0], clip[0] + 2))]  # ids of detections
        list(live.feed(t / 20, people))
    assert len([each for each in recwarn if "persons are matched" in str(each.message)]) == 1


def test_the_last_window_is_shown_even_if_it_is_unknown(classifier):
    classifier.head_ = replace(classifier.head_, threshold=1.0)
    live = LiveSegments(classifier, fps=20, skeleton="coco-17", window=2.0)
    assert live.latest == [] and live.window == 2.0
    [clip], seen = session([("squat", 4.0)]).clips, []
    for t in range(clip.shape[1]):
        assert not list(live.feed(t / 20, clip[:, t]))
        seen.append(live.latest)
    assert not any(seen[:40])
    [[guess]] = seen[-1:]
    assert (guess.label, guess.known, guess.person) == ("squat", False, "")
    assert guess.end - guess.start == 2.0 and guess.end > 3.0 and 0.4 < guess.probability <= 1
    with pytest.warns(UserWarning, match=r"windows of 'live' are unlike .*threshold: 1.00.*--no-reject"):
        assert not list(live.finish())
