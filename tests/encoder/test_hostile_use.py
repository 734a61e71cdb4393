"""Embedding in threads during training, in forked processes, and with numbers that overflow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
import torch

from skelrep import Poses
from skelrep.encoder.inference import check_finite
from tests.bodies import walking


def test_threads_that_embed_leave_the_mode_alone(tiny_encoder):
    poses = Poses([walking("common-15")] * 3, "common-15")
    tiny_encoder.train()
    threads = [threading.Thread(target=tiny_encoder.embed, args=(poses,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(module.training for module in tiny_encoder.modules())


def test_weights_that_overflow_are_refused(tiny_encoder):
    with torch.no_grad():
        for weight in tiny_encoder.parameters():
            weight.fill_(1e30)
    with pytest.raises(ValueError, match=r"e\+3\d"):
        tiny_encoder.embed(Poses([walking("common-15")] * 3, "common-15"))


def test_embeddings_that_are_not_finite_are_refused_by_name():
    rows = torch.zeros(3, 4)
    check_finite(rows, ["a", "b", "c"])
    rows[1, 2] = torch.nan
    rows[2, 0] = torch.inf
    with pytest.raises(ValueError, match="2 clips .*: b, c;"):
        check_finite(rows, ["a", "b", "c"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.slow
def test_a_forked_process_embeds(tmp_path):
    script = """
import os, signal, numpy as np, torch, skelrep
from tests.bodies import walking
torch.set_num_threads(2)
poses = skelrep.Poses([walking("common-15")] * 9, "common-15")
encoder = skelrep.load_pretrained(device="cpu")
before = encoder.embed(poses)
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if np.allclose(encoder.embed(poses), before, atol=1e-5) else 3)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
