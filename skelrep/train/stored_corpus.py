"""Reads a folder written by `skelrep prepare` and checks all its numbers before training begins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.files import check_file, read_text
from skelrep.messages import one_line
from skelrep.npy import opened
from skelrep.skeletons import Skeleton
from skelrep.train.prepare import FORMAT_VERSION


class StoredCorpus(NamedTuple):
    """The content of the folder.

    Attributes:
        about: `corpus.json` without the skeleton: sources, hours, licence.
        skeleton: The skeleton of the rows.
        rows: (F, V, 3) float32 poses of all tracks, memory-mapped.
        start: (R,) first row of each track.
        length: (R,) rows of each track.
        clip: (R,) index of the clip of each track, in ascending order.
        seen: (R, V) which joints were seen in each track.
        fps: (clips,) frames per second.
    """

    about: dict[str, Any]
    skeleton: Skeleton
    rows: np.ndarray
    start: np.ndarray
    length: np.ndarray
    clip: np.ndarray
    seen: np.ndarray
    fps: np.ndarray


def read_stored(folder: Path) -> StoredCorpus:
    """Opens a prepared corpus.

    Raises:
        ValueError: if the folder has no corpus, or one of another version or a damaged one; the message names the
            fault.
    """
    if not (folder / "corpus.json").exists():
        raise ValueError(f"{folder} contains no training corpus (no corpus.json); write one with `skelrep prepare`")
    try:
        about = json.loads(read_text(folder / "corpus.json"))
        if not isinstance(about, dict) or not isinstance(about.get("skeleton"), dict):
            raise ValueError("corpus.json has no skeleton")
        if about.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format_version is {about.get('format_version')!r:.100}, not {FORMAT_VERSION}")
        sources = about.get("sources", [])
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            raise ValueError("sources in corpus.json must be a list of objects")
        skeleton = Skeleton(**{key: _tuples(value) for key, value in about.pop("skeleton").items()})
        with opened(folder / "tracks.npz") as tracks:
            start, length, clip, seen, fps = (tracks[key] for key in ("start", "length", "clip", "seen", "fps"))
        # Copy-on-write, because torch expects writable memory, although nothing is written to it.
        check_file(folder / "rows.npy")
        rows = np.load(folder / "rows.npy", mmap_mode="c", allow_pickle=False)
        stored = StoredCorpus(about, skeleton, rows, start, length, clip, seen, fps)
        if fault := _fault(stored):
            raise ValueError(fault)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise any exception in numpy, zipfile and json
        reason = f"no {one_line(error)}" if isinstance(error, KeyError) else one_line(error)
        raise ValueError(f"{folder} cannot be read as a training corpus ({reason}); prepare it again") from error
    return stored


def _fault(stored: StoredCorpus) -> str | None:
    """A description of the first fault in the numbers of a corpus; None if there is none."""
    about, skeleton, rows, start, length, clip, seen, fps = stored
    joints, tracks = len(skeleton), len(start) if start.ndim == 1 else 0
    if rows.ndim != 3 or rows.shape[1:] != (joints, 3) or rows.dtype != np.float32:
        return f"rows.npy must be float32 of shape (frames, {joints}, 3), got {rows.dtype} {rows.shape}"
    if not tracks:
        return "there is no track in tracks.npz"
    for name, column in (("start", start), ("length", length), ("clip", clip)):
        if column.shape != (tracks,) or column.dtype.kind not in "iu":
            return f"{name} must be {tracks} whole numbers, got {column.dtype} {column.shape}"
    if seen.shape != (tracks, joints) or seen.dtype.kind not in "biu":
        return f"seen must be of shape {(tracks, joints)}, got {seen.dtype} {seen.shape}"
    if fps.ndim != 1 or fps.dtype.kind not in "fiu":
        return f"fps must be a number for each clip, got {fps.dtype} {fps.shape}"
    if length.min() < 1 or start.min() < 0 or (start > len(rows) - length).any():
        return f"a track lies outside of the {len(rows)} rows"
    if clip.min() < 0 or clip.max() >= len(fps) or (np.diff(clip.astype(np.int64)) < 0).any():
        return f"clips must be 0 to {len(fps) - 1} in ascending order, got {clip.min()} to {clip.max()}"
    if not np.isfinite(fps).all() or fps.min() <= 0:
        return f"frames per second must be above 0, got {fps.min():g}"
    return None


def _tuples(value: Any) -> Any:
    """JSON lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
