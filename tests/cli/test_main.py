"""The commands as a user meets them: what goes to stdout, what to stderr, which exit code, what an error says."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelrep import save_pretrained
from skelrep.cli.main import COMMANDS, main, parser
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.test_io import agcn_folder, annotation, dump, moving, skeleton_text

KINECT = SKELETONS["kinect-20"]
FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"


@pytest.fixture
def model(tiny_encoder, tmp_path):
    save_pretrained(tiny_encoder, tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def poses():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 1, 1, 20, 3))
    clips = [kinds[i % 3] + 0.1 * rng.normal(size=(1, int(rng.integers(5, 60)), 20, 3)) for i in range(24)]
    labels = np.array(["sit", "run", "bow"])[np.arange(24) % 3]
    return Poses(clips, KINECT, labels=labels, fps=30.0, info={"subject": np.arange(24) // 6})


@pytest.fixture
def files(poses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    poses.select(subject=[0, 1]).save("train.npz")
    poses.select(subject=[2, 3]).save("test.npz")
    np.save("clip.npy", poses.clips[0])
    return tmp_path


def test_embed_writes_beside_its_input(files, model, capsys):
    assert main(["embed", "clip.npy", "-m", model, "--skeleton", "kinect-20"]) == 0
    rows = np.load("clip.embeddings.npy")
    assert rows.shape[0] == 1 and rows.dtype == np.float32
    captured = capsys.readouterr()
    assert captured.out == "" and "clip.embeddings.npy" in captured.err


def test_embed_many_into_a_folder_and_into_one_file(files, model, tiny_encoder, capsys):
    assert main(["embed", "train.npz", "test.npz", "-m", model, "-o", "out/", "-q"]) == 0
    parts = [np.load(f"out/{name}.embeddings.npy") for name in ("train", "test")]
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
        assert main(["embed", *arguments.split(), "-m", model, "-o", "rows.npy", "-q"]) == 0, arguments
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


def test_embed_to_a_pipe(files, model):
    command = [sys.executable, "-m", "skelrep", "embed", "train.npz", "-m", model, "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert np.load(io.BytesIO(done.stdout), allow_pickle=False).shape[0] == 12
    assert b"%|" not in done.stderr  # no progress bar in a pipe


def test_knn_and_probe(files, model, capsys):
    assert main(["knn", "train.npz", "test.npz", "-m", model, "-k", "1", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"]["1"] == 1.0
    assert main(["probe", "train.npz", "test.npz", "-m", model, "--groups", "subject"]) == 0
    assert "linear probe" in capsys.readouterr().out
    main(["embed", "train.npz", "-m", model, "-o", "a.npz", "-q"])
    main(["embed", "test.npz", "-m", model, "-o", "b.npz", "-q"])
    assert main(["knn", "a.npz", "b.npz", "-k", "1", "3", "--json"]) == 0  # embeddings stored before: no model needed
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == document["accuracy"]
    assert main(["knn", "train.npz", "--leave-one-out", "-m", model, "-k", "1"]) == 0


def test_knn_of_two_splits_of_a_file(poses, files, model, capsys):
    subject = poses.info["subject"]
    replace(poses, info={"a": subject < 2, "b": subject >= 2}).save("both.npz")
    assert main(["knn", "both.npz", "--splits", "a", "b", "-m", model, "-k", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["n_train"] == document["protocol"]["n_test"] == 12


def test_splits_of_stored_embeddings_and_models_that_differ(poses, files, model, capsys):
    subject = poses.info["subject"]
    replace(poses, info={"a": subject < 2, "b": subject >= 2}).save("both.npz")
    assert main(["embed", "both.npz", "-m", model, "-o", "rows.npz", "-q"]) == 0
    assert main(["knn", "rows.npz", "--splits", "a", "b", "-k", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["n_train"] == document["protocol"]["n_test"] == 12
    main(["embed", "test.npz", "-m", model, "-o", "joint.npz", "--streams", "joint", "-q"])
    assert main(["knn", "rows.npz", "joint.npz"]) == 1
    assert "cannot be compared; embed both alike" in capsys.readouterr().err
    (files / "broken.npz").write_bytes((files / "rows.npz").read_bytes()[:999])
    assert main(["knn", "broken.npz", "rows.npz"]) == 1
    assert "broken.npz is damaged" in capsys.readouterr().err


def test_two_inputs_are_never_written_to_one_file(files, model, capsys):
    (files / "one").mkdir()
    (files / "one" / "train.npz").write_bytes((files / "train.npz").read_bytes())
    assert main(["embed", "train.npz", "one/train.npz", "-m", model, "-o", "out/"]) == 1
    assert "several inputs would be written to" in capsys.readouterr().err
    assert not (files / "out").exists()


def test_a_folder_is_named_after_itself_and_embedded_twice(files, model, monkeypatch):
    (files / "many").mkdir()
    for name in ("train", "test"):
        (files / "many" / f"{name}.npz").write_bytes((files / f"{name}.npz").read_bytes())
    monkeypatch.chdir(files / "many")
    assert main(["embed", ".", "-m", model, "-q"]) == 0
    assert np.load(files / "many.embeddings.npy").shape[0] == 24
    for _ in range(2):
        assert main(["embed", *map(str, (files / "many").iterdir()), "-m", model, "-q"]) == 0
    assert sorted(path.name for path in (files / "many").iterdir()) == [
        *("test.embeddings.npy", "test.npz", "train.embeddings.npy", "train.npz")
    ]


def test_a_reader_that_has_seen_enough_is_no_error(files, model):
    command = f"{sys.executable} -m skelrep embed train.npz -m {model} -o - | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True)
    assert done.returncode == 0 and len(done.stdout) == 10 and b"error" not in done.stderr


def test_info_of_a_file_and_of_a_model(files, model, capsys):
    assert main(["info", "train.npz", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["clips"] == 12 and facts["skeleton"] == "kinect-20" and facts["labels"] == ["bow", "run", "sit"]
    assert main(["info", model]) == 0
    assert "common-15" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("embed nowhere.npz", "nowhere.npz"),
        ("embed train.npz -m i2md-smal", "i2md-small"),
        ("embed clip.npy", "kinect-20 or utd-mhad-20 or msr-action3d-20"),
        ("embed clip.npy --skeleton kinect20", "did you mean 'kinect-20'"),
        ("embed train.npz -o out.txt", "-o takes a .npy, .npz or .parquet file"),
        ("embed train.npz -o nowhere/out.npz", "does not exist"),
        ("embed train.npz --device tpu", "there is no device 'tpu' here"),
        ("embed train.npz --format parket", "did you mean 'parquet'"),
        ("embed train.npz --stride 1", "--stride needs --window"),
        ("embed train.npz --streams bones", "streams must be some of"),
        ("knn train.npz", "give two files"),
        ("knn clip.npy clip.npy --skeleton kinect-20", "holds no labels"),
        ("knn train.npz test.npz --metric cosin", "did you mean 'cosine'"),
        ("embed train.npz --streams bones", "did you mean 'bone'"),
        ("embed train.npz --precision bfloat", "did you mean 'bfloat16'"),
        ("knn train.npz test.npz -k 0", "k"),
        ("knn train.npz test.npz -k 100", "100"),
        ("probe train.npz test.npz --groups actor", "no info column 'actor'"),
        ("probe train.npz test.npz --groups subjects", "did you mean 'subject'"),
        ("plot train.npz -o clip.gif --clip x", "no clip 'x': give an id or a position within 0..11"),
        ("info nowhere.npz", "nowhere.npz"),
        ("convert-cmd clip.npy out", "clip.npy"),
    ],
)
def test_errors_are_one_sentence_and_exit_1(files, model, capsys, command, message):
    arguments = command.split()
    if "-m" not in arguments and arguments[0] in ("embed", "knn", "probe"):
        arguments += ["-m", model]
    before = set(files.rglob("*"))
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert set(files.rglob("*")) == before  # nothing half-written


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("embedd", "embed"), ("serach", "search"), ("export_onnx", "export-onnx"), ("Probe", "probe"), ("zzz", None)],
)
def test_a_mistyped_command_is_told_the_nearest(typed, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([typed, "clips.npz"])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and f"there is no command {typed!r}" in captured.err
    assert (f"; did you mean {meant!r}?" in captured.err) if meant else ("did you mean" not in captured.err)


@pytest.mark.parametrize("arguments", [[], ["knn"], ["knn", "train.npz", "--nothing"], ["embed", "x", "--window", "a"]])
def test_usage_errors_exit_2(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_every_command_has_examples_that_it_understands(capsys):
    commands = _commands()
    assert [command.name for command in COMMANDS] == list(commands)
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    whole = capsys.readouterr().out
    for name, lines in ((command.name, command.examples) for command in COMMANDS):
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        assert f"skelrep {lines[0]}" in whole
        for line in lines:
            assert f"\n  skelrep {line}\n" in text
            first, *rest = shlex.split(line, comments=True)
            assert first == name
            commands[name].parse_args(rest)  # exits if it does not understand


def _commands() -> dict[str, argparse.ArgumentParser]:
    [choices] = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    return choices


# -- completion in a shell --------------------------------------------------------------------------------------------


@pytest.fixture
def completed(tmp_path, monkeypatch):
    """What bash offers after a line is typed and Tab is pressed."""
    pytest.importorskip("argcomplete", reason="needs argcomplete: pip install 'skelrep[completion]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "skelrep"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -X importtime -m skelrep "$@" 2>>"{tmp_path}/imports"\n')
    program.chmod(0o755)
    code = "import argcomplete; print(argcomplete.shellcode(['skelrep']))"  # what register-python-argcomplete prints
    script = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (tmp_path / "completion.bash").write_text(script)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}

    def press_tab(line: str) -> list[str]:
        words = line.split(" ")
        commands = f"""
            source completion.bash
            COMP_WORDS=({" ".join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; COMP_TYPE=9
            COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}
            handler=$(complete -p skelrep | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            "$handler" skelrep {shlex.quote(words[-1])} {shlex.quote(words[-2])}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", commands], env=environment, capture_output=True, text=True, check=True)
        return [offer.strip() for offer in done.stdout.splitlines() if offer.strip()]

    return press_tab


def test_tab_completes_commands_options_names_and_files(completed, tmp_path):
    (tmp_path / "clips.npz").touch()
    assert completed("skelrep se") == ["search"]
    assert completed("skelrep ex") == ["explore", "export", "export-onnx"]
    assert completed("skelrep search --leave") == ["--leave-one-out"]
    assert completed("skelrep search cl") == ["clips.npz"]
    assert completed("skelrep info i2") == ["i2md-small", "i2md-small-open"]
    assert completed("skelrep embed x --streams b") == ["bone", "bin/"]
    assert completed("skelrep embed x --skeleton kin") == ["kinect-20"]
    imports = (tmp_path / "imports").read_text()
    assert "argcomplete" in imports and "skelrep.skeletons" in imports
    assert "torch" not in imports


def test_interruption_exits_130(files, monkeypatch):
    monkeypatch.setattr("skelrep.io.read", _raises(KeyboardInterrupt()))
    assert main(["info", "train.npz"]) == 130


@pytest.mark.parametrize("error", [TypeError("bug"), KeyError("bug"), AssertionError("bug"), AttributeError("bug")])
def test_a_programming_error_is_a_traceback(files, monkeypatch, error):
    monkeypatch.setattr("skelrep.io.read", _raises(error))
    with pytest.raises(type(error), match="bug"):
        main(["info", "train.npz"])


def _raises(error: BaseException):
    def function(*_, **__):
        raise error

    return function


def test_debug_shows_the_traceback(files):
    with pytest.raises(FileNotFoundError):
        main(["info", str(files / "nowhere.npz"), "--debug"])
