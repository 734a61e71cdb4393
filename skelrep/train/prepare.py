"""Writes files of poses as a training corpus: a folder that training memory-maps."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import map_joints
from skelrep.cleaning import find_spikes, find_swaps
from skelrep.files import naming
from skelrep.io import read_parts
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses
from skelrep.preprocess import fill_gaps
from skelrep.skeletons import Skeleton, mapping, resolve

FORMAT_VERSION = 1


def prepare(
    inputs: Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    splits: Sequence[str] = (),
    licence: str | None = None,
    clean: bool = False,
    reader: Callable[..., Iterable[Poses]] = read_parts,
) -> dict[str, Any]:
    """Writes a training corpus.

    A *track* is all frames of one person of a clip. Persons who were never seen have no track, and clips without tracks
    are left out. The folder contains

    - `rows.npy` (F, V, 3) float32: all tracks, concatenated. Gaps in time are interpolated; NaN marks a joint that was
      never seen in the track. Tracks of a clip are adjacent, the most active person first.
    - `tracks.npz`: for R tracks `start` (R,) the first row, `length` (R,) the number of rows, `clip` (R,) the index of
      the clip, `seen` (R, V) which joints were seen; for N clips `ids`, `fps`, and those of `labels` and
      `info_<column>` that all inputs have, each (N,).
    - `corpus.json`: `format_version`, `skeleton` (name, joints, parents), `sources` (name, clips and hours of each
      input, in order), `licence` and the `hours` of all clips.

    The folder is written under a temporary name and renamed, so a folder of the final name is always complete. Memory
    contains one part of `reader` at a time: about 2000 files of an NTU folder.

    Args:
        inputs: Files and folders of three-dimensional poses, patterns, and "@FILE" or "-" with a path on each line, as
            `skelrep.read` takes them; each is one source.
        folder: The folder to write; must not exist or be empty.
        skeleton: The skeleton to which all poses are mapped by joint name; by default that of the inputs.
        splits: Keep the clips that are members of all of these ("ntu60", "xsub_train").
        licence: Licence of the data, for the cards of models trained on it.
        clean: Whether to correct swapped left and right sides and to interpolate joints that jump away and back, as
            encoders with `undo_swaps` and `remove_spikes` do.
        reader: Called with an input and `split=splits`; for other options, pass a `partial` of
            `skelrep.io.read_parts`.

    Returns:
        The content of `corpus.json`.

    Raises:
        FileNotFoundError: if an input or the parent of `folder` does not exist.
        FileExistsError: if `folder` exists and is not empty.
        ValueError: if an input cannot be read, is two-dimensional, has no fps or cannot be mapped; if the inputs'
            skeletons differ and none is given; if no input shows a person.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not an empty folder; remove it or choose another name")
    target = None if skeleton is None else resolve(skeleton)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        corpus = Path(scratch) / folder.name
        corpus.mkdir()
        with naming(folder):
            about = _write(corpus, inputs, target, splits, clean, reader)
            about |= {"licence": licence, "hours": sum(source["hours"] for source in about["sources"])}
            (corpus / "corpus.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # only on POSIX, a rename can replace an empty folder
        corpus.rename(folder)
    return about


def _write(
    corpus: Path,
    inputs: Sequence[str | os.PathLike],
    target: Skeleton | None,
    splits: Sequence[str],
    clean: bool,
    reader: Callable[..., Iterable[Poses]],
) -> dict[str, Any]:
    """Writes rows and tracks; returns the format, the skeleton and the sources."""
    given = target is not None
    lengths: list[int] = []  # of tracks
    clip_of: list[int] = []
    seen: list[np.ndarray] = []  # of each clip
    columns: list[dict[str, np.ndarray]] = []  # of each part
    sources: list[dict[str, Any]] = []
    clips = 0
    with (corpus / "rows.npy").open("wb") as file:
        for path in inputs:
            source = {"name": _name(path), "clips": 0, "hours": 0.0}
            sources.append(source)
            for poses in reader(path, split=splits):
                target = target or poses.skeleton
                matrix = _matrix(poses, target, given, path)
                if file.tell() == 0:
                    _write_header(file, 0, target)
                kept = []
                for i, clip in enumerate(poses.clips):
                    tracks = _tracks(clip, poses.skeleton if clean else None, matrix)
                    if len(tracks):
                        file.write(np.ascontiguousarray(tracks, dtype="<f4").data)
                        lengths += [clip.shape[1]] * len(tracks)
                        clip_of += [clips + len(kept)] * len(tracks)
                        seen.append(np.asarray(~np.isnan(tracks[:, 0]).any(axis=-1)))
                        kept.append(i)
                        source["hours"] += clip.shape[1] / poses.fps / 3600  # type: ignore[operator]
                columns.append(_columns(poses[kept]))
                source["clips"] += len(kept)
                clips += len(kept)
        if target is None or not clips:
            raise ValueError(f"no person in {', '.join(map(str, inputs)) or 'no input'}: nothing to write")
        _write_header(file, sum(lengths), target)
    length = np.array(lengths)
    shared = [key for key in columns[0] if all(key in part for part in columns)]
    arrays = {key: np.concatenate([part[key] for part in columns]) for key in shared}
    arrays |= {
        "start": length.cumsum() - length,
        "length": length,
        "clip": np.array(clip_of),
        "seen": np.concatenate(seen),
    }
    np.savez(corpus / "tracks.npz", **arrays)  # type: ignore[arg-type]
    skeleton = {"name": target.name, "joints": list(target.joints), "parents": list(target.parents)}
    return {"format_version": FORMAT_VERSION, "skeleton": skeleton, "sources": sources}


def _name(source: str | os.PathLike) -> str:
    """The name of a file or folder; a pattern or list as it was given."""
    path = Path(source).expanduser().absolute()
    return path.name if path.is_dir() else path.stem if path.is_file() else str(source)


def _write_header(file: BinaryIO, rows: int, skeleton: Skeleton) -> None:
    """Writes the header of `rows.npy`; numpy pads it so that it has the same size whatever the number of rows."""
    file.seek(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, len(skeleton), 3)}
    np.lib.format.write_array_header_1_0(file, header)


