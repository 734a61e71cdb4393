"""Events: what happens when in a recording, and who does it; as a table in .csv, .json, .jsonl and .parquet files."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.files import open_to_read, read_text
from skelrep.io import records
from skelrep.io.records import SUFFIXES, Records
from skelrep.messages import nearest, one_line, shortened
from skelrep.parquet import read_columns


class Event(NamedTuple):
    """One row of `Events`."""

    clip: str
    start: float
    end: float
    label: str
    score: float = math.nan
    person: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Events(Records):
    """K events of recordings, such as detections, predictions or annotations; one array for each column.

    Events may overlap. Those that follow each other without gaps are the segments of a recording.

    Attributes:
        clip: (K,) id of the clip or recording, as in `Poses.ids`.
        start: (K,) float64, seconds since the clip's first frame; NaN, as is `end`, if the times are unknown, for
            example for a whole clip without fps.
        end: (K,) float64, seconds; the end of the last frame, so that the next event may start there.
        label: (K,) str.
        score: (K,) float64, for example the probability of the label; NaN if unknown.
        person: (K,) str as in `Poses.person_ids`; "" for all persons of the clip together.

    Raises:
        ValueError: for columns of different lengths, or an event that ends before it starts.

    Examples:
        >>> events = Events.of([Event("session", 1.0, 2.5, "squat", 0.9), Event("session", 4.0, 5.0, "jump", 0.8)])
        >>> events.label.tolist()
        ['squat', 'jump']
        >>> events[events.score > 0.85]
        Events(1 event of 1 clip: squat)
    """

    COLUMNS = ("clip", "person", "label", "start", "end", "score")
    CONTENT = "events"

    clip: np.ndarray
    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    score: np.ndarray
    person: np.ndarray

    def __post_init__(self) -> None:
        """Converts the columns to their types and checks that they fit each other."""
        for name, column in self.columns():
            kind = np.float64 if name in _NUMBERS else str
            object.__setattr__(self, name, np.asarray(column, dtype=kind))
        lengths = {name: column.shape for name, column in self.columns()}
        if len(set(lengths.values())) > 1 or self.clip.ndim != 1:
            raise ValueError(f"the columns of events must have one value for each event, got shapes {lengths}")
        if (wrong := np.flatnonzero(~_in_order(self.start, self.end))).size:
            event = self.row(wrong[0])
            raise ValueError(
                f"event {wrong[0]} ({event.label!r} of {event.clip!r}) is from {event.start:g} to {event.end:g} s; "
                "expected an end that is not before its start"
            )

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """From single events; the table is empty if there are none."""
        columns = list(zip(*events)) or [()] * len(Event._fields)
        return cls(**dict(zip(Event._fields, map(np.array, columns))))

    @classmethod
    def concatenate(cls, parts: Sequence[Events]) -> Events:
        """One table from several."""
        if not parts:
            return cls.of([])
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.COLUMNS})

    def row(self, index: int) -> Event:
        """One event, in plain Python values."""
        return Event(*(getattr(self, name)[index].item() for name in Event._fields))

    def __iter__(self) -> Iterator[Event]:
        """Event by event."""
        return map(self.row, range(len(self)))

    def __getitem__(self, rows: Any) -> Events:
        """Some of the events, by a slice, or an array of numbers or booleans."""
        return Events(**{name: column[rows] for name, column in self.columns()})

    def __repr__(self) -> str:
        """Counts and labels, on one line."""
        clips, labels = len(np.unique(self.clip)), np.unique(self.label).tolist()
        named = ": " + ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "") if labels else ""
        return f"Events({len(self)} event{'s' * (len(self) != 1)} of {clips} clip{'s' * (clips != 1)}{named})"

    @classmethod
    def load(cls, path: str | os.PathLike) -> Events:
        """Reads what `save` wrote, or any table with at least the columns start and end, in seconds.

        If the columns clip, label and person are missing, they are "". Other columns are ignored.

        Raises:
            ValueError: if the file is not such a table; the message gives the line.
            OSError: if it cannot be read.
            ModuleNotFoundError: for .parquet without pyarrow (the extra `parquet`).
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"events are read from {', '.join(SUFFIXES)} files, got {str(path)!r}")
        if suffix == ".parquet":
            return _from_rows(_parquet_rows(path), path, "row {}".format)
        try:
            text = read_text(path, "utf-8-sig")
            if suffix == ".csv":
                reader = csv.DictReader(io.StringIO(text, newline=""))
                rows: list[Any] = list(reader)
                _check_header(reader.fieldnames or (), path)
            else:
                rows = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        except (ValueError, RecursionError, csv.Error) as error:
            if str(path) in str(error):
                raise
            raise ValueError(f"{path} is not a {suffix} file of events ({one_line(error)})") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{path} is not a list of events; expected objects with start, end and label")
        first = 2 if suffix == ".csv" else 1  # below the header
        return _from_rows(rows, path, lambda row: f"{'event' if suffix == '.json' else 'line'} {row + first}")


_NUMBERS = ("start", "end", "score")
assert set(Events.COLUMNS) == set(Event._fields) == {field.name for field in fields(Events)}


def check_output(path: str | os.PathLike) -> None:
    """Raises the errors of `Events.save` that concern the path, for callers who compute something long before saving.

    Raises:
        ValueError: for an unknown suffix.
        FileNotFoundError: if the folder does not exist.
        ModuleNotFoundError: for .parquet without pyarrow.
    """
    records.check_output(path, "events")


def _in_order(start: Any, end: Any) -> Any:
    """Whether events do not end before they start; either both times are known or neither."""
    return (start <= end) | (np.isnan(start) & np.isnan(end))


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    def chosen(schema: Any) -> list[str]:
        _check_header(schema.names, path)
        return [name for name in schema.names if name in Events.COLUMNS]

    with open_to_read(path) as file:
        table = read_columns(file, path, chosen)
    return [dict(zip(table.columns, row)) for row in zip(*map(table.cells, table.columns))]


def _check_header(names: Sequence[str], path: Path) -> None:
    for needed in ("start", "end"):
        if needed not in names:
            found = shortened(", ".join(names)) or "none"
            raise ValueError(
                f"{path} has no column {needed!r}{nearest(needed, names)} (it has: {found}); "
                f"events have the columns {', '.join(Events.COLUMNS)}"
            )


def _from_rows(rows: Sequence[dict[str, Any]], path: Path, place: Any) -> Events:
    events = []
    for index, row in enumerate(rows):
        numbers = []
        for name in _NUMBERS:
            value = row.get(name)
            try:
                numbers.append(math.nan if value in (None, "") else float(value))
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"{path}, {place(index)}: {name} is {str(value)[:100]!r}, not a number") from None
        texts = {name: "" if row.get(name) is None else str(row[name]) for name in ("clip", "label", "person")}
        event = Event(start=numbers[0], end=numbers[1], score=numbers[2], **texts)
        if not _in_order(event.start, event.end):
            raise ValueError(f"{path}, {place(index)}: the event is from {event.start:g} to {event.end:g} s")
        events.append(event)
    return Events.of(events)
