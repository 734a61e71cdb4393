"""Unsupervised segments."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skelrep.recordings import change_segments
from tests.recordings.made_up import session

SCRIPT = [("stand", 6.0), ("wave", 6.0), ("stand", 6.0)]


def test_segments_follow_the_changes_and_like_ones_have_one_cluster(tiny_encoder):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    found = change_segments(session(SCRIPT), tiny_encoder, shortest=2.0, clusters=2)
    assert found.start[0] == 0 and found.end[-1] == 18 and (found.start[1:] == found.end[:-1]).all()
    assert min(abs(found.start - 6)) < 0.6 and min(abs(found.start - 12)) < 0.6
    first, middle, last = (found.label[(found.start <= at) & (at < found.end)][0] for at in (3, 9, 15))
    assert first == last == "cluster 1" and middle == "cluster 2"
    assert (np.abs(found.score) <= 1 + 1e-6).all()


def test_a_short_recording_is_one_segment_and_wrong_numbers_are_refused(tiny_encoder):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    [event] = change_segments(session([("stand", 1.5)]), tiny_encoder)
    assert (event.start, event.end, event.label) == (0, 1.5, "cluster 1")
    with pytest.raises(ValueError, match="penalty=0"):
        change_segments(session(SCRIPT), tiny_encoder, penalty=0)
    with pytest.raises(ValueError, match="clusters=99"):
        change_segments(session(SCRIPT), tiny_encoder, clusters=99)


def test_the_missing_extra_is_named(tiny_encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(ModuleNotFoundError, match="ruptures"):
        change_segments(session(SCRIPT), tiny_encoder)
