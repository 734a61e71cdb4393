"""A Ray of this machine with two actors: the same bytes as without it, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skelrep import corpus
from skelrep.corpus import shards
from tests.corpus.conftest import parts

ray = pytest.importorskip("ray", reason="needs Ray: pip install '.[ray]'")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# Ray gives its actors a low priority, so that they starve beside other tests; it reads this when it starts.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def whole(inputs: Path, model: Path, tmp_path: Path) -> dict[str, bytes]:
    corpus.embed(inputs, tmp_path / "local", model, shard_size=2)
    return parts(tmp_path / "local")


def test_it_equals_the_local_engine_and_takes_turns_with_it(cluster, inputs, model, whole, tmp_path):
    rows = tmp_path / "rows"
    assert corpus.embed(inputs, rows, model, shard_size=2, shard=(0, 3)).made == 2
    summary = corpus.embed(inputs, rows, model, engine="ray", workers=2)
    assert (summary.made, summary.finished) == (4, 6) and parts(rows) == whole
    assert corpus.embed(inputs, rows, model, engine="ray").made == 0


def test_an_error_in_an_actor_is_the_error(cluster, inputs, model, tmp_path):
    (inputs / "wave" / "06.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"06\.npz"):
        corpus.embed(inputs, tmp_path / "rows", model, shard_size=2, engine="ray", workers=2)
    found = parts(tmp_path / "rows")
    summary = corpus.embed(inputs, tmp_path / "rows", model, engine="ray", on_error="skip")
    # Not equal: the other actor may still finish the shard that it works on.
    assert summary.made <= 6 - len(found) and summary.finished == 6
    assert summary.rows == 11 and len(summary.skipped) == 1


def test_an_actor_that_is_killed_is_replaced(cluster, inputs, model, whole, tmp_path):
    killed = []

    def kill(progress: corpus.Progress) -> None:
        if not killed:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if b"ray::ShardEmbedder" in path.read_bytes():
                        killed.append(int(path.parent.name))
                        os.kill(killed[-1], signal.SIGKILL)

    summary = corpus.embed(inputs, tmp_path / "rows", model, shard_size=2, engine="ray", workers=2, on_shard=kill)
    assert killed and summary.finished == 6 and parts(tmp_path / "rows") == whole


def test_a_shard_that_kills_every_actor_ends_the_run(cluster, inputs, model, tmp_path, monkeypatch):
    class Deadly(shards.ShardEmbedder):
        def make(self, task: shards.Task) -> shards.Done:
            if task.number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().make(task)

    monkeypatch.setattr("skelrep.corpus.ray.ShardEmbedder", Deadly)
    with pytest.raises(OSError, match="4 times"):
        corpus.embed(inputs, tmp_path / "rows", model, shard_size=2, engine="ray", workers=2)
    monkeypatch.undo()
    assert corpus.embed(inputs, tmp_path / "rows", model).finished == 6


def test_a_driver_that_is_killed_loses_nothing(inputs, model, tmp_path):
    corpus.embed(inputs, tmp_path / "local", model, shard_size=1)
    whole = parts(tmp_path / "local")
    rows = tmp_path / "rows"
    command = [sys.executable, "-m", "skelrep", "embed", inputs, "-o", f"{rows}/", "-m", model, "--engine", "ray"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    moments = random.Random(os.environ.get("SKELREP_TEST_SEED", "0"))
    remaining = []
    for _ in range(int(os.environ.get("SKELREP_TEST_KILLS", "1"))):
        before = parts(rows)
        if len(before) == len(whole):  # so that there is something to interrupt
            for name in moments.sample(sorted(before), moments.randint(1, len(before))):
                (rows / name).unlink()
            before = parts(rows)
        driver = subprocess.Popen([*command, "--shard-size", "1", "-q"], env=environment, stderr=subprocess.DEVNULL)
        while driver.poll() is None and not parts(rows).keys() - before.keys():
            time.sleep(0.01)
        time.sleep(0.1 * moments.random())
        driver.kill()
        driver.wait()
        found = parts(rows)
        assert before.items() < found.items() <= whole.items()
        remaining.append(len(whole) - len(found))
    print("shards that remained after each kill:", remaining)  # noqa: T201  # shown by pytest -s
    found = parts(rows)
    summary = corpus.embed(inputs, rows, model, shard_size=1)
    # Not equal: an actor that outlives the driver may still finish the shard that it works on.
    assert summary.made <= len(whole) - len(found)
    assert summary.finished == len(whole) and summary.rows == len(whole)
    assert parts(rows) == whole
