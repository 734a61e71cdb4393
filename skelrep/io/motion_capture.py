"""Motion capture as rotations of a skeleton: BVH, and Acclaim's ASF with AMC.

Both give every joint a place relative to its parent and a turn in each frame; positions follow by forward kinematics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.numpy_files import bounded, rate
from skelrep.poses import Poses
from skelrep.skeletons import custom, resolve

INCH = 0.0254


def read_bvh(path: Path, *, layout: str | None = None, skeleton: Any = None, split: str | None = None) -> Poses:
    """Reads a `.bvh` of any hierarchy, in the order of its joints; end sites are joints called `<parent>_end`.

    Rotations are applied in the order of their channels. Position channels of a joint other than the root stand for
    its OFFSET in some exporters' files and are added to it in others'; values nearer to the offset than to zero
    replace it.

    Args:
        path: The file.
        layout: Not used; the format fixes the axes.
        skeleton: Other names for the joints, end sites included.
        split: Not used.

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
        turns[:, joint] = _rotation([kinds[i][0] for i in turning], columns[:, turning])
        if moving := [i for i, kind in enumerate(kinds) if kind.endswith("position")]:
            axes, shift = ["xyz".index(kinds[i][0]) for i in moving], columns[:, moving]
            base = places[:, joint, axes]
            replaced = parents[joint] >= 0 and np.abs(shift - base).mean() < np.abs(shift).mean()
            places[:, joint, axes] = shift if replaced else base + shift
    table = custom(names, parents, "bvh") if skeleton is None else resolve(skeleton, len(names))
    return Poses([_positions(parents, places, turns)[None]], table, [path.stem], fps=rate(seconds))


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


def read_amc(path: Path, *, layout: str | None = None, skeleton: Any = None, split: str | None = None) -> Poses:
    """Reads an Acclaim `.amc` with the `.asf` beside it: of the same name, of its subject (`01.asf`), or the only one.

    A bone's name stands for the joint where the bone begins, as in BVH: "lfemur" is the hip. Only "lwrist" begins
    within the forearm in the skeletons of Vicon's BodyBuilder (CMU, HDM05), so there "lhand" is the wrist. Ends of the
    last bones are joints called `<bone>_end`.

    Args:
        path: The `.amc` file.
        layout: Not used; the format fixes the axes.
        skeleton: Other names for the joints, ends included.
        split: Not used.

    Returns:
        One clip (1, T, V, 3), in metres if lengths are inches over the `length` of `:units`, as in CMU's and HDM05's
        files (mocap.cs.cmu.edu, FAQ). The files do not tell the frames a second: pass `fps=`, 120 for both.

    Raises:
        ValueError: if there is no `.asf`; for a malformed file, with path and line.
    """
    metres, degrees, bones, parent_of = _asf(_asf_of(path))
    children: dict[str, list[str]] = {name: [] for name in bones}
    for child, parent in parent_of.items():
        if child in bones and parent in bones:
            children[parent].append(child)
    order = ["root"]
    for name in order:  # parents before their children
        order += children[name]
    values = _amc(path, {name: bones[name]["dof"] for name in order if bones[name]["dof"]})
    frames = len(values["root"])

    leaves = [name for name in order if not children[name]]
    places_of = {name: i for i, name in enumerate(order)}
    parents = [-1, *(places_of[parent_of[name]] for name in order[1:]), *(places_of[name] for name in leaves)]
    bounded(frames, len(parents), 9)
    turns = np.tile(np.eye(3), (frames, len(parents), 1, 1))
    places = np.zeros((frames, len(parents), 3))
    places[:, 1:] = [bones[order[parent]]["end"] for parent in parents[1:]]
    places[:, 0] = bones["root"]["place"]
    for joint, name in enumerate(order):
        dof, columns = bones[name]["dof"], values.get(name)
        columns = np.zeros((frames, len(dof))) if columns is None else columns
        turning = [i for i, kind in enumerate(dof) if kind[0] == "r"]
        # The first axis named turns first: the last stands leftmost in the product. A bone turns about its own axes.
        axes = _rotation(bones[name]["order"][::-1], degrees * np.array([bones[name]["axis"][::-1]]))
        turn = _rotation([dof[i][1] for i in turning[::-1]], degrees * columns[:, turning[::-1]])
        turns[:, joint] = axes @ turn @ axes.swapaxes(1, 2)
    for i, kind in enumerate(bones["root"]["dof"]):
        if kind[0] == "t":
            places[:, 0, "xyz".index(kind[1])] += values["root"][:, i]
    renamed = {f"{side}wrist": f"{side}_mid_forearm" for side in "lr" if f"{side}hand" in bones}
    renamed |= {f"{side}hand": f"{side}_wrist" for side in "lr" if f"{side}wrist" in bones}
    names = [renamed.get(name, name) for name in order] + [f"{name}_end" for name in leaves]
    table = custom(names, parents, "asf") if skeleton is None else resolve(skeleton, len(names))
    return Poses([metres * _positions(parents, places, turns)[None]], table, [path.stem])


