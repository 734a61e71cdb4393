"""PKU-MMD: folders as they are downloaded, and errors for other folders."""

import warnings

import numpy as np
import pytest

from skelrep.io import read, read_parts
from tests.pose_files import pku_frames, write_pku_recording


@pytest.fixture
def part_one(tmp_path):
    """Three recordings with their splits, in the folders of the download."""
    root = tmp_path / "PKUMMD"
    recordings = {}
    for name in ("0002-L", "0002-M", "0291-R"):
        recordings[name] = pku_frames(40, second=range(20, 30))
        recordings[name][5, 0, 7] = 0  # a joint that was not seen
        write_pku_recording(
            root / "Data" / "PKU_Skeleton_Renew",
            root / "Label" / "Train_Label_PKU_final",
            name,
            recordings[name],
            "3,2,12,2\n51,15,35,1\n",
        )
    (root / "Split").mkdir()
    (root / "Split" / "cross-subject.txt").write_text(
        "Training videos: \n0002-L, 0002-M, \nValidataion videos: \n0291-R, 0291-L\n"
    )
    return root, recordings


def test_intervals_of_part_one(part_one):
    root, recordings = part_one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = read(root)
    assert poses.ids == [f"{name}_{start}" for name in recordings for start in (2, 15)]
    assert (poses.skeleton.name, poses.fps) == ("ntu-25", 30)
    assert poses.labels is not None
    assert poses.labels.tolist() == [2, 50] * 3
    assert [clip.shape for clip in poses.clips] == [(1, 10, 25, 3), (2, 20, 25, 3)] * 3
    expected = recordings["0002-M"].astype(np.float32)
    expected[5, 0, 7] = np.nan
    np.testing.assert_array_equal(poses.clips[2][0], expected[2:12, 0])
    np.testing.assert_array_equal(poses.clips[3][1, 5:15], expected[20:30, 1])
    assert np.isnan(poses.clips[3][1, [*range(5), *range(15, 20)]]).all()
    assert {key: column.tolist() for key, column in poses.info.items()} == {
        "recording": [name for name in recordings for _ in range(2)],
        "camera": ["L", "L", "M", "M", "R", "R"],
        "part": [1] * 6,
        "xview_train": [False, False, True, True, True, True],
        "xview_val": [True, True, False, False, False, False],
        "xsub_train": [True] * 4 + [False] * 2,
        "xsub_val": [False] * 4 + [True] * 2,
    }


def test_splits_and_parts(part_one):
    root, _ = part_one
    (root / "Split" / "cross-view.txt").write_text("Training videos:\n0002-L\nValidataion videos:\n0002-M, 0291-R\n")
    assert read(root, split="xsub_val", format="pku").ids == ["0291-R_2", "0291-R_15"]
    assert read(root, split=["xsub_train", "xview_val"]).ids == ["0002-M_2", "0002-M_15"]  # by the list, not by camera
    assert [len(part) for part in read_parts(root)] == [2, 2, 2]
    with pytest.raises(ValueError, match=r"has no split 'xset_train'.*it has: xview_train, xview_val, xsub_train"):
        read(root, split="xset_train")
    (root / "Split" / "cross-subject.txt").write_text("Training videos:\n0001-L\nValidataion videos:\n0003-L\n")
    with pytest.raises(ValueError, match="no clip of .* is in the split 'xsub_train'"):
        read(root, split="xsub_train")


def test_part_two_in_other_folders(tmp_path):
    for name, points in (("A01N13-L", pku_frames(9)), ("A02N03-R", pku_frames(9)), ("A05N04-M", pku_frames(0))):
        write_pku_recording(tmp_path / "v2" / "skeleton", tmp_path / "v2" / "label", name, points, "7,1,9,2\n9,4,99,2")
    (tmp_path / "v2" / "skeleton" / "A05N04-M.txt").write_text("")
    (tmp_path / "v2" / "cross_subject_v2.txt").write_text("Training videos:\nA01N13-L\nValidation videos:\nA02N03-R")
    message = "left out of .*: 1 recordings with only skeletons or only labels"
    with pytest.warns(UserWarning, match=message) as caught:
        poses = read(tmp_path)
    assert caught[0].filename == __file__
    assert poses.ids == ["A01N13-L_1", "A01N13-L_4", "A02N03-R_1", "A02N03-R_4"]
    assert [clip.shape[1] for clip in poses.clips] == [8, 5, 8, 5]  # a label may end after its recording
    assert poses.info["subject"].tolist() == [13, 13, 3, 3]
    assert poses.info["part"].tolist() == [2] * 4
    assert poses.info["xsub_train"].tolist() == [True, True, False, False]


def test_intervals_without_persons_are_left_out(part_one):
    root, recordings = part_one
    labels = root / "Label" / "Train_Label_PKU_final" / "0002-L.txt"
    labels.write_text("3,2,12,2\n4,40,50,2\n5,9,9,2\n")
    with pytest.warns(UserWarning, match="left out of .*: 2 intervals in which nobody is seen"):
        assert read(root).ids[:2] == ["0002-L_2", "0002-M_2"]


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("Label/Train_Label_PKU_final/0002-L.txt", "3,2,12,2\n3,2,12\n", "0002-L.txt, line 2: got '3,2,12', expected"),
        ("Label/Train_Label_PKU_final/0002-L.txt", "3,two,12,2\n", "0002-L.txt, line 1: got '3,two,12,2', expected"),
        ("Label/Train_Label_PKU_final/0002-M.txt", "0,2,12,2\n", r"0002-M.txt, line 1: .*label \(from 1\)"),
        (
            "Data/PKU_Skeleton_Renew/0002-L.txt",
            "1 " * 150 + "\n1 2\n",
            "line 2: a frame has 2 numbers",
        ),
        ("Data/PKU_Skeleton_Renew/0002-L.txt", "1 " * 75, "line 1: a frame has 75 numbers"),
        ("Data/PKU_Skeleton_Renew/0002-L.txt", "1 " * 149 + "x", "line 1: got '1 1 .*', expected 150 numbers"),
        ("Data/PKU_Skeleton_Renew/0002-L.txt", "\n\n", "0002-L.txt contains no frame"),
        ("Split/cross-subject.txt", "0002-L\n", "cross-subject.txt, line 1: names .*Training videos"),
    ],
)
def test_malformed(part_one, file, content, said):
    root, _ = part_one
    (root / file).write_text(content)
    with pytest.raises(ValueError, match=said):
        read(root)


def test_nothing_to_read(part_one, tmp_path):
    root, _ = part_one
    skeletons = root / "Data" / "PKU_Skeleton_Renew"
    with pytest.raises(ValueError, match="contains 3 skeleton files and 0 label files of PKU-MMD"):
        read(skeletons)
    with pytest.raises(ValueError, match="0002-L.txt is a single file; pass the folder"):
        read(skeletons / "0002-L.txt", format="pku")
    with pytest.raises(ValueError, match="contains 0 skeleton files and 0 label files of PKU-MMD"):
        read(root / "Split", format="pku")
