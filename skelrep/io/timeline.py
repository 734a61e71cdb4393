"""The time of poses that a file lists row by row: it follows from frame numbers and timestamps, not from row numbers.

`timeline` puts the recorded moments on a grid of constant rate, with gaps where nothing was recorded; its `on_grid`
brings arrays onto the grid. `frame_numbers` reads the numbers in the names of files of one frame each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.key_names import PRESENTATION
from skelrep.memory_budget import bounded

# Plausible frames per second. Units are factors of 1000 apart and the range is narrower than that, so the period alone
# distinguishes seconds, milliseconds, microseconds and nanoseconds.
SLOWEST, FASTEST = 2.0, 1000.0
_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_TICKS = 1e-7  # of .NET, as in Kinect's times: a tenth of a microsecond, so the rate does not distinguish the two
# Times since 1970 (s, ms, us, ns), and ticks since 1601 or the year 1, for recordings of 2001 to 2096. The ranges do
# not overlap, so a time identifies its unit.
_EPOCHS = ((1e9, 4e9, 1.0), (1e12, 4e12, 1e-3), (1e15, 4e15, 1e-6), (1.2e17, 7e17, _TICKS), (9e17, 4e18, 1e-9))
_CAMERAS = (10, 12, 12.5, 15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 90, 100, 119.88, 120, 240)
# A unit stated by a name is ignored if it gives a rate outside this range.
_SLOWEST_NAMED, _FASTEST_NAMED = 0.02, 4000.0
# If the unit was determined from the rate, a rate outside this range causes a warning.
_SLOWEST_USUAL, _FASTEST_USUAL = 5.0, 250.0
# A frame number beyond this is a timestamp (seconds since 1970 and finer units): 1e9 frames are a year at 30 frames per
# second.
_TIMESTAMP = 1e9
# Neighbouring times may deviate by this fraction of a period and still be on a regular grid (camera jitter).
_JITTER = 0.3
# If fewer than one frame in this many exist, the rows are not a recording.
_FEWEST_GIVEN = 1000
# Numbers with smaller steps, such as 1, 2, 1, count frames.
_SHORTEST_STEP = 8
# Times that fit no grid are interpolated, but not across a pause longer than this many periods.
_PAUSE = 3.5
# Nanoseconds since 1970 are 1e18; differences of larger numbers do not fit into 64 bits.
_LATEST = 4e18


class Timeline(NamedTuple):
    """The times of the rows of a recording.

    Attributes:
        moment: (R,) index of each row's recorded moment, 0..K-1 in order of time; rows with the same time share one.
        position: (K,) float64, the time of each moment in frames since the first; whole numbers if a grid fits.
        fps: Frames per second of the grid, or None if unknown.
        note: What a user should know about the decision, for a warning, or None.
    """

    moment: np.ndarray
    position: np.ndarray
    fps: float | None
    note: str | None

    @property
    def frames(self) -> int:
        """Frames of the grid, T."""
        return int(math.floor(self.position[-1] + 1e-6)) + 1 if len(self.position) else 0

    @property
    def resampled(self) -> bool:
        """Whether moments lie between frames, so that `on_grid` interpolates."""
        return bool((self.position != np.round(self.position)).any())

    def on_grid(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Brings values at the K moments onto the T frames of the grid.

        Args:
            values: Floating-point array with K entries along `axis`, NaN where something is missing.
            axis: The axis of time.

        Returns:
            The same with T entries along `axis`: NaN at frames that were not recorded, and linear interpolation if the
            rate varies.

        Raises:
            ValueError: if the grid would need more than a gigabyte, or hardly any of its frames were recorded.
        """
        values = np.moveaxis(np.asarray(values), axis, 0)
        if len(values) != len(self.position):
            raise ValueError(f"got {len(values)} moments, expected {len(self.position)}")
        if self.frames > _FEWEST_GIVEN * (len(values) + 100):
            raise ValueError(
                f"its frame numbers or times span {self.frames} frames, of which only {len(values)} exist: one of them "
                "may be wrong, or these are several recordings"
            )
        bounded(self.frames, *values.shape[1:])
        placed = np.full((self.frames, *values.shape[1:]), np.nan, dtype=values.dtype)
        if not self.resampled:
            placed[np.round(self.position).astype(int)] = values
            return np.moveaxis(placed, 0, axis)
        grid = np.arange(self.frames)
        after = np.searchsorted(self.position, grid, side="left").clip(1, len(self.position) - 1)
        before = after - 1
        span = self.position[after] - self.position[before]
        weight = ((grid - self.position[before]) / span).clip(0, 1)
        weight = weight.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
        between = values[before] * (1 - weight) + values[after] * weight
        near = np.where(weight < 0.5, values[before], values[after])
        between = np.where(np.isnan(between) & (np.abs(weight - 0.5) > 0.5 - 1e-6), near, between)  # at a moment
        recorded = span <= _PAUSE
        on_moment = np.minimum(grid - self.position[before], self.position[after] - grid) < 0.5
        placed[recorded] = between[recorded]
        placed[~recorded & on_moment] = near[~recorded & on_moment]
        return np.moveaxis(placed, 0, axis)


