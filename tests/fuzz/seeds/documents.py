"""Seeds of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from skelrep import write
from skelrep.skeletons import SKELETONS
from tests.fuzz.seeds.seed import FRAMES, Seed, body, single


def mediapipe(folder: Path) -> Seed:
    frames = body("mediapipe-33").clips[0][0]
    points = [
        [dict(zip(("x", "y", "z", "visibility"), [*map(float, joint), 0.9])) for joint in pose] for pose in frames
    ]
    (folder / "a.json").write_text(json.dumps(points))
    return single(folder / "a.json", fps=30)


def coco_json(folder: Path) -> Seed:
    frames = 200 + 50 * body("coco-17").clips[0][0][..., :2]
    entries = [
        {
            "image_id": f"{i}.jpg",
            "category_id": 1,
            "keypoints": [v for x, y in pose for v in (float(x), float(y), 0.9)],
            "score": 2.5,
            "idx": 1,
        }
        for i, pose in enumerate(frames)
    ]
    (folder / "a.json").write_text(json.dumps(entries))
    return single(folder / "a.json", fps=30)


def mmpose(folder: Path) -> Seed:
    frames = 200 + 50 * body("coco-17").clips[0][0][..., :2]
    info = [
        {"frame_id": i, "instances": [{"keypoints": pose.tolist(), "keypoint_scores": [0.9] * 17, "track_id": 0}]}
        for i, pose in enumerate(frames)
    ]
    (folder / "a.json").write_text(json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": info}))
    return single(folder / "a.json", fps=30)


def openpose(folder: Path) -> Seed:
    files = []
    for i, pose in enumerate(200 + 50 * body("openpose-25").clips[0][0][..., :2]):
        people = [{"person_id": [-1], "pose_keypoints_2d": [v for x, y in pose for v in (float(x), float(y), 0.9)]}]
        files.append(folder / f"a_{i:012d}_keypoints.json")
        files[-1].write_text(json.dumps({"version": 1.3, "people": people}))
    return Seed("poses", folder, tuple(files[:3]), {"fps": 30})


def alphapose(folder: Path) -> Seed:
    people = []
    for frame, pose in enumerate(body("coco-17").clips[0][0]):
        points = np.concatenate([pose[:, :2] * 50 + 200, np.full((17, 1), 0.9)], axis=1)
        people.append(
            {"image_id": f"{frame}.jpg", "keypoints": points.ravel().round(2).tolist(), "score": 2.5, "idx": 1}
        )
    (folder / "alphapose-results.json").write_text(json.dumps(people))
    return single(folder / "alphapose-results.json")


def json_lines(folder: Path) -> Seed:
    write(body("kinect-20"), folder / "a.jsonl")
    return single(folder / "a.jsonl")


def json_table(folder: Path) -> Seed:
    """Rows of named numbers, as pandas writes them."""
    poses = body("coco-17")
    names = [f"{joint}_{axis}" for joint in poses.skeleton.joints for axis in "xyz"]
    rows = [{"frame": i, "id": 1} | dict(zip(names, pose.ravel().tolist())) for i, pose in enumerate(poses.clips[0][0])]
    (folder / "a.json").write_text(json.dumps(rows))
    return single(folder / "a.json", fps=30)


def json_rows_in_lines(folder: Path) -> Seed:
    """A detection on each line."""
    poses = enumerate(body("coco-17").clips[0][0].tolist())
    rows = [json.dumps({"frameNumber": i, "trackId": 1, "label": "a", "keypoints": pose}) for i, pose in poses]
    (folder / "a.jsonl").write_text("\n".join(rows))
    return single(folder / "a.jsonl", fps=30, skeleton="coco-17")


def labelled_clips(folder: Path) -> Seed:
    """Clips with labels in one file."""
    clips = [{"label": "a", "fps": 30, "frames": clip[0].tolist()} for clip in body("coco-17").clips]
    (folder / "a.json").write_text(json.dumps(clips))
    return single(folder / "a.json", skeleton="coco-17")


def coco_wholebody(folder: Path) -> Seed:
    return _results_of(folder, 133)


def halpe(folder: Path) -> Seed:
    return _results_of(folder, 136)


def coco_annotations(folder: Path) -> Seed:
    """Annotations of a video: pictures, categories with names of keypoints, persons with track ids."""
    frames = 200 + 50 * body("coco-17").clips[0][0][..., :2]
    content = {
        "images": [{"id": i, "file_name": f"v/{i:06d}.jpg", "frame_id": i, "video_id": 1} for i in range(FRAMES)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(SKELETONS["coco-17"].joints)}],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "track_id": 0,
                "keypoints": [v for x, y in pose for v in (float(x), float(y), 2)],
            }
            for i, pose in enumerate(frames)
        ],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return single(folder / "a.json", fps=30)


def azure_kinect(folder: Path) -> Seed:
    frames = [
        {
            "frame_id": i,
            "timestamp_usec": 1_000_000 + 33_333 * i,
            "num_bodies": 1,
            "bodies": [{"body_id": 1, "joint_positions": (1000 * pose).round(2).tolist()}],
        }
        for i, pose in enumerate(body("azure-kinect-32").clips[0][0].astype(float))
    ]
    names = [name.upper() for name in SKELETONS["azure-kinect-32"].joints]
    (folder / "a.json").write_text(json.dumps({"json_version": 1, "joint_names": names, "frames": frames}))
    return single(folder / "a.json")


def panoptic(folder: Path) -> Seed:
    for i, pose in enumerate(body("panoptic-19").clips[0][0].astype(float)):
        joints = np.column_stack([100 * pose, np.full(len(pose), 0.7)]).ravel().round(3).tolist()
        content = {"univTime": 33.36 * i, "fpsType": "hd_29_97", "bodies": [{"id": 0, "joints19": joints}]}
        (folder / f"body3DScene_{i:08d}.json").write_text(json.dumps(content))
    return Seed("poses", folder, tuple(sorted(folder.iterdir()))[:3], {})


def nw_ucla(folder: Path) -> Seed:
    skeletons = body("kinect-20").clips[0][0].astype(float).round(4).tolist()
    content = {"file_name": "a05_s03_e01_v02", "skeletons": skeletons, "label": 4}
    (folder / "a05_s03_e01_v02.json").write_text(json.dumps(content))
    return single(folder / "a05_s03_e01_v02.json")


def keraal(folder: Path) -> Seed:
    """Joints by frame and name."""
    names = SKELETONS["kinect-20"].joints
    poses = body("kinect-20").clips[0][0].astype(float).round(4).tolist()
    positions = {f"{i}.0": dict(zip(names, pose)) for i, pose in enumerate(poses)}
    (folder / "a.json").write_text(json.dumps({"positions": positions}))
    return single(folder / "a.json", fps=30)


def freemocap(folder: Path) -> Seed:
    names = [f"body_{name}" for name in SKELETONS["mediapipe-33"].joints]
    frames = {
        str(i): {
            "timestamps": {"mean": 100 + i / 30},
            "tracked_points": {name: dict(zip("xyz", map(float, point))) for name, point in zip(names, pose)},
        }
        for i, pose in enumerate(1000 * body("mediapipe-33").clips[0][0])
    }
    (folder / "a.json").write_text(json.dumps({"data_by_frame": frames}))
    return single(folder / "a.json")


def kinetics(folder: Path) -> Seed:
    """Kinetics-skeleton as ST-GCN's authors published it."""
    frames = [
        {
            "frame_index": i + 1,
            "skeleton": [{"pose": pose.ravel().round(3).tolist(), "score": [0.9] * 18}],
        }
        for i, pose in enumerate(np.random.default_rng(0).uniform(0.2, 0.8, size=(FRAMES, 18, 2)))
    ]
    (folder / "a.json").write_text(json.dumps({"data": frames, "label": "waving", "label_index": 3}))
    return single(folder / "a.json")


def _results_of(folder: Path, joints: int) -> Seed:
    """COCO's results of so many keypoints."""
    frames = np.random.default_rng(0).uniform(100, 400, size=(3, 3 * joints)).round(1).tolist()
    content = [{"image_id": f"{i}.jpg", "keypoints": keypoints, "idx": 1} for i, keypoints in enumerate(frames)]
    (folder / "a.json").write_text(json.dumps(content))
    return single(folder / "a.json", fps=30)
