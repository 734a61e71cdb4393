"""Segments of live recordings: frames in, events out, in constant memory."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.io.people import Person, Recording, poses_of, shown
from skelrep.io.reader import ReadOptions
from skelrep.io.reading import Declared, declared_poses
from skelrep.messages import warn
from skelrep.missing import Zeros, assumed_zeros
from skelrep.poses import Poses
from skelrep.recordings.events import Event
from skelrep.recordings.prediction import Guess, OpenTracks, Per, default_window, tracks_of
from skelrep.recordings.segments import SegmentRules
from skelrep.skeletons import Skeleton
from skelrep.tracking import plain_id

if TYPE_CHECKING:
    from skelrep.recordings.classifier import Classifier


class LiveSegments:
    """The segments of a live recording, as `Classifier.segments` finds them in a complete one.

    A window is classified as soon as the first frame after it arrives; memory does not grow with time. A segment is
    known `delay` seconds after it has ended: half a window, half of the smoothing, and one and a half strides.

    Examples:
        >>> live = LiveSegments(classifier, fps=30, skeleton="coco-17")
        >>> for seconds, pose in camera:  # (V, C) or (M, V, C), NaN for joints that are not seen
        ...     for event in live.feed(seconds, pose):
        ...         print(event)

    Attributes:
        window: Seconds of a window.
        delay: Seconds from the end of a segment to its event, without the time that the computation takes.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        fps: float,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        window: float | None = None,
        stride: float | None = None,
        per: Per = "clip",
        rules: SegmentRules | None = None,
        reject: bool = True,
        zeros: Zeros | None = None,
        scale: float | Sequence[float] | None = None,
        min_score: float | None = None,
        clip: str = "live",
    ) -> None:
        """Begins a recording.

        Args:
            classifier: A fitted classifier.
            fps: Approximate frames per second: frames are placed by their times on a grid of this rate.
            skeleton: The skeleton of the frames, as in `skelrep.read`; by default it is decided by the number of
                joints.
            window: As in `Classifier.segments`.
            stride: As in `Classifier.segments`.
            per: As in `Classifier.segments`; for "person" every frame must name its persons.
            rules: As in `Classifier.segments`.
            reject: As in `Classifier.segments`.
            zeros: As in `skelrep.read`.
            scale: As in `skelrep.read`.
            min_score: As in `skelrep.read`.
            clip: The id of the clip, for the events.

        Raises:
            ValueError: for a window, stride or rate that is not positive.
        """
        window = default_window(classifier) if window is None else window
        stride = window / 4 if stride is None else stride
        if not (0 < window < np.inf and 0 < stride < np.inf and 0 < fps < np.inf):
            raise ValueError(f"window, stride and fps must be above 0, got {window}, {stride} and {fps}")
        self.classifier, self.fps, self.skeleton, self.clip = classifier, fps, skeleton, clip
        self.per: Per = per
        self.length, self.step = max(1, round(window * fps)), max(1, round(stride * fps))
        rules = SegmentRules(smooth=window / 2, shortest=window / 2) if rules is None else rules
        self.tracks = OpenTracks(classifier, stride, rules, reject, clip)
        self.zeros: Zeros | None = zeros
        self.declared = Declared(scale=scale, min_score=min_score)
        self.window, self.delay = window, window / 2 + rules.smooth / 2 + 1.5 * stride
        self.frames: list[tuple[int, list[Person]]] = []  # the latest ones, by their position on the grid
        self.seconds = 0.0  # of the last one
        self.begin = 0  # of the next window
        self.fed: int | None = None  # begin of the last window
        self.said: set[str] = set()  # warnings, without their numbers

    def feed(
        self, seconds: float, people: np.ndarray | Sequence[Person], person_ids: Sequence[Any] | None = None
    ) -> Iterator[Event]:
        """The events that are known with this frame.

        Args:
            seconds: Time since the first frame; not before the previous frame. Persons with the same time are one
                frame.
            people: (M, V, C) or (V, C), NaN for joints that are not seen; or `Person`s, as from the readers of files.
            person_ids: M names that persons keep over time.

        Raises:
            ValueError: for a time before the previous frame's, and as `Classifier.segments`.
        """
        index = round(seconds * self.fps)
        last = self.frames[-1][0] if self.frames else 0
        if index < last:
            raise ValueError(f"a frame is at {seconds:g} s, before the previous one at {last / self.fps:g} s")
        while self.begin + self.length <= index:
            yield from self._window(self.begin, self.begin + self.length)
            self.begin += self.step
            if not any(position >= self.begin for position, _ in self.frames):  # a pause in which nobody was seen
                self.begin = max(self.begin, ((index - self.length) // self.step + 1) * self.step)
        persons = [*self._persons(people, person_ids)]
        if self.frames and index == last:
            self.frames[-1] = (index, persons if seconds > self.seconds else [*self.frames[-1][1], *persons])
        else:
            self.frames.append((index, persons))
        self.seconds = seconds
        kept = index - self.length - self.step
        while self.frames[0][0] < kept:
            del self.frames[0]

    @property
    def latest(self) -> list[Guess]:
        """The most probable class of the last window of each person, for a display of what happens now.

        It need not become a segment, and `known` says whether it is like the training clips at all. Empty before the
        first window.
        """
        return self.tracks.latest

    def finish(self) -> Iterator[Event]:
        """The events of what is left at the end of the recording."""
        total = self.frames[-1][0] + 1 if self.frames else 0
        while total and self.begin + self.length <= total:
            yield from self._window(self.begin, self.begin + self.length)
            self.begin += self.step
        if total and self.fed != (last := max(total - self.length, 0)):
            yield from self._window(last, total)
        yield from self.tracks.finish()

    def _persons(self, people: np.ndarray | Sequence[Person], ids: Sequence[Any] | None) -> Iterator[Person]:
        poses: Iterable[Any] = people
        if isinstance(people, np.ndarray):
            poses = people[None] if people.ndim == 2 else people
        for i, one in enumerate(poses):
            person = one if isinstance(one, Person) else Person(None if ids is None else ids[i], np.asarray(one))
            if self.per == "person" and plain_id(person.track) is None:
                raise ValueError('per="person" needs ids that persons keep from frame to frame, but a frame has none')
            yield person

    def _window(self, begin: int, end: int) -> Iterator[Event]:
        self.fed = begin
        seen = {position: people for position, people in self.frames if begin <= position < end}
        frames = [
            *sorted(({begin: [], end - 1: []} | seen).items())
        ]  # the window has its length even if nobody is seen
        if not any(np.isfinite(shown(person)).any() for _, people in frames for person in people):
            return
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            poses = self._poses(frames)
            self.skeleton = poses.skeleton  # once recognised, it is used for all windows
            tracks = tracks_of(self.classifier.loaded_encoder(), poses, self.per, self.classifier.embedding_options())
        for remark in {str(each.message) for each in remarks}:
            if (kind := re.sub(r"[\d.]+", "", remark)) not in self.said:  # once, and not for every window
                self.said.add(kind)
                warn(remark)
        yield from self.tracks.feed(tracks, [begin / self.fps], [end / self.fps])

    def _poses(self, frames: list[tuple[int, list[Person]]]) -> Poses:
        """One clip of the frames of a window, by the rules of files."""
        recording = Recording(
            [people for _, people in frames], self.skeleton, [position for position, _ in frames], fps=self.fps
        )
        with assumed_zeros(self.zeros):
            poses = poses_of([recording], self.clip, self.clip, ReadOptions(scale=self.declared.scale))
        return declared_poses(poses, self.clip, self.declared)
