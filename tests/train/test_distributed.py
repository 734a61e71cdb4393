"""Training in several processes: steps on parts of a batch equal those on the whole, and `torchrun` writes a model."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from skelrep import load_pretrained
from skelrep.encoder import Encoder
from skelrep.train import distributed
from skelrep.train.accumulation import losses_with_gradients
from skelrep.train.i2md import Method
from skelrep.train.loop import _trained
from tests.corpus_data import ENVIRONMENT, PYTHON, TIMES, another_process, corpus_of, recordings, small, small_paper

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available() or os.name != "posix", reason="needs gloo"),
]
PROCESSES, BATCH = 2, 6


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def step(make, rank: int, processes: int, accumulate: int = 1) -> dict[str, torch.Tensor]:
    """Two steps on this process's part of fixed views; returns everything that must be equal in all processes."""
    recipe = make()
    torch.manual_seed(0)
    method = Method(Encoder(recipe.encoder), recipe.method).train()
    persons = recipe.encoder.preprocess.persons if make is small_paper else 1
    shape = (2, 2, BATCH, persons, recipe.encoder.preprocess.frames, len(recipe.encoder.skeleton), 3)
    views, clip = torch.randn(shape), torch.arange(2 * BATCH).view(2, BATCH) % 5
    forward = distributed.parallel(method) if processes > 1 else method
    optimizer = torch.optim.SGD(_trained(method), lr=0.1, momentum=0.9)
    part = slice(rank * BATCH // processes, (rank + 1) * BATCH // processes)
    result = {}
    for number in range(2):
        optimizer.zero_grad()
        mine = (views[number, 0, part], views[number, 1, part], clip[number, part])
        losses = losses_with_gradients(forward, forward, method, mine, accumulate)
        optimizer.step()
        method.after_step()
        result |= {f"loss {number} {name}": loss.detach() for name, loss in losses.items()}
    return result | {f"state {name}": value for name, value in method.state_dict().items()}


def normalised(rank: int, processes: int) -> dict[str, torch.Tensor]:
    """Shared BatchNorm of vectors and of maps, forwards and backwards."""
    torch.manual_seed(0)
    result = {}
    for layer, shape in (
        (nn.BatchNorm1d(3), (8, 3)),
        (nn.BatchNorm1d(3), (8, 3, 5)),
        (nn.BatchNorm2d(3), (8, 3, 5, 2)),
    ):
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.uniform_(layer.bias)
        whole, wanted = torch.randn(shape) * 3 + 1, torch.randn(shape)
        part = slice(rank * 8 // processes, (rank + 1) * 8 // processes)
        x = whole[part].clone().requires_grad_()
        if processes > 1:
            distributed.share_statistics(layer)
        out = layer(x)
        ((out - wanted[part]) ** 3).sum().backward()
        for name, value in {"out": out.detach(), "input": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad,
                            "mean": layer.running_mean, "variance": layer.running_var,
                            "batches": layer.num_batches_tracked}.items():  # fmt: skip
            result[f"{name} {tuple(shape)}"] = value
        layer.eval()
        result[f"evaluated {tuple(shape)}"] = layer(whole).detach()
    return result


def other_parts(rank: int) -> dict[str, torch.Tensor]:
    """The smaller functions."""
    rows = torch.arange(4).view(2, 2) + 10 * rank
    device = torch.device("cpu")
    flags = [distributed.any_process(flag, device) for flag in (False, rank == 1, True)]
    return {
        "gathered rows": distributed.gathered(rows, dim=0),
        "gathered columns": distributed.gathered(rows.T, dim=1),
        "flags": torch.tensor(flags),
        "rank": torch.tensor([distributed.rank(), distributed.processes()]),
    }


def work(rank: int, port: int, folder: str) -> None:
    """What each process does; its results go into a file."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(PROCESSES))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    assert distributed.start(torch.device("cpu")) == torch.device("cpu")
    results = {
        "convolution": step(small, rank, PROCESSES),
        "recurrent": step(small_paper, rank, PROCESSES),
        "accumulated": step(small_paper, rank, PROCESSES, accumulate=3),
        "normalised": normalised(rank, PROCESSES),
        "parts": other_parts(rank),
    }
    torch.save(results, Path(folder, f"{rank}.pt"))
    distributed.stop()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """Of each of two processes."""
    folder, port = tmp_path_factory.mktemp("processes"), free_port()
    processes = [another_process(work, rank, port, str(folder)) for rank in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


@pytest.mark.parametrize(
    ("name", "make"), [("convolution", small), ("recurrent", small_paper), ("accumulated", small_paper)]
)
def test_steps_on_parts_are_the_steps_on_the_whole(name, make, results):
    whole, parts = step(make, 0, 1), [result[name] for result in results]
    assert all(part.keys() == whole.keys() for part in parts)
    assert {"state key.streams.joint.norm.running_mean", "state memory.bank", "state memory.clip"} < whole.keys()
    for key, expected in whole.items():
        if key.startswith("loss"):
            got = torch.stack([part[key] for part in parts]).mean(dim=0)
        else:
            assert torch.equal(parts[0][key], parts[1][key]), key  # all processes stay the same, bit by bit
            got = parts[0][key]
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_shared_statistics_are_those_of_the_joined_batch(results):
    whole, parts = normalised(0, 1), [result["normalised"] for result in results]
    for key, expected in whole.items():
        got = parts[0][key]
        if key.startswith(("out", "input")):
            got = torch.cat([part[key] for part in parts])
        elif key.startswith(("weight", "bias")):
            got = sum(part[key] for part in parts)  # the gradient of a sum over all rows
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_parts_are_gathered_and_flags_synchronised(results):
    for rank, parts in enumerate(result["parts"] for result in results):
        assert parts["gathered rows"].tolist() == [[0, 1], [2, 3], [10, 11], [12, 13]]
        assert parts["gathered columns"].tolist() == [[0, 2, 10, 12], [1, 3, 11, 13]]
        assert parts["flags"].tolist() == [False, True, True]
        assert parts["rank"].tolist() == [rank, 2]


def test_a_single_process_gathers_nothing():
    rows = torch.arange(4)
    assert distributed.gathered(rows, dim=0) is rows
    assert (distributed.rank(), distributed.processes()) == (0, 1)
    assert distributed.any_process(True, rows.device) and not distributed.any_process(False, rows.device)
    distributed.stop()
    layer = nn.BatchNorm1d(3)
    x = torch.randn(8, 3)
    expected = layer(x)
    distributed.share_statistics(layer)
    assert torch.equal(layer(x), expected)


CHANGES = ["encoder.backbone.width=8", "encoder.backbone.blocks=1", "method.slots=32", "method.neighbours=16",
           "method.projection=8", "batch=8", "steps=16"]  # fmt: skip


def start(command: list[str], corpus: Path, folder: Path, *changes: str, **environment: str) -> subprocess.Popen:
    command = [PYTHON, *command, "-m", "skelrep.train", "i2md_small", "--data", str(corpus), "-o", str(folder),
               "--device", "cpu", "--save-every", "2", "--threads", "1", "--set", *CHANGES, *changes]  # fmt: skip
    return subprocess.Popen(
        command, env=ENVIRONMENT | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_torchrun_resumes_after_it_was_killed(tmp_path):
    corpus = corpus_of(recordings(), tmp_path / "corpus")
    log = tmp_path / "run" / "log.jsonl"
    # As torchrun starts its workers; they survive its sudden death, so these are killed one by one.
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    workers = [start([], corpus, tmp_path / "run", RANK=rank, LOCAL_RANK=rank, **together) for rank in ("0", "1")]
    try:
        while not (log.exists() and log.read_text().count("\n") >= 1) and workers[0].poll() is None:
            time.sleep(0.02)
    finally:
        for worker in workers:
            worker.kill()
        said = [worker.communicate()[0] for worker in workers]
    begun = len(log.read_text().splitlines()) if log.exists() else 0
    assert 1 <= begun < 8 and not (tmp_path / "run" / "encoder").exists(), said
    resumed = start(
        ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())],
        corpus,
        tmp_path / "run",
    )
    said, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, said
    assert "warning" not in said
    assert said.count(f"-> {tmp_path / 'run' / 'encoder'}") == 1  # by one of the processes
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(2, 17, 2))
    encoder = load_pretrained(tmp_path / "run" / "encoder")
    assert encoder.embed(recordings(2), show_progress=False).shape == (2, encoder.dim)


def torchrun(corpus: Path, folder: Path) -> subprocess.Popen:
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    return start(command, corpus, folder, "steps=60")


def workers_of(process: subprocess.Popen) -> dict[str, int]:
    """The process ids of torchrun's workers, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process.pid:
                words = dict(word.partition("=")[::2] for word in (folder / "environ").read_text().split("\0"))
                found[words["RANK"]] = int(folder.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_run_with_a_message_and_it_resumes_bit_exactly(tmp_path):
    corpus = corpus_of(recordings(), tmp_path / "corpus")
    whole = torchrun(corpus, tmp_path / "whole")
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    run = tmp_path / "run"
    log, begun = run / "log.jsonl", 0
    for killed in ("1", "0"):
        process = torchrun(corpus, run)
        while process.poll() is None and (len(log.read_text().splitlines()) if log.exists() else 0) < begun + 2:
            time.sleep(0.01)
        os.kill(workers_of(process)[killed], signal.SIGKILL)
        said, _ = process.communicate(timeout=300)
        assert process.returncode != 0 and not (run / "encoder").exists(), said
        sentence = f"skelrep: error: another process of this run has ended; the last checkpoint is kept in {run}, and"
        assert said.count(sentence) == 1, said  # said by the process that is left
        begun = len(log.read_text().splitlines())
        assert 2 <= begun < 30
    resumed = torchrun(corpus, run)
    said, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, said
    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "run"))
    assert one["step"] == other["step"] == 60
    for name, value in one["method"].items():
        assert torch.equal(value, other["method"][name]), name
    lines = [
        [json.loads(line) | TIMES for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "run")
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 30


def test_cuda_uses_sync_batchnorm(monkeypatch):
    """The conversion alone, which needs no GPU: weights and statistics stay the same tensors under the same names."""
    method = nn.ModuleDict({"entry": nn.BatchNorm1d(3), "block": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))})
    before = method.state_dict(keep_vars=True)
    monkeypatch.setattr(distributed, "_on_cuda", lambda module: True)
    distributed.share_statistics(method)
    after = method.state_dict(keep_vars=True)
    assert list(after) == list(before) and all(after[name] is before[name] for name in before)
    assert isinstance(method["entry"], nn.SyncBatchNorm) and isinstance(method["block"][1], nn.SyncBatchNorm)
