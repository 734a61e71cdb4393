"""Augmentation: batched, on the device, in the encoder's normalised space.

Two kinds: for unseen sensors (`i2md_small`), and CMD's (the paper line).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from skelrep.alignment import block_diagonal
from skelrep.encoder.encoder import persons_present
from skelrep.skeletons import Skeleton


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly views of unseen sensors differ. Every amount bounds a uniform draw, made anew for each view.

    Lengths are in units of the trunk (mid hips to mid shoulders), about half a metre. Fractions of views are exact: of
    a batch of 128 pairs, 0.1 are 26 of the 256 views, which ones is drawn for each kind of damage.

    Attributes:
        mirror: Fraction of clips of which both views are mirrored: new clips, not an invariance, for left is not right.
        yaw: Degrees about the vertical.
        tilt: Degrees about each horizontal axis.
        shear: Off-diagonal entries of a matrix with unit diagonal, as CMD's shear, but milder.
        limbs: Relative change of each bone's length.
        offset: Displacement of every joint, the same in all frames: sensors and body models do not agree on where a
            joint is, nor do people on how they stand.
        drift: Smooth wander of every joint.
        jitter: Standard deviation of white noise at every joint and frame.
        dropped_views: Fraction of views with missing joints.
        dropped_joints: Fraction of joints missing in these, all the time.
        lost_parts: Fraction of views that lack a hand, an arm, both legs or, as of people behind a table, all below the
            chest, all the time.
        spiked_views: Fraction of views in which sightings are far off, as where a sensor takes something else for a
            joint.
        spikes: Fraction of such sightings in these.
        spike: Their standard deviation on each axis.
        flat_views: Fraction of views whose depth is lost, as a single camera's.
        flat_yaw: Degrees about the vertical that these are turned by beforehand: cameras seldom stand in front.
        still_views: Fraction of views of people who stand before they act, afterwards, or both.
        still: Fraction of such a view, at most, in which they stand.
        coarse_views: Fraction of views of few frames: short clips and low frame rates.
        coarse: How many frames these have, from and to.
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
    """CMD's: every view has either some joints corrupted or is sheared (ECCV 2022, arXiv 2208.12448, and its code).

    Attributes:
        corrupted_views: Fraction of views with corrupted joints; the others are sheared.
        corrupted_joints: How many, the same in all frames and persons: set to zero in half of these views, in the
            other half multiplied by one matrix of entries from -1 to 1.
        shear: Off-diagonal entries of a matrix with unit diagonal.
    """

    corrupted_views: float = 0.5
    corrupted_joints: int = 15
    shear: float = 1.0


LEGS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle"))
PARTS = (  # what views may lack as a whole
    ("left_wrist",),
    ("right_wrist",),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    LEGS,
    ("mid_hips", "left_hip", "right_hip", *LEGS),
)
DRIFT_KNOTS = 6  # random positions between which a drift moves: slower than gestures, faster than a clip


def distort(
    first: Tensor,
    second: Tensor,
    skeleton: Skeleton,
    config: AugmentConfig | CMDAugmentConfig,
    *,
    hide: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Two views (B, M, T, V, 3) of the same clips, distorted each in its own way.

    Args:
        first: One view.
        second: The other.
        skeleton: Of both.
        config: How strongly.
        hide: Whether joints are set to zero as `hidden` draws them; False where preprocessing has completed them.

    Returns:
        Both views, absent persons still zero; and (B,) which clips were mirrored left to right: other clips, then.
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
    """One random distortion for each of (B, M, T, V, 3) views, as `CMDAugmentConfig` says."""
    batch, joints = len(poses), poses.shape[3]
    coin = lambda share: torch.rand(batch, device=poses.device) < share  # noqa: E731
    uniform = torch.rand(2, batch, 3, 3, device=poses.device) * 2 - 1
    corrupted, zeroed = coin(config.corrupted_views), coin(0.5)
    order = torch.rand(batch, joints, device=poses.device).argsort(dim=1)
    hit = (order < config.corrupted_joints) & corrupted[:, None]  # the first so many of a random order
    matrix = uniform[0].masked_fill(zeroed[:, None, None], 0.0)
    shear = config.shear * uniform[1]
    shear.diagonal(dim1=1, dim2=2).fill_(1.0)
    unit = torch.eye(3, device=poses.device)
    rest = torch.where(corrupted[:, None, None], unit, shear)
    linear = torch.where(hit[:, :, None, None], matrix[:, None], rest[:, None])  # (B, V, 3, 3)
    return (poses.flatten(3).flatten(1, 2) @ block_diagonal(linear.mT)).view_as(poses)


def augment(
    poses: Tensor,
    skeleton: Skeleton,
    config: AugmentConfig,
    mirrored: Tensor | None = None,
    *,
    hide: bool = True,
) -> Tensor:
    """One random distortion for each of (B, T, V, 3) views, of which some, (B,), are mirrored left to right first."""
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
    # All that is linear in a frame's coordinates, as one product: joints among each other, and their axes.
    linear = torch.einsum("bvu,bdc->bucvd", along, space).flatten(3).flatten(1, 2)

    amount = lambda most: most * torch.rand(batch, 1, 1, device=device)  # noqa: E731
    knots = amount(config.drift) * torch.randn(batch, DRIFT_KNOTS, joints * 3, device=device)
    knots += amount(config.offset) * torch.randn(batch, 1, joints * 3, device=device)
    moved = torch.baddbmm(_between(frames).to(device, non_blocking=True) @ knots, poses.flatten(2), linear)
    moved = moved.addcmul_(amount(config.jitter), torch.randn_like(moved)).view_as(poses)

    _spike(moved, _some(batch, config.spiked_views, device), config)
    moved[flat, :, :, 1] = 0.0  # what preprocessing makes of a depth that is not there
    return moved.masked_fill_(hidden(batch, skeleton, config, device)[:, None, :, None], 0.0) if hide else moved


def hidden(batch: int, skeleton: Skeleton, config: AugmentConfig, device: torch.device) -> Tensor:
    """(B, V) joints that views do not show in any frame."""
    single = _constant([not joint.startswith("mid_") for joint in skeleton.joints], device)  # of both sides
    out = (torch.rand(batch, len(skeleton), device=device) < config.dropped_joints) & single
    out = out & (torch.rand(batch, 1, device=device) < config.dropped_views)
    parts = _constant([[joint in part for joint in skeleton.joints] for part in PARTS], device)
    some = _some(batch, config.lost_parts, device)
    drawn = torch.randint(len(PARTS), (len(some),), device=device)
    return out.index_copy(0, some, out[some] | parts[drawn])


def _some(batch: int, fraction: float, device: torch.device) -> Tensor:
    """Indices of a fraction of a batch: how many is known beforehand, so that no accelerator is waited for."""
    return torch.randperm(batch, device=device)[: round(fraction * batch)]


def _spike(poses: Tensor, some: Tensor, config: AugmentConfig) -> None:
    """Moves a fraction of the sightings in some of (B, T, V, 3) poses far off."""
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
    """What makes poses of poses whose bones are longer or shorter by (B, V) factors, from the root on: (B, V, V)."""
    chain, bones, root = (part.to(lengths.device, non_blocking=True) for part in _tree(skeleton.parents))
    return (chain * lengths[:, None]) @ bones + root


@lru_cache(maxsize=16)
def _tree(parents: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Which joints are on the path of each to the root (V, V), what makes bones of joints (V, V), and the root (V,)."""
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
    """Without waiting for an accelerator, as a plain copy would."""
    return torch.tensor(numbers).to(device, non_blocking=True)


def _rotations(degrees: Tensor) -> Tensor:
    """(B, 3) angles about x, y and z to rotation matrices Rx Ry Rz, (B, 3, 3)."""
    x, y, z = (degrees * (math.pi / 180)).unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    about_x = torch.stack([one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos()], -1).view(-1, 3, 3)
    about_y = torch.stack([y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos()], -1).view(-1, 3, 3)
    about_z = torch.stack([z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one], -1).view(-1, 3, 3)
    return about_x @ about_y @ about_z
