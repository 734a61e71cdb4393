"""`skelrep embed`: its outputs and their names."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skelrep.cli import main
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.pose_files import agcn_folder, annotation, dump, moving, skeleton_text

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"


def test_embed_writes_next_to_its_input(files, model, capsys):
    assert main(["embed", "clip.npy", "-m", model, "--skeleton", "kinect-20"]) == 0
    rows = np.load("clip.embeddings.npz")["embeddings"]
    assert rows.shape[0] == 1 and rows.dtype == np.float32
    captured = capsys.readouterr()
    assert captured.out == "" and "clip.embeddings.npz" in captured.err


def test_embed_many_into_separate_files_and_into_one(files, model, tiny_encoder, capsys):
    assert main(["embed", "train.npz", "test.npz", "-m", model, "-q"]) == 0
    parts = [np.load(f"{name}.embeddings.npz")["embeddings"] for name in ("train", "test")]
    assert main(["embed", "train.npz", "test.npz", "-m", model, "-o", "all.npz", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["outputs"] == [{"path": "all.npz", "rows": 24, "dim": tiny_encoder.dim}]
    with np.load("all.npz", allow_pickle=False) as stored:
        np.testing.assert_allclose(stored["embeddings"], np.concatenate(parts), atol=1e-6)
        assert stored["labels"].shape == (24,) and stored["info_subject"].tolist() == sorted(np.arange(24) // 6)
        assert len(stored["ids"]) == 24 and str(stored["model"]) == model


def test_embed_a_file_of_each_format(tmp_path, tiny_encoder, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agcn_folder(tmp_path, lengths=(7, 20, 12))
    bodies = moving(9, 0.1)
    Path("S001C002P003R002A013.skeleton").write_text(skeleton_text([{"1": points} for points in bodies]))
    dump(Path("flat.pkl"), {"split": {"train": ["a"]}, "annotations": [annotation("a", frames=9), annotation("b")]})
    x = np.random.default_rng(0).normal(size=(4, 10, 150))
    np.savez("ctrgcn.npz", x_train=x, y_train=np.eye(4), x_test=x, y_test=np.eye(4))
    np.save("one.npy", bodies)
    np.save("batch.npy", np.stack([bodies[None]] * 3))
    np.save("turned.npy", np.stack([bodies[None]] * 5).transpose(0, 4, 2, 3, 1))
    Poses([bodies[None]] * 2, SKELETONS["ntu-25"]).save("own.npz")
    expected = {
        "train_data_joint.npy": 3,
        "S001C002P003R002A013.skeleton": 1,
        "flat.pkl": 2,
        "flat.pkl --split train": 1,
        "ctrgcn.npz": 8,
        "ctrgcn.npz --split test": 4,
        "one.npy --skeleton ntu-25": 1,
        "batch.npy --skeleton ntu-25": 3,
        "turned.npy --skeleton ntu-25 --layout NCTVM": 5,
        "own.npz": 2,
    }
    for arguments, rows in expected.items():
        assert main(["embed", *arguments.split(), "-m", model, "-o", "rows.npy", "-q", "--overwrite"]) == 0, arguments
        stored = np.load("rows.npy")
        assert stored.shape == (rows, tiny_encoder.dim) and np.isfinite(stored).all(), arguments


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs real NTU files, which are not ours to publish")
def test_embed_a_folder_of_real_ntu_files(tmp_path, tiny_encoder, model):
    assert main(["embed", str(FIXTURES / "ntu"), "-m", model, "-o", str(tmp_path / "ntu.npz"), "-q"]) == 0
    with np.load(tmp_path / "ntu.npz", allow_pickle=False) as stored:
        assert stored["embeddings"].shape == (5, tiny_encoder.dim)
        assert stored["labels"].tolist() == [0, 1, 2, 3, 4] and stored["info_camera"].tolist() == [1] * 5


def test_embed_windows_keep_their_times(files, model):
    assert main(["embed", "train.npz", "-m", model, "-o", "w.npz", "--window", "0.5", "--stride", "0.25", "-q"]) == 0
    with np.load("w.npz", allow_pickle=False) as stored:
        assert len(stored["embeddings"]) == len(stored["info_start"]) > 12
        assert (stored["info_end"] - stored["info_start"] <= 0.5 + 1e-6).all()


@pytest.mark.slow
def test_embed_to_a_pipe(files, model):
    command = [sys.executable, "-m", "skelrep", "embed", "train.npz", "-m", model, "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert np.load(io.BytesIO(done.stdout), allow_pickle=False).shape[0] == 12
    assert b"%|" not in done.stderr  # no progress bar in a pipe


def test_two_inputs_are_never_written_to_one_file(files, model, capsys):
    (files / "train.npy").write_bytes((files / "clip.npy").read_bytes())
    assert main(["embed", "train.npz", "train.npy", "-m", model]) == 2
    assert "several inputs would be written to" in capsys.readouterr().err
    assert not (files / "train.embeddings.npz").exists()


def test_a_folder_is_named_after_itself_and_embedded_twice(files, model, monkeypatch):
    (files / "many").mkdir()
    for name in ("train", "test"):
        (files / "many" / f"{name}.npz").write_bytes((files / f"{name}.npz").read_bytes())
    monkeypatch.chdir(files / "many")
    assert main(["embed", ".", "-m", model, "-q"]) == 0
    assert np.load(files / "many.embeddings.npz")["embeddings"].shape[0] == 24
    for _ in range(2):
        assert main(["embed", *map(str, (files / "many").iterdir()), "-m", model, "-q"]) == 0
    assert sorted(path.name for path in (files / "many").iterdir()) == [
        *("test.embeddings.npz", "test.npz", "train.embeddings.npz", "train.npz")
    ]


def test_a_closed_pipe_is_not_an_error(files, model):
    command = f"{sys.executable} -m skelrep embed train.npz -m {model} -o - | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True)
    assert done.returncode == 0 and len(done.stdout) == 10 and b"error" not in done.stderr
