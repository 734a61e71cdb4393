"""`embed -o FOLDER`: what it says and writes, and the commands that take the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")


@pytest.fixture
def tree(poses, model, tmp_path, monkeypatch):
    """24 labelled clips in 4 files."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for i in range(4):
        poses[6 * i : 6 * i + 6].save(f"data/{i}.npz")
    poses.save("all.npz")
    return tmp_path


def embed(*arguments: str, code: int = 0) -> None:
    assert main(["embed", *arguments, "--workers", "1"]) == code


def test_a_folder_is_written_resumed_and_described(tree, model, capsys):
    embed("data", "-m", model, "-o", "rows", "--shard-size", "2", "--json", "--log", "log.jsonl")
    document = json.loads(capsys.readouterr().out)
    assert (document["shards"], document["made"], document["rows"]) == (2, 2, 24)
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [(line["shard"], line["rows"], line["fraction"]) for line in lines] == [(0, 12, 0.5), (1, 12, 1.0)]
    Path("rows/part-00000.parquet").unlink()
    embed("data", "-m", model, "-o", "rows/")
    said = capsys.readouterr()
    assert said.out == "" and "24 rows" in said.err and "1 shards made" in said.err
    embed("data", "-m", model, "-o", "rows/", "--normalize", code=1)
    assert "--refresh" in capsys.readouterr().err
    embed("data", "-m", model, "-o", "rows/", "--normalize", "--refresh", "-q")
    assert main(["info", "rows", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["embeddings"] == 24 and facts["shards"] == {"finished": 2, "of": 2}


@pytest.mark.slow
def test_commands_take_the_folder(tree, model, capsys):
    embed("data", "-m", model, "-o", "rows", "-q")
    assert main(["embed", "all.npz", "-m", model, "-o", "rows.npz", "-q"]) == 0
    capsys.readouterr()
    for command in (["knn", "--leave-one-out", "-k", "1"], ["probe", "--leave-one-out", "--groups", "subject"]):
        results = []
        for name in ("rows", "rows.npz"):
            assert main([command[0], name, *command[1:], "--json"]) == 0
            results.append(json.loads(capsys.readouterr().out))
        assert results[0] == results[1]
    assert main(["search", "rows", "rows", "-k", "2", "--json"]) == 0
    queries = json.loads(capsys.readouterr().out)["queries"]
    assert len(queries) == 24 and all(len(query["neighbours"]) == 2 for query in queries)
    assert main(["explore", "data", "--embeddings", "rows", "-o", "page.html", "-q"]) == 0
    Path("rows/part-00000.parquet").unlink()
    assert main(["knn", "rows", "--leave-one-out"]) == 1
    assert "part-00000.parquet" in capsys.readouterr().err


def test_skipped_files_are_listed(tree, model, poses, capsys):
    Path("data/1.npz").write_bytes(b"no archive")
    embed("data", "-m", model, "-o", "rows", code=1)
    assert "1.npz" in capsys.readouterr().err
    embed("data", "-m", model, "-o", "rows", "--on-error", "skip", "--report", "report.json", code=3)
    files = len(list(Path("data").iterdir()))
    assert f"1 skipped, {files - 1} files read" in capsys.readouterr().err
    assert [Path(entry["path"]).name for entry in json.loads(Path("report.json").read_text())] == ["1.npz"]
    embed("data", "-m", model, "-o", "rows", "--on-error", "skip", code=3)  # it still is not there


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-o", "rows.npz", "--refresh"], 2, "--refresh"),
        (["-o", "rows.npz", "--shard-size", "2"], 2, "--shard-size"),
        (["-o", "rows.csv"], 1, ".parquet"),
        (["-o", "rows", "--overwrite"], 2, "--refresh"),
        (["-o", "rows", "--shard", "2/2"], 2, "0 to N-1"),
        (["-o", "rows", "--address", "here:1"], 2, "--engine ray"),
        (["-o", "rows", "--unlabelled", "skip"], 2, "--unlabelled"),
        (["-o", "rows", "--log", "absent/log.jsonl"], 1, "absent"),
        (["-o", "all.npz/"], 1, "all.npz"),
        (["-o", "nosuch://bucket/rows"], 1, "nosuch"),
        (["-o", "data"], 1, "data"),
    ],
)
def test_usage(tree, model, arguments, code, said, capsys):
    try:
        found = main(["embed", "data", "-m", model, *arguments])
    except SystemExit as error:
        found = error.code
    captured = capsys.readouterr().err
    assert found == code and said in captured and captured.count("\n") == 1
    assert not Path("rows").exists() or np.array_equal([], list(Path("rows").iterdir()))
