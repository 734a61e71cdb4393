"""Workloads: sizes, generated inputs, the paper's encoder, and its number of operations."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.modalities import modality
from skelrep.skeletons import SKELETONS
from skelrep.train.i2md import MethodConfig
from skelrep.train.recipes import Recipe, paper
from tests.corpus_data import pairs

NTU = SKELETONS["ntu-25"]


CLASSES = 60


@dataclass(frozen=True)
class Sizes:
    """Sizes of all workloads; the targets are for the defaults.

    Attributes:
        rounds: In which times are compared; a third, but two at least, of what takes minutes.
        product: Rows and columns of the products that tell the machine's limit, on a CPU and on a GPU.
        hidden: Of the paper's GRUs in inference.
        trained_hidden: Of the paper's GRUs in training.
        batch: Clips.
        gpu_batches: Clips at once on a GPU.
        clips: Raw ones that the bundled encoder embeds.
        gallery: Rows that `knn_eval` searches.
        queries: Rows that it classifies.
        dim: Of the rows of kNN and of the linear probe.
        bank: Rows that `retrieve` searches, of 256 numbers.
        searches: Queries to the bank.
        probe: Rows that the linear probe is trained on.
        slots: Of the memory banks of the loss part; half of them are neighbours.
        steps: Of training in a round.
        gpu_steps: Of training in a round on a GPU.
    """

    rounds: int = 5
    product: tuple[int, int] = (2048, 8192)
    hidden: int = 1024
    trained_hidden: int = 1024
    batch: int = 64
    gpu_batches: tuple[int, ...] = (64, 512)
    clips: int = 10_000
    gallery: int = 40_000
    queries: int = 16_000
    dim: int = 2048
    bank: int = 1_000_000
    searches: int = 1000
    probe: int = 40_000
    slots: int = 16_384
    steps: int = 3
    gpu_steps: int = 20

    @property
    def few(self) -> int:
        """Rounds of what takes minutes."""
        return min(self.rounds, max(2, self.rounds // 3))


#: Small, to see that everything works; the goals are not for these.
QUICK = Sizes(
    rounds=2,
    hidden=256,
    trained_hidden=64,
    clips=500,
    gallery=8000,
    queries=2000,
    bank=100_000,
    searches=200,
    probe=2000,
)


def operations(config: EncoderConfig, method: MethodConfig | None = None) -> float:
    """Additions and multiplications that the products of an encoder, and of a method's heads, need for one clip."""
    persons, frames, pose = config.preprocess.persons, config.preprocess.frames, 3 * len(config.skeleton)
    backbone = config.backbone
    if isinstance(backbone, ConvolutionConfig):
        width, kernel = backbone.width, backbone.kernel
        block = 2 * width * 2 * width + width * kernel
        entry, spans = kernel * pose * width, backbone.spans * width
        stream = persons * (frames // backbone.stride) * (entry + backbone.blocks * block + spans)
        dim = width * (backbone.spans + (backbone.std_weight > 0))
    else:
        hidden = backbone.hidden
        widths = [pose * persons] + [2 * hidden] * (backbone.layers - 1)
        stream = frames * sum(2 * 3 * hidden * (width + hidden) for width in widths)
        dim = 2 * hidden
    stream += 0 if method is None else method.branches * dim * (dim + method.projection)
    return 2.0 * len(config.modalities) * stream


def step_operations(recipe: Recipe) -> float:
    """Of the networks in a training step: the query forwards and twice as much back, the key forwards."""
    return 4 * recipe.batch * operations(recipe.in_training, recipe.method)


def step_bytes(recipe: Recipe) -> float:
    """Bytes that a training step moves if the output of every layer is stored once and read once by the next.

    The queries' outputs are written and read forwards, and read again backwards, where gradients of the same size are
    written and read; the keys' outputs are written and read. Weights, gradients, the optimiser's moments and the
    momentum encoders are read and written once, and the banks are read for the keys' cosines, the queries' cosines and
    the gradient.
    """
    backbone, preprocess, method = recipe.in_training.backbone, recipe.encoder.preprocess, recipe.method
    pose, size = 3 * len(recipe.encoder.skeleton), 2 if recipe.precision == "bfloat16" else 4
    if isinstance(backbone, ConvolutionConfig):
        width, kernel = backbone.width, backbone.kernel
        # Of a block: depthwise, BatchNorm, wide layer of twice the width, narrow layer, BatchNorm.
        outputs = preprocess.persons * (preprocess.frames // backbone.stride) * width * (1 + 6 * backbone.blocks)
        weights = kernel * pose * width + backbone.blocks * width * (4 * width + kernel)
        dim = width * (backbone.spans + (backbone.std_weight > 0))
    else:
        hidden = backbone.hidden
        widths = [pose * preprocess.persons] + [2 * hidden] * (backbone.layers - 1)
        outputs = preprocess.frames * backbone.layers * 2 * (3 + 3 + 1) * hidden  # both products' gates, the states
        weights = sum(2 * 3 * hidden * (width + hidden) for width in widths)
        dim = 2 * hidden
    weights += method.branches * dim * (dim + method.projection)
    moments = 2 if recipe.optimizer == "adamw" else 1
    streams = len(recipe.encoder.modalities)
    per_weight = 4 * (2 + 2 + 2 + 2 * moments + 3)  # networks, gradient, weight, moments, momentum encoder
    banks = 3 * 4 * method.branches * method.slots * method.projection
    return float(streams * (7 * size * recipe.batch * outputs + per_weight * weights + banks))


def raw_clips(count: int, gaps: float = 0.0) -> list[np.ndarray]:
    """Two persons, 25 joints, about 100 frames; a fraction of the clips lacks one joint in a tenth of the frames.

    Joints swing about their places with a centimetre of noise: of white noise every frame would be looked at as spikes.
    """
    rng = np.random.default_rng(0)
    clips = []
    for frames in rng.integers(50, 151, size=count):
        place, swing = 0.5 * rng.standard_normal((2, 2, 1, 25, 3), dtype=np.float32)
        phase = 0.15 * np.arange(frames, dtype=np.float32)[:, None, None] + rng.random((2, 1, 25, 1), np.float32) * 6
        clip = place + 0.4 * swing * np.sin(phase)
        clip += 0.01 * rng.standard_normal(clip.shape, dtype=np.float32)
        if rng.random() < gaps:
            clip[0, rng.random(frames) < 0.1, 3] = np.nan
        clips.append(clip)
    return clips


def rows_of_classes(count: int, dim: int, seed: int, strength: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """(count, dim) rows scattered around the centres of 60 classes, and their labels."""
    middles = np.random.default_rng(0).standard_normal((CLASSES, dim), dtype=np.float32)
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    return strength * middles[labels] + rng.standard_normal((count, dim), dtype=np.float32), labels


def paper_encoder(hidden: int) -> EncoderConfig:
    config = paper("cmd").encoder
    return dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, hidden=hidden))


def settled(config: EncoderConfig, count: int) -> tuple[Encoder, Tensor]:
    """An encoder of the paper line with random weights, and prepared clips, whose statistics its BatchNorms hold.

    So inputs that never vary, as the joint in the origin, are divided by next to nothing, as in trained encoders.
    """
    torch.manual_seed(0)
    encoder = Encoder(config)
    poses = encoder.prepare(pairs(max(count, 16)))
    for name, stack in encoder.streams.items():
        stack.norm.momentum = 1.0  # type: ignore[union-attr]
        flat = modality(name, poses, encoder.skeleton.parents).permute(0, 2, 3, 4, 1).flatten(2)
        stack.norm.train()(flat.transpose(1, 2))  # type: ignore[union-attr,operator]
    return encoder.eval(), poses[:count]
