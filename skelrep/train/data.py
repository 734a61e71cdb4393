"""The training corpus: recordings laid end to end on the encoder's skeleton, cut into pairs of views at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skelrep.encoder import EncoderConfig
from skelrep.poses import Poses
from skelrep.preprocess import fill_gaps, map_joints, normalise, resample
from skelrep.skeletons import mapping


@dataclass(frozen=True)
class Corpus:
    """Recordings of one person each, ready to be cut.

    Attributes:
        rows: (F, W, 3) poses of all recordings, one after the other, on the encoder's skeleton.
        starts: (R,) first row of each recording.
        lengths: (R,) rows of each.
        seconds: (R,) duration of each.
    """

    rows: Tensor
    starts: Tensor
    lengths: Tensor
    seconds: Tensor

    @classmethod
    def of(cls, sets: Sequence[Poses], config: EncoderConfig, device: torch.device | str = "cpu") -> Corpus:
        """Maps sets of poses (three-dimensional, with fps) to the encoder's skeleton and joins them.

        Every person is a recording of its own. Gaps are bridged in time; a person with a joint that was never seen
        is left out, for the augmentation drops joints by itself.

        Raises:
            ValueError: if a set has no fps, is not three-dimensional, or nothing is left.
        """
        rows, lengths, seconds = [], [], []
        for poses in sets:
            if poses.fps is None or poses.channels != 3:
                raise ValueError(f"pretraining needs three-dimensional poses with fps, got {poses!r}")
            matrix = torch.from_numpy(mapping(poses.skeleton, config.skeleton))
            for clip in poses.clips:
                for track in clip:
                    track = fill_gaps(track, np.array([0]), np.array([len(track)]))
                    mapped = map_joints(torch.from_numpy(track), matrix)
                    if not mapped.isnan().any():
                        rows.append(mapped)
                        lengths.append(len(track))
                        seconds.append(len(track) / poses.fps)
        if not rows:
            raise ValueError("no recording in which every joint is seen at least once")
        length = torch.tensor(lengths)
        parts = torch.cat(rows), length.cumsum(0) - length, length, torch.tensor(seconds)
        return cls(*(part.to(device) for part in parts))

    def views(
        self, batch: int, window: tuple[float, float], crop: tuple[float, float], config: EncoderConfig
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Two views of each of `batch` random windows.

        A recording is drawn in proportion to its duration, in it a window of a length drawn from `window` (seconds;
        the whole recording if that is shorter), and in the window two crops, each of a share drawn from `crop`. Every
        view is normalised by itself, as a stranger's clip will be.

        Returns:
            Both views (B, T, W, 3), and the (B,) recordings they came from. The recording, not the window, is what
            "own clip" means for the banks: a recording that repeats one gesture must not push its repeats apart.
        """
        device = self.rows.device
        recording = torch.multinomial(self.seconds, batch, replacement=True)
        length = self.lengths[recording]
        per_second = length / self.seconds[recording]
        wanted = torch.empty(batch, device=device).uniform_(*window) * per_second
        size = torch.minimum(wanted.long().clamp(min=2), length)
        start = self.starts[recording] + _random_below(length - size + 1)
        first, second = (self._view(start, size, crop, config) for _ in range(2))
        return first, second, recording

    def _view(self, start: Tensor, size: Tensor, crop: tuple[float, float], config: EncoderConfig) -> Tensor:
        share = torch.empty(len(size), device=size.device).uniform_(*crop)
        kept = torch.minimum((size * share).long().clamp(min=16), size)  # 16 frames: half a second of a Kinect
        begin = start + _random_below(size - kept + 1)
        poses = resample(self.rows, begin, kept, config.preprocess.frames)
        return normalise(poses, config.skeleton, config.preprocess, first=self.rows[begin])


def _random_below(bound: Tensor) -> Tensor:
    """A random integer in 0..bound-1 for every bound."""
    return (torch.rand(bound.shape, device=bound.device) * bound).long().clamp(max=bound - 1)
