"""Embeddings are bit-identical for all Python options, locales, home folders and modes of torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skelrep import Poses
from tests.bodies import walking

ROOT = Path(__file__).parents[1]
SCRIPT = """
import contextlib, hashlib, sys
import torch
import skelrep
around = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "default dtype": lambda: torch.set_default_dtype(torch.float64) or contextlib.nullcontext(),
    "deterministic": lambda: torch.use_deterministic_algorithms(True) or contextlib.nullcontext(),
}.get(sys.argv[2], contextlib.nullcontext)
poses = skelrep.read(sys.argv[1])
encoder = skelrep.load_pretrained(device="cpu")
with around():
    rows = encoder.embed(poses, show_progress=False)
print(rows.dtype, hashlib.sha256(rows.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def poses(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("poses") / "a.npz"
    Poses([walking("common-15", 30 + i, seed=i) for i in range(5)], "common-15", fps=30).save(path)
    return path


def embedded(poses: Path, switches: list[str] = [], mode: str = "", **variables: str | None) -> str:  # noqa: B006
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment = {key: value for key, value in (environment | variables).items() if value is not None}
    done = subprocess.run(
        [sys.executable, *switches, "-c", SCRIPT, str(poses), mode], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plain(poses) -> str:
    return embedded(poses)


@pytest.mark.slow
def test_switches_of_python(poses, plain):
    assert plain.startswith("float32 ")
    # Warnings of other packages while they are imported are theirs.
    switches = ["-W", "error", "-W", "default::DeprecationWarning", "-W", "default::ImportWarning", "-X", "dev"]
    assert embedded(poses, [*switches, "-W", "default::ResourceWarning", "-bb", "-O"]) == plain


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "LANG": "C"}, {"HOME": None}, {"HOME": "/proc"}],
    ids=["C", "no home", "read-only home"],
)
def test_variables(poses, plain, variables):
    assert embedded(poses, **variables) == plain


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["autocast", "inference", "default dtype", "deterministic"])
def test_modes_of_torch(poses, plain, mode):
    assert embedded(poses, mode=mode) == plain


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")
def test_a_killed_embed_leaves_the_old_file_whole(poses, tmp_path):
    output = tmp_path / "rows.npy"
    np.save(output, np.zeros((1, 2), np.float32))
    before = output.read_bytes()
    command = [sys.executable, "-m", "skelrep", "embed", str(poses), "-o", str(output), "--overwrite", "-q"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    subprocess.run([*command[:-3], str(tmp_path / "new.npy"), "-q"], env=environment, check=True)
    seconds = time.monotonic() - started
    whole = (tmp_path / "new.npy").read_bytes()
    for moment in np.random.default_rng(0).uniform(0.3, 1.1, 5):
        process = subprocess.Popen(command, env=environment)
        time.sleep(moment * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert output.read_bytes() in (before, whole)
    subprocess.run(command, env=environment, check=True)
    assert output.read_bytes() == whole
