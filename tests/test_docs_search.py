"""The code of the page "Search and export": other libraries find the same as skelrep."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep import retrieve
from skelrep.cli import main
from skelrep.io.embeddings import Embeddings, load

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "search-and-export.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's blocks as they stand, run up to one of them, in a folder with the examples' clips."""
    folder = tmp_path_factory.mktemp("page")
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        from motion import make_clips
    finally:
        sys.path.pop(0)
    make_clips(60, seed=0).save(folder / "clips.npz")
    found = re.findall(r"^```(sh|python)( title=\"[^\"]*\")?\n([\s\S]*?)^```$", PAGE.read_text(), re.MULTILINE)
    return folder, [(language, text) for language, title, text in found]


def run_block(page, mark: str, monkeypatch, **needed: str) -> dict:
    """Runs the shell lines that embed, then the Python blocks that hold `mark`; returns what they leave."""
    for module, package in needed.items():
        pytest.importorskip(module, reason=f"needs {package}: pip install {package}")
    folder, blocks = page
    monkeypatch.chdir(folder)
    for language, text in blocks:
        for line in text.splitlines() if language == "sh" else ():
            command = line.partition("#")[0].split()
            if command[:2] in (["skelrep", "embed"], ["skelrep", "export-onnx"]) and not Path(command[-1]).exists():
                assert main([*command[1:], "-q"]) == 0
    chosen = [text for language, text in blocks if language == "python" and mark in text]
    assert len(chosen) == 1
    namespace: dict = {}
    exec(compile(chosen[0], PAGE.name, "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def expected(folder: Path, k: int) -> tuple[Embeddings, np.ndarray, np.ndarray]:
    """The bank's rows and what `retrieve` finds in it for the first clip and for all; by exact products."""
    stored = load(folder / "rows.npz")
    found = retrieve(stored.rows, stored.rows, k=k)
    return stored, found.indices, found.similarities


def test_retrieve_finds_the_label_of_the_query(page, monkeypatch):
    namespace = run_block(page, "retrieve(", monkeypatch)
    assert namespace["found"].precision[0] > 0.5


def test_faiss_equals_retrieve(page, monkeypatch):
    namespace = run_block(page, "import faiss", monkeypatch, faiss="faiss-cpu")
    neighbours, similarities = namespace["neighbours"], namespace["similarities"]
    _, indices, exact = expected(page[0], neighbours.shape[1])
    assert len(neighbours) == 60
    np.testing.assert_array_equal(neighbours, indices)
    np.testing.assert_allclose(similarities, exact, atol=1e-5)


def test_lancedb_equals_retrieve(page, monkeypatch):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    namespace = run_block(page, "import lancedb", monkeypatch, lancedb="lancedb")
    stored, _, _ = expected(page[0], 5)
    nearest = namespace["nearest"]
    apart = np.flatnonzero(stored.labels == "clap")
    found = retrieve(stored.rows[:1], stored.rows[apart], k=len(nearest))
    assert [row["id"] for row in nearest] == stored.ids[apart][found.indices[0]].tolist()
    np.testing.assert_allclose([1 - row["_distance"] for row in nearest], found.similarities[0], atol=1e-5)


def test_onnx_runtime_equals_embed(page, monkeypatch):
    pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
    namespace = run_block(page, "import onnxruntime", monkeypatch, onnxruntime="onnxruntime")
    stored = load(page[0] / "rows.npz")
    np.testing.assert_allclose(namespace["rows"], stored.rows, atol=1e-5)
