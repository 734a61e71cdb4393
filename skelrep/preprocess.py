"""From raw clips of any length to the tensor that an encoder takes, as its checkpoint's config says.

All clips of a batch are laid end to end as *tracks* (one person of one clip, frame after frame), so that every step
is one operation over all of them. A *missing* value is NaN until the very last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from skelrep.matmul import product
from skelrep.persons import motion_energy
from skelrep.skeletons import Skeleton, mapping

Joints = tuple[str, ...]  # where several are named, their mean position is meant, of those that were seen


@dataclass(frozen=True)
class PreprocessConfig:
    """What happens between raw poses and the encoder's input; part of every checkpoint.

    Attributes:
        frames: T that every clip is resampled to.
        crop: Share of the clip that is kept, in its middle; the CMD line embeds 0.95.
        persons: M; of more persons the most active are kept, absent ones are zero.
        per_person: Whether every person is centred, turned and scaled by its own joints (True), or all by the first
            person's, so that their relative position is kept (False, the CMD line).
        center: The origin of every frame.
        up: The way from the one to the other is turned to +z.
        up_else: What stands in where that way was never seen, as of people behind a desk; None: they are not turned.
        right: Then the way from the one to the other (left to right shoulder) is turned to +x.
        align: What these two ways are taken from. "first": the first frame, and the second turn is the smallest one
            even if it tilts +z again (2s-AGCN's `pre_normalization`, which the CMD line uses). "mean": their mean over
            the clip, and the second turn is about z alone; on raw poses one frame's noise costs 2 to 6 points of 1-NN.
        scale: The mean distance of the two becomes 1 (where it was never seen: the root of the joints' mean squared
            distance from the origin); None keeps the unit.
    """

    frames: int = 64
    crop: float = 1.0
    persons: int = 2
    per_person: bool = True
    center: Joints = ("mid_hips", "mid_shoulders")
    # Legs seldom lean as the trunk does; where they were not seen the hips stand in for them.
    up: tuple[Joints, Joints] = (
        ("mid_hips", "left_knee", "right_knee", "left_ankle", "right_ankle"),
        ("mid_shoulders",),
    )
    up_else: tuple[Joints, Joints] | None = (("mid_shoulders",), ("head",))
    right: tuple[Joints, Joints] = (("left_shoulder",), ("right_shoulder",))
    align: Literal["first", "mean"] = "mean"
    scale: tuple[Joints, Joints] | None = (("mid_hips",), ("mid_shoulders",))


#: What CMD's public feeder and the AGCN reader before it do, on the "ntu-25" skeleton.
CMD_LINE = PreprocessConfig(
    frames=64,
    crop=0.95,
    persons=2,
    per_person=False,
    center=("spine",),
    up=(("pelvis",), ("spine",)),
    up_else=None,
    right=(("left_shoulder",), ("right_shoulder",)),
    align="first",
    scale=None,
)


def prepare(
    clips: list[np.ndarray],
    source: Skeleton,
    target: Skeleton,
    config: PreprocessConfig,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Raw clips as an encoder's input.

    Args:
        clips: N float arrays (M, T, V, C) on `source`, NaN where a joint was not seen; C is 2 or 3.
        source: The skeleton of the clips.
        target: The encoder's skeleton, of W joints.
        config: See `PreprocessConfig`.
        device: Where to work and where the result lies.

    Returns:
        (N, config.persons, config.frames, W, 3) float32. Two-dimensional poses are taken for what a camera facing the
        person sees: image x becomes the left-right axis, image y the height, and the depth is 0.

    Raises:
        ValueError: if `source` cannot be mapped to `target` (both lists of names are given).
    """
    matrix = torch.from_numpy(mapping(source, target)).to(device)
    tracks = _Tracks.of(clips, config.persons)
    dropped = ((1 - config.crop) * tracks.lengths / 2).astype(np.int64)  # at either end; float64, as CMD counts them
    rows, starts, lengths, dropped, slots, leaders = (
        torch.from_numpy(part).to(device)
        for part in (tracks.rows, tracks.starts, tracks.lengths, dropped, tracks.slots, tracks.leaders)
    )
    poses = resample(rows, starts + dropped, lengths - 2 * dropped, config.frames)
    poses = normalise(poses, matrix, target, config, first=rows[starts], leaders=None if config.per_person else leaders)
    persons = len(clips) * config.persons
    if len(poses) < persons:
        present, poses = poses, poses.new_zeros(persons, *poses.shape[1:])
        poses[slots] = present
    return poses.view(len(clips), config.persons, *poses.shape[1:])


@dataclass(frozen=True)
class _Tracks:
    """The persons of all clips end to end, gaps in time already bridged."""

    rows: np.ndarray  # (sum of lengths, V, C)
    starts: np.ndarray  # (R,) where a track begins in rows
    lengths: np.ndarray  # (R,)
    slots: np.ndarray  # (R,) clip * persons + person: where it goes in the result
    leaders: np.ndarray  # (R,) the track of its clip's first person

    @classmethod
    def of(cls, clips: list[np.ndarray], persons: int) -> _Tracks:
        chosen = [_most_active(clip, persons) for clip in clips]
        counts = np.array([len(clip) for clip in chosen])
        rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in chosen]).astype(np.float32, copy=False)
        lengths = np.repeat([clip.shape[1] for clip in chosen], counts)
        starts = np.cumsum(lengths) - lengths
        firsts = np.cumsum(counts) - counts
        within = np.arange(len(lengths)) - np.repeat(firsts, counts)
        rows = fill_gaps(rows, starts, lengths)
        # A person who was never seen is no track: its slot stays zero. One row tells, since gaps are bridged.
        seen = np.asarray(~_missing(rows[starts]).all(axis=-1))
        renumbered = np.cumsum(seen) - 1
        leader_of_clip = np.array([first + seen[first : first + n].argmax() for first, n in zip(firsts, counts)])
        return cls(
            rows=rows,
            starts=starts[seen],
            lengths=lengths[seen],
            slots=(np.repeat(np.arange(len(clips)), counts) * persons + within)[seen],
            leaders=renumbered[np.repeat(leader_of_clip, counts)][seen],
        )


