"""C3D files, read by the library kept for them (ezc3d)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.layouts import missing_as_nan
from skelrep.messages import optional
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, Skeleton, custom, mapping, resolve

_METRES = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254}


def read_c3d(path: Path, options: ReadOptions) -> Poses:
    """Reads the points of a `.c3d`, if their labels are names of joints (the extra `c3d`).

    Args:
        path: The file.
        options: `skeleton`: a name for each label, in their order, where the labels are markers. Those that are joints
            are needed, others are passed over.

    Returns:
        One clip (1, T, V, 3) in metres by the file's unit, at its rate.

    Raises:
        ValueError: if the file is damaged, names no unit, or its labels are no joints (they are listed).
    """
    skeleton = options.skeleton
    ezc3d = optional("ezc3d", "c3d")
    try:
        file = ezc3d.c3d(str(path))
        about = file["parameters"]["POINT"]
        labels = [str(label).strip() for label in about["LABELS"]["value"]]
        points = np.asarray(file["data"]["points"], dtype=np.float32)[:3].T  # (T, V, 3)
        fps = float(about["RATE"]["value"][0])
        unit = str(about["UNITS"]["value"][0]).strip().lower()
    except (OSError, RuntimeError, KeyError, IndexError, MemoryError) as error:
        raise ValueError(f"{path} is damaged or no C3D file with points ({error})") from error
    if unit not in _METRES:
        raise ValueError(f"the unit of {path} is {unit!r}; known are {', '.join(_METRES)}")
    table = _joints(labels[: points.shape[1]], path) if skeleton is None else resolve(skeleton, points.shape[1])
    clip = missing_as_nan(points * _METRES[unit])[None]
    return Poses([clip], table, [path.stem], fps=fps if fps > 0 else None)


def _joints(labels: list[str], path: Path) -> Skeleton:
    try:
        table = custom(labels, name="c3d")
        mapping(table, SKELETONS["common-15"])
    except ValueError:
        raise ValueError(
            f"the {len(labels)} points of {path} are no joints by their labels: {', '.join(labels)}; pass skeleton= a "
            "name for each in this order, with shoulders, elbows, wrists, hips, knees, ankles and a head among them"
        ) from None
    return table


READER = Reader("c3d", (".c3d",), read_c3d)
