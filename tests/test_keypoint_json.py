"""JSON of pose estimators and depth cameras, MediaPipe's results in memory, and files that are something else."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from skelrep.io import from_mediapipe, read
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, custom

FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content))
    return path


def flat(value: float, joints: int, channels: int = 2, score: float = 0.5) -> list[float]:
    """Keypoints of which every coordinate is `value`."""
    return ([value] * channels + [score]) * joints


def first_joint(poses: Poses) -> list[list[float]]:
    """x of the first joint, for each person and frame; 0 where it is missing."""
    return np.nan_to_num(poses.clips[0][:, :, 0, 0]).tolist()


# -- OpenPose ---------------------------------------------------------------------------------------------------------


def test_openpose_folder(tmp_path):
    for number, values in ((2, [20, 21]), (10, []), (9, [90])):
        people = [{"person_id": [-1], "pose_keypoints_2d": flat(value, 25)} for value in values]
        saved(tmp_path / "a" / f"walk_{number}_keypoints.json", {"version": 1.3, "people": people})
    saved(tmp_path / "b" / "000000000000_keypoints.json", {"people": [{"pose_keypoints_2d": flat(7, 25)}]})
    poses = read(tmp_path, fps=25)
    assert (poses.ids, poses.skeleton.name, poses.fps) == (["a/walk", "b"], "openpose-25", 25)
    assert first_joint(poses) == [[20, 90, 0], [21, 0, 0]]
    assert poses.scores is not None and poses.scores[0][:, :, 0].tolist() == [[0.5, 0.5, 0], [0.5, 0, 0]]
    assert read(tmp_path / "a").ids == ["walk"] and read(tmp_path / "b").ids == ["b"]


def test_openpose_people_keep_the_ids_of_a_tracker(tmp_path):
    for number, people in enumerate(([(4, 40), (7, 70)], [(7, 71), (4, 41)])):
        content = [{"person_id": [who], "pose_keypoints_2d": flat(value, 18)} for who, value in people]
        saved(tmp_path / f"{number}_keypoints.json", {"people": content})
    poses = read(tmp_path)
    assert poses.skeleton.name == "openpose-18" and first_joint(poses) == [[40, 41], [70, 71]]


def test_openpose_single_files_scores_and_depth(tmp_path):
    keypoints = flat(100, 25)
    keypoints[3:6] = [0, 0, 0]
    keypoints[6:9] = [50, 50, 0.0]  # a place, but no confidence in it
    poses = read(saved(tmp_path / "a.json", {"people": [{"pose_keypoints_2d": keypoints}]}))
    assert np.isnan(poses.clips[0][0, 0]).all(axis=1).tolist() == [False, True, True] + [False] * 22
    person = {"pose_keypoints_2d": keypoints, "pose_keypoints_3d": flat(0.3, 25, 3)}
    assert read(saved(tmp_path / "b.json", {"people": [person]})).clips[0].shape == (1, 1, 25, 3)


# -- COCO and MMPose --------------------------------------------------------------------------------------------------


def test_coco_results(tmp_path):
    rows = [("10.jpg", 100, 2), ("9.jpg", 90, 2), ("9.jpg", 91, 1)]
    results = [{"image_id": name, "keypoints": flat(value, 17), "score": 2, "idx": who} for name, value, who in rows]
    poses = read(saved(tmp_path / "a.json", results))
    assert (poses.skeleton.name, poses.ids) == ("coco-17", ["a"])
    assert first_joint(poses) == [[90, 100], [91, 0]]


def test_coco_annotations(tmp_path):
    keypoints = [10, 10, 2, 0, 0, 0, 30, 30, 1]
    content = {
        "images": [{"id": 3, "file_name": "c.jpg"}, {"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 3, "keypoints": keypoints, "num_keypoints": 2}, {"image_id": 3, "bbox": []}],
        "categories": [{"name": "person", "keypoints": ["nose", "left_hip", "right_hip"]}],
    }
    poses = read(saved(tmp_path / "a.json", content))
    assert poses.skeleton.joints == ("nose", "left_hip", "right_hip")
    np.testing.assert_array_equal(poses.clips[0][0], [[[np.nan] * 2] * 3, [[10, 10], [np.nan] * 2, [30, 30]]])


def test_mmpose(tmp_path):
    def person(value, track=None, channels=2):
        person = {"keypoints": [[value] * channels] * 17, "keypoint_scores": [0.5] * 17, "bbox": [[0, 0, 9, 9]]}
        return person if track is None else person | {"track_id": track}

    frames = [
        {"frame_id": 1, "instances": [person(5, 8), person(6, 3)]},
        {"frame_id": 2, "instances": []},
        {"frame_id": 3, "instances": [person(7, 3)]},
    ]
    video = read(saved(tmp_path / "video.json", frames))
    assert video.skeleton.name == "coco-17" and first_joint(video) == [[5, 0, 0], [6, 0, 7]]
    assert first_joint(read(saved(tmp_path / "picture.json", [person(4)]))) == [[4]]
    names = {str(i): joint for i, joint in enumerate(SKELETONS["h36m-17"].joints)}
    frames = [{"frame_id": 0, "instances": [person(0.5, channels=3)]}]
    path = saved(tmp_path / "lifted.json", {"meta_info": {"keypoint_id2name": names}, "instance_info": frames})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # these are no fractions of a picture
        assert read(path).skeleton == SKELETONS["h36m-17"]
    with pytest.raises(ValueError, match=r"lifted.json: .*coco-17 or h36m-17"):
        read(saved(tmp_path / "lifted.json", frames))


# -- Azure Kinect -----------------------------------------------------------------------------------------------------


def test_azure_kinect(tmp_path):
    def body(number, value):
        return {"body_id": number, "joint_positions": [[value, 2000, 3000]] * 32, "joint_orientations": []}

    frames = [
        {"frame_id": 0, "timestamp_usec": 1_000_000, "num_bodies": 1, "bodies": [body(2, 100)]},
        {"frame_id": 1, "timestamp_usec": 1_033_333, "num_bodies": 2, "bodies": [body(1, 50), body(2, 200)]},
        {"frame_id": 2, "timestamp_usec": 1_066_678, "num_bodies": 0, "bodies": []},
    ]
    poses = read(saved(tmp_path / "a.json", {"json_version": 1, "frames": frames, "bone_list": []}))
    assert (poses.skeleton.name, poses.fps) == ("azure-kinect-32", 30.0)
    np.testing.assert_allclose(first_joint(poses), [[0.1, 0.2, 0], [0, 0.05, 0]])
    np.testing.assert_allclose(poses.clips[0][0, 0, 0], [0.1, -2, -3])  # metres, y up, right-handed
    names = [name.upper() for name in SKELETONS["azure-kinect-32"].joints]
    named = read(saved(tmp_path / "b.json", {"frames": frames, "joint_names": names}))
    assert named.skeleton == poses.skeleton


# -- MediaPipe --------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
WORLD = RNG.normal(size=(4, 33, 4)).astype(np.float32)
WORLD[..., 3] = RNG.uniform(0.1, 1, size=(4, 33))
WORLD[:, 24, :3] = -WORLD[:, 23, :3]
PICTURE = WORLD * 0.1 + np.array([0.5, 0.5, 0, 0], dtype=np.float32)
UPRIGHT = WORLD[..., :3] * np.array([1, -1, -1], dtype=np.float32)


def points(frame: np.ndarray, kind: type = dict) -> list:
    return [kind(x=float(x), y=float(y), z=float(z), visibility=float(v)) for x, y, z, v in frame]


def legacy(frame: np.ndarray | None) -> SimpleNamespace:
    """As the Python solution `Pose.process` gives it."""
    landmarks = None if frame is None else SimpleNamespace(landmark=points(frame, SimpleNamespace))
    return SimpleNamespace(pose_landmarks=landmarks, pose_world_landmarks=landmarks)


@pytest.mark.parametrize(
    "results",
    [
        WORLD,
        [points(frame) for frame in WORLD],
        [frame.tolist() for frame in WORLD],
        [legacy(frame) for frame in WORLD],
        [{"pose_landmarks": points(p), "pose_world_landmarks": points(w)} for p, w in zip(PICTURE, WORLD)],
        [{"landmarks": [points(p)], "worldLandmarks": [points(w)]} for p, w in zip(PICTURE, WORLD)],
        [
            SimpleNamespace(
                pose_landmarks=[points(p, SimpleNamespace)], pose_world_landmarks=[points(w, SimpleNamespace)]
            )
            for p, w in zip(PICTURE, WORLD)
        ],
    ],
    ids=["array", "dicts", "lists", "solution", "both", "javascript", "landmarker"],
)
def test_world_landmarks(results):
    poses = from_mediapipe(results, fps=30)
    assert (poses.skeleton.name, poses.fps) == ("mediapipe-33", 30)
    np.testing.assert_allclose(poses.clips[0][0], UPRIGHT, rtol=1e-6)
    assert poses.scores is not None
    np.testing.assert_allclose(poses.scores[0][0], WORLD[..., 3], rtol=1e-6)


def test_frames_without_anybody_and_with_two():
    two = {"pose_world_landmarks": [points(WORLD[0]), points(WORLD[1])]}
    poses = from_mediapipe([None, legacy(None), two, {"pose_world_landmarks": []}])
    assert np.isfinite(poses.clips[0]).all(axis=(2, 3)).tolist() == [[False, False, True, False]] * 2
    with pytest.raises(ValueError, match="nobody is seen in any of its 2 frames"):
        from_mediapipe([None, legacy(None)])
    assert from_mediapipe(WORLD[..., :3]).scores is None
    with pytest.raises(ValueError, match="33 landmarks of x, y, z, got 21"):
        from_mediapipe(WORLD[:, :21])


def test_landmarks_in_the_picture_have_to_be_scaled():
    with pytest.warns(UserWarning, match=r"fractions of a picture's width and height.*pass scale=\(width, height\)"):
        poses = from_mediapipe(PICTURE)
    np.testing.assert_array_equal(poses.clips[0][0], PICTURE[..., :3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        poses = from_mediapipe(PICTURE, scale=(640, 480, 0))
    np.testing.assert_allclose(poses.clips[0][0], PICTURE[..., :3] * [640, 480, 0], rtol=1e-6)


def test_mediapipe_json(tmp_path):
    for name, content in {
        "a": [points(frame) for frame in WORLD],
        "b": {"frames": [{"poseWorldLandmarks": points(frame)} for frame in WORLD]},
        "c": [{}, *({"world_landmarks": frame.tolist()} for frame in WORLD)],
    }.items():
        clip = read(saved(tmp_path / f"{name}.json", content)).clips[0][0]
        np.testing.assert_allclose(clip[-4:], UPRIGHT, rtol=1e-6)
    path = saved(tmp_path / "d.json", [points(frame) for frame in PICTURE])
    with pytest.warns(UserWarning, match=r"d\.json: coordinates between"):
        read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, scale=(640, 480, 640))


# -- joints by name, and the real recordings --------------------------------------------------------------------------


def test_positions_by_frame_and_name(tmp_path):
    positions = {"10.0": {"rHip": [3, 4]}, "2.0": {"Nose": [1, 2], "rHip": [5, 6]}, "11.0": {}}
    poses = read(saved(tmp_path / "a.json", {"positions": positions}))
    assert poses.skeleton.joints == ("nose", "right_hip")
    np.testing.assert_array_equal(poses.clips[0][0, :, 1], [[5, 6], [3, 4], [np.nan] * 2])
    assert np.isnan(poses.clips[0][0, 1:, 0]).all()
    numbered = saved(tmp_path / "b.json", {"positions": {"0": {str(i): [i, 9] for i in range(17)}}})
    assert read(numbered, skeleton="coco-17").clips[0][0, 0, 16].tolist() == [16, 9]


# The documentation of the Keraal data set (nguyensmai/KeraalDataset, readme_files_format.txt) lists the targets.
KERAAL_VICON = (
    "RightForearm LeftForearm RightArm LeftArm Chest RightThigh LeftThigh RightShoulder LeftShoulder RightHand"
)
KERAAL_VICON += " LeftHand RightFoot LeftFoot Hips Head RightTibia LeftTibia"


@real_files
def test_one_exercise_seen_by_four_sensors():
    """Any two of its recordings are nearer to each other than to other clips; docs/own-skeletons.md has the numbers."""
    from skelrep import embed

    def keraal(sensor, **options) -> Poses:
        (path,) = (FIXTURES / "keraal").glob(f"*-{sensor}-*")
        return read(path, **options)

    four = {
        "kinect": keraal("Kinect", skeleton="ntu-25", fps=30),
        "vicon": keraal("Vicon", skeleton=KERAAL_VICON.split(), fps=60, scale=0.001),
        "openpose": keraal("OP", fps=30, scale=(16, 9)),
        "blazepose": keraal("BP", fps=30, scale=(16, 9, 0)),
    }
    assert four["blazepose"].skeleton.name == "mediapipe-33"
    assert four["openpose"].skeleton.joints[:3] == ("nose", "neck", "right_shoulder")
    others = [read(path) for path in sorted((FIXTURES / "ntu").glob("*.skeleton"))]
    others += [read(FIXTURES / "asf_amc" / "zombie.amc", fps=120).windows(6.5)]
    others += [read(FIXTURES / "bvh" / "131_01.bvh").windows(6.5)]
    others += [read(FIXTURES / "csv" / "0005_2FeetJump001_pos.csv").windows(6.5)]
    siblings = np.concatenate([embed(poses, normalize=True) for poses in four.values()])
    strangers = np.concatenate([embed(poses, normalize=True) for poses in others])
    assert (siblings @ siblings.T).min() > (siblings @ strangers.T).max()


# -- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nothing": 1}, "holds a dict of nothing; known are"),
        ([], "holds list; known are"),
        ("text", "holds str; known are"),
        ({"people": []}, "nobody is seen in any of its 1 frames"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "keypoints of 2 numbers; expected 3 a joint"),
        ({"people": [{"pose_keypoints_2d": [1, "x", 3]}]}, r"got \[1, 'x', 3\] where numbers should stand"),
        ({"people": [{"pose_keypoints_2d": [1, 1e300, 3]}]}, "where numbers should stand"),
        ({"people": [{"pose_keypoints_2d": flat(1, 25)}, {"pose_keypoints_2d": flat(1, 18)}]}, "several shapes"),
        ({"people": [{"pose_keypoints_2d": flat(9, 11)}]}, "11 joints fits no known skeleton"),
        ({"people": {"a": 1}}, "people is a dict, not a list"),
        ({"people": [3]}, "not as its kind of file should be"),
        ({"instance_info": [{"frame_id": 1}]}, r"not as its kind of file should be \(KeyError: 'instances'\)"),
        ({"frames": [{"bodies": [{"joint_positions": [[1, 2]] * 32}]}]}, "numbers should stand"),
        (
            {"frames": [{"bodies": [{"joint_positions": [[1, 2, 3]]}]}], "joint_names": [1]},
            "names joints by other things",
        ),
        ({"positions": {"0": {"nose": [1, 2], "neck": [1]}}}, r"\(2,\) numbers should stand"),
        ({"positions": {"0": {"nose": {}}}}, "a joint is a dict, not a list"),
        ([[{"x": 1, "y": 2, "z": 3}] * 5], "has 33 joints but the array has 5"),
        ([[{"x": 1}] * 33], r"a landmark has x, y, z = \[1, None, None\]"),
    ],
)
def test_json_that_is_none(tmp_path, content, message):
    path = saved(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=r"a\.json") as caught:
        read(path)
    assert caught.match(message)


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"\xff\xfe", b'{"people": ' + b"9" * 5000 + b"}"])
def test_no_json_at_all(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.json"):
        read(tmp_path / "a.json")


def test_openpose_folders_that_are_none(tmp_path):
    saved(tmp_path / "a_0_keypoints.json", {"bodies": []})
    with pytest.raises(ValueError, match=r"a_0_keypoints\.json holds no 'people'"):
        read(tmp_path)
    saved(tmp_path / "a_0_keypoints.json", {"people": [{"pose_keypoints_2d": [1]}]})
    with pytest.raises(ValueError, match=r"a_0_keypoints\.json is not as OpenPose writes a frame"):
        read(tmp_path)


def test_tracks_that_would_fill_the_memory(tmp_path):
    one = flat(9, 25)
    frames = [{"instances": [{"keypoints": np.reshape(one, (25, 3)).tolist(), "track_id": i}]} for i in range(2500)]
    with pytest.raises(ValueError, match=r"a\.json.*more than a gigabyte"):
        read(saved(tmp_path / "a.json", frames))


def test_named_skeletons_are_those_of_their_makers():
    assert custom(KERAAL_VICON.split()).joints[:3] == ("right_elbow", "left_elbow", "right_shoulder")
    body = "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye"
    assert custom([*body.split(), "REar", "LEar"]).joints == SKELETONS["openpose-18"].joints
