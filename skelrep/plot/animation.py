"""Animations of one clip: the choice of frames, and the pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.messages import warn
from skelrep.plot.colours import colours_of
from skelrep.plot.drawing import Scene
from skelrep.plot.timeline import Lanes
from skelrep.poses import as_poses
from skelrep.recordings.annotations import of_each_recording
from skelrep.recordings.events import Events
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

MOST_PICTURES = 3000  # without a range: two minutes at 25 per second, which take about a minute to draw
DEFAULT_RATE = 25.0  # largest default, in pictures per second: a .gif counts hundredths of a second, so 30 is not exact
RATES = (0.01, 50.0)  # a .gif cannot show a picture for more than eleven minutes, and viewers not for less than 0.02 s

_LONG = 750  # pictures, 30 s at 25 per second: more take so long and make such large files that a warning is given
_SECONDS_PER_PICTURE = 0.015  # to draw one person of 15 joints, measured on one core

# Inches, of the lanes of events below an animation.
_LANE, _LABELS, _MARGIN, _NARROWEST = 0.14, 0.3, 0.15, 4.0


@dataclass(frozen=True)
class Film:
    """A scene and the frames to show.

    Attributes:
        scene: The clip.
        frames: (P,) indices of frames.
        rate: Pictures per second.
        lanes: Events that are shown while they last; None for none.
    """

    scene: Scene
    frames: np.ndarray
    rate: float
    lanes: Lanes | None = None

    @classmethod
    def of(
        cls,
        poses: Any,
        skeleton: Skeleton | str | Sequence[str] | None,
        view: float,
        fps: float | None,
        pictures: float | None,
        start: float | None,
        end: float | None,
        placement: str,
        events: Events | None = None,
    ) -> Film:
        """The film of one clip; arguments and errors are those of `animate`."""
        scene = Scene.of(poses, skeleton, view, fps, start, end, placement)
        lanes = None
        if events is not None and len(events):
            recording = as_poses(poses, skeleton=skeleton, fps=scene.fps)
            [found] = of_each_recording(recording.ids, events)
            lanes = Lanes.of(recording, found, colours_of(events.label.tolist()), start, end)
        rate = min(scene.fps, DEFAULT_RATE) if pictures is None else pictures
        if not RATES[0] <= rate <= RATES[1]:
            raise ValueError(f"pictures per second must be {RATES[0]:g} to {RATES[1]:g}, got {rate}")
        frames = np.arange(0, scene.frames, scene.fps / rate).round().astype(int).clip(max=scene.frames - 1)
        size = (
            f"{scene.frames / scene.fps:.0f} s at {rate:g} pictures per second are {len(frames)} pictures, about "
            f"{_duration(_SECONDS_PER_PICTURE * len(frames) * len(scene.poses))} of work"
        )
        advice = "give a range in seconds, for example start=0 and end=20, or fewer pictures per second"
        if len(frames) > MOST_PICTURES and start is None and end is None:
            raise ValueError(f"{size}; more than {MOST_PICTURES} need a range: {advice}")
        if len(frames) > _LONG:
            warn(f"{size}; to draw less, {advice}")
        return cls(scene, frames, rate, lanes)

    def render(self, which: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yields the pictures of some frames, by default of all: (H, W, 3) uint8."""
        figure, show = self.figure()
        for frame in self.frames if which is None else which:
            show(frame)
            figure.canvas.draw()
            yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]

    def figure(self) -> tuple[Any, Any]:
        """A figure, and a function that shows a frame in it."""
        scene, lanes = self.scene, self.lanes
        if lanes is None:
            strip, (figure, axes) = 0.0, scene.figure()
        else:
            strip = _LANE * len(lanes.names) + _LABELS + _MARGIN
            figure, axes = scene.figure(footer=strip, narrowest=_NARROWEST)
        clock = figure.text(0.5, strip / figure.get_figheight() + 0.02, "", ha="center", va="bottom", color="#777777")
        show_events = None if lanes is None else _lanes_below(figure, lanes)
        shown: list[Any] = []

        def show(frame: int) -> list[Any]:
            while shown:
                shown.pop().remove()
            shown.extend(scene.paint(axes, frame))
            clock.set_text(f"{scene.time(frame):.1f} s")
            if show_events is not None:
                show_events(scene.time(frame))
            return shown

        return figure, show


def _lanes_below(figure: Figure, lanes: Lanes) -> Callable[[float], None]:
    """Draws lanes at the bottom of a figure; returns a function that shows a time on them and the labels then."""
    wide, high = figure.get_size_inches()
    tall = _LANE * len(lanes.names)
    axes = figure.add_axes((_MARGIN / wide, _MARGIN / high, 1 - 2 * _MARGIN / wide, tall / high))
    lanes.paint(axes)
    axes.set_xticks([])
    look = {"ha": "center", "va": "center", "color": "#222222", "weight": "bold", "parse_math": False}
    running = figure.text(0.5, (_MARGIN + tall + _LABELS / 2) / high, "", **look)
    cursor = axes.axvline(lanes.start, color="#222222", lw=1.5, zorder=3)

    def show(seconds: float) -> None:
        running.set_text(lanes.at(seconds))
        cursor.set_xdata([seconds] * 2)

    return show


def animate(
    poses: Any,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    view: float = 30.0,
    fps: float | None = None,
    pictures: float | None = None,
    start: float | None = None,
    end: float | None = None,
    placement: str = "auto",
    events: Events | None = None,
) -> FuncAnimation:
    """Draws one clip as an animation of matplotlib, at its original speed.

    Examples:
        >>> IPython.display.HTML(animate(clip, end=5).to_jshtml())

    Args:
        poses: One clip, as `embed` takes it.
        skeleton: The joints of an array.
        view: Camera angle in degrees, as in `draw`.
        fps: Frames per second of the clip, if it has none.
        pictures: Pictures per second; by default those of the clip, at most 25.
        start: Start time in seconds.
        end: End time in seconds.
        placement: As in `draw`.
        events: Events of the clip: below the skeleton are their labels while they last, and a lane for each label.

    Raises:
        ValueError: as `draw`, and without a range for more than 3000 pictures; for events of another clip.
        ModuleNotFoundError: without matplotlib.
    """
    film = Film.of(poses, skeleton, view, fps, pictures, start, end, placement, events)
    figure, show = film.figure()
    from matplotlib.animation import FuncAnimation

    return FuncAnimation(figure, show, frames=film.frames, interval=1000 / film.rate, cache_frame_data=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
