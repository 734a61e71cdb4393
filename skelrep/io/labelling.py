"""Labels and other columns that are not in the files of the clips, but in folder names or in a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from skelrep.files import read_text
from skelrep.io.key_names import compact, of_role
from skelrep.io.sources import Sources
from skelrep.messages import nearest, one_line, warn
from skelrep.poses import Poses
from skelrep.poses.joining import Join

#: Names of folders that contain a split of a data set, not a class.
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val"}
SPLITS |= {"validation": "val", "eval": "test"}
_TABLES = (".csv", ".tsv", ".txt")
_DELIMITERS = ",;\t|"
# Names and roles of the columns that may name a clip, and roles of those that may contain a value (see
# `skelrep.io.key_names`).
_ID_NAMES = ("id", "clip", "name", "file", "filename", "path", "video", "sample")
_IDS = ("clip", "image", "number")
_VALUES = {"label": ("label",), "subject": ("subject", "person")}
_FOLDERS = ("folder", "foldername", "directory", "dir", "subfolder")


class Column:
    """One column, `label` or `subject`, for all clips that are read."""

    def __init__(self, said: Any, what: str, found: Sources) -> None:
        """Prepares a column from the argument of `skelrep.read` and the files that are read.

        Raises:
            ValueError: if no folder, or no column of the table, contains the values.
        """
        self.what = what
        self.key = "labels" if what == "label" else what
        self.level: int | None = None
        self.join: Join | None = None
        self.left_out: list[str] = []  # ids of clips without a value
        self.table: Path | None = None
        self.column: str | None = None
        if isinstance(said, Mapping):
            self.join = Join(said, what)
        elif said == "folder" or re.fullmatch(r"folder:-?\d+", str(said)):
            self.level = _level(found, int(said[7:]) if ":" in said else None, what)
        elif (split := _table_and_column(str(said))) is not None:
            self.table = split[0]
            self.join = Join(_read_table(*split, what, found), what, str(found.root.resolve()))
        elif isinstance(said, str):
            self.column = said
        else:
            raise ValueError(f"{self.key} must be 'folder', a table's path, a column's name or a dict, got {said!r}")

    def add(self, poses: Poses, files: Sequence[str]) -> Poses:
        """The poses with the column; `files` are the paths of each clip's file below the root."""
        values = self.values(poses.ids, files, poses.info)
        return replace(poses, labels=values) if self.what == "label" else poses.with_info(**{self.what: values})

    def values(self, ids: Sequence[str], files: Sequence[str], info: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value of each clip, (N,), by its id, the path of its file below the root, and its columns.

        Raises:
            ValueError: if a clip has none, or there is no such column.
        """
        if self.join is not None:
            return self.join.column(ids, files)
        if self.column is not None:
            if self.column not in info:
                raise ValueError(
                    f"there is no column {self.column!r} to take as {self.what}{nearest(self.column, info)} (these "
                    f"clips have: {', '.join(info) or 'none'})"
                )
            return info[self.column]
        assert self.level is not None
        return _plain([_folder(file, self.level) for file in files])

    def labelled(self, ids: Sequence[str], files: Sequence[str]) -> np.ndarray:
        """Whether each clip has a value, (N,) booleans; `finish` reports the others, which are left out."""
        if self.join is None:
            return np.ones(len(ids), dtype=bool)
        known = self.join.has(ids, files)
        self.left_out += [name for name, keep in zip(ids, known) if not keep]
        return known

    def finish(self) -> None:
        """Warns about rows of the table that belong to no clip, and about clips that were left out.

        Raises:
            ValueError: if all clips were left out.
        """
        if self.join is None:
            return
        if self.left_out and not self.join.used:
            self.join.column(self.left_out)  # raises
        self.join.finish()
        if self.left_out:
            shown = ", ".join(map(repr, self.left_out[:3])) + (", ..." if len(self.left_out) > 3 else "")
            warn(f"{len(self.left_out)} clips have no {self.what} and are left out: {shown}")


def splits_in_folders(poses: Poses, files: Sequence[str]) -> Poses:
    """Adds a column `split` if every clip is below a folder with the name of a split, such as "train"."""
    found = [
        next((SPLITS[part.lower()] for part in PurePosixPath(file).parts[:-1] if part.lower() in SPLITS), "")
        for file in files
    ]
    if not all(found) or "split" in poses.info:
        return poses
    return poses.with_info(split=np.array(found))


def _folder(file: str, level: int) -> str:
    parents = PurePosixPath(file).parts[:-1]
    try:
        return parents[level]
    except IndexError:
        raise ValueError(f"{file} is not in a folder whose name could be its label") from None


def _level(found: Sources, asked: int | None, what: str) -> int:
    """The level of the folders that name the value: 0 is the first below the root, -1 the last."""
    parents = [PurePosixPath(file.relative_to(found.root).as_posix()).parts[:-1] for file in found.files]
    if asked is not None:
        return asked - 1 if asked > 0 else asked
    deepest = max(map(len, parents), default=0)
    levels = [{names[i] for names in parents if len(names) > i} for i in range(deepest)]
    # A level with a single folder, or with train and test, does not distinguish classes.
    useful = [i for i, names in enumerate(levels) if len(names) > 1 and not {n.lower() for n in names} <= SPLITS.keys()]
    if not useful and deepest:
        useful = [i for i in range(deepest) if not {n.lower() for n in levels[i]} <= SPLITS.keys()][-1:]
    if not useful:
        raise ValueError(
            f"{found.said} contains no folders whose names could be {what}s; expected, for example, wave/a.json and "
            "jump/b.json below it"
        )
    if len(useful) > 1:
        shown = "; ".join(f"folder:{i + 1} for {_some(levels[i])}" for i in useful)
        warn(f"the {what}s are taken from the first folders below {found.said} (to choose, pass {shown})")
    return useful[0]


def _table_and_column(said: str) -> tuple[Path, str | None] | None:
    """The path and the column in "labels.csv" or "labels.csv:action"; None if it is not the path of a table."""
    for path, column in ((said, None), tuple(said.rpartition(":")[::2])):
        if Path(str(path)).suffix.lower() in _TABLES:
            return Path(str(path)).expanduser(), column
    return None


def _read_table(path: Path, column: str | None, what: str, found: Sources) -> dict[str, Any]:
    """The values by id in a text table with one line for each clip or file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} to take {what}s from")
    text = read_text(path, "utf-8-sig", errors="replace")
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    if delimiter not in first:
        delimiter = " "
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [[cell.strip() for cell in row] for row in cells if any(row)]
    except csv.Error as error:  # such as a cell of more than 131 072 characters
        raise ValueError(f"{path} is not a text table ({one_line(error)})") from error
    if not rows:
        raise ValueError(f"{path} is empty")
    header, columns = [cell.lower() for cell in rows[0]], ", ".join(rows[0])[:500]
    stems = {file.stem for file in found.files} | {PurePosixPath(name).stem for name in found.names().values()}
    wanted = [at for role in _VALUES.get(what, ()) for at in of_role(rows[0], role)]
    if column or not wanted:
        wanted = [header.index(name) for name in ((column or what).lower(),) if name in header]
    at = wanted[0] if wanted else None
    ids = _column_of_ids(rows, stems, at)
    if column and at is None:
        raise ValueError(f"{path} has no column {column!r}{nearest(column, rows[0])} (it has: {columns})")
    named = ids is not None or at is not None
    if at is None:
        if len(header) != 2:
            raise ValueError(
                f"{path} has the columns {columns}, none of which is named {what}; choose one with {path.name}:COLUMN"
            )
        at = 1 - (ids or 0)
    ids = (1 if at == 0 else 0) if ids is None else ids
    body = rows[1:] if named or PurePosixPath(rows[0][ids]).stem not in stems else rows
    if short := next(
        (i for i, row in enumerate(body, start=len(rows) - len(body) + 1) if len(row) <= max(ids, at)), None
    ):
        raise ValueError(f"{path}, line {short}: too few cells; expected {columns}")
    folder = next((i for i, name in enumerate(rows[0]) if compact(name) in _FOLDERS and i not in (ids, at)), None)
    if folder is not None and body is not rows and not any("/" in row[ids] for row in body):
        body = [[*row[:ids], f"{row[folder]}/{row[ids]}", *row[ids + 1 :]] for row in body]
    values: dict[str, str] = {}
    for row in body:
        if values.setdefault(row[ids], row[at]) != row[at]:
            both = " and ".join(repr(value[:100]) for value in (values[row[ids]], row[at]))
            raise ValueError(f"{path} gives {row[ids][:100]!r} two {what}s, {both}")
    return dict(zip(values, _plain(list(values.values())).tolist()))


def _column_of_ids(rows: Sequence[Sequence[str]], stems: set[str], value: int | None) -> int | None:
    """The column that names clips or files: among those with such names, the one that matches most of the files."""
    plain = [compact(name) for name in rows[0]]
    found = [plain.index(name) for name in _ID_NAMES if name in plain]
    found += [at for role in _IDS for at in of_role(rows[0], role)]
    named = [at for at in dict.fromkeys(found) if at != value]

    def known(at: int) -> int:
        cells = [row[at].replace("\\", "/") for row in rows[1:] if len(row) > at]
        return sum(bool({PurePosixPath(cell).stem, PurePosixPath(cell).name} & stems) for cell in cells)

    return max(named, key=known, default=None)


def _plain(values: list[str]) -> np.ndarray:
    """Integers if all values are integers, else strings."""
    return np.array(values, dtype=int if all(re.fullmatch(r"-?\d{1,18}", value) for value in values) else str)


def _some(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
