"""PKU-MMD, parts I and II: long recordings of Kinect v2 as text files, and labels of intervals in files beside them.

The formats are those of the README that comes with the data and of the data set's page (Liu et al., PKU-MMD,
arXiv:1703.07475). Part I unpacks to `Data/PKU_Skeleton_Renew/0002-L.txt`, `Label/Train_Label_PKU_final/0002-L.txt` and
`Split/cross-subject.txt`; part II has names like `A01N01-L.txt` and `cross_subject_v2.txt`. Some copies have other
folders, so files are recognised by their names and contents, not by their folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from skelrep.files import read_text
from skelrep.io.reader import Reader, ReadOptions
from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.skeletons import resolve

JOINTS = 25
NUMBERS = 2 * JOINTS * 3  # a frame: two persons
_NAME = re.compile(r"(?:\d{4}|A\d\dN(?P<subject>\d\d))-(?P<camera>[LMR])")  # parts I and II
_SPLIT = re.compile(r"cross[-_](?P<by>subject|view)\w*", re.IGNORECASE)


def read_pku(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Raises an error, because a single file lacks either the labels or the poses.

    Raises:
        ValueError: always; the message says what to pass instead.
    """
    raise ValueError(f"{path} is a single file; pass the folder that contains the skeletons and the labels of PKU-MMD")


def read_pku_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads all labelled intervals of many recordings, recording by recording.

    Args:
        folder: The folder that contains the files, perhaps in folders below it.
        files: Skeletons, labels and lists of the splits.
        options: `skeleton`: another skeleton of 25 joints, by default "ntu-25". `splits`: read only the recordings in
            all of these splits ("xsub_train", "xview_val" ...).

    Yields:
        Clips (M, T, 25, 3) in metres at 30 frames per second, with the one or two persons who are seen; NaN where a
        joint was not seen. A clip has the frames start, ..., end - 1 of its label, counted from 0: the README does not
        say how they are counted, and other public readers use this slice. Labels are those of the data set minus 1.
        Columns of `info`: `recording`; `camera` ("L", "M", "R"); `part` (1 or 2); `subject` if all recordings are of
        part II, whose names contain it; `xsub_train` / `xsub_val` if the list of the split exists; and `xview_train` /
        `xview_val` by the list or, without one, by camera (M and R train, L validates). Recordings without a label
        file, label files without a recording, and intervals in which nobody is seen are left out with one warning.

    Raises:
        ValueError: for a malformed file, with path and line; if there is nothing to read.
    """
    table = resolve("ntu-25" if options.skeleton is None else options.skeleton, JOINTS)
    skeletons, labels = _by_kind(files)
    names = sorted(skeletons.keys() & labels.keys())
    if not names:
        raise ValueError(
            f"{folder} contains {len(skeletons)} skeleton files and {len(labels)} label files of PKU-MMD, but no two "
            "with the same name; expected both, such as PKU_Skeleton_Renew/0002-L.txt and "
            "Train_Label_PKU_final/0002-L.txt"
        )
    columns = _columns(names, _lists(files))
    known = [split for split in options.splits if split in columns]
    members = np.logical_and.reduce([np.ones(len(names), bool), *(columns[split] for split in known)])
    if not members.any() and options.ids is None:
        wanted = " and ".join(map(repr, known))
        raise ValueError(f"no clip of {folder} is in the split{'s' * (len(known) > 1)} {wanted}")
    unseen = 0
    hidden = True if options.ids is not None else None  # a corpus has its own progress bar
    for i, name in enumerate(tqdm(names, desc="read", unit="file", delay=1, disable=hidden)):
        if not members[i]:
            continue
        bodies = _bodies(skeletons[name])
        clips, classes, ids = [], [], []
        for label, start, end in _intervals(labels[name]):
            clip = bodies[:, start:end]
            clip = clip[~np.isnan(clip).all(axis=(1, 2, 3))]
            if not clip.size:
                unseen += 1
                continue
            clips.append(clip)
            classes.append(label)
            ids.append(f"{name}_{start}")
        if clips:
            info = {key: np.repeat(column[i], len(clips)) for key, column in columns.items()}
            yield Poses(clips, table, ids, np.array(classes), 30.0, info=info)
    reasons = []
    if alone := len(skeletons.keys() ^ labels.keys()):
        reasons.append(f"{alone} recordings with only skeletons or only labels")
    if unseen:
        reasons.append(f"{unseen} intervals in which nobody is seen")
    if reasons:
        warn(f"left out of {folder}: {' and '.join(reasons)}")


def sniff(path: Path) -> bool:
    """Whether a file is named like a recording."""
    return _NAME.fullmatch(path.stem) is not None


def collect(files: Sequence[Path]) -> list[Path]:
    """The files that are named like recordings or lists of the splits, if there is a recording."""
    texts = [file for file in files if file.suffix.lower() == ".txt"]
    mine = [file for file in texts if sniff(file) or _SPLIT.fullmatch(file.stem)]
    return mine if any(map(sniff, mine)) else []


def divide(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Each recording separately: its skeletons, its labels and the lists of the splits; a warning counts the others."""
    skeletons, labels = _by_kind(files)
    if alone := len(skeletons.keys() ^ labels.keys()):
        warn(f"left out: {alone} recordings with only skeletons or only labels")
    lists = [file for file in files if _SPLIT.fullmatch(file.stem)]
    for name in sorted(skeletons.keys() & labels.keys()):
        yield [skeletons[name], labels[name], *lists]


