"""embed(): rows do not depend on batch size, order or device; windows, streaming, errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from skelrep import embed
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.ragged_clips import KINECT, ragged


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


def test_every_type_of_input_gives_the_same_rows(tiny_encoder, tmp_path):
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


def test_windows_give_one_row_each(tiny_encoder):
    poses = ragged()
    windows = poses.windows(1.0, 0.5)
    np.testing.assert_array_equal(embed(poses, tiny_encoder, window=1.0, stride=0.5), embed(windows, tiny_encoder))
    with pytest.raises(ValueError, match="stride= needs window="):
        embed(poses, tiny_encoder, stride=0.5)
    with pytest.raises(ValueError, match="pass fps="):
        embed(dataclasses.replace(poses, fps=None), tiny_encoder, window=1.0)


def test_training_mode_and_device_are_restored(tiny_encoder):
    tiny_encoder.train()
    before = {name: value.clone() for name, value in tiny_encoder.state_dict().items()}
    embed(ragged(), tiny_encoder, device="cpu")
    assert tiny_encoder.training
    assert all(torch.equal(before[name], value) for name, value in tiny_encoder.state_dict().items())
    with pytest.raises(ValueError, match="no device 'cuda:99'"):
        embed(ragged(), tiny_encoder, device="cuda:99")
    with pytest.raises(ValueError, match="no device 'gpu'"):
        embed(ragged(), tiny_encoder, device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_rows(tiny_encoder):
    poses = ragged()
    np.testing.assert_allclose(
        embed(poses, tiny_encoder, device="cuda"), embed(poses, tiny_encoder), rtol=1e-3, atol=1e-4
    )
    assert tiny_encoder.device.type == "cpu"


def test_a_clip_without_persons_is_named(tiny_encoder):
    poses = ragged()
    poses.clips[4][:] = np.nan
    with pytest.raises(ValueError, match="nobody is seen in 1 of 7 clips: clip4"):
        embed(poses, tiny_encoder)


def test_a_clip_without_a_joint_to_look_at_is_named_too(tiny_encoder):
    poses = ragged()
    tips = [poses.skeleton.joints.index(joint) for joint in ("left_foot", "right_foot")]
    seen = poses.clips[2][:, :, tips].copy()
    poses.clips[2][:] = np.nan
    poses.clips[2][:, :, tips] = seen
    with pytest.raises(ValueError, match="nobody is seen in 1 of 7 clips: clip2"):
        embed(poses, tiny_encoder)


def test_windows_without_persons_are_left_out(tiny_encoder):
    clip = np.random.default_rng(0).normal(size=(1, 300, 20, 3))
    clip[:, 90:210] = np.nan
    windows = Poses([clip], KINECT, fps=30.0).windows(1.0)
    assert windows.info["start"].tolist() == [0, 1, 2, 7, 8, 9]
    assert embed(windows, tiny_encoder).shape[0] == 6


def test_two_dimensional_poses(tiny_encoder):
    flat = [clip[..., :2] for clip in ragged().clips]
    rows = embed(flat, tiny_encoder, skeleton="kinect-20")
    assert rows.shape == (7, tiny_encoder.dim) and np.isfinite(rows).all()


def test_joints_that_a_skeleton_lacks_count_as_never_seen():
    """The upper body alone gives the same row as the whole body with NaN for the legs."""
    rng = np.random.default_rng(0)
    full = np.full((30, 17, 3), np.nan, dtype=np.float32)
    full[:, :11] = rng.normal(size=(11, 3)) + np.cumsum(rng.normal(size=(30, 11, 3)) / 50, axis=0)
    upper = list(SKELETONS["coco-17"].joints[:11])
    with pytest.warns(UserWarning, match="no left_hip, left_knee.*never seen"):
        rows = embed(full[:, :11], skeleton=upper)
    np.testing.assert_allclose(rows, embed(full, skeleton="coco-17"), atol=1e-6)
    with pytest.raises(ValueError, match="no joint and no rule"):
        embed(full[:, :2], skeleton=["left_wrist", "tail"])
