"""MediaPipe Pose in memory and as JSON, in the spellings of its interfaces."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from skelrep.io import from_mediapipe, read
from tests.json_content import saved

RNG = np.random.default_rng(0)
WORLD = RNG.normal(size=(4, 33, 4)).astype(np.float32)
WORLD[..., 3] = RNG.uniform(0.1, 1, size=(4, 33))
WORLD[:, 24, :3] = -WORLD[:, 23, :3]
PICTURE = WORLD * 0.1 + np.array([0.5, 0.5, 0, 0], dtype=np.float32)
UPRIGHT = WORLD[..., :3] * np.array([1, -1, -1], dtype=np.float32)


def points(frame: np.ndarray, kind: type = dict) -> list:
    return [kind(x=float(x), y=float(y), z=float(z), visibility=float(v)) for x, y, z, v in frame]


def legacy(frame: np.ndarray | None) -> SimpleNamespace:
    """As the Python solution `Pose.process` gives it."""
    landmarks = None if frame is None else SimpleNamespace(landmark=points(frame, SimpleNamespace))
    return SimpleNamespace(pose_landmarks=landmarks, pose_world_landmarks=landmarks)


@pytest.mark.parametrize(
    "results",
    [
        WORLD,
        [points(frame) for frame in WORLD],
        [frame.tolist() for frame in WORLD],
        [legacy(frame) for frame in WORLD],
        [{"pose_landmarks": points(p), "pose_world_landmarks": points(w)} for p, w in zip(PICTURE, WORLD)],
        [{"landmarks": [points(p)], "worldLandmarks": [points(w)]} for p, w in zip(PICTURE, WORLD)],
        [
            SimpleNamespace(
                pose_landmarks=[points(p, SimpleNamespace)], pose_world_landmarks=[points(w, SimpleNamespace)]
            )
            for p, w in zip(PICTURE, WORLD)
        ],
    ],
    ids=["array", "dicts", "lists", "solution", "both", "javascript", "landmarker"],
)
def test_world_landmarks(results):
    poses = from_mediapipe(results, fps=30)
    assert (poses.skeleton.name, poses.fps) == ("mediapipe-33", 30)
    np.testing.assert_allclose(poses.clips[0][0], UPRIGHT, rtol=1e-6)
    assert poses.scores is not None
    np.testing.assert_allclose(poses.scores[0][0], WORLD[..., 3], rtol=1e-6)


def test_frames_without_persons_and_with_two():
    two = {"pose_world_landmarks": [points(WORLD[0]), points(WORLD[1])]}
    poses = from_mediapipe([None, legacy(None), two, {"pose_world_landmarks": []}])
    assert np.isfinite(poses.clips[0]).all(axis=(2, 3)).tolist() == [[False, False, True, False]] * 2
    with pytest.raises(ValueError, match="nobody is seen in any of its 2 frames"):
        from_mediapipe([None, legacy(None)])
    assert from_mediapipe(WORLD[..., :3]).scores is None
    with pytest.raises(ValueError, match=r"33 landmarks of x, y, z, got \(21, 3\)"):
        from_mediapipe(WORLD[:, :21])


def test_landmarks_in_the_picture_have_to_be_scaled():
    with pytest.warns(UserWarning, match=r"fractions of a picture.*scale=\(1920, 1080\)"):
        poses = from_mediapipe(PICTURE)
    np.testing.assert_array_equal(poses.clips[0][0], PICTURE[..., :3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = from_mediapipe(PICTURE, scale=(640, 480, 0))
    np.testing.assert_allclose(poses.clips[0][0], PICTURE[..., :3] * [640, 480, 0], rtol=1e-6)


def test_mediapipe_json(tmp_path):
    for name, content in {
        "a": [points(frame) for frame in WORLD],
        "b": {"frames": [{"poseWorldLandmarks": points(frame)} for frame in WORLD]},
        "c": [{}, *({"world_landmarks": frame.tolist()} for frame in WORLD)],
    }.items():
        clip = read(saved(tmp_path / f"{name}.json", content)).clips[0][0]
        np.testing.assert_allclose(clip[-4:], UPRIGHT, rtol=1e-6)
    path = saved(tmp_path / "d.json", [points(frame) for frame in PICTURE])
    with pytest.warns(UserWarning, match="fractions of a picture"):
        read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, scale=(640, 480, 640))


def by_name(frame: np.ndarray) -> dict:
    names = "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear"
    names += " mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"
    names += " left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee"
    names += " right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index"
    return dict(zip(names.upper().split(), points(frame)))


@pytest.mark.parametrize(
    "content",
    [
        lambda: {"fps": 30, "frames": [points(frame) for frame in WORLD]},
        lambda: {"fps": 30, "frames": [{"frame": t, "landmarks": points(frame)} for t, frame in enumerate(WORLD)]},
        lambda: {"metadata": {"fps": 30}, "frames": [{"pose_landmarks": frame.tolist()} for frame in WORLD]},
        lambda: {"video_info": {"fps": 30.0}, "landmarks": [points(frame) for frame in WORLD]},
        lambda: [{"timestamp_ms": round(t * 1000 / 30), "poseLandmarks": points(f)} for t, f in enumerate(WORLD)],
        lambda: [{"time": t / 30, "pose": {"landmark": points(frame)}} for t, frame in enumerate(WORLD)],
        lambda: {"fps": "30", "frames": {f"{t}": [points(frame)] for t, frame in enumerate(WORLD)}},
        lambda: {"fps": 30, "frames": [{"landmarks": by_name(frame)} for frame in WORLD]},
        lambda: {"fps": 30, "frames": [{"landmarks": [{"name": "x", **p} for p in points(f)]} for f in WORLD]},
        lambda: {"fps": 30, "frames": [{"pose_landmarks": points(f), "left_hand_landmarks": None} for f in WORLD]},
    ],
)
def test_spellings_of_json(tmp_path, content):
    poses = read(saved(tmp_path / "a.json", content()))
    assert poses.skeleton.name == "mediapipe-33" and poses.fps == pytest.approx(30, rel=0.01)
    np.testing.assert_allclose(poses.clips[0][0], UPRIGHT, rtol=1e-6)
    np.testing.assert_allclose(poses.scores[0][0], WORLD[..., 3], rtol=1e-6)


def test_frames_by_number_keep_their_gaps(tmp_path):
    frames = {f"{number}": points(frame) for number, frame in zip((3, 4, 5, 9), WORLD)}
    clip = read(saved(tmp_path / "a.json", frames)).clips[0][0]
    np.testing.assert_allclose(clip[[0, 1, 2, 6]], UPRIGHT, rtol=1e-6)
    assert np.isnan(clip[3:6]).all()


def test_files_of_one_frame_each(tmp_path):
    for t, frame in enumerate(WORLD):
        saved(tmp_path / "walk" / f"frame_{t}.json", {"pose_world_landmarks": points(frame)})
    poses = read(tmp_path / "walk")
    assert len(poses) == 1
    np.testing.assert_allclose(poses.clips[0][0], UPRIGHT, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"landmarks": [{"x": 1, "y": 2, "z": 3}] * 5}], r"33 landmarks of x, y, z, got \(5, 3\)"),
        ([[{"x": 1}] * 33], r"a landmark has x, y, z = \[1, None, None\]"),
        ([{"landmarks": {"NOSE": {"x": 1, "y": 2, "z": 3}}}], "lack left_eye_inner"),
        ([{"landmarks": [None] * 33}], "x, y, z"),
    ],
)
def test_invalid_landmarks_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(saved(tmp_path / "a.json", content))
