"""An encoder and labelled poses as files in a temporary folder."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import save_pretrained
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS


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
    return Poses(clips, SKELETONS["kinect-20"], labels=labels, fps=30.0, info={"subject": np.arange(24) // 6})


@pytest.fixture
def files(poses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    poses.select(subject=[0, 1]).save("train.npz")
    poses.select(subject=[2, 3]).save("test.npz")
    np.save("clip.npy", poses.clips[0])
    return tmp_path
