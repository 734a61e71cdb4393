"""Small corpora and recipes for the tests of training."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.encoder import EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess_config import CMD_LINE
from skelrep.skeletons import SKELETONS
from skelrep.train.i2md import MethodConfig
from skelrep.train.prepare import prepare
from skelrep.train.recipes import Recipe, paper

COMMON, NTU = SKELETONS["common-15"], SKELETONS["ntu-25"]
#: What lines of a log say about time, which no two runs share.
TIMES = {"seconds": 0.0, "data_fraction": 0.0, "clips_per_second": 0.0}
METHOD = MethodConfig(projection=8, slots=24, neighbours=12, momentum=0.9, aggregated=4, start=0.5)


def small(**changes) -> Recipe:
    """A very small recipe of the bundled kind, every person encoded alone, with all losses."""
    config = EncoderConfig(backbone=ConvolutionConfig(width=8, blocks=1, kernel=3, spans=2))
    return dataclasses.replace(Recipe(encoder=config, method=METHOD, batch=6, steps=8, warmup=2), **changes)


def small_paper(**changes) -> Recipe:
    """A very small recipe of the paper, with two persons in one input."""
    recipe = paper("i2md")
    preprocess = dataclasses.replace(CMD_LINE, frames=8)
    encoder = dataclasses.replace(recipe.encoder, preprocess=preprocess, backbone=RecurrentConfig(hidden=4, layers=2))
    changes = {"encoder": encoder, "method": METHOD, "batch": 6, "epochs": 3, "drop": 0.5} | changes
    return dataclasses.replace(recipe, **changes)


def recordings(count: int = 6, frames: int = 90, seed: int = 0, **columns: Any) -> Poses:
    """Clips of one upright person of different lengths; every joint swings at a different speed."""
    rng = np.random.default_rng(seed)
    rest = np.zeros((15, 3))
    rest[[1, 2]] = [[0, 0.5, 0], [0, 0.7, 0]]
    rest[[3, 4, 5]] = [[0.2, 0.5, 0], [0.2, 0.2, 0], [0.2, 0, 0]]
    rest[[9, 10, 11]] = [[0.1, 0, 0], [0.1, -0.4, 0], [0.1, -0.8, 0]]
    rest[[6, 7, 8, 12, 13, 14]] = rest[[3, 4, 5, 9, 10, 11]] * [-1, 1, 1]
    clips = []
    for i in range(count):
        time = np.linspace(0, 9, frames + 7 * (i % 3))[:, None, None]
        clips.append((rest + 0.1 * np.sin(time * rng.uniform(0.5, 2, (15, 3))))[None])
    return Poses(clips, COMMON, fps=30.0, **columns)


def pairs(count: int = 6, frames: int = 80, seed: int = 0) -> Poses:
    """NTU's skeleton; two persons in every other clip, one in the rest, one joint of whom is never seen."""
    rng = np.random.default_rng(seed)
    clips = []
    for i in range(count):
        persons, length = 1 + i % 2, frames + 5 * (i % 3)
        walk = rng.normal(size=(persons, length, 1, 3)).cumsum(axis=1) * 0.02
        clip = rng.normal(size=(persons, 1, 25, 3)) + walk + 0.05 * rng.normal(size=(persons, length, 25, 3))
        clip[0] *= 1.5  # the first is the most active
        if persons == 1:
            clip[:, :, 7] = np.nan
        clips.append(clip)
    return Poses(clips, NTU, fps=30.0)


def corpus_of(poses: Poses, folder: Path, **options: Any) -> Path:
    """A folder that `prepare` wrote."""
    prepare([folder.parent / "memory"], folder, reader=lambda path, split: [poses], **options)
    return folder


def another_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process, not yet started. They all are forked off one that has loaded torch and has no threads."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.train.test_distributed", "tests.train.test_loop", "torch.utils.tensorboard"])
    return context.Process(target=target, args=arguments)  # type: ignore[attr-defined]


#: The environment of tests that start another interpreter: this checkout and one thread.
PYTHON = sys.executable
ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
