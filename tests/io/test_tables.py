"""CSV and Parquet: meanings of column names, round trips, `skelrep convert`, and tables that are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.io import read, write
from skelrep.io.tables.columns import columns_of
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, custom

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")
COCO = SKELETONS["coco-17"]


def example(channels: int = 3) -> Poses:
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(m, t, 17, channels)).astype(np.float32) for m, t in ((1, 4), (2, 3), (1, 7))]
    clips[1][1, 0] = np.nan
    clips[2][0, 2, 5:9] = np.nan
    scores = [rng.uniform(0.1, 1, clip.shape[:3]).astype(np.float32) for clip in clips]
    return Poses(clips, COCO, ["b, quoted", "a", "c"], np.array(["sit", "run", "sit"]), 29.97, scores)


def assert_same(a: Poses, b: Poses) -> None:
    assert (a.skeleton, a.ids) == (b.skeleton, b.ids)
    assert a.fps == pytest.approx(b.fps, rel=1e-9)
    assert a.labels is not None and b.labels is not None and a.labels.tolist() == b.labels.tolist()
    assert a.scores is not None and b.scores is not None
    for x, y in zip(a.clips + a.scores, b.clips + b.scores, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("channels", [2, 3])
def test_round_trip(tmp_path, suffix, channels):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    poses = example(channels)
    write(poses, tmp_path / f"a{suffix}")
    assert_same(read(tmp_path / f"a{suffix}"), poses)
    plain = Poses(poses.clips, custom(["pelvis", "neck", *"abcdefghijklmno"]), labels=np.array([3, 1, 2]))
    write(plain, tmp_path / f"b{suffix}")
    again = read(tmp_path / f"b{suffix}")
    assert again.labels is not None and again.labels.tolist() == [3, 1, 2]
    assert (again.ids, again.fps, again.scores) == (["0", "1", "2"], None, None)
    assert again.skeleton.joints == plain.skeleton.joints


def test_a_table_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("before")
    with pytest.raises(ValueError, match="no clip to write"):
        write(example()[:0], tmp_path / "a.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match="needs pyarrow: pip install"):
        write(example(), tmp_path / "a.parquet")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


SPELLINGS = ["Hips.{}", "hips_{}", "Hips:{}", "Hips {}", "Hips_pos_{}", "Hips.Position.{}", "{}_hips", "{}.Hips"]
SPELLINGS += [
    "Hips ({})",
    "Hips[{}]",
    "hips_{}_mm",
    "Hips {} (mm)",
    "Hips_T{}",
    "pos_{}_hips",
    "('Hips', '{}')",
    "Hips{}",
]
SPELLINGS += ["position.Hips.{}", "A_Hips_{}", "hips-{}"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings(spelling):
    for axes in ("YXZ", "yxz") if spelling != "Hips{}" else ("YXZ",):
        columns = columns_of([spelling.format(axis) for axis in axes])
        (found,) = columns.joints
        assert columns.tracks[""][found] == {"x": 1, "y": 0, "z": 2}
        assert custom([found]).joints == ("pelvis",) or "A_" in spelling
        assert columns.unit == (0.001 if "mm" in spelling else None)


def test_more_spellings():
    names = ["time", "HipsX", "HipsY", "HipsZ", "LeftArm.x", "LeftArm.y", "LeftArm.z", "LeftArm.rot.x", "LeftArm.rot.y"]
    assert columns_of(names).joints == ["Hips", "LeftArm"]
    names = ["nose_x", "nose_y", "nose_likelihood", "index", "quality"]
    assert columns_of(names).tracks == {"": {"nose": {"x": 0, "y": 1, "score": 2}}}
    assert columns_of(["x0", "y0", "x1", "y1", "x_2", "y_2"]).joints == ["0", "1", "2"]
    assert columns_of(["class", "x1", "y1", "z1", "v1"]).tracks == {"": {"1": {"x": 1, "y": 2, "z": 3, "score": 4}}}
    assert columns_of(["nosex", "nosey", "necky", "neckx", "sex", "age"]).joints == ["nose", "neck"]


def test_columns_of_other_things_are_ignored():
    joint = ["nose_x", "nose_y", "nose_z"]
    others = ["bbox_x", "bbox_y", "box_x", "box_y", "nose_x_proj", "nose_y_proj", "acc_x", "acc_y", "acc_z", "gyro.x"]
    others += [
        "nose.rotation.x",
        "nose.rotation.y",
        "nose.rotation.z",
        "nose_vel_x",
        "nose_vel_y",
        "euler_x",
        "euler_y",
    ]
    assert columns_of([*others, *joint]).tracks == {"": {"nose": dict(zip("xyz", range(len(others), len(others) + 3)))}}
    extra = [f"{name}_{axis}" for name in ("nose", "neck", "left_hip", "right_hip") for axis in "xyz"]
    columns = columns_of([*extra, "thing_x", "thing_y"])
    assert (len(columns.joints), columns.incomplete) == (4, ["thing"])


def test_a_long_name_of_a_column_takes_no_time():
    names = ["a" + "_" * 50_000 + "q", "x" + "_x" * 50_000, "B" * 100_000, "x" + "1" * 100_000]
    columns_of(["hips_x", "hips_y", *names])


def test_persons_in_the_names_of_joints():
    joints = ["Hips", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm"]
    for person in ("{}:", "person{} ", "P{}_"):
        names = [f"{person.format(i)}{joint}.{axis}" for i in (1, 2) for joint in joints for axis in "xyz"]
        columns = columns_of([*names, "Table:corner.x", "Table:corner.y", "Table:corner.z"])
        assert [list(track) for track in columns.tracks.values()] == [joints, joints], person
    names = [f"Anna:{joint}.{axis}" for joint in joints for axis in "xyz"]
    columns = columns_of([*names, "Table:corner.x", "Table:corner.y", "Table:corner.z"])
    assert {person: list(track) for person, track in columns.tracks.items()} == {"Anna": joints}


def test_columns_say_what_a_row_belongs_to(tmp_path):
    rows = ["Clip;Frame;Person;Nose.x;Nose.y", "b;12;7;1;2", "a;0;0;3;4", "b;10;7;5;6", "b;12;3;;8"]
    (tmp_path / "a.csv").write_text("\ufeff" + "\n".join(rows) + "\n\n", encoding="utf-8")
    poses = read(tmp_path / "a.csv")
    assert (poses.ids, poses.skeleton.joints, poses.fps) == (["b", "a"], ("nose",), None)
    np.testing.assert_array_equal(poses.clips[0][:, :, 0], [[[5, 6], [1, 2]], [[np.nan] * 2, [np.nan, 8]]])
    np.testing.assert_array_equal(poses.clips[1], [[[[3, 4]]]])
    numbered = "".join(f"x{i},y{i}{',' * (i < 16)}" for i in range(17)) + "\n" + ",".join(["1.5"] * 34) + "\n"
    (tmp_path / "b.csv").write_text(numbered)
    assert read(tmp_path / "b.csv", skeleton="coco-17").clips[0].shape == (1, 1, 17, 2)
    with pytest.raises(ValueError, match=r"b\.csv: .* its 17 joints are: .*coco-17"):
        read(tmp_path / "b.csv")


def test_columns_without_names(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 2, 7))
    np.savetxt(tmp_path / "a.txt", values.reshape(4, 14))
    poses = read(tmp_path / "a.txt", skeleton=["hips", "head"], fps=60, scale=0.001)
    assert (poses.ids, poses.fps) == (["a"], 60)
    np.testing.assert_allclose(poses.clips[0][0], values[..., :3] / 1000, rtol=1e-5)
    with pytest.raises(ValueError, match=r"a\.txt contains 14 columns of numbers without names; pass skeleton="):
        read(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"14 columns .* the 25 joints of 'ntu-25' need 2 .* each"):
        read(tmp_path / "a.txt", skeleton="ntu-25")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.x,a.y\n1,2\n1,b\n", "line 3: could not convert string to float: 'b'"),
        ("a.x,a.y\n1,2,3\n", "line 2: 3 cells, but the first line has 2"),
        ("a.x,a.y\n", "column names but no rows"),
        ("a,b\n1,2\n", "has no columns of joints.*it has: a, b"),
        ("a.x,a.y,a.z,b.x,b.y\n1,2,3,4,5\n", "has no column z of b, unlike other joints"),
        ("frame,a.x,a.y\none,1,2\n", "is not a (time|number)"),
        ("a.x,a.y\n1,inf\n", "infinite coordinates"),
        ("a.x,a.y\n1," + "9" * 200_000 + "\n", "is not a text table"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv.*{message}|{message}.*a\.csv"):
        read(tmp_path / "a.csv")


def test_a_table_that_would_fill_the_memory(tmp_path):
    # Each person in two frames without the other persons.
    rows = "".join(f"{i // 2},{i},{i // 2},2\n" for i in range(20_000))
    (tmp_path / "a.csv").write_text("person,frame,a.x,a.y\n" + rows)
    with pytest.raises(ValueError, match=r"a\.csv.*SKELREP_MAX_GIGABYTES"):
        read(tmp_path / "a.csv")


def test_other_parquet_files_are_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(ValueError, match=r"a\.parquet is damaged or not a Parquet table"):
        read(tmp_path / "a.parquet")
    parquet.write_table(arrow.table({"a.x": ["1"], "a.y": ["b"]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet"):
        read(tmp_path / "b.parquet")
    parquet.write_table(arrow.table({"a.x": [1.0, None], "a.y": [1, 2]}), tmp_path / "c.parquet")
    np.testing.assert_array_equal(read(tmp_path / "c.parquet").clips[0][0, :, 0], [[1, 1], [np.nan, 2]])


def test_a_table_of_something_else_in_a_folder_is_left_out(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 17, 2)))
    (tmp_path / "labels.csv").write_text("name,label\na,1\n")
    with pytest.warns(UserWarning, match="labels.csv"):
        assert read(tmp_path, skeleton="coco-17").ids == ["a"]
    (tmp_path / "a.npy").unlink()
    write(example(), tmp_path / "labels.csv")
    assert len(read(tmp_path)) == 3


def test_declared_scores_rates_and_scales(tmp_path):
    poses = example()
    poses.save(tmp_path / "a.npz")
    assert poses.scores is not None
    least = read(tmp_path / "a.npz", min_score=0.5)
    for clip, before, score in zip(least.clips, poses.clips, poses.scores):
        assert np.isnan(clip[score < 0.5]).all()
        np.testing.assert_array_equal(clip[score >= 0.5], before[score >= 0.5])
    stretched = read(tmp_path / "a.npz", scale=(2, 3, 0))
    np.testing.assert_array_equal(stretched.clips[0], poses.clips[0] * np.array([2, 3, 0], dtype=np.float32))
    for scale in ((2, 3), 0, np.nan):
        with pytest.raises(ValueError, match="scale must be a number, or one for each of the 3 axes"):
            read(tmp_path / "a.npz", scale=scale)
    Poses(poses.clips, COCO).save(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"b\.npz has no scores, so min_score=0.5 cannot be applied"):
        read(tmp_path / "b.npz", min_score=0.5)


def test_convert(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    poses = example()
    poses.save("a.npz")
    assert main(["convert", "a.npz", "a.csv", "-q"]) == 0
    assert_same(read("a.csv"), poses)
    assert main(["convert", "a.csv", "b.npz", "--min-score", "0.5", "--scale", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"output": "b.npz", "clips": 3, "skeleton": "coco-17"}
    np.testing.assert_array_equal(read("b.npz").clips[0], read("a.npz", min_score=0.5, scale=2).clips[0])
    np.savetxt("c.txt", np.ones((4, 6)))
    assert main(["convert", "c.txt", "c.npy", "--skeleton", "Hips, Head"]) == 0
    assert np.load("c.npy").shape == (1, 4, 2, 3)
    assert "c.txt -> c.npy: Poses(1 clip" in capsys.readouterr().err
    assert main(["convert", "a.npz", "a.mat"]) == 1
    assert "a.mat ends in .mat" in capsys.readouterr().err


@real_files
def test_a_real_csv():
    poses = read(FIXTURES / "csv" / "0005_2FeetJump001_pos.csv")
    assert (poses.fps, poses.clips[0].shape) == (120.0, (1, 2575, 25, 3))
    assert {"pelvis", "left_collar", "left_shoulder", "left_hand", "left_knee", "head"} <= set(poses.skeleton.joints)
    np.testing.assert_allclose(poses.clips[0][0, 0, 0], [1.1473, 32.8029, 1.7158])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ambiguous_ids_are_refused(tmp_path, suffix):
    poses = Poses([np.ones((1, 3, 2, 3), np.float32)] * 3, custom(["a", "b"]), ["one", "two", "one"])
    with pytest.raises(ValueError, match=r"1 ids .*\(one\)"):
        write(poses, tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