def _asf_of(path: Path) -> Path:
    beside = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    for stem in (path.stem, path.stem.split("_")[0]):
        if found := [file for file in beside if file.stem == stem]:
            return found[0]
    if len(beside) == 1:
        return beside[0]
    raise ValueError(
        f"{path} holds rotations only, and the skeleton, {path.stem}.asf or {path.stem.split('_')[0]}.asf, is not "
        "beside it"
    )


def _asf(path: Path) -> tuple[float, float, dict[str, dict[str, Any]], dict[str, str]]:
    """Metres of a unit of length, degrees of one of angle, bones by name, and the parent of each bone but the root.

    A bone has `dof` (channels in the order of the `.amc`), `order` and `axis` (of its own axes), and `end` (the vector
    to its end in the pose of rest); the root has its `place` too.
    """
    sections: dict[str, dict[str, list[str]]] = {":units": {}, ":root": {}}
    bones: dict[str, dict[str, Any]] = {}
    parent_of: dict[str, str] = {}
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    section, bone, number = "", {}, 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - the message wants it
            words = line.partition("#")[0].split()
            if not words:
                continue
            if words[0][0] == ":":
                section = words[0].lower()
            elif section in sections:
                sections[section][words[0].lower()] = [word.lower() for word in words[1:]]
            elif section == ":bonedata":
                bone = {} if words[0] == "begin" else bone | {words[0]: words[1:]}
                if words[0] == "end":
                    bones[bone["name"][0]] = {
                        "dof": [word.lower() for word in bone.get("dof", []) if word.lower() != "l"],
                        "order": bone["axis"][3].lower(),
                        "axis": [float(word) for word in bone["axis"][:3]],
                        "end": float(bone["length"][0]) * np.array([float(word) for word in bone["direction"][:3]]),
                    }
            elif section == ":hierarchy" and words[0] not in ("begin", "end"):
                parent_of |= {child: words[0] for child in words[1:]}
        units, root = sections[":units"], sections[":root"]
        metres = INCH / float(units.get("length", ["1"])[0])
        degrees = 1.0 if units.get("angle", ["deg"])[0].startswith("deg") else 180 / np.pi
        bones["root"] = {
            "dof": root["order"],
            "order": root["axis"][0],
            "axis": [float(word) for word in root.get("orientation", "000")],
            "end": np.zeros(3),
            "place": np.array([float(word) for word in root.get("position", "000")]),
        }
        kinds = {kind + axis for kind in "rt" for axis in "xyz"}
        if "root" in parent_of:
            raise ValueError("the root has a parent")
        for name, bone in bones.items():
            if not (kinds >= {*bone["dof"]} and {*bone["order"]} <= {*"xyz"}):
                raise ValueError(f"bone {name} has an unknown axis")
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"{path}, line {number}: no skeleton as Acclaim writes it ({error})") from None
    return metres, degrees, bones, parent_of


def _amc(path: Path, dof: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Every moving bone's values, (T, channels)."""
    rows: dict[str, list[list[float]]] = {name: [] for name in dof}
    frames = 0
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdecimal():
            frames += 1
            continue
        try:
            if words[0] not in dof or len(words) != 1 + len(dof[words[0]]):
                raise ValueError
            rows[words[0]].append([float(word) for word in words[1:]])
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: got {line.strip()[:40]!r} where a bone of the .asf should stand, and a number "
                "for each of its degrees of freedom"
            ) from None
    if not frames or any(len(values) not in (0, frames) for values in rows.values()) or not rows["root"]:
        raise ValueError(f"{path} holds {frames} frames, but not every bone in each")
    return {name: np.array(values) for name, values in rows.items() if values}


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


def _rotation(axes: list[str] | str, degrees: np.ndarray) -> np.ndarray:
    """The product, from left to right, of turns about axes: (T, 3, 3) of degrees (T, len(axes))."""
    total = np.tile(np.eye(3), (len(degrees), 1, 1))
    for axis, angle in zip(axes, np.deg2rad(degrees).T):
        i = "xyz".index(axis)
        j, k = (i + 1) % 3, (i + 2) % 3
        turn = np.zeros_like(total)
        turn[:, i, i] = 1
        turn[:, j, j] = turn[:, k, k] = np.cos(angle)
        turn[:, k, j] = np.sin(angle)
        turn[:, j, k] = -np.sin(angle)
        total = total @ turn
    return total


def _positions(parents: list[int], places: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Forward kinematics: positions (T, V, 3) of places (T, V, 3) and turns (T, V, 3, 3) relative to the parents."""
    positions, turns = places.copy(), turns.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            positions[:, joint] = positions[:, parent] + (turns[:, parent] @ places[:, joint, :, None])[..., 0]
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return positions
