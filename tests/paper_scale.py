"""Made-up copies of NTU RGB+D 60 and 120 and of PKU-MMD I: their names, numbers of files, sizes and text formats.

    python -m tests.paper_scale OUT [--sets ntu60 ntu120 pku] [--distinct 4000] [--frames 80] [--every 1]

Real copies cannot be published. The persons are made up: a person walks on the spot, at another speed in every file. To
save space, only some files of a set have contents of their own; the other names are hard links to them. Every name is
read and parsed as if it were a file of its own, but the system may keep all contents in its cache.

The names of NTU RGB+D follow from its structure: every subject of a setup performs each action twice before each of
three cameras. The table of subjects is that of the names that public preprocessing code lists, and of the lists of
incomplete samples (https://github.com/shahroudy/NTURGB-D). Numbers of PKU-MMD I: its README and data set page (1076
recordings, 5 312 580 frames, 21 545 intervals) and Liu et al., arXiv:1703.07475 (944 and 132 recordings of the
cross-subject split, 717 and 359 of the cross-view split). Which recordings are in the cross-subject split is made up.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.bodies import walking

CAMERAS, REPLICATIONS = (1, 2, 3), (1, 2)
NTU60_SUBJECTS = {
    1: (1, 2, 3, 4, 5, 6, 7, 8),
    2: (3, 7, 8, 9, 10, 11, 12, 13, 14),
    3: (1, 2, 7, 8, 15, 16, 17, 18, 19),
    4: (3, 7, 8, 20),
    5: (4, 10, 13, 15, 16, 17, 18, 21),
    6: (1, 7, 8, 15, 16, 17, 19, 22, 23, 24),
    7: (1, 7, 8, 15, 16, 17, 18, 19, 25, 26, 27, 28),
    8: (1, 7, 8, 15, 19, 25, 29, 30, 31, 32, 33, 34, 35, 36),
    9: (7, 8, 15, 16, 17, 19, 25),
    10: (7, 8, 13, 15, 16, 17, 18, 19, 21, 25),
    11: (1, 2, 7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 38),
    12: (7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37),
    13: (7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37),
    14: (7, 8, 15, 17, 19, 25, 27, 37, 39),
    15: (7, 8, 15, 16, 17, 19, 25, 37),
    16: (7, 8, 19, 21, 25, 39, 40),
    17: (3, 7, 8, 9, 15, 16, 17, 20),
}
NTU120_SUBJECTS = {  # what NTU RGB+D 120 adds
    18: (8, 41, 42, 43, 44, 45),
    19: (8, 41, 42, 46, 47, 48, 49, 50, 51),
    20: (8, 41, 43, 44, 52, 53, 54),
    21: (55, 56, 57, 58, 59, 60),
    22: (61, 62, 63, 64, 65, 66, 67),
    23: (55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68),
    24: (57, 60, 61, 62, 63, 64, 67),
    25: (55, 56, 58, 59, 65, 66, 68),
    26: (8, 41, 44, 49, 50, 51, 69, 70, 71, 72, 74, 75, 76, 77),
    27: (6, 8, 11, 41, 43, 44, 78, 79, 80, 81, 82, 83, 84, 85, 86),
    28: (8, 41, 42, 43, 46, 48, 70, 73, 87),
    29: (6, 8, 41, 43, 44, 48, 49, 51, 67, 74, 75, 80, 88, 89, 90),
    30: (8, 11, 41, 43, 44, 48, 67, 75, 76, 81, 85, 88, 91, 92, 93, 94, 95, 96),
    31: (6, 8, 41, 42, 43, 44, 51, 67, 82, 85, 96, 97, 98, 99, 100, 101),
    32: (8, 41, 43, 44, 67, 102, 103, 104, 105, 106),
}
FRAMES = 80  # of a file, on average: 260 kB of text, as the public samples of NTU RGB+D have
INTERACTIONS = {*range(50, 61), *range(106, 121)}  # actions of two persons

PKU_RECORDINGS, PKU_FRAMES, PKU_INTERVALS, PKU_ACTIONS = 1076, 5_312_580, 21_545, 51
PKU_DISTINCT = 32  # recordings of 7 MB with contents of their own


def ntu_names(extended: bool = False) -> list[str]:
    """All 56 880 names of NTU RGB+D 60, or the 114 480 of NTU RGB+D 120, in order."""
    setups = [(setup, of, range(1, 61)) for setup, of in NTU60_SUBJECTS.items()]
    if extended:
        setups += [(setup, of, range(61, 121)) for setup, of in NTU120_SUBJECTS.items()]
    return [
        f"S{setup:03}C{camera:03}P{subject:03}R{replication:03}A{action:03}"
        for setup, subjects, actions in setups
        for camera in CAMERAS
        for subject in subjects
        for replication in REPLICATIONS
        for action in actions
    ]


def skeleton_file(seed: int, persons: int, mean: int = FRAMES) -> str:
    """The text of a `.skeleton` file: about `mean` frames of one or two persons, with all twelve numbers of a joint."""
    rng = np.random.default_rng(seed)
    frames = int(mean * np.clip(rng.normal(1, 0.3), 0.3, 3.5))
    blocks = []
    for person in range(persons):
        points = walking("ntu-25", frames, 2 * seed + person)[0]  # (T, 25, 3)
        depth = points[..., :2] / points[..., 2:] * [366, -366] + [256, 212]
        colour = depth * 2.9 + [200, -60]
        quaternion = rng.normal(size=(frames, 25, 4))
        quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
        numbers = np.concatenate([points, depth, colour, quaternion], axis=-1)
        rows = [" ".join(f"{x:.7g}" for x in row) + " 2" for row in numbers.reshape(-1, 11).tolist()]
        head = f"{72057594037931101 + seed * 8 + person} 0 1 1 1 1 0 0.02764709 0.05745083 2\n25\n"
        blocks.append([head + "\n".join(rows[25 * t : 25 * t + 25]) for t in range(frames)])
    return "\n".join([f"{frames}", *(f"{persons}\n" + "\n".join(parts) for parts in zip(*blocks))]) + "\n"


def write_ntu(folder: Path, names: Sequence[str], distinct: int, frames: int = FRAMES) -> None:
    """Writes files of these names and about so many frames; `distinct` of them have contents of their own."""

    def content(number: int) -> str:
        return skeleton_file(number // 2, 1 + number % 2, frames)

    folder.mkdir(parents=True, exist_ok=True)
    chosen = {name: 2 * (i % max(1, distinct // 2)) + (int(name[-3:]) in INTERACTIONS) for i, name in enumerate(names)}
    _linked({folder / f"{name}.skeleton": number for name, number in chosen.items()}, content)


def pku_names() -> list[str]:
    """Names in the pattern of part I: 359 recordings by the cameras L and M, one less by R."""
    return [f"{number:04}-{camera}" for number in range(2, 361) for camera in "LMR"][:PKU_RECORDINGS]


def write_pku(
    folder: Path,
    names: Sequence[str],
    distinct: int = PKU_DISTINCT,
    frames: int = PKU_FRAMES // PKU_RECORDINGS,
    intervals: int = PKU_INTERVALS,
) -> None:
    """Writes skeletons, labels and the list of the cross-subject split of recordings of these names.

    Args:
        folder: The folder, in the layout of part I.
        names: Some of `pku_names`.
        distinct: Number of recordings with contents of their own.
        frames: Of each recording.
        intervals: Of all recordings of the data set; each has its part of them.
    """
    for below in ("PKU_Skeleton_Renew", "Train_Label_PKU_final", "Split"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    each, more = divmod(intervals, PKU_RECORDINGS)  # `more` recordings have one interval more

    def content(number: int) -> str:
        points = np.zeros((frames, 2, 25, 3))
        points[:, 0] = walking("ntu-25", frames, number)[0]
        if number % 5 == 0:  # ten of the 51 actions have two persons
            points[:, 1] = walking("ntu-25", frames, 1000 + number)[0]
        return "\n".join(" ".join(f"{x:.6f}" for x in row) for row in points.reshape(frames, -1).tolist()) + "\n"

    files = {folder / "PKU_Skeleton_Renew" / f"{name}.txt": i % distinct for i, name in enumerate(names)}
    _linked(files, content)
    for i, name in enumerate(names):
        count = each + (i < more)
        rng = np.random.default_rng(i)
        begins = np.linspace(10, frames - 200, count).astype(int)
        ends = begins + rng.integers(60, 180, count)
        actions = rng.integers(1, PKU_ACTIONS + 1, count)
        lines = [f"{action},{begin},{end},2" for action, begin, end in zip(actions, begins, ends)]
        (folder / "Train_Label_PKU_final" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    validating = {f"{number:04}" for number in range(2, 354, 8)}  # 44 numbers by three cameras: 132 recordings
    halves = ([n for n in names if n[:4] not in validating], [n for n in names if n[:4] in validating])
    text = "\n".join(["Training videos:", ", ".join(halves[0]), "Validataion videos:", ", ".join(halves[1])])
    (folder / "Split" / "cross-subject.txt").write_text(text + "\n")


def _linked(files: dict[Path, int], content: Callable[[int], str]) -> None:
    """Writes the content of each number once, and links all files of this number to it; skips existing files."""
    first: dict[int, Path] = {}
    for path, number in files.items():
        if number not in first:
            first[number] = path
            if not path.exists():
                path.write_text(content(number))
        elif not path.exists():
            os.link(first[number], path)


def main() -> None:
    """Writes the sets that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folders of the names of the sets are written into it")
    parser.add_argument("--sets", nargs="+", choices=("ntu60", "ntu120", "pku"), default=["ntu60", "ntu120", "pku"])
    parser.add_argument("--distinct", type=int, default=4000, help="files with contents of their own, per set of NTU")
    parser.add_argument("--frames", type=int, default=FRAMES, help="mean number of frames of NTU's files")
    parser.add_argument("--every", type=int, default=1, help="write every N-th file only")
    arguments = parser.parse_args()
    for name in arguments.sets:
        folder = arguments.out / name
        if name == "pku":
            write_pku(folder, pku_names()[:: arguments.every])
        else:
            write_ntu(
                folder, ntu_names(extended=name == "ntu120")[:: arguments.every], arguments.distinct, arguments.frames
            )
        files = [file.stat() for file in folder.rglob("*") if file.is_file()]
        own = {file.st_ino: file.st_size for file in files}
        sys.stdout.write(
            f"{folder}: {len(files)} files, {sum(f.st_size for f in files):,} bytes, on disk {sum(own.values()):,}\n"
        )


if __name__ == "__main__":
    main()
