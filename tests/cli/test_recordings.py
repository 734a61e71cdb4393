"""`skelrep detect` and `segment`."""

from __future__ import annotations

import json

import pytest

from skelrep import save_pretrained
from skelrep.cli import main
from skelrep.encoder import Encoder
from skelrep.recordings import Events
from tests.cli.sentences import check_error
from tests.recordings.made_up import clips_of, nobody_seen, session

SCRIPT = [("stand", 6.0), ("kick", 2.0), ("stand", 6.0), ("kick", 2.0), ("stand", 5.0)]


@pytest.fixture
def folder(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    clips_of(("kick",), 1).save("kick.npz")
    session(SCRIPT).save("session.npz")
    nobody_seen().save("empty.npz")
    return tmp_path


def test_events_and_counts(folder, capsys):
    words = ["detect", "kick.npz", "session.npz", "-m", "model", "--threshold", "0.4"]
    assert main([*words, "-o", "events.csv"]) == 0
    assert "2 events -> events.csv" in capsys.readouterr().err
    events = Events.load("events.csv")
    assert events.label.tolist() == ["kick", "kick"] and events.clip.tolist() == ["session", "session"]
    assert main([*words, "--count"]) == 0
    assert capsys.readouterr().out.split() == ["2", "session"]
    assert main([*words, "--count", "--json", "--per", "person"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == [{"clip": "session", "person": "0", "count": 2}]


def test_the_example_is_a_part_of_a_recording(folder, capsys):
    words = ["detect", "session.npz", "session.npz", "-m", "model", "--start", "6", "--end", "8", "--threshold", "0.4"]
    assert main([*words, "--label", "kick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "clip,person,label,start,end,score" and len(lines) == 3 and ",kick," in lines[1]


def test_segments_of_a_recording(folder, capsys):
    pytest.importorskip("ruptures", reason="needs ruptures: pip install '.[recordings]'")
    assert main(["segment", "session.npz", "-m", "model", "--clusters", "2", "--json"]) == 0
    events = json.loads(capsys.readouterr().out)["events"]
    assert events[0]["start"] == 0 and events[-1]["end"] == 21


@pytest.mark.parametrize(
    ("words", "code", "facts"),
    [
        (["detect", "kick.npz", "session.npz", "-m", "model", "--start", "3", "--end", "1"], 2, ("--start", "3")),
        (["detect", "kick.npz", "session.npz", "-m", "model", "-o", "a.txt"], 1, ("a.txt", ".csv")),
        (["detect", "kick.npz", "session.npz", "-m", "model", "--false-per-hour", "0"], 2, ("'0'",)),
        (["detect", "kick.npz", "sesion.npz", "-m", "model"], 1, ("sesion.npz",)),
        # Before the recordings are read:
        (["detect", "kick.npz", "missing.npz", "-m", "no-such-model"], 1, ("'no-such-model'",)),
        (["detect", "kick.npz", "missing.npz", "-m", "model", "--negatives", "no.npz"], 1, ("no.npz",)),
        # Before they are embedded:
        (["detect", "kick.npz", "session.npz", "empty.npz", "-m", "model"], 1, ("show nobody", "'empty")),
    ],
)
def test_errors_are_one_sentence(folder, capsys, monkeypatch, words, code, facts):
    monkeypatch.setattr(Encoder, "prepare_weighted", None)  # all are found before anything is embedded
    check_error(capsys, words, code, facts)
