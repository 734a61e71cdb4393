"""Reading columns of Parquet files from untrusted sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelrep import read
from skelrep.io import embeddings
from skelrep.memory_budget import MemoryBudget
from skelrep.parquet import read_columns
from skelrep.parquet.layout import Layout
from skelrep.recordings import Events
from tests.memory import peak_below
from tests.parquet_files import (
    BINARY,
    INTEGER_32,
    INTEGER_64,
    LIST,
    STRUCT,
    element,
    footer,
    integer,
    listed,
    restated,
    structure,
    unsigned,
)
from tests.parquet_files import written as crafted

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


BIG = "b" * 200_000


def keyed(path: Path, count: int, options: dict[str, Any] | None = None, **keys: Any) -> Path:
    """A table of poses, a row for each frame."""
    columns = {"hips_x": np.arange(count, dtype=float), "hips_y": np.ones(count), "head_x": np.ones(count)}
    parquet.write_table(
        arrow.table(keys | columns | {"head_y": np.ones(count)}), path, compression="zstd", **(options or {})
    )
    return path


def test_a_long_text_that_is_repeated_in_a_column_of_clips_stands_in_memory_once(tmp_path):
    path = keyed(tmp_path / "a.parquet", 1_000, clip=[BIG] * 1_000)
    assert path.stat().st_size < 2**17
    found = read(path)
    assert found.ids == [BIG] and found.clips[0].shape == (1, 1_000, 2, 2)
    path = keyed(tmp_path / "b.parquet", 1_000, video=[BIG] * 1_000, clip=[f"{i // 2}" for i in range(1_000)])
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):  # five hundred names of 200 000 letters
        read(path)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
@pytest.mark.parametrize("column", ["clip", "id"])
def test_long_texts_in_other_encodings_do_not_fill_the_memory(column, encoding, tmp_path):
    """In one of them a text is stored as what it has in common with the one before."""
    options = {"use_dictionary": False, "column_encoding": {column: encoding}, "write_statistics": False}
    path = tmp_path / "a.parquet"
    if column == "clip":
        keyed(path, 1_000, options, clip=[BIG] * 1_000)
    else:
        parquet.write_table(
            arrow.table({"embedding": lists(1_000, 2), "id": [BIG] * 1_000}), path, compression="zstd", **options
        )
    assert path.stat().st_size < 2**16
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        (read if column == "clip" else embeddings.load)(path)


def test_long_texts_within_lists_do_not_fill_the_memory(tmp_path):
    many = arrow.array([["b" * 100_000] * 1_000], arrow.list_(arrow.string()))
    path = written(tmp_path / "a.parquet", frame=[0], names=many, keypoints=[[[0.0, 0.0]] * 17])
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        read(path, skeleton="coco-17")


def test_one_long_text_of_an_array_in_many_rows_does_not_fill_the_memory(tmp_path):
    text = str([[0.5, 0.5]] * 20_000)
    path = written(tmp_path / "a.parquet", frame=range(100), keypoints=[text] * 100, box=[[0.0] * 4] * 100)
    assert path.stat().st_size < 2**17
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        read(path, skeleton="coco-17")


def test_values_of_a_fixed_length_do_not_fill_the_memory(tmp_path):
    column = arrow.array([b"b" * 100_000] * 1_000, arrow.binary(100_000))
    path = keyed(tmp_path / "a.parquet", 1_000, clip=column)
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        read(path)


def test_a_footer_that_states_fewer_values_than_the_pages_contain_is_not_believed(tmp_path):
    """Pages of 600 bytes contain eight million zeros (32 MB), and the footer says that there are ten."""
    count = 8_000_000
    many = arrow.array([np.zeros(count, np.float32)], arrow.list_(arrow.float32()))
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"embedding": many}), path, compression="zstd", write_statistics=False)
    restated(path, count, 10)
    assert parquet.ParquetFile(path).metadata.row_group(0).column(0).num_values == 10
    for find in (embeddings.load, lambda path: read(path, skeleton="coco-17")):
        with pytest.raises(ValueError, match=rf"a\.parquet .*states 10 values .* contain {count}"):
            find(path)


@pytest.mark.parametrize("number", [1, 7, 2**31, 2**40, -1])
def test_a_footer_that_states_other_numbers_of_rows_and_values(number, tmp_path):
    """pyarrow would look for the missing rows of a list without end."""
    keyed(tmp_path / "poses.parquet", 1_000, clip=["a"] * 1_000)
    rows = {"embedding": lists(1_000, 2), "id": [f"{i}" for i in range(1_000)]}
    written(tmp_path / "rows.parquet", **rows)
    written(tmp_path / "events.parquet", start=np.zeros(1_000), end=np.ones(1_000))
    for name, find in {"poses": read, "rows": embeddings.load, "events": Events.load}.items():
        restated(tmp_path / f"{name}.parquet", 1_000, number)
        with pytest.raises(ValueError) as caught:
            find(tmp_path / f"{name}.parquet")
        assert "\n" not in str(caught.value)


EMPTY = ((2, INTEGER_64, integer(0)), (3, INTEGER_64, integer(0)))  # bytes and rows of a row group
FOOTERS = {
    "columns": footer(listed(2, element(b"s", 1) + element(b"x")), listed(1, bytes([0x19]) + listed(1_000_000))),
    "schema": structure((1, INTEGER_32, integer(2)), (2, LIST, listed(1_000_000))),
    "wide": footer(listed(30_001, element(b"s", 30_000) + element(b"x") * 30_000)),
    "deep": footer(listed(5_002, b"".join([element(b"g", 1)] * 5_001) + element(b"x"))),
}


def column_with_damaged_statistics(name: bytes) -> bytes:
    """A column without values, whose statistics say that one is missing in a column that has no missing values."""
    return structure(
        *((1, INTEGER_32, integer(5)), (2, LIST, listed(1, integer(0), INTEGER_32))),
        (3, LIST, listed(1, unsigned(len(name)) + name, BINARY)),
        *((4, INTEGER_32, integer(0)), *((number, INTEGER_64, integer(0)) for number in (5, 6, 7, 9))),
        (16, STRUCT, structure((3, LIST, listed(2, integer(1) * 2, INTEGER_64)))),
    )


@pytest.mark.parametrize(
    ("find", "names"),
    [
        (Events.load, [b"start", b"end"]),
        (read, [b"hips_x", b"hips_y", b"head_x", b"head_y"]),
        (embeddings.load, [b"embedding"]),
    ],
)
def test_a_column_whose_description_is_damaged_does_not_end_the_process(find, names, tmp_path):
    """As it does where pyarrow's `RowGroupMetaData.column` is called."""
    columns = [structure((2, INTEGER_64, integer(0)), (3, STRUCT, column_with_damaged_statistics(n))) for n in names]
    group = structure((1, LIST, listed(len(names), b"".join(columns))), *EMPTY)
    schema = listed(1 + len(names), element(b"s", len(names)) + b"".join(map(element, names)))
    path = crafted(tmp_path / "a.parquet", footer(schema, listed(1, group)))
    with pytest.raises(ValueError, match=r"a\.parquet"):
        find(path)


