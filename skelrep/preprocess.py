"""From raw clips of any length to the tensor that an encoder takes, as its checkpoint's config says.

All clips of a batch are laid end to end as *tracks* (one person of one clip, frame after frame), so that every step
is one operation over all of them. A *missing* value is NaN until the very last step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import normalise
from skelrep.cleaning import find_spikes, find_swaps
from skelrep.completion import derive
from skelrep.persons import PersonRule, most_active, sightings
from skelrep.skeletons import Skeleton, mapping

PARTNER = 0.5  # of the sightings of the one who was seen more
Joints = tuple[str, ...]  # where several are named, their mean position is meant, of those that were seen


def _added(default: Any) -> Any:
    """A key that configs of encoders published before it lack; its default changes nothing for them."""
    return field(default=default, metadata={"when_missing": default})


@dataclass(frozen=True)
class PreprocessConfig:
    """What happens between raw poses and the encoder's input; part of every checkpoint.

    Attributes:
        frames: T that every clip is resampled to.
        crop: Fraction of the clip that is kept, in its middle; the CMD line embeds 0.95.
        persons: M; of more persons the most active are kept, absent ones are zero.
        per_person: Whether every person is centred, turned and scaled by its own joints (True), or all by the first
            person's, so that their relative position is kept (False, the CMD line).
        center: The origin of every frame.
        up: The direction from the one to the other is turned to +z.
        up_else: What stands in where that direction was never seen, as of people behind a desk; None: they are not
            turned.
        right: Then the direction from the one to the other (left to right shoulder) is turned to +x.
        align: What these two directions are taken from. "first": the first frame, and the second turn is the smallest
            one even if it tilts +z again (2s-AGCN's `pre_normalization`, which the CMD line uses). "mean": their mean
            over the clip, and the second turn is about z alone; on raw poses one frame's noise costs 2 to 6 points of
            1-NN. "running": in each frame their mean over the frames so far, and so for the scale: no frame needs a
            later one.
        scale: The mean distance of the two becomes 1; None keeps the unit.
        scale_else: Bones (joint, joint, length) that stand in, in order, where the two were never seen: the bone's mean
            length becomes the one given. After these, or without any, the root of the joints' mean squared distance
            from the origin becomes 1.
        trim: Whether frames at both ends in which nobody is seen are cut off; otherwise the nearest pose fills them.
        undo_swaps: Whether left and right are put right where they are exchanged for some frames (`find_swaps`).
        remove_spikes: Whether single sightings far from where a joint is before and after are bridged (`find_spikes`).
        derive_missing: Whether a joint that a clip never shows is derived from others (`skelrep.completion`); otherwise
            it is zero.
        keep: What "most active" means. "energy": `coordinate_energy`, as in the NTU readers. "movement":
            `motion_energy`.
        weigh: What each person's feature counts in the clip's. "equal": all the same. "sightings": as often as the
            person's joints were seen, so that a false detection in a few frames hardly counts.
        pairs: How two persons are normalised of whom neither is seen less than half as often as the other. "apart": as
            a single person is. "partner": each in the frame of the other, which is centred at the other, scaled by the
            other, and turned so that the direction from the other to the person is +x. So the embedding tells how they
            stand and move to each other, whoever comes first.
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
    align: Literal["first", "mean", "running"] = "mean"
    scale: tuple[Joints, Joints] | None = (("mid_hips",), ("mid_shoulders",))
    scale_else: tuple[tuple[str, str, float], ...] = _added(())
    trim: bool = _added(False)
    undo_swaps: bool = _added(False)
    remove_spikes: bool = _added(False)
    derive_missing: bool = _added(False)
    keep: PersonRule = _added("energy")
    weigh: Literal["equal", "sightings"] = _added("equal")
    pairs: Literal["apart", "partner"] = _added("apart")


#: For encoders to come: every repair, at no measurable cost on clean data.
ROBUST = PreprocessConfig(
    trim=True,
    undo_swaps=True,
    remove_spikes=True,
    derive_missing=True,
    keep="movement",
    weigh="sightings",
    pairs="partner",
    # Arms and shins are as long beside the trunk for Kinect as for motion capture; shoulders and necks are not.
    scale_else=(
        ("left_shoulder", "left_elbow", 0.65),
        ("right_shoulder", "right_elbow", 0.65),
        ("left_knee", "left_ankle", 0.95),
        ("right_knee", "right_ankle", 0.95),
    ),
)

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


class Prepared(NamedTuple):
    """Clips as an encoder takes them.

    Attributes:
        poses: (N, M, T, V, 3) float32; absent persons are zero.
        weights: (N, M) float32, what each person's feature counts; 0 for absent persons.
    """

    poses: Tensor
    weights: Tensor


def prepare(
    clips: list[np.ndarray],
    source: Skeleton,
    target: Skeleton,
    config: PreprocessConfig,
    device: torch.device | str = "cpu",
) -> Tensor:
    """`prepare_weighted` without the weights of persons."""
    return prepare_weighted(clips, source, target, config, device).poses


def prepare_weighted(
    clips: list[np.ndarray],
    source: Skeleton,
    target: Skeleton,
    config: PreprocessConfig,
    device: torch.device | str = "cpu",
) -> Prepared:
    """Raw clips as an encoder's input.

    Args:
        clips: N float arrays (M, T, V, C) on `source`, NaN where a joint was not seen; C is 2 or 3.
        source: The skeleton of the clips.
        target: The encoder's skeleton, of W joints.
        config: See `PreprocessConfig`.
        device: Where to work and where the result lies.

    Returns:
        Poses (N, config.persons, config.frames, W, 3), and weights. Two-dimensional poses are taken for what a camera
        facing the person sees: image x becomes the left-right axis, image y the height, and the depth is 0.

    Raises:
        ValueError: if `source` cannot be mapped to `target` (both lists of names are given).
    """
    matrix = mapping(source, target)
    used = np.flatnonzero(matrix.any(axis=0))
    tracks = _Tracks.of(clips, source, used, config)
    dropped = ((1 - config.crop) * tracks.lengths / 2).astype(np.int64)  # at either end; float64, as CMD counts them
    rows, starts, lengths, slots, leaders, weights = (torch.from_numpy(part).to(device) for part in tracks)
    dropped, matrix = torch.from_numpy(dropped).to(device), torch.from_numpy(matrix).to(device)
    poses = resample(rows, starts + dropped, lengths - 2 * dropped, config.frames)
    first = rows[starts]
    partial = first[:, used].isnan().any(dim=-1).any(dim=-1)
    alone = bool((tracks.leaders == np.arange(len(tracks.leaders))).all())
    if alone and poses.device.type == "cpu" and 0 < partial.sum() < len(partial):
        # Landmarks of the few tracks that lack joints are not those of the others.
        placed = poses.new_empty(*poses.shape[:2], len(target), 3)
        for some in (partial, ~partial):
            placed[some] = normalise(poses[some], matrix, target, config, first=first[some])
    else:
        placed = normalise(poses, matrix, target, config, first=first, leaders=None if alone else leaders)
    size = (len(clips), config.persons)
    if len(placed) < len(clips) * config.persons:
        present, placed = placed, placed.new_zeros(len(clips) * config.persons, *placed.shape[1:])
        placed[slots] = present
        weights = weights.new_zeros(len(placed)).index_copy(0, slots, weights)
    return Prepared(placed.view(*size, *placed.shape[1:]), weights.view(size))


class _Tracks(NamedTuple):
    """The persons of all clips end to end, repaired as the config says, gaps in time bridged."""

    rows: np.ndarray  # (sum of lengths, V, C)
    starts: np.ndarray  # (R,) where a track begins in rows
    lengths: np.ndarray  # (R,)
    slots: np.ndarray  # (R,) clip * persons + person: where it goes in the result
    leaders: np.ndarray  # (R,) the track in whose frame it is put
    weights: np.ndarray  # (R,) what it counts among the persons of its clip

    @classmethod
    def of(cls, clips: list[np.ndarray], source: Skeleton, used: np.ndarray, config: PreprocessConfig) -> _Tracks:
        """Of N clips (M, T, V, C); repairs go by the joints that are used."""
        chosen = [clip[most_active(clip, config.persons, config.keep)] for clip in clips]
        counts = np.array([len(clip) for clip in chosen])
        rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in chosen]).astype(np.float32, copy=False)
        lengths = np.repeat([clip.shape[1] for clip in chosen], counts)
        clip_of = np.repeat(np.arange(len(clips)), counts)
        if config.trim:
            rows, lengths = trim(rows, lengths, clip_of)
        starts = np.cumsum(lengths) - lengths
        if config.undo_swaps:
            swapped = find_swaps(rows, starts, lengths, source, used)
            if swapped.any():
                rows[swapped] = rows[swapped][:, source.mirror]
        if config.remove_spikes:
            rows[find_spikes(rows, starts, lengths, used)] = np.nan
        share = np.ones(len(starts))
        if counts.max() > 1 and _has_nan(rows):
            share = sightings(~_missing(rows)[:, used], starts, clip_of)
        rows = fill_gaps(rows, starts, lengths)
        if config.derive_missing:
            derive(rows, starts, lengths, ~_missing(rows[starts]), source)
        # A person who was never seen is no track: its slot stays zero. One row tells, since gaps are bridged.
        seen = np.asarray(~_missing(rows[starts]).all(axis=-1))
        firsts = np.cumsum(counts) - counts
        slots = clip_of * config.persons + np.arange(len(lengths)) - np.repeat(firsts, counts)
        clip_of, share = clip_of[seen], share[seen]
        return cls(
            rows=rows,
            starts=starts[seen],
            lengths=lengths[seen],
            slots=slots[seen],
            leaders=_leaders(clip_of, share, config),
            weights=(share if config.weigh == "sightings" else np.ones(len(share))).astype(np.float32),
        )


