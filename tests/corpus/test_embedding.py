"""A corpus to shards: what is made, made again, refused and read."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from skelrep import corpus, knn_eval, load_pretrained, read, retrieve, save_pretrained
from skelrep.corpus import shards
from skelrep.corpus.folder import folder_at
from skelrep.corpus.manifest import Manifest
from skelrep.io import pieces
from skelrep.poses import Poses
from tests.conftest import untrained
from tests.corpus.conftest import parts, recording


@pytest.fixture
def embed(inputs: Path, model: Path, tmp_path: Path):
    """Embeds the inputs in shards of 5 files, with other arguments than these if given."""

    def run(*, source=inputs, output=tmp_path / "rows", **options) -> corpus.Summary:
        encoder = options.pop("model", model)
        return corpus.embed(source, output, encoder, **{"shard_size": 5, **options})

    return run


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the shards that are made."""
    made: list[int] = []
    make = shards.ShardEmbedder.make

    def counting(self: shards.ShardEmbedder, task: shards.Task) -> shards.Done:
        made.append(task.number)
        return make(self, task)

    monkeypatch.setattr(shards.ShardEmbedder, "make", counting)
    return made


def test_shards_hold_what_embed_gives(embed, inputs, model, tmp_path):
    summary = embed()
    assert (summary.shards, summary.made, summary.rows, summary.skipped) == (3, 3, 12, [])
    found, poses = corpus.open(tmp_path / "rows"), read(inputs)
    assert found.ids.tolist() == poses.ids and found.labels.tolist() == poses.labels.tolist()
    assert found.info["subject"].tolist() == poses.info["subject"].tolist()
    np.testing.assert_allclose(np.asarray(found.rows), load_pretrained(model).embed(poses), atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [
        *("manifest.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet")
    ]


def test_rows_are_read_on_demand(embed, tmp_path):
    embed()
    rows = corpus.open(tmp_path / "rows").rows
    whole = np.asarray(rows)
    assert rows.shape == whole.shape == (12, whole.shape[1]) and len(rows) == 12
    for index in (0, -1, slice(3, 11, 2), [11, 0, 5, 5], np.arange(12) % 3 == 0, np.array([], int)):
        np.testing.assert_array_equal(rows[index], whole[index])
    with pytest.raises(IndexError):
        rows[12]
    rows.save(tmp_path / "rows.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy", mmap_mode="r"), whole)


def test_a_search_reads_rows_part_by_part(embed, tmp_path, monkeypatch):
    embed()
    rows = corpus.open(tmp_path / "rows").rows
    matrix = np.asarray(rows)
    labels = corpus.open(tmp_path / "rows").labels
    monkeypatch.setattr(type(rows), "__array__", None)  # all rows at once
    for metric in ("cosine", "euclidean"):
        expected = retrieve(matrix[:3], matrix, k=4, metric=metric)
        found = retrieve(rows[:3], rows, k=4, metric=metric, block_bytes=2**12)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.similarities, expected.similarities)
    predicted = knn_eval(rows, labels, k=1, leave_one_out=True).predictions[1]
    np.testing.assert_array_equal(predicted, knn_eval(matrix, labels, k=1, leave_one_out=True).predictions[1])


def test_the_same_call_again_makes_nothing(embed, counted, tmp_path):
    embed()
    before = parts(tmp_path / "rows")
    counted.clear()
    assert embed().made == 0 and counted == []
    assert parts(tmp_path / "rows") == before


@pytest.mark.parametrize("damage", ["gone", "cut short", "of another corpus", "temporary"])
def test_only_parts_that_are_not_whole_are_made_again(embed, counted, damage, tmp_path):
    embed()
    before = parts(tmp_path / "rows")
    part = tmp_path / "rows" / "part-00001.parquet"
    if damage == "gone":
        part.unlink()
    elif damage == "cut short":
        part.write_bytes(part.read_bytes()[:-7])
    elif damage == "of another corpus":
        shutil.copy(tmp_path / "rows" / "part-00000.parquet", part)
    else:
        part.rename(tmp_path / "rows" / ".part-00001.parquet.part")
    counted.clear()
    assert embed().made == 1 and counted == [1]
    assert parts(tmp_path / "rows") == before


