"""NTU RGB+D: bodies, names, splits, and files that are left out."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.io import ntu, read, read_parts
from tests.pose_files import (
    FIXTURES,
    moving,
    real_files,
    skeleton_text,
)


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
    with pytest.raises(ValueError, match="no frame of .*A002.skeleton has a body"):
        read(tmp_path / "b" / "S001C001P001R001A002.skeleton")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: lines[:40], r"line 41: the file ends within frame 1; it is truncated"),
        (lambda lines: lines[:29], r"line 30: the file ends before frame 1's number of bodies"),
        (lambda lines: lines[:2], r"line 3: the file ends before a body's id"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], r"line 57: a joint has 3 numbers; expected 12"),
        (lambda lines: ["3", *lines[1:]], r"line 58: the file ends before frame 2's number of bodies"),
        (lambda lines: ["1", *lines[1:]], r"line 30: more lines follow the 1 frames"),
        (lambda lines: ["two", *lines[1:]], r"line 1: got 'two', expected the number of frames"),
        (lambda lines: [*lines[:3], "20", *lines[4:]], r"line 4: a body has 20 joints; expected 25"),
        (lambda lines: [*lines[:1], "2", *lines[2:]], r"line 31: got '1 .*, expected the number of joints"),
        (lambda lines: [*lines[:6], "a" + lines[6][1:], *lines[7:]], r"line 7: got 'a.*', expected x, y, z of a joint"),
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
    columns = ntu.columns_of(sorted(ntu.incomplete()))  # empty if one name is not an NTU name
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
    with pytest.raises(ValueError, match="in the splits 'ntu60' and 'xset_train'"):
        read(tmp_path, split=["ntu60", "xset_train"])
    assert read(tmp_path / f"{listed[0]}.skeleton").ids == listed[:1]  # a file that is named explicitly is read


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
