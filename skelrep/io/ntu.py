"""NTU RGB+D: the `.skeleton` text files of Kinect v2, and the information in their names.

The choice of bodies affects results. Kinect gives each tracked body an id. 2s-AGCN, CMD and related code ignore the id:
they put the bodies of each frame in file order into four slots and keep the two slots with the highest motion energy,
so that two persons can be swapped within a clip when one of them is lost. This reader follows each body by its id
through the whole recording and keeps the two bodies with the highest motion energy. If every frame lists the same
bodies in the same order, which is usual, both give the same result.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from skelrep.files import read_text
from skelrep.io.reader import Reader, ReadOptions
from skelrep.messages import warn
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses
from skelrep.skeletons import resolve

JOINTS = 25
FIELDS = 12  # x y z, depth x y, colour x y, orientation w x y z, tracking state
PART = 2000  # files in memory at a time, about 100 MB
BODIES = 2  # no action of the data set has more; others are passers-by and false detections

# Liu et al., NTU RGB+D 120 (TPAMI 2020). Those up to 40 are the training subjects of NTU RGB+D (60).
TRAINING_SUBJECTS = (
    *(1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56),
    *(57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


def read_ntu(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads one `.skeleton` file, even one that the benchmarks exclude.

    Args:
        path: The file.
        options: `skeleton`: another skeleton of 25 joints, by default "ntu-25".

    Yields:
        One clip, in the form of `read_ntu_folder`.

    Raises:
        ValueError: for a malformed file, with path and line; if no frame has a body.
    """
    return _read(path, [path], [path], options)


def read_ntu_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads many `.skeleton` files, `PART` files at a time.

    The samples that the benchmarks exclude (`incomplete`) and files without bodies are left out, with one warning that
    counts them.

    Args:
        folder: The folder that contains them, perhaps in folders below it.
        files: The files.
        options: `skeleton`: another skeleton of 25 joints, by default "ntu-25". `splits`: read only the files in all of
            these splits ("ntu60", "xsub_train", "xview_val" ...).

    Yields:
        Clips (M, T, 25, 3) in metres at 30 frames per second, with at most two bodies in the order of decreasing motion
        energy. T is the number of frames of the file; NaN where a body or joint was not seen. If all names have NTU's
        pattern SsssCcccPpppRrrrAaaa: labels (aaa - 1, from 0) and the columns of `columns_of`.

    Raises:
        ValueError: for a malformed file, with path and line; if no file contains a body.
    """
    columns = columns_of([file.stem for file in files]) if options.splits else {}
    if known := [split for split in options.splits if split in columns]:
        members = np.logical_and.reduce([columns[split] for split in known])
        if not members.any() and options.ids is None:
            names = " and ".join(map(repr, known))
            raise ValueError(f"no clip of {folder} is in the split{'s' * (len(known) > 1)} {names}")
        files = [file for file, member in zip(files, members, strict=True) if member]
    yield from _read(folder, files, [file for file in files if file.stem not in incomplete()], options)


def _read(path: Path, files: Sequence[Path], complete: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """The clips of those files that are complete; a warning counts the others."""
    table = resolve("ntu-25" if options.skeleton is None else options.skeleton, JOINTS)
    stems = ids = [file.stem for file in complete]
    if options.ids is not None:
        ids = [options.ids[file] for file in complete]
    elif len(set(stems)) < len(stems):
        ids = [file.relative_to(path).with_suffix("").as_posix() for file in complete]
    labels, columns = labels_of(stems), columns_of(stems)
    empty = []
    hidden = True if options.ids is not None else None  # a corpus has its own progress bar
    numbered = iter(tqdm(enumerate(complete), total=len(complete), desc="read", unit="file", delay=1, disable=hidden))
    while some := list(itertools.islice(numbered, PART)):
        part = [(i, clip) for i, file in some if (clip := _bodies_or_none(file, options)) is not None]
        empty += [complete[i] for i, clip in part if not len(clip)]
        clips = [clip for _, clip in part if len(clip)]
        rows = [i for i, clip in part if len(clip)]
        if rows:
            yield Poses(
                clips,
                table,
                [ids[i] for i in rows],
                None if labels is None else labels[rows],
                30.0,
                info={key: column[rows] for key, column in columns.items()},
            )
    if len(empty) == len(complete) and options.ids is None:
        raise ValueError(f"no frame of {path} has a body" if len(files) == 1 else f"no file in {path} has a body")
    reasons = []
    if listed := len(files) - len(complete):
        reasons.append(f"{listed} on the benchmark's list of incomplete skeletons")
    if empty:
        names = ", ".join(file.name for file in empty[:10]) + (", ..." if len(empty) > 10 else "")
        reasons.append(f"{len(empty)} without any body ({names})")
    if reasons:
        warn(f"left out of the {len(files)} files of {path}: {', '.join(reasons)}")


def _bodies_or_none(file: Path, options: ReadOptions) -> np.ndarray | None:
    try:
        return read_bodies(file)
    except (ValueError, OSError) as error:
        if options.skip is None:
            raise
        options.skip(file, error)
        return None


@functools.cache
def incomplete() -> frozenset[str]:
    """Names of the samples that the benchmarks leave out: 302 of NTU RGB+D, and 233 of what NTU RGB+D 120 adds."""
    return frozenset(Path(__file__).with_name("ntu_missing.txt").read_text(encoding="ascii").splitlines()[1:])


def labels_of(names: Sequence[str]) -> np.ndarray | None:
    """Class numbers (N,), from 0, that NTU names give; None if a name has another pattern."""
    matches = [_NAME.fullmatch(name) for name in names]
    if not names or not all(matches):
        return None
    return np.array([int(match[5]) - 1 for match in matches if match])


def columns_of(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns from NTU names, (N,) each: setup, camera, subject, replication, and membership of the official splits.

    `xsub_train` / `xsub_val` are the benchmark of both NTU-60 and NTU-120, `xview_*` of NTU-60 (cameras 2 and 3
    train), `xset_*` of NTU-120 (even setups train). `ntu60` marks the clips of NTU-60 (setups 1 to 17), which NTU-120
    extends. Empty if a name has another pattern.
    """
    matches = [_NAME.fullmatch(name) for name in names]
    if not names or not all(matches):
        return {}
    setup, camera, subject, replication, _ = np.array([list(map(int, match.groups())) for match in matches if match]).T
    training = {
        "xsub": np.isin(subject, TRAINING_SUBJECTS),
        "xview": np.isin(camera, (2, 3)),
        "xset": setup % 2 == 0,
    }
    columns = {"setup": setup, "camera": camera, "subject": subject, "replication": replication}
    columns["ntu60"] = setup <= 17
    for benchmark, members in training.items():
        columns |= {f"{benchmark}_train": members, f"{benchmark}_val": ~members}
    return columns


