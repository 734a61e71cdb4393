"""BVH: a hierarchy of joints and, for each frame, their rotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skelrep.files import read_text
from skelrep.io.kinematics import positions, rotation
from skelrep.io.reader import Reader, ReadOptions, RootOffset
from skelrep.io.timeline import rate
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, Skeleton, custom, mapping, resolve


def read_bvh(path: Path, options: ReadOptions) -> Poses:
    """Reads a `.bvh` with any hierarchy. Joints keep their order; end sites become joints named `<parent>_end`.

    Rotations are applied in the order of their channels. Position channels replace the OFFSET of their joint in the
    files of some exporters, and are added to it in those of others. For the root, the interpretation that puts the feet
    closer to height zero is used, unless `options.root_offset` specifies one. For other joints, values that are closer
    to the offset than to zero replace it.

    Args:
        path: The file.
        options: `skeleton`: other names for the joints, including end sites. `root_offset`: "added" or "replaced".

    Returns:
        One clip (1, T, V, 3) at the file's frame rate, in the file's own unit, which the format does not state.

    Raises:
        ValueError: for a malformed file, with path and line.
    """
    lines = read_text(path, errors="replace").splitlines()
    motion = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if motion is None:
        raise ValueError(f"{path} has no line MOTION; a .bvh has a section HIERARCHY followed by a section MOTION")
    names, parents, offsets, channels = _hierarchy(path, lines[:motion])
    try:
        frames = int(lines[motion + 1].split(":")[1])
        seconds = float(lines[motion + 2].split(":")[1])
    except (IndexError, ValueError):
        raise ValueError(f"{path}, line {motion + 2}: expected 'Frames: N' and 'Frame Time: seconds'") from None
    values = _rows(path, lines, motion + 3, sum(map(len, channels)))
    if len(values) != frames:
        raise ValueError(f"{path} states {frames} frames but contains {len(values)}")
    bounded(frames, len(names), 9)
    skeleton = custom(names, parents, "bvh") if options.skeleton is None else resolve(options.skeleton, len(names))
    clip = _points(values, parents, offsets, channels, skeleton, options.root_offset)[None]
    return Poses([clip], skeleton, [path.stem], fps=rate(seconds), zeros="coordinates")  # computed, so none is missing


READER = Reader("bvh", (".bvh",), read_bvh)


def _points(
    values: np.ndarray,
    parents: list[int],
    offsets: list[list[float]],
    channels: list[list[str]],
    skeleton: Skeleton,
    root_offset: RootOffset | None,
) -> np.ndarray:
    """Positions (T, V, 3) from the channels' values (T, channels)."""
    turns = np.tile(np.eye(3), (len(values), len(parents), 1, 1))
    local = np.tile(np.array(offsets), (len(values), 1, 1))
    roots: dict[int, tuple[np.ndarray, list[int]]] = {}
    at = 0
    for joint, kinds in enumerate(channels):
        columns = values[:, at : at + len(kinds)]
        at += len(kinds)
        turning = [i for i, kind in enumerate(kinds) if kind.endswith("rotation")]
        turns[:, joint] = rotation([kinds[i][0] for i in turning], columns[:, turning])
        if moving := [i for i, kind in enumerate(kinds) if kind.endswith("position")]:
            axes, shift = ["xyz".index(kinds[i][0]) for i in moving], columns[:, moving]
            base = local[:, joint, axes]
            if parents[joint] < 0:
                local[:, joint] = 0  # until it is known whether the offset must be added
                local[:, joint, axes] = shift
                roots[joint] = np.array(offsets[joint]), axes
            else:
                replaced = np.abs(shift - base).mean() < np.abs(shift).mean()
                local[:, joint, axes] = shift if replaced else base + shift
    points = positions(parents, local, turns)
    rest = positions(parents, np.array(offsets)[None], np.tile(np.eye(3), (1, len(parents), 1, 1)))[0]
    up = _upright(rest, skeleton)
    root_of: list[int] = []  # a parent stands before its children
    for joint, parent in enumerate(parents):
        root_of.append(joint if parent < 0 else root_of[parent])
    for root, (offset, axes) in roots.items():
        body = np.flatnonzero(np.array(root_of) == root)
        added = offset.copy()
        if root_offset is None:
            replaced = _is_absolute(points[:, body], local[:, root], offset, axes, up)
        else:
            replaced = root_offset == "replaced"
        if replaced:
            added[axes] = 0
        points[:, body] += added
    return points


def _upright(rest: np.ndarray, skeleton: Skeleton) -> np.ndarray | None:
    """The signed axis along which the head is above the ankles in the rest pose (V, 3).

    None if the joint names do not identify both.
    """
    try:
        weights = mapping(skeleton, SKELETONS["common-15"])
    except ValueError:
        return None
    joints = SKELETONS["common-15"].joints
    ends = [joints.index("head"), joints.index("left_ankle"), joints.index("right_ankle")]
    head, left, right = weights[ends] @ rest
    up = head - (left + right) / 2
    axis = int(np.abs(up).argmax())
    return np.eye(3)[axis] * np.sign(up[axis])


def _is_absolute(
    points: np.ndarray, shift: np.ndarray, offset: np.ndarray, axes: list[int], up: np.ndarray | None
) -> bool:
    """Whether the root's position channels contain its position in the room, so that its OFFSET must not be added.

    Args:
        points: (T, V, 3) positions of the body without the offset.
        shift: (T, 3) values of the position channels.
        offset: (3,) the root's OFFSET.
        axes: The axes that have a position channel.
        up: The upright direction, or None if it is not known.
    """
    offset = np.where(np.isin(range(3), axes), offset, 0)
    if up is not None:
        height = offset @ up
        low = np.quantile((points @ up).min(axis=1), 0.05)  # a quantile, because single frames may be damaged
        size = np.linalg.norm(np.ptp(points, axis=1), axis=-1).max()
        if abs(height) > 0.1 * size:
            return bool(abs(low) < abs(low + height))
    return bool(np.abs(shift - offset).mean() < np.abs(shift).mean())


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
        for word, number in stream:  # noqa: B007 - used in the message
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
                    raise ValueError(f"unknown channels {' '.join(kinds)}")
                channels[opened[-1]] = kinds
            elif word == "}":
                opened.pop()
            elif word != "HIERARCHY":
                raise ValueError(f"unexpected word {word[:40]!r}")
        if opened or not names:
            raise ValueError("the file ends before every joint is closed")
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: not a valid BVH hierarchy ({one_line(error)})") from None
    except (IndexError, StopIteration):
        raise ValueError(f"{path}, line {number}: not a valid BVH hierarchy (incomplete or unbalanced)") from None
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
            raise ValueError(f"{path}, line {number}: got {line.strip()[:40]!r}, expected {width} numbers")
    raise ValueError(f"{path} contains no frames")
