"""Every format: what comes back, and what is said of files that are not what they should be."""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from skelrep.io import READERS, ntu, read, read_parts, write
from skelrep.io.agcn import _true_length
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton, custom
from tests.pose_files import FIXTURES, agcn_folder, annotation, dump, moving, real_files, skeleton_text

THREE = custom(["pelvis", "neck", "head"], [0, 0, 1], name="three")


def assert_same(a: Poses, b: Poses) -> None:
    assert len(a) == len(b)
    assert (a.skeleton, a.ids, a.fps) == (b.skeleton, b.ids, b.fps)
    for key in ("clips", "scores"):
        assert (getattr(a, key) is None) == (getattr(b, key) is None)
        for x, y in zip(getattr(a, key) or [], getattr(b, key) or [], strict=True):
            np.testing.assert_array_equal(x, y)
    columns = [poses.info | ({} if poses.labels is None else {"labels": poses.labels}) for poses in (a, b)]
    assert columns[0].keys() == columns[1].keys()
    for key, column in columns[0].items():
        np.testing.assert_array_equal(column, columns[1][key])


# -- our own files ----------------------------------------------------------------------------------------------------

coordinates = st.floats(-10, 10, width=32).filter(lambda x: x != 0) | st.just(np.nan)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def ragged(draw) -> Poses:
    count, channels = draw(st.integers(1, 4)), draw(st.sampled_from([2, 3]))
    shapes = [(draw(st.integers(1, 3)), draw(st.integers(1, 5)), len(THREE)) for _ in range(count)]
    column = st.sampled_from([np.int64, np.bool_, "U5", np.float64]).flatmap(
        lambda kind: npst.arrays(kind, count, elements=words.map(lambda w: w[:5]) if kind == "U5" else None)
    )
    scores = [draw(npst.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))) for shape in shapes]
    return Poses(
        [draw(npst.arrays(np.float32, (*shape, channels), elements=coordinates)) for shape in shapes],
        THREE,
        draw(st.just([]) | st.lists(words, min_size=count, max_size=count)),
        draw(st.none() | npst.arrays(np.int64, count)),
        draw(st.none() | st.floats(0.5, 240)),
        draw(st.none() | st.just(scores)),
        draw(st.dictionaries(words.map(lambda w: w.replace("/", "_")), column, max_size=3)),
    )


@settings(max_examples=60, deadline=None)
@given(ragged())
def test_npz_round_trip(poses):
    with tempfile.TemporaryDirectory() as folder:
        write(poses, Path(folder) / "poses.npz")
        assert_same(read(Path(folder) / "poses.npz"), poses)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), npst.array_shapes(min_dims=2, max_dims=2, max_side=4), st.sampled_from([2, 3]), st.data())
def test_npy_round_trip(count, sizes, channels, data):
    clips = data.draw(npst.arrays(np.float32, (count, *sizes, 3, channels), elements=coordinates))
    clips[:, 0, -1] = 1  # a last frame in which nobody is seen would be taken for padding
    poses = Poses(list(clips), THREE, ["poses"] if count == 1 else [])
    with tempfile.TemporaryDirectory() as folder:
        write(poses, Path(folder) / "poses.npy")
        # Three persons and more could be another order of axes, and need it said.
        layout = None if sizes[0] <= 2 else "MTVC" if count == 1 else "NMTVC"
        assert_same(read(Path(folder) / "poses.npy", skeleton=THREE, layout=layout), poses)


def test_write_says_what_it_cannot(tmp_path):
    ragged = Poses([np.ones((1, 2, 3, 3)), np.ones((1, 4, 3, 3))], THREE)
    with pytest.raises(ValueError, match=r"2 clips have 2 shapes.*write a\.npz"):
        write(ragged, tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"\.npz, \.npy, \.csv, \.parquet or \.jsonl, but .*a\.mat ends in \.mat"):
        write(ragged, tmp_path / "a.mat")
    with pytest.raises(FileNotFoundError, match="the folder .*none does not exist"):
        write(ragged, tmp_path / "none" / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"before")
    with pytest.raises(ValueError, match="Python objects"):
        write(replace(ragged, labels=np.array([1, None], dtype=object)), tmp_path / "a.npz")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


