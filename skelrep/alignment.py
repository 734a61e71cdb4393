"""Poses on the encoder's skeleton, centred in every frame, turned upright and to the front, and scaled.

`normalise` reads in these steps: map joints by name, find the landmarks, centre, rotate and scale. A joint that is
missing is NaN in all frames of a track on the way in, and zero on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from skelrep.completion import complete
from skelrep.matmul import product
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from skelrep.preprocess import Joints, PreprocessConfig

SHORTEST = 1e-6  # metres or pixels: below this a direction means nothing


class Landmarks(NamedTuple):
    """The directions and points that a track is moved by; as weights of joints, (R, W), or as positions, (R, T, C)."""

    up: Tensor  # becomes +z
    right: Tensor  # becomes +x, or as near as z allows
    scale: Tensor  # has length 1 afterwards
    origin: Tensor


def normalise(
    poses: Tensor,
    matrix: Tensor,
    skeleton: Skeleton,
    config: PreprocessConfig,
    *,
    first: Tensor,
    leaders: Tensor | None = None,
    unseen: Tensor | None = None,
) -> Tensor:
    """Maps tracks to the encoder's skeleton, centres, turns and scales them.

    Args:
        poses: (R, T, V, C) resampled tracks; NaN where missing, which a joint is in all frames of a track or in none.
        matrix: (W, V) from their skeleton to the encoder's; see `map_joints`.
        skeleton: The encoder's.
        config: See `PreprocessConfig`.
        first: (R, V, C) each track's first frame before resampling; what `align="first"` goes by.
        leaders: (R,) index of the track in whose frame each is put; by default its own.
        unseen: (R, W) joints of the encoder's skeleton to treat as missing, though they are there: for training.

    Returns:
        (R, T, W, 3), zero where missing.
    """
    known = _known(poses[:, 0], matrix)
    if unseen is not None:
        known = known & ~unseen
    centred, marks = _centred(poses, matrix, known, landmarks(known, skeleton, config))
    if config.align == "first":
        known_first = _known(first, matrix)
        _, opening = _centred(first[:, None], matrix, known_first, landmarks(known_first, skeleton, config))
        up, right = opening.up, opening.right
    else:
        up, right = _over_time(marks.up, config), _over_time(marks.right, config)
    size, origin = _size(centred, known, marks, skeleton, config), marks.origin
    if leaders is not None:
        up, right, size, origin = up[leaders], right[leaders], size[leaders], origin[leaders]
        apart = marks.origin - origin
        if config.pairs == "partner":
            alone = leaders == torch.arange(len(leaders), device=leaders.device)
            right = torch.where(alone[:, None, None], right, _over_time(apart, config))
        centred = centred + apart[:, :, None]
    turn = _rotation(up, right, config) / size[:, :, None, None]
    placed = _apply(turn, centred)
    if not _any(~known):
        return placed
    placed = placed * known[:, None, :, None]
    if config.derive_missing:
        placed = _completed(placed, known, _apply(turn, origin[:, :, None]), skeleton, config)
    return placed if poses.shape[-1] == 3 else placed * placed.new_tensor([1.0, 0.0, 1.0])


def map_joints(poses: Tensor, matrix: Tensor) -> Tensor:
    """Poses (..., V, C) on another skeleton: (..., W, C). A joint made from a missing one is missing."""
    missing = poses.isnan().any(dim=-1)
    mapped = torch.einsum("wv,...vc->...wc", matrix, poses.nan_to_num(nan=0.0))
    if _any(missing):
        lost = torch.einsum("wv,...v->...w", (matrix != 0).to(poses.dtype), missing.to(poses.dtype)) > 0
        mapped = mapped.masked_fill(lost[..., None], torch.nan)
    return mapped


def _known(pose: Tensor, matrix: Tensor) -> Tensor:
    """Which joints of another skeleton (R, V, C) poses show, (R, W): those that no missing joint is part of."""
    missing = pose.isnan().any(dim=-1).to(matrix.dtype)
    return missing @ (matrix != 0).to(matrix.dtype).mT == 0


def landmarks(known: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Landmarks:
    """The landmarks that a config names, as weights of the joints: (R, W), or (1, W) where nothing is missing.

    Args:
        known: (R, W) which joints each track shows; the others are left out of every mean.
        skeleton: The encoder's.
        config: See `PreprocessConfig`.
    """
    shown = (known if _any(~known) else known[:1]).to(torch.float32)

    def mean_of(names: Joints) -> tuple[Tensor, Tensor]:
        """Weights of the joints that are known, and (R, 1) whether any is."""
        chosen = torch.tensor([joint in names for joint in skeleton.joints], dtype=torch.float32)
        named = shown * chosen.to(shown, non_blocking=True)  # no accelerator is waited for
        count = named.sum(dim=1, keepdim=True)
        return named / count.clamp(min=1), count > 0

    def between(ends: tuple[Joints, Joints]) -> tuple[Tensor, Tensor]:
        (start, one), (end, other) = mean_of(ends[0]), mean_of(ends[1])
        return (end - start) * (one & other), one & other

    up, upright = between(config.up)
    if config.up_else is not None:
        up = torch.where(upright, up, between(config.up_else)[0])
    right = between(config.right)[0]
    scale = up if config.scale is None else between(config.scale)[0]
    origin, centred = mean_of(config.center)
    origin = torch.where(centred, origin, mean_of(skeleton.joints)[0])  # the middle of what is seen, rather than nobody
    return Landmarks(up, right, scale, origin)


def _centred(poses: Tensor, matrix: Tensor, known: Tensor, weights: Landmarks) -> tuple[Tensor, Landmarks]:
    """Tracks (R, T, V, C) on another skeleton less their origin, (R, T, W, C), zero where missing; and the landmarks.

    All of it is one product, for each is a weighted sum of joints.
    """
    if _any(poses[:, 0].isnan()):
        poses = poses.nan_to_num(nan=0.0)
    known = known if _any(~known) else known[:1]
    matrix = matrix * known[:, :, None]
    marks = torch.stack(weights, dim=1) @ matrix  # (R or 1, 4, V)
    joints = matrix - known[:, :, None] * marks[:, 3:]
    points = _combined(torch.cat([joints, marks], dim=1), poses)
    return points[:, :, :-4], Landmarks(*points[:, :, -4:].unbind(2))


def _combined(weights: Tensor, points: Tensor) -> Tensor:
    """Weighted sums (R, L, W) of (R, T, W, C) points, (R, T, L, C); one set of weights may serve all tracks."""
    channels = points.shape[-1]
    unit = torch.eye(channels, dtype=weights.dtype, device=weights.device)
    # As a product of rows with all coordinates, for one of matrices with three columns takes several times as long.
    wide = torch.einsum("rlw,cd->rlcwd", weights, unit).flatten(3).flatten(1, 2)
    rows = points.flatten(2)
    summed = product(rows, wide[0]) if len(wide) == 1 else rows @ wide.mT
    return summed.unflatten(2, (-1, channels))


def _over_time(values: Tensor, config: PreprocessConfig) -> Tensor:
    """The mean of (R, T, ...) values over the clip, (R, 1, ...), or over the frames so far, (R, T, ...)."""
    if config.align != "running":
        return values.mean(dim=1, keepdim=True)
    count = torch.arange(1, values.shape[1] + 1, device=values.device).view(-1, *[1] * (values.ndim - 2))
    return values.cumsum(dim=1) / count


def _size(centred: Tensor, known: Tensor, marks: Landmarks, skeleton: Skeleton, config: PreprocessConfig) -> Tensor:
    """The length that becomes 1: (R, 1), or (R, T) where the alignment runs."""
    if config.scale is None:
        return centred.new_ones(len(centred), 1)
    size = _over_time(torch.linalg.vector_norm(marks.scale, dim=-1), config)
    if not _any(size <= SHORTEST):
        return size
    for start, end, expected in config.scale_else:
        pair = [skeleton.joints.index(name) for name in (start, end)]
        bone = centred[:, :, pair[1]] - centred[:, :, pair[0]]
        other = _over_time(torch.linalg.vector_norm(bone, dim=-1), config) / expected
        size = torch.where((size <= SHORTEST) & known[:, pair].all(dim=1, keepdim=True), other, size)
    # The root mean square distance from the origin stands in, so that pixels do not stay pixels.
    squares = centred.square().sum(dim=(2, 3)) / known.sum(dim=1, keepdim=True).clamp(min=1)
    other = _over_time(squares, config).sqrt()
    size = torch.where(size > SHORTEST, size, other)
    return torch.where(size > SHORTEST, size, 1.0)  # a person of no size keeps its unit


def _apply(turn: Tensor, points: Tensor) -> Tensor:
    """Matrices (R, 1 or T, 3, C) times (R, T, W, C) points: (R, T, W, 3)."""
    if turn.shape[1] > 1:
        return points @ turn.mT
    matrices = turn.mT.expand(-1, points.shape[2], -1, -1)
    return (points.flatten(2) @ block_diagonal(matrices)).unflatten(2, (-1, 3))


def _completed(placed: Tensor, known: Tensor, origin: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Tensor:
    """Normalised (R, T, W, 3) tracks with what they never show filled in, by a body at ease and by the ground.

    Bodies at ease stand in the room: so joints are taken back to where they were seen, but for turn and scale, and
    centred again with those that were filled in.
    """
    lost = torch.nonzero(~known.all(dim=1))[:, 0]
    joints, known = complete(placed[lost] + origin[lost], known[lost], skeleton)
    known = known.to(joints.dtype)
    middle = known.new_tensor([float(joint in config.center) for joint in skeleton.joints]) * known
    middle = torch.where(middle.any(dim=1, keepdim=True), middle, known)
    middle = middle / middle.sum(dim=1, keepdim=True).clamp(min=1)
    joints = (joints - _combined(middle[:, None], joints)) * known[:, None, :, None]
    return placed.index_copy(0, lost, joints)


def block_diagonal(matrices: Tensor) -> Tensor:
    """What rows (T, V C) are multiplied by so that each joint is by its own matrix: (R, V, C, D) to (R, V C, V D).

    Mostly zeros, and yet several times as fast as products with three columns.
    """
    tracks, joints, rows, columns = matrices.shape
    blocks = matrices.new_zeros(tracks, joints, rows, joints, columns)
    blocks.diagonal(dim1=1, dim2=3).copy_(matrices.permute(0, 2, 3, 1))
    return blocks.flatten(3).flatten(1, 2)


def select_joints(poses: Tensor, joints: Sequence[int]) -> Tensor:
    """Some joints of poses (..., V, C) by their indices: (..., W, C)."""
    channels = poses.shape[-1]
    columns = (torch.tensor(joints)[:, None] * channels + torch.arange(channels)).flatten()
    rows = poses.flatten(-2)
    # A list for an index would make the host wait for an accelerator until the copy of it is made.
    columns = columns.to(poses.device, non_blocking=True).expand(*rows.shape[:-1], -1)
    return rows.gather(-1, columns).unflatten(-1, (len(joints), channels))


def _any(mask: Tensor) -> bool:
    """Whether anything is set; on an accelerator always True, since doing the work costs less than synchronising."""
    return mask.device.type != "cpu" or bool(mask.any())


def _rotation(up: Tensor, right: Tensor, config: PreprocessConfig) -> Tensor:
    """Matrices (R, 1 or T, 3, C) that take the directions up and right (R, 1 or T, C) to +z and +x."""
    tracks, frames, channels = up.shape
    up, right = up.flatten(0, 1), right.flatten(0, 1)
    turn = _facing_camera(up, right) if channels == 2 else _upright(up, right, config.align != "first")
    return turn.unflatten(0, (tracks, frames))


def _upright(up: Tensor, right: Tensor, keep_up: bool) -> Tensor:
    """Rotations (R, 3, 3) that take `up` (R, 3) to +z and then `right` (R, 3) to +x, or as near as z allows."""
    x, _, z = torch.eye(3, dtype=up.dtype, device=up.device)
    first = _rotation_between(up, z)
    across = (first @ right[:, :, None])[:, :, 0]
    if keep_up:
        across = across * (1 - z)
    return _rotation_between(across, x) @ first


def _rotation_between(directions: Tensor, goal: Tensor) -> Tensor:
    """The smallest rotations that take (R, 3) directions to one unit vector along an axis: (R, 3, 3).

    By Rodrigues' formula. A direction that is missing or has no length turns nothing.
    """
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    unit = torch.where(length > SHORTEST, directions / length, goal)  # a comparison with NaN is False
    x, y, z = torch.linalg.cross(unit, goal.expand_as(unit)).unbind(-1)  # the axis, as long as the angle's sine
    # 1 + cosine, in a form that keeps its digits near opposite directions: |unit + goal|^2 / 2.
    above = ((unit + goal).square().sum(dim=-1) / 2)[:, None, None]
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
    rotation = torch.eye(3, dtype=unit.dtype, device=unit.device) + cross + cross @ cross / above.clamp(min=1e-12)
    # Opposite directions leave the axis open: half a turn, about y for z and about z for x, which keeps up what is up.
    return torch.where(above < 1e-12, torch.diag(2 * goal.roll(-1) - 1), rotation)


def _facing_camera(up: Tensor, right: Tensor) -> Tensor:
    """For two-dimensional tracks the maps (R, 3, 2) from image x, y to left-right, depth and height.

    Signs are such that the person stands upright (image y usually points down) and has its right on +x: a view from
    behind and the mirror image of one from the front cast the same shadow.
    """
    turn = up.new_zeros(len(up), 3, 2)
    turn[:, 0, 0] = torch.where(right[:, 0] < 0, -1.0, 1.0)
    turn[:, 2, 1] = torch.where(up[:, 1] < 0, -1.0, 1.0)
    return turn
