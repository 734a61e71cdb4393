"""Tables with a row for each person and frame: CSV and Parquet with named columns, and bare columns of numbers.

A joint's columns are called after the joint and an axis: "Hips.X", "hips_x", "Hips:X", "HipsX", "x_hips",
"Hips_pos_x"; "hips_score" (or confidence, likelihood, visibility) is its score. The columns "clip", "person",
"frame", "time" (seconds) and "label" say what a row belongs to, where they are there. Others are passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import replacing
from skelrep.io.numpy_files import bounded, rate
from skelrep.io.reader import Reader, ReadOptions
from skelrep.layouts import missing_as_nan
from skelrep.messages import optional
from skelrep.poses import Poses
from skelrep.skeletons import resolve

_KEYS = ("clip", "label", "person", "frame", "time")
_AXIS = r"(?P<axis>[xyz]|score|confidence|conf|likelihood|visibility)"
_COLUMNS = (
    re.compile(rf"(?P<joint>.*?[^\W_])[\W_]+((pos|position|translation)[\W_]+)?{_AXIS}", re.IGNORECASE),
    re.compile(rf"{_AXIS}([\W_]+(?=.*[a-z])|[\W_]*(?=\d+$))(?P<joint>.+)", re.IGNORECASE),
    re.compile(r"(?P<joint>.*[a-z0-9])(?P<axis>[XYZ])"),
)
_NO_POSITION = re.compile(r"[\W_](rot|quat|orient|euler|vel|acc)\w*$", re.IGNORECASE)


def read_csv(path: Path, options: ReadOptions) -> Poses:
    """Reads a table with a line of names, or without one if `skeleton` tells what the columns are.

    Separated by commas, semicolons, tabs or blanks; an empty cell is NaN. Without names every joint of the skeleton
    has as many columns: x, y; or x, y, z; or these and a quaternion, which is not used.

    Args:
        path: The file.
        options: `skeleton`: joint names in the order of the columns; needed where the table has none.

    Returns:
        Clips (M, T, V, C): of every "clip" its persons in the order in which they come, and its frames in that of their
        numbers. Frames a second are those of "time".

    Raises:
        ValueError: if a line has another number of cells or a cell that is no number (path and line are given), if no
            joint is found, or if two rows are of one person and frame.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=first.count)
        rows = csv.reader(file, delimiter=delimiter) if delimiter in first else map(str.split, file)
        try:
            return _read_rows(path, rows, options.skeleton)
        except csv.Error as error:
            raise ValueError(f"{path} is no table of text ({error})") from error


def _read_rows(path: Path, rows: Iterator[list[str]], skeleton: Any) -> Poses:
    names = [cell.strip() for cell in next(rows)]
    try:
        values = [[float(cell) for cell in names]]
    except ValueError:
        values = []
    joints = {} if values else _joints(names, path)
    picked = [at for columns in joints.values() for at in columns.values()] or range(len(names))
    keys = {} if values else {name.lower(): at for at, name in enumerate(names) if name.lower() in _KEYS}
    texts: dict[str, list[str]] = {key: [] for key in keys}
    numbers = [np.array(row, dtype=np.float32) for row in values]
    for line, row in enumerate(rows, start=2):
        if not any(map(str.strip, row)):
            continue
        try:
            if len(row) != len(names):
                raise ValueError(f"{len(row)} cells where the first line has {len(names)}")
            numbers.append(np.array([float(row[at].strip() or "nan") for at in picked], dtype=np.float32))
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from None
        for key, at in keys.items():
            texts[key].append(row[at].strip())
    if not numbers:
        raise ValueError(f"{path} holds names of columns but no frame")
    table = np.stack(numbers)
    return _grouped(path, joints, table, texts, skeleton) if joints else _bare(path, table, skeleton)


