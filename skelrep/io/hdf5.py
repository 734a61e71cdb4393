"""HDF5 files of pose trackers: SLEAP's analysis files and DeepLabCut's `.h5`, read with h5py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_pickle_bytes
from skelrep.io.timeline import timeline
from skelrep.memory_budget import bounded
from skelrep.messages import one_line, optional
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeletons import resolve


def read_hdf5(path: Path, options: ReadOptions) -> Poses:
    """Reads SLEAP's analysis `.h5` (`tracks`, `node_names`) or DeepLabCut's (`df_with_missing`), with the extra `hdf5`.

    Only lists of names are unpickled, with the allow-list that is used for `.pkl` files.

    Args:
        path: The file.
        options: `skeleton`: other names for the keypoints.

    Returns:
        One clip (M, T, V, 2 or 3) in pixels with scores, the persons in the order of the tracks.

    Raises:
        ValueError: for any other content, or a damaged file.
    """
    h5py = optional("h5py", "hdf5")
    try:
        with h5py.File(path, "r") as file:
            if "tracks" in file and "node_names" in file:
                names, persons, clip, scores = _sleap(file)
            elif (table := _table_of(file)) is not None:
                names, persons, clip, scores = _deeplabcut(table)
            else:
                raise ValueError(
                    f"it contains {', '.join(list(file)[:8]) or 'nothing'}; expected the tracks and node_names of "
                    "SLEAP's analysis files (File > Export Analysis HDF5), or the df_with_missing of DeepLabCut"
                )
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or not an HDF5 file of a pose tracker ({one_line(error)})") from error
    clip = absent_as_nan(clip)
    scores = None if scores is None else [np.nan_to_num(scores)]
    skeleton = resolve(names if options.skeleton is None else options.skeleton, len(names))
    return Poses([clip], skeleton, [path.stem], scores=scores, person_ids=[tuple(persons)] if any(persons) else None)


READER = Reader("hdf5", (".h5", ".hdf5"), read_hdf5)


def _sleap(file: Any) -> tuple[list[str], list[str | None], np.ndarray, np.ndarray | None]:
    """Names of nodes and tracks, poses, and scores, from tracks (tracks, 2, nodes, frames) as SLEAP writes them."""
    names = [_text(name) for name in file["node_names"][()]]
    tracks = file["tracks"]
    if tracks.ndim != 4 or tracks.shape[1] not in (2, 3) or tracks.shape[2] != len(names):
        raise ValueError(f"its tracks have shape {tracks.shape}; expected (tracks, 2, {len(names)} nodes, frames)")
    bounded(*tracks.shape)
    clip = np.asarray(tracks, dtype=np.float32).transpose(0, 3, 2, 1)
    scores = None
    if "point_scores" in file and file["point_scores"].shape == (len(clip), len(names), clip.shape[1]):
        scores = np.asarray(file["point_scores"], dtype=np.float32).swapaxes(1, 2)
        # Joints that were annotated or corrected by hand have no score.
        scores = np.where(np.isnan(scores) & ~np.isnan(clip).any(axis=-1), np.float32(1), scores)
    seen = ~np.isnan(clip).all(axis=(1, 2, 3))
    seen[0] |= not seen.any()
    tracked = [_text(name) for name in file["track_names"][()].ravel()] if "track_names" in file else []
    persons = [name or None for name, kept in zip(tracked, seen) if kept] if len(tracked) == len(clip) else []
    return names, persons or [None] * int(seen.sum()), clip[seen], None if scores is None else scores[seen]


def _table_of(file: Any) -> Any:
    """The table that pandas wrote, in the only group that has one."""
    return next((group["table"] for group in file.values() if hasattr(group, "keys") and "table" in group), None)


def _deeplabcut(table: Any) -> tuple[list[str], list[str | None], np.ndarray, np.ndarray | None]:
    """Rows of (index, values); attributes contain the columns' levels (scorer, perhaps individual, body part, axis)."""
    blocks, labels = [], []
    bounded(len(table), sum(int(np.prod(table.dtype[name].shape)) for name in table.dtype.names))
    for name in table.dtype.names:
        if not name.startswith("values_block"):
            continue
        levels = load_pickle_bytes(bytes(table.attrs[f"{name}_kind"]), f"the names of the columns in {table.name}")
        block = np.asarray(table[name], dtype=np.float32).reshape(len(table), -1)
        if not isinstance(levels, list) or len(levels) != block.shape[1]:
            raise ValueError("the numbers of its columns and of their names differ")
        blocks.append(block)
        labels += levels
    values = np.concatenate(blocks, axis=1)
    columns = {tuple(map(str, label[1:])): at for at, label in enumerate(labels) if isinstance(label, (tuple, list))}
    depth = {len(label) for label in columns}
    if len(depth) != 1 or not depth <= {2, 3}:
        raise ValueError("its columns have levels other than scorer, (individual,) body part and axis")
    columns = {("", *label) if len(label) == 2 else label: at for label, at in columns.items()}
    persons = list(dict.fromkeys(person for person, _, _ in columns))
    parts = _parts_of_all(columns, persons)
    axes = [axis for axis in ("x", "y", "z") if all((who, part, axis) in columns for who in persons for part in parts)]
    if len(axes) < 2 or not parts:
        raise ValueError("its columns contain no x and y of body parts")
    index = np.array([[[columns[who, part, axis] for axis in axes] for part in parts] for who in persons])
    clip = values[:, index].swapaxes(0, 1)
    scored = all((who, part, "likelihood") in columns for who in persons for part in parts)
    scores = None
    if scored:
        index = np.array([[columns[who, part, "likelihood"] for part in parts] for who in persons])
        scores = values[:, index].swapaxes(0, 1)
    if np.issubdtype(table.dtype["index"], np.integer):  # frame numbers, some of which may be missing
        line = timeline(frames=np.asarray(table["index"]))
        if len(line.position) == len(clip[0]):
            clip = line.on_grid(clip[:, np.argsort(line.moment)], axis=1)
            scores = None if scores is None else line.on_grid(scores[:, np.argsort(line.moment)], axis=1)
    return parts, [person or None for person in persons], clip, scores


def _parts_of_all(columns: dict[tuple[str, ...], int], persons: Sequence[str]) -> list[str]:
    parts = dict.fromkeys(part for _, part, _ in columns)
    return [part for part in parts if all((who, part, "x") in columns for who in persons)]


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
