"""Frames as lines of JSON: persons, times, rates, and errors that name the line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skelrep.io.frame_lines import live_frames
from tests.recordings.made_up import movement

WALK = movement("squat", 2.0, fps=20.0)  # (40, 17, 3)


def line(t: int, people=(0,), **about) -> str:
    persons = [{"id": f"p{i}", "keypoints": (WALK[t] + 3 * i).tolist()} for i in people]
    return json.dumps({**about, "people": persons})


def read(lines, fps=None):
    found = live_frames(iter(lines), fps)
    return found, list(found.frames)


@pytest.mark.parametrize(
    "about",
    [lambda t: {"time": t / 20}, lambda t: {"timestamp_ms": 50 * t + 7}, lambda t: {"frame": t + 3, "fps": 20}],
    ids=["seconds", "milliseconds", "numbers and rate"],
)
def test_times_and_persons(about):
    found, frames = read(line(t, (0, 1), **about(t)) for t in range(40))
    assert found.fps == pytest.approx(20) and len(frames) == 40
    np.testing.assert_allclose([seconds for seconds, _ in frames], np.arange(40) / 20, atol=1e-9)
    seconds, people = frames[7]
    assert [person.track for person in people] == ["p0", "p1"]
    np.testing.assert_allclose(people[1].points, WALK[7] + 3, atol=1e-6)


def test_frames_without_times_need_the_rate():
    lines = [line(t) for t in range(40)]
    found, frames = read(lines, fps=25)
    assert found.fps == 25 and frames[39][0] == pytest.approx(39 / 25)
    with pytest.raises(ValueError, match="frame rate.*fps="):
        read(lines)


def test_empty_frames_one_line_for_each_person_and_other_structures():
    lines = ["", json.dumps({"time": 0.0, "people": []})]
    for t in range(1, 6):
        lines += [json.dumps({"time": t / 20, "track_id": i, "keypoints": (WALK[t] + i).tolist()}) for i in range(2)]
    found, frames = read(lines)
    assert found.fps == pytest.approx(20)
    assert [len(people) for _, people in frames] == [0] + 10 * [1]
    assert [seconds for seconds, _ in frames[:3]] == pytest.approx([0, 0.05, 0.05])
    flat = [*np.insert(100 * WALK[0, :, :2], 2, 0.9, axis=1)[list(range(17))].ravel()]
    openpose = json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat + [0.0] * 24}]})
    found, frames = read([openpose] * 3, fps=30)
    assert found.joints == "openpose-25" or frames[0][1][0].points.shape[0] == 25
    named = [{"x": 1.0 * i, "y": 2.0, "z": 0.5, "name": f"joint {i}"} for i in range(17)]
    found, _ = read([json.dumps({"time": t / 20, "people": [{"keypoints": named}]}) for t in range(3)])
    assert found.joints == [f"joint {i}" for i in range(17)]


@pytest.mark.parametrize(
    ("wrong", "facts"),
    [
        ("{", "line 3"),
        ("[1, 2]", "line 3"),
        ('{"time": 0.1}x', "line 3"),
        ('{"speed": 3}', "line 3.*persons"),
        (json.dumps({"frames": [{"frame": t, "people": [{"keypoints": WALK[t].tolist()}]} for t in range(2)]}), "2"),
    ],
)
def test_a_line_that_is_no_frame_is_named(wrong, facts):
    with pytest.raises(ValueError, match=facts):
        read([line(0, time=0.0), line(1, time=0.05), wrong])


def test_a_later_frame_without_its_time_is_named():
    lines = [line(t % 40, time=t / 20) for t in range(50)]
    lines[45] = line(5)
    with pytest.raises(ValueError, match="line 46"):
        read(lines)
    with pytest.raises(ValueError, match="no frame"):
        read([])
