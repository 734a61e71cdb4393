"""Preprocessing: from raw clips of any length to the input of an encoder, as the config of its checkpoint specifies.

The *tracks* of a batch (a track is one person of one clip) are concatenated along time, so that every step is one
operation over all of them. A *missing* value is NaN until the last step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import normalise
from skelrep.cleaning import find_spikes, find_swaps, squared_steps
from skelrep.completion import derive
from skelrep.persons import most_active, sightings
from skelrep.preprocess_config import PreprocessConfig
from skelrep.skeletons import Skeleton, mapping

PARTNER = 0.5  # minimum number of sightings of a partner, relative to the person who is seen more often


class Prepared(NamedTuple):
    """Prepared clips, the input of an encoder.

    Attributes:
        poses: (N, M, T, V, 3) float32; absent persons are zero.
        weights: (N, M) float32 weights of the persons' features; 0 for absent persons.
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
    """Prepares raw clips as the input of an encoder.

    Args:
        clips: N float arrays (M, T, V, C) on `source`, NaN where a joint was not seen; C is 2 or 3.
        source: The skeleton of the clips.
        target: The encoder's skeleton, of W joints.
        config: See `PreprocessConfig`.
        device: Where to compute; the result is on this device.

    Returns:
        Poses (N, config.persons, config.frames, W, 3), and weights. Two-dimensional poses are treated as the view of a
        camera in front of the person: image x becomes the left-right axis, image y the height, and the depth is 0.

    Raises:
        ValueError: if `source` cannot be mapped to `target` (both lists of names are given).
    """
    matrix = mapping(source, target)
    used = np.flatnonzero(matrix.any(axis=0))
    tracks = _Tracks.of(clips, source, used, config)
    dropped = ((1 - config.crop) * tracks.lengths / 2).astype(np.int64)  # at either end; float64, as CMD counts them
    rows, starts, lengths, slots, leaders, weights = (torch.from_numpy(part).to(device) for part in tracks[:6])
    dropped, matrix = torch.from_numpy(dropped).to(device), torch.from_numpy(matrix).to(device)
    poses = resample(rows, starts + dropped, lengths - 2 * dropped, config.frames)
    first = rows[starts]
    # Landmarks of the few tracks that lack joints are not those of the others. Those of one clip may lead each other.
    clip_of = tracks.slots // config.persons
    partial = torch.from_numpy(np.isin(clip_of, clip_of[tracks.partial]))
    alone = bool((tracks.leaders == np.arange(len(tracks.leaders))).all())
    if poses.device.type == "cpu" and 0 < partial.sum() < len(partial):
        placed = poses.new_empty(*poses.shape[:2], len(target), 3)
        for some in (partial, ~partial):
            index = some.cumsum(dim=0) - 1
            led = None if alone else index[leaders[some]]
            placed[some] = normalise(poses[some], matrix, target, config, first=first[some], leaders=led)
    else:
        placed = normalise(poses, matrix, target, config, first=first, leaders=None if alone else leaders)
    size = (len(clips), config.persons)
    if len(placed) < len(clips) * config.persons:
        present, placed = placed, placed.new_zeros(len(clips) * config.persons, *placed.shape[1:])
        placed[slots] = present
        weights = weights.new_zeros(len(placed)).index_copy(0, slots, weights)
    return Prepared(placed.view(*size, *placed.shape[1:]), weights.view(size))


