"""Folders of shards from untrusted sources: whatever they say, the error is one sentence with the path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from skelrep import corpus
from skelrep.cli import main

PART = "part-00000.parquet"


@pytest.fixture
def folder(inputs: Path, model: Path, tmp_path: Path) -> Path:
    corpus.embed(inputs, tmp_path / "rows", model, shard_size=6)
    return tmp_path / "rows"


def rewrite(folder: Path, **changes) -> None:
    plain = json.loads((folder / "manifest.json").read_text())
    for key, value in changes.items():
        *names, last = key.split("__")
        at = plain
        for name in names:
            at = at[int(name) if name.isdecimal() else name]
        at[int(last) if last.isdecimal() else last] = value
    (folder / "manifest.json").write_text(json.dumps(plain))


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": []},
        {"encoder": "x"},
        {"encoder__fingerprint": 3},
        {"encoder__dim": 1e308},
        {"encoder__dim": -1},
        {"encoder__dim": True},
        {"encoder__made_by": None},
        {"options": [["a", 1]]},
        {"root": None},
        {"named": 1},
        {"shards": {}},
        {"shards": 10**400},
        {"shards__0__inputs": None},
        {"shards__0__inputs": [["a", 1, 2]]},
        {"shards__0__inputs": [["a", float("inf"), 2, "a"]]},
        {"shards__0__inputs": [[["a"], 1, 2, "a"]]},
        {"shards__0__reader": ["npz"]},
        {"shards__0__clips": []},
        {"shards__0__clips": [3, 1]},
        {"shards__0__clips": [0, 1e300]},
        {"format_version": [1]},
    ],
    ids=str,
)
def test_a_manifest_of_wrong_types_is_one_sentence(changes, folder, inputs, model, capsys):
    rewrite(folder, **changes)
    assert main(["info", str(folder)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("skelrep: error: ") and said.count("\n") == 1 and "manifest.json" in said
    with pytest.raises(ValueError, match=r"manifest\.json"):
        corpus.embed(inputs, folder, model)


@pytest.mark.parametrize("dim", [1, 10**12])
def test_a_manifest_of_another_length_of_rows_allocates_nothing(dim, folder):
    rewrite(folder, encoder__dim=dim)
    with pytest.raises(ValueError, match=rf"part-00000\.parquet .* {dim} numbers"):
        corpus.open(folder)


def replaced(folder: Path, change) -> None:
    """Writes a part with other columns and the same metadata."""
    table = parquet.read_table(folder / PART)
    changed = change(table)
    parquet.write_table(changed.replace_schema_metadata(table.schema.metadata), folder / PART)


def halves(table):
    rows = np.stack(table["embedding"].to_numpy())
    return arrow.FixedSizeListArray.from_arrays(arrow.array(rows[:, ::2].ravel()), rows.shape[1] // 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["embedding"]),
        lambda table: table.drop_columns(["id"]),
        lambda table: table.set_column(0, "embedding", halves(table)),
        lambda table: table.set_column(0, "embedding", table["id"]),
        lambda table: table.append_column("id", table["id"]),
        lambda table: table.set_column(1, "id", arrow.nulls(len(table), arrow.string())),
        lambda table: table.set_column(1, "id", arrow.array([["a"]] * len(table))),
        lambda table: table.set_column(
            0, "embedding", table["embedding"].cast(arrow.list_(arrow.float64(), table["embedding"].type.list_size))
        ),
    ],
    ids=["no rows", "no ids", "shorter rows", "text", "twice", "missing ids", "lists of ids", "float64"],
)
def test_a_part_that_holds_something_else_is_one_sentence(change, folder):
    replaced(folder, change)
    with pytest.raises(ValueError, match=PART) as caught:
        corpus.open(folder).embeddings()
    assert "\n" not in str(caught.value)


def test_damaged_pages_are_noticed(folder):
    content = bytearray((folder / PART).read_bytes())
    place = len(content) // 4  # the rows stand first
    content[place : place + 8] = bytes(255 - byte for byte in content[place : place + 8])
    (folder / PART).write_bytes(content)
    with pytest.raises(ValueError, match=PART):
        corpus.open(folder).embeddings()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", [PART, "manifest.json"])
def test_pipes_are_not_waited_for(name, folder, inputs, model):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises((OSError, ValueError), match=name):
        corpus.open(folder)
    with pytest.raises((OSError, ValueError), match=name):
        corpus.embed(inputs, folder, model)


def test_a_password_in_a_url_is_refused_and_not_shown(inputs, model, capsys):
    url = "sftp://anna:SECRET@localhost/rows"
    for action in (lambda: corpus.open(url), lambda: corpus.embed(inputs, url, model), lambda: corpus.is_corpus(url)):
        with pytest.raises(ValueError, match="password") as caught:
            action()
        assert "SECRET" not in str(caught.value)
    for command in (["embed", str(inputs), "-m", str(model), "-o", url], ["search", url, url], ["info", url]):
        assert main(command) == 1
        said = capsys.readouterr()
        assert "SECRET" not in said.out + said.err and said.err.count("\n") == 1
