"""Where several persons are drawn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skelrep import Poses
from skelrep.plot import draw
from skelrep.plot.arrangement import GAP, LARGE_GAP, shifts
from tests.plot.bodies import COMMON, STANDING

TRUNK = 0.5


def crowd(*positions):
    """One standing person per (right, towards the viewer), of 0.6 m width: (M, 4, 15, 3)."""
    clip = np.tile(STANDING, (len(positions), 4, 1, 1)).astype(np.float64)
    clip[..., [0, 2]] += np.array(positions, dtype=np.float64)[:, None, None]
    return clip


def edges(clip, moves):
    """The left and right edges of the persons, from left to right."""
    x = clip[..., 0] + moves[:, None, None]
    return np.array(sorted(zip(x.min(axis=(1, 2)), x.max(axis=(1, 2)))))


def test_persons_who_stand_apart_stay_where_they_were():
    for positions in [(0, 0)], [(0, 0), (1, 0)], [(0, 0), (0.1, 1), (1.5, 0)], [(0, 0), (0.3, 0.4)]:
        assert (shifts(crowd(*positions), TRUNK, "auto") == 0).all()


def test_persons_at_one_position_are_drawn_side_by_side():
    clip = crowd((0, 0), (0.05, 0.1), (3, 0))
    found = edges(clip, shifts(clip, TRUNK, "auto"))
    np.testing.assert_allclose(found[1:, 0] - found[:-1, 1], GAP * TRUNK)
    assert (shifts(clip, TRUNK, "recorded") == 0).all()


def test_side_by_side_keeps_the_order_from_left_to_right():
    clip = crowd((2, 0), (0, 1), (0.4, 0))
    moves = shifts(clip, TRUNK, "side-by-side")
    found = edges(clip, moves)
    np.testing.assert_allclose(found[1:, 0] - found[:-1, 1], GAP * TRUNK)
    assert np.argsort(clip[:, 0, 0, 0] + moves).tolist() == [1, 2, 0]


def test_large_gaps_become_smaller_and_small_ones_stay():
    clip = crowd((0, 0), (1, 0), (20, 0), (21.5, 0))
    moves = shifts(clip, TRUNK, "auto")
    before, after = edges(clip, np.zeros(4)), edges(clip, moves)
    gaps = [after[i + 1, 0] - after[i, 1] for i in range(3)]
    np.testing.assert_allclose(gaps, [before[1, 0] - before[0, 1], GAP * TRUNK, before[3, 0] - before[2, 1]])
    walker = clip.copy()
    walker[1, 2:, :, 0] += 19  # walks over to the others: the gap is not empty
    assert (shifts(walker, TRUNK, "auto") == 0).all()
    assert before[2, 0] - before[1, 1] > LARGE_GAP * TRUNK


def test_persons_who_meet_for_a_moment_stay_where_they_were():
    clip = np.repeat(crowd((0, 0), (1.5, 0)), 3, axis=1)
    clip[1, 5, :, 0] -= 1.5
    assert (shifts(clip, TRUNK, "auto") == 0).all()


def test_absent_persons_have_no_row():
    clip = crowd((0, 0), (0, 0), (0, 0))
    clip[1] = np.nan
    moves = shifts(clip, TRUNK, "auto")
    assert moves[1] == 0 and moves[2] > 0.5
    clip[2, 2:] = np.nan
    assert shifts(clip, TRUNK, "auto")[2] > 0.5


def test_a_warning_says_that_persons_were_moved():
    poses = Poses([crowd((0, 0), (0, 0)).astype(np.float32)], COMMON)
    with pytest.warns(UserWarning, match="placement='recorded'") as caught:
        apart = draw(poses, view=0)
    own = [one for one in caught if one.category is UserWarning]  # old Matplotlib adds deprecations
    assert len(own) == 1 and own[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorded = draw(poses, view=0, placement="recorded")
        draw(poses, view=0, placement="side-by-side")
    heads = [[patch.center[0] for patch in figure.axes[0].patches[:2]] for figure in (apart, recorded)]
    assert abs(heads[0][0] - heads[0][1]) > 0.5 and heads[1][0] == pytest.approx(heads[1][1])