class _Tracks(NamedTuple):
    """The persons of all clips, concatenated, repaired as specified in the config, with gaps in time interpolated."""

    rows: np.ndarray  # (sum of lengths, V, C)
    starts: np.ndarray  # (R,) first row of each track
    lengths: np.ndarray  # (R,)
    slots: np.ndarray  # (R,) clip * persons + person: the index in the result
    leaders: np.ndarray  # (R,) the track whose alignment each track gets
    weights: np.ndarray  # (R,) weight among the persons of the clip
    partial: np.ndarray  # (R,) whether a joint that is used is missing in all frames

    @classmethod
    def of(cls, clips: list[np.ndarray], source: Skeleton, used: np.ndarray, config: PreprocessConfig) -> _Tracks:
        """The tracks of N clips (M, T, V, C); repairs consider only the joints that are used."""
        chosen = [
            clip if len(clip) <= config.persons else clip[most_active(clip, config.persons, config.keep)]
            for clip in clips
        ]
        counts = np.array([len(clip) for clip in chosen])
        rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in chosen]).astype(np.float32, copy=False)
        lengths = np.repeat([clip.shape[1] for clip in chosen], counts)
        clip_of = np.repeat(np.arange(len(clips)), counts)
        moved = squared_steps(rows) if config.remove_spikes else None
        # A step from or to a row that lacks a joint is NaN; nearly always there is none.
        among = None if moved is None else np.flatnonzero(np.isnan(moved))
        if config.trim and (among is None or len(among)):
            trimmed, lengths = trim(rows, lengths, clip_of, among)
            if trimmed is not rows:
                rows, moved, among = trimmed, None, None
        starts = np.cumsum(lengths) - lengths
        if config.undo_swaps:
            swapped = find_swaps(rows, starts, lengths, source, used)
            if swapped.any():
                rows[swapped] = rows[swapped][:, source.mirror]
                moved = None
        if config.remove_spikes:
            spikes = find_spikes(rows, starts, lengths, used, moved)
            rows[spikes] = np.nan
            among = None if among is None else np.union1d(among, spikes[0])
        row, joint = missing_joints(rows, among)
        share = np.ones(len(starts))
        if counts.max() > 1 and len(row):
            of_used = row[np.isin(joint, used)]
            lost = np.bincount(np.searchsorted(starts, of_used, side="right") - 1, minlength=len(starts))
            share = sightings(lengths * len(used) - lost, clip_of)
        fill_gaps(rows, starts, lengths, (row, joint))
        # Without gaps, the first row shows which joints are never seen.
        never = _missing(rows[starts])
        if config.derive_missing and never.any():
            derive(rows, starts, lengths, ~never, source)
            never = _missing(rows[starts])
        seen = np.logical_not(never.all(axis=1))  # a person who is never seen has no track, and its slot stays zero
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
            partial=np.asarray(never[seen][:, used].any(axis=1)),
        )


def _leaders(clip_of: np.ndarray, share: np.ndarray, config: PreprocessConfig) -> np.ndarray:
    """The track whose alignment each of (R,) tracks gets: its own, the first of its clip, or the partner's."""
    tracks = np.arange(len(clip_of))
    if not config.per_person:
        return np.searchsorted(clip_of, clip_of)
    if config.pairs == "apart":
        return tracks
    first, last = np.searchsorted(clip_of, clip_of), np.searchsorted(clip_of, clip_of, side="right") - 1
    # A person who is seen less than half as often as the other is not a partner.
    paired = (last - first == 1) & (np.minimum(share[first], share[last]) >= PARTNER)
    return np.where(paired, first + last - tracks, tracks)


