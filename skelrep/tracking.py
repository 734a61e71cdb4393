"""Identity over time, for recordings that list the persons of each frame.

`identify` keeps the ids of a tracker while they are consistent, and otherwise matches persons from frame to frame. All
formats that list persons per frame use this rule.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.memory_budget import bounded

# Lengths are relative to a body: the diagonal of the box around a person's joints.
# A detection that is closer than a third of a body is probably the same person.
_SAME_BODY = 0.33
_MOST_IN_TURN = 6  # largest number of persons that are distinguished in a list of poses without times
# Nobody moves by more than a body length from one frame to the next (10 m/s at 6 frames per second). A person who was
# not seen for some frames may have moved further, but beyond three lengths it is more likely another person.
_REACH, _REACH_PER_ABSENT_FRAME, _FURTHEST = 1.0, 0.25, 3.0
# An id has changed persons if it moves by more than a fifth of a body in one frame (10 m/s at 30 frames per second) and
# then is closer to the previous position of another person than this fraction of the distance that it moved.
_JUMP, _LANDING = 0.2, 0.3
# Mean change of a body's shape (its joints relative to their middle) from one frame to the next, and in an absence.
_SHAPE, _SHAPE_PER_ABSENT_FRAME = 0.2, 0.05
_SCALE = 1.8  # nobody becomes larger or smaller by this factor from one frame to the next
_NEW = 0.2  # weight of the last step in a velocity, small because detections are noisy
_PREDICTED_FRAMES = 5  # positions are extrapolated for at most this many frames
_BLOCK = 2**18  # coordinates that are compared at a time
_NUMBERS_OF_A_PAIR = 3  # float32 numbers per pair: two distances and a cost of 8 bytes each, and booleans, with copies


class Tracks(NamedTuple):
    """Persons over time.

    Attributes:
        persons: For each frame, the index of the person (0..M-1) of each of its detections; no index occurs twice in
            a frame.
        ids: M names: the tracker's ids, or "0", "1" ... where there are none.
        note: What was decided because ids are missing or inconsistent, for a warning; None if nothing was.
    """

    persons: list[list[int]]
    ids: list[str]
    note: str | None


def plain_id(value: Any) -> str | None:
    """An id of any type as text: 1, 1.0, "1", "1.0", [1] and [[1.0]] are "1"; None, -1, NaN and [] are None."""
    while isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, (bool, Mapping, list, tuple)):
        return None
    text = str(value).strip()
    if text.lower() in ("", "none", "null", "nan", "unknown"):
        return None
    whole = re.fullmatch(r"([+-]?\d{1,30})(\.0*)?", text)
    number = str(int(whole[1])) if whole else text
    return None if number == "-1" else number


def identify(
    ids: Sequence[Sequence[Any]],
    poses: Sequence[Sequence[np.ndarray] | np.ndarray],
    at: Sequence[float] | np.ndarray | None = None,
) -> Tracks:
    """Assigns the detections in the frames of one recording to persons.

    The ids of a tracker are kept if they are consistent: every detection has one, none occurs twice in a frame, they
    last for more than one frame, and none jumps from one person to another. Otherwise persons are matched from frame to
    frame by position and shape: the assignment with the smallest total distance, where the distance is that of the
    joints from their expected positions plus the change of shape, in body lengths. A person may be absent for some
    frames.

    Args:
        ids: For each of T frames, the ids of its detections, of any type; None for a detection without an id.
        poses: For each frame, as many arrays (V, C), NaN where a joint was not seen.
        at: (T,) times of the frames, in frames; by default 0, 1, 2 ...

    Returns:
        The persons in the order of their first appearance.

    Raises:
        ValueError: if a frame has different numbers of ids and poses.
    """
    named = [[plain_id(one) for one in frame] for frame in ids]
    if [len(frame) for frame in named] != [len(frame) for frame in poses]:
        raise ValueError("every detection needs one id (or None) and one pose")
    when = np.arange(len(named), dtype=float) if at is None else np.asarray(at, dtype=float)
    most = max(map(len, named), default=0)
    known = {name for frame in named for name in frame if name is not None}
    if most <= 1 and not known:
        return Tracks([[0] * len(frame) for frame in named], ["0"] if most else [], None)
    detections = _Detections.of(named, poses, when)
    doubted, reasons = _doubts(named, detections)
    trusted = [[name if name not in doubted and frame.count(name) == 1 else None for name in frame] for frame in named]
    if not reasons:
        return _numbered(trusted, None)
    if sum(bool(frame) for frame in named) == 1:  # a single frame shows persons, not time
        return _numbered([[name or i for i, name in enumerate(frame)] for frame in trusted], None)
    if most <= 1 and all(name is None for frame in trusted for name in frame):
        return Tracks([[0] * len(frame) for frame in named], ["0"], None)
    matched = _joined(_matched(trusted, detections), named, doubted.get)
    reason = f"{'; '.join(reasons)}: persons are matched from frame to frame by position and shape"
    return _numbered(matched, reason)


def taking_turns(poses: Sequence[np.ndarray] | np.ndarray) -> int | None:
    """The number of persons who alternate in a list of poses (V, C) without times; 1 for one person in every frame.

    With the right number, poses that are that many entries apart are within a third of a body of each other. None if no
    number fits, as for the persons of one picture.
    """
    if len(poses) < 2:
        return None
    detections = _one_per_frame(poses)
    rows = np.arange(len(poses))
    for several in range(1, min(_MOST_IN_TURN, len(poses) // 3) + 1) if len(poses) > 2 else (1,):
        apart = _apart(detections, rows[:-several], rows[several:])
        if np.median(apart) < _SAME_BODY and apart.max() < 2 * _SAME_BODY:
            return several
    return None


def are_crowded(poses: Sequence[np.ndarray] | np.ndarray) -> bool:
    """Whether most poses (V, C) overlap others in the list, unlike different persons in one picture."""
    if len(poses) < 4:
        return False
    detections = _one_per_frame(poses)
    rows = np.arange(len(poses))
    near = np.zeros(len(poses), dtype=bool)
    for step in range(1, min(_MOST_IN_TURN, len(poses) - 1) + 1):
        same = _apart(detections, rows[:-step], rows[step:]) < _SAME_BODY
        near[:-step] |= same
        near[step:] |= same
    return bool(near.mean() > 0.5)


def jumping(poses: Sequence[np.ndarray] | np.ndarray) -> float:
    """The fraction of poses (V, C) that are more than a body length away from the previous one."""
    if len(poses) < 3:
        return 0.0
    rows = np.arange(len(poses))
    return float((_apart(_one_per_frame(poses), rows[:-1], rows[1:]) > 1).mean())


def turns(persons: Sequence[str]) -> list[int]:
    """The frame, 0, 1 ..., of rows that name a person but no frame.

    Either all rows of one person follow those of another, or the persons of a frame follow each other, so a person who
    occurs again begins the next frame.
    """
    blocks = sum(before != after for before, after in zip(persons, persons[1:])) + 1
    if blocks == len(set(persons)):
        seen: dict[str, int] = defaultdict(int)
        frames = []
        for person in persons:
            frames.append(seen[person])
            seen[person] += 1
        return frames
    frame, present, frames = 0, set(), []
    for person in persons:
        if person in present:
            frame, present = frame + 1, set()
        present.add(person)
        frames.append(frame)
    return frames


def _one_per_frame(poses: Sequence[np.ndarray] | np.ndarray) -> _Detections:
    return _Detections.of([[None]] * len(poses), [[pose] for pose in poses], np.arange(len(poses)))


class _Detections(NamedTuple):
    """All detections of a recording, one after the other."""

    frame: np.ndarray  # (D,) index of the frame
    bounds: np.ndarray  # (T + 1,) where each frame begins
    when: np.ndarray  # (T,) time in frames
    poses: np.ndarray  # (D, V, C)
    size: np.ndarray  # (D,) body lengths

    @classmethod
    def of(cls, ids: Sequence[Sequence[Any]], poses: Sequence[Any], when: np.ndarray) -> _Detections:
        counts = [len(frame) for frame in ids]
        bodies = np.stack([np.asarray(body, dtype=np.float64) for frame in poses for body in frame])
        missing = np.isnan(bodies)
        extent = np.where(missing, -np.inf, bodies).max(axis=1) - np.where(missing, np.inf, bodies).min(axis=1)
        size = np.linalg.norm(extent.clip(min=0), axis=-1)
        # If only a head is seen, its length is small; at least half the usual length counts, so that it may move.
        size = np.maximum(size, 0.5 * np.median(size)).clip(min=1e-9)
        return cls(np.repeat(np.arange(len(counts)), counts), np.cumsum([0, *counts]), when, bodies, size)


def _doubts(named: list[list[str | None]], detections: _Detections) -> tuple[dict[str, bool], list[str]]:
    """The ids that are inconsistent, each with whether its parts may be joined again, and the reasons."""
    frames_of = Counter(name for frame in named for name in set(frame) if name is not None)
    several = [frame for frame in named if len(frame) > 1]
    total, without = len(detections.frame), sum(name is None for frame in named for name in frame)
    if not frames_of:
        return {}, ["no tracker ids"]
    if max(frames_of.values()) == 1 and sum(bool(frame) for frame in named) > 1:
        return dict.fromkeys(frames_of, False), ["every id occurs in one frame only"]
    doubted: dict[str, bool] = {}
    reasons = [f"{without} of {total} detections have no tracker id"] if without else []
    twice = Counter(name for frame in several for name in set(frame) if name is not None and frame.count(name) > 1)
    if twice:
        together = Counter(name for frame in several for name in set(frame) if name in twice)
        doubted |= {name: False for name in twice if twice[name] > together[name] / 2}
        reasons.append(f"{_names(twice)} more than once in a frame")
    jumping = _jumping(named, detections, {*twice})
    if jumping:
        doubted |= dict.fromkeys(jumping, True)
        reasons.append(f"{_names(jumping)} from one person to another")
    return doubted, reasons


def _names(ids: Any) -> str:
    verb = ("occurs" if isinstance(ids, Counter) else "jumps", "occur" if isinstance(ids, Counter) else "jump")
    shown = ", ".join(map(repr, sorted(ids)[:5])) + (" and others" if len(ids) > 5 else "")
    return f"id {shown} {verb[0]}" if len(ids) == 1 else f"ids {shown} {verb[1]}"


def _jumping(named: list[list[str | None]], detections: _Detections, skip: set[str]) -> set[str]:
    """Ids that continue, from one frame to the next, at the position of another person instead of their own."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(name for frame in named for name in frame):
        if name is not None and name not in skip:
            rows_of[name].append(row)
    order = np.array([row for rows in rows_of.values() for row in rows], dtype=int)
    owner = np.repeat(np.arange(len(rows_of)), [len(rows) for rows in rows_of.values()])
    if len(order) < 2 or len(rows_of) < 2:
        return set()
    before, after = order[:-1], order[1:]
    neighbours = (owner[:-1] == owner[1:]) & (detections.frame[after] - detections.frame[before] == 1)
    before, after, owner = before[neighbours], after[neighbours], owner[:-1][neighbours]
    moved = _apart(detections, before, after)
    jumps = [(int(a), int(b), who, far) for a, b, who, far in zip(before, after, owner, moved) if far > _JUMP]
    lasting = set(after[moved <= _JUMP].tolist())
    continued = {int(a): int(b) for a, b in zip(before, after)}
    names, found = list(rows_of), set()
    for a, b, who, far in jumps:
        earlier = np.arange(*detections.bounds[detections.frame[a] : detections.frame[a] + 2])
        # A person who is still near their previous position has not been replaced.
        others = [row for row in earlier if row != a and continued.get(int(row)) not in lasting]
        if others and _apart(detections, others, [b]).min() < _LANDING * far:
            found.add(names[who])
    return found


