"""Detection by example: peaks, thresholds, counts, negative examples, persons."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from skelrep import Poses
from skelrep.recordings import detect
from skelrep.recordings.detection import SURE, Window, background_threshold, peaks, window_lengths
from tests.recordings.made_up import clips_of, session

SCRIPT = [("stand", 6.0), ("kick", 2.0), ("stand", 5.0), ("squat", 2.0), ("stand", 6.0), ("kick", 2.0), ("stand", 4.0)]


def test_a_movement_is_found_where_it_occurs(tiny_encoder):
    kick = clips_of(("kick",), 1)
    found = detect(kick, session(SCRIPT), tiny_encoder, threshold=0.4)
    assert found.label.tolist() == ["kick", "kick"]
    np.testing.assert_allclose((found.start + found.end) / 2, [7, 22], atol=0.6)


def test_a_negative_example_takes_its_movement_away(tiny_encoder):
    kick, squat = clips_of(("kick",), 1), clips_of(("squat",), 1)
    every = detect(squat, session(SCRIPT), tiny_encoder, threshold=-0.99)
    fewer = detect(squat, session(SCRIPT), tiny_encoder, threshold=-0.99, negatives=kick)
    assert len(fewer) < len(every) and fewer.score.max() == every.score.max()


def test_each_person_is_searched_alone(tiny_encoder):
    one, other = session(SCRIPT), session([("stand", 20.0), ("kick", 2.0), ("stand", 5.0)], seed=30)
    both = Poses([np.concatenate([one.clips[0], other.clips[0]])], one.skeleton, fps=20, person_ids=[("ann", "bob")])
    found = detect(clips_of(("kick",), 1), both, tiny_encoder, threshold=0.4, per="person")
    assert found.person.tolist() == ["ann", "bob", "ann"]


def test_of_overlapping_windows_the_best_stays():
    windows = [Window(0, "", 0, 2, 0.5), Window(0, "", 0.5, 2.5, 0.9), Window(0, "", 2.2, 4.2, 0.4)]
    windows += [Window(1, "", 0.5, 2.5, 0.3), Window(0, "bob", 0.5, 2.5, 0.2)]
    assert sorted(one.score for one in peaks(windows, 0.3)) == [0.2, 0.3, 0.4, 0.9]


def test_the_threshold_has_the_expected_false_rate():
    scores = np.random.default_rng(0).normal(0.1, 0.05, 200_000)
    threshold = background_threshold(scores, length=2.0, false_per_hour=18)
    assert (scores > threshold).mean() == pytest.approx(0.01, rel=0.1)  # 18 of 1800 windows
    with_events = np.concatenate([scores, np.full(20_000, 0.9)])
    assert background_threshold(with_events, 2.0, 18) < 0.1 + 0.05 * norm.isf(0.01) + 0.02
    assert background_threshold(10 * scores, 2.0, 1) == SURE


def test_lengths_surround_those_of_the_examples():
    np.testing.assert_allclose(window_lengths([2.0]), [1, 2**0.5, 2, 2 * 2**0.5, 4])
    lengths = window_lengths([1.0, 3.0])
    assert (
        lengths[0] == 0.5 and lengths[-1] == pytest.approx(6) and all(b / a < 1.5 for a, b in zip(lengths, lengths[1:]))
    )


def test_inputs_that_cannot_be_searched_are_refused(tiny_encoder):
    kick, recording = clips_of(("kick",), 1), session([("stand", 4.0)])
    with pytest.raises(ValueError, match="fps"):
        detect(Poses(kick.clips, kick.skeleton), recording, tiny_encoder)
    with pytest.raises(ValueError, match="false_per_hour=0"):
        detect(kick, recording, tiny_encoder, false_per_hour=0)
