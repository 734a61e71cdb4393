"""Scores among the channels of bare arrays: recognised by the numbers, or given, for every way to create poses."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, embed, read
from skelrep.channels import are_certainly_coordinates, judged
from skelrep.poses import as_poses
from skelrep.skeletons import SKELETONS
from tests.bodies import walking
from tests.pose_files import columns_alone

BODY = walking("coco-17", 12)[0]
PIXELS = np.stack([400 + 300 * BODY[..., 0], 900 - 400 * BODY[..., 1]], axis=-1)
FRACTIONS = PIXELS / [1920, 1080]
SCORES = np.random.default_rng(0).uniform(0.5, 0.99, PIXELS.shape[:2]).astype(np.float32)
HIDDEN = np.where(np.arange(17) == 9, 0, SCORES).astype(np.float32)
MISSING = np.tile(np.arange(17) == 9, (12, 1))


def cells(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate([part if part.ndim == 3 else part[..., None] for part in parts], axis=-1, dtype=np.float32)


@pytest.fixture(params=["from_array", "from_clips", "as_poses", "npy", "npz", "csv"])
def way(request, tmp_path):
    """Each way to create poses from numbers without names, as a function of an array (T, 17, K)."""

    def through_a_file(array, **options):
        path = tmp_path / f"a.{request.param}"
        if request.param == "csv":
            columns_alone(path, array)
        elif request.param == "npz":
            np.savez(path, array)
        else:
            np.save(path, array)
        return read(path, skeleton="coco-17", **options)

    return {
        "from_array": lambda array, **options: Poses.from_array(array, skeleton="coco-17", **options),
        "from_clips": lambda array, **options: Poses.from_clips([array, array], "coco-17", **options)[1],
        "as_poses": lambda array, **options: as_poses(array, skeleton="coco-17", **options),
    }.get(request.param, through_a_file)


@pytest.mark.parametrize(
    ("array", "said", "points", "scores"),
    [
        (cells(PIXELS, SCORES), "x, y and a score", PIXELS, SCORES),
        (cells(PIXELS, SCORES * 0 + 1), "x, y and a score", PIXELS, SCORES * 0 + 1),
        (cells(PIXELS, 2 * (SCORES > 0.6)), "x, y and a score", PIXELS, np.float32(SCORES > 0.6)),
        (cells(FRACTIONS, SCORES), "x, y and a score", FRACTIONS, SCORES),
        (cells(FRACTIONS, 100 * SCORES), "x, y and a score", FRACTIONS, SCORES),
        (cells(SCORES, PIXELS), "a score, x and y", PIXELS, SCORES),
        (cells(BODY, SCORES), "x, y, z and a score", BODY, SCORES),
        (cells(BODY, 100 * SCORES), "x, y, z and a score", BODY, SCORES),
        (cells(SCORES, 1000 * BODY), "a score, x, y and z", 1000 * BODY, SCORES),
        (cells(PIXELS, SCORES * 0), "same third number everywhere", PIXELS, None),
        (cells(BODY, SCORES * 0), "0 everywhere and is not used", BODY, None),
        (BODY, None, BODY, None),
        (1000 * BODY, None, 1000 * BODY, None),
        (BODY - BODY[:, :1] + [0, 0, 0.9], None, BODY - BODY[:, :1] + [0, 0, 0.9], None),
        (BODY + [50, 50, 50], None, BODY + [50, 50, 50], None),
        ((BODY - BODY.min()) / np.ptp(BODY), None, (BODY - BODY.min()) / np.ptp(BODY), None),
    ],
)
def test_judged_by_the_numbers(way, array, said, points, scores, recwarn):
    poses = way(array)
    notes = [str(one.message) for one in recwarn if "channels=" in str(one.message)]
    assert len(notes) == (said is not None) and (said or "") in "".join(notes)
    seen = points if scores is None else np.where((scores == 0)[..., None], np.nan, points)
    np.testing.assert_allclose(poses.clips[0][0], seen, rtol=1e-4, atol=1e-4)
    assert (poses.scores is None) == (scores is None)
    if scores is not None and poses.scores is not None:
        np.testing.assert_allclose(poses.scores[0][0], scores, atol=1e-5)


def test_a_score_of_zero_is_not_seen(way, recwarn):
    for array in (cells(PIXELS, HIDDEN), cells(BODY, HIDDEN)):
        np.testing.assert_array_equal(np.isnan(way(array).clips[0][0]).any(axis=-1), MISSING)


@pytest.mark.parametrize(
    ("array", "channels", "points", "scores"),
    [
        (cells(PIXELS, SCORES), "xyz", cells(PIXELS, SCORES), None),
        (cells(PIXELS, SCORES), "XY_", PIXELS, None),
        (cells(PIXELS[..., ::-1], SCORES), "yxs", PIXELS, SCORES),
        (cells(PIXELS, 100 * SCORES), "xys", PIXELS, SCORES),
        (cells(PIXELS, 100 * SCORES), "xyz", cells(PIXELS, 100 * SCORES), None),
        (cells(BODY, SCORES, SCORES / 2), "xyzs_", BODY, SCORES),
        (cells(BODY[..., ::-1], BODY), "zyx___", BODY, None),
    ],
)
def test_as_the_caller_says(way, array, channels, points, scores, recwarn):
    poses = way(array, channels=channels)
    assert not [one for one in recwarn if "channels=" in str(one.message)]
    np.testing.assert_allclose(poses.clips[0][0], points, rtol=1e-4, atol=1e-4)
    assert (poses.scores is None) == (scores is None)


@pytest.mark.parametrize("channels", ["xx", "xs", "xyq", "", "xyzss"])
def test_unknown_channel_letters_are_refused(channels):
    with pytest.raises(ValueError, match=f"channels must name x, y .*; got {channels!r}"):
        Poses.from_array(BODY, skeleton="coco-17", channels=channels)


def test_letters_that_do_not_fit():
    with pytest.raises(ValueError, match="channels='xyzs' has 4 letters, but each joint has 3 numbers"):
        Poses.from_array(BODY, skeleton="coco-17", channels="xyzs")
    with pytest.raises(ValueError, match="channels='xys' makes number 3 of each joint a score"):
        Poses.from_array(200 * BODY, skeleton="coco-17", channels="xys")


def test_a_percentage_or_depth_is_refused_without_channels():
    with pytest.raises(ValueError, match='channels="xyz" or channels="xys"'):
        as_poses(cells(PIXELS, 100 * SCORES), skeleton="coco-17")


def test_a_list_of_clips_is_judged_as_a_whole(recwarn):
    """A clip whose scores are all alike is no flat one where others differ."""
    poses = as_poses([cells(FRACTIONS, SCORES * 0 + 0.5), cells(FRACTIONS, SCORES)], skeleton="coco-17")
    assert poses.scores is not None
    assert [score.shape for score in poses.scores] == [(1, 12, 17)] * 2


def test_scores_of_zero_in_every_clip_are_ignored():
    scores = [np.zeros((1, 12, 17)), np.zeros((1, 12, 17))]
    poses = Poses([PIXELS[None], PIXELS[None]], SKELETONS["coco-17"], scores=scores)
    assert not np.isnan(poses.clips[0]).any()
    poses = Poses([PIXELS[None], PIXELS[None]], SKELETONS["coco-17"], scores=[scores[0], scores[1] + 0.5])
    assert np.isnan(poses.clips[0]).all()


def test_options_of_embed(recwarn):
    expected = embed(Poses([PIXELS[None]], SKELETONS["coco-17"], scores=[HIDDEN[None]]))
    array = cells(FRACTIONS[..., ::-1], HIDDEN)
    found = embed(array, skeleton="coco-17", channels="yxs", scale=(1920, 1080))
    assert not [str(one.message) for one in recwarn]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_one_clip_may_decide_for_all():
    """Where it does, the others need not be copied; unknown numbers decide nothing."""
    room, unknown = np.array([[-1.5, 0.2, -0.3], [0.5, 0.5, 0.5]]), np.array([[np.nan] * 3, [0.5, 0.5, np.nan]])
    scored = np.stack([np.linspace(0, 900, 9), np.linspace(0, 500, 9), np.linspace(0, 1, 9)], axis=-1)
    assert are_certainly_coordinates(room)
    assert judged(np.concatenate([scored, room])) == ("xyz", None)
    assert not any(map(are_certainly_coordinates, (unknown, scored, scored[:, ::-1], np.zeros((2, 4)) - 1)))