def timeline(
    *,
    frames: Sequence[float] | np.ndarray | None = None,
    times: Sequence[float] | np.ndarray | None = None,
    unit: float | None = None,
    fps: float | None = None,
) -> Timeline:
    """The time of rows, from their frame numbers, their times, or both.

    Args:
        frames: (R,) frame numbers; rows of one frame (several persons) repeat it. Numbers beyond 1e9 are taken for
            timestamps.
        times: (R,) times in seconds, or in another unit, which is recognised by the resulting rate.
        unit: Seconds per unit of `times` if known, for example from `skelrep.io.key_names.unit_of`.
        fps: The rate that the file states for consecutive frame numbers.

    Returns:
        The grid. The rate is that of neighbouring moments (the median), never that of the whole recording divided by
        its rows. If the times fit no grid (a variable rate), `position` is fractional and a note says so. If every
        frame number is a multiple of the same step, that step is one frame.

    Raises:
        ValueError: if neither is given, or a number is NaN or infinite.
    """
    if frames is not None:
        frames = _finite(frames, "frame number")
        if times is None and len(frames) and np.abs(frames).min() >= _TIMESTAMP:
            frames, times = None, frames
    if times is not None:
        times = _finite(times, "time")
    if frames is None and times is None:
        raise ValueError("a timeline needs frame numbers or times")
    if frames is None:
        return _from_times(times, unit)  # type: ignore[arg-type]
    if (frames != np.round(frames)).any():
        return _from_times(frames, unit) if times is None else _from_times(times, unit)
    numbers, first, moment = np.unique(frames, return_index=True, return_inverse=True)
    if times is None and _are_times(numbers):
        found = _from_times(frames, unit)
        step = f"its frame numbers step by {np.diff(numbers).min():g} to {np.diff(numbers).max():g}"
        return found._replace(note="; ".join(filter(None, [f"{step} and are interpreted as times", found.note])))
    gaps = np.diff(numbers).astype(np.int64)
    step = int(np.gcd.reduce(gaps)) if len(gaps) else 1
    position = (numbers - numbers[0]) / step if len(numbers) else numbers
    if times is None or len(numbers) < 2:
        return Timeline(moment, position, fps / step if fps else None, None)
    at = times[first]
    if (np.diff(at) <= 0).any():  # a column of times that does not increase with the frames is ignored
        return Timeline(moment, position, fps / step if fps else None, None)
    period = _period(np.diff(at) / np.diff(position))
    if _disagree(at / period, position):
        found = _from_times(times, unit)
        return found._replace(note=found.note or "frame numbers and times disagree; times are used")
    seconds, note = _seconds(at, period, unit)
    return Timeline(moment, position, _snapped(at, position, seconds / period) if seconds else fps and fps / step, note)


