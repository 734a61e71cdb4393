"""Recipes: functions that return all hyper-parameters of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from skelrep.encoder import EncoderConfig
from skelrep.encoder.causal_convolution import CausalConvolutionConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import CMD_LINE, ROBUST, STREAMING
from skelrep.skeletons import SKELETONS
from skelrep.train.augment import AugmentConfig, CMDAugmentConfig
from skelrep.train.i2md import MethodConfig


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a training run.

    Attributes:
        encoder: The config of the trained encoder, including its preprocessing.
        averages: Number of time spans over which a convolutional encoder averages its features in training, without the
            standard deviation; None: as in the encoder. Training may pool differently from inference, because pooling
            has no weights.
        std_weight: Weight of the standard deviations over time of a causal convolutional encoder in training; None: as
            in the encoder.
        method: Losses and momentum encoders.
        augment: Distortions of the views.
        window: Shortest and longest duration of a clip in seconds, drawn such that all seconds of the corpus have equal
            probability; None: whole clips, each once per epoch.
        crop: Smallest and largest fraction of a clip in one view.
        shortest: Minimum number of frames of a view, unless its clip has fewer.
        batch: Clips per step, over all processes.
        accumulate: Number of parts in which each process computes its clips of a step, one after the other, if memory
            is short. For recurrent encoders, the step equals that of the whole batch up to rounding; in convolutional
            encoders, BatchNorm uses the statistics of each part (see `skelrep.train.accumulation`).
        steps: Number of optimiser steps; 0 if `epochs` is given.
        epochs: Number of passes over the corpus; 0 if `steps` is given.
        optimizer: "adamw" (weight decay on matrices and kernels, not on biases and norms) or "sgd" (momentum 0.9,
            weight decay on all parameters, as CMD).
        learning_rate: The highest learning rate.
        weight_decay: Weight decay of the optimiser.
        warmup: Steps over which the learning rate rises linearly.
        drop: Fraction of the run after which the learning rate drops to a tenth; None: it decays along a half cosine to
            zero.
        decay: Last fraction of the run, in which the learning rate decays; 1: the whole run except the warm-up.
        clip_gradient: Maximum norm of the gradient of all weights together; 0: no limit.
        precision: "float32", or "bfloat16" for the products of the networks (losses stay in float32), which is faster
            on hardware with bfloat16 units.
        compile: Whether to compile the step with `torch.compile`.
        seed: Random seed.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    averages: int | None = None
    std_weight: float | None = None
    method: MethodConfig = field(default_factory=MethodConfig)
    augment: AugmentConfig | CMDAugmentConfig = field(default_factory=AugmentConfig)
    window: tuple[float, float] | None = (1.0, 5.0)
    crop: tuple[float, float] = (0.3, 1.0)
    shortest: int = 16
    batch: int = 256
    accumulate: int = 1
    steps: int = 0
    epochs: int = 0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 0
    drop: float | None = None
    decay: float = 1.0
    clip_gradient: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raises ValueError for an invalid recipe. Called before a run, because fields are changed one at a time."""
        if (self.steps > 0) == (self.epochs > 0):
            raise ValueError(f"a recipe has steps or epochs, not both; got steps={self.steps}, epochs={self.epochs}")
        if self.batch < 2:
            raise ValueError(f"BatchNorm needs a batch of at least 2, got {self.batch}")
        if self.accumulate < 1 or self.batch % self.accumulate or self.batch < 2 * self.accumulate:
            raise ValueError(
                f"accumulate must divide the batch of {self.batch} into parts of two or more, got {self.accumulate}"
            )
        method = self.method
        if method.neighbours < 1 or not 0 < method.aggregated <= method.slots:
            raise ValueError(
                f"neighbours must be at least 1 and aggregated 1 to slots ({method.slots}), got {method.neighbours} "
                f"and {method.aggregated}"
            )
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop is two fractions of a clip above 0 and at most 1, from and to; got {self.crop}")
        if self.window is not None and not 0 < self.window[0] <= self.window[1]:
            raise ValueError(f"window is two durations in seconds above 0, from and to; got {self.window}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay is a fraction of the run above 0 and at most 1, got {self.decay}")
        if self.warmup < 0 or self.learning_rate <= 0:
            raise ValueError(
                f"warmup must not be negative and learning_rate above 0, got {self.warmup} and {self.learning_rate}"
            )

    @property
    def in_training(self) -> EncoderConfig:
        """The config of the encoder during training, which has the same weights."""
        backbone = self.encoder.backbone
        if isinstance(backbone, ConvolutionConfig) and self.averages is not None:
            return replace(self.encoder, backbone=replace(backbone, spans=self.averages, std_weight=0.0))
        if isinstance(backbone, CausalConvolutionConfig) and self.std_weight is not None:
            return replace(self.encoder, backbone=replace(backbone, std_weight=self.std_weight))
        return self.encoder

    def length(self, clips: int) -> int:
        """Number of optimiser steps for a corpus of this many clips."""
        return self.steps or -(-self.epochs * clips // self.batch)


# The weights of the losses that differ from the default, from MoCo to I²MD.
LOSSES = {
    "moco": {"cross_modal": 0.0, "cluster": 0.0, "intra_modal": 0.0},
    "cmd": {"cluster": 0.0, "intra_modal": 0.0},
    "dna": {"intra_modal": 0.0},
    "i2md": {},
}


def i2md_small() -> Recipe:
    """A small encoder of temporal convolutions for CPUs, trained on views that simulate unseen sensors."""
    # Half the stride of the first bundled encoders, whose temporal resolution was too low, and half their channels, so
    # that embedding is not slower: with 80 channels it ran at 0.83 to 0.88 of their rate, and training processed 860
    # clips per second on one core instead of 1045.
    # Seven spans instead of three keep the 1536 dimensions of the first bundled encoders; their windows overlap so much
    # that accuracy does not change. The weight of the standard deviation was chosen after training, by the validation
    # on persons held out of the pretraining sets (docs/ablation.md).
    backbone = ConvolutionConfig(stride=2, width=64, spans=7, reach=2.0, std_weight=4.0)
    encoder = EncoderConfig(preprocess=ROBUST, backbone=backbone)
    # Larger banks have no advantage here and take a third of the time. The momentum is lower than CMD's 0.999, which
    # averages over a thousand steps, too many for short runs.
    method = MethodConfig(slots=1024, neighbours=512, momentum=0.99)
    augment = AugmentConfig(
        offset=0.1,
        lost_parts=0.15,
        spiked_views=0.1,
        spikes=0.01,
        flat_views=0.15,
        flat_yaw=60.0,
        still_views=0.2,
        coarse_views=0.2,
    )
    return Recipe(
        encoder,
        averages=4,
        method=method,
        augment=augment,
        batch=256,  # the costs that do not grow with the batch are a fifth of a step of 128
        steps=24000,
        warmup=500,
        # The rate is constant for most of the run, so that any checkpoint can be finished by a short decay.
        decay=0.25,
        precision="bfloat16",
    )


def i2md_stream() -> Recipe:
    """A small encoder of live streams: causal, of a constant frame rate, with preprocessing that needs no future."""
    backbone = CausalConvolutionConfig(width=96, blocks=2, kernel=9, std_weight=4.0)
    encoder = EncoderConfig(modalities=("joint", "bone", "causal_motion"), preprocess=STREAMING, backbone=backbone)
    # Views last 2.1 s on average, as many frames at the rate of the encoder as they are resampled to; the others are
    # slower or faster than they were recorded.
    # The weight of the standard deviation is that of `i2md_small`; training used 2.
    return replace(
        i2md_small(),
        encoder=encoder,
        averages=None,
        std_weight=2.0,
        window=(1.0, 4.5),
        crop=(0.5, 1.0),
        steps=12_000,
        warmup=200,
    )


def paper(losses: str, epochs: int = 451, drop: int = 351) -> Recipe:
    """The recipes of the paper, with CMD's public hyper-parameters, for NTU RGB+D 60 and 120 and PKU-MMD."""
    encoder = EncoderConfig(
        skeleton=SKELETONS["ntu-25"], preprocess=CMD_LINE, backbone=RecurrentConfig(), fusion="mean"
    )
    return Recipe(
        encoder=encoder,
        method=MethodConfig(**LOSSES[losses]),
        augment=CMDAugmentConfig(),
        window=None,
        crop=(0.1, 1.0),
        shortest=64,
        batch=64,
        epochs=epochs,
        optimizer="sgd",
        learning_rate=0.01,
        weight_decay=1e-4,
        drop=drop / epochs,
    )


#: Recipes by the name that `skelrep pretrain` accepts. PKU-MMD II has fewer clips and needs more epochs.
RECIPES: dict[str, Callable[[], Recipe]] = {
    "i2md_small": i2md_small,
    "i2md_stream": i2md_stream,
    **{name: partial(paper, name) for name in ("moco", "cmd", "i2md")},
    **{f"{name}_pku": partial(paper, name, epochs=1001, drop=801) for name in ("moco", "cmd", "i2md")},
}
