"""From poses to tracks, the rows of a training corpus: what every process that prepares a part of a corpus runs.

A *track* is all frames of one person of a clip. A part is a file with the tracks of some input files, so that a stopped
run resumes, and memory contains one part per process.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.alignment import map_joints
from skelrep.cleaning import find_spikes, find_swaps
from skelrep.corpus.manifest import Shard
from skelrep.corpus.plan import as_pieces
from skelrep.files import replacing
from skelrep.io.labelling import Column
from skelrep.io.reading import Declared, read_pieces
from skelrep.io.report import ReadReport, Skipped
from skelrep.io.sources import Sources
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses
from skelrep.preprocess import fill_gaps
from skelrep.skeletons import Skeleton, mapping


class Tracks(NamedTuple):
    """Tracks of some clips.

    Attributes:
        skeleton: That of the rows; None if there are no poses at all.
        rows: (F, V, 3) float32 poses of all tracks, concatenated.
        length: (R,) number of rows of each track.
        clip: (R,) index of the clip of each track, in ascending order.
        seen: (R, V) which joints were seen.
        columns: For each column one value per clip: `ids`, `fps`, and perhaps `labels` and `info_<column>`.
    """

    skeleton: Skeleton | None
    rows: np.ndarray
    length: np.ndarray
    clip: np.ndarray
    seen: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def seconds(self) -> float:
        """Duration of all clips."""
        first = np.flatnonzero(np.diff(self.clip, prepend=-1))  # of each clip's tracks
        return float((self.length[first] / self.columns["fps"]).sum()) if len(first) else 0.0


def tracks_of(parts: Iterable[Poses], target: Skeleton | None, clean: bool, where: str | os.PathLike) -> Tracks:
    """The tracks of poses: gaps in time interpolated, the most active person of a clip first.

    Persons who were never seen have no track, and clips without tracks are left out.

    Args:
        parts: The poses.
        target: The skeleton to which all are mapped; None for that of the poses.
        clean: Whether to correct swapped sides and joints that jump away and back.
        where: Where the poses are from, for messages.

    Raises:
        ValueError: for poses that are two-dimensional, have no fps, or cannot be mapped; without a target, if their
            skeletons differ.
    """
    given = target is not None
    rows, length, clips_of, seen, columns = [], [], [], [], []
    clips = 0
    for poses in parts:
        target = target or poses.skeleton
        matrix = _matrix(poses, target, given, where)
        kept = []
        for i, clip in enumerate(poses.clips):
            tracks = _tracks(clip, poses.skeleton if clean else None, matrix)
            if len(tracks):
                rows.append(tracks.reshape(-1, *tracks.shape[2:]))
                length += [clip.shape[1]] * len(tracks)
                clips_of += [clips + len(kept)] * len(tracks)
                seen.append(np.asarray(~np.isnan(tracks[:, 0]).any(axis=-1)))
                kept.append(i)
        columns.append(_columns(poses[kept]))
        clips += len(kept)
    joints = 0 if target is None else len(target)
    return Tracks(
        target,
        np.concatenate([np.empty((0, joints, 3), np.float32), *rows], dtype=np.float32),
        np.array(length, dtype=np.int64),
        np.array(clips_of, dtype=np.int64),
        np.concatenate([np.empty((0, joints), bool), *seen]),
        joined(columns),
    )


def joined(columns: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns that all parts have, concatenated."""
    shared = [key for key in columns[0] if all(key in part for part in columns)] if columns else []
    return {key: np.concatenate([part[key] for part in columns]) for key in shared}


def check_skeleton(skeleton: Skeleton, before: Skeleton, where: str | os.PathLike) -> None:
    """Raises a ValueError for poses of another skeleton than those before them, if none was given for all."""
    if skeleton.joints != before.joints:
        raise ValueError(
            f"{where} has the skeleton {skeleton.name!r}, but the inputs before it have {before.name!r}; give a "
            "skeleton to map all of them to: --to common-15, or skeleton= in Python"
        )


def _matrix(poses: Poses, target: Skeleton, given: bool, where: str | os.PathLike) -> Tensor | None:
    """The mapping to `target`, None if the skeletons are equal; raises ValueError for unsuitable poses."""
    if poses.channels != 3:
        raise ValueError(f"{where} contains two-dimensional poses; a training corpus needs three dimensions")
    if poses.fps is None:
        raise ValueError(f"{where} has no frame rate; give it with --fps")
    if not given:
        check_skeleton(poses.skeleton, target, where)
    if poses.skeleton.joints == target.joints:
        return None
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
    columns = {"ids": np.array(poses.ids, dtype=str), "fps": np.full(len(poses), poses.fps, dtype=float)}
    columns |= {} if poses.labels is None else {"labels": poses.labels}
    return columns | {f"info_{key}": column for key, column in poses.info.items()}


