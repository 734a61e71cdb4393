"""Seeds of motion capture and depth cameras: hierarchies with rotations, binary formats, NTU's text."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from skelrep.skeletons import SKELETONS
from tests.fuzz.seeds.seed import FRAMES, Seed, body, single
from tests.motion_capture_files import MOTION, SKELETON
from tests.pose_files import slp as write_slp


def bvh(folder: Path) -> Seed:
    channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
    chains = [("LeftUpLeg", "LeftLeg", "LeftFoot"), ("RightUpLeg", "RightLeg", "RightFoot"), ("Spine", "Neck", "Head")]
    chains += [("LeftArm", "LeftForeArm", "LeftHand"), ("RightArm", "RightForeArm", "RightHand")]
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0", "CHANNELS 6 Xposition Yposition Zposition " + channels[11:]]
    for side, chain in enumerate(chains):
        for depth, joint in enumerate(chain):
            lines += [f"JOINT {joint}", "{", f"OFFSET {side - 2} {1 if side > 1 else -1} {depth}", channels]
        lines += ["End Site", "{", "OFFSET 0 1 0", "}", *["}"] * len(chain)]
    count = 6 + 3 * sum(map(len, chains))
    lines += ["}", "MOTION", f"Frames: {FRAMES}", "Frame Time: 0.033333"]
    lines += [
        " ".join(f"{value:.3f}" for value in row) for row in np.random.default_rng(0).normal(size=(FRAMES, count))
    ]
    (folder / "a.bvh").write_text("\n".join(lines) + "\n")
    return single(folder / "a.bvh")


def ntu(folder: Path) -> Seed:
    lines = [f"{FRAMES}"]
    for pose in body("ntu-25").clips[0][0]:
        lines += ["1", "72057594037931101 0 1 1 1 1 0 0.02 -0.2 2", "25"]
        lines += [" ".join([f"{v:.5f}" for v in joint] + ["0"] * 8 + ["2"]) for joint in pose]
    path = folder / "S001C001P001R001A001.skeleton"
    path.write_text("\n".join(lines) + "\n")
    return single(path)


def c3d(folder: Path) -> Seed:
    import ezc3d

    joints = SKELETONS["common-15"].joints
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [30]
    file["parameters"]["POINT"]["LABELS"]["value"] = joints
    file["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
    points = body("common-15").clips[0][0].transpose(2, 1, 0)
    file["data"]["points"] = np.concatenate([points, np.ones((1, *points.shape[1:]))])
    file.write(str(folder / "a.c3d"))
    return single(folder / "a.c3d")


def mvnx(folder: Path) -> Seed:
    side = "Shoulder UpperArm ForeArm Hand".split(), "UpperLeg LowerLeg Foot Toe".split()  # noqa: SIM905
    names = ["Pelvis", "L5", "L3", "T12", "T8", "Neck", "Head"]
    names += [one + part for parts in side for one in ("Right", "Left") for part in parts]
    segments = "".join(f'<segment label="{name}" id="{i + 1}"/>' for i, name in enumerate(names))
    frames = "".join(
        f'<frame time="{i}" index="{i}" type="normal"><position>{" ".join(f"{v:.4f}" for v in pose)}</position></frame>'
        for i, pose in enumerate(np.random.default_rng(0).normal(size=(FRAMES, 69)))
    )
    (folder / "a.mvnx").write_text(
        '<?xml version="1.0"?><mvnx xmlns="http://www.xsens.com/mvn/mvnx" version="4"><subject label="A" '
        f'frameRate="60" segmentCount="23"><segments>{segments}</segments><frames>{frames}</frames></subject></mvnx>'
    )
    return single(folder / "a.mvnx")


def amc(folder: Path) -> Seed:
    (folder / "a.asf").write_text(SKELETON)
    (folder / "a.amc").write_text(MOTION)
    return Seed("poses", folder / "a.amc", (folder / "a.amc", folder / "a.asf"), {})


def pose(folder: Path) -> Seed:
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    points = [joint.upper() for joint in SKELETONS["mediapipe-33"].joints]
    limbs = [(0, 1), (1, 2)]
    parts = [PoseHeaderComponent(name, points, limbs, [(255, 0, 0)], "XYZC") for name in ("POSE_LANDMARKS", "OTHER")]
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480, 0), parts)
    values = np.random.default_rng(0).uniform(1, 400, size=(4, 1, 66, 3)).astype(np.float32)
    with (folder / "a.pose").open("wb") as file:
        Pose(header, NumPyPoseBody(25, values, np.full((4, 1, 66), 0.5, np.float32))).write(file)
    return single(folder / "a.pose")


def sleap(folder: Path) -> Seed:
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(folder / "a.h5", "w") as file:
        file["tracks"] = rng.uniform(1, 500, size=(2, 2, 5, FRAMES))
        file["point_scores"] = rng.uniform(0.1, 1, size=(2, 5, FRAMES))
        file["node_names"] = np.array([f"node{i}" for i in range(5)], dtype="S")
    return single(folder / "a.h5", fps=30)


def deeplabcut_h5(folder: Path) -> Seed:
    """As pandas writes a table with PyTables."""
    import h5py

    columns = [("DLC", part, axis) for part in ("nose", "neck", "tail") for axis in ("x", "y", "likelihood")]
    table = np.zeros(FRAMES, dtype=[("index", "i8"), ("values_block_0", "f8", (len(columns),))])
    table["index"] = np.arange(FRAMES)
    table["values_block_0"] = np.random.default_rng(0).uniform(0.1, 500, size=(FRAMES, len(columns)))
    with h5py.File(folder / "a.h5", "w") as file:
        made = file.create_dataset("df_with_missing/table", data=table)
        made.attrs["values_block_0_kind"] = np.void(pickle.dumps(columns, protocol=0))
    return single(folder / "a.h5", fps=30)


def slp(folder: Path) -> Seed:
    rng = np.random.default_rng(0)
    people = [
        (0, frame, int(frame != 2), person, rng.uniform(1, 500, size=(3, 2)), rng.uniform(0.1, 1, size=3))
        for frame in range(FRAMES)
        for person in (0, 1)
    ]
    write_slp(folder / "a.slp", ["nose", "neck", "tail"], people)
    return single(folder / "a.slp", fps=30)