def _apart(detections: _Detections, some: Any, others: Any) -> np.ndarray:
    """Distances of detections from others, one by one or all from a single one, in body lengths."""
    bodies, size = detections.poses, detections.size
    return _distances(bodies[some], size[some], bodies[others], size[others])


def _compared(
    bodies: np.ndarray, sizes: np.ndarray, others: np.ndarray, other_sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, L) distances of K poses (K, V, C) from L others, distances of their shapes, and whether sizes are similar.

    Computed for a few of the K at a time, so that a crowd does not fill the memory.
    """
    step = max(1, _BLOCK // others.size)
    found = []
    for begin in range(0, len(bodies), step):
        some, size = bodies[begin : begin + step, None], sizes[begin : begin + step, None]
        apart, shape = _distances(some, size, others, other_sizes), _shape_apart(some, size, others, other_sizes)
        found.append((apart, shape, _same_scale(some, others)))
    apart, shape, alike = zip(*found)
    return np.concatenate(apart), np.concatenate(shape), np.concatenate(alike)


def _distances(bodies: np.ndarray, sizes: np.ndarray, others: np.ndarray, other_sizes: np.ndarray) -> np.ndarray:
    """(...) distances of poses (..., V, C), in body lengths.

    The mean over the joints that are seen in both; the distance of their middles if they share none.
    """
    joints = np.linalg.norm(bodies - others, axis=-1)
    both = ~np.isnan(joints)
    shared = both.sum(axis=-1)
    mean = np.where(both, joints, 0).sum(axis=-1) / np.maximum(shared, 1)
    if not shared.all():
        mean = np.where(shared > 0, mean, np.linalg.norm(_middle(bodies) - _middle(others), axis=-1))
    return mean / np.maximum(sizes, other_sizes)


def _shape_apart(bodies: np.ndarray, sizes: np.ndarray, others: np.ndarray, other_sizes: np.ndarray) -> np.ndarray:
    """(...) distances of poses (..., V, C), aligned by the joints that are seen in both, in body lengths."""
    offset = bodies - others
    both = ~np.isnan(offset)
    shared = np.maximum(both.sum(axis=-2, keepdims=True), 1)
    offset = np.where(both, offset, 0)
    residual = np.where(both, offset - offset.sum(axis=-2, keepdims=True) / shared, 0)
    return np.linalg.norm(residual, axis=-1).sum(axis=-1) / shared[..., 0, 0] / np.maximum(sizes, other_sizes)


def _same_scale(bodies: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(...) whether two poses (..., V, C) have about the same size, by the joints that are seen in both."""
    both = ~np.isnan(bodies - others)
    shared = np.maximum(both.sum(axis=-2, keepdims=True), 1)

    def extent(poses: np.ndarray) -> np.ndarray:
        points = np.where(both, poses, 0)
        apart = np.where(both, points - points.sum(axis=-2, keepdims=True) / shared, 0)
        return np.square(apart).sum(axis=(-1, -2))

    one, other = extent(bodies), extent(others)
    return np.minimum(one, other) * _SCALE**2 >= np.maximum(one, other)


