"""`skelrep search` against `retrieve`."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skelrep import retrieve
from skelrep.cli import main
from skelrep.poses import Poses
from tests.cli.stored_files import embed, search, write_files


@pytest.fixture
def files(tiny_encoder, tmp_path, monkeypatch):
    """A folder with a model and poses of two files."""
    monkeypatch.chdir(tmp_path)
    write_files(tiny_encoder)
    return tmp_path


@pytest.mark.parametrize("query", ["few.npz", "few.rows.npz", "few.npy", "few.parquet"])
@pytest.mark.parametrize("bank", ["all.npz", "all.rows.npz", "all.npy", "all.parquet"])
def test_neighbours_equal_retrieve(files, tiny_encoder, query, bank, capsys):
    for name in (query, bank):
        if name not in ("few.npz", "all.npz"):
            embed(f"{name.partition('.')[0]}.npz", name)
    found = search(capsys, query, bank, "-k", "3")
    few, every = (Poses.load(name) for name in ("few.npz", "all.npz"))
    expected = retrieve(tiny_encoder.embed(few), tiny_encoder.embed(every), k=3)
    for row, asked in enumerate(found["queries"]):
        named = query != "few.npy"
        assert asked["id"] == (few.ids[row] if named else row)
        assert asked.get("label") == (few.labels[row] if named else None)
        named = bank != "all.npy"
        for one, i in zip(asked["neighbours"], expected.indices[row].tolist(), strict=True):
            assert one["id"] == (every.ids[i] if named else i)
            assert one.get("label") == (every.labels[i] if named else None)
        similarities = [one["similarity"] for one in asked["neighbours"]]
        np.testing.assert_allclose(similarities, expected.similarities[row], atol=1e-6)
    assert len(found["queries"]) == 8 and found["protocol"]["k"] == 3 and found["protocol"]["n_bank"] == 24


def test_a_clip_does_not_find_itself_in_its_own_file(files, capsys):
    itself = search(capsys, "few.npz", "all.npz", "-k", "1")
    assert [one["id"] for one in itself["queries"]] == [one["neighbours"][0]["id"] for one in itself["queries"]]
    embed("all.npz", "rows.npz")
    for query, bank, *more in (
        ("all.npz", "./all.npz"),
        ("rows.npz", "rows.npz"),
        ("all.npz", "rows.npz", "--leave-one-out"),
    ):
        found = search(capsys, query, bank, *more, "-k", "23")
        for one in found["queries"]:
            assert one["id"] not in {other["id"] for other in one["neighbours"]}
            assert len(one["neighbours"]) == 23
    assert main(["search", "few.npz", "rows.npz", "--leave-one-out", "-m", "model"]) == 1
    assert "got 8 and 24" in capsys.readouterr().err


def test_printed_lines(files, capsys):
    embed("all.npz", "rows.npz")
    assert main(["search", "few.npz", "rows.npz", "-m", "model", "-k", "2", "-q"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == "" and len(lines) == 8 * 3
    assert re.fullmatch(r"clip 0 +sit", lines[0])
    assert re.fullmatch(r" +1 +1\.000  clip 0 +sit", lines[1])
    assert re.fullmatch(r" +2 +0\.\d{3}  clip \d+ +sit", lines[2])


def test_results_of_windows_include_their_times(files, capsys):
    embed("all.npz", "windows.npz", "--window", "0.5")
    embed("all.npz", "windows.parquet", "--window", "0.5")
    for bank in ("windows.npz", "windows.parquet"):
        found = search(capsys, "few.npz", bank, "-k", "2")
        for one in found["queries"]:
            assert "start" not in one
            for other in one["neighbours"]:
                start, end = other["start"], other["end"]
                assert 0 < end - start <= 0.51 and other["id"].endswith(f"@{start:.2f}-{end:.2f}")
    assert main(["search", "few.npz", "windows.npz", "-m", "model", "-k", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"\d+\.\d\d-\d+\.\d\d s$", lines[1]) and not lines[0].endswith(" s")


def test_default_k_is_ten_or_the_size_of_the_bank(files, capsys):
    assert {len(one["neighbours"]) for one in search(capsys, "few.npz", "all.npz")["queries"]} == {10}
    assert {len(one["neighbours"]) for one in search(capsys, "few.npz", "few.npz")["queries"]} == {7}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("few.npz nowhere.npz", "there is no file or folder nowhere.npz"),
        ("few.npz all.npz -k 25", "between 1 and 24"),
        ("few.npz few.npz -k 8", "between 1 and 7"),
        (
            "few.npz joint.npz",
            "embeddings of model and of model (joint) cannot be compared; embed both in the same way",
        ),
        ("joint.parquet rows.npz", "embeddings of model (joint) and of model cannot be compared"),
        ("joint.npy rows.npz", "rows have"),
        ("broken.npz rows.npz", "broken.npz is damaged"),
        ("broken.parquet rows.npz", "broken.parquet is damaged"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(files, command, message, capsys):
    embed("all.npz", "rows.npz")
    for name in ("joint.npz", "joint.npy", "joint.parquet"):
        embed("all.npz", name, "--streams", "joint")
    (files / "broken.npz").write_bytes((files / "rows.npz").read_bytes()[:999])
    (files / "broken.parquet").write_bytes((files / "joint.parquet").read_bytes()[:-9])
    assert main(["search", *command.split(), "-m", "model"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
