"""Rows per frame: equal to embeddings of shorter clips, and their positions in the clips."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
import torch

from skelrep import embed
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess_config import CMD_LINE
from skelrep.skeletons import SKELETONS
from tests.encoder.outside import TransformerConfig
from tests.ragged_clips import ragged

NTU = SKELETONS["ntu-25"]


def causal(frames: int, crop: float = 1.0, readout: Literal["last", "moments"] = "last") -> Encoder:
    torch.manual_seed(0)
    preprocess = dataclasses.replace(CMD_LINE, frames=frames, crop=crop)
    return Encoder(EncoderConfig(NTU, ("joint", "bone"), preprocess, RecurrentConfig(6, 2, readout)))


@pytest.mark.parametrize("readout", ["last", "moments"])
def test_a_row_of_a_recurrent_encoder_is_the_embedding_so_far(readout):
    clips = np.random.default_rng(0).normal(size=(9, 2, 12, 25, 3))
    rows = embed(clips, causal(12, readout=readout), skeleton=NTU, per_frame=True)
    assert rows.shape == (9, 12, 24 if readout == "last" else 48) and rows.dtype == np.float32
    for frame in (0, 4, 11):
        alone = embed(clips[:, :, : frame + 1], causal(frame + 1, readout=readout), skeleton=NTU)
        np.testing.assert_allclose(rows[:, frame], alone, atol=2e-6)


def test_rows_of_a_convolutional_encoder_average_to_its_windows(tiny_encoder):
    """The averages over spans are weighted means of the rows."""
    poses = ragged()
    with torch.inference_mode():
        steps = tiny_encoder.per_frame(tiny_encoder.prepare(poses), ["bone"])["bone"]
        whole = tiny_encoder.features(tiny_encoder.prepare(poses), ["bone"])["bone"]
    assert steps.shape == (7, 32, 16)
    averages = (tiny_encoder.streams["bone"].windows @ steps).flatten(1)
    torch.testing.assert_close(averages, whole[:, :48], rtol=1e-4, atol=1e-5)
    rows = embed(poses, tiny_encoder, per_frame=True, normalize=True, batch_size=2)
    assert rows.shape == (7, 32, 3 * 16)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(embed(poses[:1], tiny_encoder, per_frame=True, normalize=True)[0], rows[0], atol=1e-5)


def test_a_convolution_row_depends_on_the_frames_around_it():
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(modalities=("joint",), backbone=ConvolutionConfig(8, 1, kernel=3)))
    prepared = torch.randn(1, 1, 64, 15, 3)
    moved = prepared.clone()
    moved[:, :, 40] += 1
    with torch.inference_mode():
        change = encoder.per_frame(moved, ["joint"])["joint"] - encoder.per_frame(prepared, ["joint"])["joint"]
    changed = change.abs().amax(dim=2)[0].nonzero().flatten().tolist()
    assert changed and all(abs(2 * step - 40) <= 3 for step in changed)


@pytest.mark.parametrize("crop", [1.0, 0.5])
@pytest.mark.parametrize("length", [1, 7, 12, 100])
def test_positions_are_those_that_resampling_reads(length, crop):
    """The head's distance from the origin grows by one per frame, so a prepared clip shows which frames it contains."""
    encoder = causal(12, crop)
    spine, head = NTU.joints.index("spine"), NTU.joints.index("head")
    clip = np.tile(np.random.default_rng(0).normal(size=(25, 3)), (1, length, 1, 1))
    clip[:, :, head] = clip[:, :, spine] + (np.arange(length) + 1)[:, None] * [0.6, 0.0, 0.8]
    poses = Poses([clip], NTU)
    positions = encoder.frame_positions(poses, steps=12)
    assert positions.shape == (1, 12)
    distance = torch.linalg.vector_norm(encoder.prepare(poses)[0, 0, :, head], dim=1)
    np.testing.assert_allclose(distance - 1, positions[0], atol=1e-4)
    assert (positions >= 0).all() and (positions <= length - 1).all()


def test_refusals(tiny_encoder, monkeypatch):
    with pytest.raises(ValueError, match="not support int8"):
        embed(ragged(), tiny_encoder, per_frame=True, precision="int8")
    with pytest.raises(ValueError, match=r"\(7, 32, 48\)"):
        embed(ragged(), tiny_encoder, per_frame=True, out=np.empty((7, 48), np.float32))
    from skelrep.encoder import BACKBONES

    monkeypatch.setitem(BACKBONES, "transformer", TransformerConfig)
    with pytest.raises(ValueError, match="transformer backbone has no features per frame"):
        embed(ragged(), Encoder(EncoderConfig(backbone=TransformerConfig())), per_frame=True)
