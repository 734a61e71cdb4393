"""`skelrep duplicates` and `cluster`."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from skelrep import Poses, save_pretrained
from skelrep.cli import main
from tests.cli.sentences import check_error
from tests.recordings.made_up import clips_of


@pytest.fixture
def folder(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    poses = clips_of(("squat", "kick"), 5)
    poses.save("clips.npz")
    for name, clips in (("a", poses[:6]), ("b", poses[4:])):  # clips 4 and 5 are in both
        (tmp_path / "motions" / name).mkdir(parents=True)
        clips.save(tmp_path / "motions" / name / "some.npz")
    return tmp_path


def test_duplicates_of_a_folder(folder, capsys):
    words = ["duplicates", "motions", "-m", "model", "--threshold", "1"]
    assert main([*words, "-o", "groups.csv"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "12 clips: 2 groups with 2 duplicates (2 exact, 0 near)" in err and "groups.csv" in err
    with (folder / "groups.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["kept", "exact"] * 2
    assert {row["id"].rpartition("/")[2] for row in rows} == {"4", "5"}
    assert main([*words, "-q"]) == 0
    assert list(csv.DictReader(io.StringIO(capsys.readouterr().out))) == rows
    assert main([*words, "--json", "--mirrors"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["n_groups"] == 2 and document["protocol"]["mirrored"]
    assert [row["id"] for row in document["duplicates"]] == [row["id"] for row in rows]


def test_stored_embeddings_a_corpus_and_poses_have_the_same_clusters(folder, capsys):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    assert main(["embed", "clips.npz", "-m", "model", "-o", "rows.npz", "-q"]) == 0
    assert main(["embed", "clips.npz", "-m", "model", "-o", "shards/", "--workers", "1", "-q"]) == 0
    capsys.readouterr()
    tables = []
    for library in ("clips.npz", "rows.npz", "shards"):
        assert main(["cluster", library, "-k", "2", "-m", "model"]) == 0
        out, err = capsys.readouterr()
        assert "10 clips in 2 clusters" in err
        tables.append([(row["id"], row["cluster"], row["is_medoid"]) for row in csv.DictReader(io.StringIO(out))])
    assert tables[0] == tables[1] == tables[2]
    assert [cluster for _, cluster, _ in tables[0]] in (["1"] * 5 + ["2"] * 5, ["2"] * 5 + ["1"] * 5)


def test_a_clip_that_cannot_be_embedded_is_skipped(folder, capsys):
    nobody = Poses([np.full((1, 20, 17, 3), np.nan)], "coco-17", ids=["nobody"], fps=20)
    (folder / "motions" / "c").mkdir()
    nobody.save(folder / "motions" / "c" / "none.npz")
    words = ["cluster", "motions", "-m", "model", "-k", "2", "--json", "-q"]
    assert main([*words, "--on-error", "skip"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert len(document["clusters"]) == 12 and list(document["skipped"]) == ["c/none/nobody"] or document["skipped"]
    assert main(words) == 1


@pytest.mark.parametrize(
    ("words", "code", "facts"),
    [
        (["duplicates", "clips.npz", "-m", "model", "-o", "a.xlsx"], 1, ("a.xlsx", ".csv")),
        (["duplicates", "clips.npz", "-m", "model", "--threshold", "2"], 1, ("--threshold 2", "cosine")),
        (["duplicates", "clips.npz", "-m", "model", "--false-rate", "0"], 2, ("'0'",)),
        (["duplicates", "clip.npz", "-m", "model"], 1, ("clip.npz",)),
        (["cluster", "clips.npz", "-m", "model", "-k", "11"], 1, ("-k 11", "10")),
        (["cluster", "clips.npz", "-m", "model", "-k", "0"], 2, ("'0'",)),
        (["cluster", "clips.npz", "-m", "model", "-o", "nowhere/a.csv"], 1, ("nowhere",)),
    ],
)
def test_errors_are_one_sentence(folder, capsys, words, code, facts):
    check_error(capsys, words, code, facts)
