"""Groups rows by recording: the rule for tables and for rows in JSON."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from skelrep.io.timeline import as_seconds, frame_numbers

# The minimum average number of rows between two restarts of the frame numbers; with fewer, rows are just unordered.
_SHORTEST_RUN = 5
_PICTURE = re.compile(r"\.(jpe?g|png|bmp|tiff?|webp|gif|ppm)$", re.IGNORECASE)


def recordings_of(
    texts: dict[str, list[str]], names: Mapping[str, str], stem: str, count: int, several: Collection[str] = ()
) -> tuple[list[np.ndarray], list[str], list[str]]:
    """The rows of each recording, in the order of their first appearance.

    Rows belong to different recordings if they differ in video, in subject or in camera, if frame numbers restart, or
    if the label changes.

    Args:
        texts: The values of columns for each row, by role ("clip", "subject", "camera", "person", "frame", "time",
            "label"). It is modified: labels that belong to persons rather than recordings are removed, and subjects may
            become persons.
        names: The names of the columns, for messages.
        stem: The id if there is only one recording.
        count: Number of rows, R.
        several: Which of "subject" and "camera" are several in the whole file, where these are some of its rows.

    Returns:
        Indices of rows for each recording, the recordings' ids, and notes on what was decided, for warnings.
    """
    remarks: list[str] = []
    _pictures(texts)
    _subjects_side_by_side(texts, names, remarks)
    kept = [key for key in ("subject", "camera") if key in texts and (key in several or len(set(texts[key])) > 1)]
    parts = [texts[key] for key in ("clip", *kept) if key in texts]
    keys: list[tuple[str, ...]] = list(zip(*parts)) if parts else [(stem,)] * count
    keys = _split_at_restarts(texts, names, keys, remarks)
    if "label" in texts:
        keys = _split_at_labels(texts, names, keys, remarks)
    known = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    index = np.array([known[key] for key in keys])
    groups = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    return groups, ["/".join(key) for key in known], remarks


def pictures_of(paths: Sequence[str]) -> list[tuple[str, int | None]]:
    """The recording and the frame number in paths of pictures: for "a/img_0001.png", they are "a/img" and 1.

    Numbers in names distinguish recordings only within a folder.
    """
    slashed = [path.replace("\\", "/") for path in paths]
    stems = [path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in slashed]
    folders: dict[str, list[int]] = defaultdict(list)
    for i, path in enumerate(slashed):
        folders[path.rpartition("/")[0]].append(i)
    found: list[tuple[str, int | None]] = [("", None)] * len(paths)
    for folder, rows in folders.items():
        names, numbers = frame_numbers([stems[i] for i in rows])
        for i, name, number in zip(rows, names, numbers):
            found[i] = (f"{folder}/{name}".strip("/"), number)
    return found


def _pictures(texts: dict[str, list[str]]) -> None:
    """Derives frames from the names of pictures, and recordings from several folders or series of pictures."""
    role = next((role for role in ("frame", "clip") if role in texts and _PICTURE.search(texts[role][0])), None)
    if role is None or (role == "clip" and "frame" in texts) or not all(map(_PICTURE.search, texts[role])):
        return
    found = pictures_of(texts[role])
    if any(number is None for _, number in found):
        return
    texts["frame"] = [str(number) for _, number in found]
    if len({name for name, _ in found}) > len(found) / 2 > 1:
        return
    if role == "clip":
        del texts["clip"]
    if "clip" not in texts and len({name for name, _ in found}) > 1:
        texts["clip"] = [name for name, _ in found]


def _subjects_side_by_side(texts: dict[str, list[str]], names: Mapping[str, str], remarks: list[str]) -> None:
    """Treats a column of subjects as persons if subjects alternate within the frames."""
    when = texts.get("frame") or texts.get("time")
    subjects = texts.get("subject")
    if subjects is None or when is None or "person" in texts or len(set(subjects)) < 2:
        return
    rows = list(zip(texts.get("clip", subjects[:0]) or [""] * len(when), when, subjects))
    turns = sum(a[:2] == b[:2] and a[2] != b[2] for a, b in zip(rows, rows[1:]))
    if 3 * turns > len(rows):
        texts["person"] = texts.pop("subject")
        remarks.append(
            f"{names.get('subject', 'subject')!r} names several people in one frame and is used as the column of "
            "persons"
        )


def _split_at_restarts(
    texts: Mapping[str, list[str]], names: Mapping[str, str], keys: list[tuple[str, ...]], remarks: list[str]
) -> list[tuple[str, ...]]:
    """Separates recordings that follow each other in one list: frame numbers or times restart and are repeated."""
    column = next((key for key in ("frame", "time") if key in texts), None)
    if column is None:
        return keys
    try:
        when = as_seconds(texts[column])
    except ValueError:
        return keys
    persons = texts.get("person", [""] * len(keys))
    known: dict[Any, int] = {}
    track = np.array([known.setdefault((key, person), len(known)) for key, person in zip(keys, persons)])
    order = np.argsort(track, kind="stable")
    same = track[order][1:] == track[order][:-1]
    restarts = np.flatnonzero(same & (np.diff(when[order]) < 0)) + 1
    twice = len(np.unique(np.stack([track, when]), axis=1).T) < len(keys)
    if not twice or not len(restarts) or len(keys) < _SHORTEST_RUN * len(restarts):
        return keys
    run = np.zeros(len(keys), dtype=int)
    run[restarts] = 1
    run = np.cumsum(run)
    first = np.concatenate([[True], ~same])
    run -= np.maximum.accumulate(np.where(first, run, 0))
    runs = np.empty_like(run)
    runs[order] = run
    split = [(*key, str(number)) for key, number in zip(keys, runs.tolist())]
    remarks.append(
        f"{names[column]!r} restarts within a recording; {len(set(keys))} recordings are split into {len(set(split))}, "
        "one after the other (a column 'clip', or 'person' for people at the same time, makes it clear)"
    )
    return split


def _split_at_labels(
    texts: dict[str, list[str]], names: Mapping[str, str], keys: list[tuple[str, ...]], remarks: list[str]
) -> list[tuple[str, ...]]:
    """Splits recordings in which the label changes into one clip for each stretch with one label.

    Labels that differ between persons of one frame belong to persons, not to clips, and are dropped.
    """
    labels, when = texts["label"], texts.get("frame") or texts.get("time")
    before: dict[tuple[str, ...], str] = {}
    stretch: dict[tuple[str, ...], int] = defaultdict(int)
    split: list[tuple[str, ...]] = []
    for key, label in zip(keys, labels):
        stretch[key] += before.setdefault(key, label) != label
        before[key] = label
        split.append((*key, str(stretch[key])))
    if not any(stretch.values()):
        return keys
    label_of: dict[Any, str] = {}
    if when and any(label_of.setdefault(at, label) != label for at, label in zip(zip(keys, when), labels)):
        remarks.append(f"the labels of {names['label']!r} differ between rows of one frame and are left out")
        del texts["label"]
        return keys
    remarks.append(
        f"the labels of {names['label']!r} change within a recording; every stretch with one label becomes a clip "
        f"({len(set(split))} clips)"
    )
    return split
