"""`skelrep info` of everything that skelrep reads and writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main


def told(capsys, *arguments: str) -> str:
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def facts(capsys, *arguments: str) -> dict:
    return json.loads(told(capsys, *arguments, "--json"))


def test_a_file_of_poses(files, capsys):
    found = facts(capsys, "train.npz")
    assert found["clips"] == 12 and found["skeleton"] == "kinect-20" and found["labels"] == ["bow", "run", "sit"]
    assert "kinect-20" in told(capsys, "train.npz")


def test_a_model_is_summarised_as_text_and_complete_as_json(files, model, tiny_encoder, capsys):
    text = told(capsys, model)
    assert "common-15, 15 joints" in text and f"{tiny_encoder.dim} dimensions" in text
    assert "{" not in text and max(map(len, text.splitlines())) < 500
    found = facts(capsys, model)
    assert found["skeleton"]["name"] == "common-15" and found["backbone"]["width"] == 16


def test_the_bundled_model_shows_licence_data_and_results(capsys):
    text = told(capsys, "i2md-small")
    assert "cc-by-nc-4.0" in text and "MSRC-12: 6.74 h" in text and "{" not in text
    assert "UTD-MHAD, cross-subject, 1-NN accuracy (%): 95.8" in text


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet"])
def test_embeddings(files, model, tiny_encoder, suffix, capsys):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    assert main(["embed", "train.npz", "-m", model, "-o", f"rows.{suffix}", "-q"]) == 0
    found = facts(capsys, f"rows.{suffix}")
    assert found["embeddings"] == 12 and found["dim"] == tiny_encoder.dim
    if suffix != "npy":
        assert found["labels"] == ["bow", "run", "sit"] and found["info"] == ["subject"] and found["model"] == model
    assert main(["info", f"rows.{suffix}", "--check"]) == 1
    assert "--check is for poses" in capsys.readouterr().err


def test_a_corpus_and_a_run(files, capsys):
    assert main(["prepare", "train.npz", "--to", "common-15", "-o", "corpus", "--licence", "cc0", "-q"]) == 0
    found = facts(capsys, "corpus")
    assert found["licence"] == "cc0" and found["sources"][0]["clips"] == 12
    text = told(capsys, "corpus")
    assert "cc0" in text and "12 clips" in text and "common-15" in text
    Path("run").mkdir()
    Path("run/recipe.json").write_text(json.dumps({"steps": 40, "batch": 8, "encoder": {"a": 1}}))
    Path("run/corpus.json").write_text(Path("corpus/corpus.json").read_text())
    Path("run/log.jsonl").write_text('{"step": 10, "loss": 2.5}\n{"step": 20, "loss": 1.5}\n{"step": 3')
    found = facts(capsys, "run")
    assert found["last"] == {"step": 20, "loss": 1.5} and not found["finished"] and found["recipe"]["steps"] == 40
    assert "not finished" in told(capsys, "run")
    Path("run/recipe.json").write_text("[1]")
    assert main(["info", "run"]) == 1
    assert "recipe.json contains a list" in capsys.readouterr().err


def test_runs_are_listed(files, capsys):
    corpus = {"sources": [{"name": "a", "clips": 12}, {"name": "b", "clips": 4}]}
    line = {"step": 20, "total": 1.23456, "epoch": 10.0, "learning_rate": 0.01, "clips_per_second": 99.96, "seconds": 1}
    for name, recipe in (("x/one", {"steps": 40, "batch": 8}), ("two", {"epochs": 20, "batch": 6})):
        Path(f"runs/{name}/encoder").mkdir(parents=True)
        Path(f"runs/{name}/recipe.json").write_text(json.dumps(recipe))
        Path(f"runs/{name}/corpus.json").write_text(json.dumps(corpus))
    Path("runs/two/log.jsonl").write_text(json.dumps(line) + "\n")
    Path("runs/two/encoder/config.json").write_text("{}")
    assert main(["runs", "runs", "--json"]) == 0
    two, one = json.loads(capsys.readouterr().out)["runs"]
    assert (one["run"], one["step"], one["of"], one["state"]) == ("x/one", 0, 40, "not finished")
    assert (two["run"], two["step"], two["of"], two["state"]) == ("two", 20, 54, "finished")
    assert (two["total"], two["clips_per_second"]) == (1.235, 100.0)
    assert main(["runs", "runs"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run", "two", "x/one"]
    assert main(["runs", "data"]) == 1 and main(["runs", "runs/two/encoder"]) == 1


def test_check_names_what_is_unlikely_and_the_options_that_mend_it(poses, files, capsys):
    replace(poses, clips=[clip * 1000 for clip in poses.clips], fps=None).save("odd.npz")
    text = told(capsys, "odd.npz", "--check")
    assert "sides    unlikely" in text and "--fps" in text and "fps=" not in text
    found = facts(capsys, "odd.npz", "--check")
    assert found["clips"] == 24 and not found["check"]["ok"] and not found["check"]["findings"]["rate"]["ok"]


def test_check_of_a_recording(files, capsys):
    t = np.linspace(0, 6, 90)[:, None]
    names = ["left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"]
    names += ["left_shoulder", "right_shoulder"]
    still = np.array([[0.1, 0.9, 0], [0.1, 0.5, 0.1], [0.1, 0.1, 0], [-0.1, 0.9, 0], [-0.1, 0.5, 0.1], [-0.1, 0.1, 0]])
    still = np.concatenate([still, [[0.2, 1.4, 0], [-0.2, 1.4, 0]]])
    rows = still[None] + 0.1 * np.sin(t)[:, :, None] * [1, 0, 0]
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xyz")
    np.savetxt("person.csv", rows.reshape(90, -1), delimiter=",", header=header, comments="")
    assert "unlikely" not in told(capsys, "person.csv", "--fps", "30", "--check")
