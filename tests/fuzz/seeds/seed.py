"""What a seed is, and the body of which most of them are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelrep import Poses
from skelrep.skeletons import SKELETONS

FRAMES = 12


@dataclass(frozen=True)
class Seed:
    """A valid input.

    Attributes:
        kind: What reads it, a function in `tests.fuzz.worker`.
        path: The file or folder that is read.
        damaged: The files of it that are mutated.
        options: Arguments of the reader.
    """

    kind: str
    path: Path
    damaged: tuple[Path, ...]
    options: dict

    def job(self) -> dict:
        """As the worker takes it."""
        damaged = [str(path) for path in self.damaged]
        return {"kind": self.kind, "path": str(self.path), "damaged": damaged, "options": self.options}


def seed_of(job: dict) -> Seed:
    """The seed of a job."""
    return Seed(job["kind"], Path(job["path"]), tuple(map(Path, job["damaged"])), job["options"])


def body(skeleton: str, frames: int = FRAMES, clips: int = 2) -> Poses:
    """Clips of a body that walks on the spot, on a named skeleton; numbers without a meaning."""
    rng = np.random.default_rng(0)
    joints = len(SKELETONS[skeleton])
    rest = rng.normal(size=(1, 1, joints, 3))
    motion = [(rest + 0.1 * rng.normal(size=(1, frames + i, joints, 3))).astype(np.float32) for i in range(clips)]
    return Poses(
        motion,
        SKELETONS[skeleton],
        [f"clip{i}" for i in range(clips)],
        np.arange(clips),
        30.0,
        info={"subject": np.arange(clips)},
    )


def single(path: Path, kind: str = "poses", **options: object) -> Seed:
    """A seed of one file, which is damaged."""
    return Seed(kind, path, (path,), options)
