"""The code of docs/corpora.md for other libraries, run where they are installed, on a corpus of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelrep import corpus, retrieve
from tests.benchmarks.corpora import make_clips
from tests.benchmarks.indexes import RECIPES

COUNT = 600


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """The folder that contains `rows/`."""
    folder = tmp_path_factory.mktemp("recipes")
    make_clips(folder / "clips", COUNT)
    corpus.embed(folder / "clips", folder / "rows", shard_size=200)
    return folder


def _pandas(found: dict[str, Any], clips: corpus.Corpus) -> None:
    assert clips.labels is not None
    assert found["frame"].groupby("label").size().to_dict() == Counter(clips.labels.tolist())
    assert found["frame"]["info_subject"].tolist() == clips.info["subject"].tolist()


def _polars(found: dict[str, Any], clips: corpus.Corpus) -> None:
    assert clips.labels is not None
    assert dict(found["counts"].iter_rows()) == Counter(clips.labels.tolist())


def _duckdb(found: dict[str, Any], clips: corpus.Corpus) -> None:
    matrix = np.asarray(clips.rows)
    query = int(np.argmin(clips.ids))
    expected = retrieve(matrix[query : query + 1], matrix, k=10)
    assert [name for name, *_ in found["similar"]] == clips.ids[expected.indices[0]].tolist()
    np.testing.assert_allclose([each[-1] for each in found["similar"]], expected.similarities[0], atol=1e-5)


def _datasets(found: dict[str, Any], clips: corpus.Corpus) -> None:
    rows = list(found["rows"])
    assert [row["id"] for row in rows] == clips.ids.tolist()
    np.testing.assert_array_equal(rows[7]["embedding"], clips.rows[7])


def _faiss(found: dict[str, Any], clips: corpus.Corpus) -> None:
    recall = found["recall"]
    assert recall[1] <= recall[64] and recall[64] > 0.9


def _lancedb(found: dict[str, Any], clips: corpus.Corpus) -> None:
    matrix = np.asarray(clips.rows)
    expected = clips.ids[retrieve(matrix[:1], matrix, k=10).indices[0]]
    assert found["found"][0]["id"] == clips.ids[0]
    assert np.isin(expected, [row["id"] for row in found["found"]]).mean() >= 0.7


CHECKS: dict[str, Callable[[dict[str, Any], corpus.Corpus], None]] = {
    "pandas": _pandas,
    "Polars": _polars,
    "DuckDB": _duckdb,
    "datasets": _datasets,
    "FAISS": _faiss,
    "LanceDB": _lancedb,
}


def test_every_recipe_is_checked():
    assert RECIPES.keys() == CHECKS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("library", RECIPES)
def test_a_recipe_gives_what_skelrep_gives(library, rows, monkeypatch):
    pytest.importorskip(library.lower(), reason=f"needs {library}")
    monkeypatch.chdir(rows)
    found: dict[str, Any] = {}
    exec(compile(RECIPES[library], f"docs/corpora.md: {library}", "exec"), found)  # noqa: S102
    CHECKS[library](found, corpus.open("rows"))
