"""Clips of different lengths and numbers of persons, with gaps."""

from __future__ import annotations

import numpy as np

from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS

KINECT = SKELETONS["kinect-20"]


def ragged(count=7, seed=0, persons=2, skeleton=KINECT):
    rng = np.random.default_rng(seed)
    clips = []
    for i in range(count):
        clip = rng.normal(size=(1 + i % persons, int(rng.integers(1, 120)), len(skeleton), 3)).cumsum(axis=1) * 0.05
        clip = clip + rng.normal(size=(len(skeleton), 3))
        clip[rng.random(clip.shape[:3]) < 0.05] = np.nan
        clips.append(clip.astype(np.float32))
    return Poses(clips, skeleton, ids=[f"clip{i}" for i in range(count)], fps=30.0)
