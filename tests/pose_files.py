"""Generated files in the formats of data sets, and the paths of real ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from skelrep.poses import Poses
from skelrep.skeletons import custom

FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
real_files = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")

HEADER = "0 1 1 1 1 0 0.02764709 0.05745083 2"
RNG = np.random.default_rng(0)


THREE = custom(["pelvis", "neck", "head"], [0, 0, 1], name="three")


def assert_same(a: Poses, b: Poses) -> None:
    assert len(a) == len(b)
    assert (a.skeleton, a.ids, a.fps) == (b.skeleton, b.ids, b.fps)
    for key in ("clips", "scores"):
        assert (getattr(a, key) is None) == (getattr(b, key) is None)
        for x, y in zip(getattr(a, key) or [], getattr(b, key) or [], strict=True):
            np.testing.assert_array_equal(x, y)
    columns = [poses.info | ({} if poses.labels is None else {"labels": poses.labels}) for poses in (a, b)]
    assert columns[0].keys() == columns[1].keys()
    for key, column in columns[0].items():
        np.testing.assert_array_equal(column, columns[1][key])


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def skeleton_text(frames: list[dict[str, np.ndarray]]) -> str:
    """A `.skeleton` file of frames {body id: (25, 3) points}."""
    lines = [f"{len(frames)}"]
    for frame in frames:
        lines.append(f"{len(frame)}")
        for body, points in frame.items():
            lines += [f"{body} {HEADER}", "25"]
            lines += [" ".join(f"{x:.7g}" for x in point) + " 277.4 191.8 1036.2 519.1 0 0 0 0 2" for point in points]
    return "\n".join(lines) + "\n"


def moving(frames: int, speed: float, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(25, 3))
    return (points + speed * np.arange(frames)[:, None, None]).astype(np.float32)  # (T, 25, 3)


def dump(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def annotation(name: str, persons: int = 1, frames: int = 4, joints: int = 17, channels: int = 2, **more) -> dict:
    keypoint = np.random.default_rng(0).normal(5, 1, size=(persons, frames, joints, channels)).astype(np.float16)
    scores = {"keypoint_score": np.ones((persons, frames, joints), np.float16)} if channels == 2 else {}
    return {"frame_dir": name, "label": 3, "total_frames": frames, "keypoint": keypoint, **scores, **more}


def agcn_folder(folder: Path, lengths=(7, 20, 12), total=20, half="train", tiled=True) -> list[np.ndarray]:
    """Writes a data file with its labels; returns the clips (M, T, V, C) before they were brought to one length."""
    rng = np.random.default_rng(len(half))
    clips = [rng.normal(size=(2, length, 25, 3)).astype(np.float32) for length in lengths]
    clips[0] = clips[0][:1]
    data = np.zeros((len(lengths), 3, total, 25, 2), np.float32)
    for row, clip in zip(data, clips, strict=True):
        frames = np.resize(np.arange(clip.shape[1]), total if tiled else clip.shape[1])
        row[:, : len(frames), :, : len(clip)] = clip[:, frames].transpose(3, 1, 2, 0)
    np.save(folder / f"{half}_data_joint.npy", data)
    names = [f"S001C001P00{i + 1}R001A00{i + 2}.skeleton" for i in range(len(lengths))]
    dump(folder / f"{half}_label.pkl", (names, [i + 1 for i in range(len(lengths))]), 2)
    return clips


def pku_frames(count: int, second: range = range(0)) -> np.ndarray:
    """(T, 2, 25, 3) of one person, and of a second one in the frames `second`."""
    points = RNG.normal(size=(count, 2, 25, 3)).round(6)
    points[[t for t in range(count) if t not in second], 1] = 0
    return points


def write_pku_recording(skeletons: Path, labels: Path, name: str, points: np.ndarray, intervals: str) -> None:
    for folder in (skeletons, labels):
        folder.mkdir(parents=True, exist_ok=True)
    lines = [" " + " ".join(f"{x:.6f}" for x in frame.ravel()) for frame in points]
    (skeletons / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (labels / f"{name}.txt").write_text(intervals)


def columns_alone(path, array) -> None:
    """Writes (T, V, K) as a line of numbers for each frame, without names."""
    path.write_text("".join(",".join(map(repr, row)) + "\n" for row in array.reshape(len(array), -1).tolist()))


def slp(path, parts, people) -> None:
    """Writes a `.slp` of two videos: `people` are (video, frame, kind, track, points (3, 2), scores)."""
    import h5py

    about = {
        "nodes": [{"name": name} for name in reversed(parts)],
        "skeletons": [{"nodes": [{"id": i} for i in (2, 1, 0)]}],
    }
    instances, points, predicted, frames = [], [], [], []
    for video, frame, kind, track, places, scores in people:
        rows = points if kind == 0 else predicted
        instances.append((len(instances), kind, 0, 0, track, -1, 0.5, len(rows), len(rows) + len(places), 0.0))
        seen = ~np.isnan(places).any(axis=1)
        rows += [(*place, *flags) for place, flags in zip(places, zip(seen, seen, *([scores] if kind else [])))]
        if not frames or frames[-1][1:3] != (video, frame):
            frames.append((len(frames), video, frame, len(instances) - 1, len(instances)))
        frames[-1] = (*frames[-1][:4], len(instances))
    point = [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")]
    kinds = [("instance_id", "i8"), ("instance_type", "u1"), ("frame_id", "u8"), ("skeleton", "u4"), ("track", "i4")]
    kinds += [("from_predicted", "i8"), ("score", "f4"), ("point_id_start", "u8"), ("point_id_end", "u8")]
    frame_kind = [("frame_id", "u8"), ("video", "u4"), ("frame_idx", "u8")]
    frame_kind += [("instance_id_start", "u8"), ("instance_id_end", "u8")]
    with h5py.File(path, "w") as file:
        file.create_group("metadata").attrs["json"] = np.bytes_(json.dumps(about))
        file["frames"] = np.array(frames, dtype=frame_kind)
        file["instances"] = np.array(instances, dtype=[*kinds, ("tracking_score", "f4")])
        file["points"], file["pred_points"] = (
            np.array(points, dtype=point),
            np.array(predicted, [*point, ("score", "f8")]),
        )
        file["tracks_json"] = np.array([b'[0,"left"]', b'[0,"right"]'])
        file["videos_json"] = np.array([b'{"filename":"in/a.mp4"}', b'{"backend":{"filename":"C:\\\\b.avi"}}'])
