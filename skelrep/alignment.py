"""Alignment: maps poses to the encoder's skeleton, centres every frame, rotates bodies to a standard view, and scales.

The steps of `normalise` are: map joints by name, find the landmarks, centre, rotate and scale. A missing joint is NaN
in all frames of a track in the input, and zero in the output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.completion import complete
from skelrep.matmul import product
from skelrep.preprocess_config import Joints, PreprocessConfig
from skelrep.skeletons import Skeleton

SHORTEST = 1e-6  # metres or pixels; a shorter vector has no direction


class Landmarks(NamedTuple):
    """The directions and points that define the alignment: as weights of joints, (R, W), or as values, (R, T, C)."""

    up: Tensor  # becomes +z
    right: Tensor  # becomes +x, or as near to it as z allows
    scale: Tensor  # gets length 1
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
    """Maps tracks to the encoder's skeleton, and centres, rotates and scales them.

    Args:
        poses: (R, T, V, C) resampled tracks; a missing joint is NaN in all frames of its track.
        matrix: (W, V) from the skeleton of the tracks to the encoder's; see `map_joints`.
        skeleton: The encoder's skeleton.
        config: See `PreprocessConfig`.
        first: (R, V, C) the first frame of each track before resampling, which `align="first"` uses.
        leaders: (R,) index of the track whose alignment each track gets; by default its own.
        unseen: (R, W) joints of the encoder's skeleton to treat as missing although they are seen, for training.

    Returns:
        (R, T, W, 3), zero where missing.
    """
    if config.align == "running":
        return _normalise_running(poses, matrix, skeleton, config, unseen)
    known = _known(poses[:, 0], matrix)
    if unseen is not None:
        known = known & ~unseen
    centred, marks = _centred(poses, matrix, known, landmarks(known, skeleton, config))
    if config.align == "first":
        known_first = _known(first, matrix)
        _, opening = _centred(first[:, None], matrix, known_first, landmarks(known_first, skeleton, config))
        up, right = opening.up, opening.right
    else:
        up, right = marks.up.mean(dim=1, keepdim=True), marks.right.mean(dim=1, keepdim=True)
    size, origin = _size(centred, known, marks, skeleton, config), marks.origin
    apart: Tensor | None = None  # from the leader's origin
    if leaders is not None:
        up, right, size, origin = (part.index_select(0, leaders) for part in (up, right, size, origin))
        apart = marks.origin - origin
        if config.pairs == "partner":
            alone = leaders == torch.arange(len(leaders), device=leaders.device)
            right = torch.where(alone[:, None, None], right, apart.mean(dim=1, keepdim=True))
    turn = _rotation(up, right, config) / size[:, None, None, None]
    placed = _apply(turn, centred)
    if apart is not None:  # a product, because adding one vector to all joints takes several times as long
        placed.flatten(2).baddbmm_(apart, turn[:, 0].mT.repeat(1, 1, len(skeleton)))
    if not _any(~known):
        return placed
    placed = placed * known[:, None, :, None]
    if config.derive_missing:
        placed = _completed(placed, known, _apply(turn, origin[:, :, None]), skeleton, config)
    return placed if poses.shape[-1] == 3 else placed * placed.new_tensor([1.0, 0.0, 1.0])


def _normalise_running(
    poses: Annotated[Tensor, "R T V C"],
    matrix: Annotated[Tensor, "W V"],
    skeleton: Skeleton,
    config: PreprocessConfig,
    unseen: Annotated[Tensor, "R W"] | None,
) -> Annotated[Tensor, "R T W 3"]:
    """`normalise` without the future: rotation and scale are means over the frames so far, of each track alone.

    NaN where a joint was not seen so far.
    """
    tracks, frames = poses.shape[:2]
    known = _known(poses.flatten(0, 1), matrix).unflatten(0, (tracks, frames))  # (R, T, W)
    if unseen is not None:
        known = known & ~unseen[:, None]
    every = known.flatten(0, 1)
    if _any(known != known[:, :1]):  # then each frame has its own landmarks
        centred, marks = _centred(poses.flatten(0, 1)[:, None], matrix, every, landmarks(every, skeleton, config))
        centred, *parts = (part.unflatten(0, (tracks, frames))[:, :, 0] for part in (centred, *marks))
        marks = Landmarks(*parts)
    else:
        centred, marks = _centred(poses, matrix, known[:, 0], landmarks(known[:, 0], skeleton, config))
    size = poses.new_ones(tracks, frames)
    if config.scale is not None:
        length = torch.linalg.vector_norm(marks.scale, dim=-1, keepdim=True)
        if others := _any(~(length[:, :1] > SHORTEST)):
            length = torch.cat([length, _other_lengths(centred, known, skeleton, config)], dim=-1)
        counts = (length > SHORTEST).to(length).cumsum(dim=1)
        means = length.cumsum(dim=1) / counts.clamp(min=1)
        size = means[..., 0]
        if others:
            size = torch.ones_like(size)  # a person of size 0 is not scaled
            for k in reversed(range(means.shape[-1])):
                size = torch.where(counts[..., k] > 0, means[..., k], size)
    turn = _rotation(marks.up.cumsum(dim=1), marks.right.cumsum(dim=1), config) / size[..., None, None]
    placed = _apply(turn, centred)
    if _any(~known):
        placed = placed * known[..., None]
        if config.derive_missing:
            # Each frame alone, as a clip of one frame.
            origins = _apply(turn, marks.origin[:, :, None]).flatten(0, 1)[:, None]
            placed = _completed(placed.flatten(0, 1)[:, None], every, origins, skeleton, config)
            placed = placed[:, 0].unflatten(0, (tracks, frames))
        if poses.shape[-1] == 2:
            placed = placed * placed.new_tensor([1.0, 0.0, 1.0])
    return placed


class RunningAlignment:
    """`normalise` with align="running", of one track frame by frame.

    In numpy: for a single frame, a call of torch takes longer than its work.
    """

    def __init__(self, matrix: Annotated[np.ndarray, "W V"], skeleton: Skeleton, config: PreprocessConfig) -> None:
        """Before the first frame; arguments as in `normalise`."""
        self.matrix, self.skeleton, self.config = torch.from_numpy(matrix), skeleton, config
        self.missing: bytes | None = None  # the joints that were missing in the last frame
        self.directions = np.zeros((2, 1))  # sums over the frames so far of those that become +z and +x, (2, C)
        # Sums of the lengths that may be scaled to 1 (see `_other_lengths`), and in how many frames they are known.
        self.sizes, self.counts = ([0.0] * (len(config.scale_else) + 2) for _ in range(2))

    def step(self, pose: Annotated[np.ndarray, "V C"]) -> Annotated[np.ndarray, "W 3"]:
        """The next frame, aligned; NaN where a joint was not seen so far, zero in the result where missing."""
        missing = np.isnan(pose).any(axis=-1)
        if missing.tobytes() != self.missing:
            known = _known(torch.from_numpy(pose)[None], self.matrix)
            marks = landmarks(known, self.skeleton, self.config)
            weights = _weights(self.matrix, known, marks)[0].numpy()
            self.missing, self.known, self.weights = missing.tobytes(), known, weights
            derived = self.config.derive_missing and not known.all()
            self.completion = self._completion(pose.shape[1]) if derived else None
        points = self.weights @ (np.nan_to_num(pose) if missing.any() else pose)
        centred, scale = points[:-4], points[-2]
        self.directions = self.directions + points[-4:-2]
        size = self._size(scale, centred)
        up, right = torch.from_numpy(self.directions).float()[:, None, None]
        turn = _rotation(up, right, self.config)[0, 0].numpy() / size
        placed = centred @ turn.T
        return placed if self.completion is None else self.completion[0] @ placed + self.completion[1]

    def _size(self, scale: np.ndarray, centred: np.ndarray) -> float:
        """The length that is scaled to 1: the mean over the frames so far of the first one that is known."""
        if self.config.scale is None:
            return 1.0
        lengths = [math.sqrt(scale @ scale)]
        if not self.counts[0] and not lengths[0] > SHORTEST:
            frame, known = torch.from_numpy(centred)[None, None], self.known[None]
            lengths += _other_lengths(frame, known, self.skeleton, self.config).flatten().tolist()
        for k, length in enumerate(lengths):
            self.sizes[k] += length
            self.counts[k] += length > SHORTEST
        known_sizes = (size / count for size, count in zip(self.sizes, self.counts) if count)
        return next(known_sizes, 1.0)  # a person of size 0 is not scaled

    def _completion(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """The matrix (W, W) and the offset (W, 3) that derive the missing joints of a frame.

        In a single frame, they are an affine function of the others: `_completed` of a frame of zeros, and of frames in
        which one joint is elsewhere, gives its coefficients.
        """
        joints = len(self.skeleton)
        frames = torch.cat([torch.zeros(1, joints), torch.eye(joints)])[:, None, :, None] * torch.eye(3)[0]
        origin = torch.zeros(joints + 1, 1, 1, 3)
        found = _completed(frames, self.known.expand(joints + 1, -1), origin, self.skeleton, self.config)[:, 0].numpy()
        depth = [1.0, float(channels == 3), 1.0]
        return (found[1:, :, 0] - found[0, :, 0]).T.copy(), found[0] * np.array(depth, np.float32)


def _other_lengths(centred: Tensor, known: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Tensor:
    """What may be scaled to 1 in each frame if `scale` is not seen, (R, T, K); zero if not known.

    The lengths of `scale_else`, and the root mean square distance of the joints from the origin.
    """
    lengths = []
    for start, end, expected in config.scale_else:
        pair = [skeleton.joints.index(name) for name in (start, end)]
        bone = torch.linalg.vector_norm(centred[:, :, pair[1]] - centred[:, :, pair[0]], dim=-1)
        lengths.append(bone / expected * known[:, :, pair].all(dim=2))
    squares = (centred.square().sum(dim=3) * known).sum(dim=2) / known.sum(dim=2).clamp(min=1)
    return torch.stack([*lengths, squares.sqrt()], dim=-1)


def map_joints(poses: Tensor, matrix: Tensor) -> Tensor:
    """Maps poses (..., V, C) to another skeleton: (..., W, C). A joint derived from a missing one is missing."""
    missing = poses.isnan().any(dim=-1)
    mapped = torch.einsum("wv,...vc->...wc", matrix, poses.nan_to_num(nan=0.0))
    if _any(missing):
        lost = torch.einsum("wv,...v->...w", (matrix != 0).to(poses.dtype), missing.to(poses.dtype)) > 0
        mapped = mapped.masked_fill(lost[..., None], torch.nan)
    return mapped


def _known(pose: Tensor, matrix: Tensor) -> Tensor:
    """Which joints of another skeleton are known from (R, V, C) poses, (R, W): those derived from no missing joint."""
    missing = pose.isnan().any(dim=-1).to(matrix.dtype)
    return missing @ (matrix != 0).to(matrix.dtype).mT == 0


def landmarks(known: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Landmarks:
    """The landmarks of a config as weights of the joints: (R, W), or (1, W) if nothing is missing.

    Args:
        known: (R, W) which joints are known in each track; the others are left out of every mean.
        skeleton: The encoder's skeleton.
        config: See `PreprocessConfig`.
    """
    shown = known if _any(~known) else known[:1]
    if len(shown) == 1 and shown.device.type == "cpu":
        return _landmarks(tuple(shown[0].tolist()), skeleton, config)
    return _landmarks_of_each(shown, skeleton, config)


@lru_cache(maxsize=4096)
def _landmarks(known: tuple[bool, ...], skeleton: Skeleton, config: PreprocessConfig) -> Landmarks:
    """Those of one track; a live stream needs the same ones at every step."""
    with torch.inference_mode(False):
        return _landmarks_of_each(torch.tensor([known]), skeleton, config)


def _landmarks_of_each(shown: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Landmarks:
    shown = shown.to(torch.float32)

    def mean_of(names: Joints) -> tuple[Tensor, Tensor]:
        """Weights of the joints that are known, and (R, 1) whether any is."""
        named = shown * _chosen(names, skeleton.joints).to(shown, non_blocking=True)  # avoids a synchronisation
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
    origin = torch.where(centred, origin, mean_of(skeleton.joints)[0])  # else the mean of all known joints
    return Landmarks(up, right, scale, origin)


@lru_cache(maxsize=256)
def _chosen(names: Joints, joints: tuple[str, ...]) -> Tensor:
    """(W,) 1.0 for the joints that are named."""
    return torch.tensor([float(joint in names) for joint in joints], device="cpu")


def _centred(poses: Tensor, matrix: Tensor, known: Tensor, marks: Landmarks) -> tuple[Tensor, Landmarks]:
    """Tracks (R, T, V, C) mapped and centred, (R, T, W, C), zero where missing; and the landmarks' positions.

    Both are weighted sums of joints, so one product computes them.
    """
    if _any(poses[:, 0].isnan()):
        poses = poses.nan_to_num(nan=0.0)
    points = _combined(_weights(matrix, known, marks), poses)
    return points[:, :, :-4], Landmarks(*points[:, :, -4:].unbind(2))


def _weights(matrix: Tensor, known: Tensor, marks: Landmarks) -> Tensor:
    """Of (V,) joints in the W centred joints and the four landmarks: (R or 1, W + 4, V)."""
    known = known if _any(~known) else known[:1]
    matrix = matrix * known[:, :, None]
    landmarks = torch.stack(marks, dim=1) @ matrix  # (R or 1, 4, V)
    return torch.cat([matrix - known[:, :, None] * landmarks[:, 3:], landmarks], dim=1)


def _combined(weights: Tensor, points: Tensor) -> Tensor:
    """Weighted sums (R, T, L, C) of (R, T, W, C) points by (R, L, W) or (1, L, W) weights."""
    channels = points.shape[-1]
    unit = torch.eye(channels, dtype=weights.dtype, device=weights.device)
    # A product of whole rows, because products of matrices with three columns take several times as long.
    wide = torch.einsum("rlw,cd->rlcwd", weights, unit).flatten(3).flatten(1, 2)
    rows = points.flatten(2)
    summed = product(rows, wide[0]) if len(wide) == 1 else rows @ wide.mT
    return summed.unflatten(2, (-1, channels))


def _size(centred: Tensor, known: Tensor, marks: Landmarks, skeleton: Skeleton, config: PreprocessConfig) -> Tensor:
    """The length of each track that is scaled to 1, (R,)."""
    if config.scale is None:
        return centred.new_ones(len(centred))
    size = torch.linalg.vector_norm(marks.scale, dim=-1).mean(dim=1)
    if not _any(size <= SHORTEST):
        return size
    for start, end, expected in config.scale_else:
        pair = [skeleton.joints.index(name) for name in (start, end)]
        bone = centred[:, :, pair[1]] - centred[:, :, pair[0]]
        other = torch.linalg.vector_norm(bone, dim=-1).mean(dim=1) / expected
        size = torch.where((size <= SHORTEST) & known[:, pair].all(dim=1), other, size)
    # As a fallback, the root mean square distance from the origin, so that the result has no unit such as pixels.
    squares = centred.square().sum(dim=(2, 3)).mean(dim=1) / known.sum(dim=1).clamp(min=1)
    size = torch.where(size > SHORTEST, size, squares.sqrt())
    return torch.where(size > SHORTEST, size, 1.0)  # a person of size 0 is not scaled


def _apply(turn: Tensor, points: Tensor) -> Tensor:
    """Applies matrices (R, 1 or T, 3, C) to (R, T, W, C) points: (R, T, W, 3)."""
    if turn.shape[1] > 1:
        return points @ turn.mT
    rows, matrices = points.flatten(1, 2), turn[:, 0].mT
    if rows.device.type != "cpu":
        return (rows @ matrices).unflatten(1, points.shape[1:3])
    # torch takes several times as long for products of matrices with three columns.
    return torch.from_numpy(rows.numpy() @ matrices.numpy()).unflatten(1, points.shape[1:3])


def _completed(placed: Tensor, known: Tensor, origin: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> Tensor:
    """Normalised (R, T, W, 3) tracks, with missing joints placed as for a relaxed, standing person.

    The ground is the same in all frames, so centring is undone first and repeated with the joints that were filled in;
    rotation and scale are kept.
    """
    lost = torch.nonzero(~known.all(dim=1))[:, 0]
    joints, known = complete(placed[lost] + origin[lost], known[lost], skeleton)
    known = known.to(joints.dtype)
    middle = known.new_tensor([float(joint in config.center) for joint in skeleton.joints]) * known
    middle = torch.where(middle.any(dim=1, keepdim=True), middle, known)
    middle = middle / middle.sum(dim=1, keepdim=True).clamp(min=1)
    joints = (joints - _combined(middle[:, None], joints)) * known[:, None, :, None]
    return placed.index_copy(0, lost, joints)


def select_joints(poses: Tensor, joints: Sequence[int]) -> Tensor:
    """Some joints of poses (..., V, C) by their indices: (..., W, C)."""
    channels = poses.shape[-1]
    columns = (torch.tensor(joints)[:, None] * channels + torch.arange(channels)).flatten()
    rows = poses.flatten(-2)
    # Indexing with a list would synchronise the host with an accelerator.
    columns = columns.to(poses.device, non_blocking=True).expand(*rows.shape[:-1], -1)
    return rows.gather(-1, columns).unflatten(-1, (len(joints), channels))


def _any(mask: Tensor) -> bool:
    """Whether any element is true; always True on an accelerator, where the work costs less than a synchronisation."""
    return mask.device.type != "cpu" or bool(mask.any())


def _rotation(up: Tensor, right: Tensor, config: PreprocessConfig) -> Tensor:
    """Matrices (R, 1 or T, 3, C) that map the directions up and right (R, 1 or T, C) to +z and +x."""
    tracks, frames, channels = up.shape
    up, right = up.flatten(0, 1), right.flatten(0, 1)
    turn = _facing_camera(up, right) if channels == 2 else _upright(up, right, config.align != "first")
    return turn.unflatten(0, (tracks, frames))


def _upright(up: Tensor, right: Tensor, keep_up: bool) -> Tensor:
    """Rotations (R, 3, 3) of `up` (R, 3) to +z, and then of `right` (R, 3) to +x, or as near to it as z allows."""
    if keep_up:
        height = torch.linalg.vector_norm(up, dim=-1, keepdim=True)
        upward = up / height
        across = right - (right * upward).sum(dim=-1, keepdim=True) * upward
        width = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
        if not _any(~(torch.minimum(height, width) > SHORTEST)):  # then there is only one such rotation
            rightward = across / width
            return torch.stack([rightward, torch.linalg.cross(upward, rightward), upward], dim=1)
    x, _, z = torch.eye(3, dtype=up.dtype, device=up.device)
    first = _rotation_between(up, z)
    across = (first @ right[:, :, None])[:, :, 0]
    if keep_up:
        across = across * (1 - z)
    return _rotation_between(across, x) @ first


def _rotation_between(directions: Tensor, goal: Tensor) -> Tensor:
    """The smallest rotations of (R, 3) directions to a unit vector along an axis: (R, 3, 3).

    By Rodrigues' formula. A direction that is missing or has length 0 gives the identity.
    """
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    unit = torch.where(length > SHORTEST, directions / length, goal)  # a comparison with NaN is False
    x, y, z = torch.linalg.cross(unit, goal.expand_as(unit)).unbind(-1)  # the axis, as long as the angle's sine
    # 1 + cosine, computed as |unit + goal|^2 / 2, which stays precise for nearly opposite directions.
    above = ((unit + goal).square().sum(dim=-1) / 2)[:, None, None]
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(-1, 3, 3)
    rotation = torch.eye(3, dtype=unit.dtype, device=unit.device) + cross + cross @ cross / above.clamp(min=1e-12)
    # For opposite directions the axis is arbitrary: half a turn about y for z, and about z for x, which keeps z.
    return torch.where(above < 1e-12, torch.diag(2 * goal.roll(-1) - 1), rotation)


def _facing_camera(up: Tensor, right: Tensor) -> Tensor:
    """For two-dimensional tracks, the maps (R, 3, 2) from image x, y to left-right, depth and height.

    Signs are chosen such that the person is upright (image y usually points down) and the right side is at +x: in two
    dimensions, a view from behind equals the mirror image of a view from the front.
    """
    turn = up.new_zeros(len(up), 3, 2)
    turn[:, 0, 0] = torch.where(right[:, 0] < 0, -1.0, 1.0)
    turn[:, 2, 1] = torch.where(up[:, 1] < 0, -1.0, 1.0)
    return turn