# -- arrays -----------------------------------------------------------------------------------------------------------


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_array_shapes(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 2, 5, 3, 3)).astype(np.float32)
    one = save(tmp_path / "one.npy", values[0, 0])
    assert (read(one, skeleton=THREE).ids, read(one, skeleton=THREE).clips[0].shape) == (["one"], (1, 5, 3, 3))
    assert read(save(tmp_path / "two.npy", values[0]), skeleton=THREE).clips[0].shape == (2, 5, 3, 3)
    batch = read(save(tmp_path / "batch.npy", values), skeleton=THREE, fps=25)
    assert (batch.ids, batch.fps) == (["0", "1", "2", "3"], 25)
    other = read(save(tmp_path / "other.npy", values.transpose(0, 4, 2, 3, 1)), layout="NCTVM", skeleton=THREE)
    assert_same(replace(other, fps=25.0), batch)
    np.savez(tmp_path / "single.npz", anything=values)
    assert_same(read(tmp_path / "single.npz", skeleton=THREE, fps=25), batch)
    (tmp_path / "archive.npy").write_bytes((tmp_path / "single.npz").read_bytes())  # content decides, not the suffix
    assert_same(read(tmp_path / "archive.npy", skeleton=THREE, fps=25), batch)


def test_arrays_that_are_none(tmp_path):
    def complaint(name: str, **options) -> str:
        with pytest.raises(ValueError, match=name) as caught:
            read(tmp_path / name, **options)
        return str(caught.value)

    good = save(tmp_path / "good.npy", np.ones((1, 2, 3, 3), np.float32)).read_bytes()
    save(tmp_path / "objects.npy", np.array([np.ones(2), None], dtype=object))
    (tmp_path / "garbage.npy").write_bytes(b"no array at all")
    (tmp_path / "short.npy").write_bytes(good[:-8])
    (tmp_path / "header.npy").write_bytes(good[:20])
    (tmp_path / "empty.npy").touch()
    np.savez(tmp_path / "several.npz", a=np.ones(2), b=np.ones(2))
    np.savez(tmp_path / "objects.npz", np.array([None]))
    (tmp_path / "short.npz").write_bytes((tmp_path / "several.npz").read_bytes()[:-30])
    save(tmp_path / "flat.npy", np.ones((4, 75)))
    save(tmp_path / "five.npy", np.ones((7, 3, 10, 25, 2)))
    save(tmp_path / "text.npy", np.array(["a"]))
    save(tmp_path / "many.npy", np.ones((40, 10, 25, 3)))
    assert "Python objects" in complaint("objects.npy")
    assert "Python objects" in complaint("objects.npz")
    assert "no file of numpy's" in complaint("garbage.npy")
    complaint("short.npy")
    complaint("header.npy")
    complaint("short.npz")
    assert "is empty" in complaint("empty.npy")
    assert "holds the arrays a, b; expected a single array" in complaint("several.npz")
    assert "(4, 75)" in complaint("flat.npy")
    assert 'pass layout="NMTVC" or layout="NCTVM"' in complaint("five.npy")
    assert "array of numbers" in complaint("text.npy")
    assert 'layout="NTVC"' in complaint("many.npy")
    assert "must name each of T, V, C once" in complaint("good.npy", layout="XYZ")
    assert "layout= describes a single array" in complaint("several.npz", layout="NTVC")
    assert "has no splits" in complaint("good.npy", skeleton=THREE, split="train")
    assert len(read(tmp_path / "five.npy", layout="NMTVC", skeleton="ntu-25")) == 7


