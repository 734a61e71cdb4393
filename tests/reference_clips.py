"""Generated clips with stored embeddings by the bundled encoders, so that a change of published numbers is noticed.

python -m tests.reference_clips      rewrites the stored embeddings; only for encoders that were added
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelrep import Poses, embed
from skelrep.skeletons import SKELETONS

FILE = Path(__file__).with_name("reference") / "embeddings.npz"


def clips() -> dict[str, Poses]:
    """A few clips of each kind of input; by formula, since random generators may change between numpy versions."""
    kinect, ntu, coco = SKELETONS["kinect-20"], SKELETONS["ntu-25"], SKELETONS["coco-17"]
    gaps = _clip(len(kinect), 50, 3)
    gaps[0, 10:20, 7] = np.nan
    gaps[0, :5] = np.nan
    lost = _clip(len(kinect), 40, 4)
    lost[0, :, 3] = np.nan
    crowd = np.concatenate([_clip(len(ntu), 45, seed) for seed in (5, 6, 7)])
    return {
        "kinect": Poses([_clip(len(kinect), 64, 1), _clip(len(kinect), 23, 2), gaps, lost], kinect, fps=30.0),
        "ntu": Poses([crowd[:2]], ntu, fps=30.0),
        "crowd": Poses([crowd], ntu, fps=30.0),
        "coco": Poses([300 + 100 * _clip(len(coco), 30, 8)[..., [0, 2]]], coco, fps=30.0),
    }


def _clip(joints: int, frames: int, seed: int) -> np.ndarray:
    """(1, T, V, 3): every joint swings about a different position."""
    number = np.arange(1, 3 * joints + 1, dtype=np.float64).reshape(joints, 3)
    middle, phase, speed = np.sin(7.1 * number + seed), 6.3 * np.sin(3.7 * number * seed), 0.1 + 0.05 * np.cos(number)
    time = np.arange(frames)[:, None, None]
    return (middle + 0.2 * np.sin(phase + speed * time))[None].astype(np.float32)


if __name__ == "__main__":
    from skelrep.hub import bundled

    stored = dict(np.load(FILE)) if FILE.exists() else {}
    for model in bundled():
        for kind, poses in clips().items():
            stored.setdefault(f"{model}/{kind}", embed(poses, model))
    FILE.parent.mkdir(exist_ok=True)
    np.savez(FILE, **stored)
