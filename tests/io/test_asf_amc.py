"""Acclaim's ASF with AMC: forward kinematics by hand and on a real file, and malformed files."""

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read
from tests.motion_capture_files import MOTION, SKELETON, bone_lengths, joint

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")


def test_amc_by_hand(tmp_path):
    (tmp_path / "01.asf").write_text(SKELETON)
    (tmp_path / "02.asf").write_text(SKELETON.replace("length 2", "length 3"))
    (tmp_path / "01_05.amc").write_text(MOTION)
    poses = read(tmp_path / "01_05.amc", fps=120)
    assert poses.skeleton.joints == ("pelvis", "left_hip", "left_knee", "ltibia_end") and poses.fps == 120
    # Frame 2: the thigh turns by 90 degrees about its own y, which its axis of 90 degrees about z lays along -x: from
    # (0, -2, 0) to (0, 0, 2), which the root's 90 degrees about y turn to (2, 0, 0).
    expected = np.array([[[0, 0, 0], [0, 0, 0], [0, -2, 0], [0, -3, 0]], [[1, 2, 3], [1, 2, 3], [3, 2, 3], [4, 2, 3]]])
    np.testing.assert_allclose(poses.clips[0][0], expected / 0.45 * 0.0254, atol=1e-6)
    (tmp_path / "01.asf").write_text(SKELETON.replace("position 0 0 0", "position 4 5 6"))
    moved = (expected + [4, 5, 6]) / 0.45 * 0.0254
    np.testing.assert_allclose(read(tmp_path / "01_05.amc").clips[0][0], moved, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("a.amc", "lfemur 0 90", "lfemur 0", r"a\.amc, line 8: got 'lfemur 0'"),
        ("a.amc", "lfemur 0 90", "rfemur 0 90", r"a\.amc, line 8: got 'rfemur 0 90'"),
        ("a.amc", "lfemur 0 90", "", r"a\.amc contains 2 frames, some of which lack bones"),
        ("a.asf", "length 2", "length two", r"a\.asf, line 17: not a valid Acclaim skeleton"),
        ("a.asf", "dof rx ry", "dof rx rw", r"a\.asf.*bone lfemur has an unknown axis"),
        ("a.asf", "lfemur ltibia", "lfemur root", r"a\.asf.*the root has a parent"),
        ("a.asf", ":root", ":toor", r"a\.asf.*not a valid Acclaim skeleton"),
    ],
)
def test_invalid_amc_files_are_refused(tmp_path, file, before, after, message):
    (tmp_path / "a.asf").write_text(SKELETON)
    (tmp_path / "a.amc").write_text(MOTION)
    text = (tmp_path / file).read_text()
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.amc")


def test_an_amc_without_its_skeleton(tmp_path):
    (tmp_path / "01_05.amc").write_text(MOTION)
    with pytest.raises(ValueError, match=r"01_05\.asf or 01\.asf, is not in its folder"):
        read(tmp_path / "01_05.amc")


@real_files
def test_a_real_amc():
    poses = read(FIXTURES / "asf_amc" / "zombie.amc")
    assert poses.clips[0].shape == (1, 1558, 38, 3)
    assert np.ptp(bone_lengths(poses), axis=0).max() < 1e-4
    length = dict(zip(poses.skeleton.joints, bone_lengths(poses)[0]))
    assert 0.35 < length["left_knee"] < 0.5 and 0.35 < length["left_foot"] < 0.5  # thigh and shank, in metres
    assert 0.25 < length["left_mid_forearm"] + length["left_wrist"] < 0.35
    assert 1.4 < np.median(joint(poses, "head_top")[:, 1] - joint(poses, "left_toe")[:, 1]) < 1.9
    # A zombie's arms: stretched out ahead of the body, to the side that its toes point to.
    ahead = joint(poses, "left_toe") - joint(poses, "left_foot")
    reach = joint(poses, "left_wrist") - joint(poses, "left_shoulder")
    assert np.mean((ahead * reach).sum(axis=1) > 0) > 0.9
