"""Seeds of text and Parquet: tables with a header, header blocks of motion capture, rows of numbers of data sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from skelrep import write
from skelrep.skeletons import SKELETONS
from tests.fuzz.seeds.seed import FRAMES, Seed, body, single
from tests.pose_files import pku_frames, write_pku_recording

MARKERS = ["Hips", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm"]


def csv(folder: Path) -> Seed:
    write(body("common-15"), folder / "a.csv")
    return single(folder / "a.csv")


def parquet(folder: Path) -> Seed:
    write(body("common-15"), folder / "a.parquet")
    return single(folder / "a.parquet")


def text(folder: Path) -> Seed:
    rows = body("kinect-20").clips[0].reshape(-1, 60)
    np.savetxt(folder / "a.txt", rows, fmt="%.4f")
    return single(folder / "a.txt", skeleton="kinect-20", fps=30)


def long_csv(folder: Path) -> Seed:
    lines = ["frame,joint,x,y,z"]
    for frame, pose in enumerate(body("kinect-20").clips[0][0]):
        for name, point in zip(SKELETONS["kinect-20"].joints, pose):
            lines.append(",".join([str(frame), name, *(f"{value:.4f}" for value in point)]))
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return single(folder / "a.csv")


def labels(folder: Path) -> Seed:
    """A table of labels for clips of another file."""
    body("kinect-20").save(folder / "a.npz")
    lines = ["id,label,subject", *(f"clip{i},action{i},{i}" for i in range(2))]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    options = {"labels": str(folder / "labels.csv"), "subjects": str(folder / "labels.csv")}
    return Seed("poses", folder / "a.npz", (folder / "labels.csv",), options)


def motive(folder: Path) -> Seed:
    columns = [(f"Anna:{joint}", axis) for joint in MARKERS for axis in "XYZ"]
    lines = [
        "Format Version,1.23,Take Name,T,Capture Frame Rate,120.0,Export Frame Rate,120.000000,Length Units,Meters,"
        "Coordinate Space,Global",
        "",
        ",".join(["", "Type", *["Bone"] * len(columns)]),
        ",".join(["", "Name", *(name for name, _ in columns)]),
        ",".join(["", "ID", *["1"] * len(columns)]),
        ",".join(["", "", *["Position"] * len(columns)]),
        ",".join(["Frame", "Time (Seconds)", *(axis for _, axis in columns)]),
    ]
    lines += [f"{i},{i / 120:.6f},{_cells(row)}" for i, row in enumerate(_markers())]
    return _table(folder / "a.csv", lines)


def nexus(folder: Path) -> Seed:
    names = ",".join(["", "", *(cell for joint in MARKERS for cell in (f"P:{joint}", "", ""))])
    axes = ",".join(["Frame", "Sub Frame", *["X", "Y", "Z"] * len(MARKERS)])
    units = ",".join(["", "", *["mm"] * 3 * len(MARKERS)])
    rows = [f"{i + 1},0,{_cells(1000 * row)}" for i, row in enumerate(_markers())]
    return _table(folder / "a.csv", ["Trajectories", "100", names, axes, units, *rows])


def qualisys(folder: Path) -> Seed:
    head = [f"NO_OF_FRAMES\t{FRAMES}", f"NO_OF_MARKERS\t{len(MARKERS)}", "FREQUENCY\t50", "DATA_INCLUDED\t3D"]
    rows = [_cells(1000 * row, "\t") for row in _markers()]
    return _table(folder / "a.tsv", [*head, "\t".join(["MARKER_NAMES", *MARKERS]), *rows])


def trc(folder: Path) -> Seed:
    axes = "\t".join(f"{axis}{i + 1}" for i in range(len(MARKERS)) for axis in "XYZ")
    head = [
        "PathFileType\t4\t(X/Y/Z)\ta.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
        f"50.00\t50.00\t{FRAMES}\t{len(MARKERS)}\tmm",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        f"\t\t{axes}",
        "",
    ]
    rows = [f"{i + 1}\t{i / 50:.3f}\t{_cells(1000 * row, chr(9))}" for i, row in enumerate(_markers())]
    return _table(folder / "a.trc", [*head, *rows])


def deeplabcut(folder: Path) -> Seed:
    parts = [joint for joint in MARKERS for _ in range(3)]
    lines = [["scorer", *["DLC"] * len(parts)], ["bodyparts", *parts], ["coords", *["x", "y", "likelihood"] * 7]]
    values = np.random.default_rng(0).uniform(0.1, 1, size=(FRAMES, len(parts)))
    rows = [f"{i},{_cells(row)}" for i, row in enumerate(values)]
    return _table(folder / "a.csv", [*(",".join(line) for line in lines), *rows])


def msr_action3d(folder: Path) -> Seed:
    points = body("kinect-20").clips[0][0]
    rows = np.concatenate([points, np.full((*points.shape[:2], 1), 0.75)], axis=2).reshape(-1, 4)
    return _table(folder / "a01_s03_e01_skeleton3D.txt", (_cells(row, " ") for row in rows))


def msr_daily_activity(folder: Path) -> Seed:
    lines = [f"{FRAMES} 20"]
    for pose in body("kinect-20").clips[0][0]:
        lines.append("40")
        for point in pose:
            lines += [_cells([*point, 1], " "), _cells([0.5, 0.5, 0.5, 1], " ")]
    return _table(folder / "a02_s01_e02_skeleton.txt", lines)


def utkinect(folder: Path) -> Seed:
    rows = [f"{252 + 2 * i} {_cells(pose, ' ')}" for i, pose in enumerate(body("kinect-20").clips[0][0])]
    path = _table(folder / "joints_s02_e01.txt", rows).path
    (folder / "actionLabel.txt").write_text("s02_e01 \nwalk: 252 260\ncarry: NaN NaN\npush: 262 270\n")
    return Seed("poses", path, (path, folder / "actionLabel.txt"), {})


def florence3d(folder: Path) -> Seed:
    poses = [(i + 1, pose) for i, clip in enumerate(body("common-15").clips) for pose in clip[0]]
    rows = [f"{video} 4 2 {_cells(1000 * pose, ' ')}" for video, pose in poses]
    return _table(folder / "Florence_dataset_WorldCoordinates.txt", rows)


def sbu(folder: Path) -> Seed:
    inner = folder / "s01s02" / "03" / "001"
    inner.mkdir(parents=True)
    rows = [f"{i + 1},{_cells([pose, pose])}" for i, pose in enumerate(body("common-15").clips[0][0])]
    return _table(inner / "skeleton_pos.txt", rows)


def kard(folder: Path) -> Seed:
    points = 1000 * body("common-15").clips[0][0].reshape(-1, 3)
    return _table(folder / "a16_s03_e02_realworld.txt", (_cells(point, " ") for point in points))


def cad60(folder: Path) -> Seed:
    rows = []
    for frame, pose in enumerate(1000 * body("common-15").clips[0][0], start=1):
        oriented = [[*np.eye(3).ravel(), 1, *point, 1] for point in pose[:11]]
        plain = [[*point, 1] for point in pose[11:]]
        rows.append(f"{frame},{_cells(np.concatenate([*oriented, *plain]))},")
    path = _table(folder / "0512164529.txt", [*rows, "END"]).path
    (folder / "activityLabel.txt").write_text("0512164529,brushing teeth,\nEND\n")
    return Seed("poses", path, (path, folder / "activityLabel.txt"), {})


def kimore(folder: Path) -> Seed:
    inner = folder / "Stroke" / "S_ID4" / "Es3" / "Raw"
    inner.mkdir(parents=True)
    points = body("ntu-25").clips[0][0]
    cells = np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], axis=2)
    return _table(inner / "JointPosition120614.csv", (f"{_cells(row)}," for row in cells))


def nw_ucla_text(folder: Path) -> Seed:
    inner = folder / "view_1" / "a01_s02_e00"
    inner.mkdir(parents=True)
    for frame, pose in enumerate(body("kinect-20").clips[0][0]):
        rows = "".join(f"{x:.5f},{y:.5f},{z:.5f},2\n" for x, y, z in pose)
        (inner / f"frame_{frame}_tc_{33 * frame}_skeletons.txt").write_text(f"20,1\n{rows}")
    return Seed("poses", folder, tuple(sorted(inner.iterdir()))[:3], {"fps": 30})


def pku(folder: Path) -> Seed:
    skeletons, intervals = folder / "PKU_Skeleton_Renew", folder / "Train_Label_PKU_final"
    write_pku_recording(skeletons, intervals, "0002-L", pku_frames(FRAMES, range(4, 8)), "3,2,6,2\n51,5,12,1\n")
    (folder / "cross-subject.txt").write_text("Training videos: \n0002-L, \nValidataion videos: \n0291-R\n")
    files = skeletons / "0002-L.txt", intervals / "0002-L.txt", folder / "cross-subject.txt"
    return Seed("poses", folder, files, {})


def _markers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(FRAMES, len(MARKERS), 3))


def _cells(row: object, separator: str = ",") -> str:
    return separator.join(f"{number:.5f}" for number in np.ravel(row))  # type: ignore[arg-type]


def _table(path: Path, lines: Iterable[str]) -> Seed:
    path.write_text("\n".join(lines) + "\n")
    return single(path)
