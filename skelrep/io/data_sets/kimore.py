"""KIMORE (Capecci et al., 2019): `.../GPP/BackPain/B_ID1/Es1/Raw/JointPosition*.csv`, Kinect v2.

Next to `Raw`, `Label/ClinicalAssessment_B_ID1.xlsx` contains a heading ("Subject ID", "clinical TS Ex#1" ... "clinical
CF Ex#5") and one line: the total, the primary and the control score of each exercise.
"""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path
from typing import Any

from skelrep.io.data_sets.clips import clip_of, numbers_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.messages import one_line, optional, warn
from skelrep.poses import Poses

JOINTS = 25
_STATES = 2.0  # of tracking: 0 not tracked, 1 inferred, 2 tracked
_NAME = re.compile(r"JointPosition", re.IGNORECASE)
_SCORES = {"score": "ts", "primary_score": "po", "control_score": "cf"}
_MOST_COLUMNS = 100
_GROUPS = ("expert", "notexpert", "not-expert", "stroke", "parkinson", "backpain")


def read_kimore(path: Path, options: ReadOptions) -> Poses:
    """Reads one recording: rows with x, y, z and the tracking state of 25 joints.

    Args:
        path: The file; the folders above it name the exercise (`Es1` to `Es5`), the person and the group.
        options: `skeleton`: another order of the joints than "ntu-25".

    Returns:
        One clip (1, T, 25, 3) in metres at 30 frames per second, with the tracking state as scores (tracked 1, inferred
        0.5). The exercise is the label. The columns are `subject`, `group` and, if there is a clinical assessment (it
        needs the extra `excel`), `score` (0 to 50), `primary_score` (0 to 15) and `control_score` (0 to 35), NaN if a
        score was not given.

    Raises:
        ValueError: for a row with a different number of values; the message gives its line.
    """
    cells = numbers_of(path, 4 * JOINTS).reshape(-1, JOINTS, 4)
    folders = [folder.name for folder in path.parents if folder.name][:6]
    exercise = next((folder for folder in folders if re.fullmatch(r"Es\d", folder, re.IGNORECASE)), None)
    info: dict[str, Any] = {}
    if exercise is not None:
        above = folders[folders.index(exercise) + 1 :]
        info = {
            "subject": above[0] if above else "",
            "group": next((folder for folder in above if folder.lower() in _GROUPS), ""),
        }
        info |= _clinical_scores(path, exercise)
    scores = cells[..., 3] / _STATES
    ids = "/".join([*([str(info["subject"])] if info else []), *([exercise] if exercise else []), path.stem])
    return clip_of(
        path,
        cells[..., :3],
        "ntu-25",
        options,
        fps=30,
        label=exercise,
        scores=scores,
        ids=ids if exercise else None,
        **info,
    )


def _clinical_scores(path: Path, exercise: str) -> dict[str, float]:
    """The scores of an exercise by column name; empty if there is no assessment, or if it cannot be read."""
    table = next(iter(sorted((path.parent.parent / "Label").glob("ClinicalAssessment*.xlsx"))), None)
    if table is None:
        return {}
    try:
        openpyxl = optional("openpyxl", "excel")
    except ModuleNotFoundError as error:
        warn(f"the clinical scores in {table.name} are not read: {error}")
        return {}
    try:
        book = openpyxl.load_workbook(table, read_only=True, data_only=True)
        heading, row = list(book.worksheets[0].iter_rows(max_row=2, max_col=_MOST_COLUMNS, values_only=True))
        cells = {str(name).strip().lower(): value for name, value in zip(heading, row)}
        found = {column: cells[f"clinical {kind} ex#{exercise[-1]}"] for column, kind in _SCORES.items()}
        return {column: math.nan if value is None else float(value) for column, value in found.items()}
    except (KeyError, ValueError, TypeError, OSError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"{table} is damaged or not a clinical assessment of KIMORE ({one_line(error)})") from error


def is_kimore(path: Path) -> bool:
    """Whether a file is named like the positions of the data set."""
    return _NAME.match(path.stem) is not None


READER = Reader("kimore", (".csv",), read_kimore, is_kimore)
