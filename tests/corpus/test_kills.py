"""A run that is killed at any moment: nothing finished is lost, nothing half is taken for whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skelrep import corpus
from tests.corpus.conftest import parts

FORKS = "fork" in multiprocessing.get_all_start_methods() and sys.platform == "linux"


@pytest.mark.skipif(not FORKS, reason="needs processes that begin where this one is")
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(inputs, model, tmp_path):
    started = time.monotonic()
    corpus.embed(inputs, tmp_path / "whole", model, shard_size=2)
    whole, duration = parts(tmp_path / "whole"), time.monotonic() - started
    assert len(whole) == 6
    moments = random.Random(0)
    kills = 0
    while kills < 12:
        output = tmp_path / f"killed-{kills}"
        for _ in range(2):
            process = multiprocessing.get_context("fork").Process(
                target=corpus.embed, args=(inputs, output, model), kwargs={"shard_size": 2}
            )
            process.start()
            process.join(moments.random() * duration)
            process.kill()
            process.join()
            kills += 1
            found = parts(output)
            assert found.items() <= whole.items()
        summary = corpus.embed(inputs, output, model, shard_size=2)
        assert summary.made == 6 - len(found) and parts(output) == whole
        assert not list(output.glob(".*"))  # temporary files of the killed


def descendants(pid: int) -> list[str]:
    """The processes that a process has started, and those that these have."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return children + [each for child in children for each in descendants(int(child))]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_worker_processes_end_with_a_parent_that_was_killed(inputs, model, tmp_path):
    code = f"""
if __name__ == "__main__":
    from skelrep import corpus
    corpus.embed({str(inputs)!r}, {str(tmp_path / "rows")!r}, {str(model)!r}, shard_size=1, workers=2)
"""
    (tmp_path / "run.py").write_text(code)
    parent = subprocess.Popen([sys.executable, tmp_path / "run.py"], cwd=Path(__file__).parents[2])
    children: list[str] = []
    while parent.poll() is None and len(children) < 4:  # the tracker and the server of multiprocessing, two workers
        children = descendants(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    for _ in range(600):
        if not [child for child in children if Path(f"/proc/{child}").exists()]:
            break
        time.sleep(0.1)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert corpus.embed(inputs, tmp_path / "rows", model, shard_size=1).finished == 12


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_process_that_is_killed_is_one_sentence(inputs, model, tmp_path):
    def kill_one(progress: corpus.Progress) -> None:
        [server] = [child for child in descendants(os.getpid()) if descendants(int(child))]
        os.kill(int(descendants(int(server))[0]), signal.SIGKILL)

    with pytest.raises(OSError, match="resumes"):
        corpus.embed(inputs, tmp_path / "rows", model, shard_size=1, workers=2, on_shard=kill_one)
    assert corpus.embed(inputs, tmp_path / "rows", model, shard_size=1).finished == 12