def test_ctrgcn(tmp_path):
    rng = np.random.default_rng(0)
    train = rng.normal(size=(3, 6, 2, 25, 3)).astype(np.float32)
    train[0, 4:] = 0  # padding in time
    train[1, :, 1] = 0  # and in persons
    test = rng.normal(size=(2, 6, 2, 25, 3)).astype(np.float32)
    np.savez(
        tmp_path / "NTU60_CS.npz",
        x_train=train.reshape(3, 6, 150),
        y_train=np.eye(5)[[4, 0, 2]],
        x_test=test.reshape(2, 6, 150),
        y_test=np.eye(5)[[1, 1]],
    )
    both = read(tmp_path / "NTU60_CS.npz")
    assert [clip.shape for clip in both.clips[:3]] == [(2, 4, 25, 3), (1, 6, 25, 3), (2, 6, 25, 3)]
    np.testing.assert_array_equal(both.clips[2], train[2].transpose(1, 0, 2, 3))
    assert both.labels is not None
    assert both.labels.tolist() == [4, 0, 2, 1, 1]
    assert both.info["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert both.ids[-1] == "test-1"
    assert_same(read(tmp_path / "NTU60_CS.npz", split="test"), both[3:])
    with pytest.raises(ValueError, match=r"no split 'tset'; did you mean 'test'\?"):
        read(tmp_path / "NTU60_CS.npz", split="tset")
    with pytest.raises(ValueError, match=r"x_train has shape \(3, 6, 150\); expected .* x 17 joints x 3"):
        read(tmp_path / "NTU60_CS.npz", skeleton="coco-17")


# -- NTU --------------------------------------------------------------------------------------------------------------


def test_ntu_bodies_are_followed_by_id_and_ordered_by_motion(tmp_path):
    # Ids differ in the last digit, which a float64 could not hold.
    ids = [f"7205759403793110{i}" for i in range(3)]
    tracks = [moving(4, speed, seed) for seed, speed in enumerate((0.1, 5.0, 1.0))]
    frames = [{ids[i]: tracks[i][t] for i in ((0, 1, 2) if t % 2 else (2, 1, 0))} for t in range(4)]
    del frames[2][ids[2]]
    frames.append({})
    (tmp_path / "S001C002P003R002A013.skeleton").write_text(skeleton_text(frames))
    poses = read(tmp_path / "S001C002P003R002A013.skeleton")
    (clip,) = poses.clips
    assert clip.shape == (2, 5, 25, 3)  # the body that moves least is left out, the empty frame is not
    np.testing.assert_allclose(clip[0, :4], tracks[1], rtol=1e-6)
    np.testing.assert_allclose(clip[1, [0, 1, 3]], tracks[2][[0, 1, 3]], rtol=1e-6)
    assert np.isnan(clip[:, 4]).all()
    assert np.isnan(clip[1, 2]).all()
    assert (poses.skeleton.name, poses.fps, poses.ids) == ("ntu-25", 30, ["S001C002P003R002A013"])
    assert poses.labels is not None
    assert poses.labels.tolist() == [12]
    assert {key: column.item() for key, column in poses.info.items()} == {
        **{"setup": 1, "camera": 2, "subject": 3, "replication": 2, "ntu60": True},
        **{"xsub_train": False, "xsub_val": True, "xview_train": True, "xview_val": False},
        **{"xset_train": False, "xset_val": True},
    }


def test_ntu_origin_is_missing_and_other_names_have_no_labels(tmp_path):
    track = moving(3, 1.0)
    track[1, 7] = 0
    (tmp_path / "mine.skeleton").write_text(skeleton_text([{"1": points} for points in track]).replace("\n", "\r\n"))
    poses = read(tmp_path / "mine.skeleton")
    assert np.argwhere(np.isnan(poses.clips[0]).any(-1)).tolist() == [[0, 1, 7]]
    assert poses.labels is None
    assert poses.info == {}


def test_ntu_folder(tmp_path):
    text = skeleton_text([{"1": points} for points in moving(3, 1.0)])
    for folder, name in (("a", "S001C001P001R001A001"), ("b", "S002C002P003R001A060"), ("b", "S018C003P106R001A120")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.skeleton").write_text(text)
    (tmp_path / "b" / "S001C001P001R001A002.skeleton").write_text("2\n0\n0\n")
    with pytest.warns(UserWarning, match=r"the 4 files of .*: 1 without any body \(S001C001P001R001A002") as caught:
        poses = read(tmp_path)
    assert caught[0].filename == __file__
    assert poses.ids == ["S001C001P001R001A001", "S002C002P003R001A060", "S018C003P106R001A120"]
    assert poses.labels is not None
    assert poses.labels.tolist() == [0, 59, 119]
    assert read(tmp_path, split="xset_train").ids == poses.ids[1:]
    with pytest.warns(UserWarning, match="left out of the 2 files"):
        assert read(tmp_path, split="xview_val", format="ntu").ids == poses.ids[:1]
    with pytest.raises(ValueError, match=r"has no split 'xsub_tran'; did you mean 'xsub_train'\?"):
        read(tmp_path / "a", split="xsub_tran")
    with pytest.raises(ValueError, match=r"no clip of .*a is in the split 'xset_train'"):
        read(tmp_path / "a", split="xset_train")
    (tmp_path / "a" / "S002C002P003R001A060.skeleton").write_text(text)
    with pytest.warns(UserWarning, match="left out of the 5 files"):
        assert read(tmp_path).ids[0] == "a/S001C001P001R001A001"
    with pytest.raises(ValueError, match="no frame of .*A002.skeleton holds a body"):
        read(tmp_path / "b" / "S001C001P001R001A002.skeleton")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: lines[:40], r"line 41: the file ends within frame 1; it is cut short"),
        (lambda lines: lines[:29], r"line 30: the file ends where frame 1's number of bodies should stand"),
        (lambda lines: lines[:2], r"line 3: the file ends where a body's id should stand"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], r"line 57: a joint of 3 numbers; NTU's have 12"),
        (lambda lines: ["3", *lines[1:]], r"line 58: the file ends where frame 2's number of bodies should stand"),
        (lambda lines: ["1", *lines[1:]], r"line 30: more lines follow the 1 frames"),
        (lambda lines: ["two", *lines[1:]], r"line 1: got 'two' where the number of frames should stand"),
        (lambda lines: [*lines[:3], "20", *lines[4:]], r"line 4: a body of 20 joints; NTU's have 25"),
        (lambda lines: [*lines[:1], "2", *lines[2:]], r"line 31: got '1 .* where the number of joints should stand"),
        (lambda lines: [*lines[:6], "a" + lines[6][1:], *lines[7:]], r"line 7: got 'a.*' where a joint's x, y, z"),
        (lambda lines: [*lines[:2], "", *lines[3:-1]], r"line 57: the file ends within frame 1"),
    ],
)
def test_ntu_malformed(tmp_path, damage, said):
    path = tmp_path / "bad.skeleton"
    lines = skeleton_text([{"1": points} for points in moving(2, 1.0)]).splitlines()
    path.write_text("\n".join(damage(lines)))
    with pytest.raises(ValueError, match=rf"bad\.skeleton, {said}"):
        read(path)


