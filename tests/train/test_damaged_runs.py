"""Damaged run folders, and a run folder in use by another process."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import filelock
import pytest
import torch

from skelrep.cli import main
from skelrep.train.data import Corpus
from skelrep.train.loop import pretrain
from skelrep.train.prepare import prepare
from skelrep.train.run import export
from tests.corpus_data import recordings, small


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    recordings().save(tmp_path / "poses.npz")
    prepare([str(tmp_path / "poses.npz")], str(tmp_path / "corpus"), skeleton="common-15")
    return Corpus.load(tmp_path / "corpus", small().encoder)


@pytest.fixture
def run(corpus: Corpus, tmp_path: Path) -> Path:
    """A run that is over."""
    pretrain(small(steps=4), corpus, tmp_path / "run", save_every=2)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"step": 2},
        {"step": "2", "method": {}, "optimizer": {}},
        {"step": 2, "method": {"x": torch.zeros(1)}, "optimizer": {}},
    ],
)
def test_a_checkpoint_of_something_else_is_refused(run, corpus, tmp_path, content):
    torch.save(content, run / "checkpoint.pt")
    for use in (lambda: pretrain(small(steps=4), corpus, run), lambda: export(run, tmp_path / "out")):
        with pytest.raises(ValueError, match=r"checkpoint") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["recipe.json", "corpus.json"])
@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b'{"sources": "\xff"}'])
def test_a_damaged_description_is_refused(run, corpus, tmp_path, name, content):
    (run / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as caught:
        export(run, tmp_path / "out")
    assert type(caught.value) is ValueError
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="run with another"):
        pretrain(small(steps=4), corpus, run)
    assert main(["info", str(run)]) == 1


@pytest.mark.parametrize("sources", [{}, [1], [{"name": "a", "clips": 1}], [{"name": "a", "clips": 1, "hours": "2"}]])
def test_invalid_sources_are_refused_by_export(run, tmp_path, sources):
    (run / "corpus.json").write_text(json.dumps({"sources": sources}))
    with pytest.raises(ValueError, match=r"corpus\.json is damaged: its sources"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_that_are_not_json_are_refused_by_export(run, tmp_path):
    (tmp_path / "results.json").write_bytes(b'{"value": "\xff"}')
    with pytest.raises(ValueError, match=r"results\.json is not JSON") as caught:
        export(run, tmp_path / "out", results=tmp_path / "results.json")
    assert type(caught.value) is ValueError


def test_lines_of_the_log_that_are_damaged_are_left_out(run, corpus):
    before = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_bytes(before.encode() + b'{"a": 1}\n[]\n\xff\n{"step": 4, "tot')
    assert main(["info", str(run)]) == 0
    pretrain(small(steps=4), corpus, run)
    assert (run / "log.jsonl").read_text() == before


def test_two_processes_do_not_train_in_one_folder(run, corpus):
    with filelock.FileLock(run / ".lock"), pytest.raises(ValueError, match="another process") as caught:
        pretrain(small(steps=4), corpus, run)
    assert str(run) in str(caught.value)


def test_the_lock_is_released_after_the_run(run, corpus):
    with filelock.FileLock(run / ".lock").acquire(timeout=0):
        pass
    with pytest.raises(ValueError, match="another recipe"):
        pretrain(dataclasses.replace(small(steps=4), seed=1), corpus, run)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("name", ["log.jsonl", "checkpoint.pt", "recipe.json", "corpus.json", ".lock", "encoder"])
def test_a_run_with_links_changes_no_file_elsewhere(name, run, corpus, tmp_path):
    """A run of somebody else may contain links to any file or folder of the user."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_bytes(old := (run / name).read_bytes() if (run / name).is_file() else b"mine")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine if name == "encoder" else mine / "file")
    try:
        pretrain(small(steps=4), corpus, run, save_every=2)
    except (ValueError, OSError) as error:
        assert name in (".lock", "encoder") and str(run / name) in str(error) and "\n" not in str(error)
    else:
        assert name not in (".lock", "encoder")
    assert [path.name for path in mine.iterdir()] == ["file"] and (mine / "file").read_bytes() == old
