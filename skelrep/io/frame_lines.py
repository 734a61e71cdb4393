"""Frames as lines of JSON, read while they are recorded, for `skelrep predict HEAD -`.

A line is a frame in any form that JSON files may have: {"time": 0.033, "people": [{"id": "ann", "keypoints": [[x, y,
z],
...]}]}, OpenPose's people, or a single person. Lines with the same time or frame number are one frame.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from skelrep.io.any_json import ANY, recognises
from skelrep.io.json_files import rate_of, recordings_in, when
from skelrep.io.key_names import key_of
from skelrep.io.people import Person
from skelrep.io.tables.json_rows import table_in
from skelrep.io.timeline import timeline
from skelrep.messages import one_line

_TO_KNOW_THE_RATE = 30  # frames that determine the unit of times and the rate


class FrameLine(NamedTuple):
    """The content of a line.

    Attributes:
        people: The persons in the frame.
        joints: The name of their skeleton, joint names, or None.
        number: Frame number, or None.
        time: Time in any unit, or None.
        unit: Seconds per unit of the time, or None if its name does not state it.
        fps: The rate that the line states, or None.
    """

    people: list[Person]
    joints: Any
    number: float | None
    time: float | None
    unit: float | None
    fps: float | None


class LiveFrames(NamedTuple):
    """Frames that are still arriving.

    Attributes:
        fps: Their rate.
        joints: The skeleton of the first frame with a person: its name, joint names, or None.
        frames: Seconds since the first frame, and the persons.
    """

    fps: float
    joints: Any
    frames: Iterator[tuple[float, list[Person]]]


def live_frames(lines: Iterable[str], fps: float | None = None, source: str = "standard input") -> LiveFrames:
    """The frames of lines that are read one by one, after the first 30 have determined their rate.

    Args:
        lines: One frame each; empty lines are ignored.
        fps: Frames per second, if the lines have neither times nor the rate, or state it incorrectly.
        source: The source of the lines, for messages.

    Raises:
        ValueError: for a line that is not a frame, with its number; if the rate is unknown; if a line lacks the time or
            number that the first one has. Errors of later lines are raised when their frame is requested.
    """
    coming = _parsed(lines, source)
    first = list(itertools.islice(coming, _TO_KNOW_THE_RATE))
    if not first:
        raise ValueError(f"{source} contains no frames")
    joints = next((frame.joints for _, frame in first if frame.people), None)
    rate, seconds_of = _clock([frame for _, frame in first], fps, source)

    def timed() -> Iterator[tuple[float, list[Person]]]:
        for count, (line, frame) in enumerate(itertools.chain(first, coming)):
            seconds = seconds_of(count, frame)
            if seconds is None:
                raise ValueError(f"{source}, line {line}: the frame lacks the time or number that the first line has")
            yield seconds, frame.people

    return LiveFrames(rate, joints, timed())


def _parsed(lines: Iterable[str], source: str) -> Iterator[tuple[int, FrameLine]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, _frame(json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError(f"{source}, line {number}: not a frame as JSON ({one_line(error)})") from error


def _frame(content: Any) -> FrameLine:
    about = content if isinstance(content, Mapping) else {}
    numbers, times, unit = when([about])
    said = (None if numbers is None else numbers[0], None if times is None else times[0], unit, rate_of(about))
    whole = next((one for one in ([content], content) if table_in(one) is None and recognises(one)), None)
    if whole is None:
        if key_of(about, "people") is not None or said[0] is not None or said[1] is not None:
            return FrameLine([], None, *said)  # nobody is seen
        raise ValueError("expected an object with persons and their keypoints")
    found = recordings_in(ANY, whole, "the line")
    if len(found) != 1 or len(found[0].frames) > 1:
        raise ValueError(f"expected one frame, got {sum(len(recording.frames) for recording in found)}")
    return FrameLine(found[0].frames[0] if found[0].frames else [], found[0].joints, *said)


def _clock(
    first: list[FrameLine], fps: float | None, source: str
) -> tuple[float, Callable[[int, FrameLine], float | None]]:
    """The rate, and a function from the index of a frame and the frame to its time in seconds, None if it has none."""
    stated = fps or next((frame.fps for frame in first if frame.fps), None)
    times = [frame.time for frame in first if frame.time is not None]
    if len(times) == len(first):
        start, found = times[0], timeline(times=times, unit=first[0].unit)
        lasting = max(times) - min(times)
        per = float(found.position[-1]) / found.fps / lasting if found.fps and lasting else first[0].unit or 1.0
        if rate := stated or found.fps:
            return rate, lambda _, frame: None if frame.time is None else (frame.time - start) * per
    if not stated:
        raise ValueError(f"{source} does not state its frame rate; give each frame a time, or pass fps=")
    numbers = [frame.number for frame in first if frame.number is not None]
    if len(numbers) == len(first):
        return stated, lambda _, frame: None if frame.number is None else (frame.number - numbers[0]) / stated
    return stated, lambda count, _: count / stated