def _by_kind(files: Sequence[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of skeletons and of labels, by recording; empty ones do not count."""
    files = [file for file in sorted(files) if sniff(file) and file.stat().st_size]
    kinds: tuple[dict[str, Path], dict[str, Path]] = {}, {}
    for _, group in groupby(files, key=lambda file: file.parent):
        members = {file.stem: file for file in group}
        with next(iter(members.values())).open(encoding="ascii", errors="replace") as file:
            kinds["," in file.readline()].update(members)
    return kinds


def _lists(files: Sequence[Path]) -> dict[str, set[str]]:
    """The recordings of every split whose list exists: "xsub_train", "xsub_val", "xview_train", "xview_val".

    A list has two headings, for training and validation "videos" (spelled "Validataion"), each followed by its names.
    """
    found: dict[str, set[str]] = {}
    for file in sorted(files):
        if not (match := _SPLIT.fullmatch(file.stem)):
            continue
        benchmark, half = "xsub" if match["by"].lower() == "subject" else "xview", None
        for number, line in enumerate(read_text(file, "ascii", errors="replace").splitlines(), start=1):
            if heading := re.search("train|valid|test", line, re.IGNORECASE):
                half = "train" if heading[0].lower() == "train" else "val"
            if members := {match[0] for match in _NAME.finditer(line)}:
                if half is None:
                    raise ValueError(f"{file}, line {number}: names precede the heading 'Training videos:'")
                found.setdefault(f"{benchmark}_{half}", set()).update(members)
    return found


def _columns(names: list[str], lists: dict[str, set[str]]) -> dict[str, np.ndarray]:
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    camera = np.array([match["camera"] for match in matches])
    subjects = [match["subject"] for match in matches]
    columns = {"recording": np.array(names), "camera": camera, "part": np.array([1 + bool(s) for s in subjects])}
    if all(subjects):
        columns["subject"] = np.array(subjects, dtype=int)
    columns |= {"xview_train": camera != "L", "xview_val": camera == "L"}
    return columns | {split: np.array([name in members for name in names]) for split, members in lists.items()}


def _intervals(path: Path) -> list[tuple[int, int, int]]:
    """The lines of a label file: (label from 0, start, end); the fourth field, a confidence, is not used."""
    intervals = []
    for number, line in enumerate(read_text(path, "ascii", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4 or not all(field.isdecimal() for field in fields[:3]) or int(fields[0]) < 1:
            raise ValueError(
                f"{path}, line {number}: got {line[:40]!r}, expected the numbers 'label (from 1), start, end, "
                "confidence'"
            )
        label, start, end = map(int, fields[:3])
        intervals.append((label - 1, start, end))
    return intervals


def _bodies(path: Path) -> np.ndarray:
    """Both persons of a recording, (2, T, 25, 3), NaN where a joint was not seen."""
    try:
        rows = np.loadtxt(path, dtype=np.float32, comments=None, ndmin=2, encoding="ascii")
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape[1] != NUMBERS:
        raise _fault(path)
    bodies = np.ascontiguousarray(rows.reshape(-1, 2, JOINTS, 3).swapaxes(0, 1))
    bodies[(bodies == 0).all(axis=-1)] = np.nan  # Kinect writes the origin for what it does not see
    return bodies


def _fault(path: Path) -> ValueError:
    """The error for a file that does not have 150 numbers in each line."""
    for number, line in enumerate(read_text(path, "ascii", errors="replace").splitlines(), start=1):
        fields = line.split()
        if fields and len(fields) != NUMBERS:
            return ValueError(
                f"{path}, line {number}: a frame has {len(fields)} numbers; expected {NUMBERS}, two persons of "
                f"{JOINTS} joints"
            )
        try:
            np.array(fields, dtype=np.float32)
        except ValueError:
            return ValueError(f"{path}, line {number}: got {line.strip()[:40]!r}, expected {NUMBERS} numbers")
    return ValueError(f"{path} contains no frames")


READER = Reader("pku", (".txt",), read_pku, sniff, collect, read_pku_folder, divide=divide)
