"""Files of poses and of embeddings for the tests of commands that read both."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skelrep import save_pretrained
from skelrep.cli import main
from skelrep.encoder import Encoder
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS


def write_files(encoder: Encoder) -> None:
    """A model, and poses of two files, in the current folder."""
    save_pretrained(encoder, "model")
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 1, 1, 20, 3))
    clips = [kinds[i % 3] + 0.1 * rng.normal(size=(1, 40 + i, 20, 3)) for i in range(24)]
    labels = np.array(["sit", "run", "bow"])[np.arange(24) % 3]
    info = {"subject": np.arange(24) // 6, "weight": rng.random(24), "a": np.arange(24) < 12, "b": np.arange(24) > 11}
    poses = Poses(clips, SKELETONS["kinect-20"], [f"clip {i}" for i in range(24)], labels, 30.0, info=info)
    poses[:8].save("few.npz")
    poses.save("all.npz")


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
