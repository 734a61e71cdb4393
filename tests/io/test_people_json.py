"""Persons frame by frame in the structures of MMPose, rtmlib, Ultralytics, PoseFlow, Kinetics, TensorFlow.js."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS
from tests.json_content import saved, triples, walker

FRAMES = 5
COCO = SKELETONS["coco-17"].joints


def expected(poses, frames: int = FRAMES) -> None:
    """Two people, whose coordinates and scores are those that were written."""
    assert poses.skeleton.name == "coco-17" and poses.clips[0].shape == (2, frames, 17, 2)
    people = np.array([[walker(p, t) for t in range(frames)] for p in range(2)])
    if poses.clips[0][0, 0, 0, 0] > 700:
        people = people[::-1]
    np.testing.assert_allclose(poses.clips[0], people, rtol=1e-5)
    assert poses.scores is not None
    np.testing.assert_allclose(poses.scores[0], 0.9, rtol=1e-6)


def order(t: int) -> tuple[int, int]:
    return (0, 1) if t % 2 else (1, 0)


def mmpose(t: int, p: int, **more) -> dict:
    return {"keypoints": walker(p, t).tolist(), "keypoint_scores": [0.9] * 17, "bbox": [[0, 0, 9, 9]], **more}


def yolo(t: int, p: int, **more) -> dict:
    x, y = walker(p, t).T.tolist()
    box = {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 9.0}
    return {"name": "person", "class": 0, "box": box, "keypoints": {"x": x, "y": y, "visible": [0.9] * 17}, **more}


SCORES = [[0.9] * 17] * 2


def with_scores(t: int, p: int) -> list[list[float]]:
    return np.reshape(triples(walker(p, t)), (17, 3)).tolist()


def named(t: int, p: int) -> list[dict]:
    return [{"x": x, "y": y, "score": 0.9, "name": name} for (x, y), name in zip(walker(p, t).tolist(), COCO)]


STRUCTURES = {
    "mmpose demo": lambda: {
        "meta_info": {"dataset_name": "coco"},
        "instance_info": [
            {"frame_id": t + 1, "instances": [mmpose(t, p, track_id=p) for p in order(t)]} for t in range(FRAMES)
        ],
    },
    "mmpose inferencer": lambda: [
        {"frame_id": t, "instances": [mmpose(t, p) for p in order(t)]} for t in range(FRAMES)
    ],
    "mmpose predictions": lambda: {"predictions": [[mmpose(t, p) for p in order(t)] for t in range(FRAMES)]},
    "mmpose x, y, score": lambda: [
        {
            "frame_id": t,
            "instances": [{"keypoints": np.reshape(triples(walker(p, t)), (17, 3)).tolist()} for p in order(t)],
        }
        for t in range(FRAMES)
    ],
    "rtmlib arrays": lambda: [
        {
            "frame": t,
            "keypoints": [walker(p, t).tolist() for p in order(t)],
            "scores": [[0.9] * 17] * 2,
            "ids": order(t),
        }
        for t in range(FRAMES)
    ],
    "rtmlib whole": lambda: {
        "keypoints": [[walker(p, t).tolist() for p in order(t)] for t in range(FRAMES)],
        "scores": [SCORES] * FRAMES,
    },
    "ultralytics": lambda: [[yolo(t, p) for p in order(t)] for t in range(FRAMES)],
    "ultralytics tracked": lambda: [[yolo(t, p, track_id=p + 1) for p in order(t)] for t in range(FRAMES)],
    "ultralytics by frame": lambda: {f"{t}": [yolo(t, p) for p in order(t)] for t in range(FRAMES)},
    "ultralytics results": lambda: {
        "fps": 25,
        "results": [{"frame": t, "detections": [yolo(t, p) for p in order(t)]} for t in range(FRAMES)],
    },
    "poseflow": lambda: {
        f"{t}.jpg": [
            {"keypoints": triples(walker(p, t)), "scores": 2.5, "box": [1, 2, 3, 4], "idx": p} for p in order(t)
        ]
        for t in range(FRAMES)
    },
    "frames of people": lambda: {
        "fps": 30,
        "frames": [{"people": [mmpose(t, p, id=p) for p in order(t)]} for t in range(FRAMES)],
    },
    "frames by number": lambda: {
        "metadata": {"fps": 30},
        "frames": {f"{t}": {"persons": [mmpose(t, p) for p in order(t)]} for t in range(FRAMES)},
    },
    "persons by id": lambda: [{"frame": t, "persons": {f"{p}": mmpose(t, p) for p in order(t)}} for t in range(FRAMES)],
    "a row for each detection": lambda: [
        {"frame": t, "track_id": p, **mmpose(t, p)} for t in range(FRAMES) for p in order(t)
    ],
    "a row for each detection by image": lambda: [
        {"image": f"img_{t:04d}.jpg", "track_id": f"{p}", **mmpose(t, p)} for t in range(FRAMES) for p in order(t)
    ],
    "tensorflow.js": lambda: [[{"score": 0.8, "keypoints": named(t, p)} for p in order(t)] for t in range(FRAMES)],
    "joints by name": lambda: [
        {"frame": t, "people": [{"id": p, "keypoints": {one["name"]: one for one in named(t, p)}} for p in order(t)]}
        for t in range(FRAMES)
    ],
}


@pytest.mark.filterwarnings("ignore:.*no tracker ids")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures(tmp_path, structure):
    poses = read(saved(tmp_path / "a.json", STRUCTURES[structure]()))
    expected(poses)
    rates = {"ultralytics results": 25, "frames of people": 30, "frames by number": 30}
    assert poses.fps == rates.get(structure) and poses.ids == ["a"]


@pytest.mark.parametrize("structure", ["mmpose inferencer", "ultralytics", "ultralytics tracked"])
def test_files_of_one_frame_each(tmp_path, structure):
    content = STRUCTURES[structure]()
    for t, one in enumerate(content):
        saved(tmp_path / "walk" / f"{t:05d}.json", one)
    saved(tmp_path / "walk" / "00005.json", [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        poses = read(tmp_path / "walk")
    assert poses.ids == ["walk"] and poses.clips[0].shape == (2, 6, 17, 2)
    assert np.isnan(poses.clips[0][:, 5]).all()


ONE_PERSON = {
    "frames": lambda: {"fps": 30, "frames": [mmpose(t, 0) for t in range(FRAMES)]},
    "frames of named joints": lambda: {
        "fps": 30,
        "frames": [{"joints": {one["name"]: [one["x"], one["y"]] for one in named(t, 0)}} for t in range(FRAMES)],
    },
    "poses": lambda: {"fps": 30, "poses": [walker(0, t).tolist() for t in range(FRAMES)]},
    "keypoints": lambda: {"fps": 30, "keypoints": [walker(0, t).tolist() for t in range(FRAMES)]},
    "list of poses": lambda: [mmpose(t, 0) for t in range(FRAMES)],
    "nested lists": lambda: [walker(0, t).tolist() for t in range(FRAMES)],
    "times of day": lambda: [
        {"timestamp": f"2024-05-01T10:00:{t / 30:09.6f}", "pose": walker(0, t).tolist()} for t in range(FRAMES)
    ],
    "names beside": lambda: {
        "joint_names": list(COCO),
        "frames": [{"t": t / 30, "joints": walker(0, t).tolist()} for t in range(FRAMES)],
    },
}


@pytest.mark.filterwarnings("ignore:.*interpreted as the frames of one person")
@pytest.mark.parametrize("structure", ONE_PERSON)
def test_one_person_over_time(tmp_path, structure):
    poses = read(saved(tmp_path / "a.json", ONE_PERSON[structure]()))
    assert poses.skeleton.name == "coco-17" and poses.clips[0].shape == (1, FRAMES, 17, 2)
    np.testing.assert_allclose(poses.clips[0][0], [walker(0, t) for t in range(FRAMES)], rtol=1e-5)
    assert poses.fps == (None if "list" in structure else pytest.approx(30, rel=1e-3))


def test_poses_without_frames_are_persons_or_frames_by_how_far_they_are_apart(tmp_path):
    with pytest.warns(UserWarning, match="5 poses without frame numbers.*one person"):
        read(saved(tmp_path / "a.json", ONE_PERSON["list of poses"]()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = read(saved(tmp_path / "b.json", [mmpose(0, p) for p in range(4)]))
    assert poses.clips[0].shape == (4, 1, 17, 2)


def test_recordings_of_different_rates(tmp_path):
    images = [{"id": 10 * v + t, "video_id": v, "frame_id": t} for v in (1, 2) for t in range(3)]
    annotations = [{"image_id": image["id"], "keypoints": triples(walker(0, 0))} for image in images]
    videos = [{"id": 1, "fps": 25}, {"id": 2, "fps": 50}]
    content = {"images": images, "annotations": annotations, "videos": videos}
    with pytest.warns(UserWarning, match="25 to 50 frames per second"):
        assert read(saved(tmp_path / "a.json", content)).fps is None


def test_one_picture(tmp_path):
    assert read(saved(tmp_path / "a.json", [mmpose(0, 0), mmpose(0, 1)])).clips[0].shape == (2, 1, 17, 2)
    assert read(saved(tmp_path / "b.json", [yolo(0, 0)])).clips[0].shape == (1, 1, 17, 2)
    assert read(saved(tmp_path / "c.json", mmpose(0, 0))).clips[0].shape == (1, 1, 17, 2)


def test_joint_names_of_the_file(tmp_path):
    names = {str(i): joint for i, joint in enumerate(SKELETONS["h36m-17"].joints)}
    person = {"keypoints": [[0.5] * 3] * 17, "keypoint_scores": [0.5] * 17}
    frames = [{"frame_id": 0, "instances": [person]}]
    path = saved(tmp_path / "lifted.json", {"meta_info": {"keypoint_id2name": names}, "instance_info": frames})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # these are no fractions of a picture
        assert read(path).skeleton == SKELETONS["h36m-17"]
    with pytest.raises(ValueError, match=r"lifted\.json: .*coco-17.*h36m-17"):
        read(saved(tmp_path / "lifted.json", frames))


def kinetics(frames: int = 10, people: int = 1, **more) -> dict:
    def skeleton(t: int, p: int) -> dict:
        body = np.concatenate([walker(p, t), walker(p, t)[:1]]) / [1920, 1080]
        return {"pose": body.round(4).ravel().tolist(), "score": [0.0] + [0.8] * 17}

    data = [{"frame_index": t + 1, "skeleton": [skeleton(t, p) for p in range(people)]} for t in range(frames)]
    return {"data": data, "label": "waving hand", "label_index": 7, **more}


def test_kinetics_skeleton(tmp_path):
    content = kinetics()
    content["data"][4]["skeleton"] = []
    with pytest.warns(UserWarning, match="fractions"):
        poses = read(saved(tmp_path / "a.json", content))
    assert (poses.skeleton.name, poses.labels.tolist()) == ("openpose-18", ["waving hand"])
    assert poses.clips[0].shape == (1, 10, 18, 2)
    np.testing.assert_allclose(poses.clips[0][0, 3, 1], walker(0, 3)[1] / [1920, 1080], atol=1e-4)
    assert np.isnan(poses.clips[0][0, :, 0]).all()  # of score zero
    assert np.isnan(poses.clips[0][0, 4]).all() and poses.scores[0][0, 4].max() == 0


def test_frame_numbers_and_times_are_time(tmp_path):
    gap = [{"frame": t, "keypoints": walker(0, t).tolist()} for t in (0, 1, 2, 6, 7)]
    assert (
        np.isnan(read(saved(tmp_path / "a.json", gap)).clips[0][0, :, 0, 0]).tolist()
        == [False] * 3 + [True] * 3 + [False] * 2
    )
    timed = [{"timestamp_ms": 40 * t, "people": [mmpose(t, 0)]} for t in (0, 1, 2, 6, 7)]
    poses = read(saved(tmp_path / "b.json", timed))
    assert poses.fps == 25 and poses.clips[0].shape[1] == 8


def test_a_variable_rate_is_resampled_with_a_warning(tmp_path):
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 60))
    content = [{"time": time, "people": [mmpose(100 * time, 0)]} for time in times]
    with pytest.warns(UserWarning, match="resampled"):
        poses = read(saved(tmp_path / "a.json", content))
    steps = np.diff(poses.clips[0][0, :, 0, 0])  # 300 pixels per second
    np.testing.assert_allclose(steps * poses.fps, 300, rtol=0.02)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nothing": 1}, "contains a dict of nothing"),
        ([], "contains list"),
        ("text", "contains str"),
        ({"instance_info": [{"frame_id": 1}]}, "contains a dict of instance_info"),
        ([{"frame_id": 0, "instances": [{"keypoints": [["x", 1]] * 17}]}], "where numbers are expected"),
        ([{"frame_id": 0, "instances": [{"keypoints": [[1, 1e300]] * 17}]}], "where numbers are expected"),
        ([{"frame_id": 0, "instances": [mmpose(0, 0) | {"keypoint_scores": [1]}]}], "17 keypoints but 1 scores"),
        ([[mmpose(0, 0), {"keypoints": [[1, 2]] * 18}]], "several shapes"),
        ([[{"keypoints": [[9, 9]] * 11}]], "11 joints fits no known skeleton"),
        ([[{"x": 1, "y": 2, "z": 3}] * 5], "array of 5 joints"),
    ],
)
def test_invalid_json_is_refused(tmp_path, content, message):
    path = saved(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=r"a\.json") as caught:
        read(path)
    assert caught.match(message)


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"\xff\xfe", b'{"people": ' + b"9" * 5000 + b"}"])
def test_no_json_at_all(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.json"):
        read(tmp_path / "a.json")


def test_tracks_that_would_fill_the_memory(tmp_path):
    body = np.tile(walker(0, 0)[:1], (133, 1)).tolist()
    frames = [{"instances": [{"keypoints": body, "track_id": i // 2}]} for i in range(1500)]
    with pytest.raises(ValueError, match=r"a\.json.*SKELREP_MAX_GIGABYTES"):
        read(saved(tmp_path / "a.json", frames))


def test_a_third_number_that_is_the_same_everywhere_is_not_a_depth(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(100, 500, size=(4, 17, 2))
    scores = rng.uniform(0.2, 1, size=(4, 17))
    for has_scores in (False, True):
        frames = [{"keypoints": np.c_[pose, np.zeros(17)].tolist()} for pose in points]
        if has_scores:
            frames = [frame | {"keypoint_scores": row.tolist()} for frame, row in zip(frames, scores)]
        saved(tmp_path / "a.json", {"frames": frames})
        with pytest.warns(UserWarning, match="z is the same everywhere"):
            poses = read(tmp_path / "a.json", skeleton="coco-17")
        np.testing.assert_allclose(poses.clips[0][0], points, rtol=1e-6)
        assert (poses.scores is not None) == has_scores