def _matrix(poses: Poses, target: Skeleton, given: bool, path: str | os.PathLike) -> Tensor | None:
    """The mapping to `target`, None if the skeletons are equal; raises ValueError for unsuitable poses."""
    if poses.channels != 3:
        raise ValueError(f"{path} contains two-dimensional poses; a training corpus needs three dimensions")
    if poses.fps is None:
        raise ValueError(f"{path} has no frame rate; give it with --fps")
    if poses.skeleton.joints == target.joints:
        return None
    if not given:
        raise ValueError(
            f"{path} has the skeleton {poses.skeleton.name!r}, but the inputs before it have {target.name!r}; give a "
            "skeleton to map all of them to: --to common-15, or skeleton= in Python"
        )
    return torch.from_numpy(mapping(poses.skeleton, target))


def _tracks(clip: np.ndarray, cleaned: Skeleton | None, matrix: Tensor | None) -> np.ndarray:
    """The persons of a clip (M, T, V, C) who were seen, most active first, gaps interpolated: (R, T, W, C)."""
    clip = clip[np.argsort(-coordinate_energy(clip), kind="stable")]
    persons, frames, *pose = clip.shape
    rows, starts, lengths = clip.reshape(-1, *pose), np.arange(persons) * frames, np.full(persons, frames)
    if cleaned is not None:
        joints = np.arange(len(cleaned)) if matrix is None else matrix.any(dim=0).nonzero()[:, 0].numpy()
        swapped = find_swaps(rows, starts, lengths, cleaned, joints)
        rows[swapped] = rows[swapped][:, cleaned.mirror]
        rows[find_spikes(rows, starts, lengths, joints)] = np.nan
    fill_gaps(rows, starts, lengths)
    if matrix is not None:
        rows = map_joints(torch.from_numpy(rows), matrix).numpy()
    tracks = rows.reshape(persons, frames, *rows.shape[1:])
    # A joint that is seen in any frame now has a position in every frame.
    return tracks[~np.isnan(tracks[:, 0]).any(axis=-1).all(axis=-1)]


def _columns(poses: Poses) -> dict[str, np.ndarray]:
    """The columns of the clips: ids, fps, labels and info."""
    columns = {"ids": np.array(poses.ids, dtype=str), "fps": np.full(len(poses), poses.fps)}
    columns |= {} if poses.labels is None else {"labels": poses.labels}
    return columns | {f"info_{key}": column for key, column in poses.info.items()}
