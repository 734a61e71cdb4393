"""BVH: forward kinematics by hand and on a real file, and malformed files."""

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read
from tests.motion_capture_files import LEG, bone_lengths, joint

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")


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
        ("CHANNELS 3 Xrotation", "CHANNELS 3 Wrotation", r"line 7: not a valid BVH hierarchy .*channels wrotation"),
        ("OFFSET 0 -1 0 }", "OFFSET 0 -1", "line 8: not a valid BVH hierarchy"),
        ("  }\n}\n", "  }\n", "not a valid BVH hierarchy .*before every joint is closed"),
        ("CHANNELS 3", "CHANNELS 99999999", "not a valid BVH hierarchy"),
        ("ROOT Hips", "JOINT Hips", "line 2: not a valid BVH hierarchy"),
        ("Frames: 3", "Frames: 4", "states 4 frames but contains 3"),
        ("Frames: 3", "3", "line 12: expected 'Frames: N'"),
        ("1 2 3 90", "1 2 90", "line 15: got .*, expected 9 numbers"),
        ("1 2 3 90", "1 2 x 90", "line 15: got '1 2 x 90"),
        ("1 2 3 90", "1 2 inf 90", "line 15: got '1 2 inf"),
    ],
)
def test_invalid_bvh_files_are_refused(tmp_path, before, after, message):
    assert before in LEG
    (tmp_path / "leg.bvh").write_text(LEG.replace(before, after))
    with pytest.raises(ValueError, match=rf"leg\.bvh.*{message}"):
        read(tmp_path / "leg.bvh")


def test_small_files_do_not_fill_the_memory(tmp_path):
    ends = "End Site { OFFSET 0 0 1 }\n" * 20_000
    text = LEG.replace("End Site { OFFSET 0 -1 0 }", ends).replace("Frames: 3", "Frames: 3000")
    (tmp_path / "ends.bvh").write_text(text.partition("0.0333333\n")[0] + "0.0333333\n" + "0 0 0 0 0 0 0 0 0\n" * 3000)
    with pytest.raises(ValueError, match=r"ends\.bvh.*SKELREP_MAX_GIGABYTES"):
        read(tmp_path / "ends.bvh")


def walker(offset: str, rows: list[str]) -> str:
    """A body of 1.7 m in centimetres; `rows` are the root's position and its rotations, the other joints rest."""
    limb = "JOINT {0} {{ OFFSET {1} CHANNELS 3 Zrotation Xrotation Yrotation {2} }}"
    foot = limb.format("{0}Foot", "0 -42 0", "End Site {{ OFFSET 0 -6 12 }}")
    leg = limb.format("{0}UpLeg", "{1} -4 0", limb.format("{0}Leg", "0 -42 0", foot))
    hand = limb.format("{0}Hand", "{1}25 0 0", "End Site {{ OFFSET {1}15 0 0 }}")
    arm = limb.format("{0}Arm", "{1}18 25 0", limb.format("{0}ForeArm", "{1}28 0 0", hand))
    sides = [("Left", ""), ("Right", "-")]

    def fill(text: str, side: str, sign: str) -> str:
        return text.replace("{{", "{").replace("}}", "}").replace("{0}", side).replace("{1}", sign)

    while "{{" in leg + arm:
        leg, arm = (part.replace("{{", "{").replace("}}", "}") for part in (leg, arm))
    legs = "".join(leg.replace("{0}", side).replace("{1}", f"{sign}9") for side, sign in sides)
    arms = "".join(arm.replace("{0}", side).replace("{1}", sign) for side, sign in sides)
    head = "JOINT Head { OFFSET 0 40 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 15 0 } }"
    spine = "JOINT Spine { OFFSET 0 20 0 CHANNELS 3 Zrotation Xrotation Yrotation " + head + arms + " }"
    channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    count = 3 * (2 + 6 + 6)  # the spine and the head, two arms and two legs
    motion = "".join(row + " 0" * count + "\n" for row in rows)
    text = f"HIERARCHY\nROOT Hips {{ OFFSET {offset} {channels} {spine} {legs} }}\nMOTION\n"
    return text + f"Frames: {len(rows)}\nFrame Time: 0.01\n{motion}"


@pytest.mark.parametrize(
    ("offset", "position", "hips"),
    [
        ("0 94 0", "2 93 10", [2, 93, 10]),  # the position contains the offset: LAFAN1, Rokoko
        ("0 94 0", "2 -1 10", [2, 93, 10]),  # it is added to the offset
        ("0 94 0", "0 0 0", [0, 94, 0]),
        ("264 91 -165", "-300 92 200", [-300, 92, 200]),  # offset of some first frame, walked far away from it
        ("264 91 -165", "-300 2 200", [-36, 93, 35]),
        ("0 94 0", "5 45 5", [5, 45, 5]),  # crouching, halfway between both readings
        ("0 94 0", "0 12 0", [0, 12, 0]),  # lying, and so nearer to an offset of zero
        ("0 94 0", "0 -82 0", [0, 12, 0]),
        ("0 0 0", "7 8 9", [7, 8, 9]),
        ("10 0 0", "12 90 0", [12, 90, 0]),  # no height in the offset: nearness decides
    ],
)
def test_the_offset_of_the_root(tmp_path, offset, position, hips):
    angles = {"45": "0 90 0", "12": "0 90 0", "-82": "0 90 0"}.get(position.split()[1], "0 0 0")
    text = walker(offset, [f"{position} {angles}"] * 4)
    if position.split()[1] == "45":  # on its knees: thighs forwards, so that the feet are 45 below the hips
        text = walker(offset, [f"{position} 0 0 0"] * 4).replace("OFFSET 0 -42 0", "OFFSET 0 -17 0")
    (tmp_path / "a.bvh").write_text(text)
    poses = read(tmp_path / "a.bvh")
    np.testing.assert_allclose(joint(poses, "pelvis"), [hips] * 4, atol=1e-4)


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


def test_root_offset_option_overrules_the_heuristic(tmp_path, capsys):
    from skelrep.cli.main import main

    path = tmp_path / "a.bvh"
    path.write_text(walker("0 94 0", ["2 93 10 0 0 0"] * 4))
    for said, hips in (("added", [2, 187, 10]), ("replaced", [2, 93, 10]), (None, [2, 93, 10])):
        np.testing.assert_allclose(joint(read(path, root_offset=said), "pelvis"), [hips] * 4, atol=1e-4)
    assert main(["convert", str(path), str(tmp_path / "a.npz"), "--root-offset", "added", "-q"]) == 0
    np.testing.assert_allclose(joint(read(tmp_path / "a.npz"), "pelvis"), [[2, 187, 10]] * 4, atol=1e-4)
    assert main(["info", str(tmp_path / "a.npz"), "--root-offset", "added"]) == 1
    assert "--root-offset is for BVH files" in capsys.readouterr().err
    with pytest.raises(ValueError, match="root_offset must be 'added', 'replaced' or None, got 'both'"):
        read(path, root_offset="both")  # type: ignore[arg-type]
