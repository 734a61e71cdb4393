"""Whose joints the columns of a table are: persons and numbers in names, boxes and other things beside a body."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.io import read, write
from skelrep.io.tables.columns import columns_of
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.json_content import walker

COCO = list(SKELETONS["coco-17"].joints)
FRAMES = 8


def written(path, names, values) -> Poses:
    """Reads a table of frames and further columns (T, W)."""
    rows = [[t, *row] for t, row in enumerate(values)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [["frame", *names], *rows]))
    return read(path)


@pytest.mark.parametrize(
    ("form", "persons"),
    [
        ("{person}_{joint}_{axis}", ("Anna", "Ben")),
        ("{person}.{joint}.{axis}", ("A", "B")),
        ("{person}_{joint}_{axis}", ("S01", "S02")),
        ("{joint}_{person}_{axis}", ("Anna", "Ben")),
        ("{joint}_{axis}_{person}", ("p1", "p2")),
        ("{person} {joint} {axis}", ("dancer left", "dancer right")),
    ],
)
def test_persons_in_names(tmp_path, form, persons):
    names = [form.format(person=who, joint=joint, axis=axis) for who in persons for joint in COCO for axis in "xy"]
    values = [np.concatenate([walker(p, t).ravel() for p in (0, 1)]) for t in range(FRAMES)]
    poses = written(tmp_path / "a.csv", names, values)
    assert poses.skeleton.name == "coco-17" and poses.person_ids is not None
    assert poses.person_ids == [tuple(who.replace(" ", "_") for who in persons)]
    np.testing.assert_allclose(poses.clips[0], [[walker(p, t) for t in range(FRAMES)] for p in (0, 1)], rtol=1e-5)


def test_sides_are_not_persons_and_versions_are_refused():
    names = [f"{joint}_{axis}" for joint in COCO for axis in "xy"]
    assert list(columns_of(names).tracks) == [""] and columns_of(names).joints == COCO
    with pytest.raises(ValueError, match="same joints several times, as world, image"):
        columns_of([f"{version}_{name}" for version in ("world", "image") for name in names])


@pytest.mark.parametrize("form", ["kp{}_{}", "landmark_{}_{}", "joint_{}_{}", "keypoint {} {}", "point{}.{}", "j{}_{}"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.filterwarnings("ignore:.*by the geometry")
def test_joint_numbers_are_not_names(tmp_path, form, first):
    order = np.random.default_rng(0).permutation(17)
    names = [form.format(first + i, axis) for i in order for axis in "xy"]
    values = [walker(0, t)[order].ravel() for t in range(FRAMES)]
    poses = written(tmp_path / "a.csv", names, values)
    assert poses.skeleton.name == "coco-17"
    np.testing.assert_allclose(poses.clips[0][0], [walker(0, t) for t in range(FRAMES)], rtol=1e-5)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        (("x1", "y1", "x2", "y2"), "1, 2"),
        (("x_min", "y_min", "x_max", "y_max"), "min, max"),
        (("camera_x", "camera_y"), "camera"),
        (("center_x", "center_y", "w", "h"), "center"),
        (("gaze_x", "gaze_y"), "gaze"),
        (("bbox_x1", "bbox_y1", "bbox_w", "bbox_h"), None),
    ],
)
@pytest.mark.filterwarnings("error")
def test_boxes_are_not_joints(tmp_path, box, said):
    names = [*box, *(f"{joint}_{axis}" for joint in COCO for axis in "xy")]
    values = [[1.0] * len(box) + walker(0, t).ravel().tolist() for t in range(FRAMES)]
    if said is None:
        poses = written(tmp_path / "a.csv", names, values)
    else:
        with pytest.warns(UserWarning, match=f"columns of {said} are left out: .* not joint names"):
            poses = written(tmp_path / "a.csv", names, values)
    assert poses.skeleton.name == "coco-17"
    np.testing.assert_allclose(poses.clips[0][0], [walker(0, t) for t in range(FRAMES)], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*interpreted as ticks")
def test_one_row_per_joint_as_programs_for_kinect_write_it(tmp_path):
    poses = np.array([[walker(p, t) for t in range(FRAMES)] for p in (0, 1)])
    rows = [["TimeTicks", "BodyId", "JointType", "PositionX", "PositionY", "TrackingState"]]
    for t in range(FRAMES):
        for p in (0, 1):
            rows += [[333_333 * t, p, joint, *point, "Tracked"] for joint, point in zip(COCO, poses[p, t])]
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    found = read(tmp_path / "a.csv")
    assert found.person_ids == [("0", "1")] and found.fps == pytest.approx(30, rel=1e-3)
    np.testing.assert_allclose(found.clips[0], poses, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ids_of_persons_are_written_and_read(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    clips = [np.array([[walker(p, t) for t in range(FRAMES)] for p in persons]) for persons in ((0, 1), (1,), (1, 0))]
    ids = [("Anna", "7"), (None,), ("7", None)]
    poses = Poses(clips, "coco-17", ["a", "b", "c"], person_ids=ids)
    write(poses, tmp_path / f"a{suffix}")
    again = read(tmp_path / f"a{suffix}")
    assert again.person_ids == ids
    for mine, yours in zip(again.clips, poses.clips, strict=True):
        np.testing.assert_array_equal(mine, yours)
    write(Poses(clips, "coco-17", ["a", "b", "c"]), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").person_ids is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (",".join(f"x{'_' * 50_000}{axis}" for axis in "xyz"), "no columns of joints"),
        (",".join(f"j{i}_x,j{i}_y" for i in range(20_000)), "40000 columns"),
    ],
    ids=["long", "many"],
)
def test_names_that_take_long_to_compare_are_refused(header, message, tmp_path):
    """Patterns take the square of the length of a name, and names are compared with each other."""
    columns = header.count(",") + 1
    (tmp_path / "a.csv").write_text(f"{header}\n{','.join(['1'] * columns)}\n")
    with pytest.raises(ValueError, match=rf"a\.csv.*{message}"):
        read(tmp_path / "a.csv")
