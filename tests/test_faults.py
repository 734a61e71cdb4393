"""A disk that is full or broken, and processes that are killed or meet: old files stay whole, nothing half is left."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelrep import load_pretrained, save_pretrained
from skelrep.cli import main
from skelrep.hub.load import CONFIG
from skelrep.recordings.saved import HEAD
from tests.corpus_data import another_process, corpus_of, recordings, small
from tests.faults import at, command, command_until, failing
from tests.hub.saved import same
from tests.videos import Squares, picture, write_video

posix = pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")
#: How many moments of a command are tried; by hand SKELREP_TEST_FAULTS=50.
MOMENTS = int(os.environ.get("SKELREP_TEST_FAULTS", "3"))
CHANGES = [
    *("steps=4", "batch=4", "method.slots=8", "method.neighbours=4", "method.aggregated=2", "method.projection=4"),
    *("encoder.backbone.width=8", "encoder.backbone.blocks=1"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Poses, embeddings, a corpus, a model and a run."""
    from tests.conftest import untrained

    folder = tmp_path_factory.mktemp("inputs")
    poses = recordings(labels=np.arange(6) % 2)
    poses.save(folder / "poses.npz")
    corpus_of(poses, folder / "corpus")
    save_pretrained(untrained(small().encoder), folder / "model")
    assert (
        main(["embed", str(folder / "poses.npz"), "-m", str(folder / "model"), "-o", str(folder / "rows.npz"), "-q"])
        == 0
    )
    assert main([*pretraining(folder, folder / "run"), "-q"]) == 0
    assert main(["fit", str(folder / "poses.npz"), "-m", str(folder / "model"), "-o", str(folder / "head"), "-q"]) == 0
    if importlib.util.find_spec("av") is not None:
        write_video(folder / "video.mp4", [picture((40 + 2 * i, 60)) for i in range(6)])
    return folder


def pretraining(inputs: Path, run: Path) -> list[str]:
    command = ["pretrain", "i2md_small", "--data", str(inputs / "corpus"), "-o", str(run), "--save-every", "2"]
    return [*command, "--device", "cpu", "--set", *CHANGES]


#: Commands that write one output: what they are given, and the name of the output.
WRITERS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    **{
        f"embed {suffix}": (
            lambda inputs: ["embed", f"{inputs}/poses.npz", "-m", f"{inputs}/model", "--overwrite", "-q", "-o"],
            f"rows{suffix}",
        )
        for suffix in (".npy", ".npz", ".parquet")
    },
    **{
        f"convert {suffix}": (lambda inputs: ["convert", f"{inputs}/poses.npz", "-q"], f"poses{suffix}")
        for suffix in (".npz", ".csv", ".jsonl", ".parquet")
    },
    "explore": (
        lambda inputs: ["explore", f"{inputs}/poses.npz", "--embeddings", f"{inputs}/rows.npz", "-q", "-o"],
        "page.html",
    ),
    **{
        f"plot {suffix}": (
            lambda inputs: ["plot", f"{inputs}/poses.npz", *["--clip", "0", "--end", "0.3", "-q", "-o"]],
            f"body{suffix}",
        )
        for suffix in (".png", ".gif", ".mp4")
    },
    "duplicates": (
        lambda inputs: ["duplicates", f"{inputs}/rows.npz", *["--threshold", "0.5", "-q", "-o"]],
        "groups.csv",
    ),
    "cluster": (lambda inputs: ["cluster", f"{inputs}/rows.npz", "-k", "2", "-q", "-o"], "clusters.parquet"),
    "export-onnx": (lambda inputs: ["export-onnx", f"{inputs}/model"], "model.onnx"),
    "prepare": (lambda inputs: ["prepare", f"{inputs}/poses.npz", "-q", "-o"], "corpus"),
    "predict": (lambda inputs: ["predict", f"{inputs}/head", f"{inputs}/poses.npz", "-q", "-o"], "events.csv"),
    "detect": (
        lambda inputs: ["detect", *[f"{inputs}/poses.npz"] * 2, *f"-m {inputs}/model --threshold 0.5 -q -o".split()],
        "events.json",
    ),
    "segment": (lambda inputs: ["segment", f"{inputs}/poses.npz", "-m", f"{inputs}/model", "-q", "-o"], "events.jsonl"),
    "poses": (lambda inputs: ["poses", f"{inputs}/video.mp4", "-q", "-o"], "poses.npz"),
    "overlay": (lambda inputs: ["plot", f"{inputs}/video.mp4", "--overlay", "-q", "-o"], "check.mp4"),
    "fit": (lambda inputs: ["fit", f"{inputs}/poses.npz", "-m", f"{inputs}/model", "-q", "-o"], "fitted"),
    "export": (lambda inputs: ["export", f"{inputs}/run"], "exported"),
    "download": (lambda inputs: ["download", f"{inputs}/model", "-o"], "downloaded"),
}