def _most_active(clip: np.ndarray, persons: int) -> np.ndarray:
    """At most `persons` of a clip's persons, by motion energy: the rule of the NTU RGB+D readers of the AGCN line."""
    if len(clip) <= persons:
        return clip
    return clip[np.argsort(-motion_energy(clip), kind="stable")[:persons]]


def fill_gaps(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Bridges missing joints in time: linear between two sightings, the nearest before the first and after the last.

    Args:
        rows: (sum of lengths, V, C) tracks end to end, NaN = missing.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.

    Returns:
        The same rows where nothing was missing, else a filled copy. A joint never seen in its track stays NaN.
    """
    flat = rows.reshape(-1)
    if not np.isnan(np.dot(flat, flat)):  # by far the fastest way to see that nothing is missing
        return rows
    seen = ~_missing(rows)  # (F, V)
    position = np.arange(len(rows))
    begin, end = (np.repeat(bound, lengths)[:, None] for bound in (starts, starts + lengths))
    before = np.maximum.accumulate(np.where(seen, position[:, None], -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, position[:, None], len(rows))[::-1], axis=0)[::-1]
    has_before, has_after = before >= begin, after < end
    before = np.where(has_before, before, np.where(has_after, after, position[:, None]))
    after = np.where(has_after, after, before)
    place, column = np.nonzero(~seen)
    first, last = before[place, column], after[place, column]
    weight = ((place - first) / np.maximum(last - first, 1)).astype(rows.dtype)[:, None]
    left, right = rows[first, column], rows[last, column]
    filled = rows.copy()
    filled[place, column] = left + (right - left) * weight
    return filled


def _missing(rows: np.ndarray) -> np.ndarray:
    """Which joints of finite (F, V, C) rows have a coordinate that is NaN, (F, V)."""
    return np.isnan(rows @ np.ones(rows.shape[-1], rows.dtype))  # a product, for a sum over three numbers takes longer


def resample(rows: Tensor, starts: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Stretches of tracks, linearly resampled in time.

    Equal to `torch.nn.functional.interpolate(mode="linear", align_corners=False)` on each stretch alone.

    Args:
        rows: (F, V, C) poses of all tracks, one after the other.
        starts: (R,) first row of every stretch.
        lengths: (R,) its rows.
        frames: T of the result.

    Returns:
        (R, frames, V, C).
    """
    last = (lengths - 1)[:, None]
    # (i + 1/2) length / frames - 1/2, in units of 1 / (2 frames), so that integers hold it exactly.
    time = (2 * torch.arange(frames, device=rows.device) + 1) * lengths[:, None] - frames
    time = torch.minimum(time.clamp(min=0), 2 * frames * last)
    left = time // (2 * frames)
    right = torch.minimum(left + 1, last)
    share = (time % (2 * frames)).to(rows.dtype) / (2 * frames)
    # Sums of two weighted rows each, which this function makes in one pass.
    resampled = torch.nn.functional.embedding_bag(
        (starts[:, None, None] + torch.stack([left, right], dim=-1)).flatten(0, 1),
        rows.flatten(1),
        per_sample_weights=torch.stack([1 - share, share], dim=-1).flatten(0, 1),
        mode="sum",
    )
    return resampled.view(len(starts), frames, *rows.shape[1:])


def map_joints(poses: Tensor, matrix: Tensor) -> Tensor:
    """Poses (..., V, C) on another skeleton: (..., W, C). A joint made from a missing one is missing."""
    missing = poses.isnan().any(dim=-1)
    mapped = torch.einsum("wv,...vc->...wc", matrix, poses.nan_to_num(nan=0.0))
    if _any(missing):
        lost = torch.einsum("wv,...v->...w", (matrix != 0).to(poses.dtype), missing.to(poses.dtype)) > 0
        mapped = mapped.masked_fill(lost[..., None], torch.nan)
    return mapped


def normalise(
    poses: Tensor,
    matrix: Tensor,
    skeleton: Skeleton,
    config: PreprocessConfig,
    *,
    first: Tensor,
    leaders: Tensor | None = None,
) -> Tensor:
    """Maps tracks to the encoder's skeleton, centres, turns and scales them.

    Args:
        poses: (R, T, V, C) resampled tracks; NaN where missing, which a joint is in all frames of a track or in none.
        matrix: (W, V) from their skeleton to the encoder's; see `map_joints`.
        skeleton: The encoder's.
        config: See `PreprocessConfig`.
        first: (R, V, C) each track's first frame before resampling; what `align="first"` goes by.
        leaders: (R,) index of the track by which each is moved; by default its own.

    Returns:
        (R, T, W, 3), zero where missing.
    """
    frames, joints, channels = poses.shape[1], len(skeleton), poses.shape[-1]
    landmarks = _Landmarks.of(poses[:, 0], matrix, skeleton, config)
    # All of it is linear in a frame's coordinates: one product makes the centred joints, the ways and the origin.
    rows, weights = _seen(poses), _by_axis(torch.cat([landmarks.centred, landmarks.places], dim=1), channels)
    placed = product(rows, weights.mT) if weights.ndim == 2 else rows @ weights
    placed = placed.unflatten(2, (-1, channels))
    centred, places = placed[:, :, :joints], placed[:, :, joints:]
    if config.align == "mean":
        up, right = places[:, :, :2].mean(dim=1).unbind(1)
    else:
        opening = _Landmarks.of(first, matrix, skeleton, config).places
        ways = _seen(first[:, None]) @ _by_axis(opening, channels)
        up, right, *_ = ways.view(len(poses), 4, channels).unbind(1)
    turn = _facing_camera(up, right) if channels == 2 else _upright(up, right, config.align == "mean")
    size = poses.new_ones(len(poses))
    if config.scale is not None:
        length = torch.linalg.vector_norm(places[:, :, 2], dim=-1).mean(dim=1)
        known = length > SHORTEST
        if _any(~known):  # the joints' spread stands in, so that pixels do not stay pixels
            count = landmarks.known.sum(dim=1).clamp(min=1)
            spread = (centred.square().sum(dim=(1, 2, 3)) / (frames * count)).sqrt()
            length = torch.where(known, length, spread)
        size = torch.where(length > SHORTEST, length, size)  # a person of no size keeps its unit
    turns = (turn / size[:, None, None]).mT[slice(None) if leaders is None else leaders]
    turns = turns[:, None].expand(-1, joints, -1, -1)
    rows, weights = centred, block_diagonal(turns)
    if leaders is not None:
        # The way from the leader's origin to the track's own, which all joints are moved by, takes the same product.
        origin = places[:, :, 3]
        origin -= origin[leaders]
        nothing = weights.new_zeros(len(weights), 3 * channels, 3 * joints)
        moved = (landmarks.known[:, :, None, None] * turns).transpose(1, 2).flatten(2)
        rows, weights = placed, torch.cat([weights, nothing, moved], dim=1)
    return (rows.flatten(2) @ weights).unflatten(2, (joints, 3))


@dataclass(frozen=True)
class _Landmarks:
    """What `normalise` needs of every frame, as weights of the joints that are seen.

    For each of R tracks, or once for all where nothing is missing.
    """

    known: Tensor  # (R, W) which of the encoder's joints are seen
    centred: Tensor  # (R, W, V) to them, less the origin; nothing where not seen
    places: Tensor  # (R, 4, V) the ways up, right and of the scale, and the origin; nothing where unknown

    @classmethod
    def of(cls, pose: Tensor, matrix: Tensor, skeleton: Skeleton, config: PreprocessConfig) -> _Landmarks:
        """Of (R, V, C) poses, NaN where missing."""
        missing = pose.isnan().any(dim=-1)
        if not _any(missing):
            missing = missing[:1]
        known = 1 - ((missing.to(matrix.dtype) @ (matrix != 0).to(matrix.dtype).mT) > 0).to(matrix.dtype)

        def place(
            joints: Joints,
        ) -> tuple[Tensor, Tensor]:  # (R, W) weights that sum to one, (R, 1) whether it is known
            chosen = torch.tensor([float(joint in joints) for joint in skeleton.joints])
            named = known * chosen.to(known, non_blocking=True)  # no accelerator is waited for
            count = named.sum(dim=1, keepdim=True)
            return named / count.clamp(min=1), count > 0

        def way(ends: tuple[Joints, Joints]) -> tuple[Tensor, Tensor]:
            (start, one), (end, other) = place(ends[0]), place(ends[1])
            return (end - start) * (one & other), one & other

        up, upright = way(config.up)
        if config.up_else is not None:
            up = torch.where(upright, up, way(config.up_else)[0])
        origin, seen = place(config.center)
        origin = torch.where(seen, origin, place(skeleton.joints)[0])  # the middle of what was seen, rather than nobody
        right, scale = way(config.right)[0], up if config.scale is None else way(config.scale)[0]
        mapped = matrix * known[:, :, None]
        places = torch.stack([up, right, scale, origin], dim=1) @ mapped
        return cls(known, mapped - known[:, :, None] * places[:, 3:], places)


def _seen(poses: Tensor) -> Tensor:
    """(R, T, V, C) poses as rows (R, T, V C), zero where missing."""
    rows = poses.flatten(2)
    return rows.nan_to_num(nan=0.0) if _any(rows[:, 0].isnan()) else rows


def _by_axis(weights: Tensor, channels: int) -> Tensor:
    """(R, W, V) weights of joints as what rows (T, V C) are multiplied by, (R, V C, W C); one matrix where R is 1."""
    tracks, rows, columns = weights.shape
    spread = weights.new_zeros(tracks, columns, channels, rows, channels)
    spread.diagonal(dim1=2, dim2=4).copy_(weights.mT[..., None])
    spread = spread.flatten(3).flatten(1, 2)
    return spread[0] if tracks == 1 else spread


def block_diagonal(matrices: Tensor) -> Tensor:
    """What rows (T, V C) are multiplied by so that each joint is by its own matrix: (R, V, C, D) to (R, V C, V D).

    Mostly zeros, and yet several times as fast as products with three columns.
    """
    tracks, joints, rows, columns = matrices.shape
    spread = matrices.new_zeros(tracks, joints, rows, joints, columns)
    spread.diagonal(dim1=1, dim2=3).copy_(matrices.permute(0, 2, 3, 1))
    return spread.flatten(3).flatten(1, 2)


def select_joints(poses: Tensor, joints: Sequence[int]) -> Tensor:
    """Some joints of poses (..., V, C) by their indices: (..., W, C)."""
    channels = poses.shape[-1]
    columns = (torch.tensor(joints)[:, None] * channels + torch.arange(channels)).flatten()
    rows = poses.flatten(-2)
    # A list for an index would make the host wait for an accelerator until the copy of it is made.
    columns = columns.to(poses.device, non_blocking=True).expand(*rows.shape[:-1], -1)
    return rows.gather(-1, columns).unflatten(-1, (len(joints), channels))


def _any(mask: Tensor) -> bool:
    """Whether something must be done for the few: on an accelerator, where doing it costs less than asking, always."""
    return mask.device.type != "cpu" or bool(mask.any())


SHORTEST = 1e-6  # metres or pixels: below this a direction means nothing


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
    rotation = torch.eye(3, device=unit.device) + cross + cross @ cross / above.clamp(min=1e-12)
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
