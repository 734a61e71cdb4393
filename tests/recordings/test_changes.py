"""Unsupervised segments."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from skelrep import Poses
from skelrep.encoder import Encoder
from skelrep.recordings import change_segments, changes
from tests.recordings.made_up import nobody_seen, session

SCRIPT = [("stand", 6.0), ("wave", 6.0), ("stand", 6.0)]


def test_segments_follow_the_changes_and_like_ones_have_one_cluster(tiny_encoder):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    found = change_segments(session(SCRIPT), tiny_encoder, shortest=2.0, clusters=2)
    assert found.start[0] == 0 and found.end[-1] == 18 and (found.start[1:] == found.end[:-1]).all()
    assert min(abs(found.start - 6)) < 0.6 and min(abs(found.start - 12)) < 0.6
    first, middle, last = (found.label[(found.start <= at) & (at < found.end)][0] for at in (3, 9, 15))
    assert first == last == "cluster 1" and middle == "cluster 2"
    assert (np.abs(found.score) <= 1 + 1e-6).all()


def test_rows_in_parts_equal_rows_at_once(tiny_encoder, monkeypatch):
    """Components and means of segments, from a file that is read block by block."""
    monkeypatch.setattr(changes, "_AT_ONCE", 7)
    windows = session(SCRIPT).windows(1.0, 0.25)
    rows = tiny_encoder.embed(windows).astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    with changes._Rows(tiny_encoder, windows, {}) as found:
        components, means = found.components(), found.means([10, 33, len(rows)])
    np.testing.assert_allclose(np.abs(components[:, :5]), np.abs((left * values)[:, :5]), atol=0.02)
    expected = [rows[a:b].mean(axis=0) for a, b in ((0, 10), (10, 33), (33, len(rows)))]
    np.testing.assert_allclose(means, expected, atol=1e-3)


def test_components_of_a_sample_are_nearly_those_of_all_windows(tiny_encoder, monkeypatch):
    windows = session(SCRIPT).windows(1.0, 0.25)
    with changes._Rows(tiny_encoder, windows, {}) as rows:
        every = rows.components()
    monkeypatch.setattr(changes, "_SAMPLE", len(windows) // 2)
    with changes._Rows(tiny_encoder, windows, {}) as rows:
        some = rows.components()
    assert abs(np.corrcoef(every[:, 0], some[:, 0])[0, 1]) > 0.99


def test_a_recording_that_does_not_move_is_one_segment(tiny_encoder):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    still = session([("stand", 1.0)])
    frames = np.repeat(still.clips[0][:, :1], 200, axis=1)
    [event] = change_segments(replace(still, clips=[frames]), tiny_encoder)
    assert (event.start, event.end) == (0, 10)


def test_a_short_recording_is_one_segment_and_wrong_numbers_are_refused(tiny_encoder, monkeypatch):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    [event] = change_segments(session([("stand", 1.5)]), tiny_encoder)
    assert (event.start, event.end, event.label) == (0, 1.5, "cluster 1")
    with pytest.raises(ValueError, match="penalty=0"):
        change_segments(session(SCRIPT), tiny_encoder, penalty=0)
    with pytest.warns(UserWarning, match="instead of 99"):
        found = change_segments(session(SCRIPT), tiny_encoder, clusters=99)
    assert len(np.unique(found.label)) == len(found) > 1
    monkeypatch.setattr(Encoder, "prepare_weighted", None)  # nothing is embedded
    for wrong, options in ((session(SCRIPT), {"clusters": 0}), (replace(session(SCRIPT), fps=None), {})):
        with pytest.raises(ValueError, match="clusters=0|fps"):
            change_segments(wrong, tiny_encoder, **options)
    both = Poses.concatenate([session(SCRIPT), nobody_seen()])
    with pytest.raises(ValueError, match="1 of 2 recordings show nobody .'empty'"):
        change_segments(both, tiny_encoder)


def test_the_missing_extra_is_named(tiny_encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(ModuleNotFoundError, match="ruptures"):
        change_segments(session(SCRIPT), tiny_encoder)
