"""Training corpora on disk: the content of the folder equals that of the files, mapped, sorted and without gaps."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelrep.alignment import map_joints
from skelrep.io import ntu, read, read_parts, write
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses
from skelrep.preprocess import fill_gaps
from skelrep.skeletons import SKELETONS, Skeleton, custom, mapping
from skelrep.train import prepare as prepare_module
from skelrep.train.prepare import prepare
from tests.pose_files import (
    FIXTURES,
    agcn_folder,
    annotation,
    dump,
    moving,
    pku_frames,
    real_files,
    skeleton_text,
    write_pku_recording,
)

RNG = np.random.default_rng(0)
THREE = custom(["pelvis", "neck", "head"], [0, 0, 1], name="three")


def contents(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    """Rows, mapped into memory, tracks, and what corpus.json says."""
    assert sorted(file.name for file in folder.iterdir()) == ["corpus.json", "rows.npy", "tracks.npz"]
    with np.load(folder / "tracks.npz", allow_pickle=False) as tracks:
        return (
            np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False),
            {key: tracks[key] for key in tracks.files},
            json.loads((folder / "corpus.json").read_text()),
        )


def assert_holds(folder: Path, sets: list[Poses], target: Skeleton) -> None:
    """Compares a corpus, track by track, with the plainest way to make it."""
    rows, tracks, about = contents(folder)
    assert isinstance(rows, np.memmap)
    assert (rows.dtype, rows.shape[1:]) == (np.float32, (len(target), 3))
    named = about["skeleton"]
    assert Skeleton(named["name"], tuple(named["joints"]), tuple(named["parents"])) == target
    clips = [(clip, poses) for poses in sets for clip in poses.clips]
    track = row = 0
    for number, (clip, poses) in enumerate(clips):
        for person in np.argsort(-coordinate_energy(clip), kind="stable"):
            if np.isnan(clip[person]).all():
                continue
            expected = clip[person].copy()
            fill_gaps(expected, np.array([0]), np.array([clip.shape[1]]))
            if poses.skeleton.joints != target.joints:
                expected = map_joints(torch.from_numpy(expected), torch.from_numpy(mapping(poses.skeleton, target)))
            assert tracks["start"][track] == row
            assert tracks["length"][track] == clip.shape[1]
            assert tracks["clip"][track] == number
            np.testing.assert_array_equal(rows[row : row + clip.shape[1]], expected)
            np.testing.assert_array_equal(tracks["seen"][track], ~np.isnan(np.asarray(expected)).any(axis=(0, 2)))
            track, row = track + 1, row + clip.shape[1]
    assert (len(tracks["start"]), len(rows)) == (track, row)
    assert tracks["ids"].tolist() == [name for poses in sets for name in poses.ids]
    assert tracks["fps"].tolist() == [poses.fps for poses in sets for _ in poses.clips]
    hours = [sum(clip.shape[1] for clip in poses.clips) / (poses.fps or 0) / 3600 for poses in sets]
    assert [source["clips"] for source in about["sources"]] == [len(poses) for poses in sets]
    np.testing.assert_allclose([source["hours"] for source in about["sources"]], hours)
    np.testing.assert_allclose(about["hours"], sum(hours))


@pytest.fixture
def ntu_folder(tmp_path) -> Path:
    """Six samples of three setups and four subjects: with gaps, with two bodies, without one, and an incomplete one."""
    folder = tmp_path / "nturgb+d_skeletons"
    folder.mkdir()
    quick, slow = moving(12, 1.0, seed=1), moving(12, 0.1, seed=2)
    gap = slow.copy()
    gap[4:7, 3] = 0  # a joint is lost for a while
    gap[:, 20] = 0  # another is never seen
    samples = {
        "S001C001P001R001A001": [{"1": points} for points in quick],
        "S017C002P003R001A050": [{"1": gap[t]} | ({} if t == 8 else {"2": quick[t]}) for t in range(12)],
        "S017C003P008R002A002": [{"7": points} for points in slow[:5]] + [{}] + [{"7": points} for points in slow[6:]],
        "S018C003P045R001A120": [{"1": points} for points in quick[:7]],
        "S020C001P044R001A061": [{}, {}],
        "S001C002P005R002A008": [{"1": points} for points in slow],
    }
    for name, sample in samples.items():
        (folder / f"{name}.skeleton").write_text(skeleton_text(sample))
    return folder


def test_ntu(ntu_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(ntu, "PART", 2)  # files at a time
    with pytest.warns(UserWarning, match="6 files: 1 on the benchmark's list") as caught:
        about = prepare([ntu_folder], tmp_path / "corpus", licence="NTU's own")
    assert len(caught) == 2 and "1 without any body (S020C001P044R001A061.skeleton)" in str(caught[1].message)
    with pytest.warns(UserWarning):
        poses = read(ntu_folder)
    assert len(poses) == 4
    assert_holds(tmp_path / "corpus", [poses], SKELETONS["ntu-25"])
    rows, tracks, stored = contents(tmp_path / "corpus")
    assert about == stored
    assert (stored["format_version"], stored["licence"]) == (1, "NTU's own")
    assert stored["sources"][0]["name"] == "nturgb+d_skeletons"
    assert tracks["clip"].tolist() == [0, 1, 1, 2, 3]
    assert tracks["seen"].sum(axis=1).tolist() == [25, 25, 24, 25, 25]  # the quick body of the second is its first
    lost = rows[tracks["start"][2] :][:12, 3]
    np.testing.assert_allclose(lost[5], (lost[3] + lost[7]) / 2, rtol=1e-5)
    assert tracks["labels"].tolist() == [0, 49, 1, 119]
    assert tracks["info_subject"].tolist() == [1, 3, 8, 45]
    assert tracks["info_ntu60"].tolist() == [True, True, True, False]


def test_splits_are_intersected(ntu_folder, tmp_path):
    with pytest.warns(UserWarning, match="1 on the benchmark's list"):
        prepare([ntu_folder], tmp_path / "both", splits=["xsub_train", "ntu60"])
    assert contents(tmp_path / "both")[1]["ids"].tolist() == ["S001C001P001R001A001", "S017C003P008R002A002"]
    with pytest.warns(UserWarning, match="without any body"):
        prepare([ntu_folder], tmp_path / "one", splits=["xset_train"])
    assert contents(tmp_path / "one")[1]["ids"].tolist() == ["S018C003P045R001A120"]
    with pytest.raises(ValueError, match="no person in .* in the splits 'xsub_val' and 'xset_train': nothing to write"):
        prepare([ntu_folder / "S018C003P045R001A120.skeleton"], tmp_path / "none", splits=["xsub_val", "xset_train"])
    assert not list(tmp_path.glob(".none*"))
    with pytest.raises(ValueError, match="has no split 'xsub_tran'"):
        prepare([ntu_folder], tmp_path / "none", splits=["ntu60", "xsub_tran"])


@real_files
def test_real_ntu_files(tmp_path):
    prepare([FIXTURES / "ntu"], tmp_path / "corpus", skeleton="common-15")
    assert_holds(tmp_path / "corpus", [read(FIXTURES / "ntu")], SKELETONS["common-15"])


def test_every_format_onto_one_skeleton(ntu_folder, tmp_path):
    """Inputs of several skeletons and rates; what is known of all is kept."""
    pickle = dump(tmp_path / "ntu60_3d.pkl", [annotation(n, 2, 6, 25, 3) for n in ("S001C001P001R001A001", "other")])
    agcn = tmp_path / "agcn"
    agcn.mkdir()
    agcn_folder(agcn)
    own = tmp_path / "own.npz"
    kinect = RNG.normal(size=(2, 9, 20, 3))
    kinect[0, 2:4, 5] = np.nan
    write(
        Poses([kinect, RNG.normal(size=(1, 4, 20, 3))], SKELETONS["kinect-20"], ["a", "b"], np.array([3, 4]), 15.0), own
    )
    pku = tmp_path / "pku"
    write_pku_recording(pku / "skeleton", pku / "label", "0002-L", pku_frames(20, range(9)), "3,2,12,2\n51,11,20,1\n")
    inputs = [ntu_folder / "S017C002P003R001A050.skeleton", pickle, agcn / "train_data_joint.npy", own, pku]

    def reader(path: Path, **options):
        return read(path, fps=None if path.name in ("own.npz", "pku") else 30, **options)

    prepare(inputs, tmp_path / "corpus", skeleton="common-15", reader=reader)
    sets = [reader(path) for path in inputs]
    assert [len(poses) for poses in sets] == [1, 2, 3, 2, 2]
    assert_holds(tmp_path / "corpus", sets, SKELETONS["common-15"])
    _, tracks, about = contents(tmp_path / "corpus")
    np.testing.assert_array_equal(tracks["labels"], np.concatenate([np.asarray(poses.labels) for poses in sets]))
    assert not [key for key in tracks if key.startswith("info_")]
    assert [source["name"] for source in about["sources"]] == [
        *("S017C002P003R001A050", "ntu60_3d", "train_data_joint", "own", "pku")
    ]


def test_one_input_that_lacks_labels(tmp_path):
    clips = [RNG.normal(size=(1, 1000, 3, 3)).astype(np.float32)]  # the header's number of rows grows
    first = Poses(clips, THREE, ["a"], np.array([1]), 30.0, info={"subject": np.array([1]), "camera": np.array([2])})
    second = Poses(clips * 11, THREE, fps=60.0, info={"subject": np.full(11, 5)})
    write(first, tmp_path / "first.npz")
    write(second, tmp_path / "second.npz")
    (tmp_path / "corpus").mkdir()  # an empty folder is as good as none
    prepare([tmp_path / "first.npz", tmp_path / "second.npz"], tmp_path / "corpus")
    assert_holds(tmp_path / "corpus", [first, second], THREE)
    tracks = contents(tmp_path / "corpus")[1]
    assert sorted(tracks) == ["clip", "fps", "ids", "info_subject", "length", "seen", "start"]
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "corpus").stat().st_mode == (tmp_path / "plain").stat().st_mode  # not private, as scratch is


def test_clips_without_persons_are_left_out(tmp_path):
    clip = RNG.normal(size=(2, 5, 3, 3))
    clip[0] = np.nan
    write(
        Poses([np.full((1, 4, 3, 3), np.nan), clip], THREE, fps=30.0, labels=np.array(["x", "y"])), tmp_path / "a.npz"
    )
    about = prepare([tmp_path / "a.npz"], tmp_path / "corpus")
    rows, tracks, _ = contents(tmp_path / "corpus")
    np.testing.assert_array_equal(rows, clip[1].astype(np.float32))
    assert (tracks["labels"].tolist(), tracks["clip"].tolist()) == (["y"], [0])
    assert about["sources"] == [{"name": "a", "clips": 1, "hours": 5 / 30 / 3600}]


@pytest.mark.parametrize(
    ("inputs", "options", "said"),
    [
        (["flat.npz"], {}, "flat.npz contains two-dimensional poses"),
        (["timeless.npz"], {}, "timeless.npz has no frame rate; give it with --fps"),
        (["three.npz", "kinect.npz"], {}, "kinect.npz has the skeleton 'kinect-20', .* have 'three'"),
        (["kinect.npz", "three.npz"], {"skeleton": "common-15"}, "'three' cannot be mapped to 'common-15'"),
        (["three.npz"], {"skeleton": "comon-15"}, "did you mean 'common-15'"),
        (["three.npz"], {"splits": ["train"]}, "three.npz has no splits"),
        (["nobody.npz"], {}, "no person in .*nobody.npz: nothing to write"),
        ([], {}, "no person in no input"),
        (["three.npz", "broken.npz"], {}, "broken.npz"),
    ],
)
def test_errors_leave_no_files(tmp_path, inputs, options, said):
    ones = np.ones((1, 4, 3, 3))
    write(Poses([ones], THREE, fps=30.0), tmp_path / "three.npz")
    write(Poses([ones[..., :2]], THREE, fps=30.0), tmp_path / "flat.npz")
    write(Poses([ones], THREE), tmp_path / "timeless.npz")
    write(Poses([ones * np.nan], THREE, fps=30.0), tmp_path / "nobody.npz")
    write(Poses([np.ones((1, 4, 20, 3))], SKELETONS["kinect-20"], fps=30.0), tmp_path / "kinect.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "three.npz").read_bytes()[:-50])
    before = sorted(tmp_path.iterdir())
    for _ in range(2):  # the second time some parts may be there
        with pytest.raises(ValueError, match=said):
            prepare([tmp_path / name for name in inputs], tmp_path / "corpus", **options)
    assert [file for file in sorted(tmp_path.iterdir()) if file.name != ".corpus.unfinished"] == before
    prepare([tmp_path / "three.npz"], tmp_path / "corpus")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "corpus"])


def test_reader_passes_options(tmp_path):
    np.save(tmp_path / "a.npy", RNG.normal(size=(2, 5, 3, 3)))
    prepare([tmp_path / "a.npy"], tmp_path / "corpus", reader=partial(read_parts, skeleton=THREE, fps=25))
    assert_holds(tmp_path / "corpus", [read(tmp_path / "a.npy", skeleton=THREE, fps=25)], THREE)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_table_of_labels_is_used_by_all_parts(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "PART_FILES", 2)
    monkeypatch.setattr(prepare_module, "FEW_BYTES", 0)
    for name in ("a/one", "a/two", "b/three", "b/four", "b/five"):
        path = tmp_path / "data" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(Poses([RNG.normal(size=(1, 6, 3, 3))], THREE, [path.stem], fps=30), path)
    table = tmp_path / "labels.csv"
    table.write_text("id,label\none,x\ntwo,y\nthree,x\nfour,y\nfive,x\nsix,y\n")
    reading = {"labels": f"{table}"}
    with pytest.warns(UserWarning, match="1 of 6 ids in the table of labels belong to no clip: .*six"):
        prepare([tmp_path / "data"], tmp_path / "corpus", reading=reading, workers=workers)
    tracks = contents(tmp_path / "corpus")[1]
    assert dict(zip(tracks["ids"].tolist(), tracks["labels"].tolist())) == {
        **{"a/one": "x", "a/two": "y", "b/three": "x", "b/four": "y", "b/five": "x"}
    }
    (tmp_path / "data" / "b" / "two.npz").write_bytes((tmp_path / "data" / "a" / "two.npz").read_bytes())
    with pytest.raises(ValueError, match="'two' in the table of labels may be .*; write it with its folders"):
        prepare([tmp_path / "data"], tmp_path / "other", reading=reading, workers=workers)


def test_invalid_paths_are_refused(tmp_path):
    write(Poses([np.ones((1, 4, 3, 3))], THREE, fps=30.0), tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="the folder .*none does not exist"):
        prepare([tmp_path / "a.npz"], tmp_path / "none" / "corpus")
    prepare([tmp_path / "a.npz"], tmp_path / "corpus")
    for taken in (tmp_path / "corpus", tmp_path / "a.npz"):
        with pytest.raises(FileExistsError, match="exists and is not an empty folder"):
            prepare([tmp_path / "a.npz"], taken)
    with pytest.raises(FileNotFoundError, match="there is no file or folder .*gone.npz"):
        prepare([tmp_path / "gone.npz"], tmp_path / "other")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "corpus"]


def test_lists_and_patterns_are_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        write(Poses([RNG.normal(size=(1, 6, 3, 3))], THREE, [name], fps=30), tmp_path / f"{name}.npz")
    (tmp_path / "list.txt").write_text("a.npz\nb.npz\n")
    about = prepare(["@list.txt", "?.npz", "c.npz", "."], "out", skeleton=THREE)
    assert [(source["name"], source["clips"]) for source in about["sources"]] == [
        ("@list.txt", 2),
        ("?.npz", 3),
        ("c", 1),
        (tmp_path.name, 3),
    ]
    monkeypatch.setattr("sys.stdin", ["b.npz\n", "a.npz\n"])
    assert prepare(["-"], "from_stdin", skeleton=THREE)["sources"][0]["clips"] == 2
    assert contents(tmp_path / "from_stdin")[1]["ids"].tolist() == ["b", "a"]
