"""JSON of depth cameras and data sets: Azure Kinect, CMU Panoptic, NW-UCLA."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS
from tests.json_content import first_joint, saved

# -- Azure Kinect -----------------------------------------------------------------------------------------------------


def body(number: int, value: float) -> dict:
    return {"body_id": number, "joint_positions": [[value, 2000, 3000]] * 31 + [[0, 0, 0]], "joint_orientations": []}


AZURE = [
    {"frame_id": 0, "timestamp_usec": 1_000_000, "num_bodies": 1, "bodies": [body(2, 100)]},
    {"frame_id": 1, "timestamp_usec": 1_033_333, "num_bodies": 2, "bodies": [body(1, 50), body(2, 200)]},
    {"frame_id": 2, "timestamp_usec": 1_066_678, "num_bodies": 0, "bodies": []},
]


def test_azure_kinect(tmp_path):
    poses = read(saved(tmp_path / "a.json", {"json_version": 1, "frames": AZURE, "bone_list": []}))
    assert (poses.skeleton.name, poses.fps) == ("azure-kinect-32", 30.0)
    np.testing.assert_allclose(first_joint(poses), [[0.1, 0.2, 0], [0, 0.05, 0]])
    np.testing.assert_allclose(poses.clips[0][0, 0, 0], [0.1, -2, -3])  # metres, y up, right-handed
    names = [name.upper() for name in SKELETONS["azure-kinect-32"].joints]
    named = read(saved(tmp_path / "b.json", {"frames": AZURE, "joint_names": names}))
    assert named.skeleton == poses.skeleton


def test_invalid_azure_kinect_files_are_refused(tmp_path):
    content = {"frames": [{"bodies": [{"joint_positions": [[1, 2]] * 32}]}]}
    with pytest.raises(ValueError, match=r"a\.json.*\(32, 3\) numbers are expected"):
        read(saved(tmp_path / "a.json", content))
    content = {"frames": [{"bodies": [{"joint_positions": [[1, 2, 3]]}]}], "joint_names": [1]}
    with pytest.raises(ValueError, match="joint names are not strings"):
        read(saved(tmp_path / "a.json", content))


# -- CMU Panoptic -----------------------------------------------------------------------------------------------------


def panoptic(t: int, people: tuple[int, ...], key: str = "joints19", joints: int = 19) -> dict:
    def flat(person: int) -> list[float]:
        return [number for joint in range(joints) for number in (100 * person + t + joint, -140 + 5 * joint, 7, 0.7)]

    bodies = [{"id": person, key: flat(person)} for person in people]
    return {"version": 0.7, "univTime": 33.36 * t, "fpsType": "hd_29_97", "bodies": bodies}


def test_panoptic_files_of_one_frame_each(tmp_path):
    for t in range(6):
        people = ((0, 4), (4, 0), (), (4,), (0, 4), (0, 4))[t]
        saved(tmp_path / "hdPose3d_stage1" / f"body3DScene_{t + 120:08d}.json", panoptic(t, people))
    poses = read(tmp_path / "hdPose3d_stage1")
    assert (poses.skeleton.name, poses.fps) == ("panoptic-19", 29.97) and poses.clips[0].shape == (2, 6, 19, 3)
    np.testing.assert_allclose(poses.clips[0][1, 5, 2], [4.07, 1.3, -0.07], rtol=1e-5)  # metres, y up
    assert np.isnan(poses.clips[0][0, 2:4]).all() and np.isnan(poses.clips[0][1, 2]).all()
    np.testing.assert_allclose(poses.scores[0][0, 0], 0.7, rtol=1e-6)


def test_panoptic_joints_that_were_not_seen(tmp_path):
    content = panoptic(0, (0,), "joints15", 15)
    content["bodies"][0]["joints15"][-1] = -1
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.skeleton.name == "panoptic-15"
    assert np.isnan(poses.clips[0][0, 0]).any(axis=1).tolist() == [False] * 14 + [True]


# -- NW-UCLA ----------------------------------------------------------------------------------------------------------


def test_nw_ucla(tmp_path):
    skeletons = np.random.default_rng(0).normal(size=(10, 20, 3)).round(4)
    content = {"file_name": "a05_s03_e01_v02", "skeletons": skeletons.tolist(), "label": 4}
    poses = read(saved(tmp_path / "a05_s03_e01_v02.json", content))
    assert (poses.skeleton.name, poses.labels.tolist(), poses.ids) == ("kinect-20", [4], ["a05_s03_e01_v02"])
    np.testing.assert_allclose(poses.clips[0][0], skeletons, rtol=1e-6)
    columns = {"subject": 3, "repetition": 1, "camera": 2, "train": True, "test": False}
    assert {key: column.tolist() for key, column in poses.info.items()} == {key: [one] for key, one in columns.items()}
    del content["label"]
    assert read(saved(tmp_path / "b.json", content)).labels.tolist() == [5]


def test_a_folder_of_nw_ucla(tmp_path):
    for action in (1, 2):
        skeletons = np.random.default_rng(action).normal(size=(6, 20, 3)).tolist()
        name = f"a{action:02d}_s01_e00_v0{action}"
        saved(tmp_path / f"{name}.json", {"file_name": name, "skeletons": skeletons, "label": action})
    poses = read(tmp_path)
    assert poses.labels.tolist() == [1, 2] and poses.info["camera"].tolist() == [1, 2]