def test_ntu_training_subjects():
    """The numbers that the data set's authors give: 20 of 40 subjects train, and 53 of 106."""
    assert len(set(ntu.TRAINING_SUBJECTS)) == 53
    assert sum(subject <= 40 for subject in ntu.TRAINING_SUBJECTS) == 20


def test_ntu_lists_of_incomplete_samples():
    """The numbers that the data set's authors give: 302 samples of NTU RGB+D, 535 of NTU RGB+D 120."""
    assert len(ntu.incomplete()) == 535
    columns = ntu.columns_of(sorted(ntu.incomplete()))  # empty if one name is none of NTU's
    assert columns["ntu60"].sum() == 302
    assert (columns["camera"] <= 3).all()


def test_ntu_folder_leaves_incomplete_samples_out_as_the_benchmarks_do(tmp_path, monkeypatch):
    monkeypatch.setattr(ntu, "PART", 2)  # files at a time
    text = skeleton_text([{"1": points} for points in moving(3, 1.0)])
    names = [f"S0{setup}C001P001R001A00{action}" for setup in (17, 18) for action in (1, 2, 3)]
    listed = ["S001C002P005R002A008", "S032C003P067R002A077"]
    for name in names + listed:
        (tmp_path / f"{name}.skeleton").write_text(text)
    (tmp_path / f"{names[1]}.skeleton").write_text("1\n0\n")
    del names[1]
    message = r"the 8 files of .*: 2 on the benchmark's list of incomplete skeletons, 1 without any body \(S017.*A002"
    with pytest.warns(UserWarning, match=message) as caught:
        poses = read(tmp_path)
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert poses.ids == names
    assert poses.labels is not None
    assert poses.labels.tolist() == [0, 2, 0, 1, 2]
    assert poses.info["ntu60"].tolist() == [True, True, False, False, False]
    with pytest.warns(UserWarning):
        assert read(tmp_path, split=["ntu60", "xsub_train"]).ids == names[:2]
    with pytest.warns(UserWarning):
        assert [part.ids for part in read_parts(tmp_path, split="xset_train")] == [names[2:4], names[4:]]
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="in the splits 'ntu60' and 'xset_train'"):
        read(tmp_path, split=["ntu60", "xset_train"])
    assert read(tmp_path / f"{listed[0]}.skeleton").ids == listed[:1]  # who asks for it by name gets it


