"""Augmentation for strangers' sensors: batched, on the device, in the encoder's normalised space.

Lengths are in units of the trunk (mid hips to mid shoulders), about half a metre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skelrep.skeletons import Skeleton


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly views differ. Every amount is the bound of a uniform draw, made anew for each view.

    Attributes:
        mirror: Share of clips of which both views are mirrored: new clips, not an invariance, for left is not right.
        yaw: Degrees about the vertical.
        tilt: Degrees about each horizontal axis.
        shear: Off-diagonal entries of a matrix with unit diagonal, as CMD's shear, but milder.
        limbs: Relative change of each bone's length.
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
    drift: float = 0.08
    jitter: float = 0.04
    dropped_views: float = 0.5
    dropped_joints: float = 0.2
    flat_views: float = 0.1


DRIFT_KNOTS = 6  # random positions between which a drift moves: slower than gestures, faster than a clip


def mirror(first: Tensor, second: Tensor, skeleton: Skeleton, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mirrors both (B, T, V, 3) views of some clips left to right; also tells which, (B,)."""
    chosen = torch.rand(len(first), device=first.device) < share
    flip = first.new_tensor([-1.0, 1.0, 1.0])
    twins = list(skeleton.mirror)
    one, two = (torch.where(chosen[:, None, None, None], view[:, :, twins] * flip, view) for view in (first, second))
    return one, two, chosen


def augment(poses: Tensor, skeleton: Skeleton, config: AugmentConfig) -> Tensor:
    """One random distortion for each of (B, T, V, 3) views."""
    batch, frames, joints, _ = poses.shape
    uniform = lambda *shape: torch.rand(*shape, device=poses.device) * 2 - 1  # noqa: E731
    lengths = 1 + config.limbs * uniform(batch, joints)
    linear = _rotations(uniform(batch, 3) * uniform(1).new_tensor([config.tilt, config.tilt, config.yaw]))
    shear = config.shear * uniform(batch, 3, 3)
    shear.diagonal(dim1=1, dim2=2).fill_(1.0)
    poses = _limbs(poses, lengths, skeleton) @ (shear @ linear).mT[:, None]

    knots = torch.randn(batch, joints * 3, DRIFT_KNOTS, device=poses.device)
    wander = torch.nn.functional.interpolate(knots, size=frames, mode="linear", align_corners=True)
    wander = wander.transpose(1, 2).unflatten(2, (joints, 3))
    amount = lambda most: most * torch.rand(batch, 1, 1, 1, device=poses.device)  # noqa: E731
    poses = poses + amount(config.drift) * wander + amount(config.jitter) * torch.randn_like(poses)

    flat = torch.rand(batch, 1, 1, device=poses.device) < config.flat_views
    poses = torch.stack([poses[..., 0], poses[..., 1].masked_fill(flat, 0.0), poses[..., 2]], dim=-1)
    dropped = torch.rand(batch, 1, joints, 1, device=poses.device) < config.dropped_joints
    dropped &= torch.rand(batch, 1, 1, 1, device=poses.device) < config.dropped_views
    return poses.masked_fill(dropped, 0.0)  # what preprocessing makes of a joint that is never seen


def _limbs(poses: Tensor, lengths: Tensor, skeleton: Skeleton) -> Tensor:
    """Poses whose bones are longer or shorter by (B, V) factors, rebuilt from the root."""
    bones = poses - poses[..., list(skeleton.parents), :]
    chain = torch.zeros(len(skeleton), len(skeleton), device=poses.device)  # chain[v, u]: u is on v's way to the root
    for joint in range(len(skeleton)):
        step = joint
        while chain[joint, step] == 0:
            chain[joint, step] = 1
            step = skeleton.parents[step]
    root = [joint for joint, parent in enumerate(skeleton.parents) if joint == parent]
    rebuilt = torch.einsum("vu,bu,btuc->btvc", chain, lengths, bones)
    return rebuilt + poses[:, :, root]


def _rotations(degrees: Tensor) -> Tensor:
    """(B, 3) angles about x, y and z to rotation matrices Rx Ry Rz, (B, 3, 3)."""
    x, y, z = (degrees * (math.pi / 180)).unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    about_x = torch.stack([one, zero, zero, zero, x.cos(), -x.sin(), zero, x.sin(), x.cos()], -1).view(-1, 3, 3)
    about_y = torch.stack([y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos()], -1).view(-1, 3, 3)
    about_z = torch.stack([z.cos(), -z.sin(), zero, z.sin(), z.cos(), zero, zero, zero, one], -1).view(-1, 3, 3)
    return about_x @ about_y @ about_z
