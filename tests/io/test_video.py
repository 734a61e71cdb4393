"""Videos that the tests draw, with an estimator that finds what is drawn; MediaPipe's model where it is at hand."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from skelrep import embed, read
from skelrep.cli import main
from skelrep.io import MediaPipePose, PoseEstimator
from skelrep.io.video.decoding import Frame, open_video
from tests.videos import BODY, Squares, picture, write_video

av = pytest.importorskip("av")

SHARED = Path(__file__).parents[3] / "shared" / "fixtures" / "video"
MODEL = SHARED / "pose_full.task"


def moving(frames: int = 30) -> list[np.ndarray]:
    """One square that moves to the right by two pixels per frame."""
    return [picture((40 + 2 * i, 60)) for i in range(frames)]


def frames_of(path: Path, most: int | None = None) -> list[Frame]:
    with open_video(path) as video:
        return list(islice(video.frames(), most))


def middle(poses, frame: int, person: int = 0) -> np.ndarray:
    return poses.clips[0][person, frame].mean(axis=0)


def test_a_video_is_one_clip_at_its_frame_rate(tmp_path):
    path = write_video(tmp_path / "walk.mp4", moving(), rate=25)
    poses = read(path, pose_model=Squares())
    assert poses.ids == ["walk"] and poses.fps == 25
    assert poses.clips[0].shape == (1, 30, 17, 2)
    for frame in (0, 10, 29):
        np.testing.assert_allclose(poses.clips[0][0, frame], BODY + [40 + 2 * frame, 60], atol=1)
    assert poses.scores is not None and np.allclose(poses.scores[0], 0.9)


def test_joints_of_low_confidence_are_missing(tmp_path):
    path = write_video(tmp_path / "walk.mp4", moving(5))
    clip = read(path, pose_model=Squares(hidden=[3, 9])).clips[0]
    missing = np.isnan(clip).any(axis=-1)
    assert missing[..., [3, 9]].all() and missing.sum() == 2 * 5


def test_identities_are_kept_when_two_people_change_sides(tmp_path):
    images = [picture((30 + 3 * i, 30), (130 - 3 * i, 90)) for i in range(30)]
    poses = read(write_video(tmp_path / "pair.mp4", images), pose_model=Squares())
    assert len(poses.clips[0]) == 2 and poses.person_ids == [("0", "1")]
    for person, (start, end) in enumerate(((30, 117), (130, 43))):
        assert middle(poses, 0, person)[0] == pytest.approx(start, abs=1)
        assert middle(poses, 29, person)[0] == pytest.approx(end, abs=1)


def test_a_person_who_comes_later_is_missing_before(tmp_path):
    images = [picture((30, 60), *([(120, 60)] if i >= 10 else [])) for i in range(20)]
    clip = read(write_video(tmp_path / "two.mp4", images), pose_model=Squares()).clips[0]
    assert np.isnan(clip[1, :10]).all() and not np.isnan(clip[1, 10:]).any()


def test_people_in_3d_are_placed_apart_as_in_the_picture(tmp_path):
    """An estimator gives each person relative to the own hips; in the picture they are 80 pixels or 80/30 m apart."""
    path = write_video(tmp_path / "pair.mp4", [picture((30, 60), (110, 60))] * 6)
    poses = read(path, pose_model=Squares(deep=True))
    apart = middle(poses, 0, 1) - middle(poses, 0, 0)
    np.testing.assert_allclose(apart, [80 / 30, 0, 0], atol=0.1)
    alone = read(write_video(tmp_path / "one.mp4", moving(6)), pose_model=Squares(deep=True))
    np.testing.assert_allclose(middle(alone, 5), 0, atol=1e-5)


def test_times_of_a_variable_rate_are_the_times_of_the_file(tmp_path):
    seconds = np.concatenate([np.arange(20) / 30, 20 / 30 + np.arange(20) / 20])
    path = write_video(tmp_path / "phone.mp4", [picture((20 + 60 * s, 60)) for s in seconds], seconds)
    assert [frame.seconds for frame in frames_of(path)] == pytest.approx(seconds.tolist(), abs=2e-3)
    with pytest.warns(UserWarning, match="times vary"):
        poses = read(path, pose_model=Squares())
    steps = np.diff([middle(poses, i)[0] for i in range(poses.clips[0].shape[1])])
    assert poses.fps is not None
    np.testing.assert_allclose(steps[1:-1], 60 / poses.fps, atol=1.1)  # the same speed throughout, to a pixel


@pytest.mark.parametrize(("turned", "corner"), [(0, (0, 0)), (1, (0, -1)), (2, (-1, -1)), (3, (-1, 0))])
def test_frames_are_turned_as_the_rotation_flag_says(tmp_path, turned, corner):
    image = np.zeros((64, 96, 3), dtype=np.uint8)
    image[:24, :24] = 255  # the corner at the upper left
    (frame,) = frames_of(write_video(tmp_path / "phone.mp4", [image], turned=turned))
    assert frame.image.shape == ((64, 96, 3) if turned % 2 == 0 else (96, 64, 3))
    assert frame.image.flags.c_contiguous
    bright = frame.image[..., 0] > 128
    assert bright[corner] and bright.sum() == pytest.approx(24 * 24, abs=60)


def test_rows_of_a_width_that_decoders_pad_are_contiguous(tmp_path):
    image = np.zeros((32, 54, 3), dtype=np.uint8)
    image[:, 27:] = 255
    (frame,) = frames_of(write_video(tmp_path / "narrow.mp4", [image]))
    flat = np.frombuffer(frame.image.tobytes(), dtype=np.uint8).reshape(32, 54, 3)
    assert flat[:, :20].max() < 60 and flat[:, 34:].min() > 190


def test_a_folder_of_videos_is_read_with_labels(tmp_path):
    for name in ("wave", "walk"):
        (tmp_path / name).mkdir()
        write_video(tmp_path / name / "a.mp4", moving(4))
    estimator = Squares()
    poses = read(tmp_path, pose_model=estimator, labels="folder")
    assert poses.ids == ["walk/a", "wave/a"] and poses.labels.tolist() == ["walk", "wave"]
    assert estimator.began == estimator.ended == 2


def test_videos_beside_files_of_poses_are_left_out_of_a_folder(tmp_path):
    write_video(tmp_path / "a.mp4", moving(4))
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(1, 8, 17, 3)))
    with pytest.warns(UserWarning, match="1 videos"):
        poses = read(tmp_path, skeleton="coco-17", pose_model=Squares())
    assert poses.ids == ["a.npy"] and poses.channels == 3


def test_embedding_a_video(tmp_path):
    path = write_video(tmp_path / "walk.mp4", moving())
    rows = embed(read(path, pose_model=Squares()))
    assert rows.shape == (1, rows.shape[1]) and np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("content", "said"), [(b"no video at all" * 100, "damaged|no video"), (b"", "empty"), (b"\0" * 5000, "damaged")]
)
def test_files_that_are_not_videos_are_refused(tmp_path, content, said):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        read(path, pose_model=Squares())
    assert "broken.mp4" in str(error.value)


def test_a_truncated_video_gives_its_frames_or_is_refused(tmp_path):
    path = write_video(tmp_path / "cut.mp4", moving())
    path.write_bytes(path.read_bytes()[:-600])  # the index stands at the end
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        read(path, pose_model=Squares())


def test_a_video_without_people_says_how_many_frames_were_searched(tmp_path):
    estimator = Squares()
    with pytest.raises(ValueError, match=r"no person .* 7 frames"):
        read(write_video(tmp_path / "empty.mp4", [picture()] * 7), pose_model=estimator)


def test_an_estimator_is_ended_after_an_error(tmp_path):
    class Failing(Squares):
        def __call__(self, image, seconds):
            raise RuntimeError("out of memory")

    estimator = Failing()
    with pytest.raises(RuntimeError, match="out of memory"):
        read(write_video(tmp_path / "walk.mp4", moving(3)), pose_model=estimator)
    assert estimator.ended == 1


def test_objects_that_are_not_estimators_are_refused(tmp_path):
    path = write_video(tmp_path / "walk.mp4", moving(2))
    with pytest.raises(TypeError, match="PoseEstimator .* got int"):
        read(path, pose_model=3)
    assert isinstance(Squares(), PoseEstimator)


@pytest.mark.slow  # importing mediapipe takes some seconds
def test_the_command_line_says_which_model_is_missing(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mediapipe")
    monkeypatch.delenv("SKELREP_POSE_MODEL", raising=False)
    path = write_video(tmp_path / "walk.mp4", moving(2))
    if not hasattr(__import__("mediapipe"), "solutions"):
        assert main(["poses", str(path), "-o", str(tmp_path / "out.npz")]) == 1
        assert "--pose-model" in capsys.readouterr().err
    assert main(["poses", str(path), "-o", str(tmp_path / "out.npz"), "--pose-model", str(tmp_path / "no.task")]) == 1
    assert "no.task" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_the_output_of_poses_is_checked_before_the_work(tmp_path, capsys):
    path = write_video(tmp_path / "walk.mp4", moving(2))
    assert main(["poses", str(path), "-o", str(tmp_path / "out.txt")]) == 1
    assert ".txt" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not MODEL.exists(), reason="the pose model and the videos are not at hand")
def test_mediapipe_finds_a_person_in_a_real_video(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mediapipe")
    frames = [frame.image for frame in frames_of(SHARED / "pose2sim_cam03.mp4", 12)]
    path = write_video(tmp_path / "cut.mp4", frames, rate=60)
    monkeypatch.setenv("SKELREP_POSE_MODEL", str(MODEL))
    assert main(["poses", str(path), "-o", str(tmp_path / "out.npz"), "--json"]) == 0
    poses = read(tmp_path / "out.npz")
    assert poses.skeleton.name == "mediapipe-33" and poses.fps == 60 and poses.clips[0].shape == (1, 12, 33, 3)
    clip = np.nanmean(poses.clips[0][0], axis=0)
    head, ankles = clip[poses.skeleton.joints.index("nose")], clip[poses.skeleton.joints.index("left_ankle")]
    assert 0.8 < head[1] - ankles[1] < 2.2  # metres, y up
    again = read(path, pose_model=MediaPipePose(MODEL))
    np.testing.assert_array_equal(again.clips[0], poses.clips[0])