@real_files
def test_ntu_real_files():
    poses = read(FIXTURES / "ntu")
    assert poses.labels is not None
    assert poses.labels.tolist() == [0, 1, 2, 3, 4]
    assert [clip.shape for clip in poses.clips] == [(1, frames, 25, 3) for frames in (103, 158, 104, 99, 54)]
    assert poses.info["xsub_train"].all()
    first = (FIXTURES / "ntu" / "S001C001P001R001A001.skeleton").read_text().splitlines()
    np.testing.assert_array_equal(poses.clips[0][0, 0, 0], np.array(first[4].split()[:3], np.float32))
    np.testing.assert_array_equal(poses.clips[0][0, -1, -1], np.array(first[-1].split()[:3], np.float32))
    for clip in poses.clips:
        height = np.ptp(clip[0, :, :, 1], axis=1)
        assert np.all((height > 0.5) & (height < 2.5))
        assert np.all((clip[..., 2] > 1) & (clip[..., 2] < 5))  # in front of the camera


# -- pyskl ------------------------------------------------------------------------------------------------------------


def test_pyskl_2d(tmp_path):
    a, b = annotation("a", persons=2), annotation("b", frames=6, label=1, total_frames=5)
    a["keypoint_score"][0, 1, 5] = 0
    a["keypoint"][1] = a["keypoint_score"][1] = 0
    b["keypoint"][0, 2] = 0
    path = dump(tmp_path / "gym.pkl", {"split": {"train": ["b", "gone"], "val": ["a"]}, "annotations": [a, b]})
    poses = read(path)
    assert (poses.skeleton.name, poses.channels, poses.ids, poses.fps) == ("coco-17", 2, ["a", "b"], None)
    assert [clip.shape[:2] for clip in poses.clips] == [(1, 4), (1, 5)]
    assert np.argwhere(np.isnan(poses.clips[0]).any(-1)).tolist() == [[0, 1, 5]]
    assert np.isnan(poses.clips[1][0, 2]).all()
    assert poses.scores is not None
    assert poses.scores[0].shape == (1, 4, 17)
    assert poses.labels is not None
    assert poses.labels.tolist() == [3, 1]
    assert poses.info["train"].tolist() == [False, True]
    assert read(path, split="train").ids == ["b"]
    with pytest.raises(ValueError, match=r"gym.pkl has no split 'tran'; did you mean 'train'\? \(it has: train, val\)"):
        read(path, split="tran")


@pytest.mark.parametrize("protocol", range(6))
def test_pyskl_3d_list_and_single(tmp_path, protocol):
    entries = [annotation(f"S001C001P00{i}R001A002", persons=2, joints=25, channels=3) for i in (1, 3)]
    poses = read(dump(tmp_path / "list.pkl", entries, protocol))
    assert (poses.skeleton.name, poses.channels, poses.scores) == ("ntu-25", 3, None)
    assert poses.info["xsub_train"].tolist() == [True, False]
    del entries[0]["frame_dir"], entries[0]["label"]
    single = read(dump(tmp_path / "single.pickle", entries[0], protocol))
    assert (single.ids, single.labels) == (["single"], None)
    np.testing.assert_array_equal(single.clips[0], entries[0]["keypoint"])


