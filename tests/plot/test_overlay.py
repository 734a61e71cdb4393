"""Skeletons and labels on the pictures of a video."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.plot import overlay
from skelrep.recordings import Event, Events
from skelrep.skeletons import SKELETONS
from tests.videos import BODY, Squares, picture, write_video

av = pytest.importorskip("av")


def pictures_of(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_skeletons_are_drawn_where_the_person_is(tmp_path):
    video = write_video(tmp_path / "walk.mp4", [picture((50 + 6 * i, 60)) for i in range(8)], rate=20)
    overlay(video, tmp_path / "out.mp4", pose_model=Squares())
    before, after = pictures_of(video), pictures_of(tmp_path / "out.mp4")
    assert after.shape == before.shape
    shin = [SKELETONS["coco-17"].joints.index(joint) for joint in ("left_knee", "left_ankle")]
    for i in (0, 7):
        x, y = (BODY[shin].mean(axis=0) + [50 + 6 * i, 60]).round().astype(int)
        near = (i, slice(y - 1, y + 2), slice(x - 2, x + 3))
        assert after[near].max() > 80 and before[near].max() < 40
    assert after[0, :, 130:].max() < 40  # nobody is there
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == 20


def test_labels_are_shown_while_they_last(tmp_path):
    video = write_video(tmp_path / "walk.mp4", [picture((80, 60))] * 10, rate=10)
    events = Events.of([Event("walk", 0.5, 1.0, "WAVES"), Event("another", 0.0, 1.0, "FALLS")])
    overlay(video, tmp_path / "out.mp4", pose_model=Squares(), events=events)
    corner = pictures_of(tmp_path / "out.mp4")[:, :16, :50].max(axis=(1, 2, 3))
    assert corner[:5].max() < 60 and corner[5:].min() > 150


def test_nothing_is_written_without_people_or_to_another_format(tmp_path):
    video = write_video(tmp_path / "walk.mp4", [picture((80, 60))] * 2)
    with pytest.raises(ValueError, match="mp4"):
        overlay(video, tmp_path / "out.gif", pose_model=Squares())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        overlay(video, tmp_path / "nowhere" / "out.mp4", pose_model=Squares())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.mp4"]
