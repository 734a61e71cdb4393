"""Preprocessing that needs no future: `prepare_causal` of whole clips, and `LivePreparation` frame by frame.

Both give the same numbers; tests hold them equal. A *frame* is recorded at the rate of the poses, a *step* is an input
of the encoder at its own constant rate. Step k is at k / rate seconds after the first frame in which anybody is seen,
interpolated between the recorded frames before and after it, so it is known as soon as the latter arrives.

A joint that is not seen keeps its last position. The steps of a person are those in which the person is seen, so time
without the person, at the ends or in between, does not count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import RunningAlignment, normalise
from skelrep.completion import derive
from skelrep.persons import most_active
from skelrep.preprocess import kept_frames
from skelrep.preprocess_config import PreprocessConfig
from skelrep.skeletons import Skeleton, mapping


class Stepped(NamedTuple):
    """Clips of S steps, counted from the first frame in which anybody is seen; S is that of the longest clip.

    Attributes:
        poses: (N, M, T, V, 3) float32 of each person in the steps in which the person is seen, filled up by the last
            one; absent persons are zero.
        frames: (N, M, S) how many of them there are until each step.
        weights: (N, M, S) float32 weights of the persons' features until each step; 0 for persons not seen so far.
    """

    poses: Tensor
    frames: Tensor
    weights: Tensor


def prepare_causal(
    clips: list[np.ndarray],
    source: Skeleton,
    target: Skeleton,
    config: PreprocessConfig,
    fps: float,
    device: torch.device | str = "cpu",
) -> Stepped:
    """Prepares raw clips for an encoder of a constant frame rate.

    Args:
        clips: As in `skelrep.preprocess.prepare`.
        source: The skeleton of the clips.
        target: The encoder's skeleton, of W joints.
        config: With align="running" and a rate.
        fps: Recorded frames per second.
        device: Where to compute; the result is on this device.

    Raises:
        ValueError: if `source` cannot be mapped to `target`.
    """
    assert config.rate is not None
    matrix = mapping(source, target)
    used = np.flatnonzero(matrix.any(axis=0))
    clips = [
        clip if len(clip) <= config.persons else clip[most_active(clip, config.persons, config.keep)] for clip in clips
    ]
    tracks = _Tracks.of(clips, used)
    count = _steps_until(tracks.lengths - tracks.opening - 1, fps, config.rate)
    track = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(track)) - np.repeat(np.cumsum(count) - count, count)  # of each step in its track
    left, right, weight = _position(number, fps, config.rate)
    origin = (tracks.starts + tracks.opening)[track]
    poses = _interpolated(tracks.rows[origin + left], tracks.rows[origin + right], weight)
    # Whether the person is seen in a frame since the last step.
    since = np.minimum(np.where(number > 0, np.roll(right, 1) + 1, right), right)
    shown = tracks.shown[origin + right + 1] > tracks.shown[origin + since]
    sightings = tracks.sightings[origin + right + 1] - tracks.sightings[tracks.starts[track]]
    taken = np.cumsum(shown) - np.repeat((np.cumsum(shown) - shown)[np.cumsum(count) - count], count)
    lengths = np.bincount(track[shown], minlength=len(count))
    poses, present = poses[shown], np.flatnonzero(lengths)
    _derive(poses, lengths[present], source, config)
    starts = (np.cumsum(lengths) - lengths)[present]
    filled = starts[:, None] + np.minimum(np.arange(max(lengths.max(initial=0), 1)), lengths[present, None] - 1)

    size = len(clips), config.persons
    slots = tracks.clip_of * config.persons + tracks.person
    dense = torch.zeros(len(clips) * config.persons, filled.shape[1], len(target), 3, device=device)
    if len(present):
        rows, on_target = torch.from_numpy(poses[filled]).to(device), torch.from_numpy(matrix).to(device)
        placed = normalise(rows, on_target, target, config, first=rows[:, 0])
        # Means over the frames so far go on changing where the last frame is repeated; the result must not.
        last = torch.from_numpy(filled - starts[:, None]).to(device)[..., None, None].expand_as(placed)
        dense[torch.from_numpy(slots[present]).to(device)] = placed.gather(1, last)
    every = np.minimum(np.arange(count.max()), count[:, None] - 1) + (np.cumsum(count) - count)[:, None]
    until = np.zeros((2, len(clips) * config.persons, count.max()), dtype=np.int64)
    until[:, slots] = taken[every], sightings[every]
    frames, sightings = until.reshape(2, *size, -1)
    weights = person_weights(sightings, config)
    return Stepped(dense.unflatten(0, size), *(torch.from_numpy(part).to(device) for part in (frames, weights)))


def person_weights(sightings: np.ndarray, config: PreprocessConfig) -> np.ndarray:
    """The weights of persons, float32, from the numbers (N, M, ...) of their joints that were seen so far."""
    if config.weigh == "equal":
        return (sightings > 0).astype(np.float32)
    return (sightings / np.maximum(sightings.max(axis=1, keepdims=True), 1)).astype(np.float32)


def most_steps(clips: list[np.ndarray], config: PreprocessConfig, fps: float) -> int:
    """The number of steps of the longest of (M, T, V, C) clips."""
    assert config.rate is not None
    last = np.array([kept_frames(clip, config)[1] - 1 for clip in clips])
    return int(_steps_until(last, fps, config.rate).max())


class _Tracks(NamedTuple):
    """The persons of all clips, concatenated, in which joints that are not seen keep their last position."""

    rows: np.ndarray  # (F, V, C); NaN before a joint is seen
    starts: np.ndarray  # (R,) first row of each track
    lengths: np.ndarray  # (R,)
    opening: np.ndarray  # (R,) the first frame in which anybody of the clip is seen
    clip_of: np.ndarray  # (R,)
    person: np.ndarray  # (R,) index in the clip
    shown: np.ndarray  # (F + 1,) in how many rows before a row its person is seen
    sightings: np.ndarray  # (F + 1,) how many joints are seen in them

    @classmethod
    def of(cls, clips: list[np.ndarray], used: np.ndarray) -> _Tracks:
        counts = np.array([len(clip) for clip in clips])
        rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in clips]).astype(np.float32, copy=False)
        lengths = np.repeat([clip.shape[1] for clip in clips], counts)
        clip_of, starts = np.repeat(np.arange(len(clips)), counts), np.cumsum(lengths) - lengths
        firsts = np.cumsum(counts) - counts
        seen = np.logical_not(np.isnan(rows).any(axis=-1))
        sightings = seen[:, used].sum(axis=1)
        never = len(rows)
        frame = np.where(sightings > 0, np.arange(len(rows)) - np.repeat(starts, lengths), never)
        opening = np.minimum.reduceat(np.minimum.reduceat(frame, starts), firsts)
        opening = np.where(opening == never, 0, opening)[clip_of]
        if not seen.all():
            last = np.maximum.accumulate(np.where(seen, np.arange(len(rows))[:, None], -1), axis=0)
            held = rows[last, np.arange(rows.shape[1])]
            rows = np.where((last >= np.repeat(starts, lengths)[:, None])[..., None], held, np.float32(np.nan))
        before = (np.concatenate([[0], np.cumsum(part)]) for part in (sightings > 0, sightings))
        return cls(rows, starts, lengths, opening, clip_of, np.arange(len(clip_of)) - firsts[clip_of], *before)


def _position(number: np.ndarray, fps: float, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The recorded frames before and after steps, and the weight of the later one, as float32."""
    position = number * fps / rate  # exact where it is a whole number
    left, right = np.floor(position).astype(np.int64), np.ceil(position).astype(np.int64)
    return left, right, (position - left).astype(np.float32)