def test_new_files_become_new_shards(embed, inputs, counted, tmp_path):
    embed()
    before = parts(tmp_path / "rows")
    recording(20, name="00").save(inputs / "7" / "00.npz")  # before most of the others, and in a folder of its own
    counted.clear()
    summary = embed()
    assert counted == [3] and (summary.shards, summary.rows) == (4, 13)
    assert {name: content for name, content in parts(tmp_path / "rows").items() if name in before} == before
    assert corpus.open(tmp_path / "rows").ids.tolist()[-1] == "7/00"


def test_new_files_never_have_the_ids_of_old_ones(embed, inputs, tmp_path):
    embed()
    (inputs / "wave" / "00.npz.bak").write_bytes(b"no poses")
    shutil.copy(inputs / "wave" / "00.npz", inputs / "wave" / "00.NPZ")
    embed()
    ids = corpus.open(tmp_path / "rows").ids.tolist()
    assert "wave/00" in ids and ids[-1] == "wave/00.NPZ" and len(set(ids)) == 13


def test_changes_are_refused_or_embedded_again(embed, inputs, counted, tiny_config, tmp_path):
    embed()
    before = parts(tmp_path / "rows")
    with pytest.raises(ValueError, match=r"window=None is now window=0\.1"):
        embed(window=0.1)
    other = untrained(tiny_config, seed=1)
    with pytest.raises(ValueError, match="fingerprint"):
        embed(model=other)
    recording(3, frames=12, name="03").save(inputs / "7" / "03.npz")
    os.remove(inputs / "wave" / "10.npz")  # noqa: PTH107
    with pytest.raises(ValueError, match=r"1 of its 12 inputs are gone \(wave/10\.npz\); 1 .* changed \(7/03\.npz\)"):
        embed()
    assert parts(tmp_path / "rows") == before
    counted.clear()
    assert embed(refresh=True).rows == 11 and counted == [0, 2]
    found = corpus.open(tmp_path / "rows")
    assert "wave/10" not in found.ids and len(found.ids) == 11
    assert embed(model=other, refresh=True).made == 3
    assert embed(model=other, window=0.1, refresh=True).made == 3
    assert {"source", "start", "end"} <= set(corpus.open(tmp_path / "rows").info)


def test_an_encoder_is_identified_by_its_weights(embed, model, tmp_path):
    embed()
    save_pretrained(load_pretrained(model), tmp_path / "copy")
    assert embed(model=tmp_path / "copy").made == 0


def test_a_shard_without_files_has_no_part(embed, inputs, tmp_path):
    embed()
    shutil.rmtree(inputs / "7")
    recording(30, name="30").save(inputs / "wave" / "30.npz")
    assert embed(refresh=True).rows == 7
    assert Manifest.read(folder_at(tmp_path / "rows")).shards[0].inputs == ()
    assert not (tmp_path / "rows" / "part-00000.parquet").exists()
    assert embed().made == 0 and len(corpus.open(tmp_path / "rows")) == 7


