"""Swapped sides and spikes are found where they were inserted, and nowhere else."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skelrep.cleaning import find_spikes, find_swaps
from skelrep.skeletons import SKELETONS
from tests.standing_bodies import KINECT, moving, standing

ALL = np.arange(len(KINECT))
SEEDS = st.integers(0, 2**32 - 1)


def tracks(seed: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concatenated tracks of bodies in different units that rotate about the vertical at different speeds."""
    random = np.random.default_rng(seed)
    parts = []
    for i, frames in enumerate(lengths):
        angle = random.uniform(-0.05, 0.05) * np.arange(frames)
        turn = np.zeros((frames, 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
        turn[:, 1, 0], turn[:, 0, 1], turn[:, 2, 2] = np.sin(angle), -np.sin(angle), 1
        body = moving(frames, seed % 1000 + i, KINECT)
        parts.append((body @ turn.swapaxes(1, 2) + random.normal(size=3)) * random.choice([1, 100]))
    rows = np.concatenate(parts).astype(np.float32)
    return rows, np.cumsum(lengths) - lengths, np.array(lengths)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_clean_motion_has_no_swaps_and_no_spikes(seed):
    rows, starts, lengths = tracks(seed, [40, 1, 2, 90])
    assert not find_swaps(rows, starts, lengths, KINECT, ALL).any()
    assert not len(find_spikes(rows, starts, lengths, ALL)[0])


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(0, 0.3))
def test_swaps_are_found_frame_by_frame(seed, share):
    rows, starts, lengths = tracks(seed, [60, 45])
    swapped = np.random.default_rng(seed).random(len(rows)) < share
    counts = np.add.reduceat(swapped.astype(int), starts)
    assume((counts < 0.45 * lengths).all())  # which half of a track is swapped cannot be decided
    rows[swapped] = rows[swapped][:, KINECT.mirror]
    before = rows.copy()
    got = find_swaps(rows, starts, lengths, KINECT, ALL)
    assert (got != swapped).sum() <= 3  # a reversal is unclear if both hands and both feet are together
    np.testing.assert_array_equal(rows, before)


def test_a_second_of_exchanged_sides_is_found_and_half_a_minute_is_not():
    """Both ends of a swap are clear, but which of two long segments is swapped is undecidable, so neither changes."""
    rows = (standing(KINECT) + 0.02 * (moving(1000, 3, KINECT) - standing(KINECT))).astype(np.float32)
    starts, lengths = np.array([0]), np.array([1000])
    for frames, found in ((30, True), (600, False)):
        bent = rows.copy()
        bent[200 : 200 + frames] = bent[200 : 200 + frames][:, KINECT.mirror]
        got = find_swaps(bent, starts, lengths, KINECT, ALL)
        assert got[200 : 200 + frames].all() == found and got.sum() == frames * found


def test_swaps_among_gaps():
    rows, starts, lengths = tracks(5, [80])
    swapped = np.zeros(80, dtype=bool)
    swapped[30:36] = True
    rows[swapped] = rows[swapped][:, KINECT.mirror]
    rows[40:50] = np.nan
    rows[:, KINECT.joints.index("left_wrist")] = np.nan
    np.testing.assert_array_equal(find_swaps(rows, starts, lengths, KINECT, ALL), swapped)


def test_legs_that_cross_in_a_side_view_are_not_exchanged():
    """A person walks across the picture at 15 frames per second: hips and shoulders overlap, legs swing."""
    coco = SKELETONS["coco-17"]
    time = np.arange(60) / 15
    rows = np.random.default_rng(0).normal(size=(1, 17, 2)) * 0.01 + np.linspace(1.7, 0.1, 17)[:, None] * [0, 1]
    rows = rows.repeat(60, axis=0)
    for sign, side in ((1, "left"), (-1, "right")):
        for joint, reach in (("knee", 0.15), ("ankle", 0.35), ("wrist", -0.3), ("elbow", -0.15)):
            rows[:, coco.joints.index(f"{side}_{joint}"), 0] += sign * reach * np.sin(2 * np.pi * time)
    rows[:, :, 0] += time[:, None]
    rows = rows.astype(np.float32)
    assert not find_swaps(rows, np.array([0]), np.array([60]), coco, np.arange(17)).any()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([0.005, 0.02]))
def test_only_spikes_are_found(seed, share):
    rows, starts, lengths = tracks(seed, [70, 50])
    random = np.random.default_rng(seed)
    unit = np.repeat(np.abs(rows[starts]).max(axis=(1, 2)) > 20, lengths) * 99 + 1
    hit = random.random(rows.shape[:2]) < share
    hit[1:] &= ~hit[:-1]  # the second of two consecutive outliers may count as the joint's position
    hit[2:] &= ~hit[:-2]
    direction = random.normal(size=rows.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    rows[hit] += (direction * unit[:, None, None])[hit]
    row, joint = find_spikes(rows, starts, lengths, ALL)
    found = np.zeros_like(hit)
    found[row, joint] = True
    np.testing.assert_array_equal(found, hit)


def test_a_fast_punch_is_not_a_spike():
    """Out and back within a third of a second, at 15 frames per second."""
    rows, starts, lengths = tracks(1, [40])
    reach = np.zeros(40)
    reach[18:23] = [0.25, 0.5, 0.6, 0.5, 0.25]
    rows[:, KINECT.joints.index("right_wrist"), 1] += reach * np.abs(rows).max() / np.abs(rows).max()
    assert not len(find_spikes(rows, starts, lengths, ALL)[0])


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_gaps_and_clips_without_persons(share):
    rows, starts, lengths = tracks(2, [30, 20])
    rows[np.random.default_rng(0).random(rows.shape[:2]) < share] = np.nan
    assert not len(find_spikes(rows, starts, lengths, ALL)[0])
    assert not find_swaps(rows, starts, lengths, KINECT, ALL).any()
