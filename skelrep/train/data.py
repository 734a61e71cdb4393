"""The training corpus: memory-mapped recordings, from which random pairs of views are cut."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import normalise
from skelrep.encoder import EncoderConfig
from skelrep.io.prepared import read_stored
from skelrep.preprocess import resample
from skelrep.skeletons import mapping
from skelrep.train.augment import AugmentConfig, CMDAugmentConfig, hidden


@dataclass(frozen=True)
class Corpus:
    """Clips for training: of one person each if the encoder aligns persons separately, else of up to M persons.

    Attributes:
        rows: (F, V, 3) poses of all tracks (a track is one person of a clip), concatenated, on the skeleton of the
            corpus. On the CPU they are memory-mapped.
        starts: (R, M) first row of each person of a clip; -1 for absent persons.
        lengths: (R,) rows of each person of a clip.
        seconds: (R,) duration of each clip.
        matrix: (W, V) mapping from the corpus's skeleton to the encoder's.
        device: The device on which views are computed; `rows` are on it too, unless they are memory-mapped.
        about: Sources and licence of the corpus, for model cards.
    """

    rows: Tensor
    starts: Tensor
    lengths: Tensor
    seconds: Tensor
    matrix: Tensor
    device: torch.device
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | os.PathLike, config: EncoderConfig, device: torch.device | str = "cpu") -> Corpus:
        """Opens a folder that `skelrep prepare` wrote.

        If persons are encoded separately (`per_person`), tracks with a joint that was never seen are left out, because
        the augmentation drops joints itself.

        Raises:
            ValueError: if the folder contains no valid corpus, its skeleton cannot be mapped to the encoder's, or no
                person is left.
        """
        device = torch.device(device)
        about, skeleton, stored, start, length, clip, seen, fps, _ = read_stored(Path(folder))
        rows = torch.from_numpy(stored)
        matrix = mapping(skeleton, config.skeleton)
        if config.preprocess.per_person:
            chosen = np.flatnonzero((seen @ (matrix != 0).T.astype(int) == (matrix != 0).sum(axis=1)).all(axis=1))
            starts, first = start[chosen, None], chosen
        else:
            first = np.flatnonzero(np.diff(clip, prepend=-1))  # of each clip's tracks
            counts = np.diff(first, append=len(clip))
            of, within = np.repeat(np.arange(len(first)), counts), np.arange(len(clip)) - np.repeat(first, counts)
            keep = within < config.preprocess.persons
            starts = np.full((len(first), config.preprocess.persons), -1, dtype=np.int64)
            starts[of[keep], within[keep]] = start[keep]
        if not len(first):
            raise ValueError(
                f"{folder} has no track in which every joint is seen; prepare poses of the whole body for this encoder"
            )
        rows = rows if device.type == "cpu" or rows.nbytes > _free(device) // 2 else rows.to(device)
        lengths, seconds = length[first], length[first] / fps[clip[first]]
        seconds = seconds.astype(np.float32)
        starts, lengths, seconds = (torch.from_numpy(part).to(rows.device) for part in (starts, lengths, seconds))
        return cls(rows, starts, lengths, seconds, torch.from_numpy(matrix).to(device), device, about)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.lengths)

    def windows(self, batch: int) -> Tensor:
        """(batch,) clips drawn in proportion to their duration, so that all seconds have equal probability."""
        return torch.multinomial(self.seconds, batch, replacement=True)

    def epoch_slice(self, begin: int, batch: int, seed: int) -> Tensor:
        """(batch,) clips from position `begin` of an endless series of epochs, each in its own random order."""
        clips: list[Tensor] = []
        while (missing := batch - sum(map(len, clips))) > 0:
            epoch, position = divmod(begin + batch - missing, len(self))
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
            clips.append(order[position : position + missing])
        return torch.cat(clips).to(self.rows.device, non_blocking=True)

    def views(
        self,
        clip: Tensor,
        window: tuple[float, float] | None,
        crop: tuple[float, float],
        shortest: int,
        config: EncoderConfig,
        augment: AugmentConfig | CMDAugmentConfig | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Two views of a random window of each of (B,) clips.

        The length of the window is drawn from `window` (seconds; the whole clip if `window` is None or the clip is
        shorter). Each view is a crop of the window, of a fraction drawn from `crop` and at least `shortest` frames.
        Views are normalised separately, as clips are when they are embedded.

        Args:
            clip: (B,) indices.
            window: Shortest and longest duration of a window in seconds.
            crop: Smallest and largest fraction of a window in a view.
            shortest: Minimum number of frames of a view.
            config: The encoder's config.
            augment: The augmentation, of which this function applies what precedes normalisation: views with few
                frames, persons who stand still at the ends, and missing joints if preprocessing derives them.

        Returns:
            Both views (B, M, T, W, 3), missing joints and absent persons zero.
        """
        length, begin = self.lengths[clip], torch.zeros_like(clip)
        size = length
        if window is not None:
            per_second = length / self.seconds[clip]
            wanted = torch.empty(len(clip), device=clip.device).uniform_(*window) * per_second
            size = torch.minimum(wanted.long().clamp(min=2), length)
            begin = _random_below(length - size + 1)
        clip, size, begin = (part.repeat(2) for part in (clip, size, begin))
        fraction = torch.empty(len(clip), device=clip.device).uniform_(*crop)
        kept = torch.minimum((size * fraction).long().clamp(min=shortest), size)
        begin = begin + _random_below(size - kept + 1)
        first, second = self._cut(clip, begin, kept, config, augment).chunk(2)
        return first, second

    def _cut(
        self,
        clip: Tensor,
        begin: Tensor,
        kept: Tensor,
        config: EncoderConfig,
        augment: AugmentConfig | CMDAugmentConfig | None,
    ) -> Tensor:
        """Segments of `kept` frames of clips from `begin` on, normalised: (B, M, T, W, 3)."""
        starts = self.starts[clip]  # (B, M)
        absent = (starts < 0).flatten().to(self.device)
        track = starts.clamp(min=0)
        persons, frames = starts.shape[1], config.preprocess.frames
        begins, lengths = (track + begin[:, None]).flatten(), kept.repeat_interleave(persons)
        if isinstance(augment, AugmentConfig) and (augment.still_views or augment.coarse_views):
            times = sighted(kept, frames, augment).repeat_interleave(persons, dim=0)
            poses = between(self.rows, begins, lengths, times)
        else:
            poses = resample(self.rows, begins, lengths, frames)
        leaders = torch.arange(len(clip), device=self.device).repeat_interleave(persons) * persons
        unseen = None
        if isinstance(augment, AugmentConfig) and config.preprocess.derive_missing:
            unseen = hidden(len(poses), config.skeleton, augment, self.device)
        poses = normalise(
            poses.to(self.device),
            self.matrix,
            config.skeleton,
            config.preprocess,
            first=self.rows[track.flatten()].to(self.device),
            leaders=None if config.preprocess.per_person else leaders,
            unseen=unseen,
        )
        if persons > 1:
            poses = poses.masked_fill(absent[:, None, None, None], 0.0)
        return poses.unflatten(0, (len(clip), persons))


