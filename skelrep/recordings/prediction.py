"""The predictions of a classifier for clips and recordings, as events."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from skelrep.cleaning import warn_of_first_frames
from skelrep.encoder import Encoder
from skelrep.encoder.inference import embed_batches
from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.poses.npz import STRETCH
from skelrep.poses.windows import windows_of_stretches
from skelrep.recordings.events import Event
from skelrep.recordings.segments import Segmenter, SegmentRules

if TYPE_CHECKING:
    from skelrep.recordings.classifier import Classifier

Per = Literal["clip", "person"]
UNKNOWN = "unknown"
_AT_ONCE = 512  # windows: memory does not grow with the length of a recording


class Track(NamedTuple):
    """Rows of one person, or of all persons together, in a recording or a part of it."""

    person: str  # "" for all together
    clips: np.ndarray  # (n,) positions of the clips or windows
    rows: np.ndarray  # (n, D)


def tracks_of(encoder: Encoder, poses: Poses, per: Per, options: dict[str, Any]) -> list[Track]:
    """Embeddings of clips, person by person or of all persons together; `options` are those of `Encoder.embed`."""
    if per not in ("clip", "person"):
        raise ValueError(f"per must be 'clip' or 'person', got {per!r}")
    if per == "clip":
        return [Track("", np.arange(len(poses)), embed_batches(encoder, poses, **options))]
    found = encoder.embed_persons(poses, **options)
    persons = np.array(found.persons)
    return [
        Track(name, found.clips[persons == name], found.rows[persons == name]) for name in dict.fromkeys(found.persons)
    ]


def clip_events(classifier: Classifier, poses: Poses, *, per: Per = "clip", reject: bool = True) -> list[Event]:
    """One event for each clip, or for each of its persons, in their order: the most probable class of the whole clip.

    Args:
        classifier: A fitted classifier.
        poses: Clips.
        per: Whether all persons of a clip are one row, or each person is one.
        reject: Whether clips that are like none of the training clips are labelled "unknown".

    Raises:
        ValueError: as `embed`.
    """
    warn_of_first_frames(poses)
    found: list[tuple[int, Event]] = []
    for track in tracks_of(classifier.loaded_encoder(), poses, per, classifier.embedding_options()):
        probabilities = classifier.predict_proba(track.rows)
        known = classifier.is_known(track.rows) | (not reject)
        for clip, row, is_known in zip(track.clips.tolist(), probabilities, known):
            frames = poses.clips[clip].shape[1]
            times = (math.nan, math.nan) if poses.fps is None else (0.0, frames / poses.fps)
            label = str(classifier.classes_[row.argmax()]) if is_known else UNKNOWN
            found.append((clip, Event(poses.ids[clip], *times, label, float(row.max()), track.person)))
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def segment_events(
    classifier: Classifier,
    poses: Poses | Iterable[Poses],
    window: float | None = None,
    stride: float | None = None,
    *,
    per: Per = "clip",
    rules: SegmentRules | None = None,
    reject: bool = True,
) -> Iterator[Event]:
    """The segments of recordings, in the order in which they end; memory does not grow with their length.

    Args:
        classifier: A fitted classifier.
        poses: Recordings, with fps; or parts of them, as `skelrep.io.read_parts(..., in_stretches=True)` yields them.
        window: Seconds of a window; by default the median duration of the training clips.
        stride: Seconds from one window to the next; by default a quarter of the window.
        per: Whether all persons together have one track of segments, or each person has one.
        rules: By default probabilities are averaged over half a window, and segments last at least as long.
        reject: Whether windows that are like none of the training clips get no class.

    Raises:
        ValueError: without fps, for a window or stride that is not positive, and as `embed`.
    """
    window = default_window(classifier) if window is None else window
    stride = window / 4 if stride is None else stride
    rules = SegmentRules(smooth=window / 2, shortest=window / 2) if rules is None else rules
    encoder, options = classifier.loaded_encoder(), classifier.embedding_options()
    for name, parts in _recordings(poses, window, stride):
        tracks = OpenTracks(classifier, stride, rules, reject, name)
        for windows in parts:
            starts, ends = windows.info["start"].tolist(), windows.info["end"].tolist()
            for first in range(0, len(windows), _AT_ONCE):
                part = slice(first, first + _AT_ONCE)
                yield from tracks.feed(tracks_of(encoder, windows[part], per, options), starts[part], ends[part])
        yield from tracks.finish()


def _recordings(poses: Poses | Iterable[Poses], window: float, stride: float) -> Iterator[tuple[str, Iterable[Poses]]]:
    """Each recording by its id, with its windows in one or more parts."""
    every = (one for part in ([poses] if isinstance(poses, Poses) else poses) for one in _checked(part))
    for recording in every:
        if STRETCH[0] not in recording.info:
            yield recording.ids[0], [recording.windows(window, stride)]
            continue
        stretches = itertools.chain([recording], every)  # ends itself, before the next recording
        yield recording.ids[0], windows_of_stretches(_until_the_end(stretches), window, stride)


def _checked(poses: Poses) -> Poses:
    if STRETCH[0] not in poses.info or not poses.info[STRETCH[0]].any():
        warn_of_first_frames(poses)
    return poses


def _until_the_end(stretches: Iterable[Poses]) -> Iterator[Poses]:
    """The stretches of one recording."""
    for stretch in stretches:
        yield stretch
        first, total = (int(stretch.info[name][0]) for name in STRETCH)
        if first + stretch.clips[0].shape[1] == total:
            return


class Guess(NamedTuple):
    """The most probable class of one window, whether or not it becomes a segment."""

    person: str  # "" for all together
    start: float  # seconds
    end: float
    label: str
    probability: float
    known: bool  # whether the window is like the training clips of any class


class OpenTracks:
    """The segments of one recording while its windows are classified, for each person or for all together.

    Attributes:
        latest: The last window of each person, as it was classified.
    """

    def __init__(self, classifier: Classifier, stride: float, rules: SegmentRules, reject: bool, clip: str) -> None:
        """Begins before the first window; the arguments are those of `segment_events`, and the clip of the events."""
        self.classifier, self.stride, self.rules, self.reject, self.clip = classifier, stride, rules, reject, clip
        self.labels = [str(label) for label in classifier.classes_]
        self.segmenters: dict[str, Segmenter] = {}
        self.latest: list[Guess] = []
        self.windows, self.nearest = 0, -1.0  # their number, and the largest cosine of one to a class

    def feed(self, tracks: Sequence[Track], starts: Sequence[float], ends: Sequence[float]) -> Iterator[Event]:
        """The events that are known with the next windows, given the embeddings and the seconds of each window."""
        self.latest = []
        for track in tracks:
            probabilities, cosines = self.classifier.predict_proba(track.rows), self.classifier.nearest(track.rows)
            known = (cosines >= self.classifier.head_.threshold) | (not self.reject)
            self.windows, self.nearest = self.windows + len(cosines), max(self.nearest, float(cosines.max()))
            at, last = track.clips[-1], probabilities[-1]
            label = self.labels[last.argmax()]
            self.latest.append(Guess(track.person, starts[at], ends[at], label, float(last.max()), bool(known[-1])))
            if track.person not in self.segmenters:
                self.segmenters[track.person] = Segmenter(
                    self.labels, self.rules, self.stride, clip=self.clip, person=track.person
                )
            for at, row in zip(track.clips.tolist(), probabilities * known[:, None]):
                yield from self.segmenters[track.person].feed(starts[at], ends[at], row)

    def finish(self) -> Iterator[Event]:
        """The events of what is left at the end of the recording, and a warning if all of it is unknown.

        That happens with another sensor or point of view than that of the training clips.
        """
        for segmenter in self.segmenters.values():
            yield from segmenter.finish()
        threshold = self.classifier.head_.threshold
        if self.reject and self.windows and self.nearest < threshold:
            warn(
                f"all {self.windows} windows of {self.clip!r} are unlike the training clips, so there are no segments "
                f"(cosine to the nearest class: at most {self.nearest:.2f}, threshold: {threshold:.2f}); train with "
                "clips of the same kind of sensor, or classify them anyway (--no-reject, in Python reject=False)"
            )


def default_window(classifier: Classifier) -> float:
    """The median duration of the training clips, or the window that it was fitted to.

    Raises:
        ValueError: if the training clips had no fps, or were embeddings.
    """
    if (seconds := classifier.protocol_.get("seconds")) is None:
        raise ValueError(
            "the duration of the training clips is unknown, so there is no default for the window; give window= in "
            "seconds"
        )
    return float(seconds)
