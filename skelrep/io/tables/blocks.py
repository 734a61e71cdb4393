"""Header blocks above the rows, in tables of motion capture systems and of DeepLabCut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skelrep.io.tables.columns import AXES, SCORE, Columns, Joint, complete, keys_of, position_column
from skelrep.io.units import METRES
from skelrep.messages import warn


class Header(NamedTuple):
    """What a table states above its rows.

    Attributes:
        columns: The meanings of its columns; None for a table with numbers only.
        rows: Lines before the first row.
        width: Cells of each row.
        fps: The rate that it states.
        ends_at_blank: Whether the table ends at an empty line, after which another begins.
        pads: Whether rows may be shorter than the header.
    """

    columns: Columns | None
    rows: int
    width: int
    fps: float | None = None
    ends_at_blank: bool = False
    pads: bool = False


def header_of(rows: Sequence[Sequence[str]], path: Path) -> Header | None:
    """The header block in the first rows of a table; None for a table with one line of names, or without names."""
    if not rows:
        return None
    try:
        return _header(rows, path)
    except (IndexError, StopIteration) as error:
        raise ValueError("its header block is incomplete") from error


def _header(rows: Sequence[Sequence[str]], path: Path) -> Header | None:
    first = [row[0].lower() if row else "" for row in rows]
    if first[0].startswith("format version"):
        return _motive(rows, path)
    if first[0] == "scorer" or "bodyparts" in first[:4]:
        return _deeplabcut(rows)
    if first[0].startswith("pathfiletype"):
        return _opensim(rows)
    if {"marker_names", "no_of_markers", "no_of_frames"} & set(first):
        return _qualisys(rows)
    if (at := _nexus_section(rows)) is not None:
        return _nexus(rows, at)
    return _two_lines(rows)


def _motive(rows: Sequence[Sequence[str]], path: Path) -> Header:
    """OptiTrack Motive: pairs of settings, then lines for the type, name, id and kind of each column."""
    settings = {key.lower(): value for key, value in zip(rows[0][::2], rows[0][1::2])}
    if settings.get("coordinate space", "global").lower() == "local":
        raise ValueError("its bones are given relative to their parents; export with Coordinate Space: Global")
    top = next((at for at, row in enumerate(rows) if row and row[0].lower() == "frame"), None)
    if top is None:
        raise ValueError("it begins like a Motive export, but has no line that begins with 'Frame'")
    axes, kinds = rows[top], rows[top - 1]
    labelled = {row[1].lower(): row for row in rows[1 : top - 1] if len(row) > 1}
    names, types = labelled.get("name", []), labelled.get("type", [])
    positions = [at for at in range(2, min(len(axes), len(kinds), len(names))) if kinds[at].lower() == "position"]
    for wanted in ("bone", "marker"):  # rigid bodies are objects, bone markers are on the skin
        if chosen := [at for at in positions if at < len(types) and types[at].lower() == wanted]:
            positions = chosen
            break
    joints = _joints([(names[at], axes[at], at) for at in positions])
    unit = METRES.get(settings.get("length units", "").lower())
    keys = {"frame": [0], "time": [1]}
    fps = _positive(settings.get("export frame rate")) or _positive(settings.get("capture frame rate"))
    columns = Columns.of(joints, keys, unit)
    return Header(columns, top + 1, len(axes), fps, pads=True)


def _deeplabcut(rows: Sequence[Sequence[str]]) -> Header:
    """DeepLabCut: the lines scorer, individuals (optional), bodyparts and coords."""
    named = {row[0].lower(): (at, row) for at, row in enumerate(rows[:5]) if row}
    if not {"bodyparts", "coords"} <= set(named):
        raise ValueError("it begins like a table of DeepLabCut, but lacks the lines bodyparts and coords")
    last, axes = named["coords"]
    parts = named["bodyparts"][1]
    persons = named["individuals"][1] if "individuals" in named else None
    cells: dict[str, list[tuple[str, str, int]]] = {}
    width = min(len(axes), len(parts), len(persons or parts))
    lead = next(at for at in range(width) if axes[at].lower() in AXES)
    for at in range(lead, width):
        cells.setdefault(persons[at] if persons else "", []).append((parts[at], axes[at], at))
    tracks = {person: _joints(triples) for person, triples in cells.items() if person != "single" or len(cells) == 1}
    shared = [joint for joint in next(iter(tracks.values())) if all(joint in track for track in tracks.values())]
    tracks = {person: {joint: track[joint] for joint in shared} for person, track in tracks.items()}
    return Header(Columns(tracks, {"frame": [lead - 1]}), last + 1, len(axes))


def _opensim(rows: Sequence[Sequence[str]]) -> Header:
    """OpenSim's .trc: settings in two lines, then the names of the markers, each above three columns."""
    settings = {key.lower(): value for key, value in zip(rows[1], rows[2])} if len(rows) > 2 else {}
    top = next((at for at, row in enumerate(rows) if row and row[0].lower().startswith("frame")), None)
    if top is None:
        raise ValueError("it begins like a .trc file, but has no line that begins with 'Frame#'")
    names = [(name, at) for at, name in enumerate(rows[top]) if name and at > 1]
    if not names:
        raise ValueError("it begins like a .trc file, but names no marker")
    joints = _joints([(name, axis, at + i) for name, at in names for i, axis in enumerate(AXES)])
    last = top + 1
    while last < len(rows) and not (rows[last] and rows[last][0].isdecimal()):
        last += 1
    unit = settings.get("units", "").lower()
    if unit not in METRES:
        raise ValueError(f"its unit is {unit!r}; known are m, cm, mm, in and ft: correct Units in its third line")
    columns = Columns.of(joints, {"frame": [0], "time": [1]}, METRES[unit])
    width = max(at for _, at in names) + 3
    return Header(columns, last, width, _positive(settings.get("datarate")), pads=True)


