"""Windows to segments: smoothing, hysteresis, shortest durations, gaps."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.recordings import Event, SegmentRules
from skelrep.recordings.segments import BACKGROUND, Segmenter

LABELS = ("a", "b", BACKGROUND)


def segments(
    columns: list[tuple[float, float, float]], rules: SegmentRules, seconds: list[float] | None = None
) -> list[Event]:
    """Of windows of one second, one a second, with the given probabilities."""
    segmenter = Segmenter(LABELS, rules, 1.0, clip="c", person="p")
    found: list[Event] = []
    for start, row in zip(range(len(columns)) if seconds is None else seconds, columns):
        found += segmenter.feed(start, start + 1, np.array(row))
    return found + list(segmenter.finish())


def test_a_segment_begins_and_ends_by_its_own_thresholds():
    rows = [(p, 0.0, 0.0) for p in (0.2, 0.4, 0.6, 0.4, 0.31, 0.2, 0.4, 0.1)]
    [event] = segments(rows, SegmentRules(enter=0.5, leave=0.3))
    assert event == Event("c", 2.0, 5.0, "a", pytest.approx(np.mean([0.6, 0.4, 0.31])), "p")


def test_another_label_takes_over_and_background_makes_no_segment():
    rows = [(0.9, 0.0, 0.0)] * 2 + [(0.4, 0.6, 0.0)] * 3 + [(0.0, 0.0, 1.0)] * 2 + [(1.0, 0.0, 0.0)]
    found = segments(rows, SegmentRules())
    assert [(event.label, event.start, event.end) for event in found] == [("a", 0, 2), ("b", 2, 5), ("a", 7, 8)]


def test_short_segments_are_left_out_and_smoothing_bridges():
    rows = [(1.0, 0.0, 0.0)] * 3 + [(0.0, 1.0, 0.0)] + [(1.0, 0.0, 0.0)] * 3
    assert [event.label for event in segments(rows, SegmentRules())] == ["a", "b", "a"]
    assert [event.label for event in segments(rows, SegmentRules(shortest=2))] == ["a", "a"]
    [event] = segments(rows, SegmentRules(smooth=2))
    assert (event.start, event.end, event.label) == (0, 7, "a")


def test_a_gap_ends_a_segment():
    found = segments([(1.0, 0.0, 0.0)] * 4, SegmentRules(), [0, 1, 5, 6])
    assert [(event.start, event.end) for event in found] == [(0, 2), (5, 7)]


def test_overlapping_windows_meet_halfway():
    segmenter = Segmenter(LABELS, SegmentRules(), 1.0)
    rows = [(1.0, 0.0, 0.0)] * 2 + [(0.0, 1.0, 0.0)] * 2
    found = [event for start, row in enumerate(rows) for event in segmenter.feed(start, start + 3, np.array(row))]
    found += segmenter.finish()
    assert [(event.label, event.start, event.end) for event in found] == [("a", 0, 3), ("b", 3, 6)]


@pytest.mark.parametrize("wrong", [{"enter": 0.2}, {"leave": 0.0}, {"smooth": -1.0}, {"shortest": float("nan")}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegmentRules(**wrong)