def as_seconds(values: Sequence[Any]) -> np.ndarray:
    """Times as numbers: numbers are kept, "01:02:03.5" and ISO dates become seconds.

    Raises:
        ValueError: if one is neither.
    """
    seconds = []
    for value in values:
        try:
            seconds.append(float(value))
            continue
        except (TypeError, ValueError):
            text = str(value).strip()
        clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)", text)
        if clock:
            hours, minutes, rest = clock.groups()
            seconds.append(3600 * int(hours or 0) + 60 * int(minutes) + float(rest.replace(",", ".")))
            continue
        try:
            seconds.append(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
        except ValueError:
            raise ValueError(f"{text!r} is not a time; expected seconds, h:m:s or an ISO date") from None
    return np.array(seconds, dtype=np.float64)


#: A number in a name; nanoseconds since 1970 have 19 digits, and what has more is no time or frame.
_NUMBER = r"(?<!\d)(\d{1,19})(?!\d)"


def frame_numbers(names: Sequence[str]) -> tuple[list[str], list[int | None]]:
    """The recording and the frame number in the names of files of one frame each.

    The frame is the last number in the name that differs between files which are otherwise alike; the rest is the
    recording: "cam01_000000" to "cam01_000011" are frames 0 to 11 of "cam01".

    Args:
        names: Names of files without their suffixes.

    Returns:
        For each name the recording, and the frame number, or None if the name contains no number.
    """
    parts = [re.split(_NUMBER, re.sub(r"_(keypoints|pose|skeleton|landmarks|results?)$", "", name)) for name in names]
    alike: dict[tuple[str, ...], list[int]] = {}
    for row, words in enumerate(parts):
        alike.setdefault(tuple(words[::2]), []).append(row)
    recordings: list[str] = [""] * len(names)
    numbers: list[int | None] = [None] * len(names)
    for rows in alike.values():
        digits = list(zip(*(parts[row][1::2] for row in rows)))
        varying = [index for index, column in enumerate(digits) if len(set(map(int, column))) > 1]
        frame = varying[-1] if varying else len(digits) - 1
        for row in rows:
            words = list(parts[row])
            if varying or (digits and not words[-1]):  # in a single name, only a number at the end counts
                numbers[row] = int(words[2 * frame + 1])
                words[2 * frame + 1] = ""
            recordings[row] = re.sub(r"(?<=[\W_])[\W_]+", "", "".join(words)).strip("_-. ")
    return recordings, numbers


def _are_times(numbers: np.ndarray) -> bool:
    """Whether whole numbers increase like milliseconds (33, 34, 33), rather than by a number of frames."""
    gaps = np.diff(numbers)
    if len(gaps) < 4:
        return False
    typical = np.median(gaps)
    uneven = np.gcd.reduce(gaps.astype(np.int64)) < typical / 4 and (gaps == typical).mean() < 0.8
    return bool(typical >= _SHORTEST_STEP and uneven and (np.abs(gaps - typical) <= 0.2 * typical).mean() >= 0.8)


def _finite(values: Any, what: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if wrong := np.flatnonzero(~(np.abs(array) <= _LATEST)).tolist():
        raise ValueError(f"row {wrong[0]} has no finite {what}, but {array[wrong[0]]:g}")
    return array


def _from_times(times: np.ndarray, unit: float | None) -> Timeline:
    moments, moment = np.unique(times, return_inverse=True)
    gaps = np.diff(moments)
    if not len(gaps):
        return Timeline(moment, np.zeros(len(moments)), None, None)
    if math.isinf(float(moments[-1] - moments[0]) / float(gaps.min())):
        raise ValueError(f"its times are {gaps.min():g} to {gaps.max():g} apart: one of them may be wrong")
    # The median is not the period if more frames were dropped than kept; then a shorter period fits.
    for period in (_period(gaps), _period(gaps, 0.1)):
        steps = gaps / period
        whole = np.maximum(np.round(steps), 1)
        if (np.abs(steps - whole) > _JITTER).mean() <= 0.05:
            # Each gap is rounded separately, so that errors of a period with few digits do not add up.
            position = np.concatenate([[0.0], np.cumsum(whole)])
            seconds, note = _seconds(moments, period, unit)
            return Timeline(moment, position, _snapped(moments, position, seconds / period) if seconds else None, note)
    period = _period(gaps)
    seconds, guessed = _seconds(moments, period, unit)
    fps = rate(seconds) if seconds else None
    note = (
        f"its times vary (neighbours are {gaps.min():g} to {gaps.max():g} apart, {period:g} on average); poses are "
        f"resampled to {f'{fps:.4g} frames per second' if fps else f'one frame every {period:g}'}"
        + (f"; {guessed}" if guessed else "")
    )
    return Timeline(moment, (moments - moments[0]) / period, fps, note)


def _period(gaps: np.ndarray, quantile: float = 0.5) -> float:
    """The time between neighbours: a quantile, refined by the mean of the gaps close to it.

    The mean is more accurate than the quantile if times have few digits (0.033, 0.067, 0.1).
    """
    typical = float(np.quantile(gaps, quantile))
    return float(gaps[np.abs(gaps - typical) <= _JITTER * typical].mean())


def _seconds(times: np.ndarray, period: float, unit: float | None) -> tuple[float | None, str | None]:
    """The period in seconds, and a note if the unit was guessed; None if no unit gives a plausible rate.

    The unit follows from a name or from the time since an epoch, or else from the rate. Whole numbers one or two apart
    count frames rather than milliseconds.
    """
    note = None
    if unit is not None:
        if _is_believed(1 / (period * unit), unit):
            return period * unit, None
        note = f"its times are not in the unit that their name states: neighbours would be {period * unit:.3g} s apart"
    since = next((found for low, high, found in _EPOCHS if low <= times[0] <= times[-1] <= high), None)
    if since is not None and _SLOWEST_NAMED <= 1 / (period * since) <= _FASTEST_NAMED:
        return period * since, note
    if period <= 2 and bool((times == np.round(times)).all()):
        return None, note
    rates = {name: 1 / (period * factor) for name, factor in _UNITS.items()}
    name = next((name for name, fps in rates.items() if SLOWEST <= fps < FASTEST), None)
    fps = None if name is None else rates[name]
    in_ticks = 1 / (period * _TICKS)
    slow = fps is None or (name == "microseconds" and fps < _SLOWEST_USUAL * 2)
    if slow and _is_of_camera(in_ticks):
        name, fps = "ticks of 100 ns", in_ticks
    if fps is None:
        return None, note
    if name != "seconds" and (name not in _UNITS or not _SLOWEST_USUAL <= fps <= _FASTEST_USUAL):
        note = (
            f"its times are interpreted as {name}, which gives {fps:.4g} frames per second: pass fps= if the rate is "
            "different"
        )
    elif note:
        note += f"; they are interpreted as {name}"
    return 1 / fps, note


def _is_believed(fps: float, unit: float) -> bool:
    """Whether a unit stated by a name gives a possible rate; presentation times have other units in some files."""
    return _is_of_camera(fps) if unit == PRESENTATION else _SLOWEST_NAMED <= fps <= _FASTEST_NAMED


def _is_of_camera(fps: float) -> bool:
    return min(abs(fps - camera) / camera for camera in _CAMERAS) < 0.01


def _snapped(times: np.ndarray, position: np.ndarray, unit: float) -> float | None:
    """Frames per second from times on a grid; a whole number if the precision and jitter of the times allow it."""
    gaps, frames = np.diff(times), np.diff(position)
    near = frames < 10  # the frames in a long pause are themselves an estimate
    if not near.any():
        near[:] = True
    gaps, frames = gaps[near], frames[near]
    span = gaps.sum()
    fps = float(frames.sum() / (span * unit))
    digit = next((10.0**-d for d in range(7) if np.allclose(times * 10**d, np.round(times * 10**d), atol=1e-4)), 0.0)
    error = max(1e-4, digit / span, min(3 * (gaps / frames).std() / span, 0.005))
    return float(round(fps)) if round(fps) and abs(fps - round(fps)) < fps * error else fps


def _disagree(times: np.ndarray, position: np.ndarray) -> bool:
    """Whether times (in periods) and frame numbers differ: by a pause that the numbers do not have, or by a drift."""
    excess = np.diff(times) - np.diff(position)
    drift = np.concatenate([[0.0], np.cumsum(excess)])
    drift -= np.polyval(np.polyfit(position, drift, 1), position) if len(drift) > 2 else 0.0
    return bool((excess > _PAUSE).any() or drift.std() > 1.5)


def rate(seconds: float) -> float | None:
    """Frames per second from the period in seconds; 0.0333333 is 30 written with too few digits."""
    if not np.isfinite(seconds) or seconds <= 0 or not np.isfinite(fps := 1 / seconds):
        return None
    return float(round(fps)) if abs(fps - round(fps)) < 1e-4 * fps else fps
