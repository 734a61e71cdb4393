"""Streams of frames: equal to whole sequences, gaps, and encoders that cannot stream."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess import CMD_LINE
from skelrep.skeletons import SKELETONS


@pytest.fixture
def causal_encoder():
    torch.manual_seed(0)
    return Encoder(EncoderConfig(SKELETONS["ntu-25"], preprocess=CMD_LINE, backbone=RecurrentConfig(12, 2)))


@pytest.mark.parametrize("persons", [1, 2])
def test_a_stream_equals_the_whole_sequence(causal_encoder, persons):
    rng = np.random.default_rng(0)
    clip = rng.normal(size=(persons, 20, 25, 3)).astype(np.float32)
    stream = causal_encoder.stream("ntu-25")
    for t in range(20):
        got = stream.step(clip[:, t])
        # The frames so far as a clip that needs neither cropping nor resampling.
        config = causal_encoder.config
        same = dataclasses.replace(config, preprocess=dataclasses.replace(config.preprocess, frames=t + 1, crop=1.0))
        causal_encoder.config = same
        expected = causal_encoder.fuse(
            causal_encoder(causal_encoder.prepare(Poses([clip[:, : t + 1]], SKELETONS["ntu-25"])))
        )
        causal_encoder.config = config
        np.testing.assert_allclose(got, expected[0].detach().numpy(), rtol=1e-5, atol=2e-6)


def test_a_stream_starts_with_the_first_person_and_fills_gaps(causal_encoder):
    rng = np.random.default_rng(0)
    stream = causal_encoder.stream("ntu-25")
    assert stream.step(np.full((25, 3), np.nan)) is None
    frame = rng.normal(size=(25, 3)).astype(np.float32)
    first = stream.step(frame)
    hidden = frame.copy()
    hidden[7] = np.nan  # keeps its position, which equals repeating the frame
    again = causal_encoder.stream("ntu-25")
    again.step(frame)
    np.testing.assert_array_equal(stream.step(hidden), again.step(frame))
    assert first is not None and np.isfinite(first).all()
    alone, zeros = causal_encoder.stream("ntu-25"), causal_encoder.stream("ntu-25")
    np.testing.assert_array_equal(alone.step(frame), zeros.step(np.stack([frame, np.zeros_like(frame)])))
    for wrong in (np.zeros((17, 3)), np.full((25, 3), np.inf)):
        with pytest.raises(ValueError, match="a frame must be"):
            stream.step(wrong)


def test_only_causal_encoders_stream(tiny_encoder):
    with pytest.raises(ValueError, match="whole clips"):
        tiny_encoder.stream()
