"""JSON beside other files: nested too deeply, it is one sentence, and not an error in a function that follows it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skelrep import load_pretrained, read, save_pretrained
from skelrep.io.pieces import pieces
from skelrep.io.reading import Declared, read_pieces
from skelrep.io.sources import sources
from skelrep.json_text import check_depth, read_json
from tests.corpus_data import recordings


def nested(depth: int) -> list:
    content: list = []
    for _ in range(depth - 1):
        content = [content]
    return content


def test_depth_is_bounded():
    for fine in (3, "x", [], {}, nested(100), {"a": [{"b": nested(90)}], "c": 1}):
        check_depth(fine)
    for deep in (nested(101), {"a": nested(100)}):
        with pytest.raises(ValueError, match="nested more than 100 times"):
            check_depth(deep)


@pytest.mark.parametrize("depth", [101, 700, 100_000])
def test_deep_json_is_refused_with_its_path(depth, tmp_path, tiny_encoder):
    text = "[" * depth + "]" * depth
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")
    config = save_pretrained(tiny_encoder, tmp_path / "model") / "config.json"
    plain = json.loads(config.read_text()) | {"training": {"data": "HERE"}}
    config.write_text(json.dumps(plain).replace('"HERE"', text))
    with pytest.raises(ValueError, match=r"config\.json"):
        load_pretrained(tmp_path / "model")


def test_a_path_that_is_too_long_is_not_found(tmp_path):
    (tmp_path / "list.txt").write_text("x/" * 5000 + "\n")
    with pytest.raises(FileNotFoundError) as caught:
        read(f"@{tmp_path}/list.txt")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("persons", [[1.5, 1.0], [[1, 1]], [1]], ids=str)
def test_counts_that_are_not_whole_numbers_are_refused_clip_by_clip(persons, tmp_path):
    recordings(2).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", **dict(arrays) | {"persons": np.array(persons)})
    found, declared = sources(tmp_path / "b.npz"), Declared()
    with pytest.raises(ValueError, match=r"b\.npz"):
        list(read_pieces(found, pieces(found, None, declared.options(None), most=1, piece_bytes=1), declared))


@pytest.mark.parametrize(("digits", "fine"), [(300, True), (400, False), (5000, False)])
def test_integers_that_are_no_floats_are_refused(digits, fine, tmp_path):
    number = "9" * digits
    (tmp_path / "a.json").write_text(f'{{"a": {number}}}')
    if fine:
        assert read_json(tmp_path / "a.json") == {"a": int(number)}
    else:
        with pytest.raises(ValueError, match=r"a\.json"):
            read_json(tmp_path / "a.json")
    people = [{"image_id": f"{i}.jpg", "keypoints": [1, 2, 1] * 17, "score": 1} for i in range(3)]
    text = json.dumps(people).replace("[1, 2, 1", f"[{number}, 2, 1", 1)
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ValueError, match=r"b\.json"):
        read(tmp_path / "b.json", fps=30)