def test_a_large_file_is_divided(embed, model, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    clips = Poses.concatenate([recording(seed) for seed in range(11)])
    replace(clips, ids=[f"clip {i}" for i in range(11)]).save(tmp_path / "large.npz")
    summary = embed(source=tmp_path / "large.npz", shard_size=3)
    assert (summary.shards, summary.rows) == (11, 11)  # of some 2 kB each
    found = corpus.open(tmp_path / "rows")
    assert found.ids.tolist() == [f"clip {i}" for i in range(11)]
    np.testing.assert_allclose(np.asarray(found.rows), load_pretrained(model).embed(clips), atol=1e-6)


def test_shards_have_so_many_clips_where_they_can_be_counted(embed, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "COUNTED_BYTES", 0)
    (tmp_path / "several").mkdir()
    for number, count in enumerate((3, 3, 3, 8, 1)):
        clips = Poses.concatenate([recording(seed) for seed in range(count)])
        replace(clips, ids=[f"clip {i}" for i in range(count)]).save(tmp_path / "several" / f"{number}.npz")
    assert embed(source=tmp_path / "several", shard_size=6).rows == 18
    assert [
        content.metadata.num_rows for content in map(parquet.ParquetFile, sorted((tmp_path / "rows").glob("part-*")))
    ] == [*(6, 3, 6, 2, 1)]


def test_a_damaged_large_file_may_be_skipped(embed, inputs, monkeypatch):
    monkeypatch.setattr(pieces, "COUNTED_BYTES", 0)
    (inputs / "wave" / "02.npz").write_bytes(b"PK no archive")
    summary = embed(on_error="skip")
    assert summary.rows == 11 and [Path(each.path).name for each in summary.skipped] == ["02.npz"]


def test_faults_stop_or_are_listed(embed, inputs, tmp_path):
    (inputs / "wave" / "02.npz").write_bytes(b"no archive")
    clip = recording(4, name="04")
    replace(clip, clips=[np.full_like(clip.clips[0], np.nan)]).save(inputs / "wave" / "04.npz")
    with pytest.raises(ValueError, match=r"02\.npz"):
        embed()
    summary = embed(on_error="skip")
    assert summary.rows == 10
    assert [Path(each.path).name for each in summary.skipped] == ["02.npz", "04"]
    listed = parquet.read_table(tmp_path / "rows" / "errors.parquet").to_pylist()
    assert [Path(row["path"]).name for row in listed] == ["02.npz", "04"] and all(row["reason"] for row in listed)
    recording(2, name="02").save(inputs / "wave" / "02.npz")
    recording(4, name="04").save(inputs / "wave" / "04.npz")
    assert embed(refresh=True).rows == 12
    assert not (tmp_path / "rows" / "errors.parquet").exists()


def test_labels_of_folders_are_text_in_every_shard(embed, tmp_path):
    embed(labels="folder", shard_size=2)
    assert set(corpus.open(tmp_path / "rows").labels.tolist()) == {"wave", "7"}
    with pytest.raises(ValueError, match="labels"):
        embed()


def test_a_table_of_labels_is_an_input(embed, inputs, tmp_path):
    names = [path.relative_to(inputs).with_suffix("").as_posix() for path in sorted(inputs.rglob("*.npz"))]
    table = tmp_path / "labels.csv"
    table.write_text("id,label\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    embed(labels=str(table))
    assert corpus.open(tmp_path / "rows").labels.tolist() == list(range(12))
    table.write_text(table.read_text().replace(",0\n", ",5\n"))
    with pytest.raises(ValueError, match="label_table"):
        embed(labels=str(table))


def test_options_are_recorded_or_refused(embed, tmp_path):
    embed(scale=np.array([1.0, 1.0, 2.0]), skeleton="kinect-20")
    options = Manifest.read(folder_at(tmp_path / "rows")).options
    assert options == {"precision": "float32", "scale": [1.0, 1.0, 2.0], "skeleton": "kinect-20"}
    with pytest.raises(ValueError, match="of type object"):
        embed(pose_model=object())


def test_a_split_may_lie_in_some_shards_only(embed, inputs, tmp_path):
    for i, path in enumerate(sorted(inputs.rglob("*.npz"))):
        Poses.load(path).with_info(split=["train" if i < 4 else "test"]).save(path)
    assert embed(split="train").rows == 4
    assert len(corpus.open(tmp_path / "rows")) == 4


def test_tasks_of_an_array_make_their_own_shards(embed, tmp_path):
    summary = embed(shard=(1, 2))
    assert (summary.made, summary.finished, summary.shards) == (1, 1, 3)
    with pytest.raises(ValueError, match="2 of 3 shards"):
        corpus.open(tmp_path / "rows")
    assert len(corpus.open(tmp_path / "rows", partial=True)) == 5
    assert embed(shard=(0, 2)).finished == 3
    with pytest.raises(ValueError, match="shard"):
        embed(shard=(2, 2))


def test_outputs_that_are_something_else(embed, inputs, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        embed(output=tmp_path / "other")
    with pytest.raises(ValueError, match="inputs"):
        embed(output=inputs)
    with pytest.raises(ValueError, match="inputs"):
        embed(output=inputs / "wave")
    with pytest.raises(FileNotFoundError, match="no corpus"):
        corpus.open(tmp_path / "other")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "manifest.json").write_text("{")
    for call in (embed, lambda: corpus.open(tmp_path / "rows")):
        with pytest.raises(ValueError, match=r"manifest\.json"):
            call()


@pytest.mark.slow
def test_processes_write_the_same_bytes(embed, tmp_path):
    embed()
    summary = embed(output=tmp_path / "others", workers=2)
    assert summary.made == 3
    assert parts(tmp_path / "others") == parts(tmp_path / "rows")


@pytest.mark.slow
def test_an_error_in_a_process_keeps_what_is_finished(embed, inputs, tmp_path):
    (inputs / "wave" / "10.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"10\.npz"):
        embed(workers=2)
    assert set(parts(tmp_path / "rows")) <= {"part-00000.parquet", "part-00001.parquet"}
    assert embed(workers=2, on_error="skip").rows == 11
