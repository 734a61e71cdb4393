"""BVH and Acclaim's ASF with AMC: forward kinematics by hand and on real files, and malformed files."""

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read

FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")

# A thigh of 2 and a shank of 1; the knee's channels stand in another order than the hip's.
LEG = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Leg { OFFSET 0 -2 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site { OFFSET 0 -1 0 }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0 0 0 0  0 0 0
1 2 3 90 0 0  0 0 0
0 0 0 90 0 90  90 90 0
"""

SKELETON = """:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    name lfemur
    direction 0 -1 0
    length 2
    axis 0 0 90 XYZ
    dof rx ry
  end
  begin
    name ltibia  # follows
    direction 0 -1 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
  end
"""
MOTION = """:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
lfemur 0 0
2
root 1 2 3 0 90 0
lfemur 0 90
"""


def bone_lengths(poses) -> np.ndarray:
    points, parents = poses.clips[0][0].astype(float), list(poses.skeleton.parents)
    return np.linalg.norm(points - points[:, parents], axis=-1)


def joint(poses, name: str) -> np.ndarray:
    return poses.clips[0][0, :, poses.skeleton.joints.index(name)]


def test_bvh_by_hand(tmp_path):
    (tmp_path / "leg.bvh").write_text(LEG)
    poses = read(tmp_path / "leg.bvh")
    assert (poses.ids, poses.fps, poses.skeleton.joints) == (["leg"], 30.0, ("pelvis", "left_knee", "left_leg_end"))
    assert poses.skeleton.parents == (0, 0, 1)
    # Frame 1: the root's turn lays all that hangs along +x. Frame 2: its matrix is Rz(90) Ry(90), the knee's
    # Rx(90) Ry(90); the thigh (0, -2, 0) goes to (2, 0, 0), and the shank (0, -1, 0) to (0, 0, -1) by the knee, then to
    # (-1, 0, 0) by Ry and to (0, -1, 0) by Rz.
    expected = [
        [[0, 0, 0], [0, -2, 0], [0, -3, 0]],
        [[1, 2, 3], [3, 2, 3], [4, 2, 3]],
        [[0, 0, 0], [2, 0, 0], [2, -1, 0]],
    ]
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=1e-6)


@pytest.mark.parametrize(("position", "knee"), [("0 -2.5 0", [0, -2.5, 0]), ("0.5 0 0", [0.5, -2, 0])])
def test_positions_of_other_joints_replace_their_offset_or_add_to_it(tmp_path, position, knee):
    channels = "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation"
    text = LEG.replace("CHANNELS 3 Xrotation Yrotation Zrotation", channels)
    rows = "".join(f"0 0 0 0 0 0 {position} 0 0 0\n" for _ in range(3))
    (tmp_path / "leg.bvh").write_text(text.partition("0.0333333\n")[0] + "0.0333333\n" + rows)
    np.testing.assert_allclose(joint(read(tmp_path / "leg.bvh"), "left_knee"), [knee] * 3, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("MOTION", "", "no line MOTION"),
        ("CHANNELS 3 Xrotation", "CHANNELS 3 Wrotation", r"line 7: no hierarchy .*channels wrotation"),
        ("OFFSET 0 -1 0 }", "OFFSET 0 -1", "line 8: no hierarchy"),
        ("  }\n}\n", "  }\n", "no hierarchy .*before every joint is closed"),
        ("CHANNELS 3", "CHANNELS 99999999", "no hierarchy"),
        ("ROOT Hips", "JOINT Hips", "line 2: no hierarchy"),
        ("Frames: 3", "Frames: 4", "announces 4 frames but holds 3"),
        ("Frames: 3", "3", "line 12: expected 'Frames: N'"),
        ("1 2 3 90", "1 2 90", "line 15: got .* where 9 numbers should stand"),
        ("1 2 3 90", "1 2 x 90", "line 15: got '1 2 x 90"),
        ("1 2 3 90", "1 2 inf 90", "line 15: got '1 2 inf"),
    ],
)
def test_a_bvh_that_is_none(tmp_path, before, after, message):
    assert before in LEG
    (tmp_path / "leg.bvh").write_text(LEG.replace(before, after))
    with pytest.raises(ValueError, match=rf"leg\.bvh.*{message}"):
        read(tmp_path / "leg.bvh")


def test_small_files_do_not_fill_the_memory(tmp_path):
    ends = "End Site { OFFSET 0 0 1 }\n" * 20_000
    text = LEG.replace("End Site { OFFSET 0 -1 0 }", ends).replace("Frames: 3", "Frames: 3000")
    (tmp_path / "ends.bvh").write_text(text.partition("0.0333333\n")[0] + "0.0333333\n" + "0 0 0 0 0 0 0 0 0\n" * 3000)
    with pytest.raises(ValueError, match=r"ends\.bvh.*more than a gigabyte"):
        read(tmp_path / "ends.bvh")


@real_files
def test_a_real_bvh():
    poses = read(FIXTURES / "bvh" / "131_01.bvh")
    assert (poses.fps, poses.clips[0].shape) == (120.0, (1, 994, 38, 3))
    assert np.ptp(bone_lengths(poses), axis=0).max() < 1e-4
    np.testing.assert_allclose(joint(poses, "pelvis")[0], [5.23, 16.9002, -33.8986], atol=1e-3)  # as the file says
    height = joint(poses, "head_top")[:, 1] - joint(poses, "left_ankle")[:, 1]
    assert 20 < np.median(height) < 35  # of about 1.6 m in the file's unit of 5.6 cm


@real_files
def test_bvh_as_pybvh_reads_it():
    pybvh = pytest.importorskip("pybvh", reason="pybvh is not installed")
    path = FIXTURES / "bvh" / "131_01.bvh"
    theirs = pybvh.read_bvh_file(path, world_up="+y").node_positions()
    np.testing.assert_allclose(read(path).clips[0][0], theirs, atol=1e-4)


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
        ("a.amc", "lfemur 0 90", "", r"a\.amc holds 2 frames, but not every bone in each"),
        ("a.asf", "length 2", "length two", r"a\.asf, line 17: no skeleton"),
        ("a.asf", "dof rx ry", "dof rx rw", r"a\.asf.*bone lfemur has an unknown axis"),
        ("a.asf", "lfemur ltibia", "lfemur root", r"a\.asf.*the root has a parent"),
        ("a.asf", ":root", ":toor", r"a\.asf.*no skeleton"),
    ],
)
def test_an_amc_that_is_none(tmp_path, file, before, after, message):
    (tmp_path / "a.asf").write_text(SKELETON)
    (tmp_path / "a.amc").write_text(MOTION)
    text = (tmp_path / file).read_text()
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.amc")


def test_an_amc_without_its_skeleton(tmp_path):
    (tmp_path / "01_05.amc").write_text(MOTION)
    with pytest.raises(ValueError, match=r"01_05\.asf or 01\.asf, is not beside it"):
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
