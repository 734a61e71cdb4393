"""`skelrep fit` and `predict`, and what `info` says of a classifier."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from skelrep import save_pretrained
from skelrep.cli import main
from skelrep.encoder import Encoder
from skelrep.recordings import Event, Events
from tests.cli.sentences import check_error
from tests.recordings.made_up import clips_of, session

SCRIPT = [("squat", 5.0), ("stand", 3.0), ("kick", 4.0)]


@pytest.fixture
def folder(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    clips_of(("squat", "kick", "stand"), 4).save("clips.npz")
    session(SCRIPT).save("session.npz")
    Events.of([Event("session", 0, 5, "squat"), Event("session", 8, 12, "kick")]).save("events.csv")
    return tmp_path


def test_fit_predict_and_info(folder, capsys):
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head"]) == 0
    out, err = capsys.readouterr()
    assert "12 held-out clips" in out and "4 groups" in out and "groups by subject" in err
    assert main(["predict", "head", "clips.npz", "--no-reject", "-o", "rows.csv", "-q"]) == 0
    labels = [label for label in ("squat", "kick", "stand") for _ in range(4)]
    assert Events.load("rows.csv").label.tolist() == labels
    assert main(["info", "head"]) == 0
    assert "classes: kick, squat, stand" in capsys.readouterr().out
    assert main(["info", "head", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "linear"


def test_fit_leaves_out_clips_that_the_table_does_not_have(folder, capsys):
    rows = [f"{i},{'down' if i < 4 else 'up'}" for i in range(8)]
    (folder / "some.csv").write_text("\n".join(["id,label", *rows]))
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head", "--labels", "some.csv"]) == 0
    err = capsys.readouterr().err
    assert "8 clips of 2 classes" in err and "4 clips have no label and are left out: '8', '9', '10'" in err
    assert main(["fit", "clips.npz", "-m", "model", "-o", "no", "--labels", "some.csv", "--unlabelled", "stop"]) == 1
    assert "4 of 12 clips have no label" in capsys.readouterr().err
    assert main(["embed", "clips.npz", "-m", "model", "--labels", "some.csv", "--unlabelled", "skip", "-q"]) == 0
    with np.load("clips.embeddings.npz") as stored:
        assert stored["labels"].tolist() == ["down"] * 4 + ["up"] * 4
    assert main(["embed", "clips.npz", "-m", "model", "-o", "all.npz", "-q"]) == 0
    assert main(["fit", "all.npz", "-m", "model", "-o", "head", "--labels", "some.csv"]) == 0
    assert "8 clips of 2 classes" in capsys.readouterr().err


def test_segments_as_table_and_as_lines(folder, capsys):
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head", "-q"]) == 0
    capsys.readouterr()
    assert main(["predict", "head", "session.npz", "--segments", "--no-reject"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("clip,person,label,start,end,score\n")
    (folder / "table.csv").write_text(table)
    assert Events.load("table.csv").label.tolist() == ["squat", "stand", "kick"]
    assert main(["predict", "head", "session.npz", "--window", "2", "--no-reject", "--per", "person", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["label"], line["person"]) for line in lines] == [("squat", "0"), ("stand", "0"), ("kick", "0")]


def test_rules_and_windows_are_checked_before_the_recordings_are_read(folder, capsys):
    assert main(["embed", "clips.npz", "-m", "model", "-o", "rows.npz", "-q"]) == 0
    assert main(["fit", "rows.npz", "-m", "model", "-o", "head", "-q"]) == 0
    capsys.readouterr()
    check_error(capsys, ["predict", "head", "missing.npz", "--segments"], 1, ("window",))  # no default
    words = ["predict", "head", "missing.npz", "--window", "2", "--enter", "0.2", "--leave", "0.4"]
    check_error(capsys, words, 1, ("--leave 0.4", "--enter 0.2"))
    words = ["predict", "head", "missing.npz", "--window", "2", "-o", "no/rows.csv"]
    check_error(capsys, words, 1, ("no does not exist",))


def test_annotated_recordings_and_stored_embeddings(folder, capsys):
    assert (
        main(["fit", "session.npz", "-m", "model", "-o", "by-events", "--events", "events.csv", "--window", "2"]) == 0
    )
    assert main(["info", "by-events", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["classes"] == [
        "kick",
        "none",
        "squat",
    ]
    assert main(["embed", "clips.npz", "-m", "model", "-o", "rows.npz", "-q"]) == 0
    assert main(["fit", "rows.npz", "-m", "model", "-o", "by-rows", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["n_train"] == 12


@pytest.mark.slow
def test_a_finetuned_encoder_is_saved_with_its_classifier(folder, capsys):
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head", "--finetune", "--epochs", "2", "-q"]) == 0
    assert "held-out clips" in capsys.readouterr().out
    (folder / "head" / "encoder" / "config.json").stat()
    assert main(["predict", "head", "clips.npz", "-o", "rows.json", "-q"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "facts"),
    [
        (["fit", "session.npz", "-m", "model", "-o", "head"], 1, ("no labels", "--labels")),
        (["fit", "clips.npz", "-m", "model", "-o", "head", "--window", "2"], 2, ("--events",)),
        (["fit", "clips.npz", "-m", "model", "-o", "head", "--epochs", "2"], 2, ("--finetune",)),
        (["fit", "clips.npz", "-m", "model", "-o", "head", "--groups", "subjet"], 1, ("'subjet'", "'subject'")),
        (["predict", "model", "clips.npz"], 1, ("head.json", "skelrep fit")),
        (["predict", "nothing", "clips.npz"], 1, ("'nothing'",)),
        (["predict", "head", "clips.npz", "-o", "rows.xlsx"], 1, (".parquet", "rows.xlsx")),
        (["predict", "head", "clips.npz", "--per", "persn"], 2, ("'person'",)),
        (["predict", "head", "clips.npz", "--stride", "1", "--smooth", "1"], 2, ("--stride", "--smooth", "--segments")),
        (["fit", "one.npz", "-m", "model", "-o", "head"], 1, ("all of class 'squat'",)),
        (["fit", "one.npz", "-m", "model", "-o", "head", "--finetune"], 1, ("all of class 'squat'",)),
        (["fit", "session.npz", "-m", "model", "-o", "head", "--events", "others.csv"], 1, ("'monday'", "session")),
        # Before the clips are read:
        (["fit", "missing.npz", "-m", "model", "-o", "clips.npz/head"], 1, ("clips.npz is a file",)),
        (["fit", "missing.npz", "-m", "model", "-o", "head", "--events", "no.csv"], 1, ("no.csv",)),
        (["fit", "missing.npz", "-m", "no-such-model", "-o", "head"], 1, ("'no-such-model'",)),
        (["fit", "missing.npz", "-m", "model", "-o", "head", "--streams", "bones"], 1, ("bones", "joint")),
    ],
)
def test_errors_are_one_sentence(folder, capsys, monkeypatch, words, code, facts):
    clips_of(("squat",), 4).save("one.npz")
    Events.of([Event("monday", 0, 5, "squat")]).save("others.csv")
    monkeypatch.setattr(Encoder, "prepare_weighted", None)  # all are found before anything is embedded
    check_error(capsys, words, code, facts)
    assert not (folder / "head").exists()


def lines_of(poses) -> str:
    [clip] = poses.clips
    frames = [{"time": t / poses.fps, "people": [{"keypoints": clip[0, t].tolist()}]} for t in range(clip.shape[1])]
    return "".join(json.dumps(frame) + "\n" for frame in frames)


def test_frames_on_stdin_are_predicted_live(folder, capsys, monkeypatch):
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head", "-q"]) == 0
    assert main(["predict", "head", "session.npz", "--segments", "--no-reject", "-o", "whole.csv", "-q"]) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO(lines_of(session(SCRIPT))))
    assert main(["predict", "head", "-", "--no-reject", "--skeleton", "coco-17"]) == 0
    out, err = capsys.readouterr()
    found, whole = [json.loads(line) for line in out.splitlines()], Events.load("whole.csv")
    assert [line["label"] for line in found] == whole.label.tolist() == ["squat", "stand", "kick"]
    assert [line["end"] for line in found] == whole.end.tolist()
    assert "20 frames per second" in err and "after their end" in err
    monkeypatch.setattr("sys.stdin", io.StringIO(lines_of(session(SCRIPT))))
    assert main(["predict", "head", "-", "--no-reject", "--skeleton", "coco-17", "-o", "live.csv", "-q"]) == 0
    assert capsys.readouterr().out == "" and Events.load("live.csv").label.tolist() == whole.label.tolist()


def test_files_on_stdin_and_frames_that_are_wrong(folder, capsys, monkeypatch):
    assert main(["fit", "clips.npz", "-m", "model", "-o", "head", "-q"]) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("\nclips.npz\n"))
    assert main(["predict", "head", "-", "--no-reject"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 13
    monkeypatch.setattr("sys.stdin", io.StringIO('{"time": 0, "speed": [[1, 2, 3]]}\n{"people": 3}\n[1, 2]\n'))
    check_error(capsys, ["predict", "head", "-"], 1, ("line 2", "standard input"))
    monkeypatch.setattr("sys.stdin", io.StringIO(lines_of(session(SCRIPT)).replace('"time"', '"tim"')))
    check_error(capsys, ["predict", "head", "-"], 1, ("--fps",))
