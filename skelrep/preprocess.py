"""From raw clips of any length to the tensor that an encoder takes, as its checkpoint's config says.

All clips of a batch are laid end to end as *tracks* (one person of one clip, frame after frame), so that every step
is one operation over all of them. A *missing* value is NaN until the very last step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import normalise
from skelrep.cleaning import find_spikes, find_swaps
from skelrep.completion import derive
from skelrep.persons import motion_energy
from skelrep.skeletons import Skeleton, mapping

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


#: For encoders to come: every repair, at no measurable cost on clean data.
ROBUST = PreprocessConfig(
    trim=True,
    undo_swaps=True,
    remove_spikes=True,
    derive_missing=True,
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
    matrix = mapping(source, target)
    used = np.flatnonzero(matrix.any(axis=0))
    tracks = _Tracks.of(clips, source, used, config)
    dropped = ((1 - config.crop) * tracks.lengths / 2).astype(np.int64)  # at either end; float64, as CMD counts them
    rows, starts, lengths, dropped, slots, leaders, weights = (
        torch.from_numpy(part).to(device)
        for part in (tracks.rows, tracks.starts, tracks.lengths, dropped, tracks.slots, tracks.leaders, matrix)
    )
    poses = resample(rows, starts + dropped, lengths - 2 * dropped, config.frames)
    first = rows[starts]
    partial = first[:, used].isnan().any(dim=-1).any(dim=-1)
    if config.per_person and poses.device.type == "cpu" and 0 < partial.sum() < len(partial):
        # Landmarks of the few tracks that lack joints are not those of the others.
        placed = poses.new_empty(*poses.shape[:2], len(target), 3)
        for some in (partial, ~partial):
            placed[some] = normalise(poses[some], weights, target, config, first=first[some])
    else:
        leaders = None if config.per_person else leaders
        placed = normalise(poses, weights, target, config, first=first, leaders=leaders)
    persons = len(clips) * config.persons
    if len(placed) < persons:
        present, placed = placed, placed.new_zeros(persons, *placed.shape[1:])
        placed[slots] = present
    return placed.view(len(clips), config.persons, *placed.shape[1:])


@dataclass(frozen=True)
class _Tracks:
    """The persons of all clips end to end, repaired as the config says, gaps in time bridged."""

    rows: np.ndarray  # (sum of lengths, V, C)
    starts: np.ndarray  # (R,) where a track begins in rows
    lengths: np.ndarray  # (R,)
    slots: np.ndarray  # (R,) clip * persons + person: where it goes in the result
    leaders: np.ndarray  # (R,) the track of its clip's first person

    @classmethod
    def of(cls, clips: list[np.ndarray], source: Skeleton, used: np.ndarray, config: PreprocessConfig) -> _Tracks:
        """Of N clips (M, T, V, C); repairs go by the joints that are used."""
        chosen = [_most_active(clip, config.persons) for clip in clips]
        counts = np.array([len(clip) for clip in chosen])
        rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in chosen]).astype(np.float32, copy=False)
        lengths = np.repeat([clip.shape[1] for clip in chosen], counts)
        clip_of = np.repeat(np.arange(len(clips)), counts)
        if config.trim:
            rows, lengths = trim(rows, lengths, clip_of=None if config.per_person else clip_of)
        starts = np.cumsum(lengths) - lengths
        if config.undo_swaps:
            swapped = find_swaps(rows, starts, lengths, source, used)
            if swapped.any():
                rows[swapped] = rows[swapped][:, source.mirror]
        if config.remove_spikes:
            rows[find_spikes(rows, starts, lengths, used)] = np.nan
        rows = fill_gaps(rows, starts, lengths)
        if config.derive_missing:
            derive(rows, starts, lengths, ~_missing(rows[starts]), source)
        # A person who was never seen is no track: its slot stays zero. One row tells, since gaps are bridged.
        seen = np.asarray(~_missing(rows[starts]).all(axis=-1))
        renumbered = np.cumsum(seen) - 1
        firsts = np.cumsum(counts) - counts
        within = np.arange(len(lengths)) - np.repeat(firsts, counts)
        leader_of_clip = np.array([first + seen[first : first + n].argmax() for first, n in zip(firsts, counts)])
        return cls(
            rows=rows,
            starts=starts[seen],
            lengths=lengths[seen],
            slots=(clip_of * config.persons + within)[seen],
            leaders=renumbered[leader_of_clip[clip_of]][seen],
        )


def trim(rows: np.ndarray, lengths: np.ndarray, clip_of: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tracks without the frames at both ends in which nobody is seen.

    Args:
        rows: (sum of lengths, V, C) tracks end to end, NaN = missing.
        lengths: (R,) rows of each track.
        clip_of: (R,) the clip of each track, if tracks of one clip are to stay in time with each other.

    Returns:
        The rows that stay and the new lengths. A track in which nobody is ever seen keeps one row.
    """
    if not _has_nan(rows):
        return rows, lengths
    starts = np.cumsum(lengths) - lengths
    frame = np.arange(len(rows)) - np.repeat(starts, lengths)
    seen = ~_missing(rows).all(axis=1)
    first = np.minimum.reduceat(np.where(seen, frame, len(rows)), starts)
    last = np.maximum.reduceat(np.where(seen, frame, -1), starts)
    if clip_of is not None:
        begins = np.flatnonzero(np.diff(clip_of, prepend=-1))
        of = np.cumsum(np.diff(clip_of, prepend=-1) != 0) - 1
        first, last = np.minimum.reduceat(first, begins)[of], np.maximum.reduceat(last, begins)[of]
    first, last = np.where(last < 0, 0, first), np.maximum(last, 0)
    kept = (frame >= np.repeat(first, lengths)) & (frame <= np.repeat(last, lengths))
    return (rows, lengths) if kept.all() else (rows[kept], last - first + 1)


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
