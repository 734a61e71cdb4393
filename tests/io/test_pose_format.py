"""`.pose` files by their library, and the errors if the library is missing or the file is invalid."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS


@pytest.mark.parametrize(("name", "library"), [("a.pose", "pose-format"), ("a.parquet", "pyarrow")])
def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch, name, library):
    (tmp_path / name).write_bytes(b"something")
    monkeypatch.setitem(sys.modules, library.replace("-", "_"), None)
    with pytest.raises(ModuleNotFoundError, match=f"needs {library}: pip install"):
        read(tmp_path / name)


def write_pose(path, components) -> None:
    pytest.importorskip("pose_format", reason="pose-format is not installed")
    from pose_format import Pose  # type: ignore[import-not-found]
    from pose_format.numpy import NumPyPoseBody  # type: ignore[import-not-found]
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions  # type: ignore[import-not-found]

    header = PoseHeader(
        0.2,
        PoseHeaderDimensions(640, 480, 0),
        [PoseHeaderComponent(name, list(points), [], [], "XYZC") for name, points in components.items()],
    )
    count = sum(map(len, components.values()))
    values = np.arange(4 * 2 * count * 3, dtype=np.float32).reshape(4, 2, count, 3) + 1
    confidence = np.full((4, 2, count), 0.5, dtype=np.float32)
    confidence[0, 0] = 0
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(25, values, confidence)).write(file)


def test_pose(tmp_path):
    body = [joint.upper() for joint in SKELETONS["mediapipe-33"].joints]
    write_pose(tmp_path / "a.pose", {"FACE_LANDMARKS": ["0", "1"], "POSE_LANDMARKS": body})
    poses = read(tmp_path / "a.pose")
    assert (poses.ids, poses.fps, poses.clips[0].shape) == (["a"], 25, (2, 4, 33, 3))
    assert poses.skeleton == SKELETONS["mediapipe-33"]
    assert np.isnan(poses.clips[0][0, 0]).all() and poses.scores is not None and poses.scores[0][1, 0, 0] == 0.5
    assert poses.clips[0][1, 0, 0].tolist() == [112, 113, 114]  # after a person of 35 points, and two of the face
    write_pose(tmp_path / "b.pose", {"POSE_LANDMARKS": body, "POSE_WORLD_LANDMARKS": body})
    assert read(tmp_path / "b.pose").clips[0][1, 0, 0].tolist() == [298, -299, -300]  # the second, y and z turned


def test_other_pose_files_are_refused(tmp_path):
    write_pose(tmp_path / "a.pose", {"LEFT_HAND_LANDMARKS": ["WRIST", "THUMB"]})
    with pytest.raises(
        ValueError, match=r"a\.pose .*its components are LEFT_HAND_LANDMARKS, none of them a body's pose"
    ):
        read(tmp_path / "a.pose")
    write_pose(tmp_path / "b.pose", {"POSE_LANDMARKS": ["NOSE", "NECK"]})
    (tmp_path / "b.pose").write_bytes((tmp_path / "b.pose").read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"b\.pose is damaged or not a \.pose file"):
        read(tmp_path / "b.pose")