def trim(
    rows: np.ndarray, lengths: np.ndarray, clip_of: np.ndarray, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts off the frames at both ends of each clip in which nobody is seen.

    Args:
        rows: (sum of lengths, V, C) concatenated tracks, NaN = missing.
        lengths: (R,) rows of each track.
        clip_of: (R,) the clip of each track, in order.
        among: Indices of the rows that may lack a joint, in order; None: any may.

    Returns:
        The remaining rows (the given array, if all remain) and the new lengths. A clip in which nobody is ever seen
        keeps one frame.
    """
    incomplete = _incomplete(rows, among)
    nobody = incomplete[_missing(rows[incomplete]).all(axis=1)]
    if not len(nobody):
        return rows, lengths
    starts = np.cumsum(lengths) - lengths
    frame = np.arange(len(rows)) - np.repeat(starts, lengths)
    seen = np.ones(len(rows), dtype=bool)
    seen[nobody] = False
    of_clip, clip = np.unique(clip_of, return_index=True)[1], np.unique(clip_of, return_inverse=True)[1]
    first = np.minimum.reduceat(np.minimum.reduceat(np.where(seen, frame, len(rows)), starts), of_clip)[clip]
    last = np.maximum.reduceat(np.maximum.reduceat(np.where(seen, frame, -1), starts), of_clip)[clip]
    first, last = np.where(last < 0, 0, first), np.maximum(last, 0)
    kept = (frame >= np.repeat(first, lengths)) & (frame <= np.repeat(last, lengths))
    return (rows, lengths) if kept.all() else (rows[kept], last - first + 1)


def kept_frames(clip: np.ndarray, config: PreprocessConfig) -> tuple[int, int]:
    """The first frame of a (M, T, V, C) clip that remains after trimming and cropping, and the number of frames."""
    first, frames = 0, clip.shape[1]
    if config.trim or config.rate is not None:
        seen = np.flatnonzero(np.logical_not(np.isnan(clip).any(axis=-1)).any(axis=2).any(axis=0))
        first, frames = (int(seen[0]), int(seen[-1] - seen[0]) + 1) if len(seen) else (0, 1)
        if config.rate is not None:  # a live stream does not know that nobody will be seen again
            return first, clip.shape[1] - first
    dropped = int((1 - config.crop) * frames / 2)  # at either end; float64, as CMD counts them
    return first + dropped, frames - 2 * dropped


def missing_joints(rows: np.ndarray, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and joints of what is missing in (F, V, C) rows, (K,) each: joint after joint, rows in order.

    `among` are the rows that may lack a joint, in order; by default any may.
    """
    incomplete = _incomplete(rows, among)
    joint, index = np.nonzero(_missing(rows[incomplete]).T)
    return incomplete[index], joint


def fill_gaps(
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    missing: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Interpolates missing joints in time: linearly between positions, constant before the first and after the last.

    Args:
        rows: (sum of lengths, V, C) concatenated tracks, NaN = missing; filled. A joint never seen in its track stays
            NaN.
        starts: (R,) first row of each track.
        lengths: (R,) rows of each track.
        missing: `missing_joints(rows)`, if it is known.
    """
    row, joint = missing_joints(rows) if missing is None else missing
    if not len(row):
        return
    track = np.searchsorted(starts, row, side="right") - 1
    begin, end = starts[track], (starts + lengths)[track]
    # A gap is a run of rows of one joint and track.
    apart = (np.diff(row) != 1) | (np.diff(joint) != 0) | (np.diff(track) != 0)
    gap = np.concatenate([[0], apart.cumsum()])
    opening, closing = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    before, after = row[opening][gap] - 1, row[closing][gap] + 1
    has_before, has_after = before >= begin, after < end
    before = np.where(has_before, before, np.where(has_after, after, row))
    after = np.where(has_after, after, before)
    weight = ((row - before) / np.maximum(after - before, 1)).astype(rows.dtype)[:, None]
    left, right = rows[before, joint], rows[after, joint]
    rows[row, joint] = left + (right - left) * weight


def _incomplete(rows: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Indices of (F, V, C) finite rows in which a number is NaN; a product is the fastest test."""
    flat = rows.reshape(len(rows), -1)
    lost = np.isnan((flat if among is None else flat[among]) @ np.ones(flat.shape[1], rows.dtype))
    return np.flatnonzero(lost) if among is None else among[lost]


def _missing(rows: np.ndarray) -> np.ndarray:
    """Which joints of finite (F, V, C) rows have a coordinate that is NaN, (F, V)."""
    return np.isnan(rows @ np.ones(rows.shape[-1], rows.dtype))  # faster than a sum over three numbers


def resample(rows: Tensor, starts: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Resamples segments of tracks linearly in time.

    Equal to `torch.nn.functional.interpolate(mode="linear", align_corners=False)` on each segment.

    Args:
        rows: (F, V, C) poses of all tracks, concatenated.
        starts: (R,) first row of each segment.
        lengths: (R,) number of rows of each segment.
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
    share = (time - 2 * frames * left).to(rows.dtype) / (2 * frames)
    # `embedding_bag` computes the sums of two weighted rows in one pass.
    resampled = torch.nn.functional.embedding_bag(
        (starts[:, None, None] + torch.stack([left, right], dim=-1)).flatten(0, 1),
        rows.flatten(1),
        per_sample_weights=torch.stack([1 - share, share], dim=-1).flatten(0, 1),
        mode="sum",
    )
    return resampled.view(len(starts), frames, *rows.shape[1:])
