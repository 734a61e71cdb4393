"""The poses of the explorer page: windows as parts of their recordings, as integers, in base64.

Windows of a recording overlap, so the page contains each recording once, and for each window its range of frames.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelrep.plot.body import DEFAULT_FPS, drawable, ground, oriented, trunk_length, turns
from skelrep.poses import Poses
from skelrep.recordings.annotations import of_each_recording
from skelrep.recordings.events import Events

MOST_FRAMES = 64  # per clip or window; the page interpolates between them
MOST_POSE_BYTES = 38_000_000  # of all poses in the page; if there are many clips, each has fewer frames
LARGEST = 32767  # largest coordinate in 16 bits
MISSING = -32768  # represents NaN

_WINDOW = {"source", "start", "end"}  # columns of `Poses.windows`


@dataclass(frozen=True)
class Sequences:
    """S recordings, and the N points of the map, each of which is a recording or a range of frames of one.

    Attributes:
        clips: S arrays (M, T, V, C).
        names: S names, which events and tables refer to.
        persons: S names of the only person of each, or "" for all persons of the recording together.
        of: (N,) the recording of each point.
        first: (N,) its first frame there.
        last: (N,) the frame after its last one.
        times: (N, 2) start and end in seconds; None if each point is a whole recording.
    """

    clips: list[np.ndarray]
    names: list[str]
    persons: list[str]
    of: np.ndarray
    first: np.ndarray
    last: np.ndarray
    times: np.ndarray | None

    @classmethod
    def of_poses(cls, poses: Poses) -> Sequences:
        """The recordings that windows were cut from, or else the clips themselves.

        Windows of single persons, with the column `person`, are of one recording for each person.
        """
        lengths = np.array([clip.shape[1] for clip in poses.clips])
        nobody = [""] * len(poses)
        whole = cls(poses.clips, poses.ids, nobody, np.arange(len(poses)), np.zeros(len(poses), int), lengths, None)
        if not set(poses.info) >= _WINDOW or poses.fps is None:
            return whole
        times = np.stack([poses.info["start"], poses.info["end"]], axis=1).astype(float)
        first, last = np.round(times * poses.fps).astype(int).T
        people = poses.info["person"].astype(str).tolist() if "person" in poses.info else nobody
        keys = list(zip(poses.info["source"].astype(str).tolist(), people))
        tracks = {key: i for i, key in enumerate(sorted(set(keys)))}
        of = np.array([tracks[key] for key in keys])
        persons = np.array([len(clip) for clip in poses.clips])
        alike = all(len(set(persons[of == i].tolist())) == 1 for i in range(len(tracks)))
        if not alike or (last - first != lengths).any():  # other columns of these names
            return whole
        clips = []
        for i in range(len(tracks)):
            members = np.flatnonzero(of == i)
            shape = (persons[members[0]], last[members].max(), *poses.clips[members[0]].shape[2:])
            recording = np.full(shape, np.nan, dtype=np.float32)
            for at in members:
                recording[:, first[at] : last[at]] = poses.clips[at]
            clips.append(recording)
        names, people = map(list, zip(*tracks))
        return cls(clips, names, people, of, first, last, times)

    def overlaps(self) -> int:
        """The largest number of other points of the same recording that share frames with a point."""
        if self.times is None:
            return 0
        most = 0
        for i in range(len(self.names)):
            first, last = np.sort(self.first[self.of == i]), np.sort(self.last[self.of == i])
            # Points that begin before a point ends and have not ended before it begins share frames with it.
            begun, ended = np.searchsorted(first, self.last[self.of == i]), np.searchsorted(
                last, self.first[self.of == i], side="right"
            )  # fmt: skip
            most = max(most, int((begun - ended).max()) - 1)
        return most

    def share_frames(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Whether points share frames; i and j broadcast."""
        together = (self.of[i] == self.of[j]) & (self.first[i] < self.last[j]) & (self.first[j] < self.last[i])
        return together & (self.times is not None)

    def events(self, table: Events) -> list[Events]:
        """The events of each recording; of a recording of one person, those of this person or of all together.

        Raises:
            ValueError: if all events are of other recordings.
        """
        known = list(dict.fromkeys(self.names))
        found = dict(zip(known, of_each_recording(known, table)))
        return [
            found[name][(found[name].person == person) | (found[name].person == "") | (person == "")]
            for name, person in zip(self.names, self.persons)
        ]

    def encoded(self, skeleton: Any, fps: float | None, channels: int) -> tuple[dict[str, Any], str]:
        """The recordings in the form that the page plays.

        Returns:
            "sequences", for each recording the number of persons, the number of frames, the duration in seconds, the
            length that `LARGEST` stands for, and, relative to that length, the length of the trunk and the height of
            the floor (None if no feet are seen); "clips", for each point its recording, the position of its first frame
            there, how many frames later its last one is, and the degrees by which it is turned to face the viewer; and
            all recordings, concatenated as base64, each (frames, persons, joints, channels) of little-endian int16,
            `MISSING` for a joint that was not seen.
        """
        seen = [~np.isnan(clip).all(axis=(1, 2, 3)) for clip in self.clips]
        persons = [max(1, int(some.sum())) for some in seen]
        longest = np.zeros(len(self.clips), int)
        np.maximum.at(longest, self.of, self.last - self.first)
        # How often the longest clip of each recording fits into it; 1 if a clip is a whole recording.
        times = np.array([clip.shape[1] for clip in self.clips]) / longest
        frame_bytes = float(np.sum(np.array(persons) * times)) * len(skeleton) * channels * 2 * 4 / 3  # int16 as base64
        most = int(np.clip(MOST_POSE_BYTES / frame_bytes, 2, MOST_FRAMES))
        sequences, parts = [], []
        clips: list[list[float]] = [[] for _ in self.of]
        for i, (clip, some) in enumerate(zip(self.clips, seen)):
            turned = oriented(clip[some] if some.any() else clip[:1], skeleton)
            length = turned.shape[1]
            frames = np.linspace(0, length - 1, min(length, round(times[i] * most))).round().astype(int)
            # The page rotates clips about the vertical axis, so their width is twice the distance from it.
            reach = np.fmax(np.hypot(turned[..., 0], turned[..., 2]), np.abs(turned[..., 1]))
            scale = float(np.fmax.reduce(reach, axis=None, initial=0.0)) or 1.0
            floor = ground(turned, skeleton)
            quantised = np.round(turned[:, frames, :, :channels].swapaxes(0, 1) * (LARGEST / scale))
            quantised[np.isnan(quantised)] = MISSING
            parts.append(base64.b64encode(quantised.astype("<i2").tobytes()).decode())
            relative = [round(trunk_length(turned, skeleton) / scale, 4), floor and round(floor / scale, 4)]
            seconds = round(length / (fps or DEFAULT_FPS), 3)
            sequences.append([len(turned), len(frames), seconds, scale, *relative])
            members = np.flatnonzero(self.of == i)
            first, last = self.first[members], self.last[members]
            step = (len(frames) - 1) / max(length - 1, 1)
            angles = turns(turned, skeleton, first, last) if self.times is not None else np.zeros(1)
            ranges = np.stack([first * step, (last - first - 1) * step, np.broadcast_to(angles, len(members))], axis=1)
            for member, (begin, more, angle) in zip(members.tolist(), ranges.round(2).tolist()):
                clips[member] = [i, begin, more, round(angle)]
        return {"sequences": sequences, "clips": clips}, "".join(parts)


def sequences_of(poses: Poses) -> tuple[Sequences, Poses]:
    """The recordings of clips or windows, and the clips on a skeleton that can be drawn."""
    poses = drawable(poses)
    return Sequences.of_poses(poses), poses