#: Writers whose inputs need a package.
NEEDS = {"embed .parquet": "pyarrow", "convert .parquet": "pyarrow", "cluster": "pyarrow", "segment": "ruptures"}
NEEDS |= {"poses": "av", "overlay": "av", "plot .mp4": "av", "plot .png": "matplotlib", "plot .gif": "matplotlib"}
NEEDS |= {"export-onnx": "onnx"}
#: The file of a folder that is renamed last; without it the folder is refused.
LAST = {"fit": HEAD, "prepare": "corpus.json"}


@pytest.fixture
def estimated(monkeypatch) -> None:
    """Commands that detect people in videos find those that the tests have drawn."""
    for module in ("skelrep.io.video.estimation", "skelrep.plot.overlay"):
        monkeypatch.setattr(importlib.import_module(module), "estimator", lambda pose_model: Squares())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def moments_of(arguments: list[str]) -> list[int]:
    """Some of the moments of a command that succeeds, the first and the last among them."""
    with at(10**9, lambda: None) as moments:
        assert main(arguments) == 0
    return np.unique(np.linspace(0, moments.count - 1, MOMENTS).astype(int)).tolist()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("writer", ["embed .npy", *(pytest.param(name, marks=pytest.mark.slow) for name in WRITERS)])
@pytest.mark.usefixtures("estimated")
def test_a_disk_that_fails(writer, number, inputs, tmp_path, capsys):
    pytest.importorskip(NEEDS.get(writer, "torch"))
    make, name = WRITERS[writer]
    for moment in moments_of([*make(inputs), str(tmp_path / name)]):
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        if is_file := bool(Path(name).suffix):
            (folder / name).write_bytes(b"old")
        before = contents(folder)
        capsys.readouterr()
        with at(moment, failing(number)) as moments:
            code = main([*make(inputs), str(folder / name)])
        said = capsys.readouterr().err
        assert moments.reached and code == 1, said
        assert said.startswith("skelrep: error: ") and said.count("\n") == 1
        assert os.strerror(number) in said
        assert str(folder / name) in said or f"{folder}/.{name}.unfinished" in said  # where `prepare` keeps its parts
        if is_file:
            assert contents(folder) == before, said
        else:  # several files, renamed one after the other, the config last: without it the folder is refused
            assert not (folder / name / LAST.get(writer, CONFIG)).exists() and not list(folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_in_training_keeps_the_last_checkpoint(number, inputs, tmp_path, capsys):
    for moment in moments_of([*pretraining(inputs, tmp_path / "whole"), "-q"]):
        command = [*pretraining(inputs, tmp_path / "run"), "-q"]  # resumes what the last moment left
        capsys.readouterr()
        with at(moment, failing(number)) as moments:
            code = main(command)
        said = capsys.readouterr().err
        if moments.reached:
            assert code == 1 and said.count("\n") == 1 and str(tmp_path / "run") in said
        assert not list(tmp_path.rglob("*.part"))
    assert main(command) == 0
    assert same(load_pretrained(tmp_path / "run" / "encoder"), load_pretrained(tmp_path / "whole" / "encoder"))


def killed(arguments: list[str], moment: int) -> bool:
    """Runs a command until this moment; whether it came so far."""
    process = another_process(command_until, arguments, moment)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@posix
@pytest.mark.slow
def test_a_run_that_is_killed_while_it_writes_resumes_bit_exactly(inputs, tmp_path):
    whole = tmp_path / "whole"
    for moment in moments_of([*pretraining(inputs, whole), "-q"]):
        run = tmp_path / f"run{moment}"
        assert killed([*pretraining(inputs, run), "-q"], moment)
        assert main([*pretraining(inputs, run), "-q"]) == 0
        assert same(load_pretrained(run / "encoder"), load_pretrained(whole / "encoder")), moment
        for name in ("recipe.json", "corpus.json"):
            assert (run / name).read_bytes() == (whole / name).read_bytes(), (moment, name)
        assert not list(run.rglob("*.part"))


@posix
@pytest.mark.slow
@pytest.mark.parametrize("writer", ["embed .npz", "export", "download"])
def test_a_killed_command_leaves_a_whole_output_or_the_old_one(writer, inputs, tmp_path):
    make, name = WRITERS[writer]
    moments = moments_of([*make(inputs), str(tmp_path / name)])
    whole = (tmp_path / name).read_bytes() if Path(name).suffix else None
    for moment in moments:
        folder = tmp_path / f"killed{moment}"
        folder.mkdir()
        if is_file := bool(Path(name).suffix):
            (folder / name).write_bytes(b"old")
        assert killed([*make(inputs), str(folder / name)], moment)
        if is_file:
            assert (folder / name).read_bytes() in (b"old", whole)
            assert main([*make(inputs), str(folder / name)]) == 0
            assert (folder / name).read_bytes() == whole and len(list(folder.iterdir())) == 1
        elif (folder / name / CONFIG).exists():
            assert same(load_pretrained(folder / name), load_pretrained(tmp_path / name))
        else:
            with pytest.raises(FileNotFoundError, match=r"no config\.json"):
                load_pretrained(folder / name)


def to_shards(inputs: Path, folder: Path) -> list[str]:
    return ["embed", f"{inputs}/poses.npz", "-m", f"{inputs}/model", "--shard-size", "2", "-q", "-o", f"{folder}"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_while_a_corpus_is_embedded(number, inputs, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    whole = tmp_path / "whole"
    for moment in moments_of(to_shards(inputs, whole)):
        rows = tmp_path / f"rows{moment}"
        capsys.readouterr()
        with at(moment, failing(number)) as moments:
            code = main(to_shards(inputs, rows))
        said = capsys.readouterr().err
        assert moments.reached and code == 1, said
        assert said.startswith("skelrep: error: ") and said.count("\n") == 1 and str(rows) in said
        assert not list(rows.rglob("*.part"))
        assert main(to_shards(inputs, rows)) == 0  # goes on where it was
        assert contents(rows) == contents(whole)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["embed .npz", "convert .npz", "fit", "export", "download", "shards", "pretrain"])
def test_a_command_that_is_killed_at_any_time_can_be_run_again(name, inputs, tmp_path):
    """Moments of time, not of writing: also before the first and after the last byte."""

    def arguments(folder: Path) -> list[str]:
        if name == "pretrain":
            return [*pretraining(inputs, folder / "run"), "-q"]
        if name == "shards":
            return to_shards(inputs, folder / "rows")
        make, output = WRITERS[name]
        return [*make(inputs), str(folder / output)]

    def run(folder: Path, seconds: float | None = None) -> int | None:
        process = another_process(command, arguments(folder))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode

    (tmp_path / "whole").mkdir()
    started = time.monotonic()
    assert run(tmp_path / "whole") == 0
    whole, seconds = stable(tmp_path / "whole"), time.monotonic() - started
    for i, fraction in enumerate(np.random.default_rng(0).uniform(0, 1.1, MOMENTS)):
        folder = tmp_path / f"{i}"
        folder.mkdir()
        assert run(folder, fraction * seconds) in (0, -signal.SIGKILL)
        if name == "export" and (folder / "exported").exists():  # never writes into a folder that is not empty
            shutil.rmtree(folder / "exported")
        assert run(folder) == 0
        assert stable(folder) == whole


def stable(folder: Path) -> dict[str, bytes]:
    """The contents of all files that do not say when or where they were written."""
    left_out = ("log.jsonl", "README.md", ".lock", "checkpoint.pt")
    found = {name: data for name, data in contents(folder).items() if Path(name).name not in left_out}
    return {name: data for name, data in found.items() if "tfevents" not in name}


@posix
@pytest.mark.slow
def test_a_corpus_that_is_killed_while_it_writes_is_resumed(inputs, tmp_path):
    pytest.importorskip("pyarrow")
    whole = tmp_path / "whole"
    for moment in moments_of(to_shards(inputs, whole)):
        rows = tmp_path / f"rows{moment}"
        assert killed(to_shards(inputs, rows), moment)
        assert main(to_shards(inputs, rows)) == 0
        assert contents(rows) == contents(whole)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["embed .npz", "convert .npz", "export", "pretrain"])
def test_two_processes_with_one_output(name, inputs, tmp_path):
    make, output = WRITERS.get(name, (None, "run"))
    arguments = pretraining(inputs, tmp_path / output) if make is None else [*make(inputs), str(tmp_path / output)]
    processes = [another_process(command, arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    # One of two runs, and one of two exports, may find that the other has begun.
    codes = sorted(process.exitcode or 0 for process in processes)
    assert codes == [0, 0] or (codes == [0, 1] and name in ("export", "pretrain"))
    assert not list(tmp_path.rglob("*.part"))
    if make is None:
        assert same(load_pretrained(tmp_path / output / "encoder"), load_pretrained(inputs / "run" / "encoder"))
        return
    (tmp_path / "alone").mkdir()
    assert main([*make(inputs), str(tmp_path / "alone" / output)]) == 0
    if Path(output).suffix:
        assert (tmp_path / output).read_bytes() == (tmp_path / "alone" / output).read_bytes()
    else:
        assert same(load_pretrained(tmp_path / output), load_pretrained(tmp_path / "alone" / output))
