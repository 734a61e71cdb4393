"""Augmentation of normalised poses, in batches on the device.

There are two kinds: one that simulates unseen sensors (`i2md_small`), and that of CMD (the recipes of the paper).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from skelrep.encoder.encoder import persons_present
from skelrep.skeletons import Skeleton


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the augmentation, which simulates unseen sensors and persons.

    Each amount is the bound of a uniform distribution, from which a value is drawn for each view. Lengths are in units
    of the trunk (mid hips to mid shoulders), about half a metre. Fractions of views are exact: 0.1 of a batch of 128
    pairs is 26 of its 256 views, chosen at random for each kind of damage.

    Attributes:
        mirror: Fraction of clips of which both views are mirrored. Mirrored clips count as different clips, because
            left and right are meaningful.
        yaw: Rotation about the vertical in degrees.
        tilt: Rotation about each horizontal axis in degrees.
        shear: Off-diagonal entries of a matrix with unit diagonal, like CMD's shear but smaller.
        limbs: Relative change of each bone's length.
        offset: Displacement of each joint, the same in all frames: sensors and body models locate joints differently,
            and persons differ in posture.
        drift: Smooth displacement of each joint over time.
        jitter: Standard deviation of white noise of each joint and frame.
        dropped_views: Fraction of views with missing joints.
        dropped_joints: Fraction of joints that are missing in all frames of these views.
        lost_parts: Fraction of views in which a hand, an arm, both legs or the whole body below the chest (a person
            behind a table) is missing in all frames.
        spiked_views: Fraction of views with outliers, as when a sensor mistakes something else for a joint.
        spikes: Fraction of joints and frames that are outliers in these views.
        spike: Standard deviation of outliers on each axis.
        flat_views: Fraction of views without depth, as from a single camera.
        flat_yaw: Rotation of these views about the vertical, before depth is removed, in degrees: a camera is rarely
            exactly in front of a person.
        still_views: Fraction of views in which persons stand still before the action, after it, or both.
        still: Largest fraction of such a view in which they stand still.
        coarse_views: Fraction of views with few frames, as in short clips and at low frame rates.
        coarse: Smallest and largest number of frames of these views.
    """

    mirror: float = 0.5
    yaw: float = 45.0
    tilt: float = 10.0
    shear: float = 0.3
    limbs: float = 0.12
    offset: float = 0.0
    drift: float = 0.08
    jitter: float = 0.04
    dropped_views: float = 0.5
    dropped_joints: float = 0.2
    lost_parts: float = 0.0
    spiked_views: float = 0.0
    spikes: float = 0.02
    spike: float = 1.0
    flat_views: float = 0.1
    flat_yaw: float = 0.0
    still_views: float = 0.0
    still: float = 0.5
    coarse_views: float = 0.0
    coarse: tuple[int, int] = (8, 30)


@dataclass(frozen=True)
class CMDAugmentConfig:
    """CMD's augmentation: each view has corrupted joints or is sheared (ECCV 2022, arXiv 2208.12448, and its code).

    Attributes:
        corrupted_views: Fraction of views with corrupted joints; the others are sheared.
        corrupted_joints: Number of corrupted joints, the same in all frames and persons. They are set to zero in half
            of these views and multiplied by one matrix with entries from -1 to 1 in the other half.
        shear: Off-diagonal entries of a matrix with unit diagonal.
    """

    corrupted_views: float = 0.5
    corrupted_joints: int = 15
    shear: float = 1.0


LEGS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle"))
PARTS = (  # groups of joints that may be missing together
    ("left_wrist",),
    ("right_wrist",),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    LEGS,
    ("mid_hips", "left_hip", "right_hip", *LEGS),
)
DRIFT_KNOTS = 6  # random displacements from which a drift is interpolated; it is slower than gestures


