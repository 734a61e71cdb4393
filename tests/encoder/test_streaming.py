"""Streams of frames: equal to whole sequences, gaps, and encoders that cannot stream."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from skelrep import embed
from skelrep.embedding import embed_persons
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.causal_convolution import CausalConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess_config import CMD_LINE, STREAMING
from skelrep.skeletons import SKELETONS
from tests.conftest import untrained
from tests.standing_bodies import KINECT, moving


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


BACKBONES = {
    "recurrent": RecurrentConfig(12, 2, "moments", "alone"),
    "recurrent, last state": RecurrentConfig(12, 1, persons="alone"),
    "convolution": CausalConvolutionConfig(16, 2, 5),
}


@pytest.mark.parametrize("fps", [30.0, 15.0, 10.0])
@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_stream_at_a_constant_rate_equals_clips_and_rows_per_frame(backbone, fps):
    modalities = ("joint", "bone", "causal_motion")
    encoder = untrained(EncoderConfig(modalities=modalities, preprocess=STREAMING, backbone=backbone))
    rng = np.random.default_rng(0)
    clip = np.stack([moving(40, 1, KINECT), moving(40, 2, KINECT)]).astype(np.float32)
    clip[0, :4], clip[1, :9], clip[0, 20:29] = np.nan, np.nan, np.nan  # coming late, going away for a while
    clip[1, :, 5:9], clip[0, :15, 3] = np.nan, np.nan
    clip[rng.random(clip.shape[:3]) < 0.2] = np.nan
    stream = encoder.stream(KINECT, fps=fps)
    live = [stream.step(frame) for frame in clip.swapaxes(0, 1)]
    assert all((row is None) == (frame < 4) for frame, row in enumerate(live))
    poses = Poses([clip[:, : frame + 1] for frame in range(4, 40)], KINECT, fps=fps)
    np.testing.assert_allclose(live[4:], embed(poses, encoder), rtol=0, atol=1e-5)
    whole = Poses([clip[:, :25], clip], KINECT, fps=fps)
    for batch_size in (1, 2):
        rows = embed(whole, encoder, per_frame=True, batch_size=batch_size)
        positions = encoder.frame_positions(whole, rows.shape[1])
        assert positions[:, 0].tolist() == [4, 4] and positions[0, -1] == 24 and 38 <= positions[1, -1] <= 39
        for part, times in zip(rows, positions):
            frames = np.ceil(times.round(6)).astype(int)
            newest = np.flatnonzero(np.diff(frames, append=40))  # `step` returns the last of a frame's steps
            np.testing.assert_allclose(part[newest], [live[frame] for frame in frames[newest]], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.999), ("int8", 0.99)])
def test_streams_in_other_precisions_are_similar(precision, least):
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=CausalConvolutionConfig(16, 2, 5)))
    exact, fast = encoder.stream(KINECT, fps=15), encoder.stream(KINECT, fps=15, precision=precision)
    for frame in moving(20, 1, KINECT):
        one, other = exact.step(frame), fast.step(frame)
        assert one @ other > least * np.linalg.norm(one) * np.linalg.norm(other) and (one != other).any()


def test_a_modality_that_looks_ahead_in_a_stream_of_convolutions():
    config = EncoderConfig(modalities=("motion",), preprocess=STREAMING, backbone=CausalConvolutionConfig(16, 2, 5))
    encoder, clip = untrained(config), moving(20, 1, KINECT).astype(np.float32)
    stream = encoder.stream(KINECT, fps=15)
    live = [stream.step(frame) for frame in clip]
    expected = embed(Poses([clip[None, : frame + 1] for frame in range(20)], KINECT, fps=15), encoder)
    np.testing.assert_allclose(live, expected, rtol=0, atol=1e-5)


def test_two_dimensional_frames_at_a_constant_rate():
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=CausalConvolutionConfig(16, 1)))
    clip = moving(20, 1, KINECT)[:, :, [0, 2]].astype(np.float32)
    stream = encoder.stream(KINECT, fps=15)
    for frame in clip:
        row = stream.step(frame)
    np.testing.assert_allclose(row, embed(clip, encoder, skeleton=KINECT, fps=15)[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"20 joints of 'kinect-20', 2\)"):
        stream.step(moving(1, 1, KINECT)[0])


def test_rows_per_person_at_a_constant_rate():
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=RecurrentConfig(12, 1, "moments", "alone")))
    clip = np.stack([moving(40, seed, KINECT) for seed in range(3)]).astype(np.float32)
    clip[2, :10] = np.nan
    found = embed_persons(Poses([clip], KINECT, fps=30), encoder)
    expected = embed(Poses([clip[:1], clip[1:2], clip[2:]], KINECT, fps=30), encoder)
    assert found.persons == ["0", "1", "2"]
    np.testing.assert_allclose(found.rows, expected, atol=1e-6)


def test_two_persons_in_a_stream_count_by_sightings():
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=RecurrentConfig(12, 1, "moments", "alone")))
    clip = np.stack([moving(40, seed, KINECT) for seed in range(2)]).astype(np.float32)
    clip[1, :10] = np.nan
    stream = encoder.stream(KINECT, fps=15, streams="joint")
    for frame in clip.swapaxes(0, 1):
        row = stream.step(frame)
    parts = [encoder.prepare_weighted(Poses([part[None]], KINECT, fps=15)).poses[:, :1] for part in clip]
    features = [encoder.features(part, ["joint"])["joint"][0].detach() for part in parts]
    mean = (features[0] + 0.75 * features[1]) / 1.75
    np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-6)


def test_a_constant_rate_needs_the_rate_of_the_poses():
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=CausalConvolutionConfig(16, 1)))
    clip = moving(40, 1, KINECT)
    for call in (lambda: embed(clip, encoder, skeleton=KINECT), lambda: encoder.stream(KINECT)):
        with pytest.raises(ValueError, match=r"15 frames per second.*fps="):
            call()
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="above 0"):
            encoder.stream(KINECT, fps=wrong)
    assert embed(clip, encoder, skeleton=KINECT, fps=30).shape == (1, encoder.dim)
    with pytest.raises(ValueError, match="fine-tuning"):
        encoder.prepare(Poses([clip[None]], KINECT, fps=30))


def test_only_causal_encoders_stream(tiny_encoder):
    with pytest.raises(ValueError, match="whole clips"):
        tiny_encoder.stream()
    with pytest.raises(ValueError, match="whole clips"):  # each person alone, but not at a constant rate
        Encoder(EncoderConfig(backbone=CausalConvolutionConfig(16, 1))).stream(fps=30)
