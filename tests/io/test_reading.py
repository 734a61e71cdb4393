"""Many files: folders, patterns, lists, ids, labels from folders and tables, and files that cannot be read."""

from __future__ import annotations

import io as streams
import json

import numpy as np
import pytest

from skelrep import Poses, read, write
from skelrep.io import ReadReport, read_parts
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

COCO = SKELETONS["coco-17"]


def clip(seed: int = 0) -> np.ndarray:
    return walking("coco-17", 6, seed) * 100 + 300


def save(path, seed: int = 0, count: int = 1):
    path.parent.mkdir(parents=True, exist_ok=True)
    clips = [clip(seed + i) for i in range(count)]
    poses = Poses(clips, COCO, [path.stem] if count == 1 else [f"c{i}" for i in range(count)], fps=30)
    if path.suffix == ".json":
        frames = [[{"keypoints": frame[:, :2].tolist()}] for frame in clips[0][0]]
        rows = [{"frame_id": i, "instances": people} for i, people in enumerate(frames)]
        path.write_text(json.dumps({"meta_info": {}, "instance_info": rows}))
    else:
        write(poses, path)


@pytest.fixture
def tree(tmp_path):
    """Two classes of two subjects, in two formats."""
    root = tmp_path / "data"
    for seed, name in enumerate(("wave/s1/a.npz", "wave/s2/b.csv", "jump/s1/a.npz", "jump/s2/c.csv")):
        save(root / name, seed)
    return root


def test_ids_are_paths_below_the_folder(tree):
    assert read(tree).ids == ["jump/s1/a", "jump/s2/c", "wave/s1/a", "wave/s2/b"]
    save(tree / "wave" / "s1" / "a.csv")
    save(tree / "wave" / "many.npz", count=2)
    assert read(tree / "wave").ids == ["many/c0", "many/c1", "s1/a.csv", "s1/a.npz", "s2/b"]
    assert [part.ids for part in read_parts(tree / "jump")] == [["s1/a"], ["s2/c"]]


def test_patterns_and_lists(tree, tmp_path, monkeypatch):
    assert read(str(tree / "*" / "s1" / "*.npz")).ids == ["jump/s1/a", "wave/s1/a"]
    assert read(str(tree / "**" / "*.csv")).ids == ["jump/s2/c", "wave/s2/b"]
    two = [tree / "wave" / "s1" / "a.npz", tree / "jump" / "s1" / "a.npz"]
    assert read(two).ids == ["wave/s1/a", "jump/s1/a"]
    assert read([tree / "wave", tree / "jump" / "s2"]).ids == ["wave/s1/a", "wave/s2/b", "jump/s2/c"]
    assert read([two[0]]).ids == ["a"]
    (tree / "list.lst").write_text("wave/s1/a.npz\n\njump/s1/a.npz\n")
    assert read(f"@{tree / 'list.lst'}").ids == ["wave/s1/a", "jump/s1/a"]
    monkeypatch.setattr("sys.stdin", streams.StringIO(f"{two[0]}\n"))
    assert read("-").ids == ["a"]
    with pytest.raises(FileNotFoundError, match=r"no file matches .*\*\.bvh"):
        read(str(tree / "*.bvh"))
    with pytest.raises(ValueError, match="list of files is empty"):
        read([])


def test_labels_and_subjects_from_folders(tree):
    with pytest.warns(UserWarning, match="folder:1 for jump, wave; folder:2 for s1, s2"):
        poses = read(tree, labels="folder", subjects="folder:2")
    assert poses.labels.tolist() == ["jump", "jump", "wave", "wave"]
    assert poses.info["subject"].tolist() == ["s1", "s2", "s1", "s2"]
    assert read(tree, labels="folder:-1").labels.tolist() == ["s1", "s2", "s1", "s2"]
    with pytest.raises(ValueError, match="a.npz is not in a folder"):
        read(tree / "wave" / "s1", labels="folder:1")
    with pytest.raises(ValueError, match="contains no folders whose names could be labels"):
        read(tree / "wave" / "s1", labels="folder")