def distort(
    first: Tensor,
    second: Tensor,
    skeleton: Skeleton,
    config: AugmentConfig | CMDAugmentConfig,
    *,
    hide: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Two views (B, M, T, V, 3) of the same clips, each distorted independently.

    Args:
        first: First view.
        second: Second view.
        skeleton: Skeleton of both views.
        config: Strengths.
        hide: Whether to set the joints that `hidden` draws to zero; False if preprocessing has derived them already.

    Returns:
        Both views, with absent persons still zero; and (B,) which clips were mirrored and count as different clips.
    """
    if isinstance(config, CMDAugmentConfig):
        return corrupt_or_shear(first, config), corrupt_or_shear(second, config), first.new_zeros(len(first)).bool()
    mirrored = torch.rand(len(first), device=first.device) < config.mirror
    views = torch.cat([first, second])
    tracks = mirrored.repeat(2).repeat_interleave(first.shape[1])
    distorted = augment(views.flatten(0, 1), skeleton, config, tracks, hide=hide).view_as(views)
    if first.shape[1] > 1:  # a clip of one person has no absent one
        distorted = distorted * persons_present(views)[:, :, None, None, None]
    one, two = distorted.chunk(2)
    return one, two, mirrored


def corrupt_or_shear(poses: Tensor, config: CMDAugmentConfig) -> Tensor:
    """Applies one random distortion to each of (B, M, T, V, 3) views, as `CMDAugmentConfig` specifies."""
    batch, joints = len(poses), poses.shape[3]
    coin = lambda fraction: torch.rand(batch, device=poses.device) < fraction  # noqa: E731
    uniform = torch.rand(2, batch, 3, 3, device=poses.device) * 2 - 1
    corrupted, zeroed = coin(config.corrupted_views), coin(0.5)
    order = torch.rand(batch, joints, device=poses.device).argsort(dim=1)
    hit = (order < config.corrupted_joints) & corrupted[:, None]  # the first joints of a random order
    matrix = uniform[0].masked_fill(zeroed[:, None, None], 0.0)
    shear = config.shear * uniform[1]
    shear.diagonal(dim1=1, dim2=2).fill_(1.0)
    unit = torch.eye(3, device=poses.device)
    rest = torch.where(corrupted[:, None, None], unit, shear)
    linear = torch.where(hit[:, :, None, None], matrix[:, None], rest[:, None])  # (B, V, 3, 3)
    return (poses.flatten(3).flatten(1, 2) @ _block_diagonal(linear.mT)).view_as(poses)


def _block_diagonal(matrices: Tensor) -> Tensor:
    """Block-diagonal matrices (R, V C, V D) from (R, V, C, D), so that one product applies each joint's own matrix.

    They are mostly zeros, but several times as fast as products with three columns.
    """
    tracks, joints, rows, columns = matrices.shape
    blocks = matrices.new_zeros(tracks, joints, rows, joints, columns)
    blocks.diagonal(dim1=1, dim2=3).copy_(matrices.permute(0, 2, 3, 1))
    return blocks.flatten(3).flatten(1, 2)


def augment(
    poses: Tensor,
    skeleton: Skeleton,
    config: AugmentConfig,
    mirrored: Tensor | None = None,
    *,
    hide: bool = True,
) -> Tensor:
    """Applies one random distortion to each of (B, T, V, 3) views; the views in `mirrored` (B,) are mirrored first."""
    batch, frames, joints, _ = poses.shape
    device = poses.device
    uniform = lambda *shape: torch.rand(*shape, device=device) * 2 - 1  # noqa: E731
    along = _limbs(1 + config.limbs * uniform(batch, joints), skeleton)
    degrees = uniform(batch, 3) * _constant([config.tilt, config.tilt, config.yaw], device)
    flat = _some(batch, config.flat_views, device)
    degrees.index_add_(0, flat, uniform(len(flat), 3) * _constant([0.0, 0.0, config.flat_yaw], device))
    shear = config.shear * uniform(batch, 3, 3)
    shear.diagonal(dim1=1, dim2=2).fill_(1.0)
    space = shear @ _rotations(degrees)
    if mirrored is not None:
        chosen, flip = mirrored[:, None, None], _constant([-1.0, 1.0, 1.0], device)
        along = torch.where(chosen, along[:, :, _constant(skeleton.mirror, device)], along)
        space = torch.where(chosen, space * flip, space)
    # One product for everything that is linear in the coordinates of a frame: limb lengths, rotation and shear.
    linear = torch.einsum("bvu,bdc->bucvd", along, space).flatten(3).flatten(1, 2)

    amount = lambda most: most * torch.rand(batch, 1, 1, device=device)  # noqa: E731
    knots = amount(config.drift) * torch.randn(batch, DRIFT_KNOTS, joints * 3, device=device)
    knots += amount(config.offset) * torch.randn(batch, 1, joints * 3, device=device)
    moved = torch.baddbmm(_between(frames).to(device, non_blocking=True) @ knots, poses.flatten(2), linear)
    moved = moved.addcmul_(amount(config.jitter), torch.randn_like(moved)).view_as(poses)

    _spike(moved, _some(batch, config.spiked_views, device), config)
    moved[flat, :, :, 1] = 0.0  # the value that preprocessing gives to a missing depth
    return moved.masked_fill_(hidden(batch, skeleton, config, device)[:, None, :, None], 0.0) if hide else moved


def hidden(batch: int, skeleton: Skeleton, config: AugmentConfig, device: torch.device) -> Tensor:
    """(B, V) joints that are missing in all frames of a view."""
    # Joints in the middle of the body are missing only together with a whole part.
    single = _constant([not joint.startswith("mid_") for joint in skeleton.joints], device)
    out = (torch.rand(batch, len(skeleton), device=device) < config.dropped_joints) & single
    out = out & (torch.rand(batch, 1, device=device) < config.dropped_views)
    parts = _constant([[joint in part for joint in skeleton.joints] for part in PARTS], device)
    some = _some(batch, config.lost_parts, device)
    drawn = torch.randint(len(PARTS), (len(some),), device=device)
    return out.index_copy(0, some, out[some] | parts[drawn])


def _some(batch: int, fraction: float, device: torch.device) -> Tensor:
    """Indices of a fraction of a batch; their number is fixed, which avoids a synchronisation with the device."""
    return torch.randperm(batch, device=device)[: round(fraction * batch)]


def _spike(poses: Tensor, some: Tensor, config: AugmentConfig) -> None:
    """Adds outliers to some of (B, T, V, 3) poses, in place."""
    if len(some):
        chosen = poses[some]
        hit = torch.rand(*chosen.shape[:3], 1, device=poses.device) < config.spikes
        poses[some] = chosen + hit * config.spike * torch.randn_like(chosen)


@lru_cache(maxsize=16)
def _between(frames: int) -> Tensor:
    """(T, DRIFT_KNOTS) weights of the knots in each frame."""
    one = torch.eye(DRIFT_KNOTS)[None]
    return torch.nn.functional.interpolate(one, size=frames, mode="linear", align_corners=True)[0].T


def _limbs(lengths: Tensor, skeleton: Skeleton) -> Tensor:
    """(B, V, V) matrices that scale the bones of poses by (B, V) factors, from the root outwards."""
    chain, bones, root = (part.to(lengths.device, non_blocking=True) for part in _tree(skeleton.parents))
    return (chain * lengths[:, None]) @ bones + root


@lru_cache(maxsize=16)
def _tree(parents: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """(V, V) joints on the path from each joint to the root; the (V, V) matrix from joints to bones; (V,) the root."""
    joints = len(parents)
    chain = torch.zeros(joints, joints)
    for joint in range(joints):
        step = joint
        while not chain[joint, step]:
            chain[joint, step] = 1
            step = parents[step]
    root = torch.tensor([float(joint == parent) for joint, parent in enumerate(parents)])
    return chain, torch.eye(joints) - torch.eye(joints)[list(parents)], root


def _constant(numbers: Sequence[Any], device: torch.device) -> Tensor:
    """A constant on the device, copied without a synchronisation."""
    return torch.tensor(numbers).to(device, non_blocking=True)


def _rotations(degrees: Tensor) -> Tensor:
    """(B, 3) angles about x, y and z to rotation matrices Rx Ry Rz, (B, 3, 3)."""
    x, y, z = (degrees * (math.pi / 180)).unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    about_x = torch.stack([one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos()], -1).view(-1, 3, 3)
    about_y = torch.stack([y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos()], -1).view(-1, 3, 3)
    about_z = torch.stack([z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one], -1).view(-1, 3, 3)
    return about_x @ about_y @ about_z
