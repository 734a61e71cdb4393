"""Timelines of recordings: a lane for each label, blocks for its events, and the skeleton at the best of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.messages import warn
from skelrep.plot.colours import colours_of
from skelrep.plot.drawing import Scene
from skelrep.plot.figures import new_figure
from skelrep.poses import Poses, as_poses
from skelrep.recordings.annotations import of_each_recording
from skelrep.recordings.events import Event, Events
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
# Inches.
_WIDTH, _MARGIN = 11.0, 0.15
_LANE, _TITLE, _AXIS, _GAP = 0.26, 0.32, 0.3, 0.2
_PICTURE = (1.0, 1.25)  # width and height of a skeleton
_CAPTION, _LEADER = 0.17, 0.2  # below a skeleton: its label, and the line to its event
_LETTER = 0.075  # width, for the names of lanes
_LONGEST_NAME = 32  # letters
_MOST_LANES = 100  # of one figure: 26 inches; more cannot be read

_HIGHEST = 0.76  # of a block, relative to its lane
_PALENESS = 0.78  # of the part of a block above its score
_NARROWEST = 0.002  # of the width of a lane, so that brief events are seen in long recordings
_AROUND = 0.5  # seconds before and after a moment, for its trails and for which way the person faces
_MOST_TICKS = 10
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)  # seconds
_FROM_MINUTES = 120  # seconds: longer times are shown as minutes and seconds


def timeline(
    poses: Any,
    events: Events,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    fps: float | None = None,
    view: float = 30.0,
    start: float | None = None,
    end: float | None = None,
) -> Figure:
    """Draws when events occur in recordings: a lane for each label of each person, and skeletons at the best events.

    The filled part of a block is the score of the event, from 0 to 1; a block without a score is filled. Above the
    lanes are as many events as fit, those with the highest scores first, each by the skeleton in the middle of its
    time: of its person, if it names one.

    Examples:
        >>> timeline(session, detect(squat, session)).savefig("timeline.pdf")

    Args:
        poses: Recordings, as `embed` takes them. Those without events are left out.
        events: What to draw. Their `clip` is an id of the recordings, or "" if there is only one; those of other
            recordings are left out with a warning. An event without times lasts as long as its recording.
        skeleton: The joints of an array.
        fps: Frames per second of the recordings, if they have none.
        view: Camera angle in degrees, as in `draw`.
        start: Start time in seconds.
        end: End time in seconds.

    Raises:
        ValueError: without fps, without events of these recordings in this time, or for more than 100 lanes.
        ModuleNotFoundError: without matplotlib.
    """
    recordings = as_poses(poses, skeleton=skeleton, fps=fps)
    if recordings.fps is None:
        raise ValueError("events are in seconds, so the poses need fps; pass fps=")
    if not len(events):
        raise ValueError("there are no events to draw")
    colours = colours_of(events.label.tolist())
    found = [
        (recordings[i], Lanes.of(recordings[i], part, colours, start, end))
        for i, part in enumerate(of_each_recording(recordings.ids, events))
        if len(part)
    ]
    found = [(recording, lanes) for recording, lanes in found if lanes.names]
    if not found:
        raise ValueError(
            f"none of the {len(events)} events is from {start or 0:g} s{f' to {end:g} s' if end else ' on'}"
        )
    if (count := sum(len(lanes.names) for _, lanes in found)) > _MOST_LANES:
        raise ValueError(
            f"{len(found)} recordings have {count} lanes, one for each label of each person; at most {_MOST_LANES} can "
            "be drawn: choose one recording, or fewer labels"
        )
    return _figure(found, view)


@dataclass(frozen=True)
class Lanes:
    """The events of one recording in lanes.

    Attributes:
        events: The events, with times, within the range.
        names: (person, label) of each lane, from top to bottom.
        colours: The colour of each label.
        start: Of the range, in seconds.
        end: Of the range, in seconds.
    """

    events: Events
    names: list[tuple[str, str]]
    colours: dict[str, str]
    start: float
    end: float

    @classmethod
    def of(
        cls, recording: Poses, events: Events, colours: dict[str, str], start: float | None, end: float | None
    ) -> Lanes:
        """The lanes of one recording with fps, from `start` to `end` seconds."""
        assert recording.fps is not None
        seconds = recording.clips[0].shape[1] / recording.fps
        unknown = np.isnan(events.start)
        events = replace(events, start=np.where(unknown, 0.0, events.start), end=np.where(unknown, seconds, events.end))
        if late := int((events.start >= seconds).sum()):
            warn(f"{late} events of {recording.ids[0]!r} start after its end at {seconds:g} s and are left out")
        first, last = 0.0 if start is None else start, seconds if end is None else min(end, seconds)
        inside = (events.start < last) & (events.end > first)
        events = events[inside]
        events = replace(events, start=np.maximum(events.start, first), end=np.minimum(events.end, last))
        names = sorted(set(zip(events.person.tolist(), events.label.tolist())))
        return cls(events, names, colours, first, last)

    def title(self, lane: int) -> str:
        """The name of a lane."""
        person, label = self.names[lane]
        name = f"{person} · {label}" if person else label
        return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"

    def at(self, seconds: float) -> str:
        """The labels of the events at a time."""
        now = (self.events.start <= seconds) & (seconds < self.events.end)
        return ", ".join(f"{person}: {label}" if person else label for person, label in sorted(set(
            zip(self.events.person[now].tolist(), self.events.label[now].tolist())
        )))  # fmt: skip

    def paint(self, axes: Axes) -> None:
        """Draws the blocks into axes; x is the time in seconds, and each lane is 1 high, the first at the top."""
        from matplotlib.collections import PolyCollection
        from matplotlib.colors import to_rgb

        axes.set(xlim=(self.start, self.end), ylim=(len(self.names), 0))
        axes.set_yticks([])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#BBBBBB")
        for lane in range(len(self.names)):
            axes.axhline(lane + 0.5, color="#EEEEEE", lw=1, zorder=0)
        lane_of = {name: i for i, name in enumerate(self.names)}
        least = _NARROWEST * (self.end - self.start)
        blocks, looks = [], []
        for event in self.events:
            base = lane_of[event.person, event.label] + (1 + _HIGHEST) / 2
            score = 1.0 if np.isnan(event.score) else float(np.clip(event.score, 0, 1))
            colour = np.array(to_rgb(self.colours[event.label]))
            right = max(event.end, event.start + least)
            for height, look in ((_HIGHEST, colour + (1 - colour) * _PALENESS), (_HIGHEST * score, colour)):
                corners = ((event.start, base), (right, base), (right, base - height), (event.start, base - height))
                blocks.append(corners)
                looks.append(tuple(look))
        axes.add_collection(PolyCollection(blocks, facecolors=looks, edgecolors="white", linewidths=0.5, zorder=2))

    def show_times(self, axes: Axes) -> None:
        """Labels the time axis in seconds, or in minutes and seconds."""
        span = self.end - self.start
        step = next((step for step in _TICKS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
        first, last = np.ceil(self.start / step - 1e-9), np.floor(self.end / step + 1e-9)
        ticks = np.arange(first, last + 1) * step + 0.0  # not -0.0
        axes.set_xticks(ticks, [_clock(tick, self.end) for tick in ticks], color="#777777", size=8)
        axes.tick_params(axis="x", color="#BBBBBB", length=3)


def _figure(found: Sequence[tuple[Poses, Lanes]], view: float) -> Figure:
    longest = max(len(lanes.title(i)) for _, lanes in found for i in range(len(lanes.names)))
    left = 2 * _MARGIN + _LETTER * longest
    width = _WIDTH - left - _MARGIN
    pictures = [_moments(recording, lanes, width, view) for recording, lanes in found]
    above = [_TITLE + (_PICTURE[1] + _CAPTION + _LEADER if some else 0.0) for some in pictures]
    heights = [over + _LANE * len(lanes.names) + _AXIS + _GAP for over, (_, lanes) in zip(above, found)]
    total = sum(heights)
    figure = new_figure(figsize=(_WIDTH, total), dpi=_DPI)
    top = total
    for (recording, lanes), some, over, height in zip(found, pictures, above, heights):
        tall = _LANE * len(lanes.names)
        axes = figure.add_axes((left / _WIDTH, (top - over - tall) / total, width / _WIDTH, tall / total))
        lanes.paint(axes)
        lanes.show_times(axes)
        look = {"color": "#222222", "parse_math": False}
        figure.text(_MARGIN / _WIDTH, (top - 0.1) / total, recording.ids[0], va="top", size=11, **look)
        for i in range(len(lanes.names)):
            y = top - over - _LANE * (i + 0.5)
            figure.text((left - 0.1) / _WIDTH, y / total, lanes.title(i), ha="right", va="center", size=9, **look)
        for moment in some:
            moment.paint(figure, axes, left, top - _TITLE, total)
        top -= height
    return figure


@dataclass(frozen=True)
class _Moment:
    """The skeleton in the middle of an event, above the lanes."""

    event: Event
    lane: int
    colour: str
    scene: Scene
    frame: int
    x: float  # inches of its middle from the left end of the lanes

    def paint(self, figure: Figure, lanes: Axes, left: float, top: float, total: float) -> None:
        """Draws the skeleton, its label, and a line to the event."""
        wide, high = _PICTURE
        box = (left + self.x - wide / 2) / _WIDTH, (top - high) / total, wide / _WIDTH, high / total
        axes = figure.add_axes(box)
        self.scene.within(axes, wide, high)
        self.scene.paint(axes, self.frame)
        x, y = (left + self.x) / _WIDTH, (top - high) / total
        score = "" if np.isnan(self.event.score) else f" {self.event.score:.2f}"
        label = self.event.label if len(self.event.label) <= 12 else self.event.label[:11] + "…"
        look = {"ha": "center", "va": "top", "size": 8, "color": "#444444", "parse_math": False}
        figure.text(x, y, label + score, **look)
        from matplotlib.patches import ConnectionPatch

        middle = ((self.event.start + self.event.end) / 2, self.lane + (1 - _HIGHEST) / 2)
        figure.add_artist(
            ConnectionPatch(
                (x, y - _CAPTION / total), middle, figure.transFigure, lanes.transData, color=self.colour, lw=0.8
            )
        )


def _moments(recording: Poses, lanes: Lanes, width: float, view: float) -> list[_Moment]:
    """As many moments as fit beside each other, of the events with the highest scores; without scores, the longest."""
    assert recording.fps is not None
    events = lanes.events
    seconds = events.end - events.start
    order = np.lexsort((-seconds, -np.nan_to_num(events.score, nan=-np.inf)))
    found: list[_Moment] = []
    for event in (events.row(i) for i in order):
        if len(found) >= int(width / _PICTURE[0]):
            break
        middle = (event.start + event.end) / 2
        x = (middle - lanes.start) / (lanes.end - lanes.start) * width
        x = float(np.clip(x, _PICTURE[0] / 2, width - _PICTURE[0] / 2))
        if any(abs(x - other.x) < _PICTURE[0] for other in found):
            continue
        if (drawn := _scene(recording, event.person, middle, view)) is not None:
            name = (event.person, event.label)
            found.append(_Moment(event, lanes.names.index(name), lanes.colours[event.label], *drawn, x))
    return found


def _scene(recording: Poses, person: str, middle: float, view: float) -> tuple[Scene, int] | None:
    """The scene around a moment, and its frame there; None if nobody is seen."""
    assert recording.fps is not None
    [clip] = recording.clips
    names = recording.person_names(0)
    if person in names:
        clip = clip[names.index(person)][None]
    at = min(int(middle * recording.fps), clip.shape[1] - 1)
    first = max(0, at - round(_AROUND * recording.fps))
    part = clip[:, first : at + round(_AROUND * recording.fps) + 1]
    if np.isnan(part[:, at - first]).all():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of persons drawn beside each other, for every moment
        scene = Scene.of(Poses([part], recording.skeleton, recording.ids, fps=recording.fps), None, view, None)
    return scene, at - first


def _clock(seconds: float, longest: float) -> str:
    if longest < _FROM_MINUTES:
        return f"{seconds:g} s"
    hours, minutes, rest = int(seconds // 3600), int(seconds // 60 % 60), round(seconds % 60)
    return f"{hours}:{minutes:02}:{rest:02}" if longest >= 3600 else f"{minutes}:{rest:02}"
