"""Left and right exchanged by a pose estimator: found where nobody can turn so fast, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import read
from skelrep.io import Sighting
from skelrep.io.video.sides import find_exchanges
from skelrep.skeletons import SKELETONS
from tests.bodies import walking
from tests.videos import Squares, picture, write_video

COCO = SKELETONS["coco-17"]
MIRROR = list(COCO.mirror)


def turning(frames: int, degrees: np.ndarray, seed: int = 0) -> np.ndarray:
    """A walking person (frames, 17, 3) who faces the given direction in each frame."""
    body = walking("coco-17", frames)[0].astype(float)
    body = body - body.mean(axis=1, keepdims=True)
    angle = np.radians(degrees)
    cos, sin, zero, one = np.cos(angle), np.sin(angle), 0 * angle, 0 * angle + 1
    turns = np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], axis=1).reshape(-1, 3, 3)
    return np.einsum("tij,tvj->tvi", turns, body) + np.random.default_rng(seed).normal(size=body.shape) * 0.01


def exchanged(points: np.ndarray, wrong: np.ndarray, smooth: int) -> np.ndarray:
    """Left and right exchanged in some frames, and all of it averaged over some frames, as estimators smooth."""
    points = np.where(wrong[:, None, None], points[:, MIRROR], points)
    padded = np.concatenate([points[:1].repeat(smooth - 1, axis=0), points])
    return np.mean([padded[i : i + len(points)] for i in range(smooth)], axis=0)


@pytest.mark.parametrize("smooth", [1, 3])
def test_exchanged_frames_are_found(smooth):
    points, wrong = turning(120, np.linspace(0, 60, 120)), np.zeros(120, bool)
    wrong[30:48], wrong[70:75] = True, True
    found = find_exchanges(exchanged(points, wrong, smooth), COCO, 60)
    border = np.zeros(120, bool)  # frames in which both are blended may be either
    for edge in np.flatnonzero(np.diff(wrong.astype(int))):
        border[edge + 1 : edge + smooth] = True
    assert (found == wrong)[~border].all()
    flat = exchanged(points, wrong, smooth)[..., :2]
    assert (find_exchanges(flat, COCO, 60) == wrong)[~border].all()


def test_at_the_beginning_the_fewer_frames_are_exchanged():
    points, wrong = turning(90, np.zeros(90)), np.arange(90) < 8
    assert (find_exchanges(exchanged(points, wrong, 1), COCO, 30) == wrong).all()


@pytest.mark.parametrize("fps", [10, 25, 30, 60])
def test_a_fast_turn_is_no_exchange(fps):
    time = np.arange(2 * fps) / fps
    degrees = np.clip((time - 0.6) / 0.3, 0, 1) * 180  # half a turn in 0.3 s, and back in 0.5
    degrees -= np.clip((time - 1.2) / 0.5, 0, 1) * 180
    assert not find_exchanges(turning(len(time), degrees), COCO, fps).any()
    assert not find_exchanges(turning(len(time), 720 * time), COCO, fps).any()


def test_missing_joints_and_skeletons_without_sides():
    points, wrong = turning(60, np.zeros(60)), np.zeros(60, bool)
    wrong[20:30] = True
    points = exchanged(points, wrong, 1)
    points[40:50] = np.nan
    points[:, :5] = np.nan
    found = find_exchanges(points, COCO, 30)
    assert (found == wrong)[~np.isnan(points).all(axis=(1, 2))].all()
    assert not find_exchanges(np.full((5, 17, 3), np.nan), COCO, 30).any()
    assert find_exchanges(points[:1], COCO, None).tolist() == [False]


class TakesFrontForBack(Squares):
    """Exchanges left and right in the frames 10 to 19."""

    undo_exchanges = True

    def begin(self) -> None:
        super().begin()
        self.frame = -1

    def __call__(self, image, seconds):
        self.frame += 1
        found = super().__call__(image, seconds)
        if 10 <= self.frame < 20:
            return [Sighting(one.points[MIRROR], one.picture[MIRROR], one.scores[MIRROR]) for one in found]
        return found


def test_a_video_is_read_with_the_right_sides(tmp_path):
    video = write_video(tmp_path / "walk.mp4", [picture((40 + i, 60)) for i in range(40)])
    right = read(video, pose_model=Squares(deep=True))
    estimator = TakesFrontForBack(deep=True)
    with pytest.warns(UserWarning, match=r"in 10 of 40 frames .*left and right"):
        found = read(video, pose_model=estimator)
    np.testing.assert_array_equal(found.clips[0], right.clips[0])
    assert found.scores is not None and right.scores is not None
    np.testing.assert_array_equal(found.scores[0], right.scores[0])
    estimator.undo_exchanges = False
    kept = read(video, pose_model=estimator).clips[0]
    assert (kept[0, 10:20] == right.clips[0][0, 10:20][:, MIRROR]).all()
