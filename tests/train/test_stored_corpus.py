"""A damaged training corpus is refused when it is opened; the error names the fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from skelrep import EncoderConfig
from skelrep.train.data import Corpus
from skelrep.train.prepare import prepare
from tests.corpus_data import recordings


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    recordings().save(tmp_path / "poses.npz")
    prepare([str(tmp_path / "poses.npz")], str(tmp_path / "corpus"), skeleton="common-15")
    return tmp_path / "corpus"


def change(corpus: Path, **arrays) -> None:
    """Other arrays in tracks.npz; each a function of what stands there."""
    with np.load(corpus / "tracks.npz") as tracks:
        stored = dict(tracks)
    np.savez(corpus / "tracks.npz", **(stored | {name: make(stored[name]) for name, make in arrays.items()}))


def test_a_corpus_is_read_as_it_was_written(corpus):
    assert len(Corpus.load(corpus, EncoderConfig())) == 6


@pytest.mark.parametrize(
    ("name", "make", "fact"),
    [
        ("fps", lambda fps: -fps, "-30"),
        ("fps", lambda fps: fps * np.nan, "nan"),
        ("fps", lambda fps: fps[:-1], "0 to 4"),
        ("clip", lambda clip: clip + 5, "5 to 10"),
        ("clip", lambda clip: clip[::-1], "ascending order"),
        ("start", lambda start: start + 10**6, "outside"),
        ("start", lambda start: start - 1, "outside"),
        ("start", lambda start: start.astype(float), "float64"),
        ("length", lambda length: length * 0, "outside"),
        ("length", lambda length: length[:-1], "6"),
        ("seen", lambda seen: seen[:, 1:], "15"),
    ],
)
def test_inconsistent_numbers_of_tracks_are_named(corpus, name, make, fact):
    change(corpus, **{name: make})
    with pytest.raises(ValueError, match=fact) as caught:
        Corpus.load(corpus, EncoderConfig())
    assert str(corpus) in str(caught.value)


@pytest.mark.parametrize(
    "rows", [np.zeros((900, 15, 3)), np.zeros((900, 45), np.float32), np.zeros((3, 15, 3), np.float32)]
)
def test_rows_of_another_kind_are_refused(corpus, rows):
    np.save(corpus / "rows.npy", rows)
    with pytest.raises(ValueError, match="rows"):
        Corpus.load(corpus, EncoderConfig())


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"skeleton": []}', "[" * 100_000, "\x00"])
def test_a_damaged_description_is_refused(corpus, text):
    (corpus / "corpus.json").write_text(text)
    with pytest.raises(ValueError, match="corpus"):
        Corpus.load(corpus, EncoderConfig())


def test_a_long_value_is_shortened_in_the_message(corpus):
    about = json.loads((corpus / "corpus.json").read_text())
    (corpus / "corpus.json").write_text(json.dumps(about | {"format_version": "x" * 5_000}))
    with pytest.raises(ValueError, match="format_version is 'xxx") as caught:
        Corpus.load(corpus, EncoderConfig())
    assert len(str(caught.value)) < 1_000


def test_another_version_is_refused(corpus):
    about = json.loads((corpus / "corpus.json").read_text())
    (corpus / "corpus.json").write_text(json.dumps(about | {"format_version": 99}))
    with pytest.raises(ValueError, match="99"):
        Corpus.load(corpus, EncoderConfig())


@pytest.mark.parametrize("name", ["rows.npy", "tracks.npz"])
def test_half_a_file_is_refused(corpus, name):
    content = (corpus / name).read_bytes()
    (corpus / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="corpus"):
        Corpus.load(corpus, EncoderConfig())
