"""JSON lines: what is written is what other programs read, and comes back whole."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skelrep import Poses, read, write
from tests.bodies import walking


def example() -> Poses:
    clips = [walking("kinect-20", 5), walking("kinect-20", 7, seed=1)]
    clips[0][0, 2, 3] = np.nan
    return Poses(
        clips,
        "kinect-20",
        ids=["wave/ü", "jump"],
        labels=["wave", "jump"],
        fps=30,
        scores=[np.full(clip.shape[:3], 0.1, np.float32) for clip in clips],
        info={"subject": [1, 2], "train": [True, False]},
        person_ids=[("p1",), (None,)],
    )


def test_written_files_are_read_back(tmp_path):
    poses = example()
    write(poses, tmp_path / "a.jsonl")
    again = read(tmp_path / "a.jsonl")
    for before, after in zip(poses.clips + poses.scores, again.clips + again.scores):
        np.testing.assert_array_equal(before, after)
    assert (again.ids, again.labels.tolist(), again.fps) == (poses.ids, ["wave", "jump"], 30)
    assert again.skeleton == poses.skeleton
    assert again.person_ids == poses.person_ids
    assert again.info["subject"].tolist() == [1, 2]
    assert read(tmp_path / "a.jsonl", split="train").ids == ["wave/ü"]


def test_a_line_is_plain_json_with_null_for_what_was_not_seen(tmp_path):
    write(example(), tmp_path / "a.jsonl")
    first = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["poses"][0][2][3] == [None] * 3
    assert first["scores"][0][0][0] == 0.1
    assert first["joints"][3] == "head"
    assert (first["label"], first["info"]) == ("wave", {"subject": 1, "train": True})


def test_few_fields_are_enough(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"skeleton": "coco-17", "poses": np.ones((4, 17, 2)).tolist()}))
    assert read(tmp_path / "a.jsonl").clips[0].shape == (1, 4, 17, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"poses": 3}', "line 2"),
        ('{"skeleton": "coco-17"}', "line 2.*poses"),
        ("[1, 2]", "line 2"),
        ("{", "line 2"),
        ('{"skeleton": "coco-71", "poses": [[[[1, 2]]]]}', "line 2.*'coco-71'"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, problem):
    write(example()[0], tmp_path / "a.jsonl")
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(text)
    with pytest.raises(ValueError, match=problem):
        read(tmp_path / "a.jsonl")
