"""Poses: construction, columns, windows and files."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.missing import absent_as_nan
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses, as_poses
from skelrep.poses.npz import POSES_VERSION
from skelrep.skeletons import SKELETONS, Skeleton, custom

V = 4
HAND = Skeleton("hand", ("palm", "thumb", "index", "pinky"), (0, 0, 0, 0))


def clip(persons=1, frames=6, channels=3, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(persons, frames, V, channels)).astype(np.float32)


def some(n=3, **columns) -> Poses:
    """Clips of different lengths and numbers of persons."""
    return Poses([clip(1 + i % 2, 5 + i, seed=i) for i in range(n)], HAND, **columns)


def full() -> Poses:
    """Everything that poses can have, and some NaN."""
    clips = [clip(2, 7), clip(1, 4, seed=1)]
    clips[0][1, 2:5] = np.nan
    clips[1][0, 0, 3] = np.nan
    return Poses(
        clips,
        HAND,
        ids=["wave/ü", "fist"],
        labels=np.array(["Wave", "Fist"]),
        fps=29.97,
        scores=[np.full((2, 7, V), 0.5), np.full((1, 4, V), 0.25)],
        info={"subject": [3, 5], "train": [True, False], "start": [0.0, 1.5], "camera": ["left", "right"]},
    )


def same(one: Poses, other: Poses) -> None:
    assert len(one) == len(other)
    for a, b in zip(one.clips, other.clips):
        np.testing.assert_array_equal(a, b)
    assert (one.skeleton, one.ids, one.fps) == (other.skeleton, other.ids, other.fps)
    for a, b in ((one.labels, other.labels), (one.scores, other.scores)):
        assert (a is None) == (b is None)
        for x, y in zip(a if a is not None else [], b if b is not None else []):
            np.testing.assert_array_equal(x, y)
    assert list(one.info) == list(other.info)
    for key in one.info:
        np.testing.assert_array_equal(one.info[key], other.info[key])
        assert one.info[key].dtype == other.info[key].dtype


# -- what Poses are ---------------------------------------------------------------------------------------------------


def test_parts_are_converted_to_their_types():
    poses = Poses([clip().astype(np.float64)], HAND, ids=[7], labels=[3], fps=30, scores=[np.ones((1, 6, V))])
    assert poses.clips[0].dtype == poses.scores[0].dtype == np.float32
    assert poses.ids == ["7"]
    assert isinstance(poses.labels, np.ndarray)
    assert isinstance(poses.fps, float)
    assert some(2).ids == ["0", "1"]
    assert Poses([clip()], HAND, ids=np.array(["a"])).ids == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": [clip()[0]]}, r"clip '0' has shape \(6, 4, 3\); expected \(persons, frames, 4 joints of 'hand'"),
        ({"clips": [clip(), clip()[:, :, :3]], "ids": ["a", "b"]}, r"clip 'b' has shape \(1, 6, 3, 3\)"),
        ({"clips": [clip(channels=3)[..., :1]]}, "2 or 3 channels"),
        ({"clips": [clip()[:, :0]]}, "contains no pose"),
        ({"clips": [clip()[:0]]}, "contains no pose"),
        ({"clips": [np.where(clip() > 0, np.inf, 0)]}, "clip '0' contains infinite coordinates"),
        ({"clips": [clip(), clip(channels=2)]}, "some clips are 2-D and some 3-D"),
        ({"ids": ["a", "b"]}, "1 clips but 2 ids"),
        ({"labels": [1, 2]}, "1 clips but 2 labels"),
        ({"labels": 1}, "labels is the single value 1"),
        ({"info": {"subject": [1, 2]}}, "1 clips but 2 subject"),
        ({"scores": []}, "1 clips but 0 scores"),
        ({"scores": [np.ones((1, 6, V, 1))]}, r"scores of clip '0' have shape \(1, 6, 4, 1\); expected \(1, 6, 4\)"),
        ({"fps": 0}, "fps must be a positive number, got 0"),
        ({"fps": float("nan")}, "fps must be a positive number"),
        ({"fps": float("inf")}, "fps must be a positive number"),
    ],
)
def test_parts_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Poses(**{"clips": [clip()], "skeleton": HAND} | arguments)


def test_repr_says_what_is_known():
    assert repr(Poses([clip()], HAND)) == "Poses(1 clip, 1 person, 6 frames, hand in 3-D)"
    assert repr(full()) == (
        "Poses(2 clips, 1-2 persons, 4-7 frames, hand in 3-D, 29.97 fps, 2 labels, info: subject, train, start, camera)"
    )
    assert repr(Poses([clip(2, channels=2)], HAND)) == "Poses(1 clip, 2 persons, 6 frames, hand in 2-D)"
    assert repr(some()[:0]) == "Poses(0 clips, hand)"


# -- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([2, 0, 2], [2, 0, 2]),
        (np.array([True, False, False, True]), [0, 3]),
        ([], []),
        (np.int64(2), [2]),
    ],
)
def test_index(index, rows):
    poses = some(
        4, labels=list("abcd"), info={"k": np.arange(4)}, fps=10, scores=[np.ones(c.shape[:3]) for c in some(4).clips]
    )
    picked = poses[index]
    assert picked.ids == [str(i) for i in rows]
    assert picked.labels.tolist() == ["abcd"[i] for i in rows]
    assert picked.info["k"].tolist() == rows
    assert picked.fps == 10
    assert [score.shape for score in picked.scores] == [c.shape[:3] for c in picked.clips]
    for mine, i in zip(picked.clips, rows):
        np.testing.assert_array_equal(mine, poses.clips[i])


def test_index_beyond_the_end():
    with pytest.raises(IndexError):
        some()[3]
    with pytest.raises(IndexError):
        some()[np.array([True, False])]


def test_iteration_gives_poses_of_one():
    poses = full()
    parts = list(poses)
    assert [part.ids for part in parts] == [["wave/ü"], ["fist"]]
    assert all(isinstance(part, Poses) and len(part) == 1 for part in parts)
    same(Poses.concatenate(parts), poses)


@pytest.mark.parametrize(
    ("columns", "kept"),
    [
        ({"subject": 1}, [0, 2]),
        ({"subject": [1, 3]}, [0, 2, 3]),
        ({"subject": {1, 3}}, [0, 2, 3]),
        ({"subject": frozenset({3})}, [3]),
        ({"subject": range(2, 4)}, [1, 3]),
        ({"subject": np.array([2])}, [1]),
        ({"subject": {1: "x"}.keys()}, [0, 2]),
        ({"labels": "run"}, [1, 3]),
        ({"labels": ("run", "walk"), "subject": 1}, [0, 2]),
        ({"ids": ["0", "3"]}, [0, 3]),
        ({"split": "xsub_train"}, [0, 1]),
        ({"xsub_train": False}, [2, 3]),
        ({"subject": 9}, []),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_select(columns, kept):
    info = {"subject": [1, 2, 1, 3], "xsub_train": [True, True, False, False]}
    poses = some(4, labels=["walk", "run", "walk", "run"], info=info)
    assert poses.select(**columns).ids == [str(i) for i in kept]


def test_select_a_column_called_split():
    poses = some(3, info={"split": ["train", "test", "train"]})
    assert poses.select(split="train").ids == ["0", "2"]


def test_select_a_split_by_one_rule():
    """A column `split` and boolean columns side by side: each of their names is a split."""
    poses = some(3, info={"split": ["train", "test", "train"], "xsub_train": [False, True, True]})
    assert poses.select(split="xsub_train").ids == ["1", "2"]
    assert poses.select(split="test").ids == ["1"]
    assert poses.select(split=["test", "xsub_train"]).ids == ["1", "2"]
    with pytest.raises(ValueError, match="no split 'tst'; did you mean 'test'"):
        poses.select(split="tst")


@pytest.mark.parametrize("columns", [{"actor": 1}, {"split": "xview_train"}, {"labels": 1}])
def test_select_by_an_unknown_column(columns):
    name = columns.get("split") or next(iter(columns))
    with pytest.raises(ValueError, match=f"no (column|split) '{name}' .*ids, subject"):
        some(info={"subject": [1, 2, 3]}).select(**columns)


# -- windows ----------------------------------------------------------------------------------------------------------


def test_windows_by_hand():
    """13 frames at 4 a second, windows of one second every half: 0, 2, ..., 8, and the one that ends at the end."""
    long, short = clip(2, 13), clip(1, 3, seed=1)
    poses = Poses([long, short], HAND, ids=["long", "short"], labels=[5, 6], fps=4, info={"subject": [1, 2]})
    windows = poses.windows(1.0, 0.5)
    begins = [0, 2, 4, 6, 8, 9]
    assert windows.info["start"].tolist() == [*(begin / 4 for begin in begins), 0.0]
    assert windows.info["end"].tolist() == [*((begin + 4) / 4 for begin in begins), 0.75]
    assert windows.info["source"].tolist() == ["long"] * 6 + ["short"]
    assert windows.info["subject"].tolist() == [1] * 6 + [2]
    assert windows.labels.tolist() == [5] * 6 + [6]
    assert windows.ids[1] == "long@0.50-1.50"
    assert windows.fps == 4
    for window, begin in zip(windows.clips, begins):
        np.testing.assert_array_equal(window, long[:, begin : begin + 4])
    np.testing.assert_array_equal(windows.clips[-1], short)


def test_windows_do_not_overlap_by_default():
    windows = Poses([clip(1, 8)], HAND, fps=4).windows(1)
    assert windows.info["start"].tolist() == [0, 1]
    assert [window.shape[1] for window in windows.clips] == [4, 4]


def test_windows_cut_the_scores_too():
    scores = np.arange(8 * V, dtype=np.float32).reshape(1, 8, V)
    windows = Poses([clip(1, 8)], HAND, fps=4, scores=[scores]).windows(1, 0.75)
    for begin, window in zip([0, 3, 4], windows.scores):
        np.testing.assert_array_equal(window, scores[:, begin : begin + 4])


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([7.5, 10, 25, 29.97, 30, 120]),
    st.floats(0.01, 3),
    st.floats(0.01, 3),
)
def test_windows_cover_recordings(frames, fps, window, stride):
    clips = [np.broadcast_to(np.arange(1.0, n + 1)[None, :, None, None], (1, n, V, 3)) for n in frames]
    windows = Poses(clips, HAND, fps=fps).windows(window, stride)
    length, step = max(1, round(window * fps)), max(1, round(stride * fps))
    assert [name for name, _ in itertools.groupby(windows.info["source"])] == [str(i) for i in range(len(frames))]
    for i, n in enumerate(frames):
        mine = windows.select(source=str(i))
        begins = [int(part[0, 0, 0, 0]) - 1 for part in mine.clips]
        assert {part.shape[1] for part in mine.clips} == {min(length, n)}
        np.testing.assert_allclose(mine.info["start"] * fps, begins, atol=1e-9)
        np.testing.assert_allclose(mine.info["end"] * fps, [begin + min(length, n) for begin in begins], atol=1e-9)
        assert begins[0] == 0
        assert begins[-1] + min(length, n) == n, "the end is covered"
        assert np.all(np.diff(begins) > 0)
        assert set(np.diff(begins)[:-1].tolist()) <= {step}
        assert all(gap <= step for gap in np.diff(begins))


@pytest.mark.parametrize("seconds", [(0,), (-1,), (1, 0), (float("nan"),), (float("inf"),), (1, float("nan"))])
def test_windows_of_no_duration(seconds):
    with pytest.raises(ValueError, match="window and stride must be positive seconds, got"):
        some(fps=30).windows(*seconds)


def test_windows_need_fps():
    with pytest.raises(ValueError, match="need fps"):
        some().windows(1)


# -- concatenate ------------------------------------------------------------------------------------------------------


def test_concatenate_keeps_columns_that_all_have():
    scores = [np.ones(c.shape[:3]) for c in some(2).clips]
    one = some(2, labels=[0, 1], fps=30, scores=scores, info={"subject": [1, 2], "camera": [3, 4]})
    two = some(2, labels=[2, 3], fps=30, scores=scores, info={"subject": [5, 6]})
    with pytest.warns(UserWarning, match="2 sets of poses are combined.*'camera' .unknown for '0'"):
        both = Poses.concatenate([one, two])
    assert both.ids == ["0/0", "0/1", "1/0", "1/1"]
    assert both.labels.tolist() == [0, 1, 2, 3]
    assert both.fps == 30
    assert list(both.info) == ["subject"]
    assert both.info["subject"].tolist() == [1, 2, 5, 6]
    assert len(both.scores) == 4
    np.testing.assert_array_equal(both.clips[3], two.clips[1])

    left_out = (
        r"left out: labels \(unknown for '0'\), scores .*, 'subject' .*, frames per second \(30 and 25; pass fps="
    )
    with pytest.warns(UserWarning, match=left_out):
        bare = one + some(1, fps=25)
    assert bare.labels is bare.fps is bare.scores is None
    assert bare.info == {}


def test_concatenate_incompatible_poses():
    with pytest.raises(ValueError, match="no poses to concatenate"):
        Poses.concatenate([])
    with pytest.raises(ValueError, match=r"'hand' \(2-D\) and 'hand' \(3-D\)"):
        Poses.concatenate([some(), Poses([clip(channels=2)], HAND)])
    other = custom(["a", "b", "c", "d"], name="foot")
    with pytest.raises(ValueError, match=r"cannot combine 'foot' \(3-D\) and 'hand' \(3-D\)"):
        Poses.concatenate([some(), Poses([clip()], other)])


def test_concatenate_with_an_empty_selection():
    flat = Poses([clip(channels=2)], HAND, labels=["a"])
    same(Poses.concatenate([flat, flat[:0]]), flat)
    same(Poses.concatenate([flat[:0], flat]), flat)
    assert len(Poses.concatenate([flat[:0], flat[:0]])) == 0


# -- from_array -------------------------------------------------------------------------------------------------------

SIZES = {"N": 3, "M": 2, "T": 6, "V": V, "C": 3}
LAYOUTS = [
    "".join(axes)
    for present in ("TVC", "MTVC", "NTVC", "NMTVC")
    for axes in itertools.permutations(present)
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_from_array_in_every_layout(layout):
    array = np.random.default_rng(0).normal(size=[SIZES[axis] for axis in layout]).astype(np.float32)
    poses = Poses.from_array(array, skeleton=HAND, layout=layout.lower() if layout[0] == "T" else layout)
    assert len(poses) == (SIZES["N"] if "N" in layout else 1)
    at = np.empty(5, dtype=int)
    for n, got in enumerate(poses.clips):
        assert got.shape == (SIZES["M"] if "M" in layout else 1, SIZES["T"], V, 3)
        for place in np.ndindex(got.shape):
            at[:] = n, *place
            assert got[place] == array[tuple(at["NMTVC".index(axis)] for axis in layout)]


@pytest.mark.parametrize(
    ("shape", "clips", "inner"),
    [((6, V, 3), 1, (1, 6)), ((2, 6, V, 2), 1, (2, 6)), ((1, 7, V, 3), 1, (1, 7)), ((5, 2, 6, V, 3), 5, (2, 6))],
)
def test_from_array_knows_three_four_and_five_axes(shape, clips, inner):
    poses = Poses.from_array(np.ones(shape), skeleton=HAND)
    assert len(poses) == clips
    assert poses.clips[0].shape == (*inner, V, shape[-1])


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.ones((6, 11)), {}, r"shape \(6, 11\) has no axis of joints.* \(11 numbers\).* \(T, V, C\)"),
        (np.ones((V, 3)), {}, r"shape \(4, 3\) is a single pose .*expected a clip"),
        (np.ones((6, 75)), {"skeleton": None}, r"\(6, 75\) .* skeleton= .*\(75 numbers may be ntu-25 x 3"),
        (np.ones((1, 1, 1, 6, V, 3)), {}, "is neither a clip"),
        (np.ones((3, 6, V, 3)), {}, 'would contain 3 persons; pass layout="NTVC" .clips, frames, joints, channels.'),
        (np.full((6, V, 4), -2), {}, r"\(6, 4, 4\) read as TVC: the fourth number .* channels="),
        (np.ones((6, V, 6)), {}, r"\(6, 4, 6\) read as TVC: 6 numbers for each joint .* channels="),
        (np.ones((6, 3, V)), {"channels": "xyz"}, r"\(6, 3, 4\) .* layout=\"TCV\" "),
        (np.ones((6, 3, 9)), {}, r"axis C .* read as TVC has 9 channels, not 2 or 3"),
        (np.ones((6, V, 3)), {"layout": "NTVC"}, r"'NTVC' has 4 axes but the array has shape \(6, 4, 3\)"),
        (np.ones((6, V, 3)), {"layout": "TVX"}, "'TVX' must name each of T, V, C once"),
        (np.ones((6, V, 3)), {"layout": "TTC"}, "'TTC' must name each of T, V, C once"),
        (np.ones((6, V)), {"layout": "TV"}, "'TV' must name each of T, V, C once"),
        (np.ones((6, 5, 3)), {}, r"'hand' has 4 joints but the array \(6, 5, 3\) .* has 5"),
        (np.ones((6, V, 3)), {"skeleton": None}, "4 joints fits no known skeleton"),
        (np.ones((6, 25, 3)), {"skeleton": None}, "25 joints.*'ntu-25' or 'openpose-25'"),
        (np.ones((0, V, 3)), {}, r"shape \(0, 4, 3\) contains no pose"),
        (np.ones((0, 1, 6, V, 3)), {}, "contains no pose"),
        (np.array([["a"]]), {}, "must be an array of numbers, got dtype <U1"),
        (np.ones((6, V, 3), dtype=complex), {}, "array of numbers"),
        (np.ones((6, V, 3), dtype=bool), {}, "array of numbers, got dtype bool"),
        (np.full((6, V, 3), np.inf), {}, "infinite coordinates"),
        (np.ones((2, 1, 6, V, 3)), {"ids": ["a"]}, "2 clips but 1 ids"),
    ],
)  # fmt: skip
def test_from_array_of_a_wrong_shape(array, options, message):
    with pytest.raises(ValueError, match=message):
        Poses.from_array(array, **{"skeleton": HAND} | options)


def test_from_array_passes_the_columns_on():
    poses = Poses.from_array(np.ones((2, 1, 6, 33, 3)), ids=np.array(["a", "b"]), labels=[0, 1], fps=25)
    assert poses.skeleton is SKELETONS["mediapipe-33"]
    assert (poses.ids, poses.labels.tolist(), poses.fps) == (["a", "b"], [0, 1], 25)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
def test_from_array_of_any_numbers(dtype):
    array = np.arange(1, 6 * V * 3 + 1).reshape(6, V, 3).astype(dtype)
    got = Poses.from_array(array, skeleton=HAND).clips[0]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[0], array)


def test_zero_poses_are_missing_and_padding_is_cut():
    batch = np.ones((3, 2, 6, V, 3))
    batch[0, 1] = 0  # no second person
    batch[0, 0, 2] = 0  # lost for a frame
    batch[1, :, 4:] = 0  # padding
    batch[1, 0, 3] = 0
    batch[2] = 0  # no person in any frame
    untouched = batch.copy()
    poses = Poses.from_array(batch, skeleton=HAND)
    np.testing.assert_array_equal(batch, untouched)
    assert [got.shape[1] for got in poses.clips] == [6, 4, 1]
    missing = np.isnan(poses.clips[0])
    assert missing[1].all()
    assert missing[0, 2].all()
    assert missing[0].sum() == V * 3
    assert np.isnan(poses.clips[1][0, 3]).all()
    assert not np.isnan(poses.clips[1][1]).any()
    assert np.isnan(poses.clips[2]).all()


def test_a_single_clip_keeps_its_frames():
    array = np.ones((2, 6, V, 3))
    array[:, 4:] = 0
    assert Poses.from_array(array, skeleton=HAND).clips[0].shape[1] == 6


def test_from_array_shares_memory_where_nothing_is_marked():
    array = np.stack([clip(seed=seed) for seed in range(3)])
    array[1, 0, 2] = 0
    before = array.copy()
    poses = Poses.from_array(array, skeleton=HAND)
    assert [np.shares_memory(array, part) for part in poses.clips] == [True, False, True]
    assert np.isnan(poses.clips[1][0, 2]).all()
    np.testing.assert_array_equal(array, before)
    assert not np.shares_memory(array.astype(float), Poses.from_array(array.astype(float), skeleton=HAND).clips[0])


def test_absent_as_nan_leaves_its_input_alone():
    array = clip(2)
    assert absent_as_nan(array) is array
    array[0, 1, 0] = 0  # one joint in the origin is no missing frame
    assert absent_as_nan(array) is array
    array[1, 3] = 0
    marked = absent_as_nan(array)
    assert np.isnan(marked[1, 3]).all()
    assert np.isnan(marked).sum() == V * 3
    assert (array[1, 3] == 0).all()


def test_motion_energy_against_a_loop():
    array = clip(4, 9)
    array[1] *= 3
    array[2, 2:5, 1] = np.nan
    array[3] = np.nan
    expected = []
    for person in array.astype(np.float64):
        points = [joint for frame in person for joint in frame if not np.isnan(joint).any()]
        expected.append(sum(np.std([point[c] for point in points]) for c in range(3)) if points else -1)
    np.testing.assert_allclose(coordinate_energy(array), expected, rtol=1e-5)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "poses",
    [
        full(),
        some(),
        some(1, fps=10),
        some(labels=[3, 1, 2]),
        Poses([clip(channels=2)], HAND, ids=["flat"], labels=np.array(["ein Wort"])),
    ],
    ids=["full", "bare", "one", "integers", "flat"],
)
def test_save_and_load(poses, tmp_path):
    poses.save(tmp_path / "poses.npz")
    loaded = Poses.load(tmp_path / "poses.npz")
    same(loaded, poses)
    assert loaded.clips[0].dtype == np.float32
    if poses.labels is not None:
        assert loaded.labels.dtype == poses.labels.dtype
    assert os.listdir(tmp_path) == ["poses.npz"]  # noqa: PTH208 - hidden ones, too


def test_saved_arrays_are_as_documented(tmp_path):
    poses = full()
    poses.save(str(tmp_path / "poses.npz"))
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert {key: array.shape for key, array in arrays.items()} == {
        "format_version": (),
        "poses": (18, V, 3),
        "persons": (2,),
        "frames": (2,),
        "skeleton": (),
        "joints": (V,),
        "parents": (V,),
        "ids": (2,),
        "labels": (2,),
        "fps": (),
        "scores": (18, V),
        "info_subject": (2,),
        "info_train": (2,),
        "info_start": (2,),
        "info_camera": (2,),
    }
    np.testing.assert_array_equal(arrays["poses"][7:14], poses.clips[0][1])  # person after person
    assert arrays["format_version"] == POSES_VERSION


def test_invalid_content_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="no clip to save"):
        some()[:0].save(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="labels hold lists"):
        some(labels=[[1], [1, 2], [3]])
    with pytest.raises(ValueError, match="labels hold Python objects"):
        some(labels=np.array([1, "a", None], dtype=object)).save(tmp_path / "objects.npz")
    with pytest.raises(ValueError, match="x hold Python objects"):
        some(info={"x": np.array([{}, {}, {}])}).save(tmp_path / "objects.npz")
    with pytest.raises(FileNotFoundError, match="the folder .* does not exist"):
        some().save(tmp_path / "nowhere" / "poses.npz")
    assert not list(tmp_path.iterdir())


def rewritten(path: Path, **changes) -> Path:
    full().save(path)
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": None, "ids": None}, "not a skelrep .npz: it lacks ids, joints"),
        ({"format_version": POSES_VERSION + 1}, "update it"),
        ({"format_version": POSES_VERSION + 1, "persons": None}, "update it"),
        ({"frames": np.array([7, 5])}, "damaged: its persons and frames do not add up to its 18 poses"),
        ({"frames": np.array([7, 0])}, "damaged"),
        ({"persons": np.array([-2, -4]), "frames": np.array([-7, -1])}, "damaged"),
        ({"persons": np.array([2, 1, 1]), "frames": np.array([7, 2, 2])}, "3 clips but 2"),
        ({"poses": np.ones((18, V, 4), np.float32)}, "2 or 3 channels"),
        ({"poses": np.ones((18, 3, 3), np.float32)}, "4 joints of 'hand'"),
        ({"parents": np.array([0, 0, 0, 9])}, "parent outside"),
        ({"labels": np.array([1])}, "2 clips but 1 labels"),
        ({"scores": np.ones((17, V))}, "damaged|reshape"),
        ({"labels": np.array([{}, {}])}, "Python objects"),
        ({"labels": np.array([[1], [2]])}, r"labels have shape \(2, 1\)"),
    ],
)
def test_files_that_do_not_fit(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Poses.load(rewritten(tmp_path / "poses.npz", **changes))


def test_damaged_files(tmp_path):
    path = tmp_path / "poses.npz"
    full().save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 8] ^= 0xFF  # within the poses
    for content in (b"", b"no numbers", whole[:-30], whole[: len(whole) // 2], whole[:100], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="poses.npz is not a skelrep .npz, or damaged"):
            Poses.load(path)
    np.save(tmp_path / "array.npy", clip())
    with pytest.raises(ValueError, match="single array; skelrep.read"):
        Poses.load(tmp_path / "array.npy")
    with pytest.raises(FileNotFoundError):
        Poses.load(tmp_path / "nothing.npz")


def test_no_pickle_is_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "boom").touch, ())

    path = rewritten(tmp_path / "poses.npz", info_bomb=np.array([Bomb(), Bomb()]))
    with pytest.raises(ValueError, match="Python objects"):
        Poses.load(path)
    assert not (tmp_path / "boom").exists()


# -- as_poses ---------------------------------------------------------------------------------------------------------


def test_poses_pass_through():
    poses = some(fps=10)
    assert as_poses(poses) is poses
    assert as_poses(poses, fps=20).fps == 20
    renamed = as_poses(poses, skeleton=["a", "b", "c", "d"])
    assert renamed.skeleton.joints == ("a", "b", "c", "d")
    assert poses.skeleton is HAND
    with pytest.raises(ValueError, match="'ntu-25' has 25 joints but the array has 4"):
        as_poses(poses, skeleton="ntu-25")
    with pytest.raises(ValueError, match="no clip in these poses"):
        as_poses(poses[:0])


def test_ragged_lists():
    clips = [clip(1, 5), clip(2, 9, seed=1), clip(1, 3, seed=2)[0]]
    poses = as_poses(clips, skeleton=HAND, fps=30)
    assert poses.ids == ["0", "1", "2"]
    assert poses.fps == 30
    assert [got.shape[:2] for got in poses.clips] == [(1, 5), (2, 9), (1, 3)]
    for got, given_ in zip(poses.clips, clips):
        np.testing.assert_array_equal(got.reshape(given_.shape), given_)
    same(as_poses(tuple(clips), skeleton=HAND, fps=30), poses)
    ragged = np.empty(3, dtype=object)
    ragged[:] = clips
    same(as_poses(ragged, skeleton=HAND, fps=30), poses)
    same(as_poses([torch.from_numpy(array) for array in clips], skeleton=HAND, fps=30), poses)


def test_lists_in_a_layout():
    poses = as_poses([np.ones((3, 5, V)), np.ones((3, 8, V))], skeleton=HAND, layout="CTV")
    assert [got.shape for got in poses.clips] == [(1, 5, V, 3), (1, 8, V, 3)]


def test_arrays_and_tensors():
    array = clip(2)
    expected = Poses.from_array(array, skeleton=HAND)
    same(as_poses(array, skeleton=HAND), expected)
    same(as_poses(torch.from_numpy(array).requires_grad_(), skeleton=HAND), expected)
    same(as_poses(torch.from_numpy(array).double(), skeleton=HAND), expected)
    same(as_poses(array.transpose(0, 2, 1, 3), skeleton=HAND, layout="MVTC"), expected)


def test_lists_of_poses():
    one, two = some(2, labels=["a", "b"], fps=5), full()
    with pytest.warns(UserWarning, match=r"left out: scores .*frames per second \(5 and 29.97"):
        both = as_poses([one, two])
    assert both.ids == ["0", "1", "wave/ü", "fist"]
    assert both.labels.tolist() == ["a", "b", "Wave", "Fist"]
    assert both.fps is None
    assert as_poses([one, two], fps=12).fps == 12
    assert len(as_poses([one, clip()], skeleton=HAND)) == 3


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("poses.npz", "str"),
        (None, "NoneType"),
        (3, "int"),
        ({"a": clip()}, "dict"),
        ([1.0], "float"),
        (iter([]), "list_iterator"),
    ],
)
def test_inputs_that_are_not_poses(value, kind):
    with pytest.raises(TypeError, match=f"poses must be Poses, an array, a tensor or a list of clips, got {kind}"):
        as_poses(value)


def test_an_empty_list():
    with pytest.raises(ValueError, match="list of clips is empty"):
        as_poses([])


def test_a_list_of_2d_and_3d():
    with pytest.raises(ValueError, match="some clips are 2-D and some 3-D"):
        as_poses([clip(), clip(channels=2)], skeleton=HAND)


def test_zeros_of_estimators_on_images_are_missing():
    clip = np.random.default_rng(0).normal(size=(1, 6, 4, 2)) + 100
    clip[0, 2:4, 1] = 0  # not found in two frames
    found = Poses.from_array(clip, skeleton=["a", "b", "c", "d"]).clips[0]
    assert np.argwhere(np.isnan(found).any(axis=-1)).tolist() == [[0, 2, 1], [0, 3, 1]]
    clip[0, :, 3] = 0  # never found: the corner of the picture is far from the others
    assert np.isnan(Poses.from_array(clip, skeleton=["a", "b", "c", "d"]).clips[0][0, :, 3]).all()


def test_a_confidence_beside_pixels_becomes_scores():
    array = np.random.default_rng(0).uniform(size=(6, 4, 3)) * [640, 480, 1]
    with pytest.warns(UserWarning, match=r"\(6, 4, 3\) are interpreted as x, y and a score"):
        poses = Poses.from_array(array, skeleton=["a", "b", "c", "d"])
    np.testing.assert_allclose(poses.clips[0][0], array[..., :2], rtol=1e-6)
    np.testing.assert_allclose(poses.scores[0][0], array[..., 2], rtol=1e-6)
    deep = np.concatenate([array[..., :2], array[..., ::-1][..., :1], array[..., 2:]], axis=-1)
    with pytest.warns(UserWarning, match="x, y, z and a score"):
        poses = Poses.from_array(deep[None, None], skeleton=["a", "b", "c", "d"])
    np.testing.assert_allclose(poses.scores[0][0], array[..., 2], rtol=1e-6)
    assert poses.channels == 3


# -- xarray, as movement has it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("plural", ["s", ""])
def test_a_data_set_of_movement(plural):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    dims = ("time", "space", f"keypoint{plural}", f"individual{plural}")
    values = np.random.default_rng(0).normal(size=(4, 2, 17, 3)).astype(np.float32)
    names = {dims[2]: list(SKELETONS["coco-17"].joints), dims[3]: ["a", "b", "c"]}
    position = xarray.DataArray(values, dims=dims, coords=names)
    confidence = xarray.DataArray(np.abs(values[:, 0]), dims=(dims[0], *dims[2:]))
    data = xarray.Dataset({"position": position, "confidence": confidence}, attrs={"fps": 50})
    poses = as_poses(data)
    assert (poses.skeleton.name, poses.fps, poses.clips[0].shape) == ("coco-17", 50, (3, 4, 17, 2))
    np.testing.assert_array_equal(poses.clips[0], values.transpose(3, 0, 2, 1))
    assert poses.scores is not None
    np.testing.assert_array_equal(poses.scores[0], np.abs(values[:, 0]).transpose(2, 0, 1))
    one = as_poses([position.isel({dims[3]: 0})] * 2, fps=25)
    assert (len(one), one.fps, one.clips[0].shape, one.scores) == (2, 25, (1, 4, 17, 2), None)
    with pytest.raises(ValueError, match=r"dimensions time, space, keypoints .*got time, space"):
        as_poses(position[:, :, 0, 0])
    with pytest.raises(ValueError, match="needs the variable position, but this one has confidence"):
        as_poses(data[["confidence"]])
