"""Detection by example: finds a movement in recordings from one or a few clips of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from skelrep.encoder import Encoder
from skelrep.encoder.inference import embed_batches
from skelrep.hub import load_pretrained
from skelrep.poses import Poses
from skelrep.recordings.events import Event, Events
from skelrep.recordings.prediction import Per, tracks_of

STEP = math.sqrt(2)  # factor between the lengths of windows: the overlap of neighbouring lengths is 0.71
TEMPO = 2.0  # how many times slower or faster than the examples a movement is searched
# Both were chosen on five subjects of UTKinect's recordings. Without a penalty, long windows win more often, which show
# the most movement.
LENGTH_PENALTY = 0.05  # of the score, for each factor e between the lengths of window and example
OVERLAP = 0.3  # intersection over union above which the lower of two peaks is the same event
SURE = 0.6  # similarity above which a window is a detection, whatever the background
_AT_ONCE = 512  # windows: memory does not grow with the length of a recording
_BACKGROUND = 2000  # windows from which the background is estimated


def detect(
    examples: Poses,
    recordings: Poses,
    encoder: Encoder | str | os.PathLike = "i2md-small",
    *,
    negatives: Poses | None = None,
    label: str | None = None,
    false_per_hour: float = 1.0,
    threshold: float | None = None,
    stride: float | None = None,
    per: Per = "clip",
    **options: Any,
) -> Events:
    """Finds where a movement occurs in recordings, from one or a few examples of it.

    Windows of half to twice the length of the examples are embedded and standardised by the mean and the standard
    deviation of the recordings' own windows, so that features of all of them, such as the person and the sensor, do not
    count. The score of a window is its largest cosine to an example, less a small penalty for a different length. Among
    windows that overlap, the one with the highest score is an event.

    Args:
        examples: Clips of the movement, with fps.
        recordings: Where to search, with fps.
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`.
        negatives: Clips of other movements: a window that is closer to one of them is not an event.
        label: The label of the events; by default the examples' label, or their id.
        false_per_hour: The expected number of false events in an hour of background, which sets the threshold. The
            scores of the background are assumed to be normally distributed. Their mean and deviation are estimated from
            the lower half of the recordings' scores, in which the movement itself does not occur unless it fills most
            of them. Scores above 0.6 are events anyway.
        threshold: A score to use instead; -1 gives all peaks, for a ranking.
        stride: Seconds from one window to the next; by default about a sixth of the shortest example.
        per: "clip" for all persons of a recording together, "person" for each alone.
        **options: Options of `Encoder.embed`: `streams`, `batch_size`, `device`, `precision`.

    Returns:
        Events with start, end, score, label and person, in the order of the recordings and of time.

    Raises:
        ValueError: without fps or examples, for a parameter out of range, and as `embed`.
        OSError: if the encoder cannot be loaded.

    Examples:
        >>> events = detect(squat, session)
        >>> len(events), events.start
    """
    if not isinstance(encoder, Encoder):
        encoder = load_pretrained(encoder)
    if examples.fps is None or recordings.fps is None:
        raise ValueError("lengths of windows are in seconds, so examples and recordings need fps; pass fps=")
    if not 0 < false_per_hour < math.inf:
        raise ValueError(f"false_per_hour={false_per_hour!r} must be a number above 0")
    if per not in ("clip", "person"):
        raise ValueError(f"per must be 'clip' or 'person', got {per!r}")
    check_somebody_seen(recordings)
    seconds = [clip.shape[1] / examples.fps for clip in examples.clips]
    lengths = window_lengths(seconds)
    step = max(min(seconds) / STEP / 4, 1 / recordings.fps) if stride is None else stride
    background = _Background.of(encoder, recordings, lengths, options)
    wanted = _Wanted(
        background,
        background.standardised(encoder.embed(examples, **options)),
        None if negatives is None else background.standardised(encoder.embed(negatives, **options)),
        np.log(seconds),
    )
    scored = [
        part
        for recording in range(len(recordings))
        for length in lengths
        for part in _scored(encoder, recordings[recording], recording, length, step, per, wanted, options)
    ]
    if threshold is None:
        scores = np.concatenate([part.scores for part in scored])
        threshold = background_threshold(scores, float(np.median(lengths)), false_per_hour)
    found = peaks([window for part in scored for window in part.above(threshold)], OVERLAP)
    if label is None:
        label = examples.ids[0] if examples.labels is None else str(examples.labels[0])
    ordered = sorted(found, key=lambda one: (one.recording, one.start))
    return Events.of(
        Event(recordings.ids[one.recording], one.start, one.end, label, one.score, one.person) for one in ordered
    )


def check_somebody_seen(recordings: Poses) -> None:
    """Raises an error for recordings that show nobody, which cannot be embedded, before the others are.

    Raises:
        ValueError: with the ids of these recordings.
    """
    nobody = [name for name, clip in zip(recordings.ids, recordings.clips) if np.isnan(clip).all()]
    if nobody:
        shown = ", ".join(map(repr, nobody[:3])) + (", ..." if len(nobody) > 3 else "")
        raise ValueError(f"{len(nobody)} of {len(recordings)} recordings show nobody ({shown}); leave them out")


class Window(NamedTuple):
    """A stretch of a recording with its score."""

    recording: int
    person: str
    start: float
    end: float
    score: float


class _Scored(NamedTuple):
    """Windows of one person in a recording, as arrays: in hours there are a hundred thousand."""

    recording: int
    person: str
    starts: np.ndarray  # (n,) seconds
    ends: np.ndarray
    scores: np.ndarray

    def above(self, threshold: float) -> Iterator[Window]:
        """Those whose score reaches the threshold."""
        for i in np.flatnonzero(self.scores >= threshold):
            start, end, score = (column[i].item() for column in (self.starts, self.ends, self.scores))
            yield Window(self.recording, self.person, start, end, score)


def window_lengths(seconds: Sequence[float]) -> list[float]:
    """Lengths of windows for examples of these durations: half the shortest to twice the longest, by equal factors."""
    shortest, longest = min(seconds) / TEMPO, max(seconds) * TEMPO
    steps = max(2, math.ceil(math.log(longest / shortest) / math.log(STEP) - 1e-9))
    return [shortest * (longest / shortest) ** (i / steps) for i in range(steps + 1)]


def background_threshold(scores: np.ndarray, length: float, false_per_hour: float) -> float:
    """The score that the given number of windows per hour of background exceeds; see `detect`.

    Args:
        scores: The scores of all windows.
        length: Seconds of a window: in an hour there are 3600 / length windows that do not overlap.
        false_per_hour: Expected number of false events.
    """
    # A normal distribution has one deviation between these quantiles.
    low, middle = np.quantile(scores, float(norm.cdf(-1))), np.median(scores)
    tail = min(false_per_hour * length / 3600, 0.5)
    return float(min(middle + float(norm.isf(tail)) * (middle - low), SURE))


def peaks(windows: Sequence[Window], overlap: float) -> list[Window]:
    """The windows with the highest scores, of which no two overlap (greedy non-maximum suppression).

    Args:
        windows: In any order.
        overlap: Intersection over union, within one recording and person, above which the lower one is left out.
    """
    tracks: dict[tuple[int, str], list[Window]] = {}
    for window in windows:
        tracks.setdefault((window.recording, window.person), []).append(window)
    found = []
    for track in tracks.values():
        start, end, score = (np.array([getattr(one, name) for one in track]) for name in ("start", "end", "score"))
        order = np.argsort(-score, kind="stable")
        while len(order):
            best, order = order[0], order[1:]
            found.append(track[best])
            shared = np.minimum(end[order], end[best]) - np.maximum(start[order], start[best])
            union = np.maximum(end[order], end[best]) - np.minimum(start[order], start[best])
            order = order[shared <= overlap * union]
    return found


class _Background(NamedTuple):
    """The part that all windows of the recordings have in common."""

    mean: np.ndarray  # (D,)
    deviation: np.ndarray  # (D,)

    @classmethod
    def of(cls, encoder: Encoder, recordings: Poses, lengths: Sequence[float], options: dict[str, Any]) -> _Background:
        middle = lengths[len(lengths) // 2]
        windows = recordings.windows(middle, middle / 2)
        some = windows[np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _BACKGROUND)).astype(int))]
        rows = embed_batches(encoder, some, **options)
        deviation = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(deviation > 0, deviation, 1))

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        rows = (rows - self.mean) / self.deviation
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)


class _Wanted(NamedTuple):
    """The movement to find."""

    background: _Background
    examples: np.ndarray  # (E, D), standardised
    negatives: np.ndarray | None
    log_seconds: np.ndarray  # (E,)

    def scores(self, rows: np.ndarray, length: float) -> np.ndarray:
        """Scores of windows (n, D) of a length in seconds; -1 if a negative example is closer."""
        rows = self.background.standardised(rows)
        cosines = rows @ self.examples.T
        scores = (cosines - LENGTH_PENALTY * np.abs(math.log(length) - self.log_seconds)).max(axis=1)
        if self.negatives is None:
            return scores
        return np.where((rows @ self.negatives.T).max(axis=1) > cosines.max(axis=1), -1.0, scores)


def _scored(
    encoder: Encoder,
    recording: Poses,
    position: int,
    length: float,
    stride: float,
    per: Per,
    wanted: _Wanted,
    options: dict[str, Any],
) -> Iterator[_Scored]:
    """The windows of one length of a recording."""
    windows = recording.windows(length, stride)
    starts, ends = windows.info["start"], windows.info["end"]
    for first in range(0, len(windows), _AT_ONCE):
        for track in tracks_of(encoder, windows[first : first + _AT_ONCE], per, options):
            at = first + track.clips
            yield _Scored(position, track.person, starts[at], ends[at], wanted.scores(track.rows, length))
