"""HumanML3D and KIT-ML: features recovered to the joints that they were made of."""

import numpy as np
import pytest

from skelrep.io import read
from skelrep.io.humanml3d import joints_of_features


def features_of(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Features (T - 1, 263 or 251) of joints (T, V, 3) whose root faces `angles` about y, one frame at a time.

    By the definition, with quaternions written out: the inverse of what is tested.
    """
    rows = []
    for t in range(len(points) - 1):
        c, s = np.cos(angles[t]), np.sin(angles[t])
        facing = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])  # takes the room to the root's own axes
        c, s = np.cos(angles[t + 1]), np.sin(angles[t + 1])
        next_facing = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        velocity = next_facing @ (points[t + 1, 0] - points[t, 0])
        local = (points[t] - points[t, 0] * [1, 0, 1]) @ facing.T
        turned = -(angles[t + 1] - angles[t]) / 2
        joints = points.shape[1]
        rest = np.zeros(6 * (joints - 1) + 3 * joints + 4)
        rows.append(np.r_[turned, velocity[0], velocity[2], points[t, 0, 1], local[1:].ravel(), rest])
    return np.array(rows)


@pytest.mark.parametrize(("joints", "width"), [(22, 263), (21, 251)])
def test_joints_are_recovered(joints, width):
    rng = np.random.default_rng(0)
    steps = rng.normal(scale=0.05, size=(40, 3)).cumsum(axis=0)
    steps -= steps[0] * [1, 0, 1]  # clips begin above the origin, facing ahead
    points = steps[:, None] + rng.normal(size=(40, joints, 3)) * (np.arange(joints) > 0)[:, None]
    angles = np.r_[0, rng.normal(scale=0.1, size=39).cumsum()]
    features = features_of(points, angles)
    assert features.shape == (39, width)
    np.testing.assert_allclose(joints_of_features(features), points[:-1], atol=1e-9)


def test_files(tmp_path):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(6, 22, 3))
    features = rng.normal(scale=0.1, size=(6, 263)).astype(np.float32)
    for name, array in (("new_joints", points), ("new_joint_vecs", features)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "000012.npy", array)
    (tmp_path / "train.txt").write_text("000011\n000012\n")
    (tmp_path / "test.txt").write_text("000013\n")
    poses = read(tmp_path / "new_joints")
    assert (poses.ids, poses.fps, poses.skeleton.name) == (["000012"], 20, "smpl-22")
    assert poses.info["train"].tolist() == [True] and poses.info["test"].tolist() == [False]
    np.testing.assert_allclose(poses.clips[0][0], points, rtol=1e-6)
    poses = read(tmp_path / "new_joint_vecs" / "000012.npy")
    assert (poses.clips[0].shape, poses.fps) == ((1, 6, 22, 3), 20)
    np.testing.assert_allclose(poses.clips[0][0], joints_of_features(features.astype(float)), atol=1e-5)
    np.save(tmp_path / "kit.npy", rng.normal(size=(6, 251)))
    poses = read(tmp_path / "kit.npy")
    assert (poses.clips[0].shape, poses.fps, poses.skeleton.name) == ((1, 6, 21, 3), 12.5, "kit-21")
