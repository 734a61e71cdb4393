"""`write_table`: poses as a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelrep.files import replacing
from skelrep.messages import optional
from skelrep.poses import Poses


def write_table(poses: Poses, path: Path) -> None:
    """Writes ids, labels, persons, coordinates and scores as `.csv` or `.parquet`, in columns that `read_csv` reads.

    The skeleton's parents and the columns of `info` are not kept; skelrep's `.npz` keeps everything.

    Raises:
        ValueError: if there is no clip, or several clips have the same id.
    """
    if not len(poses):
        raise ValueError("there is no clip to write")
    if twice := [name for name, count in Counter(poses.ids).items() if count > 1]:
        raise ValueError(
            f"{len(twice)} ids are shared by several clips ({', '.join(twice[:3])}), which a table could not "
            "distinguish: give each clip its own id, or write .npz or .jsonl"
        )
    counts = [clip.shape[0] * clip.shape[1] for clip in poses.clips]
    grids = [np.indices(clip.shape[:2]).reshape(2, -1) for clip in poses.clips]
    person, frame = np.concatenate(grids, axis=1)
    columns: dict[str, np.ndarray] = {"clip": np.repeat(poses.ids, counts)}
    if poses.labels is not None:
        columns["label"] = np.repeat(poses.labels, counts)
    columns["person"] = person
    if poses.person_ids is not None:
        named = [(name or "", clip.shape[1]) for names, clip in zip(poses.person_ids, poses.clips) for name in names]
        columns["person_id"] = np.repeat([name for name, _ in named], [frames for _, frames in named])
    columns["frame"] = frame
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
    return (
        "" if np.isnan(number) else f"{number:.9g}" for number in column
    )  # nine digits distinguish any two float32 numbers