def _middle(bodies: np.ndarray) -> np.ndarray:
    """(..., C) means of the seen joints of (..., V, C); far away if nothing is seen, so that it matches nobody."""
    seen = ~np.isnan(bodies)
    count = seen.sum(axis=-2)
    return np.where(count > 0, np.where(seen, bodies, 0).sum(axis=-2) / np.maximum(count, 1), 1e30)


def _matched(trusted: list[list[str | None]], detections: _Detections) -> list[list[Any]]:
    """A key for each detection: its trusted id, or an integer if it was only matched."""
    from scipy.optimize import linear_sum_assignment  # a part of scikit-learn, slow to import

    tracks: list[list[int]] = []  # for each frame the track of each detection
    keys: list[Any] = []  # of each track
    track_of: dict[str, int] = {}
    _, joints, channels = detections.poses.shape
    last, speed = np.empty((0, joints, channels)), np.empty((0, channels))
    size, when, most = np.empty(0), np.empty(0), 0
    for t, frame in enumerate(trusted):
        rows = np.arange(detections.bounds[t], detections.bounds[t + 1])
        bodies, lengths, now = detections.poses[rows], detections.size[rows], detections.when[t]
        found = [-1 if name is None else track_of.get(name, -1) for name in frame]
        free = np.array([k for k in range(len(keys)) if k not in found], dtype=int)
        open_ = np.array([i for i, k in enumerate(found) if k < 0], dtype=int)
        if len(free) and len(open_):
            absent = now - when[free]
            ahead = np.where(absent <= _PREDICTED_FRAMES, absent, 0)[:, None] * speed[free]
            expected = last[free] + ahead[:, None]
            if (pairs := len(free) * len(open_)) > most:  # freed after each frame: the largest counts
                bounded(pairs - most, _NUMBERS_OF_A_PAIR)
                most = pairs
            apart, shape, alike = _compared(expected, size[free], bodies[open_], lengths[open_])
            reach = np.minimum(_REACH + _REACH_PER_ABSENT_FRAME * (absent - 1), _FURTHEST)[:, None]
            alike &= shape <= np.minimum(_SHAPE + _SHAPE_PER_ABSENT_FRAME * (absent - 1), 2 * _SHAPE)[:, None]
            # A new id of a tracker may belong to a person without an id, but not to one who has another id.
            named = np.array([[isinstance(keys[k], str) and frame[i] is not None for i in open_] for k in free])
            # All assignments beyond the reach cost the same, and more than all assignments within it together.
            cost = np.where((apart <= reach) & alike & ~named, apart + shape, 1e3)
            for k, i in zip(*linear_sum_assignment(cost)):
                if cost[k, i] < 1e3:
                    found[open_[i]] = int(free[k])
        new = [i for i, k in enumerate(found) if k < 0]
        for i in new:
            found[i] = len(keys)
            keys.append(found[i])
        for k, name in zip(found, frame):
            if name is not None:
                keys[k], track_of[name] = name, k
        if new:
            last, size = np.concatenate([last, bodies[new]]), np.concatenate([size, lengths[new]])
            speed = np.concatenate([speed, np.zeros((len(new), channels))])
            when = np.concatenate([when, np.full(len(new), now)])
        if found:
            gap = np.maximum(now - when[found], 1)[:, None]
            # From the joints that are seen in both: the middle of a body jumps if a hand or a foot is not seen.
            both = np.asarray(~np.isnan(bodies - last[found]))
            step = np.where(both, bodies - last[found], 0).sum(axis=1) / np.maximum(both.sum(axis=1), 1) / gap
            moved = np.asarray((when[found] < now) & both.any(axis=(1, 2)))[:, None]
            speed[found] = np.where(moved, (1 - _NEW) * speed[found] + _NEW * step, speed[found])
            last[found] = np.where(np.isnan(bodies), last[found] + speed[found][:, None] * gap[:, None], bodies)
            size[found], when[found] = lengths, now
        tracks.append(found)
    return [[keys[k] for k in found] for found in tracks]


