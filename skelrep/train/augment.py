"""Augmentation: batched, on the device, in the encoder's normalised space.

Two kinds: for strangers' sensors (the encoder in the box), and CMD's (the paper line).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skelrep.alignment import block_diagonal
from skelrep.encoder.encoder import persons_present
from skelrep.skeletons import Skeleton


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly views of strangers' sensors differ. Every amount bounds a uniform draw, made anew for each view.

    Lengths are in units of the trunk (mid hips to mid shoulders), about half a metre.

    Attributes:
        mirror: Share of clips of which both views are mirrored: new clips, not an invariance, for left is not right.
        yaw: Degrees about the vertical.
        tilt: Degrees about each horizontal axis.
        shear: Off-diagonal entries of a matrix with unit diagonal, as CMD's shear, but milder.
        limbs: Relative change of each bone's length.
        offset: Displacement of every joint, the same in all frames: sensors and body models do not agree on where a
            joint is, nor do people on how they stand.
        drift: Smooth wander of every joint.
        jitter: Standard deviation of white noise at every joint and frame.
        dropped_views: Share of views with missing joints.
        dropped_joints: Share of joints missing in these, all the time.
        flat_views: Share of views whose depth is lost, as a single camera's.
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
    flat_views: float = 0.1


@dataclass(frozen=True)
class CMDAugmentConfig:
    """CMD's: every view has either some joints corrupted or is sheared (ECCV 2022, arXiv 2208.12448, and its code).

    Attributes:
        corrupted_views: Share of views with corrupted joints; the others are sheared.
        corrupted_joints: How many, the same in all frames and persons: set to zero in half of these views, in the
            other half multiplied by one matrix of entries from -1 to 1.
        shear: Off-diagonal entries of a matrix with unit diagonal.
    """

    corrupted_views: float = 0.5
    corrupted_joints: int = 15
    shear: float = 1.0


DRIFT_KNOTS = 6  # random positions between which a drift moves: slower than gestures, faster than a clip


def distort(
    first: Tensor, second: Tensor, skeleton: Skeleton, config: AugmentConfig | CMDAugmentConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Two views (B, M, T, V, 3) of the same clips, distorted each in its own way.

    Returns:
        Both views, absent persons still zero; and (B,) which clips were mirrored left to right: other clips, then.
    """
    if isinstance(config, CMDAugmentConfig):
        return corrupt_or_shear(first, config), corrupt_or_shear(second, config), first.new_zeros(len(first)).bool()
    mirrored = torch.rand(len(first), device=first.device) < config.mirror
    tracks = mirrored.repeat_interleave(first.shape[1])
    one, two = (
        augment(view.flatten(0, 1), skeleton, config, tracks).view_as(view)
        * persons_present(view)[:, :, None, None, None]
        for view in (first, second)
    )
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


def augment(poses: Tensor, skeleton: Skeleton, config: AugmentConfig, mirrored: Tensor | None = None) -> Tensor:
    """One random distortion for each of (B, T, V, 3) views, of which some, (B,), are mirrored left to right first."""
    batch, frames, joints, _ = poses.shape
    uniform = lambda *shape: torch.rand(*shape, device=poses.device) * 2 - 1  # noqa: E731
    along = _limbs(1 + config.limbs * uniform(batch, joints), skeleton)
    about_x, about_y, about_z = uniform(batch, 3).unbind(dim=1)
    turn = _rotations(torch.stack([config.tilt * about_x, config.tilt * about_y, config.yaw * about_z], dim=1))
    shear = config.shear * uniform(batch, 3, 3)
    shear.diagonal(dim1=1, dim2=2).fill_(1.0)
    space = shear @ turn
    if mirrored is not None:
        chosen, flip = mirrored[:, None, None], _constant([-1.0, 1.0, 1.0], poses.device)
        along = torch.where(chosen, along[:, :, _constant(skeleton.mirror, poses.device)], along)
        space = torch.where(chosen, space * flip, space)
    # All that is linear in a frame's coordinates, as one product: joints among each other, and their axes.
    linear = torch.einsum("bvu,bdc->bucvd", along, space).flatten(3).flatten(1, 2)

    amount = lambda most: most * torch.rand(batch, 1, 1, device=poses.device)  # noqa: E731
    knots = amount(config.drift) * torch.randn(batch, DRIFT_KNOTS, joints * 3, device=poses.device)
    knots += amount(config.offset) * torch.randn(batch, 1, joints * 3, device=poses.device)
    moved = torch.baddbmm(_between(frames).to(poses.device, non_blocking=True) @ knots, poses.flatten(2), linear)
    moved = torch.addcmul(moved, amount(config.jitter), torch.randn_like(moved)).view_as(poses)

    flat = torch.rand(batch, 1, 1, 1, device=poses.device) < config.flat_views
    depth = _constant([0.0, 1.0, 0.0], poses.device) > 0
    dropped = torch.rand(batch, 1, joints, 1, device=poses.device) < config.dropped_joints
    dropped = dropped & (torch.rand(batch, 1, 1, 1, device=poses.device) < config.dropped_views)
    # Zero is what preprocessing makes of a joint that is never seen, and of depth.
    return moved.masked_fill_(dropped | (flat & depth), 0.0)


def _between(frames: int) -> Tensor:
    """(T, DRIFT_KNOTS) weights of the knots in each frame."""
    one = torch.eye(DRIFT_KNOTS)[None]
    return torch.nn.functional.interpolate(one, size=frames, mode="linear", align_corners=True)[0].T


def _limbs(lengths: Tensor, skeleton: Skeleton) -> Tensor:
    """What makes poses of poses whose bones are longer or shorter by (B, V) factors, from the root on: (B, V, V)."""
    parents = list(skeleton.parents)
    chain = torch.zeros(len(skeleton), len(skeleton))  # chain[v, u]: u is on v's way to the root
    for joint in range(len(skeleton)):
        step = joint
        while chain[joint, step] == 0:
            chain[joint, step] = 1
            step = parents[step]
    bones = torch.eye(len(skeleton)) - torch.eye(len(skeleton))[parents]
    root = torch.tensor([float(joint == parent) for joint, parent in enumerate(parents)])
    chain, bones, root = (part.to(lengths.device, non_blocking=True) for part in (chain, bones, root))
    return (chain * lengths[:, None]) @ bones + root


def _constant(numbers: Sequence[float], device: torch.device) -> Tensor:
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
