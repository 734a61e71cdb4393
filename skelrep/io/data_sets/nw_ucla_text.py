"""NW-UCLA Multiview Action 3D (Wang, Nie, Xia, Wu, Zhu, CVPR 2014) in its original files, Kinect v1.

Each recording is a folder `view_1/a01_s01_e00` with a file `frame_0_tc_1234_skeletons.txt` for each frame: a line about
the body, then a line "x, y, z, state" for each of 20 joints, and the same for further bodies. A file without a body is
empty. The files come without a description; the layout follows the loaders of PA-ResGCN and other authors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from skelrep.files import read_text
from skelrep.io.data_sets.clips import clip_of
from skelrep.io.nw_ucla import about
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.timeline import timeline
from skelrep.poses import Poses

JOINTS = 20
_FRAME = re.compile(r"frame_(\d+)_tc_\d+_skeletons", re.IGNORECASE)
_LIST = "filelist.txt"  # lists the frames again
_STATES = 2.0  # of tracking: 0 not tracked, 1 inferred, 2 tracked


def read_nw_ucla_frame(path: Path, options: ReadOptions) -> Poses:
    """The clip of a single frame.

    Raises:
        ValueError: if it shows nobody, or has another structure.
    """
    return _recording([path], path.stem, options)


def read_nw_ucla_folder(folder: Path, files: Sequence[Path], options: ReadOptions) -> Iterator[Poses]:
    """Reads recordings, each a folder of frames.

    Args:
        folder: The folder that is read.
        files: The files in it that `collect` chose.
        options: `skeleton`: another order of the joints than "kinect-20".

    Yields:
        A clip (1, T, 20, 3) in metres for each recording, with the first body of each frame and its tracking state as
        scores; frames without a body are NaN. The name of the folder gives the action as label (1 to 12, without 7 and
        10), and the columns `subject`, `repetition`, `camera`, `train` (cameras 1 and 2) and `test`.

    Raises:
        ValueError: for a file with another structure.
    """
    frames = sorted(file for file in files if _FRAME.match(file.stem))
    for folder_of_frames, recording in groupby(frames, key=lambda file: file.parent):
        try:
            yield _recording(list(recording), folder_of_frames.relative_to(folder).as_posix(), options)
        except ValueError as error:
            if options.skip is None:
                raise
            options.skip(folder_of_frames, error)


def is_nw_ucla_frame(path: Path) -> bool:
    """Whether a file is named like the frames of the data set."""
    return _FRAME.match(path.stem) is not None


def collect(files: Sequence[Path]) -> list[Path]:
    """The frames, and the lists next to them."""
    frames = [file for file in files if file.suffix.lower() == ".txt" and is_nw_ucla_frame(file)]
    folders = {file.parent for file in frames}
    return frames + [file for file in files if file.name.lower() == _LIST and file.parent in folders]


READER = Reader("nw-ucla-text", (".txt",), read_nw_ucla_frame, is_nw_ucla_frame, collect, read_nw_ucla_folder)


def _recording(files: Sequence[Path], name: str, options: ReadOptions) -> Poses:
    cells = np.stack([_frame(file) for file in files])
    if np.isnan(cells).all():
        raise ValueError(f"nobody is seen in any of the {len(files)} frames of {name}")
    numbers = [int(found[1]) for file in files if (found := _FRAME.match(file.stem))]
    line = timeline(frames=numbers)
    cells = line.on_grid(cells[np.argsort(line.moment)])
    view = next((folder.name for folder in files[0].parents if re.fullmatch(r"view_\d", folder.name)), "")
    label, info = about(files[0].parent.name + view.replace("view_", "_v"))
    scores = np.nan_to_num(cells[..., 3]) / _STATES
    return clip_of(
        files[0], cells[..., :3], "kinect-20", options, fps=None, label=label, scores=scores, ids=name, **info
    )


def _frame(path: Path) -> np.ndarray:
    """x, y, z and the state (20, 4) of the first body; NaN if there is none.

    Raises:
        ValueError: if the lines are different.
    """
    lines = read_text(path, errors="replace").splitlines()[1:]
    rows = [line.replace(",", " ").split() for line in lines[:JOINTS]]
    if not any(rows):
        return np.full((JOINTS, 4), np.nan)
    try:
        cells = np.array(rows, dtype=float)
    except ValueError:
        cells = np.empty(0)
    if cells.shape != (JOINTS, 4):
        raise ValueError(f"{path} is not a frame of NW-UCLA: expected a line and {JOINTS} lines of x, y, z and a state")
    return cells
