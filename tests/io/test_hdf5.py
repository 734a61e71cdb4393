"""HDF5 of SLEAP and DeepLabCut: values, persons, scores, and other files."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skelrep.io import read
from tests.pose_files import slp

RNG = np.random.default_rng(0)
PARTS = ["nose", "leftshoulder", "rightshoulder"]


def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"something")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match="needs h5py: pip install"):
        read(tmp_path / "a.h5")


def test_sleap(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    tracks = RNG.uniform(1, 500, size=(3, 2, 3, 6))  # tracks, axes, nodes, frames
    tracks[1, :, :, :2] = np.nan
    tracks[2] = np.nan  # a track that the proofreader emptied
    scores = RNG.uniform(0.1, 1, size=(3, 3, 6))
    with h5py.File(tmp_path / "a.analysis.h5", "w") as file:
        file["tracks"], file["point_scores"] = tracks, scores
        file["node_names"] = np.array(PARTS, dtype="S")
        file["track_names"] = np.array(["a", "b", "c"], dtype="S")
    poses = read(tmp_path / "a.analysis.h5")
    assert poses.skeleton.joints == ("nose", "left_shoulder", "right_shoulder") and poses.person_ids == [("a", "b")]
    np.testing.assert_allclose(poses.clips[0], tracks[:2].transpose(0, 3, 2, 1), rtol=1e-6)
    assert poses.scores is not None
    np.testing.assert_allclose(poses.scores[0], scores[:2].swapaxes(1, 2), rtol=1e-6)


@pytest.mark.parametrize("persons", [None, ["mouse1", "mouse2"]])
def test_deeplabcut_as_pandas_writes_it(tmp_path, persons):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("tables", reason="PyTables is not installed")
    pytest.importorskip("h5py", reason="h5py is not installed")
    levels = [["DLC"], *([persons] if persons else []), PARTS, ["x", "y", "likelihood"]]
    columns = pandas.MultiIndex.from_product(levels)
    values = RNG.uniform(1, 500, size=(5, len(columns)))
    frame = pandas.DataFrame(values, columns=columns, index=[0, 1, 2, 4, 5])
    frame.to_hdf(tmp_path / "a.h5", key="df_with_missing", format="table", mode="w")
    poses = read(tmp_path / "a.h5")
    expected = values.reshape(5, -1, 3, 3).swapaxes(0, 1)
    assert poses.clips[0].shape == (2 if persons else 1, 6, 3, 2)  # frame 3 was left out
    np.testing.assert_allclose(poses.clips[0][:, [0, 1, 2, 4, 5]], expected[..., :2], rtol=1e-6)
    assert np.isnan(poses.clips[0][:, 3]).all() and poses.scores is not None
    np.testing.assert_allclose(poses.scores[0][:, [0, 1, 2, 4, 5]], expected[..., 2], rtol=1e-6)


def test_files_of_another_format_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    (tmp_path / "a.h5").write_bytes(b"no hdf5 at all")
    with pytest.raises(ValueError, match=r"a\.h5 is damaged or not an HDF5 file of a pose tracker"):
        read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["weights"] = np.ones(3)
    with pytest.raises(ValueError, match=r"b\.h5.*it contains weights; expected the tracks and node_names"):
        read(tmp_path / "b.h5")


def test_slp(tmp_path):
    """Against what sleap-io reads: predicted points, one instance corrected by hand, frames that were left out."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    points = RNG.uniform(100, 500, size=(2, 5, 3, 2))
    points[0, 2, 1] = np.nan
    scores = RNG.uniform(0.1, 1, size=(2, 5, 3))
    people = []
    for row, frame in enumerate([0, 1, 2, 4, 5]):
        people += [(0, frame, 1, person, points[person, row], scores[person, row]) for person in (0, 1)]
    people.append((0, 5, 0, 1, points[1, 4] + 7, None))  # beside the predicted one of the same track
    people += [(1, frame, 1, -1, points[0, frame], scores[0, frame]) for frame in range(5)]
    slp(tmp_path / "a.slp", PARTS, people)
    poses = read(tmp_path / "a.slp")
    assert poses.ids == ["a/a", "a/b"]
    assert poses.skeleton.joints == ("nose", "left_shoulder", "right_shoulder")
    assert poses.person_ids is not None and poses.person_ids[0] == ("left", "right")
    expected = np.insert(points, 3, np.nan, axis=1)
    expected[1, 5] += 7
    np.testing.assert_allclose(poses.clips[0], expected, rtol=1e-6)
    np.testing.assert_allclose(poses.clips[1][0], points[0], rtol=1e-6)
    assert poses.scores is not None
    np.testing.assert_allclose(poses.scores[0][:, [0, 1, 2, 4]], scores[:, :4], rtol=1e-6)
    assert poses.scores[0][1, 5].tolist() == [1, 1, 1]


def test_damaged_slp_files_are_refused(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    slp(tmp_path / "a.slp", PARTS, [])
    with pytest.raises(ValueError, match="a.slp contains no instances"):
        read(tmp_path / "a.slp")
    whole = (tmp_path / "a.slp").read_bytes()
    for damaged in (whole[:300], whole.replace(b"nodes", b"noses")):
        (tmp_path / "b.slp").write_bytes(damaged)
        with pytest.raises(ValueError, match="b.slp (is damaged|contains no instances)"):
            read(tmp_path / "b.slp")


def test_points_of_sleap_without_a_score_were_placed_by_hand(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    tracks = RNG.uniform(1, 500, size=(1, 2, 3, 6))
    scores = RNG.uniform(0.1, 1, size=(1, 3, 6))
    scores[0, :, 2] = np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"], file["point_scores"] = tracks, scores
        file["node_names"] = np.array(PARTS, dtype="S")
    poses = read(tmp_path / "a.h5")
    assert not np.isnan(poses.clips[0]).any()
    assert poses.scores is not None and poses.scores[0][0, 2].tolist() == [1, 1, 1]
