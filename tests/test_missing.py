"""Zeros that mean "not seen", for every way to create poses."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import Poses, embed, read, write
from skelrep.missing import absent_as_nan, zeros_as_nan
from skelrep.poses import as_poses
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

KINECT = SKELETONS["kinect-20"]


def body() -> np.ndarray:
    """(1, 30, 20, 3) a person in front of a camera at the origin."""
    return walking(KINECT, 30)


def missing(clip: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(map(int, at)) for at in np.argwhere(np.isnan(clip).all(axis=-1))]


@pytest.fixture(params=["Poses", "from_array", "from_clips", "as_poses", "npy", "npz", "csv"])
def way(request, tmp_path):
    """Each way in, as a function of one clip and of what zeros mean."""

    def read_from(suffix):
        def through_a_file(clip, zeros=None):
            if suffix == ".npz":
                np.savez(tmp_path / "a.npz", clip)
            elif suffix == ".npy":
                np.save(tmp_path / "a.npy", clip)
            else:
                write(Poses([clip], KINECT, ["a"], zeros="coordinates"), tmp_path / f"a{suffix}")
            skeleton = KINECT if suffix in (".npy", ".npz") else None
            return read(tmp_path / f"a{suffix}", skeleton=skeleton, zeros=zeros).clips[0]

        return through_a_file

    return {
        "Poses": lambda clip, zeros=None: Poses([clip], KINECT, zeros=zeros).clips[0],
        "from_array": lambda clip, zeros=None: Poses.from_array(clip, skeleton=KINECT, zeros=zeros).clips[0],
        "from_clips": lambda clip, zeros=None: Poses.from_clips([clip], KINECT, zeros=zeros).clips[0],
        "as_poses": lambda clip, zeros=None: as_poses([clip[0]], skeleton=KINECT, zeros=zeros).clips[0],
        "npy": read_from(".npy"),
        "npz": read_from(".npz"),
        "csv": read_from(".csv"),
    }[request.param]


def test_a_joint_at_the_camera_was_not_seen(way):
    clip = body()
    clip[0, 3:6, 7] = clip[0, 9, 2] = 0
    with pytest.warns(UserWarning, match="exactly 0, 0, 0"):
        assert missing(way(clip)) == [(0, 3, 7), (0, 4, 7), (0, 5, 7), (0, 9, 2)]
    np.testing.assert_array_equal(way(clip, "coordinates"), clip)
    assert missing(way(clip, "missing")) == [(0, 3, 7), (0, 4, 7), (0, 5, 7), (0, 9, 2)]


def test_a_frame_of_zeros_was_not_seen(way, recwarn):
    clip = body()
    clip[0, 20:] = 0
    assert {at[1] for at in missing(way(clip))} == set(range(20, 30))
    assert len(missing(way(clip))) == 10 * 20
    assert not recwarn.list


def test_a_joint_never_seen(way):
    clip = body()
    clip[0, :, 11] = 0
    with pytest.warns(UserWarning, match="exactly 0, 0, 0"):
        assert missing(way(clip)) == [(0, t, 11) for t in range(30)]


def test_poses_centred_at_the_pelvis_keep_it(way, recwarn):
    clip = body()
    clip -= clip[:, :, :1]
    np.testing.assert_array_equal(way(clip), clip)
    clip[0, 4, 9] = 0  # a joint that is elsewhere before and after
    assert missing(way(clip)) == [(0, 4, 9)]


def test_poses_centred_at_the_pelvis_of_the_first_frame_keep_it(way, recwarn):
    clip = body()
    clip -= clip[:, :1, :1]
    np.testing.assert_array_equal(way(clip), clip)
    assert not recwarn.list


def test_a_hand_never_seen_of_centred_poses():
    clip = body()
    clip -= clip[:, :, :1]
    clip[0, :, KINECT.joints.index("left_hand")] = 0
    marked, by_rule = zeros_as_nan(clip, KINECT)
    assert by_rule
    assert missing(marked) == [(0, t, KINECT.joints.index("left_hand")) for t in range(30)]


def test_a_joint_at_minus_one_was_not_seen(way):
    clip = 300 * body()
    clip[0, 3:6, 7] = -1
    with pytest.warns(UserWarning, match="exactly -1, -1, -1"):
        assert missing(way(clip)) == [(0, 3, 7), (0, 4, 7), (0, 5, 7)]
    np.testing.assert_array_equal(way(clip, "coordinates"), clip)


def test_minus_one_in_the_middle_of_a_body_is_a_coordinate(way, recwarn):
    clip = body()
    clip += -1 - clip[:, 4:5, 7:8]
    np.testing.assert_array_equal(way(clip), clip)


def test_meaning_of_zeros_is_kept(tmp_path):
    clip = body()
    clip[0, 3, 7] = 0
    poses = Poses([clip], KINECT, fps=30, zeros="coordinates")
    for kept in (poses[0], poses.windows(0.5), poses + poses, poses.with_labels([1])):
        assert kept.zeros == "coordinates"
        assert not np.isnan(kept.clips[0]).any()
    for path in (tmp_path / "a.npz", tmp_path / "a.jsonl"):
        write(poses, path)
        assert read(path).zeros == "coordinates"
        assert not np.isnan(read(path).clips[0]).any()
    with pytest.raises(ValueError, match="zeros must be 'missing', 'coordinates' or None, got 'nan'"):
        Poses([clip], KINECT, zeros="nan")


def test_the_input_is_not_changed():
    clip = body()
    clip[0, 3, 7] = clip[0, 5] = 0
    before = clip.copy()
    assert np.isnan(zeros_as_nan(clip, KINECT)[0]).any()
    assert np.isnan(absent_as_nan(clip)).any()
    np.testing.assert_array_equal(clip, before)
    assert zeros_as_nan(body(), KINECT)[0] is not None
    untouched = body()
    assert zeros_as_nan(untouched, KINECT)[0] is untouched


def test_an_embedding_with_zeros_is_near_that_of_the_whole_clip():
    clip = body()
    damaged = clip.copy()
    damaged[0, ::5, 7] = 0
    whole = embed(clip, skeleton=KINECT)[0]
    with pytest.warns(UserWarning, match="exactly 0, 0, 0"):
        holes = embed(damaged, skeleton=KINECT)[0]
    assert whole @ holes / np.linalg.norm(whole) / np.linalg.norm(holes) > 0.98
