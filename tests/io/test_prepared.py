"""Prepared corpora: read as poses, and refused when they are damaged; the error names the fault."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from skelrep import EncoderConfig, embed, load_pretrained, read
from skelrep import corpus as corpora
from skelrep.io import prepared, read_parts
from skelrep.poses import Poses
from skelrep.train.data import Corpus
from skelrep.train.prepare import prepare
from tests.corpus_data import COMMON, recordings


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


# -- as poses ---------------------------------------------------------------------------------------------------------


def with_two_persons(seed: int = 0) -> Poses:
    """Seven clips of one or two persons, of different lengths, in which one person's joint is never seen."""
    random = np.random.default_rng(seed)
    clips = [random.normal(size=(1 + i % 2, 20 + 3 * i, 15, 3)).astype(np.float32).cumsum(axis=1) for i in range(7)]
    clips[3][1, :, 5] = np.nan
    return Poses(clips, COMMON, ids=[f"c{i}" for i in range(7)], labels=np.array(list("abcabca")), fps=30.0,
                 info={"subject": np.arange(7)})  # fmt: skip


def by_person(clip: np.ndarray) -> list[bytes]:
    """The persons of a clip, whose order a corpus decides."""
    return sorted(person.tobytes() for person in clip)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    with_two_persons().save(tmp_path / "pairs.npz")
    prepare([str(tmp_path / "pairs.npz")], str(tmp_path / "pairs"))
    return tmp_path / "pairs"


@pytest.mark.parametrize("name", [".", *prepared.FILES])
def test_a_corpus_is_read_as_the_poses_that_it_was_written_from(pairs, name):
    poses, expected = read(pairs / name), with_two_persons()
    assert (poses.ids, poses.fps, poses.skeleton) == (expected.ids, expected.fps, expected.skeleton)
    assert poses.labels is not None and poses.labels.tolist() == list("abcabca")
    assert poses.info["subject"].tolist() == list(range(7))
    for clip, other in zip(poses.clips, expected.clips):
        assert by_person(clip) == by_person(other)


def test_ranges_of_clips_are_read_alone(pairs, monkeypatch):
    whole = read(pairs)
    monkeypatch.setattr(prepared, "PART_CLIPS", 3)
    parts = list(read_parts(pairs))
    assert list(map(len, parts)) == [3, 3, 1] and [name for part in parts for name in part.ids] == whole.ids
    for clip, other in zip([clip for part in parts for clip in part.clips], whole.clips):
        np.testing.assert_array_equal(clip, other)


def test_a_corpus_is_embedded_from_its_folder(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("skelrep.io.pieces.COUNTED_BYTES", 0)
    encoder = load_pretrained(device="cpu")
    corpora.embed(pairs, tmp_path / "rows", encoder, workers=1, shard_size=3)
    rows = corpora.open(tmp_path / "rows")
    assert list(rows.ids) == with_two_persons().ids and len(list((tmp_path / "rows").glob("part-*"))) == 3
    expected = embed(with_two_persons(), encoder)
    np.testing.assert_allclose(rows.rows[:], expected, atol=1e-5)
    np.testing.assert_allclose(embed(read(pairs), encoder), expected, atol=1e-5)


def test_corpora_below_one_folder_keep_their_names_apart(pairs, tmp_path):
    prepare([str(tmp_path / "pairs.npz")], str(tmp_path / "pairs" / "again"))
    poses = read(tmp_path / "pairs")
    assert sorted(poses.ids) == sorted([f"c{i}" for i in range(7)] + [f"again/c{i}" for i in range(7)])


def test_frame_rates_of_a_corpus_are_those_of_its_sources(tmp_path):
    for rate in (30, 60):
        dataclasses.replace(recordings(), fps=rate).save(tmp_path / f"{rate}.npz")
    prepare([str(tmp_path / "30.npz"), str(tmp_path / "60.npz")], str(tmp_path / "corpus"), skeleton="common-15")
    assert [part.fps for part in read_parts(tmp_path / "corpus")] == [30, 60]


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"length": lambda length: length - np.arange(len(length))}, "different numbers of frames"),
        ({"ids": lambda ids: ids[1:]}, "the column ids must have a value for each of the 7 clips"),
        ({"clip": lambda clip: np.maximum(clip - (clip == 3), 0)}, "a clip has no track"),
    ],
)
def test_a_damaged_corpus_is_not_read_as_poses(pairs, changes, fact):
    change(pairs, **changes)
    with pytest.raises(ValueError, match=fact) as caught:
        read(pairs)
    assert str(pairs) in str(caught.value)