# -- files of parts ---------------------------------------------------------------------------------------------------


class Origin(NamedTuple):
    """One input of a corpus: what was given, its files (without the list of them), and columns that are not in them."""

    given: str
    found: Sources
    columns: dict[str, Column]


@dataclass(frozen=True)
class Job:
    """What all parts of a corpus have in common; it is sent to every process.

    Attributes:
        folder: The folder of the parts.
        origins: The inputs.
        declared: What was said about the poses.
        target: The skeleton to map to, or None.
        clean: Whether swapped sides and jumping joints are corrected.
        skip: Whether files that cannot be read are left out.
    """

    folder: Path
    origins: tuple[Origin, ...]
    declared: Declared
    target: Skeleton | None
    clean: bool
    skip: bool


class Task(NamedTuple):
    """A part that is to be made: its number, its input, its files, and a digest of all that decides its content."""

    number: int
    origin: int
    shard: Shard
    digest: str


class Done(NamedTuple):
    """A finished part, as its file describes it.

    Attributes:
        task: What it was made for.
        path: Its file.
        clips: Number of its clips.
        skeleton: That of its rows; None without clips.
        skipped: What was left out.
        warnings: About its files, each once.
        used: For "label" and "subject" the ids of a table that were used, and for which file.
    """

    task: Task
    path: Path
    clips: int
    skeleton: Skeleton | None
    skipped: list[Skipped]
    warnings: list[str]
    used: dict[str, dict[str, str]]


class PartMaker:
    """Makes parts, one after the other."""

    def __init__(self, job: Job) -> None:
        """Keeps what all parts have in common."""
        self.job = job

    def make(self, task: Task) -> Done:
        """Makes a part, unless a stopped run has made it.

        Raises:
            ValueError: as `tracks_of`, and if a file cannot be read; nothing is written then.
        """
        job, path = self.job, self.job.folder / f"part-{task.digest}.npz"
        if not path.exists():
            report = ReadReport()
            origin = job.origins[task.origin]
            some, ids = as_pieces(task.shard, origin.found.root)
            found = origin.found._replace(files=list(ids), ids=ids)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                tables = {what: column.join for what, column in origin.columns.items() if column.join is not None}
                for table in tables.values():
                    table.used = {}  # of this part
                columns = list(origin.columns.values())
                poses = read_pieces(found, some, job.declared, columns, report.skip if job.skip else None)
                tracks = tracks_of(poses, job.target, job.clean, origin.given)
            said = list(dict.fromkeys(str(each.message) for each in caught))
            write_part(path, tracks, report.skipped, said, {what: table.used for what, table in tables.items()})
        about = _about(path)
        return Done(task, path, **about)


def write_part(
    path: Path,
    tracks: Tracks,
    skipped: Iterable[Skipped] = (),
    said: Iterable[str] = (),
    used: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Writes a part, which appears under its name when it is complete."""
    about = {"skipped": list(map(list, skipped)), "warnings": list(said), "used": dict(used or {})}
    about["clips"] = len(tracks.columns.get("ids", ()))
    if tracks.skeleton is not None:
        about["skeleton"] = plain_skeleton(tracks.skeleton)
    columns = {f"column_{key}": column for key, column in tracks.columns.items()}
    arrays = {"rows": tracks.rows, "length": tracks.length, "clip": tracks.clip, "seen": tracks.seen, **columns}
    with replacing(path) as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def read_part(path: Path) -> Tracks:
    """The tracks of a part."""
    with np.load(path, allow_pickle=False) as content:
        columns = {key.removeprefix("column_"): content[key] for key in content.files if key.startswith("column_")}
        rows, length, clip, seen = (content[key] for key in ("rows", "length", "clip", "seen"))
    return Tracks(_about(path)["skeleton"], rows, length, clip, seen, columns)


def plain_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as JSON values."""
    return {"name": skeleton.name, "joints": list(skeleton.joints), "parents": list(skeleton.parents)}


def _about(path: Path) -> dict[str, Any]:
    """What a part says about itself, as the fields of `Done`."""
    with np.load(path, allow_pickle=False) as content:
        about = json.loads(str(content["about"]))
    named = about.get("skeleton")
    about["skeleton"] = named and Skeleton(named["name"], tuple(named["joints"]), tuple(named["parents"]))
    about["skipped"] = [Skipped(*each) for each in about["skipped"]]
    return about
