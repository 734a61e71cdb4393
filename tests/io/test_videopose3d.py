"""VideoPose3D's .npz: subjects and actions, cameras, skeletons, and nothing executed."""

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read

RNG = np.random.default_rng(0)


def test_positions_in_space(tmp_path):
    walk, wave, sit = (RNG.normal(size=(frames, 17, 3)) for frames in (5, 7, 4))
    content = {"S1": {"Walking": walk, "Waving 1": wave}, "S9": {"Sitting": sit}}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=content)
    poses = read(tmp_path / "data_3d_h36m.npz")
    assert poses.ids == ["S1/Walking", "S1/Waving 1", "S9/Sitting"]
    assert poses.labels is not None and poses.labels.tolist() == ["Walking", "Waving", "Sitting"]
    assert (poses.skeleton.name, poses.fps) == ("h36m-17", 50)
    assert poses.info["test"].tolist() == [False, False, True] and poses.info["subject"].tolist() == ["S1", "S1", "S9"]
    for clip, array in zip(poses.clips, (walk, wave, sit), strict=True):
        np.testing.assert_allclose(clip[0], array, rtol=1e-6)


def test_thirty_two_joints_of_human36m(tmp_path):
    array = RNG.normal(size=(3, 32, 3))
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d={"S1": {"Walking": array}})
    poses = read(tmp_path / "data_3d_h36m.npz")
    assert poses.skeleton.name == "h36m-17"
    for joint, at in (("pelvis", 0), ("right_ankle", 3), ("left_hip", 6), ("head", 15), ("left_shoulder", 17)):
        np.testing.assert_allclose(poses.clips[0][0, :, poses.skeleton.joints.index(joint)], array[:, at], rtol=1e-6)


def test_positions_in_pictures(tmp_path):
    cameras = [RNG.uniform(0, 1000, size=(4, 17, 2)).astype(np.float32) for _ in range(2)]
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]]}
    np.savez(tmp_path / "data_2d_custom.npz", positions_2d={"S1": {"Walk": cameras}}, metadata=metadata)
    poses = read(tmp_path / "data_2d_custom.npz")
    assert poses.ids == ["S1/Walk/camera0", "S1/Walk/camera1"] and poses.info["camera"].tolist() == [0, 1]
    assert (poses.skeleton.name, poses.fps) == ("coco-17", None)
    np.testing.assert_array_equal(poses.clips[1][0], cameras[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"S1": np.ones(3)}, "not a dictionary of subjects and actions"),
        ({}, "contains no recordings"),
        ({"S1": {"Walk": np.ones((4, 17))}}, r"S1/Walk has shape \(4, 17\); expected \(frames, joints, 3\)"),
        ({"S1": {"Walk": np.ones((4, 17, 3)), "Run": np.ones((4, 16, 3))}}, "different numbers of joints"),
    ],
)
def test_other_contents(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", positions_3d=content)
    with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
        read(tmp_path / "a.npz")


def test_no_pickle_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    np.savez(tmp_path / "a.npz", positions_3d=np.array(Evil(), dtype=object))
    with pytest.raises(ValueError, match="nothing in this one was executed"):
        read(tmp_path / "a.npz")
    assert not (tmp_path / "touched").exists()
