"""BVH: a hierarchy of joints and, for each frame, their rotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelrep.io.kinematics import positions, rotation
from skelrep.io.numpy_files import bounded, rate
from skelrep.io.reader import Reader, ReadOptions
from skelrep.poses import Poses
from skelrep.skeletons import custom, resolve


def read_bvh(path: Path, options: ReadOptions) -> Poses:
    """Reads a `.bvh` of any hierarchy, in the order of its joints; end sites are joints called `<parent>_end`.

    Rotations are applied in the order of their channels. Position channels of a joint other than the root stand for
    its OFFSET in some exporters' files and are added to it in others'; values nearer to the offset than to zero
    replace it.

    Args:
        path: The file.
        options: `skeleton`: other names for the joints, end sites included.

    Returns:
        One clip (1, T, V, 3) at the file's frames a second, in the file's own unit, which it does not name.

    Raises:
        ValueError: for a malformed file, with path and line.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    motion = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if motion is None:
        raise ValueError(f"{path} has no line MOTION; a .bvh has a HIERARCHY, and MOTION after it")
    names, parents, offsets, channels = _hierarchy(path, lines[:motion])
    try:
        frames = int(lines[motion + 1].split(":")[1])
        seconds = float(lines[motion + 2].split(":")[1])
    except (IndexError, ValueError):
        raise ValueError(f"{path}, line {motion + 2}: expected 'Frames: N' and 'Frame Time: seconds'") from None
    width = sum(map(len, channels))
    values = _rows(path, lines, motion + 3, width)
    if len(values) != frames:
        raise ValueError(f"{path} announces {frames} frames but holds {len(values)}")

    bounded(frames, len(names), 9)
    turns = np.tile(np.eye(3), (frames, len(names), 1, 1))
    places = np.tile(np.array(offsets), (frames, 1, 1))
    at = 0
    for joint, kinds in enumerate(channels):
        columns = values[:, at : at + len(kinds)]
        at += len(kinds)
        turning = [i for i, kind in enumerate(kinds) if kind.endswith("rotation")]
        turns[:, joint] = rotation([kinds[i][0] for i in turning], columns[:, turning])
        if moving := [i for i, kind in enumerate(kinds) if kind.endswith("position")]:
            axes, shift = ["xyz".index(kinds[i][0]) for i in moving], columns[:, moving]
            base = places[:, joint, axes]
            replaced = parents[joint] >= 0 and np.abs(shift - base).mean() < np.abs(shift).mean()
            places[:, joint, axes] = shift if replaced else base + shift
    table = custom(names, parents, "bvh") if options.skeleton is None else resolve(options.skeleton, len(names))
    return Poses([positions(parents, places, turns)[None]], table, [path.stem], fps=rate(seconds))


def _hierarchy(path: Path, lines: list[str]) -> tuple[list[str], list[int], list[list[float]], list[list[str]]]:
    """Names, parents (-1: none), offsets and channels, parents before their children."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    opened: list[int] = []
    spaced = [line.replace("{", " { ").replace("}", " } ").split() for line in lines]
    words = [(word, number) for number, line in enumerate(spaced, start=1) for word in line]
    stream = iter(words)
    number = 1
    try:
        for word, number in stream:  # noqa: B007 - the message wants it
            if word in ("ROOT", "JOINT", "End"):
                name = []
                while (part := next(stream)[0]) != "{":
                    name.append(part)
                parents.append(opened[-1] if word != "ROOT" else -1)
                names.append(f"{names[opened[-1]]}_end" if word == "End" else " ".join(name))
                offsets.append([0.0, 0.0, 0.0])
                channels.append([])
                opened.append(len(names) - 1)
            elif word == "OFFSET":
                offsets[opened[-1]] = [float(next(stream)[0]) for _ in range(3)]
            elif word == "CHANNELS":
                kinds = [next(stream)[0].lower() for _ in range(int(next(stream)[0]))]
                if not set(kinds) <= {axis + kind for axis in "xyz" for kind in ("position", "rotation")}:
                    raise ValueError(f"channels {' '.join(kinds)}")
                channels[opened[-1]] = kinds
            elif word == "}":
                opened.pop()
            elif word != "HIERARCHY":
                raise ValueError(f"the word {word[:40]!r}")
        if opened or not names:
            raise ValueError("the end before every joint is closed")
    except (ValueError, IndexError, StopIteration) as error:
        raise ValueError(f"{path}, line {number}: no hierarchy of joints as BVH writes it ({error})") from None
    return names, parents, offsets, channels


def _rows(path: Path, lines: list[str], first: int, width: int) -> np.ndarray:
    """The numbers (T, width) of the lines from `first` on."""
    try:
        values = np.loadtxt(lines[first:], comments=None, ndmin=2)
        if values.shape[1] == width and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for number, line in enumerate(lines[first:], start=first + 1):
        try:
            fault = len(line.split()) not in (0, width) or not np.isfinite([float(word) for word in line.split()]).all()
        except ValueError:
            fault = True
        if fault:
            raise ValueError(f"{path}, line {number}: got {line.strip()[:40]!r} where {width} numbers should stand")
    raise ValueError(f"{path} holds no frame")


READER = Reader("bvh", (".bvh",), read_bvh)
