"""A corpus of small files, and an encoder for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelrep import save_pretrained
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.conftest import untrained

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")


def recording(seed: int, frames: int = 9, name: str = "clip") -> Poses:
    clip = np.random.default_rng(seed).normal(size=(1, frames, 20, 3)).astype(np.float32)
    info = {"subject": np.array([seed % 3])}
    return Poses([clip], SKELETONS["kinect-20"], [name], labels=[seed % 2], fps=30.0, info=info)


def parts(folder: Path) -> dict[str, bytes]:
    """The content of the part files of a corpus."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.parquet"))}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Twelve files of a clip each, in the folders of their class."""
    for seed in range(12):
        folder = tmp_path / "inputs" / ("wave", "7")[seed % 2]
        folder.mkdir(parents=True, exist_ok=True)
        recording(seed, name=f"{seed:02}").save(folder / f"{seed:02}.npz")
    return tmp_path / "inputs"


@pytest.fixture
def model(tiny_config, tmp_path: Path) -> Path:
    save_pretrained(untrained(tiny_config), tmp_path / "model")
    return tmp_path / "model"
