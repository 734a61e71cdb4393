"""numpy's own files: round trips, axis orders, CTR-GCN."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from skelrep.io import read, write
from skelrep.poses import Poses
from tests.bodies import walking
from tests.pose_files import (
    THREE,
    assert_same,
    save,
)

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
    clips[:, 0, -1] = 1  # a last frame in which nobody is seen would count as padding
    poses = Poses(list(clips), THREE, ["poses"] if count == 1 else [])
    with tempfile.TemporaryDirectory() as folder:
        write(poses, Path(folder) / "poses.npy")
        # Three persons and more could be another order of axes, so the layout is required.
        layout = None if sizes[0] <= 2 else "MTVC" if count == 1 else "NMTVC"
        again = read(Path(folder) / "poses.npy", skeleton=THREE, layout=layout, channels="xyz"[:channels])
        assert_same(again, poses)


def test_write_refuses_other_suffixes_and_unequal_shapes(tmp_path):
    ragged = Poses([np.ones((1, 2, 3, 3)), np.ones((1, 4, 3, 3))], THREE)
    with pytest.raises(ValueError, match=r"2 clips have 2 shapes.*write a\.npz"):
        write(ragged, tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"\.npz, \.npy, \.csv, \.parquet.* \.jsonl, but .*a\.mat ends in \.mat"):
        write(ragged, tmp_path / "a.mat")
    with pytest.raises(FileNotFoundError, match="the folder .*none does not exist"):
        write(ragged, tmp_path / "none" / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"before")
    with pytest.raises(ValueError, match="Python objects"):
        write(replace(ragged, labels=np.array([1, None], dtype=object)), tmp_path / "a.npz")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


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


def test_invalid_arrays_are_refused(tmp_path):
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
    assert "not a NumPy file" in complaint("garbage.npy")
    complaint("short.npy")
    complaint("header.npy")
    complaint("short.npz")
    assert "is empty" in complaint("empty.npy")
    assert "contains a, b; expected an array of poses" in complaint("several.npz")
    assert "(4, 75)" in complaint("flat.npy")
    assert 'pass layout="NMTVC" or layout="NCTVM"' in complaint("five.npy")
    assert "array of numbers" in complaint("text.npy")
    assert 'layout="NTVC"' in complaint("many.npy")
    assert "must name each of T, V, C once" in complaint("good.npy", layout="XYZ")
    Poses([np.ones((1, 2, 3, 3))], THREE).save(tmp_path / "own.npz")
    assert "layout= is for bare arrays" in complaint("own.npz", layout="NTVC")
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


@pytest.mark.parametrize("form", ["npz", "npy", "pkl", "pkl of a list"])
def test_several_clips_in_one_file(tmp_path, form):
    walk, run = walking("ntu-25", 9)[0], walking("ntu-25", 7, seed=1)
    path = tmp_path / f"a.{form[:3]}"
    clips = {"walk": walk, "run": run}
    if form == "npz":
        np.savez(path, **clips)
    elif form == "npy":
        np.save(path, clips, allow_pickle=True)  # type: ignore[arg-type]
    else:
        path.write_bytes(pickle.dumps(clips if form == "pkl" else [walk, run]))
    poses = read(path, skeleton="ntu-25", fps=30)
    assert poses.ids == (["0", "1"] if form.endswith("list") else ["walk", "run"])
    np.testing.assert_array_equal(poses.clips[0][0], walk)
    np.testing.assert_array_equal(poses.clips[1], run)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".pkl"])
def test_clips_with_labels_and_a_rate(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    content = {
        "x": np.stack([walking("ntu-25", 9, seed=i) for i in range(3)]),
        "y": np.array(["a", "b", "a"]),
        "fps": 25,
    }
    if suffix == ".npz":
        np.savez(path, **content)
    elif suffix == ".npy":
        np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]
    else:
        path.write_bytes(pickle.dumps(content))
    poses = read(path, skeleton="ntu-25")
    assert poses.labels is not None and poses.labels.tolist() == ["a", "b", "a"]
    assert (poses.fps, len(poses)) == (25, 3)
    np.testing.assert_array_equal(poses.clips[2], content["x"][2])


def test_arrays_that_are_not_clips_are_listed(tmp_path):
    np.savez(tmp_path / "a.npz", speed=np.ones(3), names=np.array(["a"]), x=np.ones((3, 25, 3)))
    with pytest.raises(ValueError, match="a.npz contains speed, names, x; expected an array of poses"):
        read(tmp_path / "a.npz", skeleton="ntu-25")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.ones(3)))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        read(tmp_path / "a.pkl", skeleton="ntu-25")