def test_folders_called_like_splits_are_splits(tmp_path):
    for seed, name in enumerate(("train/wave/a.npz", "train/jump/b.npz", "Testing/wave/c.npz", "Testing/jump/d.npz")):
        save(tmp_path / name, seed)
    poses = read(tmp_path, labels="folder")
    assert poses.labels.tolist() == ["jump", "wave", "jump", "wave"]
    assert poses.info["split"].tolist() == ["test", "test", "train", "train"]
    assert read(tmp_path, split="train", labels="folder").ids == ["train/jump/b", "train/wave/a"]


@pytest.mark.parametrize(
    "path",
    [
        "{}.npz",
        "./{}",
        "data/{}.npz",
        "/home/somebody/data/{}.mp4",
        "C:\\videos\\{}.avi",
    ],
)
def test_labels_by_paths_with_other_folders_and_suffixes(tree, tmp_path, path):
    clips = ["wave/s1/a", "wave/s2/b", "jump/s1/a", "jump/s2/c"]
    written = [path.format(clip.replace("/", "\\") if "\\" in path else clip) for clip in clips]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["id,file,label", *(f"{i},{name},{i + 5}" for i, name in enumerate(written))]))
    assert read(tree, labels=table).labels.tolist() == [7, 8, 5, 6]
    if path.endswith((".mp4", ".avi")):
        with pytest.warns(UserWarning, match="2 of 4 ids in the table of labels belong to no clip"):
            assert read(tree / "wave", labels=table).labels.tolist() == [5, 6]


def test_labels_by_folder_and_file(tree, tmp_path):
    rows = ["wave/s1,a.npz,5", "wave/s2,b.npz,6", "jump/s1,a.npz,7", "jump/s2,c.npz,8"]
    (tmp_path / "labels.csv").write_text("\n".join(["folder,filename,activity", *rows]))
    assert read(tree, labels=tmp_path / "labels.csv").labels.tolist() == [7, 8, 5, 6]


