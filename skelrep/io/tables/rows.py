"""Converts the rows of a table to clips, by the clip, person and time of each row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.coarse_times import combined, rows_in_turn, spread
from skelrep.io.key_names import unit_of
from skelrep.io.row_groups import recordings_of
from skelrep.io.tables.columns import SCORE, Columns
from skelrep.io.timeline import Timeline, as_seconds, frame_numbers, timeline
from skelrep.memory_budget import bounded
from skelrep.messages import one_line, warn
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeleton_guess import skeleton_of
from skelrep.skeletons import Skeleton
from skelrep.tracking import identify, turns

# Names of columns with several possible meanings, for which a warning reports the chosen one.
_UNSURE = {
    "id",
    "idx",
    "name",
    "index",
    "source",
    "target",
    "take",
    "view",
    "type",
    "t",
    "part",
    "point",
    "body",
    "pid",
}


class Rows(NamedTuple):
    """A table in memory.

    Attributes:
        columns: The meanings of its columns.
        numbers: (R, P) float32, the columns `columns.picked`.
        texts: The columns of `columns.keys` as text; columns that distinguish recordings are combined as "clip".
        names: The names of the columns of `columns.keys` that are used, for messages and for units of time.
        fps: The rate that the file states.
        several: As in `recordings_of`, where these are some of the file's rows.
    """

    columns: Columns
    numbers: np.ndarray
    texts: dict[str, list[str]]
    names: dict[str, str]
    fps: float | None = None
    several: tuple[str, ...] = ()


def clips_of(path: Path, rows: Rows, skeleton: Any) -> Poses:
    """Clips (M, T, V, C): one for each recording, with its persons in the order of their first appearance.

    Raises:
        ValueError: if a frame or time is not a number, or rows cannot be distinguished.
    """
    _warn_of_guesses(path, rows)
    for remark in rows.columns.remarks():
        warn(f"{path}: {remark}")
    if rows.columns.long:
        rows, names = _wide(path, rows)
    else:
        names = rows.columns.joints
    kinds = rows.columns.kinds
    people = len(rows.columns.tracks)
    cells = rows.numbers.reshape(len(rows.numbers), people, len(names), len(kinds))
    recordings, ids, remarks = recordings_of(rows.texts, rows.names, path.stem, len(rows.numbers), rows.several)
    for remark in remarks:
        warn(f"{path}: {remark}")
    clips, scores, rates, info, persons = [], [], [], defaultdict(list), []
    notes: dict[str, int] = {}
    for picked in recordings:
        clip, track_names, line, note = _clip(path, rows, cells[picked], picked)
        if note:
            notes[note] = notes.get(note, 0) + 1
        scores.append(np.nan_to_num(clip[..., -1]) if SCORE in kinds else None)
        clips.append(clip[..., : len(kinds) - (SCORE in kinds)])
        rates.append(line.fps if line is not None else rows.fps)
        persons.append(_names_of(track_names, rows.texts, picked))
        for key in ("subject", "camera"):
            if key in rows.texts:
                info[key].append(rows.texts[key][picked[0]])
    for note, count in notes.items():
        warn(f"{path}: {note}" + (f" (and {count - 1} more of its recordings)" if count > 1 else ""))
    clips = [_seen(clip, score) for clip, score in zip(clips, scores)]
    if rows.columns.unit is not None and rows.columns.unit != 1:
        clips = [clip * np.float32(rows.columns.unit) for clip in clips]
    labels = None
    if "label" in rows.texts:
        labels = _numbers_or_texts([rows.texts["label"][picked[0]] for picked in recordings])
    return Poses(
        clips,
        _skeleton(skeleton, names, clips),
        ids,
        labels,
        _one_rate(path, rates),
        None if scores[0] is None else scores,
        {key: _numbers_or_texts(column) for key, column in info.items()},
        person_ids=persons if people > 1 or ("person" in rows.texts and not _is_unnamed(rows)) else None,
    )


def _names_of(persons: list[str], texts: dict[str, list[str]], picked: np.ndarray) -> tuple[str | None, ...]:
    """The names of the persons of a clip, which skelrep's own tables contain in addition to their numbers."""
    if "person_name" not in texts:
        return tuple(persons)
    called = {texts["person"][row]: texts["person_name"][row] or None for row in picked}
    return tuple(called.get(person) for person in persons)


def _is_unnamed(rows: Rows) -> bool:
    """Whether the table is skelrep's own and its persons have numbers but no names."""
    return _is_own(rows) and "person_name" not in rows.texts and "frame" in rows.texts


def _warn_of_guesses(path: Path, rows: Rows) -> None:
    if any(name.strip().lower() in _UNSURE for name in rows.names.values()):
        taken = ", ".join(f"{name!r} for the {key}" for key, name in rows.names.items() if key != "row")
        warn(f"{path}: columns are interpreted by their names: {taken}; rename those that mean something else")


def _seen(clip: np.ndarray, score: np.ndarray | None) -> np.ndarray:
    """The clip with NaN where a joint was not seen: at zeros, and at scores of zero if other scores are higher."""
    clip = absent_as_nan(clip)
    if score is not None and score.any():
        clip = np.where((score == 0)[..., None], np.float32(np.nan), clip)
    return clip


