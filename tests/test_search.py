"""Searching a bank at the shell, embeddings kept as files, and the recipes of the page about both."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep import retrieve, save_pretrained
from skelrep.cli import main
from skelrep.io.embeddings import Embeddings, load, save
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "search-and-export.md"


@pytest.fixture
def files(tiny_encoder, tmp_path, monkeypatch):
    """A model, poses of two files, and what `skelrep embed` makes of them."""
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 1, 1, 20, 3))
    clips = [kinds[i % 3] + 0.1 * rng.normal(size=(1, 40 + i, 20, 3)) for i in range(24)]
    labels = np.array(["sit", "run", "bow"])[np.arange(24) % 3]
    info = {"subject": np.arange(24) // 6, "weight": rng.random(24), "a": np.arange(24) < 12, "b": np.arange(24) > 11}
    poses = Poses(clips, SKELETONS["kinect-20"], [f"clip {i}" for i in range(24)], labels, 30.0, info=info)
    poses[:8].save("few.npz")
    poses.save("all.npz")
    return tmp_path


def embed(poses: str, output: str, *more: str) -> str:
    if output.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    assert main(["embed", poses, "-m", "model", "-o", output, "-q", *more]) == 0
    return output


def search(capsys, *arguments: str) -> dict:
    """What the command prints as JSON."""
    capsys.readouterr()
    assert main(["search", *arguments, "-m", "model", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# -- search -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["few.npz", "few.rows.npz", "few.npy", "few.parquet"])
@pytest.mark.parametrize("bank", ["all.npz", "all.rows.npz", "all.npy", "all.parquet"])
def test_the_nearest_are_those_of_retrieve(files, tiny_encoder, query, bank, capsys):
    for name in (query, bank):
        if name not in ("few.npz", "all.npz"):
            embed(f"{name.partition('.')[0]}.npz", name)
    found = search(capsys, query, bank, "-k", "3")
    few, every = (Poses.load(name) for name in ("few.npz", "all.npz"))
    expected = retrieve(tiny_encoder.embed(few), tiny_encoder.embed(every), k=3)
    for row, asked in enumerate(found["queries"]):
        named = query != "few.npy"
        assert asked["id"] == (few.ids[row] if named else row)
        assert asked.get("label") == (few.labels[row] if named else None)
        named = bank != "all.npy"
        for one, i in zip(asked["neighbours"], expected.indices[row].tolist(), strict=True):
            assert one["id"] == (every.ids[i] if named else i)
            assert one.get("label") == (every.labels[i] if named else None)
        similarities = [one["similarity"] for one in asked["neighbours"]]
        np.testing.assert_allclose(similarities, expected.similarities[row], atol=1e-6)
    assert len(found["queries"]) == 8 and found["protocol"]["k"] == 3 and found["protocol"]["n_bank"] == 24


def test_a_clip_does_not_find_itself_in_its_own_file(files, capsys):
    itself = search(capsys, "few.npz", "all.npz", "-k", "1")
    assert [one["id"] for one in itself["queries"]] == [one["neighbours"][0]["id"] for one in itself["queries"]]
    embed("all.npz", "rows.npz")
    for query, bank, *more in (
        ("all.npz", "./all.npz"),
        ("rows.npz", "rows.npz"),
        ("all.npz", "rows.npz", "--leave-one-out"),
    ):
        found = search(capsys, query, bank, *more, "-k", "23")
        for one in found["queries"]:
            assert one["id"] not in {other["id"] for other in one["neighbours"]}
            assert len(one["neighbours"]) == 23
    assert main(["search", "few.npz", "rows.npz", "--leave-one-out", "-m", "model"]) == 1
    assert "got 8 and 24" in capsys.readouterr().err


def test_what_is_printed(files, capsys):
    embed("all.npz", "rows.npz")
    assert main(["search", "few.npz", "rows.npz", "-m", "model", "-k", "2", "-q"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == "" and len(lines) == 8 * 3
    assert re.fullmatch(r"clip 0 +sit", lines[0])
    assert re.fullmatch(r" +1 +1\.000  clip 0 +sit", lines[1])
    assert re.fullmatch(r" +2 +0\.\d{3}  clip \d+ +sit", lines[2])


def test_windows_tell_their_times(files, capsys):
    embed("all.npz", "windows.npz", "--window", "0.5")
    embed("all.npz", "windows.parquet", "--window", "0.5")
    for bank in ("windows.npz", "windows.parquet"):
        found = search(capsys, "few.npz", bank, "-k", "2")
        for one in found["queries"]:
            assert "start" not in one
            for other in one["neighbours"]:
                start, end = other["start"], other["end"]
                assert 0 < end - start <= 0.51 and other["id"].endswith(f"@{start:.2f}-{end:.2f}")
    assert main(["search", "few.npz", "windows.npz", "-m", "model", "-k", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"\d+\.\d\d-\d+\.\d\d s$", lines[1]) and not lines[0].endswith(" s")


def test_k_is_ten_or_what_there_is(files, capsys):
    assert {len(one["neighbours"]) for one in search(capsys, "few.npz", "all.npz")["queries"]} == {10}
    assert {len(one["neighbours"]) for one in search(capsys, "few.npz", "few.npz")["queries"]} == {7}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("few.npz nowhere.npz", "there is no file or folder nowhere.npz"),
        ("few.npz all.npz -k 25", "between 1 and 24"),
        ("few.npz few.npz -k 8", "between 1 and 7"),
        ("few.npz joint.npz", "embeddings of model and of model (joint) cannot be compared; embed both alike"),
        ("joint.parquet rows.npz", "embeddings of model (joint) and of model cannot be compared"),
        ("joint.npy rows.npz", "rows have"),
        ("broken.npz rows.npz", "broken.npz is damaged"),
        ("broken.parquet rows.npz", "broken.parquet is damaged"),
    ],
)
def test_errors_are_one_sentence(files, command, message, capsys):
    embed("all.npz", "rows.npz")
    for name in ("joint.npz", "joint.npy", "joint.parquet"):
        embed("all.npz", name, "--streams", "joint")
    (files / "broken.npz").write_bytes((files / "rows.npz").read_bytes()[:999])
    (files / "broken.parquet").write_bytes((files / "joint.parquet").read_bytes()[:-9])
    assert main(["search", *command.split(), "-m", "model"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err


# -- embeddings in files ----------------------------------------------------------------------------------------------


def test_a_parquet_file_holds_what_an_npz_does(files, tiny_encoder):
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


def test_the_other_commands_read_parquet(files, capsys):
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
    assert "few.parquet are of other clips" in capsys.readouterr().err
    embed("all.npz", "rows.npy")
    assert main(["knn", "rows.npy", "rows.npz"]) == 1
    assert "rows.npy holds no labels" in capsys.readouterr().err


def test_labels_that_are_numbers_stay_numbers(tmp_path):
    labels, ids = np.array([3, 1, 2]), np.array(["ä", "b", "c"])
    stored = Embeddings(np.eye(3, 5, dtype=np.float32), ids, labels, {"side": np.array(["l", "r", "l"])}, "m")
    for name in ("rows.npz", "rows.parquet"):
        save(stored, tmp_path / name)
        again = load(tmp_path / name)
        assert again.labels.dtype.kind == "i" and again.labels.tolist() == [3, 1, 2]
        assert again.ids.tolist() == ["ä", "b", "c"] and again.info["side"].tolist() == ["l", "r", "l"]
        assert again.about(1) == {"id": "b", "label": 1} and type(again.about(1)["label"]) is int
        assert again.take(np.array([False, True, True])).labels.tolist() == [1, 2]


def test_parquet_that_others_wrote(tmp_path):
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
    with pytest.raises(ValueError, match="holds no lists"):
        load(written(embedding=[1.0, 2.0]))
    with pytest.raises(ValueError, match="has no label in 1 of 2 rows"):
        load(written(embedding=[[1.0], [2.0]], label=["a", None]))


def test_columns_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3), labels=[1, 2])
    with pytest.raises(ValueError, match="labels is not one value for each of its embeddings"):
        load(tmp_path / "rows.npz")
    np.savez(tmp_path / "rows.npz", embeddings=np.eye(3), labels=[1, 2, 3])
    assert load(tmp_path / "rows.npz").model is None


def test_without_pyarrow_nothing_is_embedded(files, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("skelrep.encoder.Encoder.embed", lambda *_, **__: pytest.fail("the work was begun"))
    assert main(["embed", "all.npz", "-m", "model", "-o", "rows.parquet"]) == 1
    assert 'pip install "pyarrow' in capsys.readouterr().err
    assert not (files / "rows.parquet").exists()


# -- the page ---------------------------------------------------------------------------------------------------------


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


def test_retrieve_on_the_page(page, monkeypatch):
    namespace = run_block(page, "retrieve(", monkeypatch)
    assert namespace["found"].precision[0] > 0.5


def test_faiss_finds_what_retrieve_finds(page, monkeypatch):
    namespace = run_block(page, "import faiss", monkeypatch, faiss="faiss-cpu")
    neighbours, similarities = namespace["neighbours"], namespace["similarities"]
    _, indices, exact = expected(page[0], neighbours.shape[1])
    assert len(neighbours) == 60
    np.testing.assert_array_equal(neighbours, indices)
    np.testing.assert_allclose(similarities, exact, atol=1e-5)


def test_lancedb_finds_what_retrieve_finds(page, monkeypatch):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    namespace = run_block(page, "import lancedb", monkeypatch, lancedb="lancedb")
    stored, _, _ = expected(page[0], 5)
    nearest = namespace["nearest"]
    apart = np.flatnonzero(stored.labels == "clap")
    found = retrieve(stored.rows[:1], stored.rows[apart], k=len(nearest))
    assert [row["id"] for row in nearest] == stored.ids[apart][found.indices[0]].tolist()
    np.testing.assert_allclose([1 - row["_distance"] for row in nearest], found.similarities[0], atol=1e-5)


def test_onnx_runtime_gives_the_embeddings(page, monkeypatch):
    pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
    namespace = run_block(page, "import onnxruntime", monkeypatch, onnxruntime="onnxruntime")
    stored = load(page[0] / "rows.npz")
    np.testing.assert_allclose(namespace["rows"], stored.rows, atol=1e-5)
