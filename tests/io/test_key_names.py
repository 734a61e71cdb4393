"""Names of keys and columns in any spelling, in every reader that has them."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from skelrep.io import read
from skelrep.io.key_names import PRESENTATION, key_of, rank, tracker_id, unit_of
from skelrep.skeletons import SKELETONS
from tests.json_content import saved, walker

FRAMES = 12
COCO = SKELETONS["coco-17"].joints
FRAME_NAMES = [
    "frame",
    "frameNumber",
    "FRAME_NO",
    "frame idx",
    "FrameIndex",
    "frame.count",
    "step",
    "index",
    "image_id",
]
PERSON_NAMES = ["track_id", "trackID", "TrackingId", "person", "PersonIndex", "pid", "idx", "id", "bodyId", "instance"]
TIMES = {
    "ts": (lambda t: t / 30, 30),
    "time_stamp": (lambda t: t / 30, 30),
    "timestampMs": (lambda t: round(t * 1000 / 30), 30),
    "milliseconds": (lambda t: 40 * t, 25),
    "sec": (lambda t: t / 25, 25),
    "us": (lambda t: 40_000 * t, 25),
    "elapsed_ns": (lambda t: 40_000_000 * t, 25),
    "ticks": (lambda t: 333_333 * t, 30),
    "pts": (lambda t: 3000 * t, 30),
    "unix_time": (lambda t: 1_700_000_000_000 + 40 * t, 25),
}


def two(path, lead) -> dict[str, list]:
    """The persons and frames of a table and of JSON rows, which hold two people who swap places in the list."""
    order = [(t, p) for t in range(FRAMES) for p in ((0, 1) if t % 2 else (1, 0))]
    if path.suffix == ".json":
        content = [{**lead(t, p), "keypoints": walker(p, t).tolist()} for t, p in order]
        saved(path, content)
    elif path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps({**lead(t, p), "keypoints": walker(p, t).tolist()}) + "\n" for t, p in order)
        )
    else:
        names = [*lead(0, 0), *(f"{joint}_{axis}" for joint in COCO for axis in "xy")]
        rows = [[*lead(t, p).values(), *walker(p, t).ravel()] for t, p in order]
        path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*columns are interpreted by their names")
        warnings.filterwarnings("ignore", message=".*interpreted as ticks")
        poses = read(path)
    assert poses.person_ids is not None and poses.person_ids[0] == ("1", "0")
    expected = [[walker(p, t) for t in range(FRAMES)] for p in (1, 0)]
    np.testing.assert_allclose(poses.clips[0], expected, rtol=1e-5)
    return poses


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("name", FRAME_NAMES)
def test_frames_of_any_spelling(tmp_path, suffix, name):
    two(tmp_path / f"a{suffix}", lambda t, p: {name: t, "track_id": p})


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("name", PERSON_NAMES)
def test_persons_of_any_spelling(tmp_path, suffix, name):
    two(tmp_path / f"a{suffix}", lambda t, p: {"frameNumber": t, name: p})


@pytest.mark.parametrize("suffix", [".json", ".csv"])
@pytest.mark.parametrize("name", TIMES)
def test_times_of_any_spelling_and_unit(tmp_path, suffix, name):
    at, fps = TIMES[name]
    found = two(tmp_path / f"a{suffix}", lambda t, p: {name: at(t), "trackId": p})
    assert found.fps == pytest.approx(fps, rel=2e-3)


def test_meanings_of_names():
    assert unit_of("pts") == PRESENTATION and unit_of("pts_time") is None
    assert [unit_of(name) for name in ("Time [ms]", "timestampus", "t_s", "relative_ticks")] == [1e-3, 1e-6, 1, 1e-7]
    for name in ("start_time", "inference_time", "s", "dt", "exposure_time_ms"):
        assert rank(name, "time") is None, name
    assert key_of({"index": 3, "FrameNumber": 2}, "frame", "row") == "FrameNumber"
    assert tracker_id({"id": 7, "bbox_id": 3, "TrackID": [2.0]}) == "2"
    assert tracker_id({"track_id": None, "subjectId": "Anna", "id": 4}) == "Anna"
