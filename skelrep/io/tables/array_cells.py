"""Tables whose cells hold arrays: a person's keypoints in one cell, or the coordinates of a joint."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from skelrep.io.json_files import recordings_in
from skelrep.io.people import poses_of
from skelrep.io.people_json import FAMILY
from skelrep.io.reader import ReadOptions
from skelrep.messages import one_line
from skelrep.poses import Poses


def has_arrays(row: Sequence[Any]) -> bool:
    """Whether a row has a cell that contains an array, or the text of one."""
    return any(
        isinstance(cell, (list, dict)) or (isinstance(cell, str) and cell.startswith(("[", "{"))) for cell in row
    )


def read_array_cells(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]], options: ReadOptions) -> Poses:
    """Reads rows like JSON with the same keys: {"frame": 0, "track_id": 1, "keypoints": [[x, y], ...]}.

    Raises:
        ValueError: if a cell is damaged, or no column contains keypoints.
    """
    content = []
    for line, row in enumerate(rows, start=2):
        if not any(row):
            continue
        if len(row) != len(names):
            raise ValueError(f"{path}, line {line}: {len(row)} cells, but the first line has {len(names)}")
        try:
            content.append({name: _value(cell) for name, cell in zip(names, row)})
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{path}, line {line}: a cell is not an array ({one_line(error)})") from None
    if not FAMILY.recognises(content):
        raise ValueError(f"{path} has no column of keypoints or joints (it has: {', '.join(names)[:200]})")
    return poses_of(recordings_in(FAMILY, content, f"{path}"), f"{path}", path.stem, options)


def _value(cell: Any) -> Any:
    """A number, an array in the notation of JSON, Python or numpy, or the text itself; None for an empty cell."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if not text or text.lower() in ("nan", "none", "null"):
        return None
    if not text.startswith(("[", "{")):
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if number.is_integer() and text.lstrip("+-").isdecimal() else number
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text if "," in text else ",".join(text.replace("[ ", "[").split()))
