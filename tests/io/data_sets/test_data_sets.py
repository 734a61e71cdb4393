"""The data sets behind the named skeletons: files as they unpack, made here, against numbers written down by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read
from skelrep.io.data_sets import cad60, florence3d, kard, sbu

RNG = np.random.default_rng(0)


def lines(rows, separator: str = " ") -> str:
    return "".join(separator.join(f"{number:.6f}" for number in row) + "\n" for row in rows)


def at(poses, joint: str, clip: int = 0, person: int = 0) -> np.ndarray:
    return poses.clips[clip][person, :, poses.skeleton.joints.index(joint)]


def test_utd_mhad(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    points = RNG.normal(size=(20, 3, 7))
    for name in ("a3_s1_t2", "a27_s2_t1"):
        savemat(tmp_path / f"{name}_skeleton.mat", {"d_skel": points})
    poses = read(tmp_path)
    assert (poses.ids, poses.fps) == (["a27_s2_t1_skeleton", "a3_s1_t2_skeleton"], 30)
    assert poses.labels is not None and poses.labels.tolist() == ["squat", "wave"]
    assert {key: column.tolist() for key, column in poses.info.items()} == {
        "subject": [2, 1],
        "trial": [1, 2],
        "train": [False, True],
        "test": [True, False],
    }
    np.testing.assert_allclose(at(poses, "head"), points[0].T, rtol=1e-6)  # UTD-MHAD begins at the head
    np.testing.assert_allclose(at(poses, "left_shoulder"), points[4].T, rtol=1e-6)
    assert read(tmp_path, split="train").ids == ["a3_s1_t2_skeleton"]


def test_mat_files_of_others(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(tmp_path / "a.mat", {"skeleton": np.ones(3), "name": "walk"})
    with pytest.raises(ValueError, match=r"a\.mat contains skeleton, name; expected one array of numbers with three"):
        read(tmp_path / "a.mat")
    points = np.random.default_rng(1).normal(size=(3, 7, 20))
    savemat(tmp_path / "a.mat", {"joints": points, "name": "walk", "rate": 30.0})
    poses = read(tmp_path / "a.mat", skeleton="kinect-20", layout="CTV")
    np.testing.assert_allclose(poses.clips[0][0], points.transpose(1, 2, 0), rtol=1e-6)
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:150])
    with pytest.raises(ValueError, match=r"a\.mat is damaged"):
        read(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"d_skel": np.ones((20, 4, 3))})
    with pytest.raises(ValueError, match=r"d_skel has shape \(20, 4, 3\); expected \(20 joints, 3, frames\)"):
        read(tmp_path / "a.mat")


def test_msr_action3d(tmp_path):
    points = RNG.normal(size=(4, 20, 3))
    rows = np.concatenate([points, np.full((4, 20, 1), 0.75)], axis=2).reshape(-1, 4)
    for name in ("a01_s03_e01", "a20_s04_e02", "a13_s09_e01"):
        (tmp_path / f"{name}_skeleton3D.txt").write_text(lines(rows))
        (tmp_path / f"{name}_sdepth.bin").write_bytes(b"depth")
    poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["high arm wave", "bend", "pickup and throw"]
    assert (poses.fps, poses.info["subject"].tolist()) == (15, [3, 9, 4])
    assert poses.info["train"].tolist() == [True, False, False]  # a13_s09_e01 is one of the ten that papers leave out
    assert poses.info["test"].tolist() == [False, False, True]
    np.testing.assert_allclose(at(poses, "left_shoulder"), points[:, 0], atol=1e-6)
    np.testing.assert_allclose(at(poses, "head"), points[:, 19], atol=1e-6)
    assert poses.scores is not None and (poses.scores[0] == 0.75).all()
    (tmp_path / "a01_s03_e01_skeleton3D.txt").write_text(lines(rows[:-1]))
    with pytest.raises(ValueError, match=r"a01_s03_e01_skeleton3D\.txt contains 79 rows, .* not a multiple of its 20"):
        read(tmp_path / "a01_s03_e01_skeleton3D.txt")
    (tmp_path / "a01_s03_e01_skeleton3D.txt").write_text(lines(rows) + "1 2 x 4\n")
    with pytest.raises(ValueError, match=r"line 81: got '1 2 x 4', expected 4 numbers"):
        read(tmp_path / "a01_s03_e01_skeleton3D.txt")


def test_msr_daily_activity(tmp_path):
    points = RNG.normal(size=(3, 20, 3))
    text = "3 20\n"
    for frame, body in enumerate(points):
        rows = np.stack([np.c_[body, np.ones(20)], np.full((20, 4), 0.5)], axis=1).reshape(-1, 4)
        text += "0\n" if frame == 1 else f"40\n{lines(rows)}"
    (tmp_path / "a02_s01_e02_skeleton.txt").write_text(text)
    poses = read(tmp_path / "a02_s01_e02_skeleton.txt")
    assert poses.labels is not None and poses.labels.tolist() == ["eat"]
    assert {key: column[0] for key, column in poses.info.items()} == {
        "subject": 1,
        "posture": 2,
        "train": True,
        "test": False,
    }
    expected = points.copy()
    expected[1] = np.nan
    np.testing.assert_allclose(at(poses, "head"), expected[:, 3], atol=1e-6)
    (tmp_path / "a02_s01_e02_skeleton.txt").write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"a02_s01_e02_skeleton\.txt is not a skeleton file of MSR Daily Activity"):
        read(tmp_path / "a02_s01_e02_skeleton.txt")


def test_utkinect(tmp_path):
    (tmp_path / "joints").mkdir()
    numbers = [250, 252, 254, 256, 256, 260, 600, 602]
    points = RNG.normal(size=(8, 20, 3))
    points[4] = points[3]  # a repeated row
    rows = np.c_[numbers, points.reshape(8, 60)]
    (tmp_path / "joints" / "joints_s02_e01.txt").write_text(lines(rows))
    (tmp_path / "actionLabel.txt").write_text(
        "s01_e01\nwalk: 1 2\ns02_e01 \nwalk: 252 260\ncarry: NaN NaN\npush: 600 602\n"
    )
    poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["walk", "push"]
    assert poses.fps == 15  # every second picture of 30 per second
    assert poses.clips[0].shape == (1, 5, 20, 3)
    np.testing.assert_allclose(at(poses, "pelvis")[[0, 1, 2, 4]], points[[1, 2, 3, 5], 0], atol=1e-6)
    assert np.isnan(at(poses, "pelvis")[3]).all()  # frame 258 was not recorded
    assert poses.info["train_1"].tolist() == [True, True] and not poses.info["train_4"].any()
    assert poses.info["train"].tolist() == [True, True] and poses.info["subject"].tolist() == [2, 2]
    (tmp_path / "actionLabel.txt").unlink()
    with pytest.warns(UserWarning, match="without actionLabel.txt .* is not divided into its actions"):
        assert len(read(tmp_path)) == 1


def test_florence3d(tmp_path):
    points = RNG.normal(size=(5, 15, 3))
    rows = np.c_[[1, 1, 1, 2, 2], [4, 4, 4, 5, 5], [2, 2, 2, 9, 9], 1000 * points.reshape(5, 45)]
    (tmp_path / "Florence_dataset_WorldCoordinates.txt").write_text(lines(rows))
    poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["drink from a bottle", "bow"]
    assert [clip.shape for clip in poses.clips] == [(1, 3, 15, 3), (1, 2, 15, 3)]
    assert poses.info["subject"].tolist() == [4, 5] and poses.skeleton == florence3d.SKELETON
    np.testing.assert_allclose(at(poses, "right_ankle", clip=1), points[3:, 14], atol=1e-6)


def test_sbu(tmp_path):
    folder = tmp_path / "s01s02" / "03" / "001"
    folder.mkdir(parents=True)
    places = RNG.uniform(0.2, 0.8, size=(4, 2, 15, 3))
    places[2, 1] = 0  # not seen
    (folder / "skeleton_pos.txt").write_text(lines(np.c_[np.arange(1, 5), places.reshape(4, 90)], ","))
    poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["kicking"]
    expected = np.stack([1.28 - 2.56 * places[..., 0], 0.96 - 1.92 * places[..., 1], 1.28 * places[..., 2]], axis=-1)
    expected[2, 1] = np.nan
    np.testing.assert_allclose(poses.clips[0], expected.swapaxes(0, 1), atol=1e-5)
    info = {key: column[0] for key, column in poses.info.items()}
    assert (info["subject"], info["partner"], info["test_1"], info["test_2"], info["test"]) == (1, 2, True, False, True)
    assert sorted(pair for fold in sbu.FOLDS for pair in fold)[0] == "s01s02" and sum(map(len, sbu.FOLDS)) == 21


def test_kard(tmp_path):
    points = RNG.normal(size=(3, 15, 3))
    (tmp_path / "a16_s03_e02_realworld.txt").write_text(lines(1000 * points.reshape(-1, 3)))
    (tmp_path / "a16_s03_e02_screen.txt").write_text("1 2 3\n")
    with pytest.warns(UserWarning, match="a16_s03_e02_screen"):
        poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["drink"]
    np.testing.assert_allclose(at(poses, "right_hand"), points[:, 4] * [-1, 1, 1], atol=1e-6)
    assert poses.skeleton == kard.SKELETON and poses.info["subject"].tolist() == [3]


def test_cad60(tmp_path):
    folder = tmp_path / "data2"
    folder.mkdir()
    points = RNG.normal(size=(2, 15, 3))
    text = ""
    for frame, body in enumerate(points, start=1):
        cells = [frame]
        for joint in range(11):
            cells += [*np.eye(3).ravel(), 1, *(1000 * body[joint]), 1]
        for joint in range(11, 15):
            cells += [*(1000 * body[joint]), joint == 12]
        text += ",".join(f"{cell:.4f}" for cell in cells) + ",\n"
    (folder / "0512164529.txt").write_text(text + "END\n")
    (folder / "activityLabel.txt").write_text("0512164529,brushing teeth,\nEND\n")
    poses = read(folder / "0512164529.txt")
    assert poses.labels is not None and poses.labels.tolist() == ["brushing teeth"]
    assert poses.info["subject"].tolist() == [2] and poses.skeleton == cad60.SKELETON
    # The file calls joint 4 the left shoulder and 13 the right hand, of a mirrored picture.
    np.testing.assert_allclose(at(poses, "right_shoulder"), points[:, 3], atol=1e-6)
    np.testing.assert_allclose(at(poses, "left_hand"), points[:, 12], atol=1e-6)
    assert poses.scores is not None and poses.scores[0][0, 0].tolist() == [1] * 11 + [0, 1, 0, 0]
    (folder / "0512164529.txt").write_text(text[:-20])
    with pytest.raises(ValueError, match=r"0512164529\.txt, line 2: got .*, expected 171 numbers"):
        read(folder / "0512164529.txt")


def test_kimore(tmp_path):
    folder = tmp_path / "GPP" / "Stroke" / "S_ID4" / "Es3" / "Raw"
    folder.mkdir(parents=True)
    points = RNG.normal(size=(3, 25, 3))
    cells = np.concatenate([points, np.full((3, 25, 1), 2.0)], axis=2)
    cells[0, 4, 3] = 1
    text = "".join(",".join(f"{number:.6f}" for number in row.ravel()) + ",\n" for row in cells)
    (folder / "JointPosition120614.csv").write_text(text)
    (folder / "JointOrientation120614.csv").write_text("1,2,3,\n")
    (folder / "TimeStamp120614.csv").write_text("1\n2\n3\n")
    with pytest.warns(UserWarning, match="left out of .* 2 of 3 files"):
        poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == ["Es3"]
    assert {key: column.tolist() for key, column in poses.info.items()} == {"subject": ["S_ID4"], "group": ["Stroke"]}
    np.testing.assert_allclose(at(poses, "left_elbow"), points[:, 5], atol=1e-6)
    assert poses.scores is not None and poses.scores[0][0, 0, 3:5].tolist() == [1, 0.5]


def test_clinical_scores_of_kimore(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    values = np.random.default_rng(1).uniform(10, 50, size=(3, 5)).round(2)
    names = [f"clinical {kind} Ex#{i}" for kind in ("TS", "PO", "CF") for i in range(1, 6)]
    for exercise in ("Es2", "Es5"):
        folder = tmp_path / "CG" / "Expert" / "E_ID1" / exercise
        (folder / "Raw").mkdir(parents=True)
        (folder / "Label").mkdir()
        cells = np.concatenate([np.random.default_rng(2).normal(size=(3, 25, 3)), np.full((3, 25, 1), 2.0)], axis=2)
        (folder / "Raw" / "JointPosition1.csv").write_text(lines(cells.reshape(3, -1), ","))
        book = openpyxl.Workbook()
        book.active.append(["Subject ID", *names])
        book.active.append(["E_ID1", *values.ravel()[:-1].tolist(), None])
        book.save(folder / "Label" / "ClinicalAssessment_E_ID1.xlsx")
    poses = read(tmp_path)
    assert {key: poses.info[key].tolist() for key in ("subject", "score", "primary_score")} == {
        "subject": ["E_ID1", "E_ID1"],
        "score": values[0, [1, 4]].tolist(),
        "primary_score": values[1, [1, 4]].tolist(),
    }
    np.testing.assert_array_equal(poses.info["control_score"], [values[2, 1], np.nan])
    table = tmp_path / "CG" / "Expert" / "E_ID1" / "Es2" / "Label" / "ClinicalAssessment_E_ID1.xlsx"
    table.write_bytes(b"PK no table")
    with pytest.raises(ValueError, match="ClinicalAssessment_E_ID1.xlsx is damaged"):
        read(tmp_path)
    table.unlink()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.warns(UserWarning, match="clinical scores .* are not read: .*openpyxl"):
        assert "score" not in read(tmp_path).info


def test_nw_ucla(tmp_path):
    points = np.random.default_rng(1).normal(size=(5, 20, 3))
    for view in (1, 3):
        folder = tmp_path / f"view_{view}" / "a08_s03_e04"
        folder.mkdir(parents=True)
        (folder / "fileList.txt").write_text("".join(f"{frame} {40 * frame}\n" for frame in range(12)))
        (folder / "frame_0_tc_0_rgb.jpg").write_bytes(b"")
        for row, frame in enumerate([8, 9, 10, 12]):  # 11 is missing, and sorts after 8 and 9 by number only
            body = "".join(
                f"{x:.6f},{y:.6f},{z:.6f},{1 + (joint > 0)}\n" for joint, (x, y, z) in enumerate(points[row])
            )
            other = "".join("9,9,9,2\n" for _ in range(20))
            text = f"{20 + row}\n{body}" + f"{20 + row}\n{other}" * (row == 1)
            (folder / f"frame_{frame}_tc_{40 * frame}_skeletons.txt").write_text(text)
        (folder / "frame_13_tc_520_skeletons.txt").write_text("")
    poses = read(tmp_path)
    assert poses.ids == ["view_1/a08_s03_e04", "view_3/a08_s03_e04"]
    assert poses.labels is not None and poses.labels.tolist() == [8, 8]
    assert {key: column.tolist() for key, column in poses.info.items()} == {
        "subject": [3, 3],
        "repetition": [4, 4],
        "camera": [1, 3],
        "train": [True, False],
        "test": [False, True],
    }
    expected = np.full((6, 20, 3), np.nan)
    expected[[0, 1, 2, 4]] = points[:4]
    for clip in poses.clips:
        np.testing.assert_allclose(clip[0], expected, atol=1e-6)
    assert poses.scores is not None and poses.scores[0][0, 0, :2].tolist() == [0.5, 1]
    (tmp_path / "view_1" / "a08_s03_e04" / "frame_8_tc_320_skeletons.txt").write_text("1\n1,2,3\n")
    with pytest.raises(ValueError, match="frame_8_tc_320_skeletons.txt is not a frame of NW-UCLA"):
        read(tmp_path)


def test_ntu_of_txt2npy(tmp_path):
    still, moving = RNG.normal(size=(2, 6, 25, 3))
    still[:] = still[:1]
    content = {"file_name": "S001C002P003R002A013", "nbodys": [2] * 6, "njoints": 25, "skel_body0": still}
    np.save(tmp_path / "S001C002P003R002A013.skeleton.npy", content | {"skel_body1": moving}, allow_pickle=True)
    poses = read(tmp_path)
    assert poses.labels is not None and poses.labels.tolist() == [12]
    assert poses.info["xsub_train"].tolist() == [False] and poses.info["xview_train"].tolist() == [True]
    np.testing.assert_allclose(
        poses.clips[0], np.stack([moving, still]), rtol=1e-6
    )  # the person who moves more is first


def test_no_pickle_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    np.save(tmp_path / "S001C001P001R001A001.skeleton.npy", {"skel_body0": Evil()}, allow_pickle=True)
    with pytest.raises(ValueError, match="nothing in this one was executed"):
        read(tmp_path / "S001C001P001R001A001.skeleton.npy")
    assert not (tmp_path / "touched").exists()
