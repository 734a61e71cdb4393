"""Time of rows: grids with gaps, rates, units, variable rates, and numbers in the names of files."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import read
from skelrep.io.key_names import unit_of
from skelrep.io.timeline import as_seconds, frame_numbers, timeline

RNG = np.random.default_rng(0)


def test_frame_numbers_leave_gaps_and_persons_share_a_frame():
    found = timeline(frames=[7, 7, 8, 12, 12], fps=30)
    assert found.moment.tolist() == [0, 0, 1, 2, 2]
    assert (found.position.tolist(), found.frames, found.fps) == ([0, 1, 5], 6, 30)
    placed = found.on_grid(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(placed, [1, 2, np.nan, np.nan, np.nan, 3])


def test_rows_in_any_order():
    found = timeline(times=[0.2, 0.0, 0.1])
    assert found.moment.tolist() == [2, 0, 1] and found.fps == 10


@pytest.mark.parametrize(("step", "fps"), [(1, 30), (2, 15), (5, 6)])
def test_a_constant_step_of_frame_numbers_is_one_frame(step, fps):
    found = timeline(frames=np.arange(10) * step + 3, fps=30)
    assert (found.frames, found.fps) == (10, fps)
    with_a_gap = timeline(frames=[0, step, 4 * step], fps=30)
    assert with_a_gap.position.tolist() == [0, 1, 4]


@pytest.mark.parametrize("gap", [1, 15, 600])
@pytest.mark.parametrize("digits", [3, 4, 9])
@pytest.mark.parametrize("fps", [25, 30, 60, 120])
def test_the_rate_is_that_of_neighbours(fps, digits, gap):
    frames = np.concatenate([np.arange(40), np.arange(40) + 39 + gap])
    times = np.round(frames / fps, digits)
    for found in (timeline(times=times), timeline(frames=frames, times=times)):
        assert found.fps == pytest.approx(fps, rel=2e-3) and found.note is None
        assert abs(found.frames - (frames[-1] + 1)) <= gap * 0.005


@pytest.mark.parametrize(("unit", "name"), [(1, "time"), (1e3, "time_ms"), (1e6, "timestamp_usec"), (1e9, "t (ns)")])
def test_time_units_are_decided_by_the_resulting_frame_rate(unit, name):
    times = 1.7e9 + np.arange(50) / 30
    times = np.round(times * unit) if unit > 1 else times
    assert timeline(times=times).fps == pytest.approx(30, rel=1e-3)
    assert timeline(times=times, unit=unit_of(name)).fps == pytest.approx(30, rel=1e-3)


def test_frame_counts_are_not_milliseconds():
    assert timeline(times=np.arange(20)).fps is None
    assert timeline(times=np.arange(20), unit=unit_of("seconds")).fps == 1
    assert timeline(times=np.arange(20) * 40).fps == 25


def test_file_numbers_that_are_timestamps():
    found = timeline(frames=np.round(1_700_000_000_000 + np.arange(31) * 100 / 3))
    assert found.fps == pytest.approx(30, rel=1e-3) and found.frames == 31


@pytest.mark.parametrize("fps", [29.97, 23.976, 12.5])
def test_fractional_frame_rates_are_kept(fps):
    assert timeline(times=np.arange(1000) / fps).fps == pytest.approx(fps, rel=1e-6)


def test_jitter_is_not_a_variable_rate():
    times = np.arange(300) / 30 + RNG.uniform(-0.004, 0.004, 300)
    found = timeline(times=times)
    assert found.frames == 300 and found.note is None and found.fps == pytest.approx(30, rel=0.01)


def test_more_frames_dropped_than_kept():
    frames = np.array([0, 2, 4, 5, 7, 10, 12, 13, 15, 17, 18, 20])
    assert timeline(times=frames / 30).position.tolist() == frames.tolist()


def test_a_variable_rate_is_resampled_linearly():
    times = np.cumsum(RNG.uniform(0.02, 0.06, 200))
    found = timeline(times=times)
    assert found.note is not None and "resampled" in found.note and found.fps is not None
    placed = found.on_grid(np.stack([times, 3 * times], axis=1))
    grid = times[0] + np.arange(found.frames) / found.fps
    np.testing.assert_allclose(placed[:, 0], np.interp(grid, times, times), atol=1e-9)
    np.testing.assert_allclose(placed[:, 1], 3 * grid, atol=1e-9)


def test_a_pause_in_a_variable_rate_stays_missing():
    times = np.cumsum(np.concatenate([RNG.uniform(0.02, 0.06, 30), [2.0], RNG.uniform(0.02, 0.06, 30)]))
    found = timeline(times=times)
    placed = found.on_grid(times)
    missing = np.isnan(placed)
    pause = 2.0 * found.fps
    assert 0.9 * pause - 2 < missing.sum() <= pause
    values = np.where(np.arange(len(times)) == 5, np.nan, times)
    lost = np.isnan(found.on_grid(values)) & ~missing
    assert 1 <= lost.sum() <= 5  # a joint that one moment lacks is not invented from its neighbours


def test_times_are_preferred_to_row_numbers():
    times = np.concatenate([np.arange(20), np.arange(20) + 34]) / 30
    found = timeline(frames=np.arange(40), times=times)
    assert found.frames == 54 and found.fps == 30
    assert found.note is not None and "disagree" in found.note


def test_constant_times_are_ignored():
    found = timeline(frames=np.arange(10), times=np.zeros(10), fps=50)
    assert (found.frames, found.fps) == (10, 50)


def test_one_moment_and_none():
    assert timeline(times=[5.0, 5.0]).frames == 1
    assert timeline(frames=[3]).on_grid(np.ones((1, 2))).tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="frame numbers or times"):
        timeline()
    with pytest.raises(ValueError, match="row 1"):
        timeline(times=[0, np.nan])
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        frames = np.r_[0, 1, np.arange(500, 2**24, 500)]
        timeline(frames=frames).on_grid(np.broadcast_to(1.0, (len(frames), 133, 3)))
    with pytest.raises(ValueError, match="span 1000001 frames, of which only 3 exist"):
        timeline(frames=[0, 1, 10**6]).on_grid(np.ones((3, 17, 2)))


@pytest.mark.parametrize("times", [[0, 1e300, 2e300, -1e308], [0, 5e-324, 1e-323, 1, 1e18]])
def test_invalid_times_are_refused(times):
    with pytest.raises(ValueError, match=r"row \d has no finite time|one of them may be wrong"):
        timeline(times=times)
    with pytest.raises(ValueError):
        timeline(frames=times)


def test_seconds_of_text():
    seconds = as_seconds(["1.5", 2, "00:01:02.250", "1:02", "01:00:00,5"])
    np.testing.assert_allclose(seconds, [1.5, 2, 62.25, 62, 3600.5])
    dates = as_seconds(["2024-05-01T12:00:00.000Z", "2024-05-01 12:00:00.040+00:00"])
    assert dates[1] - dates[0] == pytest.approx(0.04, abs=1e-5)
    with pytest.raises(ValueError, match="'soon'"):
        as_seconds(["soon"])


@pytest.mark.parametrize(
    ("names", "recordings", "numbers"),
    [
        ("000 001 010", ["", "", ""], [0, 1, 10]),
        ("cam01_000000 cam01_000011", ["cam01", "cam01"], [0, 11]),
        ("cam01_0 cam01_1 cam02_0 cam02_1", ["cam01", "cam01", "cam02", "cam02"], [0, 1, 0, 1]),
        ("walk_000000000012_keypoints walk_000000000013_keypoints", ["walk", "walk"], [12, 13]),
        ("frame5_pose2d frame6_pose2d", ["frame_pose2d", "frame_pose2d"], [5, 6]),
        ("body3DScene_00000100", ["body3DScene"], [100]),
        ("clip-1-frame-3 clip-1-frame-4 clip-2-frame-3", ["clip-1-frame", "clip-1-frame", "clip-2-frame"], [3, 4, 3]),
        ("a b7", ["a", "b"], [None, 7]),
    ],
)
def test_numbers_in_names_of_files(names, recordings, numbers):
    assert frame_numbers(names.split()) == (recordings, numbers)


def test_numbers_in_names_that_are_too_long_for_a_frame_are_a_part_of_the_name():
    nanoseconds = ["1700000000123456789", "1700000000156790122"]
    assert frame_numbers([f"img_{number}" for number in nanoseconds]) == (["img"] * 2, [int(n) for n in nanoseconds])
    for digits in (20, 400, 5_000):  # Python does not convert the longest
        names = [f"img_{'9' * digits}", f"img_{'8' * digits}"]
        assert frame_numbers(names) == (names, [None, None])


def test_a_frame_that_is_too_large_is_one_sentence(tmp_path):
    joints = "".join(f"{{}},{name},{i},0,{i}\n" for i, name in enumerate(["pelvis", "head", "neck", "left_hip"]))
    (tmp_path / "a.csv").write_text(
        "frame,joint,x,y,z\n" + joints.format(*"0000") + joints.format(*["a" + "9" * 400] * 4)
    )
    with pytest.raises(ValueError, match=r"a\.csv has a frame or time that is not a number") as caught:
        read(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)
