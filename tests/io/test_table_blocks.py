"""Header blocks: Motive, Nexus, Qualisys, DeepLabCut, OpenSim, two-level names; and tables of numbers alone."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

JOINTS = ["Hips", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm"]
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(5, len(JOINTS), 3))
OTHER = RNG.normal(size=(5, len(JOINTS), 3))


def cells(row) -> list[str]:
    return [f"{number:.5f}" for number in np.ravel(row)]


def motive(bodies: dict[str, np.ndarray], unit: str = "Meters", factor: float = 1, space: str = "Global") -> str:
    kinds, names, types, axes = [], [], [], []
    for person in bodies:
        for joint in JOINTS:
            names += [f"{person}:{joint}"] * 7
            types += ["Bone"] * 7
            kinds += ["Rotation"] * 4 + ["Position"] * 3
            axes += ["X", "Y", "Z", "W", "X", "Y", "Z"]
    for thing in ("Marker", "Rigid Body"):
        names += [f"{thing} 1"] * 3
        types += [thing] * 3
        kinds += ["Position"] * 3
        axes += ["X", "Y", "Z"]
    lines = [
        f"Format Version,1.23,Take Name,T,Capture Frame Rate,240.0,Export Frame Rate,120.000000,Length Units,{unit},"
        f"Coordinate Space,{space}",
        "",
        ",".join(["", "Type", *types]),
        ",".join(["", "Name", *names]),
        ",".join(["", "ID", *(["1"] * len(names))]),
        ",".join(["", "", *kinds]),
        ",".join(["Frame", "Time (Seconds)", *axes]),
    ]
    for i in range(5):
        row = [str(i), f"{i / 120:.6f}"]
        for body in bodies.values():
            row += [cell for point in body[i] for cell in ["0", "0", "0", "1", *cells(factor * point)]]
        lines.append(",".join([*row, *["9"] * 6]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("unit", "factor"), [("Meters", 1), ("Millimeters", 1000), ("Centimeters", 100)])
def test_motive(tmp_path, unit, factor):
    (tmp_path / "a.csv").write_text(motive({"Skel": POINTS}, unit, factor))
    poses = read(tmp_path / "a.csv")
    assert (poses.fps, poses.clips[0].shape) == (120, (1, 5, 7, 3))
    np.testing.assert_allclose(poses.clips[0][0], POINTS, atol=2e-5)
    assert {"pelvis", "left_shoulder", "left_elbow"} <= set(poses.skeleton.joints)


def test_motive_of_two_people(tmp_path):
    (tmp_path / "a.csv").write_text(motive({"Anna": POINTS, "Ben": OTHER}))
    poses = read(tmp_path / "a.csv")
    assert poses.person_ids == [("Anna", "Ben")]
    np.testing.assert_allclose(poses.clips[0], np.stack([POINTS, OTHER]), atol=2e-5)


def test_motive_in_local_coordinates(tmp_path):
    (tmp_path / "a.csv").write_text(motive({"Skel": POINTS}, space="Local"))
    with pytest.raises(ValueError, match=r"a\.csv.*relative to their parents; export with Coordinate Space: Global"):
        read(tmp_path / "a.csv")


def test_nexus(tmp_path):
    names = ",,".join(["", *(f"P:{joint}," for joint in JOINTS)])
    axes = ",".join(["Frame", "Sub Frame", *["X", "Y", "Z"] * 8])
    rows = "".join(f"{i + 1},0,{','.join(cells(1000 * POINTS[i]))},,,\n" for i in range(5))
    block = f"Trajectories\n100\n{names},,P:Ball\n{axes}\n{','.join(['', '', *['mm'] * 24])}\n{rows}"
    devices = "Devices\n1000\n,,Force\nFrame,Sub Frame,Fx\n,,N\n1,0,5\n1,1,6\n\n"
    for text in (block, devices + block, block + "\n" + devices):
        (tmp_path / "a.csv").write_text(text)
        poses = read(tmp_path / "a.csv")
        assert (poses.fps, poses.clips[0].shape[:2]) == (100, (1, 5))
        np.testing.assert_allclose(poses.clips[0][0][:, :7], POINTS, atol=2e-5)


@pytest.mark.parametrize("lead", [0, 2])
def test_qualisys(tmp_path, lead):
    head = ["NO_OF_FRAMES\t5", f"NO_OF_MARKERS\t{len(JOINTS)}", "FREQUENCY\t50", "DATA_INCLUDED\t3D"]
    head.append("\t".join(["MARKER_NAMES", *JOINTS]))
    if lead:
        titles = [f"{joint} {axis}" for joint in JOINTS for axis in "XYZ"]
        head.append("\t".join(["Frame", "Time", *titles]))
    points = 1000 * POINTS
    points[2, 3] = 0  # how Qualisys writes a marker that was not seen
    rows = ["\t".join([str(i + 1), f"{i / 50:.5f}"][:lead] + cells(row)) for i, row in enumerate(points)]
    (tmp_path / "a.tsv").write_text("\n".join([*head, *rows]) + "\n")
    poses = read(tmp_path / "a.tsv", zeros="missing")
    expected = POINTS.copy()
    expected[2, 3] = np.nan
    assert poses.fps == 50
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=2e-5)


@pytest.mark.parametrize("persons", [None, ["a", "b"]])
@pytest.mark.parametrize("index", ["number", "picture"])
def test_deeplabcut(tmp_path, persons, index):
    values = RNG.uniform(1, 500, size=(5, len(persons or [1]), len(JOINTS), 3))
    values[..., 2] = RNG.uniform(0.1, 1, size=values.shape[:-1])
    parts = [joint for _ in persons or [1] for joint in JOINTS for _ in range(3)]
    lines = [["scorer", *["DLC_x"] * len(parts)]]
    if persons:
        lines.append(["individuals", *(person for person in persons for _ in range(3 * len(JOINTS)))])
    lines += [["bodyparts", *parts], ["coords", *["x", "y", "likelihood"] * (len(parts) // 3)]]
    frames = [0, 1, 2, 5, 6]
    for frame, row in zip(frames, values):
        lines.append([str(frame) if index == "number" else f"labeled/video/img{frame:04d}.png", *cells(row)])
    (tmp_path / "a.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    poses = read(tmp_path / "a.csv")
    expected = values.swapaxes(0, 1)
    assert poses.clips[0].shape == (len(persons or [1]), 7, 7, 2) and poses.scores is not None
    np.testing.assert_allclose(poses.clips[0][:, frames], expected[..., :2], rtol=1e-4)
    np.testing.assert_allclose(poses.scores[0][:, frames], expected[..., 2], atol=1e-4)


@pytest.mark.parametrize(("unit", "factor"), [("m", 1), ("mm", 1000)])
def test_opensim(tmp_path, unit, factor):
    names = "\t\t\t".join(JOINTS)
    axes = "\t".join(f"{axis}{i + 1}" for i in range(len(JOINTS)) for axis in "XYZ")
    head = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
    head += f"50.00\t50.00\t5\t7\t{unit}\n"
    head += f"Frame#\tTime\t{names}\t\t\n\t\t{axes}\n\n"
    rows = ["\t".join([str(i + 1), f"{i / 50:.3f}", *cells(factor * POINTS[i])]) for i in (0, 1, 2, 4)]
    words = rows[1].split("\t")
    words[5:8] = ["", "", ""]
    rows[1] = "\t".join(words)
    (tmp_path / "a.trc").write_text(head + "\n".join(rows) + "\n")
    poses = read(tmp_path / "a.trc")
    expected = POINTS.copy()
    expected[1, 1] = expected[3] = np.nan
    assert poses.fps == 50
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=2e-5)
    (tmp_path / "a.trc").write_text((head + rows[0]).replace(f"7\t{unit}\n", "7\tparsec\n"))
    with pytest.raises(ValueError, match=r"a\.trc.*its unit is 'parsec'"):
        read(tmp_path / "a.trc")


def test_a_restart_under_a_header_whose_last_line_is_short(tmp_path):
    """OpenSim's names of frame and time stand above the lowest line of the block."""
    head = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
    head += f"50.00\t50.00\t40\t1\tm\nFrame#\tTime\t{JOINTS[0]}\t\t\n\n"
    rows = "".join(f"{i % 20}\t{i / 50:.3f}\t1\t2\t{i}\n" for i in range(40))
    (tmp_path / "a.trc").write_text(head + rows)
    with pytest.warns(UserWarning, match="'frame' restarts"):
        assert len(read(tmp_path / "a.trc")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Trajectories\n100\n",
        "Format Version,1\nFrame\n",
        "scorer,a\nbodyparts,b\ncoords,c\n",
        "PathFileType\t4\n",
        "MARKER_NAMES\n",
    ],
)
def test_blocks_that_are_cut(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"a\.csv"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("index", [True, False])
def test_names_above_axes(tmp_path, index):
    lead = [""] if index else []
    lines = [[*lead, *(joint for joint in JOINTS for _ in range(3))], [*lead, *["x", "y", "z"] * len(JOINTS)]]
    lines += [[*(["0"] if index else []), *cells(row)] for row in POINTS]
    for i, line in enumerate(lines[2:]):
        line[: len(lead)] = [str(i)] * len(lead)
    (tmp_path / "a.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    np.testing.assert_allclose(read(tmp_path / "a.csv").clips[0][0], POINTS, atol=1e-5)


def test_freemocap(tmp_path):
    joints = SKELETONS["mediapipe-33"].joints
    names = [f"body_{joint}_{axis}" for joint in joints for axis in "xyz"]
    names += [f"{part}_{i:04d}_{axis}" for part in ("face", "left_hand") for i in range(4) for axis in "xyz"]
    points = 1000 * RNG.normal(size=(6, 33, 3))
    text = ",".join(["timestamp", "timestamp_by_camera", *names]) + "\n"
    for i, row in enumerate(points):
        text += ",".join([f"{i / 30:.6f}", '"{0: 1, 1: 2}"', *cells(row), *["1"] * 24]) + "\n"
    (tmp_path / "a_by_trajectory.csv").write_text(text)
    poses = read(tmp_path / "a_by_trajectory.csv")
    assert (poses.skeleton.name, poses.fps) == ("mediapipe-33", 30)
    np.testing.assert_allclose(poses.clips[0][0], points, rtol=1e-4, atol=1e-4)


# -- numbers alone ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["xyz", "xyz, state", "frame, xyz", "frame, time, xyz", "a row each", "trailing comma"]
)
def test_numbers_alone(tmp_path, kind):
    points = RNG.normal(size=(6, 20, 3))
    rows = points.reshape(6, 60)
    if kind == "xyz, state":
        states = RNG.integers(0, 3, size=(6, 20, 1))
        rows = np.concatenate([points, states], axis=2).reshape(6, 80)
    elif kind.startswith("frame"):
        frames = np.array([0, 1, 2, 4, 5, 6])
        rows = np.c_[np.stack([frames, frames / 15], axis=1)[:, : 1 + ("time" in kind)], rows]
    elif kind == "a row each":
        rows = points.reshape(-1, 3)
    end = ",\n" if kind == "trailing comma" else "\n"
    (tmp_path / "a.csv").write_text("".join(",".join(cells(row)) + end for row in rows))
    poses = read(tmp_path / "a.csv", skeleton="kinect-20")
    expected = points
    if kind.startswith("frame"):
        expected = np.insert(points, 3, np.nan, axis=0)
        assert poses.fps == (15 if "time" in kind else None)
    if kind == "xyz, state":
        expected = np.where(states == 0, np.nan, points)
        np.testing.assert_array_equal(poses.scores[0][0], states[..., 0] / 2)
    np.testing.assert_allclose(poses.clips[0][0], expected, atol=1e-5)
    assert (poses.scores is not None) == ("state" in kind)


@pytest.mark.parametrize("name", ["ntu-25", "kinect-20"])
@pytest.mark.parametrize("state", [True, False])
def test_numbers_alone_are_recognised_by_the_body(tmp_path, name, state):
    points = walking(SKELETONS[name])[0]
    if state:
        points = np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], axis=2)
    (tmp_path / "a.csv").write_text("".join(",".join(cells(row)) + "\n" for row in points))
    with pytest.warns(UserWarning, match=f"does not state what its columns are; .* the geometry .* '{name}'"):
        poses = read(tmp_path / "a.csv")
    np.testing.assert_allclose(poses.clips[0][0], points[..., :3], atol=1e-5)