def test_pyskl_nobody_seen(tmp_path):
    nobody = annotation("nobody", persons=2)
    nobody["keypoint"][:] = 0
    clip = read(dump(tmp_path / "a.pkl", [nobody])).clips[0]
    assert clip.shape == (1, 4, 17, 2)
    assert np.isnan(clip).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([annotation("a", joints=18)], r"18 joints in 2-D; known are 17 in 2-D .* pass skeleton="),
        ([annotation("a", joints=17, channels=3)], r"17 joints in 3-D"),
        ([{"frame_dir": "a", "raw_file": "b"}], r"annotation 'a' has no 'keypoint' but frame_dir, raw_file"),
        (
            [annotation("a", keypoint=np.ones((4, 17, 2)))],
            r"float64 of shape \(4, 17, 2\); expected .*\(persons, frames",
        ),
        (
            [annotation("a", keypoint_score=np.ones((1, 4)))],
            r"keypoint_score of annotation 'a' .*expected \(1, 4, 17\)",
        ),
        ([annotation("a", keypoint="none")], r"the keypoint of annotation 'a' is <U4"),
        ([], r"expected a dict .*, a list of annotations, or one"),
        ([1, 2], r"holds a list where annotations should stand"),
        ((["a"], np.array([1])), r"holds a tuple where annotations should stand"),
        ({"annotations": [annotation("a")], "split": [1]}, r'the "split" of'),
        ({"annotations": [annotation("a")], "split": {"x": ["b"]}}, r"no clip of .* is in the split 'x'"),
        (Path("a"), r"a\.pkl asks for 'pathlib"),
    ],
)
def test_pyskl_malformed(tmp_path, content, said):
    split = "x" if isinstance(content, dict) else None
    with pytest.raises(ValueError, match=said):
        read(dump(tmp_path / "a.pkl", content), split=split)


@real_files
def test_mmaction_real_files():
    for scores in ("joint.pkl", "bone.pkl"):  # results of a classifier, as torch tensors
        with pytest.raises(ValueError, match=rf"{scores} asks for 'torch\._utils"):
            read(FIXTURES / "mmaction" / scores)
    with pytest.raises(ValueError, match="sample.pkl: annotation 'jf7RDuUTrsQ' has no 'keypoint'.*files of their own"):
        read(FIXTURES / "mmaction" / "sample.pkl")


# -- AGCN -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["counted", "tiled", "zeros"])
def test_agcn_true_lengths(tmp_path, how):
    clips = agcn_folder(tmp_path, tiled=how != "zeros")
    if how == "counted":
        save(tmp_path / "train_num_frame.npy", np.array([7, 20, 12]))
    poses = read(tmp_path / "train_data_joint.npy")
    for clip, known in zip(poses.clips, clips, strict=True):
        np.testing.assert_array_equal(clip, known)
    assert poses.skeleton.name == "ntu-25"
    assert poses.ids[0] == "S001C001P001R001A002"
    assert poses.labels is not None
    assert poses.labels.tolist() == [1, 2, 3]
    assert poses.info["subject"].tolist() == [1, 2, 3]
    assert poses.info["split"].tolist() == ["train"] * 3


