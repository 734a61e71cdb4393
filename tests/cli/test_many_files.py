"""Folders, lists and patterns; labels that are not in the files; files that cannot be read; outputs that exist."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.io.embeddings import load


@pytest.fixture
def tree(poses, tmp_path, monkeypatch):
    """24 clips, each a file in the folder of its class, whose names repeat from class to class."""
    monkeypatch.chdir(tmp_path)
    for i in range(len(poses)):
        folder = Path("data") / str(poses.labels[i])
        folder.mkdir(parents=True, exist_ok=True)
        one = poses[i : i + 1]
        type(one)(one.clips, one.skeleton, ids=[f"{i // 3:02}"], fps=one.fps).save(folder / f"{i // 3:02}.npz")
    return tmp_path


def embed(*arguments: str, code: int = 0) -> None:
    assert main(["embed", *arguments, "-q"]) == code


def table(path: str):
    found = load(path)
    assert found is not None
    return found


def test_a_tree_of_classes_is_embedded_with_labels_and_evaluated(tree, model, capsys):
    embed("data", "-m", model, "--labels", "folder", "-o", "rows.npz")
    rows = table("rows.npz")
    assert len(set(rows.ids.tolist())) == 24 and "sit/00" in rows.ids
    assert [name.split("/")[0] for name in rows.ids] == rows.labels.tolist()
    assert main(["knn", "rows.npz", "--leave-one-out", "-k", "1", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert main(["knn", "data", "--labels", "folder", "-m", model, "--leave-one-out", "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == stored["accuracy"] == {"1": 1.0}


def test_many_files_give_the_rows_of_one_file(tree, poses, model, tiny_encoder):
    files = sorted(map(str, Path("data").rglob("*.npz")))
    embed(*files, "-m", model, "-o", "rows.npz")
    order = [3 * int(Path(name).stem) + ["sit", "run", "bow"].index(Path(name).parent.name) for name in files]
    np.testing.assert_allclose(table("rows.npz").rows, tiny_encoder.embed(poses)[order], atol=1e-5)


@pytest.mark.parametrize("way", ["folder", "pattern", "list", "stdin", "shell"])
def test_files_are_named_in_several_ways(tree, model, way, monkeypatch):
    files = sorted(str(path) for path in Path("data/run").iterdir())
    Path("list.txt").write_text("\n".join(files))
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(files)))
    given = {
        "folder": ["data/run"],
        "pattern": ["data/run/*.npz"],
        "list": ["@list.txt"],
        "stdin": ["-"],
        "shell": files,
    }
    embed(*given[way], "-m", model, "-o", "rows.npz")
    assert table("rows.npz").ids.tolist() == [f"{i:02}" for i in range(8)]


def test_a_table_gives_labels_and_subjects_to_poses_and_to_embeddings(tree, model, capsys):
    names = [path.relative_to("data").with_suffix("").as_posix() for path in sorted(Path("data").rglob("*.npz"))]
    with Path("people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "action", "who"])
        writer.writerows([name, name.split("/")[0].upper(), f"P{i % 4}"] for i, name in enumerate(names))
    more = ["--labels", "people.csv:action", "--subjects", "people.csv:who"]
    embed("data", "-m", model, "-o", "rows.npz", *more)
    rows = table("rows.npz")
    assert set(rows.labels.tolist()) == {"SIT", "RUN", "BOW"} and set(rows.info["subject"].tolist()) == set(
        ["P0", "P1", "P2", "P3"]
    )
    embed("data", "-m", model, "-o", "bare.npz")
    assert table("bare.npz").labels is None
    results = []
    for name, options in (("rows.npz", []), ("bare.npz", more)):
        assert main(["knn", name, "--leave-one-out", "--groups", "subject", "-k", "1", "--json", *options]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]
    assert main(["knn", "bare.npz", "--leave-one-out"]) == 1
    assert "--labels" in capsys.readouterr().err
    assert main(["knn", "bare.npz", "--leave-one-out", "--labels", "people.csv:actoin"]) == 1
    assert "'action'" in capsys.readouterr().err


def test_files_that_cannot_be_read_stop_or_are_skipped_and_reported(tree, model, capsys):
    Path("data/run/03.npz").write_bytes(b"no zip")
    embed("data", "-m", model, "-o", "rows.npz", code=1)
    assert "03.npz" in capsys.readouterr().err and not Path("rows.npz").exists()
    for report in ("report.csv", "report.json"):
        embed("data", "-m", model, "-o", "rows.npz", "--on-error", "skip", "--report", report, code=3)
        error = capsys.readouterr().err
        assert "1 skipped, 23 files read" in error and "run/03.npz" in error
    assert len(table("rows.npz").rows) == 23
    [entry] = csv.DictReader(Path("report.csv").read_text().splitlines())
    assert entry["path"].endswith("run/03.npz") and entry["reason"]
    assert json.loads(Path("report.json").read_text()) == [entry]
    code = main(["info", "data", "--on-error", "skip", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == 3 and document["clips"] == 23 and list(document["skipped"]) == [entry["path"]]
    assert main(["convert", "data", "all.npz", "--on-error", "skip", "-q"]) == 3
    assert main(["convert", "data", "all.npz", "--report", "report.csv"]) == 2
    assert main(["convert", "data", "all.npz", "--on-error", "skip", "--report", "report.doc"]) == 2


def test_clips_that_cannot_be_embedded_are_skipped(tree, poses, model, capsys):
    clips = [clip if i % 7 else np.full_like(clip, np.nan) for i, clip in enumerate(poses.clips)]
    type(poses)(clips, poses.skeleton, fps=30.0).save("holes.npz")
    embed("holes.npz", "-m", model, code=1)
    embed("holes.npz", "-m", model, "--on-error", "skip", code=3)
    assert "4 skipped" in capsys.readouterr().err
    assert table("holes.embeddings.npz").ids.tolist() == [str(i) for i in range(24) if i % 7]
    embed("holes.npz", "-m", model, "--on-error", "skip", code=3)  # the same rows again
    type(poses)([np.full_like(poses.clips[0], np.nan)] * 2, poses.skeleton, fps=30.0).save("nobody.npz")
    embed("nobody.npz", "-m", model, "--on-error", "skip", code=1)


def test_a_table_of_files_labels_the_embeddings_of_their_clips(poses, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    poses[:4].save("data/one.npz")
    poses[4:9].save("data/two.npz")
    Path("labels.csv").write_text("file,label\none.npz,first\ntwo.npz,second\n")
    embed("data", "-m", model, "-o", "direct.npz", "--labels", "labels.csv")
    embed("data", "-m", model, "-o", "later.npz")
    assert table("direct.npz").labels.tolist() == 4 * ["first"] + 5 * ["second"]
    for name in ("direct.npz", "later.npz"):
        assert main(["knn", name, "--leave-one-out", "--labels", "labels.csv", "-k", "1", "-q"]) == 0


@pytest.mark.parametrize("suffix", ["npz", "npy", "parquet"])
def test_other_rows_are_not_overwritten_in_silence(tree, poses, model, suffix, capsys):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    poses[:6].save("a.npz")
    output = f"rows.{suffix}"
    for _ in range(2):
        embed("a.npz", "-m", model, "-o", output)
    before = Path(output).read_bytes()
    embed("a.npz", "-m", model, "-o", output, "--window", "0.2", code=1)
    assert "--overwrite" in capsys.readouterr().err and Path(output).read_bytes() == before
    if suffix != "npy":  # which has no ids and no model
        poses[1:7].save("b.npz")
        embed("b.npz", "-m", model, "-o", output, code=1)
        embed("a.npz", "-m", model, "-o", output, "--streams", "joint", code=1)
        assert Path(output).read_bytes() == before
    embed("a.npz", "-m", model, "-o", output, "--window", "0.2", "--overwrite")
    assert len(table(output).rows) > 6


def test_poses_are_never_taken_for_earlier_embeddings(tree, poses, model, capsys):
    poses.save("a.npz")
    shutil.copy("a.npz", "b.npz")
    embed("a.npz", "-m", model, "-o", "b.npz", code=1)
    assert "b.npz exists and contains no embeddings" in capsys.readouterr().err


def test_a_list_or_pattern_needs_an_output(tree, model, capsys):
    for given in ("-", "data/*/*.npz"):
        assert main(["embed", given, "-m", model]) == 2
        assert "-o FILE.npz" in capsys.readouterr().err
