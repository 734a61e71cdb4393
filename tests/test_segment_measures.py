"""Measures of events against annotations, on cases whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.recordings import Event, Events
from tests.benchmarks.action_points import STRIDE, detections
from tests.benchmarks.segment_measures import (
    average_precision,
    f_score,
    frame_accuracy,
    matches,
    point_matches,
    segmental_f1,
)

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


def test_action_points_within_the_latency_count_once():
    truth = np.array([1.0, 2.0, 5.0])
    assert point_matches([1.3, 1.2, 4.6, 2.1], truth, 1 / 3) == 2  # 1.2 takes 1.0, 2.1 takes 2.0
    assert point_matches([1.5, 1.6], np.array([1.55]), 1 / 3) == 1
    assert point_matches([1.0], np.array([]), 1 / 3) == 0 and point_matches([], truth, 1 / 3) == 0
    assert f_score(2, 4, 3) == pytest.approx(2 * (1 / 2 * 2 / 3) / (1 / 2 + 2 / 3))
    assert f_score(np.array([0, 3]), np.array([0, 3]), np.array([3, 3])).tolist() == [0, 1]


def test_detections_of_action_points_are_apart():
    end = np.arange(30) * STRIDE
    probability = np.full(30, 0.05)
    probability[[5, 7, 20]] = 0.6, 0.7, 0.5
    assert detections(end, probability, 0.5) == [end[5], end[20]]
    assert detections(end, probability, 0.65) == [end[7]]
