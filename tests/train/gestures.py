"""Small encoders and generated clips with labels, for the tests of fine-tuning and of protocols."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess_config import PreprocessConfig
from skelrep.skeletons import SKELETONS
from skelrep.train.finetune import FinetuneConfig

COMMON = SKELETONS["common-15"]
#: Random weights need large steps.
QUICK = FinetuneConfig(epochs=10, batch=8, learning_rate=0.05, encoder_learning_rate=0.005)


def fresh(**changes) -> Encoder:
    """A small untrained encoder, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = EncoderConfig(backbone=ConvolutionConfig(16, 1), preprocess=PreprocessConfig(frames=32))
        return Encoder(dataclasses.replace(small, **changes))


def recurrent() -> Encoder:
    """A small untrained recurrent encoder of two streams."""
    sizes = {"backbone": RecurrentConfig(12, 1), "preprocess": PreprocessConfig(frames=16, persons=1)}
    return fresh(modalities=("joint", "motion"), **sizes)


def gestures(count: int, seed: int, classes: tuple = ("left", "right", "bow"), noise: float = 0.02) -> Poses:
    """Clips in which the left arm, the right arm or the head moves, by different bodies."""
    rng = np.random.default_rng(seed)
    rest = np.zeros((15, 3))
    rest[[1, 2]] = [[0, 0, 0.5], [0, 0, 0.7]]
    rest[[3, 4, 5]] = [[-0.2, 0, 0.5], [-0.2, 0, 0.25], [-0.2, 0, 0]]
    rest[[9, 10, 11]] = [[-0.1, 0, 0], [-0.1, 0, -0.4], [-0.1, 0, -0.8]]
    rest[[6, 7, 8, 12, 13, 14]] = rest[[3, 4, 5, 9, 10, 11]] * [-1, 1, 1]
    moved = {"left": [4, 5], "right": [7, 8], "bow": [2]}
    labels = np.array(classes)[np.arange(count) % len(classes)]
    clips = []
    for label in labels:
        clip = np.tile(rest * rng.uniform(0.9, 1.1, (15, 1)), (40, 1, 1))
        swing = np.sin(np.linspace(0, rng.uniform(5, 8), 40) + rng.uniform(0, 6))
        clip[:, moved[label]] += 0.2 * (1 + swing)[:, None, None] * np.array([0.2, 1, 1])
        clips.append((clip + noise * rng.normal(size=clip.shape))[None])
    return Poses(clips, COMMON, labels=labels)
