"""Embeddings in files: what .parquet and .npz hold, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.io.embeddings import Embeddings, load, save
from tests.cli.stored_files import embed, write_files


@pytest.fixture
def files(tiny_encoder, tmp_path, monkeypatch):
    """A folder with a model and poses of two files."""
    monkeypatch.chdir(tmp_path)
    write_files(tiny_encoder)
    return tmp_path


def test_parquet_holds_the_same_as_npz(files, tiny_encoder):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install '.[parquet]'")
    one, other = (load(embed("all.npz", name, "--window", "0.7")) for name in ("rows.npz", "rows.parquet"))
    assert one.model == other.model == "model"
    np.testing.assert_array_equal(one.rows, other.rows)
    assert other.rows.dtype == np.float32
    mine, theirs = dict(one.columns()), dict(other.columns())
    assert list(mine) == list(theirs) and {"ids", "labels", "info_weight", "info_start", "info_a"} <= set(mine)
    for key, column in mine.items():
        assert column.dtype == theirs[key].dtype, key
        np.testing.assert_array_equal(column, theirs[key])
    schema = parquet.read_schema("rows.parquet")
    assert schema.names[:3] == ["embedding", "id", "label"]
    assert str(schema.field("embedding").type) == f"fixed_size_list<element: float>[{tiny_encoder.dim}]"
    assert schema.metadata[b"skelrep.model"] == b"model"


def test_commands_read_parquet(files, capsys):
    for name in ("rows.npz", "rows.parquet"):
        embed("all.npz", name)
    capsys.readouterr()

    def printed(*command: str) -> str:
        assert main([*command, "--json"]) == 0
        return capsys.readouterr().out

    for command in (
        ["knn", "{}", "--splits", "a", "b", "-k", "1"],
        ["knn", "{}", "--leave-one-out", "-k", "1"],
        ["probe", "{}", "--splits", "a", "b", "--groups", "subject"],
        ["explore", "all.npz", "-o", "page.html", "--embeddings", "{}"],
    ):
        outputs = {printed(*(word.format(name) for word in command)) for name in ("rows.npz", "rows.parquet")}
        assert len(outputs) == 1
    assert main(["knn", "rows.npz", "rows.parquet"]) == 0
    embed("few.npz", "few.parquet")
    assert main(["explore", "all.npz", "-o", "page.html", "--embeddings", "few.parquet"]) == 1
    assert "few.parquet are from other clips" in capsys.readouterr().err
    embed("all.npz", "rows.npy")
    assert main(["knn", "rows.npy", "rows.npz"]) == 1
    assert "rows.npy contains no labels" in capsys.readouterr().err


def test_numeric_labels_stay_numeric(tmp_path):
    labels, ids = np.array([3, 1, 2]), np.array(["ä", "b", "c"])
    stored = Embeddings(np.eye(3, 5, dtype=np.float32), ids, labels, {"side": np.array(["l", "r", "l"])}, "m")
    for name in ("rows.npz", "rows.parquet"):
        save(stored, tmp_path / name)
        again = load(tmp_path / name)
        assert again.labels.dtype.kind == "i" and again.labels.tolist() == [3, 1, 2]
        assert again.ids.tolist() == ["ä", "b", "c"] and again.info["side"].tolist() == ["l", "r", "l"]
        assert again.about(1) == {"id": "b", "label": 1} and type(again.about(1)["label"]) is int
        assert again.take(np.array([False, True, True])).labels.tolist() == [1, 2]


def test_parquet_written_by_other_programs(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    from pyarrow import parquet

    def written(**columns) -> Path:
        parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet", row_group_size=2)
        return tmp_path / "rows.parquet"

    found = load(written(embedding=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], label=["a", "b", "a"], other=[1, 2, 3]))
    assert found.rows.tolist() == [[1, 2], [3, 4], [5, 6]] and found.labels.tolist() == ["a", "b", "a"]
    assert found.ids is None and found.model is None and found.about(2) == {"id": 2, "label": "a"}
    assert load(written(hips_x=[1.0], hips_y=[2.0])) is None  # poses
    for broken in ([[1.0, 2.0], [3.0]], [[1.0, 2.0], None], [[], []]):
        with pytest.raises(ValueError, match="missing, or not all of one length"):
            load(written(embedding=broken))
    with pytest.raises(ValueError, match="contains no lists"):
        load(written(embedding=[1.0, 2.0]))
    with pytest.raises(ValueError, match="has no label in 1 of 2 rows"):
        load(written(embedding=[[1.0], [2.0]], label=["a", None]))


def test_columns_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3), labels=[1, 2])
    with pytest.raises(ValueError, match="labels does not have one value for each of its embeddings"):
        load(tmp_path / "rows.npz")
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3), labels=[1, 2, 3])
    assert load(tmp_path / "rows.npz").model is None


def test_missing_pyarrow_is_reported_before_the_work(files, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("skelrep.encoder.Encoder.embed", lambda *_, **__: pytest.fail("the work was begun"))
    assert main(["embed", "all.npz", "-m", "model", "-o", "rows.parquet"]) == 1
    assert 'pip install "pyarrow' in capsys.readouterr().err
    assert not (files / "rows.parquet").exists()