def read_parquet(path: Path, options: ReadOptions) -> Poses:
    """Reads a Parquet file of the same columns as `read_csv`, by pyarrow (the extra `parquet`)."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            joints = _joints(names, path)
            picked = [names[at] for columns in joints.values() for at in columns.values()]
            # Runs of one value take no room in the file, but do so in memory.
            bounded(file.metadata.num_rows, len(picked))
            keys = {name: name.lower() for name in names if name.lower() in _KEYS}
            table = file.read(columns=[*picked, *keys])
            numbers = np.stack([table[name].to_numpy() for name in picked], axis=1).astype(np.float32)
            texts = {key: [str(cell) for cell in table[name].to_pylist()] for name, key in keys.items()}
    except (arrow.ArrowException, TypeError, KeyError) as fault:
        raise ValueError(f"{path} is damaged or no Parquet table of numbers ({fault})") from fault
    if not len(numbers):
        raise ValueError(f"{path} holds names of columns but no frame")
    return _grouped(path, joints, numbers, texts, options.skeleton)


def _joints(names: Sequence[str], path: Path) -> dict[str, dict[str, int]]:
    """For every joint the places of its x, y, perhaps z and perhaps score."""
    found: dict[str, dict[str, int]] = {}
    for at, name in enumerate(names):
        match = next((match for column in _COLUMNS if (match := column.fullmatch(name))), None)
        if match and not _NO_POSITION.search(match["joint"]):
            axis = match["axis"].lower()
            found.setdefault(match["joint"], {}).setdefault(axis if axis in "xyz" else "score", at)
    joints = {joint: columns for joint, columns in found.items() if {"x", "y"} <= set(columns)}
    if not joints:
        raise ValueError(
            f"{path} has no columns of joints, such as 'Hips.X', 'hips_x' or 'x_hips', but {', '.join(names)[:200]}"
        )
    for kind in ("z", "score"):
        if len(without := [joint for joint, columns in joints.items() if kind not in columns]) not in (0, len(joints)):
            raise ValueError(f"{path} has no column {kind} of {', '.join(without[:10])}, but of other joints")
    order = ("x", "y", "z", "score")
    return {joint: {axis: columns[axis] for axis in order if axis in columns} for joint, columns in joints.items()}


def _bare(path: Path, table: np.ndarray, skeleton: Any) -> Poses:
    if skeleton is None:
        raise ValueError(
            f"{path} holds {table.shape[1]} columns of numbers without names; pass skeleton=, a known one's name or "
            "joint names in the order of the columns"
        )
    known = resolve(skeleton)
    width, rest = divmod(table.shape[1], len(known))
    if rest or width not in (2, 3, 7):
        raise ValueError(
            f"{path} holds {table.shape[1]} columns of numbers, but the {len(known)} joints of {known.name!r} need 2 "
            "(x, y), 3 (x, y, z) or 7 (x, y, z and a quaternion) each"
        )
    points = table.reshape(len(table), len(known), width)[..., :3]
    return Poses.from_array(points, skeleton=known, ids=[path.stem])


def _grouped(
    path: Path, joints: dict[str, dict[str, int]], table: np.ndarray, texts: dict[str, list[str]], skeleton: Any
) -> Poses:
    """Clips of the rows of a table, whose columns are those of `joints` one after the other."""
    kinds = list(next(iter(joints.values())))
    names = None if all(joint.isdecimal() for joint in joints) else list(joints)
    cells = table.reshape(len(table), len(joints), len(kinds))
    scored, channels = "score" in kinds, len(kinds) - ("score" in kinds)
    clip_of, ids = _codes(texts.get("clip", [path.stem] * len(table)))
    person_of, _ = _codes(texts.get("person", ["0"] * len(table)))
    try:
        frame_of = np.array(texts["frame"], dtype=float) if "frame" in texts else None
        time_of = np.array(texts["time"], dtype=float) if "time" in texts else None
    except ValueError as error:
        raise ValueError(f"{path} has a frame or time that is no number ({error})") from None

    clips, scores, periods = [], [], []
    by_clip = np.split(np.argsort(clip_of, kind="stable"), np.cumsum(np.bincount(clip_of))[:-1])
    for rows in by_clip:
        persons, person = np.unique(person_of[rows], return_inverse=True)
        if frame_of is None:
            frame = np.zeros(len(rows), dtype=int)
            for i in range(len(persons)):
                frame[person == i] = np.arange((person == i).sum())
        else:
            frame = np.unique(frame_of[rows], return_inverse=True)[1]
        shape = (len(persons), int(frame.max()) + 1, len(joints))
        if len(np.unique(person * shape[1] + frame)) < len(rows):
            raise ValueError(
                f"{path} has two rows of one person and frame; a column 'clip' or 'person' has to tell them apart"
            )
        bounded(*shape, len(kinds))
        placed = np.full((*shape, len(kinds)), np.nan, dtype=np.float32)
        placed[person, frame] = cells[rows]
        clips.append(missing_as_nan(placed[..., :channels]))
        scores.append(np.nan_to_num(placed[..., -1]))
        if time_of is not None and shape[1] > 1:
            periods.append(float(np.ptp(time_of[rows])) / (shape[1] - 1))
    fps = rate(float(np.median(periods))) if periods else None
    labels = None
    if "label" in texts:
        named = [texts["label"][rows[0]] for rows in by_clip]
        labels = np.array(named, dtype=int if all(re.fullmatch(r"-?\d{1,18}", name) for name in named) else str)
    return Poses(
        clips,
        resolve(names if skeleton is None else skeleton, len(joints)),
        ids,
        labels,
        fps if fps is not None and 1 <= fps <= 1000 else None,  # beyond that the times are in no seconds
        scores if scored else None,
    )


def _codes(texts: list[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers of texts in the order of their first appearance, and the texts by number."""
    known = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([known[text] for text in texts]), list(known)