def _qualisys(rows: Sequence[Sequence[str]]) -> Header:
    """Qualisys Track Manager's .tsv: one setting per line, including MARKER_NAMES; millimetres."""
    settings = {row[0].lower(): (at, row[1:]) for at, row in enumerate(rows) if row and re.match(r"[A-Za-z]", row[0])}
    if "marker_names" not in settings:
        raise ValueError("it begins like a table of Qualisys Track Manager, but has no line MARKER_NAMES")
    names = [name for name in settings["marker_names"][1] if name]
    last = max(at for at, _ in settings.values()) + 1
    titles = [cell.lower() for cell in rows[last - 1]]
    lead = sum(title in ("frame", "time") for title in titles[:2])
    first_row = [cell for cell in rows[last]] if last < len(rows) else []
    while first_row and not first_row[-1]:
        first_row.pop()
    lead = lead or max(len(first_row) - 3 * len(names), 0)
    joints = _joints([(name, axis, lead + 3 * i + c) for i, name in enumerate(names) for c, axis in enumerate(AXES)])
    keys = {"frame": [0], "time": [1]} if lead == 2 else {"frame": [0]} if lead == 1 else {}
    fps = _positive((settings.get("frequency", (0, [""]))[1] or [""])[0])
    columns = Columns.of(joints, keys, METRES["mm"])
    return Header(columns, last, lead + 3 * len(names), fps, pads=True)


def _nexus_section(rows: Sequence[Sequence[str]]) -> int | None:
    """The line with which the positions of a Vicon Nexus export begin: the name of a section above its rate."""
    for wanted in ("trajectories", "joints", "model outputs"):
        for at, row in enumerate(rows[:-1]):
            filled = [cell for cell in row if cell]
            if [cell.lower() for cell in filled] == [wanted] and _positive((rows[at + 1] or [""])[0]):
                return at
    return None


def _nexus(rows: Sequence[Sequence[str]], at: int) -> Header:
    """Vicon Nexus: the section, its rate, names above the first of their three columns, axes, units."""
    names, axes, units = rows[at + 2], rows[at + 3], rows[at + 4]
    named, called = [], ""
    for column, axis in enumerate(axes):
        called = names[column] if column < len(names) and names[column] else called
        if axis.lower() in AXES:
            named.append((called, axis, column))
    if not named:
        raise ValueError("it begins like a Vicon Nexus export, but has no line of X, Y and Z below the names")
    unit = next((METRES[cell.lower()] for cell in units if cell.lower() in METRES), None)
    columns = Columns.of(_joints(named), {"frame": [0]}, unit)
    return Header(columns, at + 5, len(axes), _positive(rows[at + 1][0]), ends_at_blank=True, pads=True)


def _two_lines(rows: Sequence[Sequence[str]]) -> Header | None:
    """Names above axes, as pandas writes columns of two levels: "hips", "hips", "hips" above "x", "y", "z"."""
    for last in (1, 2):
        if len(rows) <= last + 1:
            return None
        axes = [position_column(cell) for cell in rows[last]]
        plain = [at for at, parsed in enumerate(axes) if parsed is not None and parsed[0] == ""]
        if len(plain) < 4 or 2 * len(plain) < sum(map(bool, rows[last])):
            continue
        named, called = [], ""
        for at in range(len(rows[last])):
            called = rows[last - 1][at] if at < len(rows[last - 1]) and rows[last - 1][at] else called
            if at in plain:
                named.append((called, axes[at][1], at))  # type: ignore[index]
        keys = {"frame": [0]} if plain[0] == 1 else {}
        lead = [next((row[at] for row in rows[last::-1] if at < len(row) and row[at]), "") for at in range(plain[0])]
        keys = keys_of(lead) if any(lead) else keys
        below = next((at for at in range(last + 1, len(rows)) if sum(map(bool, rows[at])) > 1), last + 1)
        return Header(Columns.of(_joints(named), keys), below, len(rows[last]))
    return None


def _joints(cells: Sequence[tuple[str, str, int]]) -> dict[str, Joint]:
    """Joints from (name, axis, column); joints that lack an axis are left out."""
    found: dict[str, Joint] = {}
    for name, axis, at in cells:
        parsed = position_column(axis)
        if name and parsed is not None and parsed[1] in (*AXES, SCORE):
            found.setdefault(name, {}).setdefault(parsed[1], at)
    joints, incomplete = complete(found, [name for name, _, _ in cells])
    if incomplete:
        warn(f"columns of {', '.join(incomplete)} lack an axis that others have and are ignored")
    return joints


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
