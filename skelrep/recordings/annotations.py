"""Labelled clips from recordings with annotated events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skelrep.io.embeddings import Embeddings
from skelrep.messages import nearest, warn
from skelrep.poses import Poses
from skelrep.recordings.events import Event, Events
from skelrep.recordings.segments import BACKGROUND

_BLOCKS = 20  # of a recording: enough for five folds with parts from all over it


def annotated(poses: Poses, events: Events, window: float | None = None, stride: float | None = None) -> Poses:
    """The clips of annotated events, with their labels.

    Args:
        poses: Recordings, with fps.
        events: Annotations; their `clip` is an id of the recordings, or "" if there is only one recording.
        window: Length in seconds of the windows that the recordings are cut into. A window has the label of the event
            that contains its middle, or "none". If several events do, the one whose middle is nearest is used, with a
            warning. By default each event is one clip.
        stride: Seconds from one window to the next; by default a quarter of the window.

    Returns:
        Clips with labels and the columns `source`, `start` and `end` in `info`, as from `Poses.windows`.

    Raises:
        ValueError: without fps or events, or for an event of an unknown recording or outside of its recording.

    Examples:
        >>> clips = annotated(recordings, Events.load("annotations.csv"))
    """
    if poses.fps is None:
        raise ValueError("events are in seconds, so the poses need fps; pass fps=")
    if not len(events):
        raise ValueError("there are no events to take labels from")
    recording = _positions(poses.ids, events)
    if window is None:
        return Poses.concatenate([_clip(poses[at], event) for at, event in zip(recording, events)])
    stride = window / 4 if stride is None else stride
    parts = []
    for at in np.unique(recording):  # a recording without events may just not be annotated
        windows = poses[int(at)].windows(window, stride)
        parts.append(replace(windows, labels=_labels(windows, events[recording == at])))
    return Poses.concatenate(parts)


def groups_of(clips: Poses | Embeddings) -> tuple[str, np.ndarray] | None:
    """What cross-validation keeps together by default, and its name: subjects, recordings, or blocks of time.

    Blocks are of one recording: a twentieth of it, but at least twice as long as a clip, so that its held-out figures
    are of another time. They are no figures for other people or other recordings. If a class occurs in one block alone,
    all of the recording is one group, with a warning, so that nothing is held out: a classifier that never saw a class
    would be calibrated on it. None for clips without such columns.
    """
    info = clips.info
    if "subject" in info:
        return "subject", info["subject"]
    if "source" not in info:
        return None
    if len(np.unique(info["source"])) > 1 or not {"start", "end"} <= info.keys():
        return "source", info["source"]
    start, end = np.asarray(info["start"], dtype=float), np.asarray(info["end"], dtype=float)
    middle = (start + end) / 2 - start.min()
    block = max((end.max() - start.min()) / _BLOCKS, 2 * float(np.median(end - start)))
    groups = (middle // block).astype(int)
    if clips.labels is not None:
        once = [label for label in np.unique(clips.labels) if np.ptp(groups[clips.labels == label]) == 0]
        if once:
            warn(
                f"{', '.join(map(str, once[:3]))}{', ...' * (len(once) > 3)} occurs only once in the only recording "
                f"(within {block:g} s), so that nothing can be held out; annotate more of it, or another recording"
            )
            groups = np.zeros_like(groups)
    return "blocks of time", groups


def of_each_recording(names: Sequence[str], events: Events) -> list[Events]:
    """The events of each recording, by its name; a warning counts those of other recordings, which are left out.

    Raises:
        ValueError: if all events are of other recordings.
    """
    known = np.isin(events.clip, [*names, ""] if len(names) == 1 else names)
    if not known.any():
        known[:] = True  # refused, with the names
    if left_out := int((~known).sum()):
        other = sorted(set(events.clip[~known].tolist()))
        shown = ", ".join(map(repr, other[:3])) + (", ..." if len(other) > 3 else "")
        warn(f"{left_out} of {len(events)} events are of other recordings ({shown}) and are left out")
    recording = _positions(names, events[known])
    return [events[known][recording == at] for at in range(len(names))]


def label_at(seconds: np.ndarray, events: Events) -> np.ndarray:
    """The label of the event at each time, (n,); of several events, of the one whose own middle is nearest.

    Args:
        seconds: (n,) times in a recording.
        events: Events of this recording; one without times lasts as long as the recording.

    Returns:
        Labels, "none" where there is no event.
    """
    if not len(events):
        return np.full(len(seconds), BACKGROUND)
    start, end = events.start[:, None], events.end[:, None]
    whole = np.isnan(start)
    inside = whole | (start <= seconds) & (seconds < end)  # (K, n)
    distance = np.where(whole, np.finfo(float).max, np.abs((start + end) / 2 - seconds))
    distance = np.where(inside, distance, np.inf)
    return np.where(inside.any(axis=0), events.label[distance.argmin(axis=0)], BACKGROUND)


def _positions(names: Sequence[str], events: Events) -> np.ndarray:
    """The recording of each event, (K,)."""
    position = {name: i for i, name in enumerate(names)}
    if len(names) == 1:
        position[""] = 0
    if unknown := sorted(set(events.clip.tolist()) - position.keys()):
        raise ValueError(
            f"there are events of {unknown[0]!r}, but no such recording{nearest(unknown[0], names)} (recordings: "
            f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        )
    return np.array([position[name] for name in events.clip.tolist()])


def _clip(recording: Poses, event: Event) -> Poses:
    """The frames of an event, with only its person if it names one."""
    assert recording.fps is not None
    [clip], [name] = recording.clips, recording.ids
    first, last = round(event.start * recording.fps), round(event.end * recording.fps)
    if not 0 <= first < last or first >= clip.shape[1]:
        raise ValueError(
            f"the event {event.label!r} of {name!r} is from {event.start:g} to {event.end:g} s, but the recording from "
            f"0 to {clip.shape[1] / recording.fps:g} s; an event needs at least one frame"
        )
    persons = slice(None)
    if event.person:
        known = recording.person_names(0)
        if event.person not in known:
            raise ValueError(f"nobody in {name!r} is called {event.person!r} (persons: {', '.join(known)})")
        persons = slice(known.index(event.person), known.index(event.person) + 1)
    info = {"source": name, "start": event.start, "end": event.end}
    return replace(
        recording,
        clips=[clip[persons, first:last]],
        ids=[f"{name}@{event.start:.2f}-{event.end:.2f}"],
        labels=np.array([event.label]),
        scores=None if recording.scores is None else [recording.scores[0][persons, first:last]],
        info=recording.info | {key: np.array([value]) for key, value in info.items()},
        person_ids=None if recording.person_ids is None else [recording.person_ids[0][persons]],
    )


def _labels(windows: Poses, events: Events) -> np.ndarray:
    """The label of each window of a recording: of the event at its middle, or of the nearest of several such events."""
    middles = (windows.info["start"] + windows.info["end"]) / 2
    inside = (events.start[:, None] <= middles) & (middles < events.end[:, None])  # (K, windows)
    if several := sum(len(np.unique(events.label[of_window])) > 1 for of_window in inside.T):
        warn(
            f"{several} of {len(windows)} windows of {events.clip[0]!r} have their middles in events with different "
            "labels; each takes the event whose own middle is nearest"
        )
    return label_at(middles, events)