@given(st.integers(1, 30), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_smallest_period(length, more):
    frames = np.random.default_rng(length).normal(size=(1, length, 3, 2))
    tiled = frames[:, np.resize(np.arange(length), length + more)]
    assert _true_length(tiled) == length
    assert _true_length(np.concatenate([frames, np.zeros((1, more, 3, 2))], axis=1)) == length


def test_agcn_folder(tmp_path):
    agcn_folder(tmp_path)
    agcn_folder(tmp_path, lengths=(5, 9), half="val")
    save(tmp_path / "val_num_frame.npy", np.array([5, 9]))
    save(tmp_path / "val_data_bone.npy", np.ones((2, 3, 20, 25, 2)))
    poses = read(tmp_path)
    assert [clip.shape[1] for clip in poses.clips] == [7, 20, 12, 5, 9]
    assert poses.ids[:2] == ["train_data_joint/S001C001P001R001A002", "train_data_joint/S001C001P002R001A003"]
    assert_same(replace(read(tmp_path, split="val"), ids=["a", "b"]), replace(poses[3:], ids=["a", "b"]))
    assert len(read(tmp_path, format="agcn")) == 5


def test_agcn_malformed(tmp_path):
    agcn_folder(tmp_path)
    path = tmp_path / "train_data_joint.npy"
    with pytest.raises(ValueError, match="layout= is for bare arrays; the format 'agcn' fixes its axes"):
        read(path, layout="NCTVM")
    save(tmp_path / "train_num_frame.npy", np.array([7, 20]))
    with pytest.raises(ValueError, match="counts the frames of 2 clips, but .* has 3"):
        read(path)
    (tmp_path / "train_num_frame.npy").unlink()
    dump(tmp_path / "train_label.pkl", (["a"], [1]))
    with pytest.raises(ValueError, match=r"train_label\.pkl has 1 names and labels of shape \(1,\)"):
        read(path)
    dump(tmp_path / "train_label.pkl", [1, 2, 3])
    with pytest.raises(ValueError, match=r"train_label\.pkl holds a list; expected the pair \(names, labels\)"):
        read(path)
    dump(tmp_path / "train_label.pkl", (["a", "b", "c"], [1.0, 2.0, 3.0]), 0)  # PKU-MMD's are floats
    labels = read(path).labels
    assert labels is not None
    assert labels.dtype.kind == "i"
    (tmp_path / "train_label.pkl").unlink()
    with pytest.raises(ValueError, match='pass layout="NMTVC" or layout="NCTVM"'):
        read(path)
    assert read(path, format="agcn").ids == ["0", "1", "2"]
    with pytest.raises(ValueError, match="bones or motions, not joints; read train_data_joint.npy"):
        read(path.rename(tmp_path / "train_data_bone.npy"), format="agcn")
    with pytest.raises(ValueError, match=r"has shape \(2, 2\); expected the AGCN layout"):
        read(save(tmp_path / "flat.npy", np.ones((2, 2))), format="agcn")


# -- the door ---------------------------------------------------------------------------------------------------------


def test_folder_of_single_clips(tmp_path):
    for name, frames in (("b", 3), ("a", 5)):
        save(tmp_path / f"{name}.npy", np.ones((frames, 3, 3)))
    write(Poses([np.ones((2, 4, 3, 3))], THREE, ["c"]), tmp_path / "c.npz")
    (tmp_path / "notes.txt").write_text("not poses")
    (tmp_path / ".hidden.npy").write_text("not poses")
    save(tmp_path / "a.embeddings.npy", np.ones((1, 9)))
    with pytest.warns(UserWarning, match=r"1 of 4 files that no reader recognises as poses \(notes.txt\)"):
        poses = read(tmp_path, skeleton=THREE, fps=50)
    assert (poses.ids, [clip.shape[1] for clip in poses.clips], poses.fps) == (["a", "b", "c"], [5, 3, 4], 50)
    assert read(tmp_path, skeleton=THREE, format="npy").ids == ["a", "b"]


def test_folder_of_batches_prefixes_ids(tmp_path):
    for name in ("one", "two"):
        save(tmp_path / f"{name}.npy", np.ones((2, 1, 4, 3, 3)))
    assert read(tmp_path, skeleton=THREE).ids == ["one/0", "one/1", "two/0", "two/1"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder .*gone.npy"):
        read(tmp_path / "gone.npy")
    with pytest.raises(ValueError, match="holds no file that can be read"):
        read(tmp_path)
    with pytest.raises(ValueError, match="holds no file that can be read as ntu"):
        read(tmp_path, format="ntu")
    (tmp_path / "a.skeletn").write_text("1")
    with pytest.raises(ValueError, match=r"'.skeletn'; did you mean '.skeleton'\? \(known: .*.npy, .*.npz"):
        read(tmp_path / "a.skeletn")
    (tmp_path / "plain").write_text("1")
    with pytest.raises(ValueError, match=r"has no suffix.*pass format= one of .*npy"):
        read(tmp_path / "plain")
    with pytest.raises(ValueError, match=r"no format is called 'piskl'; did you mean 'pyskl'\? \(known: .*npy, npz"):
        read(tmp_path / "plain", format="piskl")
    for format in (reader.name for reader in READERS):
        with pytest.raises((ValueError, ModuleNotFoundError), match=r"plain|pip install 'skelrep\["):
            read(tmp_path / "plain", format=format)


def test_skeleton_can_be_said(tmp_path):
    write(Poses([np.ones((1, 2, 3, 3))], THREE), tmp_path / "a.npz")
    other = Skeleton("other", ("a", "b", "c"), (0, 0, 0))
    assert read(tmp_path / "a.npz", skeleton=other).skeleton == other
    with pytest.raises(ValueError, match="has 25 joints but the array has 3"):
        read(tmp_path / "a.npz", skeleton="ntu-25")


def test_reading_needs_no_torch():
    code = "import skelrep.io, sys; assert not {'torch', 'pandas', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, (",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 20, 3), }",
    ],
)
def test_a_changed_header_is_one_sentence(tmp_path, header):
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("poses.npy", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)
