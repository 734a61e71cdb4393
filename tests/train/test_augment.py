"""Distortions change the intended clips in the intended way, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from skelrep.train.augment import PARTS, AugmentConfig, CMDAugmentConfig, augment, corrupt_or_shear, distort, hidden
from tests.corpus_data import COMMON, NTU

NOTHING = {field.name: 0.0 for field in dataclasses.fields(AugmentConfig) if field.name != "coarse"}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_zero_augmentation_and_mirroring_twice_change_nothing():
    poses = torch.randn(4, 64, 15, 3)
    torch.testing.assert_close(augment(poses, COMMON, AugmentConfig(**NOTHING)), poses, rtol=1e-5, atol=1e-5)
    chosen = torch.tensor([True, True, False, True])
    once = augment(poses, COMMON, AugmentConfig(**NOTHING), chosen)
    twice = augment(once, COMMON, AugmentConfig(**NOTHING), chosen)
    torch.testing.assert_close(twice, poses, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(once[2], poses[2], rtol=1e-5, atol=1e-5)
    left, right = COMMON.joints.index("left_wrist"), COMMON.joints.index("right_wrist")
    mirrored = poses[chosen, :, right] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(once[chosen, :, left], mirrored, rtol=1e-5, atol=1e-5)


def test_limbs_change_lengths_and_rotations_do_not():
    poses = torch.randn(8, 64, 15, 3)

    def bones(x):
        return torch.linalg.vector_norm(x - x[:, :, list(COMMON.parents)], dim=-1)

    turned = augment(poses, COMMON, AugmentConfig(**NOTHING | {"yaw": 60.0, "tilt": 20.0}))
    torch.testing.assert_close(bones(turned), bones(poses), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(turned, poses)
    upright = augment(poses, COMMON, AugmentConfig(**NOTHING | {"yaw": 60.0}))
    torch.testing.assert_close(upright[..., 2], poses[..., 2], rtol=1e-4, atol=1e-4)
    stretched = augment(poses, COMMON, AugmentConfig(**NOTHING | {"limbs": 0.1}))
    ratio = bones(stretched)[..., 1:] / bones(poses)[..., 1:]
    assert 0.9 - 1e-3 < ratio.min() < 0.95 and 1.05 < ratio.max() < 1.1 + 1e-3
    torch.testing.assert_close(ratio.std(dim=1), torch.zeros(8, 14), atol=2e-3, rtol=0)  # the same in every frame


def test_joints_and_depth_are_lost():
    poses = torch.randn(400, 4, 15, 3)
    config = AugmentConfig(**NOTHING | {"dropped_views": 0.5, "dropped_joints": 0.3})
    gone = (augment(poses, COMMON, config) == 0).all(dim=3)
    assert (gone == gone[:, :1]).all()  # all the time
    some = gone[:, 0].any(dim=1)
    assert 0.4 < some.float().mean() < 0.6
    assert 0.25 < gone[some].float().mean() < 0.35
    flat = augment(poses, COMMON, AugmentConfig(**NOTHING | {"flat_views": 0.25}))
    lost = (flat[..., 1] == 0).flatten(1).all(dim=1)
    assert 0.15 < lost.float().mean() < 0.35
    assert (flat[..., [0, 2]] != 0).all()
    torch.testing.assert_close(flat[..., [0, 2]], poses[..., [0, 2]], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(flat[~lost], poses[~lost], rtol=1e-5, atol=1e-5)


def test_whole_parts_are_lost_in_a_fraction_of_views():
    lost = hidden(1000, COMMON, AugmentConfig(**NOTHING | {"lost_parts": 0.3}), torch.device("cpu"))
    assert lost.any(dim=1).sum() == 300
    seen = {tuple(COMMON.joints[i] for i in row.nonzero()[:, 0].tolist()) for row in lost}
    assert seen == {(), *(tuple(joint for joint in COMMON.joints if joint in part) for part in PARTS)}
    both = hidden(1000, COMMON, AugmentConfig(**NOTHING | {"dropped_views": 1.0, "dropped_joints": 1.0}), lost.device)
    # Points between two sides are made of them: alone they are never missing.
    assert (both.all(dim=0) == torch.tensor([not joint.startswith("mid_") for joint in COMMON.joints])).all()
    poses = torch.randn(1000, 2, 15, 3)
    config = AugmentConfig(**NOTHING | {"lost_parts": 0.3})
    assert (augment(poses, COMMON, config) == 0).all(dim=3).any(dim=2).all(dim=1).sum() == 300
    assert (augment(poses, COMMON, config, hide=False) != 0).all()


def test_some_joints_are_outliers():
    poses = torch.zeros(400, 32, 15, 3)
    config = AugmentConfig(**NOTHING | {"spiked_views": 0.25, "spikes": 0.1, "spike": 2.0})
    moved = augment(poses, COMMON, config)
    hit = (moved != 0).any(dim=3)
    assert hit.flatten(1).any(dim=1).sum() == 100
    assert 0.08 < hit[hit.flatten(1).any(dim=1)].float().mean() < 0.12
    assert 1.9 < moved[hit].std() < 2.1


def test_views_without_depth_are_seen_from_other_sides():
    poses = torch.randn(400, 2, 15, 3)
    config = AugmentConfig(**NOTHING | {"flat_views": 0.5, "flat_yaw": 90.0})
    moved = augment(poses, COMMON, config)
    flat = (moved[..., 1] == 0).flatten(1).all(dim=1)
    assert flat.sum() == 200
    torch.testing.assert_close(moved[~flat], poses[~flat], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moved[flat][..., 2], poses[flat][..., 2], rtol=1e-4, atol=1e-4)
    turned = (moved[flat][..., 0] - poses[flat][..., 0]).abs().flatten(1).amax(dim=1)
    assert (turned > 0.1).float().mean() > 0.8


def test_noise_is_white_or_drifts():
    poses = torch.zeros(200, 64, 15, 3)
    for name, smooth in (("jitter", False), ("drift", True)):
        noise = augment(poses, COMMON, AugmentConfig(**NOTHING | {name: 1.0}))
        amount = noise.flatten(1).std(dim=1)  # drawn anew for each view
        assert amount.min() < 0.15 and 0.6 < amount.max() < 1.1
        change = (torch.diff(noise, dim=1).flatten(1).std(dim=1) / amount).median()
        assert (change < 0.25) == smooth


def test_mirroring_has_its_fraction_and_applies_to_both_views():
    first, second = torch.randn(2, 1000, 1, 2, 15, 3)
    one, two, chosen = distort(first, second, COMMON, AugmentConfig(**NOTHING | {"mirror": 0.3}))
    assert 0.25 < chosen.float().mean() < 0.35
    for view, before in ((one, first), (two, second)):
        same = torch.isclose(view, before, atol=1e-4).flatten(1).all(dim=1)
        assert torch.equal(same, ~chosen)


@pytest.mark.parametrize("config", [AugmentConfig(), CMDAugmentConfig()])
def test_views_differ_and_absent_persons_stay_absent(config):
    first = torch.randn(16, 2, 8, 25, 3)
    first[::2, 1] = 0
    one, two, mirrored = distort(first, first.clone(), NTU, config)
    assert one.shape == two.shape == first.shape and mirrored.shape == (16,) and mirrored.dtype == torch.bool
    for view in (one, two):
        assert view[::2, 1].abs().max() == 0
        assert (view[1::2, 1].flatten(1).abs().amax(dim=1) > 0).all()
    assert not torch.isclose(one, two).flatten(1).all(dim=1).any()
    assert isinstance(config, AugmentConfig) or not mirrored.any()


def test_cmds_views_are_corrupted_or_sheared():
    poses = torch.randn(2000, 2, 3, 25, 3)
    got = corrupt_or_shear(poses, CMDAugmentConfig())
    assert got.shape == poses.shape
    # The map of every joint, from all its persons and frames: (B, V, 3, 3), rows are outputs.
    before, after = (x.permute(0, 3, 1, 2, 4).flatten(2, 3) for x in (poses, got))
    maps = torch.linalg.lstsq(before, after).solution.mT
    torch.testing.assert_close(before @ maps.mT, after, rtol=0, atol=1e-2)  # one for all persons and frames
    kept = torch.isclose(maps, torch.eye(3), atol=1e-3).flatten(2).all(dim=2)
    corrupted = kept.sum(dim=1) == 10
    assert 0.46 < corrupted.float().mean() < 0.54
    assert (kept[~corrupted].sum(dim=1) == 0).all()
    hits = (~kept[corrupted]).float().mean(dim=0)
    assert (hits - 0.6).abs().max() < 0.06  # every joint is hit alike
    hit = maps[corrupted][~kept[corrupted]].view(-1, 15, 3, 3)
    torch.testing.assert_close(hit, hit[:, :1].expand_as(hit), rtol=0, atol=1e-2)  # one matrix a view
    zeroed = hit[:, 0].abs().amax(dim=(1, 2)) < 1e-3
    assert 0.45 < zeroed.float().mean() < 0.55
    matrices, shears = hit[~zeroed, 0], maps[~corrupted][:, 0]
    for entries in (matrices, shears[:, ~torch.eye(3, dtype=torch.bool)]):
        assert -1.01 < entries.min() < -0.95 and 0.95 < entries.max() < 1.01 and entries.mean().abs() < 0.05
    diagonal = shears.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, torch.ones_like(diagonal), rtol=0, atol=1e-2)


@pytest.mark.parametrize("views", [0.0, 1.0])
def test_zero_cmd_augmentation_changes_nothing(views):
    poses = torch.randn(20, 2, 3, 25, 3)
    config = CMDAugmentConfig(corrupted_views=views, corrupted_joints=0, shear=0.0)
    torch.testing.assert_close(corrupt_or_shear(poses, config), poses)