def read_bodies(path: Path) -> np.ndarray:
    """The bodies of one file in the order of decreasing motion energy, (M, T, 25, 3) with M from 0 to `BODIES`.

    Raises:
        ValueError: for a malformed file, with path and line.
    """
    lines = read_text(path, "ascii", errors="replace").rstrip().splitlines()
    at = 0  # lines read so far

    def line(what: str) -> str:
        nonlocal at
        if at == len(lines):
            raise ValueError(f"{path}, line {at + 1}: the file ends before {what}; it is truncated")
        at += 1
        return lines[at - 1].strip()

    def number(what: str) -> int:
        if not (text := line(what)).isdecimal():
            raise ValueError(f"{path}, line {at}: got {text[:40]!r}, expected {what}, a whole number")
        return int(text)

    frames = number("the number of frames")
    rows: list[str] = []  # the lines of joints, 25 per body
    first: list[int] = []  # the number of the first line of each 25
    bodies: dict[str, int] = {}  # id to index; ids have 17 digits, too many for a float
    slots: list[tuple[int, int]] = []  # (body, frame) of each 25
    for frame in range(frames):
        for _ in range(number(f"frame {frame}'s number of bodies")):
            body = line("a body's id").partition(" ")[0]
            if (joints := number("the number of joints")) != JOINTS:
                raise ValueError(f"{path}, line {at}: a body has {joints} joints; expected {JOINTS}")
            first.append(at + 1)
            rows += lines[at : at + JOINTS]
            at += JOINTS
            if at > len(lines):
                raise ValueError(f"{path}, line {len(lines) + 1}: the file ends within frame {frame}; it is truncated")
            slots.append((bodies.setdefault(body, len(bodies)), frame))
    if at < len(lines):
        raise ValueError(f"{path}, line {at + 1}: more lines follow the {frames} frames that the file states")
    if not rows:
        return np.empty((0, frames, JOINTS, 3), np.float32)

    def fault(row: int, what: str) -> ValueError:
        return ValueError(f"{path}, line {first[row // JOINTS] + row % JOINTS}: {what}")

    for row, text in enumerate(rows):
        if len(text.split()) != FIELDS:
            raise fault(row, f"a joint has {len(text.split())} numbers; expected {FIELDS}")
    try:  # numpy's parser, because a file contains about 40 000 numbers, a quarter of which are needed
        points = np.loadtxt(rows, dtype=np.float32, comments=None, usecols=(0, 1, 2), ndmin=2)
    except ValueError:
        for row, text in enumerate(rows):
            try:
                np.array(text.split()[:3], dtype=np.float32)
            except ValueError:
                raise fault(row, f"got {text[:60]!r}, expected x, y, z of a joint") from None
        raise
    clip = np.full((len(bodies), frames, JOINTS, 3), np.nan, dtype=np.float32)
    clip[tuple(np.array(slots).T)] = points.reshape(-1, JOINTS, 3)
    clip[(clip == 0).all(axis=-1)] = np.nan  # Kinect writes the origin for a joint that it does not see
    clip = clip[~np.isnan(clip).all(axis=(1, 2, 3))]
    return clip[np.argsort(-coordinate_energy(clip), kind="stable")[:BODIES]]


def collect(files: Sequence[Path]) -> list[Path]:
    """All `.skeleton` files."""
    return [file for file in files if file.suffix.lower() == ".skeleton"]


def divide(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Each file separately, without those that the benchmarks leave out, which a warning counts."""
    complete = [file for file in files if file.stem not in incomplete()]
    if listed := len(files) - len(complete):
        warn(f"left out of the {len(files)} files: {listed} on the benchmark's list of incomplete skeletons")
    return ([file] for file in complete)


READER = Reader("ntu", (".skeleton",), read_ntu, collect=collect, read_many=read_ntu_folder, divide=divide)
