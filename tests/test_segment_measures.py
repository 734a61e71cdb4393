"""Measures of events against annotations, on cases whose values are known."""

from __future__ import annotations

import pytest

from skelrep.recordings import Event, Events
from tests.benchmarks.segment_measures import average_precision, frame_accuracy, matches, segmental_f1

TRUTH = Events.of([Event("a", 0, 2, "x"), Event("a", 4, 6, "y"), Event("b", 0, 2, "x")])


def test_the_ground_truth_has_perfect_scores():
    assert average_precision(TRUTH, TRUTH)[0] == segmental_f1(TRUTH, TRUTH, 0.5) == 1
    assert frame_accuracy(TRUTH, TRUTH, {"a": 8, "b": 3}) == 1


def test_an_event_matches_once_and_only_its_clip_and_label():
    events = [Event("a", 0, 1.2, "x"), Event("a", 0.1, 2, "x"), Event("c", 0, 2, "x"), Event("a", 4, 6, "x")]
    assert matches(Events.of(events), TRUTH, 0.5) == [True, False, False, False]
    assert matches(Events.of(events[:1]), TRUTH, 0.7) == [False]


def test_average_precision_counts_missed_events_as_zero():
    ranked = Events.of([Event("a", 7, 8, "x"), Event("a", 0, 2, "x")])
    assert average_precision(ranked, TRUTH[TRUTH.label == "x"])[0] == pytest.approx(0.5 / 2)


def test_segmental_f1_and_frame_accuracy():
    found = Events.of([Event("a", 0, 2, "x"), Event("a", 2, 3, "y")])
    assert segmental_f1(found, TRUTH, 0.5) == pytest.approx(2 * 1 / 5)
    assert frame_accuracy(found, TRUTH, {"a": 8.0}) == pytest.approx((8 - 1 - 2) / 8)