def _joined(keys: list[list[Any]], named: list[list[str | None]], belongs: Any) -> list[list[Any]]:
    """Gives matched tracks the id that most of their detections have, and joins tracks with one id that never overlap.

    Thus the ids of a tracker that sometimes swaps persons still identify a person after an absence.
    """
    votes: dict[Any, Counter] = defaultdict(Counter)
    frames_of: dict[Any, set[int]] = defaultdict(set)
    for t, (frame, given) in enumerate(zip(keys, named)):
        for key, name in zip(frame, given):
            frames_of[key].add(t)
            if name is not None and (belongs(name) or key == name):
                votes[key][name] += 1
    final: dict[Any, Any] = {}
    taken: dict[Any, set[int]] = {key: frames for key, frames in frames_of.items() if isinstance(key, str)}
    for key in sorted(frames_of, key=lambda key: -len(frames_of[key])):
        name = key if isinstance(key, str) else next((name for name, _ in votes[key].most_common(1)), None)
        if name is None or (name != key and taken.get(name, set()) & frames_of[key]):
            final[key] = key
            continue
        final[key] = name
        taken[name] = taken.get(name, set()) | frames_of[key]
    return [[final[key] for key in frame] for frame in keys]


def _numbered(keys: Sequence[Sequence[Any]], note: str | None) -> Tracks:
    """Persons in the order of their first appearance."""
    order = {key: i for i, key in enumerate(dict.fromkeys(key for frame in keys for key in frame))}
    with_ids = any(isinstance(key, str) for key in order)
    new = iter(range(len(order)))
    ids = [key if isinstance(key, str) else f"untracked-{next(new)}" if with_ids else f"{next(new)}" for key in order]
    return Tracks([[order[key] for key in frame] for frame in keys], ids, note)
