"""Reading columns of Parquet files from untrusted sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelrep import read
from skelrep.io import embeddings
from skelrep.parquet import read_columns
from skelrep.recordings import Events

arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
parquet = pytest.importorskip("pyarrow.parquet")


def written(path: Path, **columns: Any) -> Path:
    parquet.write_table(arrow.table(columns), path, compression="zstd")
    return path


def lists(count: int, length: int) -> Any:
    return arrow.FixedSizeListArray.from_arrays(arrow.array(np.zeros(count * length, np.float32)), length)


def test_runs_of_one_value_do_not_fill_the_memory(tmp_path, monkeypatch):
    path = written(tmp_path / "a.parquet", embedding=lists(1_000_000, 8))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"a\.parquet.*SKELREP_MAX_GIGABYTES|SKELREP_MAX_GIGABYTES"):
        embeddings.load(path)
    monkeypatch.setenv("SKELREP_MAX_GIGABYTES", "1")
    found = embeddings.load(path)
    assert found is not None and found.rows.shape == (1_000_000, 8)


@pytest.mark.parametrize("text", [["a"] * 9_999 + ["b" * 100_000], ["b" * 100_000] * 10_000], ids=["one", "all"])
def test_long_texts_do_not_fill_the_memory(text, tmp_path):
    """An array of text has the length of the longest everywhere: 4 GB here."""
    path = written(tmp_path / "a.parquet", embedding=lists(10_000, 2), id=text)
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        embeddings.load(path)


def test_long_lists_in_cells_do_not_fill_the_memory(tmp_path):
    rows = arrow.array([[0.0] * 3_000_000], arrow.list_(arrow.float64()))
    path = written(tmp_path / "a.parquet", frame=[0], keypoints=rows)
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"a\.parquet.*SKELREP_MAX_GIGABYTES"):
        read(path, skeleton="coco-17")


def test_events_that_would_fill_the_memory_are_refused(tmp_path):
    zeros = np.zeros(3_000_000)
    path = written(tmp_path / "a.parquet", start=zeros, end=zeros)
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        Events.load(path)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_texts_are_read_as_they_were_written(kind, tmp_path):
    names = ["é", "", "walk/a", "walk/a", "z" * 300]
    column = arrow.array(names, arrow.large_string() if kind == "large_string" else arrow.string())
    column = column.dictionary_encode() if kind == "dictionary" else column
    parquet.write_table(arrow.table({"id": column, "n": range(5)}), tmp_path / "a.parquet", row_group_size=2)
    with (tmp_path / "a.parquet").open("rb") as file:
        table = read_columns(file, "a.parquet", lambda schema: schema.names)
    assert table.values("id").tolist() == names == table.cells("id")
    assert table.values("n").tolist() == list(range(5))
    with_gap = arrow.table({"id": arrow.array(["a", None]), "x": [1.5, None]})
    parquet.write_table(with_gap, tmp_path / "b.parquet")
    with (tmp_path / "b.parquet").open("rb") as file:
        table = read_columns(file, "b.parquet", lambda schema: schema.names)
    assert table.cells("id") == ["a", None]
    np.testing.assert_array_equal(table.numbers(["x"]), [[1.5], [np.nan]])
    with pytest.raises(ValueError, match=r"b\.parquet has no id in 1 of 2 rows"):
        table.values("id")
