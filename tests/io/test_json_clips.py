"""JSON of several clips, rows of several videos, tables in JSON, and joints in any notation."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from skelrep.io import read
from skelrep.skeletons import SKELETONS
from tests.json_content import saved, triples, walker

FRAMES = 10
COCO = list(SKELETONS["coco-17"].joints)
LABELS = ["wave", "jump", "sit"]


def track(person: int = 0) -> list:
    return [walker(person, t).tolist() for t in range(FRAMES)]


def silent(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(path)


CLIPS = {
    "arrays": lambda: [{"label": name, "keypoints": track()} for name in LABELS],
    "frames of arrays": lambda: [{"label": name, "frames": track()} for name in LABELS],
    "frames of rows": lambda: [
        {"action": name, "frames": [{"frameNumber": t, "keypoints": triples(walker(0, t))} for t in range(FRAMES)]}
        for name in LABELS
    ],
    "under a key": lambda: {
        "joint_names": COCO,
        "clips": [{"class": name, "name": name, "poses": track()} for name in LABELS],
    },
    "by name": lambda: {f"clip_{i}": {"label": name, "keypoints": track()} for i, name in enumerate(LABELS)},
    "pyskl": lambda: {
        "split": {"train": ["0"]},
        "annotations": [{"frame_dir": f"{i}", "label": name, "keypoint": [track()]} for i, name in enumerate(LABELS)],
    },
    "rows of videos": lambda: [
        {"video": name, "label": name, "frame_no": t, "keypoints": pose}
        for name in LABELS
        for t, pose in enumerate(track())
    ],
}


@pytest.mark.parametrize("structure", CLIPS)
def test_labelled_clips(tmp_path, structure):
    poses = silent(saved(tmp_path / "a.json", CLIPS[structure]()))
    assert poses.labels is not None and poses.labels.tolist() == LABELS and len(set(poses.ids)) == 3
    for clip in poses.clips:
        np.testing.assert_allclose(clip, [track()], rtol=1e-5)


@pytest.mark.parametrize("key", ["video", "File", "clipName", "sequence_id", "image"])
@pytest.mark.parametrize("kind", ["rows", "frames", "csv"])
def test_videos_are_clips(tmp_path, key, kind):
    def lead(video: str, t: int) -> dict:
        return {key: f"{video}/img_{t:04d}.jpg"} if key == "image" else {key: f"{video}.mp4", "frame": t}

    if kind == "csv":
        names = [f"{joint}_{axis}" for joint in COCO for axis in "xy"]
        rows = [[*lead(v, t).values(), *walker(0, t).ravel()] for v in "ab" for t in range(FRAMES)]
        text = "\n".join(",".join(map(str, row)) for row in [[*lead("a", 0), *names], *rows])
        (tmp_path / "a.csv").write_text(text)
        poses = read(tmp_path / "a.csv")
    else:
        wrap = {"rows": lambda pose: {"keypoints": pose}, "frames": lambda pose: {"people": [{"keypoints": pose}]}}[
            kind
        ]
        content = [{**lead(v, t), **wrap(pose)} for v in "ab" for t, pose in enumerate(track())]
        poses = silent(saved(tmp_path / "a.json", content))
    assert len(poses) == 2
    for clip in poses.clips:
        np.testing.assert_allclose(clip, [track()], rtol=1e-5)


JOINTS = {
    "type": lambda pose: [{"type": name, "x": x, "y": y} for name, (x, y) in zip(COCO, pose)],
    "jointType": lambda pose: [{"jointType": n, "Position": {"X": x, "Y": y}} for n, (x, y) in zip(COCO, pose)],
    "label": lambda pose: [{"label": name, "coordinates": [x, y]} for name, (x, y) in zip(COCO, pose)],
    "numbers": lambda pose: [{"id": i, "x": x, "y": y} for i, (x, y) in reversed(list(enumerate(pose)))],
    "lists": lambda pose: [[name, x, y] for name, (x, y) in zip(COCO, pose)],
    "single": lambda pose: [{name: [x, y]} for name, (x, y) in zip(COCO, pose)],
    "by name": lambda pose: {name: {"position": {"x": x, "y": y}} for name, (x, y) in zip(COCO, pose)},
    "by number": lambda pose: {f"{i}": [x, y] for i, (x, y) in enumerate(pose)},
}


@pytest.mark.parametrize("notation", JOINTS)
@pytest.mark.parametrize("holder", ["keypoints", "Joints"])
def test_joints_in_any_notation(tmp_path, notation, holder):
    content = [{"frame": t, holder: JOINTS[notation](pose)} for t, pose in enumerate(track())]
    poses = silent(saved(tmp_path / "a.json", content))
    assert poses.skeleton.name == "coco-17"
    np.testing.assert_allclose(poses.clips[0], [track()], rtol=1e-5)


def test_joints_beside_the_frame_and_people_by_name(tmp_path):
    named = [dict(zip(COCO, pose)) for pose in track()]
    poses = silent(saved(tmp_path / "a.json", [{"frame": t, **joints} for t, joints in enumerate(named)]))
    np.testing.assert_allclose(poses.clips[0], [track()], rtol=1e-5)
    other = [dict(zip(COCO, pose)) for pose in track(1)]
    content = {"frames": [{"Anna": one, "Ben": two} for one, two in zip(named, other)]}
    poses = silent(saved(tmp_path / "b.json", content))
    assert poses.person_ids == [("Anna", "Ben")]
    np.testing.assert_allclose(poses.clips[0], [track(), track(1)], rtol=1e-5)


PERSON_BY_PERSON = {
    "list": lambda: [
        {"track_id": p, "frames": [{"frame": t, "keypoints": pose} for t, pose in enumerate(track(p))]} for p in (0, 1)
    ],
    "people": lambda: {
        "fps": 25,
        "people": [
            {"id": p, "frames": [{"frame": t, "joints": one} for t, one in enumerate(track(p))]} for p in (0, 1)
        ],
    },
    "arrays beside numbers": lambda: {
        "tracks": {f"{p}": {"frames": list(range(FRAMES)), "keypoints": track(p)} for p in (0, 1)}
    },
    "by name": lambda: {f"person_{p}": {f"{t}": pose for t, pose in enumerate(track(p))} for p in (0, 1)},
    "frames by name": lambda: {f"frame_{t}.png": {f"{p}": track(p)[t] for p in (0, 1)} for t in range(FRAMES)},
}


@pytest.mark.parametrize("structure", PERSON_BY_PERSON)
def test_persons_one_by_one(tmp_path, structure):
    poses = silent(saved(tmp_path / "a.json", PERSON_BY_PERSON[structure]()))
    np.testing.assert_allclose(poses.clips[0], [track(0), track(1)], rtol=1e-5)
    assert poses.fps == (25 if structure == "people" else None)


def test_labels_in_a_list_of_their_own(tmp_path):
    for content in ({"sequences": [track()] * 3, "labels": LABELS}, {"X": [track()] * 3, "y": LABELS}):
        poses = silent(saved(tmp_path / "a.json", content))
        assert poses.labels is not None and poses.labels.tolist() == LABELS
        np.testing.assert_allclose(poses.clips, [[track()]] * 3, rtol=1e-5)


def test_a_joint_that_a_frame_lacks_is_missing(tmp_path):
    content = [{"frame": t, "keypoints": dict(zip(COCO, pose))} for t, pose in enumerate(track())]
    del content[3]["keypoints"]["left_knee"]
    clip = silent(saved(tmp_path / "a.json", content)).clips[0][0]
    assert np.argwhere(np.isnan(clip).all(axis=-1)).tolist() == [[3, COCO.index("left_knee")]]


def test_tables_in_json(tmp_path):
    """Records, columns as lists, columns by row, rows by number, and names beside the data, as pandas writes them."""
    rows = [
        {"frame": t, "track_id": p, **{f"{joint}_{axis}": v for (joint, axis), v in zip(NAMES, walker(p, t).ravel())}}
        for t in range(FRAMES)
        for p in (0, 1)
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    contents = [
        rows,
        columns,
        {name: dict(enumerate(column)) for name, column in columns.items()},
        dict(enumerate(rows)),
        {"columns": list(columns), "index": list(range(len(rows))), "data": [list(row.values()) for row in rows]},
    ]
    for content in contents:
        poses = silent(saved(tmp_path / "a.json", content))
        np.testing.assert_allclose(poses.clips[0], [track(0), track(1)], rtol=1e-5)
    lines = "\n".join(json.dumps(row) for row in rows)
    for name in ("a.jsonl", "b.json"):
        (tmp_path / name).write_text(lines)
        np.testing.assert_allclose(silent(tmp_path / name).clips[0], [track(0), track(1)], rtol=1e-5)


NAMES = [(joint, axis) for joint in COCO for axis in "xy"]


def test_arrays_in_the_cells_of_a_table(tmp_path):
    rows = [(t, p, walker(p, t)) for t in range(FRAMES) for p in (0, 1)]
    text = "frame,track_id,keypoints\n" + "".join(f'{t},{p},"{pose.tolist()}"\n' for t, p, pose in rows)
    (tmp_path / "a.csv").write_text(text)
    text = ",".join(["frame", "track_id", *COCO]) + "\n"
    text += "".join(",".join([f"{t}", f"{p}", *(f'"({x}, {y})"' for x, y in pose)]) + "\n" for t, p, pose in rows)
    (tmp_path / "b.csv").write_text(text.replace("(", "[").replace(")", "]"))
    for name in ("a.csv", "b.csv"):
        np.testing.assert_allclose(silent(tmp_path / name).clips[0], [track(0), track(1)], rtol=1e-5)
    (tmp_path / "a.csv").write_text('frame,keypoints\n0,"[[1,"\n')
    with pytest.raises(ValueError, match="a.csv, line 2: a cell is not an array"):
        read(tmp_path / "a.csv")


# -- rows that share a time, or have none -----------------------------------------------------------------------------


@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_whole_seconds(tmp_path, persons, ids, suffix):
    rows = [(1_700_000_000 + t // 10, p, walker(p, t)) for t in range(40) for p in range(persons)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".json":
        saved(
            path, [{"timestamp": at, "keypoints": pose.tolist()} | ({"id": p} if ids else {}) for at, p, pose in rows]
        )
    else:
        names = ["timestamp", *(["track_id"] if ids else []), *(f"{joint}_{axis}" for joint, axis in NAMES)]
        cells = [[at, *([p] if ids else []), *pose.ravel()] for at, p, pose in rows]
        path.write_text("\n".join(",".join(map(str, row)) for row in [names, *cells]))
    with pytest.warns(UserWarning, match="10 frames have the same time"):
        poses = read(path)
    assert poses.fps == pytest.approx(10)
    np.testing.assert_allclose(poses.clips[0], [[walker(p, t) for t in range(40)] for p in range(persons)], rtol=1e-5)


def test_rows_without_frames(tmp_path):
    alternating = [{"keypoints": walker(p, t).tolist()} for t in range(FRAMES) for p in (0, 1)]
    with pytest.warns(UserWarning, match="20 poses without frame numbers are interpreted as 10 frames of 2 persons"):
        poses = read(saved(tmp_path / "a.json", alternating))
    np.testing.assert_allclose(poses.clips[0], [track(0), track(1)], rtol=1e-5)
    one_by_one = [{"keypoints": walker(p, t).tolist()} for p in (0, 1) for t in range(FRAMES)]
    with pytest.raises(ValueError, match="20 poses have no frame .*'frame'"):
        read(saved(tmp_path / "b.json", one_by_one))
    text = "\n".join(",".join(map(str, np.ravel(row["keypoints"]))) for row in alternating)
    (tmp_path / "a.csv").write_text(",".join(f"{joint}_{axis}" for joint, axis in NAMES) + "\n" + text)
    with pytest.warns(UserWarning, match="2 persons in turn"):
        np.testing.assert_allclose(read(tmp_path / "a.csv").clips[0], [track(0), track(1)], rtol=1e-5)


@pytest.mark.parametrize("ids", [lambda t, p: 5, lambda t, p: p if t < 5 else 1 - p, lambda t, p: 2 * t + p])
@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_broken_ids_are_reported_and_persons_are_matched(tmp_path, ids, suffix):
    rows = [(t, ids(t, p), walker(p, t)) for t in range(FRAMES) for p in (0, 1)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".json":
        saved(path, [{"frame": t, "track_id": name, "keypoints": pose.tolist()} for t, name, pose in rows])
    else:
        names = ["frame", "track_id", *(f"{joint}_{axis}" for joint, axis in NAMES)]
        path.write_text(
            "\n".join(",".join(map(str, row)) for row in [names, *([t, n, *p.ravel()] for t, n, p in rows)])
        )
    with pytest.warns(UserWarning, match="persons are matched") as warned:
        poses = read(path)
    assert len(warned) == 1
    np.testing.assert_allclose(poses.clips[0], [track(0), track(1)], rtol=1e-5)


def test_frames_by_milliseconds(tmp_path):
    content = {f"{round(1000 * t / 30)}": [{"id": 0, "keypoints": pose}] for t, pose in enumerate(track())}
    with pytest.warns(UserWarning, match="step by 33 to 34 and are interpreted as times"):
        poses = read(saved(tmp_path / "a.json", content))
    assert poses.fps == pytest.approx(30, rel=0.01) and poses.clips[0].shape == (1, FRAMES, 17, 2)