def _leaders(clip_of: np.ndarray, share: np.ndarray, config: PreprocessConfig) -> np.ndarray:
    """The track (R,) in whose frame each is put: its own, the first of its clip, or the partner's."""
    tracks = np.arange(len(clip_of))
    if not config.per_person:
        return np.searchsorted(clip_of, clip_of)
    if config.pairs == "apart":
        return tracks
    first, last = np.searchsorted(clip_of, clip_of), np.searchsorted(clip_of, clip_of, side="right") - 1
    # Somebody who was seen less than half as often as the other is no partner.
    paired = (last - first == 1) & (np.minimum(share[first], share[last]) >= PARTNER)
    return np.where(paired, first + last - tracks, tracks)


def trim(rows: np.ndarray, lengths: np.ndarray, clip_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tracks without the frames at both ends of their clip in which nobody is seen.

    Args:
        rows: (sum of lengths, V, C) tracks end to end, NaN = missing.
        lengths: (R,) rows of each track.
        clip_of: (R,) the clip of each track, in order.

    Returns:
        The rows that stay and the new lengths. A clip in which nobody is ever seen keeps one frame.
    """
    if not _has_nan(rows):
        return rows, lengths
    starts = np.cumsum(lengths) - lengths
    frame = np.arange(len(rows)) - np.repeat(starts, lengths)
    seen = ~_missing(rows).all(axis=1)
    of_clip, clip = np.unique(clip_of, return_index=True)[1], np.unique(clip_of, return_inverse=True)[1]
    first = np.minimum.reduceat(np.minimum.reduceat(np.where(seen, frame, len(rows)), starts), of_clip)[clip]
    last = np.maximum.reduceat(np.maximum.reduceat(np.where(seen, frame, -1), starts), of_clip)[clip]
    first, last = np.where(last < 0, 0, first), np.maximum(last, 0)
    kept = (frame >= np.repeat(first, lengths)) & (frame <= np.repeat(last, lengths))
    return (rows, lengths) if kept.all() else (rows[kept], last - first + 1)


def kept_frames(clip: np.ndarray, config: PreprocessConfig) -> tuple[int, int]:
    """The first frame of a (M, T, V, C) clip that trimming and cropping keep, and how many they keep."""
    first, frames = 0, clip.shape[1]
    if config.trim:
        seen = np.flatnonzero(np.logical_not(np.isnan(clip).any(axis=-1)).any(axis=2).any(axis=0))
        first, frames = (int(seen[0]), int(seen[-1] - seen[0]) + 1) if len(seen) else (0, 1)
    dropped = int((1 - config.crop) * frames / 2)  # at either end; float64, as CMD counts them
    return first + dropped, frames - 2 * dropped


def fill_gaps(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Bridges missing joints in time: linear between two sightings, the nearest before the first and after the last.

    Args:
        rows: (sum of lengths, V, C) tracks end to end, NaN = missing.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.

    Returns:
        The same rows where nothing was missing, else a filled copy. A joint never seen in its track stays NaN.
    """
    if not _has_nan(rows):
        return rows
    filled = rows.copy()
    gaps = _missing(rows)  # (F, V)
    gappy = np.logical_or.reduceat(gaps.any(axis=1), starts)
    chosen = np.flatnonzero(np.repeat(gappy, lengths))  # rows of the tracks that have gaps
    seen, lengths = ~gaps[chosen], lengths[gappy]
    starts = np.cumsum(lengths) - lengths
    position = np.arange(len(chosen))
    begin, end = (np.repeat(bound, lengths)[:, None] for bound in (starts, starts + lengths))
    before = np.maximum.accumulate(np.where(seen, position[:, None], -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, position[:, None], len(chosen))[::-1], axis=0)[::-1]
    has_before, has_after = before >= begin, after < end
    before = np.where(has_before, before, np.where(has_after, after, position[:, None]))
    after = np.where(has_after, after, before)
    row, joint = np.nonzero(~seen)
    first, last = before[row, joint], after[row, joint]
    weight = ((row - first) / np.maximum(last - first, 1)).astype(rows.dtype)[:, None]
    left, right = rows[chosen[first], joint], rows[chosen[last], joint]
    filled[chosen[row], joint] = left + (right - left) * weight
    return filled


def _has_nan(rows: np.ndarray) -> bool:
    """Whether any number is NaN, of finite rows; a product with itself tells fastest."""
    flat = rows.reshape(-1)
    return bool(np.isnan(np.dot(flat, flat)))


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
