"""Labels and further columns by id, and concatenation of sets of poses."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, embed
from skelrep.poses.joining import Join, joined
from skelrep.skeletons import SKELETONS
from tests.bodies import walking


def clips(count: int = 3) -> list[np.ndarray]:
    return [walking("kinect-20", 6 + i, seed=i)[0] for i in range(count)]


def test_from_clips_with_labels_and_names_of_a_skeleton():
    poses = Poses.from_clips(clips(), "kinect-20", ids=["a", "b", "c"], labels=["x", "y", "x"], fps=30)
    assert [clip.shape[:2] for clip in poses.clips] == [(1, 6), (1, 7), (1, 8)]
    assert poses.skeleton is SKELETONS["kinect-20"]
    assert (poses.labels.tolist(), poses.fps) == (["x", "y", "x"], 30)
    by_id = Poses.from_clips(clips(), "kinect-20", ids=["a", "b", "c"], labels={"c": 3, "a": 1, "b": 2})
    assert by_id.labels.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="clip 1 is a str, not an array"):
        Poses.from_clips([clips()[0], "a.npy"], "kinect-20")
    with pytest.raises(ValueError, match="list of clips is empty"):
        Poses.from_clips([], "kinect-20")


def test_a_skeleton_by_its_name_or_by_joint_names():
    whole = [clip[None] for clip in clips()]
    assert Poses(whole, "kinect-20").skeleton is SKELETONS["kinect-20"]
    assert Poses(whole, list(SKELETONS["kinect-20"].joints)).skeleton is SKELETONS["kinect-20"]
    with pytest.raises(ValueError, match="'kinect-2'; did you mean 'kinect-20'"):
        Poses(whole, "kinect-2")


def test_clips_by_their_ids():
    poses = Poses.from_clips(clips(), "kinect-20", ids=["a", "b", "c"])
    assert poses["b"].ids == ["b"]
    assert poses[["c", "a"]].ids == ["c", "a"]
    with pytest.raises(KeyError, match="none of these 3 clips is called 'd'"):
        poses["d"]


def test_a_sum_has_unique_ids():
    one, two = (Poses.from_clips(clips(2), "kinect-20", ids=ids) for ids in (["a", "b"], ["c", "d"]))
    assert (one + two).ids == ["a", "b", "c", "d"]
    assert (one + one).ids == ["0/a", "0/b", "1/a", "1/b"]
    with pytest.raises(TypeError):
        one + 3


def test_ids_of_a_list_of_batches_are_unique():
    from skelrep.poses import as_poses

    batch = np.stack([walking("kinect-20", 6, seed=i) for i in range(2)])
    assert as_poses([batch, batch], skeleton="kinect-20").ids == ["0/0", "0/1", "1/0", "1/1"]
    assert embed([batch, batch], skeleton="kinect-20").shape[0] == 4


def test_labels_by_position_by_id_and_from_a_column():
    poses = Poses.from_clips(clips(), "kinect-20", ids=["wave/a", "wave/b", "jump/a"])
    assert poses.with_labels([1, 2, 3]).labels.tolist() == [1, 2, 3]
    table = {"wave/a.json": "w", "b.json": "w", "jump/a": "j"}
    assert poses.with_labels(table).labels.tolist() == ["w", "w", "j"]
    named = poses.with_info(subject=[4, 5, 6], camera={"wave/a": 1, "wave/b": 1, "jump/a": 2})
    assert named.info["camera"].tolist() == [1, 1, 2]
    assert named.with_labels("subject").labels.tolist() == [4, 5, 6]
    assert poses.labels is None
    with pytest.raises(ValueError, match=r"3 clips but labels of shape \(2,\)"):
        poses.with_labels([1, 2])
    with pytest.raises(ValueError, match="no column 'subjct'.*did you mean 'subject'"):
        named.with_labels("subjct")


def test_ids_that_do_not_match_are_named():
    with pytest.raises(ValueError, match="1 of 2 clips .*: 'b'; the table has 2 ids, .* no clip has 'c'"):
        joined(["a", "b"], {"a": 1, "c": 2}, "label")
    with pytest.warns(UserWarning, match="1 of 3 ids .* belong to no clip: 'c'"):
        assert joined(["a", "b"], {"a": 1, "b": 2, "c": 3}, "label").tolist() == [1, 2]


def test_only_one_suffix_is_removed():
    """A table of "walk.left" says nothing about "walk.right"."""
    with pytest.raises(ValueError, match="'walk.right'"):
        joined(["walk.right"], {"walk.left": 1}, "label")
    assert joined(["walk.right"], {"walk.right.csv": 1}, "label").tolist() == [1]
    assert joined(["S001.2"], {"S001.2": 1, "S001.3": 2, "S001": 3}, "label").tolist() == [1]


def test_two_clips_never_share_a_line_by_the_ends_of_their_ids():
    join = Join({"a": 1}, "label")
    assert join.column(["wave/a"]).tolist() == [1]
    with pytest.raises(ValueError, match="'a' .* may be 'wave/a' or 'jump/a'"):
        join.column(["jump/a"])


def test_ids_of_persons_are_kept(tmp_path):
    two = np.concatenate([walking("kinect-20", 6, seed=i) for i in range(2)])
    poses = Poses([two, two[:1]], "kinect-20", ids=["a", "b"], person_ids=[(7, None), ("x",)])
    assert poses.person_ids == [("7", None), ("x",)]
    assert poses["b"].person_ids == [("x",)]
    assert (poses + poses).person_ids == [("7", None), ("x",)] * 2
    poses.save(tmp_path / "a.npz")
    assert Poses.load(tmp_path / "a.npz").person_ids == poses.person_ids
    with pytest.raises(ValueError, match="clip 'a' has 2 persons but 1 person_ids"):
        Poses([two], "kinect-20", ids=["a"], person_ids=[("x",)])
    with pytest.raises(ValueError, match="2 clips but 1 person_ids"):
        Poses([two, two], "kinect-20", person_ids=[("x", "y")])


def test_a_data_set_of_xarray_and_back():
    pytest.importorskip("xarray", reason="xarray is not installed")
    from skelrep.poses import as_poses

    two = np.concatenate([walking("kinect-20", 6, seed=i) for i in range(2)])
    scores = [np.linspace(0.1, 1, two[..., 0].size, dtype=np.float32).reshape(two.shape[:3])]
    poses = Poses([two], "kinect-20", ids=["a"], labels=["wave"], fps=30, scores=scores, person_ids=[("p", "q")])
    data = poses.to_xarray()
    assert dict(data.sizes) == {"time": 6, "space": 3, "keypoint": 20, "individual": 2}
    head = data["position"].sel(keypoint="head", individual="q", space="y").values
    np.testing.assert_array_equal(head, two[1, :, poses.skeleton.joints.index("head"), 1])
    np.testing.assert_allclose(data["time"].values, np.arange(6) / 30)
    assert (data.attrs["fps"], data.attrs["ds_type"], data.attrs["label"]) == (30, "poses", "wave")
    again = as_poses(data)
    np.testing.assert_array_equal(again.clips[0], two)
    np.testing.assert_array_equal(again.scores[0], scores[0])
    assert (again.fps, again.person_ids) == (30, [("p", "q")])
    with pytest.raises(ValueError, match="contains one clip, but these are 2"):
        (poses + poses).to_xarray()