@pytest.mark.parametrize("name", FOOTERS)
def test_a_footer_does_not_fill_the_memory(name, tmp_path):
    """pyarrow makes a list as long as it says it is: a million columns in 39 bytes took 700 MB."""
    path = crafted(tmp_path / "a.parquet", FOOTERS[name])
    for find in (embeddings.load, read, Events.load):
        with peak_below(100), pytest.raises(ValueError) as caught:
            find(path)
        assert "\n" not in str(caught.value)


def test_columns_that_overlap_are_refused(tmp_path):
    """Reading the same bytes for every column would take forever."""
    path = written(tmp_path / "a.parquet", start=np.arange(999.0), end=np.arange(999.0) + 1, label=["a"] * 999)
    with path.open("rb") as file:
        about = parquet.ParquetFile(file).metadata
        column = about.row_group(0).column(0)
    restated(path, column.total_compressed_size, 2 * path.stat().st_size)
    with pytest.raises(ValueError, match=r"a\.parquet is damaged"):
        Events.load(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_pages_contain_what_honest_footers_state(compression, version, tmp_path):
    rng = np.random.default_rng(0)
    table = arrow.table(
        {
            "n": rng.integers(0, 9, 20_000),
            "x": rng.normal(size=20_000),
            "gap": arrow.array([None, 1.5] * 10_000),
            "text": [f"{i % 7}" for i in range(20_000)],
            "unique": [f"text {i}" for i in range(20_000)],
            "list": [[1.0] * (i % 3) for i in range(20_000)],
            "fixed": lists(20_000, 4),
        }
    )
    options: dict[str, Any] = {"data_page_version": version, "row_group_size": 7_000, "data_page_size": 4_096}
    parquet.write_table(table, tmp_path / "a.parquet", compression=compression, **options)
    about = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    stated = dict.fromkeys(table.column_names, 0)
    for group in map(about.row_group, range(about.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            stated[column.path_in_schema.partition(".")[0]] += column.num_values
    with (tmp_path / "a.parquet").open("rb") as file:
        layout = Layout(file, MemoryBudget(0))
        found = layout.content(table.column_names, once=["text", "unique"])
        first = layout.content(["n", "list"], groups=[0])
    assert layout.rows == [7_000, 7_000, 6_000]
    assert found.values == stated and stated["list"] > 20_000
    assert found.bytes < 4 * 2**20
    assert first.values["n"] == 7_000