def _skeleton(skeleton: Any, names: list[str], clips: list[np.ndarray]) -> Skeleton:
    if skeleton is None and not all(name.isdecimal() for name in names):
        skeleton = names
    return skeleton_of(skeleton, clips)


def _one_rate(path: Path, rates: Sequence[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    if not known:
        return None
    middle = float(np.median(known))
    if max(known) - min(known) > 0.02 * middle:
        warn(
            f"{path} contains recordings of {min(known):.4g} to {max(known):.4g} frames per second; one set of poses "
            "has one rate, so that none is kept: split the file, or pass fps="
        )
        return None
    return middle


def _numbers_or_texts(texts: list[str]) -> np.ndarray:
    return np.array(texts, dtype=int if all(re.fullmatch(r"-?\d{1,18}", text) for text in texts) else str)


# -- one recording ----------------------------------------------------------------------------------------------------


def _clip(
    path: Path, rows: Rows, cells: np.ndarray, picked: np.ndarray
) -> tuple[np.ndarray, list[str], Timeline | None, str | None]:
    """One clip (M, T, V, kinds) of rows (R, tracks, V, kinds), the names of its persons, its time, and a note."""
    texts = {key: [column[i] for i in picked] for key, column in rows.texts.items()}
    note = repeated = None
    several = cells.shape[1] > 1  # persons in separate columns
    shown = None if several else cells[:, 0, :, : sum(kind != SCORE for kind in rows.columns.kinds)]
    line, coarse = _time(path, rows, texts, shown)
    if line is not None:
        moment = line.moment
    elif shown is None or "person" not in texts:
        moment, coarse = (np.arange(len(picked)), None) if shown is None else rows_in_turn(shown)
    else:
        moment = np.array(turns(texts["person"]))
    moments = int(moment.max()) + 1
    if several:
        names = list(rows.columns.tracks)
        row_of, person = np.repeat(np.arange(len(picked)), len(names)), np.tile(np.arange(len(names)), len(picked))
        bodies = cells.reshape(-1, *cells.shape[2:])
        moment = moment[row_of]
        _refuse_doubles(path, moment, person, rows)
    else:
        bodies = cells[:, 0]
        kept = _first_of_each(moment, texts.get("person"), bodies)
        if len(kept) < len(moment):
            repeated = f"{len(moment) - len(kept)} rows repeat another one and are left out"
            moment, bodies = moment[kept], bodies[kept]
            texts = {key: [column[i] for i in kept] for key, column in texts.items()}
        person, names, note = _persons(moment, texts.get("person"), bodies, line, _is_own(rows))
    bounded(len(names), moments, *bodies.shape[1:])
    placed = np.full((len(names), moments, *bodies.shape[1:]), np.nan, dtype=np.float32)
    placed[person, moment] = bodies
    if line is not None:
        placed = line.on_grid(placed, axis=1)
    notes = [repeated, coarse, note, None if line is None else line.note]
    return placed, names, line, "; ".join(part for part in notes if part) or None


def _first_of_each(moment: np.ndarray, persons: list[str] | None, bodies: np.ndarray) -> np.ndarray:
    """The rows without exact repetitions of an earlier row (the same moment, person and coordinates)."""
    if persons is None and len(np.unique(moment)) == len(moment):
        return np.arange(len(moment))
    seen: set[Any] = set()
    kept = []
    for i, body in enumerate(bodies):
        key = moment[i], persons and persons[i], body.tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(i)
    return np.array(kept)


def _time(
    path: Path, rows: Rows, texts: dict[str, list[str]], poses: np.ndarray | None
) -> tuple[Timeline | None, str | None]:
    """The time of the rows (None if the table has neither frames nor times), and a note on times that frames share.

    `poses` (R, V, C) are those of one person in each row; None if each row is a frame by itself.
    """
    frames = times = note = None
    if "frame" in texts:
        frames = _frame_numbers(path, rows, texts["frame"])
    unit = unit_of(rows.names.get("time", ""))
    try:
        if "time" in texts and not all(text in ("", "nan", "NaN", "None") for text in texts["time"]):
            times = as_seconds(texts["time"])
            if "fraction" in texts and (seconds := combined(texts["time"], texts["fraction"], 1e-9)) is not None:
                times, unit = seconds, 1.0
            if frames is None and (found := spread(times, texts.get("person"), poses)) is not None:
                times, note = found
        elif "row" in texts and frames is None:  # the row numbers of a data frame, whose rows may be a selection
            numbers = np.array(texts["row"], dtype=float)
            turns_taken = poses is not None and "person" not in texts and (rows_in_turn(poses)[0] == 0).sum() > 1
            whole = (np.diff(numbers) > 0).all() and (numbers == np.round(numbers)).all()
            frames = numbers if whole and not turns_taken else None
        if frames is None and times is None:
            return None, None
        return timeline(frames=frames, times=times, unit=unit, fps=rows.fps), note
    except ValueError as error:
        raise ValueError(f"{path} has a frame or time that is not a number ({one_line(error)})") from None


def _frame_numbers(path: Path, rows: Rows, texts: list[str]) -> np.ndarray:
    """Frame numbers, or those in the names of pictures ("img_000012.png")."""
    try:
        return np.array(texts, dtype=float)
    except ValueError:
        pass
    _, found = frame_numbers([Path(text).stem for text in texts])
    if any(number is None for number in found):
        text = next(text for text, number in zip(texts, found) if number is None)
        raise ValueError(f"{path} has a frame or time that is not a number: {text!r} in {rows.names['frame']!r}")
    return np.array(found, dtype=float)


def _persons(
    moment: np.ndarray, ids: list[str] | None, bodies: np.ndarray, line: Timeline | None, trusted: bool
) -> tuple[np.ndarray, list[str], str | None]:
    """The person of each row, the persons' names, and a note if persons were matched."""
    once = len(np.unique(moment)) == len(moment)
    if ids is None and once:
        return np.zeros(len(moment), dtype=int), ["0"], None
    if ids is not None:
        known = {name: i for i, name in enumerate(dict.fromkeys(ids))}
        person = np.array([known[name] for name in ids])
        clear = len(np.unique(person * (moment.max() + 1) + moment)) == len(moment)
        if clear and (trusted or len(known) == 1):
            return person, list(known), None
    else:
        ids = [""] * len(moment)
    order = np.argsort(moment, kind="stable")
    counts = np.bincount(moment)
    bounds = np.cumsum(counts)[:-1]
    tracks = identify(
        [[ids[i] or None for i in part] for part in np.split(order, bounds)],
        list(np.split(bodies[order][..., : 2 if bodies.shape[-1] == 2 else 3], bounds)),
        None if line is None else line.position.tolist(),
    )
    person = np.empty(len(moment), dtype=int)
    person[order] = [one for frame in tracks.persons for one in frame]
    return person, tracks.ids, tracks.note


def _is_own(rows: Rows) -> bool:
    """Whether the table has the columns that `write_table` writes, in which persons are already distinguished."""
    return rows.names.get("clip") == "clip" and rows.names.get("person") == "person"


def _refuse_doubles(path: Path, moment: np.ndarray, person: np.ndarray, rows: Rows) -> None:
    if len(np.unique(person * (moment.max() + 1) + moment)) < len(moment):
        raise ValueError(
            f"{path} has two rows with the same {rows.names.get('frame', rows.names.get('time'))!r}; add a column "
            "'clip' that distinguishes the recordings"
        )


# -- tables with one row per joint ---------------------------------------------------------------------------------


def _wide(path: Path, rows: Rows) -> tuple[Rows, list[str]]:
    """Converts a table with one row per joint to one row per person and frame; also returns the names of the joints."""
    rows = _bodies_only(rows)
    called = rows.texts["joint"]
    names = list(dict.fromkeys(called))
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    column = {name: i for i, name in enumerate(names)}
    order = [key for key in ("clip", "subject", "camera", "person", "frame", "time") if key in rows.texts]
    has_time = "frame" in rows.texts or "time" in rows.texts
    belongs = list(zip(*(rows.texts[key] for key in order))) if order else [()] * len(called)
    row_of: dict[tuple[Any, int], int] = {}
    first: list[int] = []
    where = np.empty(len(called), dtype=int)
    turn: dict[Any, int] = defaultdict(int)
    met: dict[Any, set[str]] = defaultdict(set)
    for i, (key, name) in enumerate(zip(belongs, called)):
        if has_time:  # the same joint twice in a frame belongs to another person
            slot = key, turn[key, name]
            turn[key, name] += 1
        else:  # the same joint again belongs to the next frame
            if name in met[key]:
                turn[key] += 1
                met[key] = set()
            met[key].add(name)
            slot = key, turn[key]
        if slot not in row_of:
            row_of[slot] = len(first)
            first.append(i)
        where[i] = row_of[slot]
    kinds = len(rows.columns.kinds)
    bounded(len(first), len(names), kinds)
    numbers = np.full((len(first), len(names), kinds), np.nan, dtype=np.float32)
    numbers[where, [column[name] for name in called]] = rows.numbers
    texts = {key: [texts[i] for i in first] for key, texts in rows.texts.items() if key not in ("joint", "group")}
    return rows._replace(numbers=numbers.reshape(len(first), -1), texts=texts), names


def _bodies_only(rows: Rows) -> Rows:
    """Drops the rows of faces and hands if a column states that others are of a body ("type": "pose", "face")."""
    groups = rows.texts.get("group")
    if groups is None:
        return rows
    bodies = [group for group in set(groups) if re.search(r"body|pose", group, re.IGNORECASE)]
    others = [group for group in set(groups) if re.search(r"face|hand", group, re.IGNORECASE) and group not in bodies]
    if not bodies or not others:
        return rows
    keep = [i for i, group in enumerate(groups) if group in bodies]
    texts = {key: [column[i] for i in keep] for key, column in rows.texts.items()}
    return rows._replace(numbers=rows.numbers[keep], texts=texts)