def _steps_until(last: np.ndarray, fps: float, rate: float) -> np.ndarray:
    """The number of steps until a recorded frame, inclusive."""
    count = np.floor(last * rate / fps).astype(np.int64) + 1
    count += count * fps / rate <= last  # rounding
    return np.maximum(count - ((count - 1) * fps / rate > last), 1)


def _interpolated(left: np.ndarray, right: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Between (K, V, C) poses; that of the later frame where the earlier one is missing."""
    poses = left + (right - left) * weight[:, None, None]
    lost = np.isnan(left)
    return np.where(lost, right, poses) if lost.any() else poses


def _derive(poses: np.ndarray, lengths: np.ndarray, source: Skeleton, config: PreprocessConfig) -> None:
    """Derives joints that were never seen so far, in (K, V, C) steps of tracks."""
    if not config.derive_missing or not len(poses):
        return
    seen = np.logical_not(np.isnan(poses).any(axis=-1))
    if seen.all():
        return
    changed = np.concatenate([[True], (seen[1:] != seen[:-1]).any(axis=1)])
    changed[np.cumsum(lengths) - lengths] = True
    starts = np.flatnonzero(changed)
    derive(poses, starts, np.diff(starts, append=len(poses)), seen[starts], source)


class _Person:
    """One person of a stream so far."""

    def __init__(self, pose: np.ndarray, alignment: RunningAlignment) -> None:
        self.alignment = alignment
        self.before = self.now = np.full_like(pose, np.nan)  # (V, C) the last two frames
        self.shown = False  # in the last frame
        self.waiting = False  # seen in a frame since the last step
        self.sightings = 0

    def see(self, pose: np.ndarray, used: np.ndarray) -> None:
        """Adds a recorded frame."""
        seen = np.logical_not(np.isnan(pose).any(axis=-1))
        self.before, self.now = self.now, np.where(seen[:, None], pose, self.now)
        count = int(seen[used].sum())
        self.shown = count > 0
        self.waiting |= self.shown
        self.sightings += count


class LivePreparation:
    """`prepare_causal` of a stream."""

    def __init__(
        self,
        source: Skeleton,
        target: Skeleton,
        config: PreprocessConfig,
        fps: float,
        device: torch.device | str = "cpu",
    ) -> None:
        """A stream without frames; arguments as for `prepare_causal`."""
        assert config.rate is not None
        self.source, self.target, self.config = source, target, config
        self.fps, self.rate = fps, config.rate
        self.matrix, self.device = mapping(source, target), device
        self.used = np.flatnonzero(self.matrix.any(axis=0))
        self.persons: list[_Person] = []
        self.frames = self.steps = 0
        self.position = _position(np.zeros(1), fps, self.rate)  # of the next step

    def step(self, pose: np.ndarray) -> list[dict[int, Tensor]]:
        """Adds a recorded frame.

        Args:
            pose: (M, V, C), NaN where a joint is not seen; M may grow.

        Returns:
            For each step since the last frame the prepared poses (1, W, 3) of the persons who are seen, by index.
        """
        if not self.frames and np.isnan(pose[:, self.used]).any(axis=-1).all():
            return []
        while len(self.persons) < len(pose):
            self.persons.append(_Person(pose[0], RunningAlignment(self.matrix, self.target, self.config)))
        for index, person in enumerate(self.persons):
            person.see(pose[index] if index < len(pose) else np.full_like(pose[0], np.nan), self.used)
        self.frames += 1
        due = []
        while self.position[1] < self.frames:
            left, right, weight = self.position
            due.append({})
            for index, person in enumerate(self.persons):
                if person.waiting or person.shown:
                    earlier = person.now if left == right else person.before
                    due[-1][index] = self._prepared(person, _interpolated(earlier[None], person.now[None], weight))
                person.waiting = False
            self.steps += 1
            self.position = _position(np.array([self.steps]), self.fps, self.rate)
        return due

    def _prepared(self, person: _Person, pose: np.ndarray) -> Tensor:
        _derive(pose, np.array([1]), self.source, self.config)
        return torch.from_numpy(person.alignment.step(pose[0]))[None].to(self.device)

    def weights(self) -> np.ndarray:
        """The weights (M,) of the persons' features until the last frame."""
        return person_weights(np.array([[person.sightings for person in self.persons]]), self.config)[0]
