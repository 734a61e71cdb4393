"""From the probabilities of windows to segments: smoothing, hysteresis, a shortest duration; in constant memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skelrep.recordings.events import Event

BACKGROUND = "none"  # the label of windows in which nothing of interest happens; it makes no segments


@dataclass(frozen=True)
class SegmentRules:
    """How probabilities over time become segments.

    Attributes:
        smooth: Seconds over which probabilities are averaged, half of them before and half after.
        enter: A segment begins where the probability of its label is at least this.
        leave: It ends where the probability falls below this (hysteresis), or that of another label reaches `enter`.
        shortest: Seconds; shorter segments are left out.
    """

    smooth: float = 0.0
    enter: float = 0.5
    leave: float = 0.3
    shortest: float = 0.0

    def __post_init__(self) -> None:
        """Raises an error for values that no segment could satisfy."""
        if not 0 < self.leave <= self.enter <= 1:
            raise ValueError(f"expected 0 < leave <= enter <= 1, got leave={self.leave!r} and enter={self.enter!r}")
        if not (0 <= self.smooth < math.inf and 0 <= self.shortest < math.inf):
            raise ValueError(f"smooth={self.smooth!r} and shortest={self.shortest!r} must be seconds, 0 or more")


class Cell(NamedTuple):
    """A window, or the stretch of time around its middle that it represents."""

    start: float
    end: float
    probabilities: np.ndarray  # (K,)


class Segmenter:
    """Turns windows into events one by one, so that a live recording has its events `smooth / 2` seconds late.

    A window represents half a stride on both sides of its middle, and the first and the last one also everything before
    and after.
    """

    def __init__(
        self, labels: Sequence[str], rules: SegmentRules, stride: float, *, clip: str = "", person: str = ""
    ) -> None:
        """Begins a track.

        Args:
            labels: K names of the probabilities; `BACKGROUND` makes no events.
            rules: See `SegmentRules`.
            stride: Seconds from one window to the next. Where windows are further apart, nobody was seen in between.
            clip: The clip of the events.
            person: The person of the events.
        """
        self.labels, self.rules, self.stride, self.clip, self.person = list(labels), rules, stride, clip, person
        self.half = round(rules.smooth / stride / 2)
        self.recent: deque[Cell] = deque(maxlen=2 * self.half + 1)
        self.waiting = 0  # the number of recent cells that are not decided
        self.window: Cell | None = None  # the last one, whose stretch ends where that of the next begins
        self.begin = 0.0  # of its stretch
        self.label: int | None = None
        self.start = self.end = self.total = self.duration = 0.0

    def feed(self, start: float, end: float, probabilities: np.ndarray) -> Iterator[Event]:
        """The events that have ended when the next window is known."""
        if self.window is not None:
            middle, last = (start + end) / 2, (self.window.start + self.window.end) / 2
            if middle - last > 1.5 * self.stride:
                yield from self.finish()
            else:
                border = (middle + last) / 2
                yield from self._add(Cell(self.begin, border, self.window.probabilities))
                self.begin = border
        if self.window is None:
            self.begin = start
        self.window = Cell(start, end, probabilities)

    def _add(self, cell: Cell) -> Iterator[Event]:
        self.recent.append(cell)
        self.waiting += 1
        if self.waiting > self.half:
            yield from self._decide()

    def finish(self) -> Iterator[Event]:
        """The events of what is left at the end of a recording."""
        if self.window is not None:
            yield from self._add(Cell(self.begin, self.window.end, self.window.probabilities))
        while self.waiting:
            yield from self._decide()
        yield from self._close()
        self.recent.clear()
        self.window = None

    def _decide(self) -> Iterator[Event]:
        """Adds the first waiting cell to a segment."""
        at = len(self.recent) - self.waiting
        near = list(self.recent)[max(at - self.half, 0) : at + self.half + 1]
        cell, mean = self.recent[at], np.mean([one.probabilities for one in near], axis=0)
        self.waiting -= 1
        best = int(mean.argmax())
        begins = mean[best] >= self.rules.enter
        stays = self.label is not None and mean[self.label] >= self.rules.leave
        if not stays or (begins and best != self.label):
            yield from self._close()
            if begins:
                self.label, self.start, self.total, self.duration = best, cell.start, 0.0, 0.0
        if self.label is not None:
            self.end = cell.end
            self.total += float(mean[self.label]) * (cell.end - cell.start)
            self.duration += cell.end - cell.start

    def _close(self) -> Iterator[Event]:
        label, self.label = self.label, None
        if label is None or self.labels[label] == BACKGROUND or self.end - self.start < self.rules.shortest:
            return
        score = self.total / self.duration if self.duration else math.nan
        yield Event(self.clip, self.start, self.end, self.labels[label], score, self.person)
