"""Joints by name in JSON, and one exercise of the Keraal data set as four sensors saw it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read
from skelrep.poses import Poses
from tests.json_content import saved

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")


def test_positions_by_frame_and_name(tmp_path):
    positions = {
        "10.0": {"rHip": [3, 4]},
        "9.0": {"Nose": [1, 2], "rHip": [5, 6]},
        "11.0": {},
        "13.0": {"rHip": [7, 8]},
    }
    poses = read(saved(tmp_path / "a.json", {"positions": positions}))
    assert poses.skeleton.joints == ("nose", "right_hip")
    np.testing.assert_array_equal(poses.clips[0][0, :, 1], [[5, 6], [3, 4], [np.nan] * 2, [np.nan] * 2, [7, 8]])
    assert np.isnan(poses.clips[0][0, 1:, 0]).all()
    numbered = saved(tmp_path / "b.json", {"positions": {"0": {str(i): [i, 9] for i in range(17)}}})
    assert read(numbered, skeleton="coco-17").clips[0][0, 0, 16].tolist() == [16, 9]


@pytest.mark.parametrize("wrap", ["tracked_points", "body"])
def test_freemocap_by_frame(tmp_path, wrap):
    """Millimetres become metres; a point that was not triangulated is null."""

    def frame(t: int) -> dict:
        body = {
            "body_nose": {"x": 10.0 * t, "y": -120.0, "z": 1570.0},
            "body_left_hip": {"x": 90.0, "y": 0.0, "z": 920.0},
        }
        if t == 2:
            body["body_nose"] = {"x": None, "y": None, "z": None}
        return {"timestamps": {"mean": 100 + t / 30, "by_camera": {}}, wrap: body}

    content = {"info": {"schemas": []}, "data_by_frame": {f"{t}": frame(t) for t in range(12)}}
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.skeleton.joints == ("nose", "left_hip") and poses.fps == pytest.approx(30, rel=1e-3)
    np.testing.assert_allclose(poses.clips[0][0, 11], [[0.11, -0.12, 1.57], [0.09, 0, 0.92]], rtol=1e-6)
    assert np.isnan(poses.clips[0][0, 2, 0]).all() and not np.isnan(poses.clips[0][0, 2, 1]).any()


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ({"0": {"nose": [1, 2], "neck": [1]}}, r"where \(2,\) numbers are expected"),
        ({"0": {"nose": {}}}, "a joint is a dict, not a list"),
        ({"0": 3}, "not frames of named joints"),
        ({"0": {}, "1": {}}, "nobody is seen in any of its 2 frames"),
    ],
)
def test_invalid_positions_are_refused(tmp_path, positions, message):
    with pytest.raises(ValueError, match=message):
        read(saved(tmp_path / "a.json", {"positions": positions}))


# The documentation of the Keraal data set (nguyensmai/KeraalDataset, readme_files_format.txt) lists the targets.
KERAAL_VICON = (
    "RightForearm LeftForearm RightArm LeftArm Chest RightThigh LeftThigh RightShoulder LeftShoulder RightHand"
)
KERAAL_VICON += " LeftHand RightFoot LeftFoot Hips Head RightTibia LeftTibia"


@real_files
def test_one_exercise_seen_by_four_sensors():
    """Any two of its recordings are nearer to each other than to other clips; docs/own-skeletons.md has the numbers."""
    from skelrep import embed

    def keraal(sensor, **options) -> Poses:
        (path,) = (FIXTURES / "keraal").glob(f"*-{sensor}-*")
        return read(path, **options)

    four = {
        "kinect": keraal("Kinect", skeleton="ntu-25", fps=30),
        "vicon": keraal("Vicon", skeleton=KERAAL_VICON.split(), fps=60, scale=0.001),
        "openpose": keraal("OP", fps=30, scale=(16, 9)),
        "blazepose": keraal("BP", fps=30, scale=(16, 9, 0)),
    }
    assert four["blazepose"].skeleton.name == "mediapipe-33"
    assert four["openpose"].skeleton.joints[:3] == ("nose", "neck", "right_shoulder")
    others = [read(path) for path in sorted((FIXTURES / "ntu").glob("*.skeleton"))]
    others += [read(FIXTURES / "asf_amc" / "zombie.amc", fps=120).windows(6.5)]
    others += [read(FIXTURES / "bvh" / "131_01.bvh").windows(6.5)]
    others += [read(FIXTURES / "csv" / "0005_2FeetJump001_pos.csv").windows(6.5)]
    siblings = np.concatenate([embed(poses, normalize=True) for poses in four.values()])
    strangers = np.concatenate([embed(poses, normalize=True) for poses in others])
    assert (siblings @ siblings.T).min() > (siblings @ strangers.T).max()
