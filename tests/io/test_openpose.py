"""OpenPose's files of one frame each, alone and in folders of any names, and the same kind collected in one file."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS
from tests.json_content import first_joint, flat, saved, triples, walker


def frame(*people: list[float], **more) -> dict:
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat, **more} for flat in people]}


def test_a_folder_of_frames(tmp_path):
    """File numbers are time: 3 to 8 are missing."""
    for number, values in ((2, [20, 21]), (10, []), (9, [90])):
        saved(tmp_path / "a" / f"walk_{number}_keypoints.json", frame(*(flat(value, 25) for value in values)))
    saved(tmp_path / "b" / "000000000000_keypoints.json", frame(flat(7, 25)))
    with pytest.warns(UserWarning, match=r"a/walk: no tracker ids"):
        poses = read(tmp_path, fps=25)
    assert (poses.ids, poses.skeleton.name, poses.fps) == (["a/walk", "b"], "openpose-25", 25)
    # Bodies of size 0 match at no distance, so frame 9 shows a third person.
    assert poses.clips[0].shape == (3, 9, 25, 2)
    assert np.argwhere(~np.isnan(poses.clips[0][:, :, 0, 0])).tolist() == [[0, 0], [1, 0], [2, 7]]
    assert poses.scores is not None and poses.scores[0][:, [0, 7], 0].tolist() == [[0.5, 0], [0.5, 0], [0, 0.5]]
    assert read(tmp_path / "b").ids == ["b"]


@pytest.mark.parametrize(
    "names",
    [
        "000 001 002 003",
        "cam01_000000 cam01_000001 cam01_000002 cam01_000003",
        "frame-7 frame-8 frame-9 frame-10",
        "video.mp4_0_keypoints video.mp4_1_keypoints video.mp4_2_keypoints video.mp4_3_keypoints",
        "img001_pose img002_pose img003_pose img004_pose",
    ],
)
def test_numbered_files_of_any_naming_are_one_recording(tmp_path, names):
    for number, name in enumerate(names.split()):
        saved(tmp_path / "walk" / f"{name}.json", frame(triples(walker(0, number)[:18].repeat(2, axis=0)[:25])))
    poses = read(tmp_path / "walk")
    assert len(poses) == 1 and poses.clips[0].shape == (1, 4, 25, 2)
    np.testing.assert_allclose(np.diff(poses.clips[0][0, :, 0, 0]), 3)


def test_two_cameras_are_two_clips(tmp_path):
    for camera in ("cam01", "cam02"):
        for number in range(3):
            saved(tmp_path / f"{camera}_{number:06d}.json", frame(triples(walker(0, number))))
    poses = read(tmp_path)
    assert poses.ids == ["cam01", "cam02"] and [clip.shape[1] for clip in poses.clips] == [3, 3]


def test_missing_files_are_missing_frames(tmp_path):
    for number in (4, 5, 6, 10, 11):
        saved(tmp_path / f"{number:03d}.json", frame(triples(walker(0, number))))
    clip = read(tmp_path).clips[0]
    assert np.isnan(clip[0, :, 0, 0]).tolist() == [False] * 3 + [True] * 3 + [False] * 2


def test_people_without_a_body_are_absent(tmp_path):
    people = [triples(walker(0, 0)), [], triples(walker(0, 2))]
    for number, keypoints in enumerate(people):
        saved(tmp_path / f"v_{number}_keypoints.json", frame(keypoints, hand_left_keypoints_2d=flat(3, 21)))
    saved(tmp_path / "v_3_keypoints.json", {"people": [{"face_keypoints_2d": flat(3, 70)}]})
    saved(tmp_path / "v_4_keypoints.json", frame(flat(0, 17, score=0)))
    saved(tmp_path / "v_5_keypoints.json", {"people": [{"pose_keypoints_2d": None}]})
    saved(tmp_path / "v_6_keypoints.json", {"people": None})
    clip = read(tmp_path).clips[0]
    assert clip.shape == (1, 7, 17, 2) and np.isnan(clip[0, :, 0, 0]).tolist() == [False, True, False, *[True] * 4]


def test_people_keep_the_ids_of_a_tracker(tmp_path):
    for number, people in enumerate(([(4, 0), (7, 1)], [(7, 1), (4, 0)])):
        content = [{"person_id": [who], "pose_keypoints_2d": triples(walker(at, number))} for who, at in people]
        saved(tmp_path / f"{number}_keypoints.json", {"people": content})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = read(tmp_path)
    np.testing.assert_allclose(first_joint(poses), [[500, 503], [900, 903]])


def test_people_without_ids_are_matched_with_a_warning(tmp_path):
    for number in range(6):
        people = [triples(walker(0, number)), triples(walker(1, number))]
        saved(tmp_path / f"{number}_keypoints.json", frame(*(people if number % 2 else people[::-1])))
    with pytest.warns(UserWarning, match="no tracker ids.*matched from frame to frame") as caught:
        poses = read(tmp_path)
    assert len(caught) == 1
    np.testing.assert_allclose(first_joint(poses), [[900 + 3 * t for t in range(6)], [500 + 3 * t for t in range(6)]])


@pytest.mark.parametrize(
    ("joints", "name"),
    [(25, "openpose-25"), (18, "openpose-18"), (15, "openpose-15"), (17, "coco-17"), (26, "halpe-26")]
    + [(133, "coco-wholebody-133"), (136, "halpe-136")],
)
def test_models_by_their_number_of_keypoints(tmp_path, joints, name):
    poses = read(saved(tmp_path / "a.json", frame(np.arange(1.0, 3 * joints + 1).tolist())))
    assert poses.skeleton is SKELETONS[name] and poses.clips[0].shape == (1, 1, joints, 2)
    assert poses.clips[0][0, 0, -1].tolist() == [3 * joints - 2, 3 * joints - 1]


def test_scores_and_depth(tmp_path):
    keypoints = flat(100, 25)
    keypoints[3:6] = [0, 0, 0]
    keypoints[6:9] = [50, 50, 0.0]  # coordinates, but no confidence in them
    poses = read(saved(tmp_path / "a.json", frame(keypoints)))
    assert np.isnan(poses.clips[0][0, 0]).all(axis=1).tolist() == [False, True, True] + [False] * 22
    in_space = frame(keypoints, pose_keypoints_3d=flat(0.3, 25, 3))
    assert read(saved(tmp_path / "b.json", in_space)).clips[0].shape == (1, 1, 25, 3)
    assert read(saved(tmp_path / "c.json", frame(keypoints, pose_keypoints_3d=[]))).clips[0].shape == (1, 1, 25, 2)


@pytest.mark.parametrize("collected", ["list", "frames", "names"])
def test_frames_collected_in_one_file(tmp_path, collected):
    frames = [frame(triples(walker(0, t))) for t in range(3)]
    content = {"list": frames, "frames": {"fps": 24, "frames": frames}}.get(collected)
    content = content or {f"v_{t}.json": one for t, one in enumerate(frames)}
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.clips[0].shape == (1, 3, 17, 2) and poses.fps == (24 if collected == "frames" else None)


def test_alphapose_in_the_format_of_cmu(tmp_path):
    content = {f"{t}.jpg": {"version": "AlphaPose v0.2", "bodies": [{"joints": flat(9 + t, 18)}]} for t in range(3)}
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.skeleton.name == "openpose-18" and first_joint(poses) == [[9, 10, 11]]


def test_other_folders_are_refused(tmp_path):
    saved(tmp_path / "a_0_keypoints.json", {"bodies": []})
    with pytest.raises(ValueError, match=r"a_0_keypoints\.json"):
        read(tmp_path)
    saved(tmp_path / "a_0_keypoints.json", frame([1, 2]))
    with pytest.raises(ValueError, match=r"a_0_keypoints\.json.*2 numbers; expected 3"):
        read(tmp_path)
    saved(tmp_path / "a_0_keypoints.json", frame(flat(1, 25), flat(1, 18)))
    with pytest.raises(ValueError, match=r"several shapes: \(18, 2\), \(25, 2\)"):
        read(tmp_path)


def test_single_frames_without_numbers_are_refused(tmp_path):
    for name in ("standing", "sitting", "lying"):
        saved(tmp_path / "poses" / f"{name}.json", frame(triples(walker(0, 0))))
    with pytest.raises(ValueError, match=r"3 files of a single frame each \(lying\.json"):
        read(tmp_path / "poses")
    named = read([tmp_path / "poses" / f"{name}.json" for name in ("standing", "sitting")])
    assert [clip.shape[1] for clip in named.clips] == [1, 1]
    assert read(tmp_path / "poses" / "lying.json").clips[0].shape[1] == 1


def test_files_without_consecutive_numbers_are_refused(tmp_path):
    for number in (17, 4093, 51200, 98231):
        saved(tmp_path / f"picture_{number}.json", frame(triples(walker(0, 0))))
    with pytest.raises(ValueError, match="4 files of a single frame each"):
        read(tmp_path)


def test_recordings_of_several_frames_are_separate_clips(tmp_path):
    """Even where their names are numbered, and the format is said."""
    for number in (1, 2):
        saved(tmp_path / f"clip_{number}.json", [frame(triples(walker(0, t))) for t in range(3 + number)])
    for options in ({}, {"format": "openpose"}, {"format": "json"}):
        poses = read(tmp_path, **options)
        assert poses.ids == ["clip_1", "clip_2"] and [clip.shape[1] for clip in poses.clips] == [4, 5]


def test_a_recording_that_cannot_be_read_is_skipped(tmp_path):
    for name, keypoints in (("a", flat(1, 25)), ("b", [1, 2]), ("c", flat(3, 25))):
        for t in range(2):
            saved(tmp_path / name / f"{t}_keypoints.json", frame(keypoints))
    with pytest.warns(UserWarning, match=r"b.*2 numbers"):
        assert read(tmp_path, on_error="skip").ids == ["a", "c"]