def sighted(lengths: Tensor, frames: int, config: AugmentConfig) -> Tensor:
    """The times of the recorded frames from which the frames of views are interpolated.

    Some views have few recorded frames; in some views, persons stand still at the ends.

    Args:
        lengths: (B,) number of frames of each segment.
        frames: T of the views.
        config: Fractions of such views, and their numbers of recorded frames.

    Returns:
        (B, T, 3): the times of the recorded frames before and after each frame, as fractions of the segment, and the
        weight of the later one.
    """
    batch, device = len(lengths), lengths.device
    draw = torch.rand(5, batch, 1, device=device)
    # Times of frames at the middle of equal parts, as in `resample`, within the part in which persons move.
    time = (torch.arange(frames, device=device) + 0.5) / frames
    still = (draw[0] < config.still_views) * config.still * draw[1]
    before = still * (3 * draw[2] - 1).clamp(min=0, max=1)  # a third only before, a third only after, a third both
    time = ((time - before) / (1 - still)).clamp(min=0, max=1)
    few = config.coarse[0] + (config.coarse[1] - config.coarse[0]) * draw[3]
    sightings = torch.where(
        draw[4] < config.coarse_views, torch.minimum(few.floor(), lengths[:, None]), lengths[:, None]
    )
    position = (time * sightings - 0.5).clamp(min=0).minimum(sightings - 1)
    left = position.floor()
    right = torch.minimum(left + 1, sightings - 1)
    return torch.stack([(left + 0.5) / sightings, (right + 0.5) / sightings, position - left], dim=-1)


def between(rows: Tensor, starts: Tensor, lengths: Tensor, times: Tensor) -> Tensor:
    """Segments of tracks, interpolated between recorded frames.

    Args:
        rows: (F, V, C) poses of all tracks, concatenated.
        starts: (R,) first row of each segment.
        lengths: (R,) number of rows of each segment.
        times: (R, T, 3) as `sighted` gives them.

    Returns:
        (R, T, V, C).
    """
    at = (times[..., :2] * lengths[:, None, None]).long().minimum(lengths[:, None, None] - 1)
    weight = times[..., 2]
    poses = torch.nn.functional.embedding_bag(
        (starts[:, None, None] + at).flatten(0, 1),
        rows.flatten(1),
        per_sample_weights=torch.stack([1 - weight, weight], dim=-1).flatten(0, 1).to(rows.dtype),
        mode="sum",
    )
    return poses.view(*weight.shape, *rows.shape[1:])


def _random_below(bound: Tensor) -> Tensor:
    """A random integer from 0 to bound - 1 for each bound."""
    return (torch.rand(bound.shape, device=bound.device) * bound).long().clamp(max=bound - 1)


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
