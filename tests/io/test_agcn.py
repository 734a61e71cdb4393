"""Arrays of the AGCN line: true lengths, and the files beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.io import read
from skelrep.io.agcn import _true_length
from tests.pose_files import (
    agcn_folder,
    assert_same,
    dump,
    save,
)


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
    with pytest.raises(ValueError, match=r"train_label\.pkl contains a list; expected the pair \(names, labels\)"):
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
