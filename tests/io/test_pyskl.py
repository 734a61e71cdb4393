"""The annotation pickles of pyskl and mmaction2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read
from tests.pose_files import (
    FIXTURES,
    annotation,
    dump,
    real_files,
)


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
        ([annotation("a", joints=18)], r"18 joints in 2-D; the known ones are 17 in 2-D .* pass skeleton="),
        ([annotation("a", joints=17, channels=3)], r"17 joints in 3-D"),
        ([{"frame_dir": "a", "raw_file": "b"}], r"annotation 'a' has no 'keypoint' .it has: frame_dir, raw_file"),
        (
            [annotation("a", keypoint=np.ones((4, 17, 2)))],
            r"float64 of shape \(4, 17, 2\); expected .*\(persons, frames",
        ),
        (
            [annotation("a", keypoint_score=np.ones((1, 4)))],
            r"keypoint_score of annotation 'a' .*expected \(1, 4, 17\)",
        ),
        ([annotation("a", keypoint="none")], r"the keypoint of annotation 'a' is <U4"),
        ([], r"expected annotations: a dict .*, a list of dicts, or one"),
        ([1, 2], r"contains a list; expected annotations"),
        ((["a"], np.array([1])), r"contains a tuple; expected annotations"),
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
    with pytest.raises(ValueError, match="sample.pkl: annotation 'jf7RDuUTrsQ' has no 'keypoint'.*separate files"):
        read(FIXTURES / "mmaction" / "sample.pkl")
