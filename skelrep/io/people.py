"""Recordings that list the persons of each frame, and their conversion to clips: time, identity, scores, skeleton.

Every reader of such a format creates `Recording`s; `poses_of` does the rest for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.channels import third_channel
from skelrep.io.coarse_times import frames_of_rows, spread
from skelrep.io.reader import ReadOptions
from skelrep.io.timeline import Timeline, timeline
from skelrep.memory_budget import bounded
from skelrep.messages import warn
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeleton_guess import skeleton_of
from skelrep.skeletons import Skeleton
from skelrep.tracking import identify, plain_id

#: Skeletons of pose estimators by their number of 2-D keypoints. 17 joints in 3-D may also be Human3.6M's.
ESTIMATORS = {
    15: "openpose-15",
    17: "coco-17",
    18: "openpose-18",
    25: "openpose-25",
    26: "halpe-26",
    33: "mediapipe-33",
    133: "coco-wholebody-133",
    136: "halpe-136",
}


class Person(NamedTuple):
    """One person in one frame.

    Attributes:
        track: The id from a tracker, of any type, or None.
        points: (V, C) coordinates, NaN where not seen.
        scores: (V,) confidence of each joint, or None.
    """

    track: Any
    points: np.ndarray
    scores: np.ndarray | None = None


class Recording(NamedTuple):
    """The persons of each frame of one recording, as a file lists them.

    Attributes:
        frames: Persons by frame; frames with the same number or time are merged.
        joints: The skeleton's name, its joint names, or None to decide by the number of joints.
        numbers: Frame numbers, or None.
        times: Times, or None.
        unit: Seconds per unit of `times`, or None if the format does not fix it.
        fps: Frames per second for consecutive frame numbers, or None.
        name: The name of the recording in the file, if the file contains several.
        label: Its class, or None.
        note: What was decided if the file is ambiguous, for a warning, or None.
        info: Further columns.
    """

    frames: list[list[Person]]
    joints: Any = None
    numbers: Sequence[float] | None = None
    times: Sequence[float] | None = None
    unit: float | None = None
    fps: float | None = None
    name: str = ""
    label: Any = None
    note: str | None = None
    info: dict[str, Any] = {}


def poses_of(recordings: Sequence[Recording], source: str, stem: str, options: ReadOptions) -> Poses:
    """One clip for each recording.

    Args:
        recordings: The recordings of a file.
        source: The file, for messages.
        stem: The id of a single clip, and the beginning of the ids of several.
        options: `skeleton` overrides the skeletons of the recordings.

    Returns:
        Clips (M, T, V, C), persons in the order of their first appearance.

    Raises:
        ValueError: if nobody is seen, or persons differ in their number of joints.
    """
    clips, scores, rates, ids, kept, notes = [], [], [], [], [], []
    skeleton: Skeleton | None = None
    for recording in recordings:
        present = [[person for person in frame if _is_seen(person)] for frame in recording.frames]
        if not any(present):
            if len(recordings) == 1:
                raise ValueError(f"nobody is seen in any of its {len(present)} frames")
            notes.append(f"{recording.name} shows nobody and is left out")
            continue
        clip, score, time, persons, found = _assembled(recording._replace(frames=present))
        joints = _joints(recording.joints, clip) if options.skeleton is None else options.skeleton
        table = skeleton_of(joints, [clip])
        if skeleton is not None and table.joints != skeleton.joints:
            raise ValueError(
                f"{recording.name} has the joints of {table.name!r}, but another recording those of {skeleton.name!r}"
            )
        skeleton = table
        notes += [f"{recording.name}: {note}" if recording.name and len(recordings) > 1 else note for note in found]
        clips.append(clip)
        scores.append(score)
        rates.append(time.fps)
        ids.append(persons)
        kept.append(recording)
    if skeleton is None:
        raise ValueError(f"nobody is seen in any of its {len(recordings)} recordings")
    for note in list(dict.fromkeys(notes))[:3]:
        warn(f"{source}: {note}")
    if len(set(notes)) > 3:
        warn(f"{source}: and {len(set(notes)) - 3} similar remarks about other recordings in it")
    names = [recording.name for recording in kept]
    known = [rate for rate in rates if rate is not None]
    one_rate = len(known) == len(rates) and max(known) - min(known) <= 0.02 * min(known)
    if known and not one_rate:
        warn(
            f"{source} contains recordings of {min(known):.4g} to {max(known):.4g} frames per second"
            f"{' and of unknown rates' if len(known) < len(rates) else ''}; poses have a single frame rate, so none is "
            "kept: split the file, or pass fps="
        )
    labels = [recording.label for recording in kept]
    columns = set.intersection(*({*recording.info} for recording in kept))
    return Poses(
        clips,
        skeleton,
        [stem] if len(kept) == 1 else [f"{stem}/{name}" for name in names],
        labels=None if any(label is None for label in labels) else np.array(labels),
        fps=float(np.median(known)) if one_rate else None,
        scores=None if any(score is None for score in scores) else scores,
        info={column: np.array([recording.info[column] for recording in kept]) for column in sorted(columns)},
        person_ids=[tuple(persons) for persons in ids],
    )


def people_by_moment(people: list[Person]) -> tuple[list[list[Person]], str | None]:
    """The frames of poses that a file lists without frame numbers, and a note for a warning.

    Raises:
        ValueError: if they are not persons in one picture, and their frames cannot be determined.
    """
    if len(people) < 2 or len({person.points.shape for person in people}) > 1:
        return [people], None
    ids = [plain_id(person.track) for person in people]
    known = [name for name in ids if name is not None]
    if known and (len(set(known)) == len(known) or None in ids):
        return [people], None
    frame = frames_of_rows(ids if known else None, [shown(person) for person in people])
    if frame is None:
        return [people], None
    frames: list[list[Person]] = [[] for _ in range(int(frame.max()) + 1)]
    for at, person in zip(frame, people):
        frames[at].append(person)
    if max(map(len, frames)) == 1:
        who = "one person" if known else "one person, who moves little"
    else:
        who = f"{max(map(len, frames))} persons"
    return frames, f"its {len(people)} poses without frame numbers are interpreted as {len(frames)} frames of {who}"


def in_joint_order(
    frames: list[list[tuple[Person, list[str] | None]]], listed: list[str] | None
) -> tuple[list[list[Person]], list[str] | None]:
    """Persons with their joints in the same order, by name; a joint that a person lacks is NaN.

    Args:
        frames: Persons by frame, each with the names of its joints or None.
        listed: The names that the file lists for all of them, or None.

    Returns:
        The persons, and the names of their joints, or None.
    """
    called = dict.fromkeys(name for frame in frames for _, names in frame for name in names or ())
    if not called:
        return [[person for person, _ in frame] for frame in frames], listed
    order = listed if listed is not None and called.keys() <= {*listed} else list(called)
    index = {name: i for i, name in enumerate(order)}
    bounded(sum(map(len, frames)), len(order), 3)

    def ordered(person: Person, names: list[str] | None) -> Person:
        if names is None or names == order:
            return person
        at = [index[name] for name in names]
        points = np.full((len(order), person.points.shape[1]), np.nan, dtype=np.float32)
        points[at] = person.points
        if person.scores is None:
            return person._replace(points=points)
        scores = np.zeros(len(order), dtype=np.float32)
        scores[at] = person.scores
        return person._replace(points=points, scores=scores)

    return [[ordered(person, names) for person, names in frame] for frame in frames], order


def numbers_as_array(values: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Numbers as a float32 array; None among them is NaN.

    Raises:
        ValueError: if they are not finite numbers, or have another shape.
    """
    try:
        with np.errstate(over="ignore"):  # values that overflow are rejected below
            array = np.array(values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        array = None
    if array is None or np.isinf(array).any() or (shape is not None and array.shape != shape):
        raise ValueError(f"got {str(values)[:60]} where {'' if shape is None else f'{shape} '}numbers are expected")
    return array


def scored(flat: Any, width: int, track: Any) -> Person | None:
    """A person from [x, y, score, ...], flat or joint by joint; None for an empty list.

    Args:
        flat: The numbers.
        width: Numbers per joint, the last of which is a score.
        track: The tracker's id, or None.

    Raises:
        ValueError: if their number is not a multiple of `width`.
    """
    rows = numbers_as_array(flat)
    if not rows.size:
        return None
    if rows.size % width:
        raise ValueError(f"keypoints of {rows.size} numbers; expected {width} for each joint, the last of them a score")
    rows = rows.reshape(-1, width)
    return Person(track, rows[:, :-1].copy(), rows[:, -1])


def _is_seen(person: Person) -> bool:
    return bool((~np.isnan(shown(person)).any(axis=-1)).any())


def _joints(joints: Any, clip: np.ndarray) -> Any:
    if joints is not None or clip.shape[3] == 3:
        return joints
    return ESTIMATORS.get(clip.shape[2])


def _assembled(recording: Recording) -> tuple[np.ndarray, np.ndarray | None, Timeline, list[str], list[str]]:
    """The clip (M, T, V, C), scores (M, T, V) or None, the time, the ids of the persons, and notes."""
    people = [person for frame in recording.frames for person in frame]
    shapes = {person.points.shape for person in people}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"people have keypoints of several shapes: {', '.join(map(str, sorted(shapes)[:5]))}")
    has_scores = all(person.scores is not None for person in people)
    if people[0].points.shape[1] == 3:
        third = third_channel(np.stack([person.points for person in people]))
        if third == "score" and not has_scores:
            planar = [[Person(p.track, p.points[:, :2], p.points[:, 2]) for p in frame] for frame in recording.frames]
            return _assembled(recording._replace(frames=planar))
        if third == "flat":
            planar = [[p._replace(points=p.points[:, :2]) for p in frame] for frame in recording.frames]
            note = recording.note or "z is the same everywhere: poses are treated as 2-D"
            return _assembled(recording._replace(frames=planar, note=note))
    if recording.numbers is None and recording.times is None:
        count = len(recording.frames)
        time = Timeline(np.arange(count), np.arange(count, dtype=float), recording.fps, None)
    else:
        times, note = recording.times, None
        if recording.numbers is None and times is not None:
            times, note = _spread(recording.frames, times)
        time = timeline(frames=recording.numbers, times=times, unit=recording.unit, fps=recording.fps or None)
        time = time if note is None else time._replace(note=note)
    moments: list[list[Person]] = [[] for _ in time.position]
    for moment, frame in zip(time.moment, recording.frames):
        moments[moment] += frame
    points = [[shown(person) for person in frame] for frame in moments]
    tracks = identify([[person.track for person in frame] for frame in moments], points, time.position)
    shape = (len(tracks.ids), len(moments), *people[0].points.shape)
    bounded(*shape)
    clip = np.full(shape, np.nan, dtype=np.float32)
    scores = np.zeros(shape[:3], dtype=np.float32) if has_scores else None
    for t, (frame, slots) in enumerate(zip(moments, tracks.persons)):
        for slot, person, seen in zip(slots, frame, points[t]):
            clip[slot, t] = seen
            if scores is not None:
                scores[slot, t] = person.scores
    clip = absent_as_nan(time.on_grid(clip, axis=1))
    if scores is not None:
        scores = np.nan_to_num(time.on_grid(scores, axis=1))
    notes = (recording.note, tracks.note, time.note)
    return clip, scores, time, tracks.ids, [note for note in notes if note]


def _spread(frames: list[list[Person]], times: Sequence[float]) -> tuple[Sequence[float], str | None]:
    """Times in which frames with the same time are spread out, and a note if there were such frames."""
    at = np.array([time for frame, time in zip(frames, times) for _ in frame or [None]])
    if len(at) == len(times) and all(frames):  # one person each: those with the same time may be in one frame
        people = [person for frame in frames for person in frame]
        ids = [plain_id(person.track) for person in people]
        found = spread(at, ids if any(ids) else None, [shown(person) for person in people])
    else:
        found = spread(np.asarray(times, dtype=float), None, None)
    return (times, None) if found is None else (found[0].tolist(), found[1])


def shown(person: Person) -> np.ndarray:
    """The points, NaN where the score is zero."""
    if person.scores is None:
        return person.points
    return np.where((person.scores == 0)[:, None], np.float32(np.nan), person.points)