def test_labels_from_a_table(tree, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,action,subject\nwave/s1/a.npz,4,x\nwave/s2/b,4,y\njump/s1/a.npz,7,x\nc.csv,7,y\n")
    poses = read(tree, labels=table, subjects=table)
    assert poses.labels.tolist() == [7, 7, 4, 4]
    assert poses.info["subject"].tolist() == ["x", "y", "x", "y"]
    assert read(tree, labels=f"{table}:subject").labels.tolist() == ["x", "y", "x", "y"]
    with pytest.raises(ValueError, match="no column 'actoin'; did you mean 'action'"):
        read(tree, labels=f"{table}:actoin")


def test_clips_that_a_table_does_not_have_are_left_out_on_request(tree, tmp_path):
    table = tmp_path / "labels.csv"
    ids = read(tree).ids
    table.write_text(f"id,label\n{ids[2]},up\n{ids[0]},down\n")
    with pytest.raises(ValueError, match=f"have no label: '{ids[1]}'"):
        read(tree, labels=table)
    with pytest.warns(UserWarning, match=f"2 clips have no label and are left out: '{ids[1]}', '{ids[3]}'"):
        some = read(tree, labels=table, subjects="folder:2", unlabelled="skip")
    assert some.ids == [ids[0], ids[2]] and some.labels.tolist() == ["down", "up"]
    assert some.info["subject"].tolist() == read(tree, subjects="folder:2").info["subject"][[0, 2]].tolist()
    table.write_text("id,label\nnobody,up\n")
    with pytest.raises(ValueError, match="4 of 4 clips have no label: 'jump/s1/a'"):
        read(tree, labels=table, unlabelled="skip")
    with pytest.raises(ValueError, match="unlabelled must be 'stop' or 'skip', got 'drop'"):
        read(tree, labels=table, unlabelled="drop")


def test_cells_of_a_table_may_have_line_ends(tmp_path):
    clips = Poses([np.zeros((1, 4, 17, 3)) + 1] * 2, "coco-17", ["a\u2028b, c", 'say "d"'])
    clips.save(tmp_path / "clips.npz")
    (tmp_path / "labels.csv").write_text('id,label\n"a\u2028b, c",one\n"say ""d""",two\n', encoding="utf-8")
    assert read(tmp_path / "clips.npz", labels=tmp_path / "labels.csv").labels.tolist() == ["one", "two"]


def test_ids_of_a_table_that_do_not_match(tree, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("wave/s1/a,w\nwave/s2/b,w\njump/s1/a,j\njump/s2/x,j\n")
    with pytest.raises(ValueError, match=r"1 of 1 clips have no label: 'jump/s2/c'; the table has 4 ids.*'jump/s2/x'"):
        read(tree, labels=table)
    table.write_text("wave/s1/a,w\nwave/s2/b,w\njump/s1/a,j\njump/s2/c,j\nother,q\n")
    with pytest.warns(UserWarning, match="1 of 5 ids in the table of labels belong to no clip: 'other'"):
        read(tree, labels=table)
    table.write_text("a,w\nb,w\nc,j\n")
    with pytest.raises(ValueError, match=r"'a' .*may be 'jump/s1/a.npz' or 'wave/s1/a.npz'"):
        read(tree, labels=table)
    table.write_text("id,label\nb,w\nb,j\n")
    with pytest.raises(ValueError, match="gives 'b' two labels, 'w' and 'j'"):
        read(tree, labels=table)


def test_a_file_of_several_clips_has_one_line_or_one_for_each(tmp_path):
    save(tmp_path / "data" / "many.npz", count=2)
    save(tmp_path / "data" / "one.npz")
    assert read(tmp_path / "data", labels={"many.npz": "w", "one": "j"}).labels.tolist() == ["w", "w", "j"]
    assert read(tmp_path / "data", labels={"c0": 1, "c1": 2, "one": 3}).labels.tolist() == [1, 2, 3]


def test_labels_from_a_column(tmp_path):
    Poses([clip(), clip(1)], COCO, info={"actor": [3, 5]}).save(tmp_path / "a.npz")
    poses = read(tmp_path / "a.npz", labels="actor", subjects="actor")
    assert poses.labels.tolist() == poses.info["subject"].tolist() == [3, 5]
    with pytest.raises(ValueError, match="no column 'aktor' to take as label; did you mean 'actor'"):
        read(tmp_path / "a.npz", labels="aktor")


def test_files_that_cannot_be_read(tree):
    (tree / "wave" / "broken.npz").write_bytes(b"PK no archive")
    (tree / "jump" / "empty.npz").touch()
    with pytest.raises(ValueError, match=r"broken.npz|empty.npz"):
        read(tree)
    report = ReadReport()
    poses = read(tree, on_error="skip", report=report)
    assert len(poses) == 4
    assert (report.files, report.clips, len(report.skipped)) == (4, 4, 2)
    assert {path.rpartition("/")[2] for path, _ in report.skipped} == {"broken.npz", "empty.npz"}
    with pytest.warns(UserWarning, match="4 files with 4 clips read, 2 skipped"):
        read(tree, on_error="skip")
    with pytest.raises(ValueError, match="none of the 1 files in .* can be read"):
        read(tree / "wave" / "broken.npz", on_error="skip")
    with pytest.raises(ValueError, match="on_error must be 'stop' or 'skip', got 'go'"):
        read(tree, on_error="go")


def test_frames_of_one_recording_given_as_a_list_are_one_clip(tmp_path):
    for t, frame in enumerate(clip()[0]):
        flat = np.concatenate([frame[:, :2], np.ones((17, 1))], axis=1).ravel().tolist()
        people = {"people": [{"pose_keypoints_2d": flat + [0] * (75 - len(flat))}]}
        (tmp_path / f"walk_{t:012d}_keypoints.json").write_text(json.dumps(people))
    listed = sorted(tmp_path.glob("*.json"))
    assert read(listed).clips[0].shape == read(tmp_path).clips[0].shape == (1, 6, 25, 2)