def write_table(poses: Poses, path: Path) -> None:
    """Writes ids, labels, coordinates and scores as `.csv` or `.parquet`, in the columns that `read_csv` reads.

    The skeleton's parents and the columns of `info` are not kept; skelrep's `.npz` keeps everything.
    """
    if not len(poses):
        raise ValueError("there is no clip to write")
    counts = [clip.shape[0] * clip.shape[1] for clip in poses.clips]
    grids = [np.indices(clip.shape[:2]).reshape(2, -1) for clip in poses.clips]
    person, frame = np.concatenate(grids, axis=1)
    columns: dict[str, np.ndarray] = {"clip": np.repeat(poses.ids, counts)}
    if poses.labels is not None:
        columns["label"] = np.repeat(poses.labels, counts)
    columns |= {"person": person, "frame": frame}
    if poses.fps is not None:
        columns["time"] = frame / poses.fps
    points = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in poses.clips])
    scores = None
    if poses.scores is not None:
        scores = np.concatenate([score.reshape(-1, score.shape[2]) for score in poses.scores])
    for i, joint in enumerate(poses.skeleton.joints):
        columns |= {f"{joint}.{axis}": points[:, i, c] for c, axis in enumerate("xyz"[: poses.channels])}
        if scores is not None:
            columns[f"{joint}.score"] = scores[:, i]
    if path.suffix.lower() == ".parquet":
        arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
        with replacing(path) as temporary:
            parquet.write_table(arrow.table(columns), temporary)
        return
    texts = [_texts(column) for column in columns.values()]
    with replacing(path) as temporary:
        file = io.TextIOWrapper(temporary, encoding="utf-8", newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*texts))
        file.detach()  # flushes, and leaves the file to be closed where it was opened


def _texts(column: np.ndarray) -> Iterator[str]:
    if column.dtype != np.float32:
        return map(str, column.tolist())
    return ("" if np.isnan(number) else f"{number:.9g}" for number in column)  # nine digits tell any two float32 apart


def sniff(path: Path) -> bool:
    """Whether the first line of a text file names joints' columns, or holds as many numbers as the second."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = file.readline(), file.readline()
    delimiter = max(",;\t", key=lines[0].count)
    first, second = ([cell.strip() for cell in line.split(delimiter if delimiter in line else None)] for line in lines)
    try:
        return len(np.array(first, dtype=float)) >= 10 and len(np.array(second, dtype=float)) in (0, len(first))
    except ValueError:
        pass
    try:
        return bool(_joints(first, path))
    except ValueError:
        return False


READERS = (Reader("csv", (".csv", ".tsv", ".txt"), read_csv, sniff), Reader("parquet", (".parquet",), read_parquet))
