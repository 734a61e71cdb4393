"""One small valid input for every format: a file, or a folder of files, and how it is read."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelrep import Poses, write
from skelrep.io import embeddings
from skelrep.skeletons import SKELETONS

FRAMES = 12


@dataclass(frozen=True)
class Seed:
    """A valid input.

    Attributes:
        kind: What reads it: "poses", "embeddings", "model", "corpus", "run" or "checkpoint".
        path: The file or folder that is read.
        damaged: The files of it that are mutated.
        options: Arguments of the reader.
    """

    kind: str
    path: Path
    damaged: tuple[Path, ...]
    options: dict


def body(skeleton: str, frames: int = FRAMES, clips: int = 2) -> Poses:
    """Clips of a body that walks on the spot, on a named skeleton; numbers without a meaning."""
    rng = np.random.default_rng(0)
    joints = len(SKELETONS[skeleton])
    rest = rng.normal(size=(1, 1, joints, 3))
    motion = [(rest + 0.1 * rng.normal(size=(1, frames + i, joints, 3))).astype(np.float32) for i in range(clips)]
    return Poses(
        motion,
        SKELETONS[skeleton],
        [f"clip{i}" for i in range(clips)],
        np.arange(clips),
        30.0,
        info={"subject": np.arange(clips)},
    )


def npy(folder: Path) -> Seed:
    np.save(folder / "a.npy", body("kinect-20").clips[0][0])
    return _file(folder / "a.npy", skeleton="kinect-20")


def npz(folder: Path) -> Seed:
    body("kinect-20").save(folder / "a.npz")
    return _file(folder / "a.npz")


def csv(folder: Path) -> Seed:
    write(body("common-15"), folder / "a.csv")
    return _file(folder / "a.csv")


def parquet(folder: Path) -> Seed:
    write(body("common-15"), folder / "a.parquet")
    return _file(folder / "a.parquet")


def text(folder: Path) -> Seed:
    rows = body("kinect-20").clips[0].reshape(-1, 60)
    np.savetxt(folder / "a.txt", rows, fmt="%.4f")
    return _file(folder / "a.txt", skeleton="kinect-20", fps=30)


def bvh(folder: Path) -> Seed:
    channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
    chains = [("LeftUpLeg", "LeftLeg", "LeftFoot"), ("RightUpLeg", "RightLeg", "RightFoot"), ("Spine", "Neck", "Head")]
    chains += [("LeftArm", "LeftForeArm", "LeftHand"), ("RightArm", "RightForeArm", "RightHand")]
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0", "CHANNELS 6 Xposition Yposition Zposition " + channels[11:]]
    for side, chain in enumerate(chains):
        for depth, joint in enumerate(chain):
            lines += [f"JOINT {joint}", "{", f"OFFSET {side - 2} {1 if side > 1 else -1} {depth}", channels]
        lines += ["End Site", "{", "OFFSET 0 1 0", "}", *["}"] * len(chain)]
    count = 6 + 3 * sum(map(len, chains))
    lines += ["}", "MOTION", f"Frames: {FRAMES}", "Frame Time: 0.033333"]
    lines += [
        " ".join(f"{value:.3f}" for value in row) for row in np.random.default_rng(0).normal(size=(FRAMES, count))
    ]
    (folder / "a.bvh").write_text("\n".join(lines) + "\n")
    return _file(folder / "a.bvh")


def mediapipe(folder: Path) -> Seed:
    frames = body("mediapipe-33").clips[0][0]
    points = [
        [dict(zip(("x", "y", "z", "visibility"), [*map(float, joint), 0.9])) for joint in pose] for pose in frames
    ]
    (folder / "a.json").write_text(json.dumps(points))
    return _file(folder / "a.json", fps=30)


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
    return _file(folder / "a.json", fps=30)


def mmpose(folder: Path) -> Seed:
    frames = 200 + 50 * body("coco-17").clips[0][0][..., :2]
    info = [
        {"frame_id": i, "instances": [{"keypoints": pose.tolist(), "keypoint_scores": [0.9] * 17, "track_id": 0}]}
        for i, pose in enumerate(frames)
    ]
    (folder / "a.json").write_text(json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": info}))
    return _file(folder / "a.json", fps=30)


def openpose(folder: Path) -> Seed:
    files = []
    for i, pose in enumerate(200 + 50 * body("openpose-25").clips[0][0][..., :2]):
        people = [{"person_id": [-1], "pose_keypoints_2d": [v for x, y in pose for v in (float(x), float(y), 0.9)]}]
        files.append(folder / f"a_{i:012d}_keypoints.json")
        files[-1].write_text(json.dumps({"version": 1.3, "people": people}))
    return Seed("poses", folder, tuple(files[:3]), {"fps": 30})


def ntu(folder: Path) -> Seed:
    lines = [f"{FRAMES}"]
    for pose in body("ntu-25").clips[0][0]:
        lines += ["1", "72057594037931101 0 1 1 1 1 0 0.02 -0.2 2", "25"]
        lines += [" ".join([f"{v:.5f}" for v in joint] + ["0"] * 8 + ["2"]) for joint in pose]
    path = folder / "S001C001P001R001A001.skeleton"
    path.write_text("\n".join(lines) + "\n")
    return _file(path)


def pyskl(folder: Path) -> Seed:
    annotations = [
        {
            "frame_dir": name,
            "label": i,
            "total_frames": clip.shape[1],
            "keypoint": clip[..., :2] * 50 + 200,
            "keypoint_score": np.ones(clip.shape[:3], np.float32),
            "img_shape": (480, 640),
        }
        for i, (name, clip) in enumerate(zip("ab", body("coco-17").clips))
    ]
    (folder / "a.pkl").write_bytes(pickle.dumps({"split": {"train": ["a"], "test": ["b"]}, "annotations": annotations}))
    return _file(folder / "a.pkl")


def agcn(folder: Path) -> Seed:
    data = np.stack([clip[:, :FRAMES] for clip in body("ntu-25").clips]).transpose(0, 4, 2, 3, 1)
    np.save(folder / "train_data_joint.npy", data)
    (folder / "train_label.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    files = folder / "train_data_joint.npy", folder / "train_label.pkl"
    return Seed("poses", files[0], files, {})


def c3d(folder: Path) -> Seed:
    import ezc3d

    joints = SKELETONS["common-15"].joints
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [30]
    file["parameters"]["POINT"]["LABELS"]["value"] = joints
    file["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
    points = body("common-15").clips[0][0].transpose(2, 1, 0)
    file["data"]["points"] = np.concatenate([points, np.ones((1, *points.shape[1:]))])
    file.write(str(folder / "a.c3d"))
    return _file(folder / "a.c3d")


def _rows() -> embeddings.Embeddings:
    return embeddings.Embeddings.of(
        body("kinect-20"), np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32), "m"
    )


def embeddings_npz(folder: Path) -> Seed:
    embeddings.save(_rows(), folder / "a.npz")
    return _file(folder / "a.npz", kind="embeddings")


def embeddings_parquet(folder: Path) -> Seed:
    embeddings.save(_rows(), folder / "a.parquet")
    return _file(folder / "a.parquet", kind="embeddings")


def model(folder: Path) -> Seed:
    import torch

    from skelrep import Encoder, EncoderConfig, save_pretrained
    from skelrep.encoder.convolution import ConvolutionConfig

    torch.manual_seed(0)
    save_pretrained(Encoder(EncoderConfig(backbone=ConvolutionConfig(width=8, blocks=1))), folder / "model")
    files = folder / "model" / "config.json", folder / "model" / "model.safetensors"
    return Seed("model", folder / "model", files, {})


def corpus(folder: Path) -> Seed:
    from skelrep.train.prepare import prepare

    body("kinect-20").save(folder / "poses.npz")
    prepare([str(folder / "poses.npz")], str(folder / "corpus"), skeleton="common-15")
    return Seed("corpus", folder / "corpus", tuple(sorted((folder / "corpus").iterdir())), {})


def long_csv(folder: Path) -> Seed:
    lines = ["frame,joint,x,y,z"]
    for frame, pose in enumerate(body("kinect-20").clips[0][0]):
        for name, point in zip(SKELETONS["kinect-20"].joints, pose):
            lines.append(",".join([str(frame), name, *(f"{value:.4f}" for value in point)]))
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return _file(folder / "a.csv")


def json_lines(folder: Path) -> Seed:
    write(body("kinect-20"), folder / "a.jsonl")
    return _file(folder / "a.jsonl")


def alphapose(folder: Path) -> Seed:
    people = []
    for frame, pose in enumerate(body("coco-17").clips[0][0]):
        points = np.concatenate([pose[:, :2] * 50 + 200, np.full((17, 1), 0.9)], axis=1)
        people.append(
            {"image_id": f"{frame}.jpg", "keypoints": points.ravel().round(2).tolist(), "score": 2.5, "idx": 1}
        )
    (folder / "alphapose-results.json").write_text(json.dumps(people))
    return _file(folder / "alphapose-results.json")


def mvnx(folder: Path) -> Seed:
    side = "Shoulder UpperArm ForeArm Hand".split(), "UpperLeg LowerLeg Foot Toe".split()  # noqa: SIM905
    names = ["Pelvis", "L5", "L3", "T12", "T8", "Neck", "Head"]
    names += [one + part for parts in side for one in ("Right", "Left") for part in parts]
    segments = "".join(f'<segment label="{name}" id="{i + 1}"/>' for i, name in enumerate(names))
    frames = "".join(
        f'<frame time="{i}" index="{i}" type="normal"><position>{" ".join(f"{v:.4f}" for v in pose)}</position></frame>'
        for i, pose in enumerate(np.random.default_rng(0).normal(size=(FRAMES, 69)))
    )
    (folder / "a.mvnx").write_text(
        '<?xml version="1.0"?><mvnx xmlns="http://www.xsens.com/mvn/mvnx" version="4"><subject label="A" '
        f'frameRate="60" segmentCount="23"><segments>{segments}</segments><frames>{frames}</frames></subject></mvnx>'
    )
    return _file(folder / "a.mvnx")


def amass(folder: Path) -> Seed:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(FRAMES, 22, 3)).astype(np.float32)
    np.savez(folder / "a.npz", joints=joints, trans=joints[:, 0], mocap_framerate=30.0)
    return _file(folder / "a.npz")


def cmd_checkpoint(folder: Path) -> Seed:
    import torch

    from skelrep import Encoder, EncoderConfig
    from skelrep.encoder.recurrent import RecurrentConfig
    from skelrep.hub.cmd_checkpoint import _cmd_name
    from skelrep.preprocess import CMD_LINE

    config = EncoderConfig(
        SKELETONS["ntu-25"], ("joint",), CMD_LINE, RecurrentConfig(hidden=4, layers=1), fusion="mean"
    )
    state = {_cmd_name(name): tensor for name, tensor in Encoder(config).state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "a.pth.tar")
    return _file(folder / "a.pth.tar", kind="checkpoint")


def _file(path: Path, kind: str = "poses", **options: object) -> Seed:
    return Seed(kind, path, (path,), options)


SEEDS: dict[str, Callable[[Path], Seed]] = (
    {
        function.__name__: function
        for function in (
            npy,
            npz,
            csv,
            parquet,
            text,
            bvh,
            mediapipe,
            coco_json,
            mmpose,
            openpose,
            ntu,
            pyskl,
            agcn,
            c3d,
        )
    }
    | {f.__name__: f for f in (long_csv, json_lines, alphapose, mvnx, amass)}
    | {f.__name__: f for f in (embeddings_npz, embeddings_parquet, model, cmd_checkpoint, corpus)}
)
