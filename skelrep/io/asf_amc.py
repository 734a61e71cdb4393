"""Acclaim motion capture: a skeleton in an ASF file, and the rotations of its bones in an AMC file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import read_text
from skelrep.io.kinematics import positions, rotation
from skelrep.io.reader import Reader, ReadOptions
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.poses import Poses
from skelrep.skeletons import custom, resolve

INCH = 0.0254


def read_amc(path: Path, options: ReadOptions) -> Poses:
    """Reads an Acclaim `.amc` with the `.asf` of the same name, of its subject (`01.asf`), or the only one.

    A bone's name denotes the joint at which the bone begins, as in BVH: "lfemur" is the hip. The exception is "lwrist",
    which begins within the forearm in skeletons of Vicon's BodyBuilder (CMU, HDM05); there "lhand" is the wrist. The
    ends of the last bones are joints named `<bone>_end`.

    Args:
        path: The `.amc` file.
        options: `skeleton`: other names for the joints, including the ends.

    Returns:
        One clip (1, T, V, 3), in metres if lengths are inches divided by `length` in `:units`, as in CMU's and HDM05's
        files (mocap.cs.cmu.edu, FAQ). The files do not contain the frame rate: pass `fps=`, which is 120 for both.

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
    index_of = {name: i for i, name in enumerate(order)}
    parents = [-1, *(index_of[parent_of[name]] for name in order[1:]), *(index_of[name] for name in leaves)]
    bounded(frames, len(parents), 9)
    turns = np.tile(np.eye(3), (frames, len(parents), 1, 1))
    offsets = np.zeros((frames, len(parents), 3))
    offsets[:, 1:] = [bones[order[parent]]["end"] for parent in parents[1:]]
    offsets[:, 0] = bones["root"]["position"]
    for joint, name in enumerate(order):
        dof, columns = bones[name]["dof"], values.get(name)
        columns = np.zeros((frames, len(dof))) if columns is None else columns
        turning = [i for i, kind in enumerate(dof) if kind[0] == "r"]
        # The first axis is applied first, so the last one is leftmost in the product. A bone rotates about its own
        # axes.
        axes = rotation(bones[name]["order"][::-1], degrees * np.array([bones[name]["axis"][::-1]]))
        turn = rotation([dof[i][1] for i in turning[::-1]], degrees * columns[:, turning[::-1]])
        turns[:, joint] = axes @ turn @ axes.swapaxes(1, 2)
    for i, kind in enumerate(bones["root"]["dof"]):
        if kind[0] == "t":
            offsets[:, 0, "xyz".index(kind[1])] += values["root"][:, i]
    renamed = {f"{side}wrist": f"{side}_mid_forearm" for side in "lr" if f"{side}hand" in bones}
    renamed |= {f"{side}hand": f"{side}_wrist" for side in "lr" if f"{side}wrist" in bones}
    names = [renamed.get(name, name) for name in order] + [f"{name}_end" for name in leaves]
    table = custom(names, parents, "asf") if options.skeleton is None else resolve(options.skeleton, len(names))
    clip = metres * positions(parents, offsets, turns)[None]
    return Poses([clip], table, [path.stem], zeros="coordinates")  # computed, so none is missing


def _asf_of(path: Path) -> Path:
    beside = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    for stem in (path.stem, path.stem.split("_")[0]):
        if found := [file for file in beside if file.stem == stem]:
            return found[0]
    if len(beside) == 1:
        return beside[0]
    raise ValueError(
        f"{path} contains only rotations, and its skeleton, {path.stem}.asf or {path.stem.split('_')[0]}.asf, is not "
        "in its folder"
    )


def _asf(path: Path) -> tuple[float, float, dict[str, dict[str, Any]], dict[str, str]]:
    """Metres per unit of length, degrees per unit of angle, bones by name, and the parent of each bone except the root.

    A bone has `dof` (channels in the order of the `.amc`), `order` and `axis` (of its own axes), and `end` (the vector
    to its end in the rest pose); the root also has its `position`.
    """
    sections: dict[str, dict[str, list[str]]] = {":units": {}, ":root": {}}
    bones: dict[str, dict[str, Any]] = {}
    parent_of: dict[str, str] = {}
    lines = read_text(path, "ascii", errors="replace").splitlines()
    section, bone, number = "", {}, 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - used in the message
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
            "position": np.array([float(word) for word in root.get("position", "000")]),
        }
        kinds = {kind + axis for kind in "rt" for axis in "xyz"}
        if "root" in parent_of:
            raise ValueError("the root has a parent")
        for name, bone in bones.items():
            if not (kinds >= {*bone["dof"]} and {*bone["order"]} <= {*"xyz"}):
                raise ValueError(f"bone {name} has an unknown axis")
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"{path}, line {number}: not a valid Acclaim skeleton ({one_line(error)})") from None
    return metres, degrees, bones, parent_of


def _amc(path: Path, dof: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """The values of every moving bone, (T, channels)."""
    rows: dict[str, list[list[float]]] = {name: [] for name in dof}
    frames = 0
    for number, line in enumerate(read_text(path, "ascii", errors="replace").splitlines(), start=1):
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
                f"{path}, line {number}: got {line.strip()[:40]!r}, expected a bone of the .asf and a number for each "
                "of its degrees of freedom"
            ) from None
    if not frames or any(len(values) not in (0, frames) for values in rows.values()) or not rows["root"]:
        raise ValueError(f"{path} contains {frames} frames, some of which lack bones")
    return {name: np.array(values) for name, values in rows.items() if values}


READER = Reader("amc", (".amc",), read_amc)
