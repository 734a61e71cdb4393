"""Recipes: functions that return everything that a training run needs to be repeated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skelrep.encoder import EncoderConfig
from skelrep.train.augment import AugmentConfig
from skelrep.train.i2md import MethodConfig


@dataclass(frozen=True)
class Recipe:
    """A run.

    Attributes:
        encoder: What is trained.
        method: By which losses.
        augment: On what views.
        window: Seconds of recording that are one clip, from and to.
        crop: Share of a clip that is one view, from and to.
        batch: Clips a step.
        steps: Optimiser steps.
        learning_rate: AdamW's highest; it rises over the first `warmup` steps and falls as a half cosine to zero.
        weight_decay: AdamW's, on matrices and kernels, not on biases and norms.
        warmup: Steps.
        precision: "float32", or "bfloat16" for the networks' products (losses stay in float32).
        whiten: Views to which the features' whitening is fitted at the end; 0 for none. Ours, not the paper's.
        seed: Of everything random.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    window: tuple[float, float] = (1.0, 5.0)
    crop: tuple[float, float] = (0.3, 1.0)
    batch: int = 256
    steps: int = 2500
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 200
    precision: Literal["float32", "bfloat16"] = "float32"
    whiten: int = 0
    seed: int = 0


def i2md_small() -> Recipe:
    """The encoder in the box: temporal convolutions, views as strangers' sensors would see them."""
    # Twelve hours of recordings fill no larger bank with anything new. Keys follow faster than CMD's 0.999, whose
    # memory of a thousand steps is nearly half of this run.
    return Recipe(method=MethodConfig(slots=4096, neighbours=2048, momentum=0.99), precision="bfloat16", whiten=8192)


RECIPES = {"i2md_small": i2md_small}
