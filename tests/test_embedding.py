"""embed(): the same rows whatever the batch, the order, the device; windows; streaming; the errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from skelrep import embed
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess import CMD_LINE
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


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_rows_do_not_depend_on_the_batch(tiny_encoder, batch_size):
    poses = ragged()
    whole = embed(poses, tiny_encoder)
    assert whole.shape == (7, tiny_encoder.dim) and whole.dtype == np.float32
    np.testing.assert_allclose(embed(poses, tiny_encoder, batch_size=batch_size), whole, rtol=1e-5, atol=1e-5)


def test_rows_keep_the_order_of_the_input(tiny_encoder, tiny_recurrent_encoder):
    poses, order = ragged(), np.array([3, 1, 6, 0, 2, 5, 4])
    for encoder in (tiny_encoder, tiny_recurrent_encoder):
        np.testing.assert_allclose(embed(poses[order], encoder), embed(poses, encoder)[order], rtol=1e-5, atol=1e-5)


def test_every_way_in_gives_the_same_rows(tiny_encoder, tmp_path):
    poses = ragged(persons=1)
    rows = embed(poses, tiny_encoder)
    poses.save(tmp_path / "poses.npz")
    lists = poses.clips
    np.testing.assert_array_equal(embed(tmp_path / "poses.npz", tiny_encoder), rows)
    np.testing.assert_array_equal(embed(lists, tiny_encoder, skeleton="kinect-20"), rows)
    np.testing.assert_array_equal(embed([clip[0] for clip in lists], tiny_encoder, skeleton="kinect-20"), rows)
    np.testing.assert_array_equal(tiny_encoder.embed(lists, skeleton=KINECT.joints), rows)
    batch = np.stack([clip[:, :1] for clip in lists])
    turned = batch.transpose(0, 4, 2, 3, 1)  # N C T V M
    np.testing.assert_array_equal(
        embed(turned, tiny_encoder, skeleton="kinect-20", layout="NCTVM"),
        embed(torch.from_numpy(batch), tiny_encoder, skeleton="kinect-20"),
    )


def test_streams_normalize_and_out(tiny_encoder, tmp_path):
    poses = ragged()
    rows = embed(poses, tiny_encoder)
    third = tiny_encoder.dim // 3
    np.testing.assert_allclose(embed(poses, tiny_encoder, streams="joint"), rows[:, :third], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        embed(poses, tiny_encoder, streams=("joint", "motion")), np.delete(rows, slice(third, 2 * third), 1), atol=1e-6
    )
    unit = embed(poses, tiny_encoder, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    out = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, rows.shape)
    assert embed(poses, tiny_encoder, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), rows)
    with pytest.raises(ValueError, match="out must be a float32 array of shape"):
        embed(poses, tiny_encoder, out=np.empty((7, 3), np.float32))
    with pytest.raises(ValueError, match="streams must be some of"):
        embed(poses, tiny_encoder, streams="bones")


def test_windows_are_rows_of_their_own(tiny_encoder):
    poses = ragged()
    windows = poses.windows(1.0, 0.5)
    np.testing.assert_array_equal(embed(poses, tiny_encoder, window=1.0, stride=0.5), embed(windows, tiny_encoder))
    with pytest.raises(ValueError, match="stride needs window"):
        embed(poses, tiny_encoder, stride=0.5)
    with pytest.raises(ValueError, match="pass fps="):
        embed(dataclasses.replace(poses, fps=None), tiny_encoder, window=1.0)


def test_training_mode_and_device_are_given_back(tiny_encoder):
    tiny_encoder.train()
    before = {name: value.clone() for name, value in tiny_encoder.state_dict().items()}
    embed(ragged(), tiny_encoder, device="cpu")
    assert tiny_encoder.training
    assert all(torch.equal(before[name], value) for name, value in tiny_encoder.state_dict().items())
    with pytest.raises(ValueError, match="there is no device 'cuda:99' here"):
        embed(ragged(), tiny_encoder, device="cuda:99")
    with pytest.raises(ValueError, match="there is no device 'gpu' here"):
        embed(ragged(), tiny_encoder, device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_rows(tiny_encoder):
    poses = ragged()
    np.testing.assert_allclose(
        embed(poses, tiny_encoder, device="cuda"), embed(poses, tiny_encoder), rtol=1e-3, atol=1e-4
    )
    assert tiny_encoder.device.type == "cpu"


def test_a_clip_that_shows_nobody_is_named(tiny_encoder):
    poses = ragged()
    poses.clips[4][:] = np.nan
    with pytest.raises(ValueError, match="nobody is seen in 1 of 7 clips: clip4; leave them out"):
        embed(poses, tiny_encoder)


def test_a_clip_without_a_joint_to_look_at_is_named_too(tiny_encoder):
    poses = ragged()
    tips = [poses.skeleton.joints.index(joint) for joint in ("left_foot", "right_foot")]
    seen = poses.clips[2][:, :, tips].copy()
    poses.clips[2][:] = np.nan
    poses.clips[2][:, :, tips] = seen
    with pytest.raises(ValueError, match="nobody is seen in 1 of 7 clips: clip2"):
        embed(poses, tiny_encoder)


def test_windows_of_nobody_are_left_out(tiny_encoder):
    clip = np.random.default_rng(0).normal(size=(1, 300, 20, 3))
    clip[:, 90:210] = np.nan
    windows = Poses([clip], KINECT, fps=30.0).windows(1.0)
    assert windows.info["start"].tolist() == [0, 1, 2, 7, 8, 9]
    assert embed(windows, tiny_encoder).shape[0] == 6


def test_two_dimensional_poses(tiny_encoder):
    flat = [clip[..., :2] for clip in ragged().clips]
    rows = embed(flat, tiny_encoder, skeleton="kinect-20")
    assert rows.shape == (7, tiny_encoder.dim) and np.isfinite(rows).all()


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


def test_a_stream_waits_for_somebody_and_bridges_gaps(causal_encoder):
    rng = np.random.default_rng(0)
    stream = causal_encoder.stream("ntu-25")
    assert stream.step(np.full((25, 3), np.nan)) is None
    frame = rng.normal(size=(25, 3)).astype(np.float32)
    first = stream.step(frame)
    hidden = frame.copy()
    hidden[7] = np.nan  # stays where it was: as good as the same frame again
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
    with pytest.raises(ValueError, match="sees whole clips"):
        tiny_encoder.stream()
