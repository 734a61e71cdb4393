"""C3D files: the points of a motion capture system, read without a library.

Existing C3D libraries trust the sizes and offsets stated in a file, so a damaged file can crash the process or keep it
busy forever. Here every offset is checked against the size of the file. Layout (the C3D user guide, c3d.org): blocks
of 512 bytes with a header, a section of parameters, and the frames.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.units import METRES, metres_by_body
from skelrep.memory_budget import bounded
from skelrep.messages import warn
from skelrep.missing import absent_as_nan
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, Skeleton, covering, custom, resolve

BLOCK = 512
_PARAMETERS_KEY = 0x50  # the second byte of every C3D file
_INTEL, _DEC, _MIPS = 84, 85, 86  # the processor that wrote the numbers


def read_c3d(path: Path, options: ReadOptions) -> Poses:
    """Reads the points of a `.c3d` whose labels are joint names.

    `POINT:LABELS` has at most 255 labels; further labels are in `LABELS2` and so on. If the unit is empty or unknown,
    it is guessed from the size of the body, with a warning. With `scale=`, the coordinates of such a file are used
    unchanged.

    Args:
        path: The file.
        options: `skeleton`: if the labels are markers, a name for each label, in their order. Names that are not joints
            are ignored.

    Returns:
        One clip (1, T, V, 3) in metres, converted from the file's unit, at its frame rate.

    Raises:
        ValueError: if the file is damaged, or its labels are not joint names (the message lists them).
    """
    parameters, points, seen = _contents(path.read_bytes())
    labels = _labels(parameters, points.shape[1])
    skeleton = _joints(labels, path) if options.skeleton is None else _named(options.skeleton, labels, path)
    points[~seen] = np.nan
    clip = absent_as_nan(points[None])
    unit = _text(parameters, "UNITS")
    if unit.lower() in METRES:
        clip = clip * np.float32(METRES[unit.lower()])
    elif options.scale is None:
        said = f"{path} names the unit {unit!r}, which is not known" if unit else f"{path} names no unit"
        name, factor = metres_by_body(clip, skeleton)
        if factor is None:
            warn(f"{said}, and its body has no plausible size in any unit: coordinates are unchanged (pass scale=)")
        else:
            warn(f"{said}; judging by the size of the body, it is {name} (pass scale= if it is another unit)")
            clip = clip * np.float32(factor)
    fps = _number(parameters, "RATE")
    return Poses([clip], skeleton, [path.stem], fps=fps if fps and np.isfinite(fps) and fps > 0 else None)


READER = Reader("c3d", (".c3d",), read_c3d)


def _contents(data: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The parameters by "GROUP:NAME", points (T, V, 3) float32 in the file's unit, and whether each was seen (T, V)."""
    try:
        if len(data) < 2 * BLOCK or data[1] != _PARAMETERS_KEY:
            raise ValueError("it does not begin like a C3D file")
        start = (data[0] - 1) * BLOCK
        if start < 0 or start + 4 > len(data):
            raise ValueError(f"its parameters begin at block {data[0]}, but it has {len(data) // BLOCK} blocks")
        processor = data[start + 3]
        if processor not in (_INTEL, _DEC, _MIPS):
            raise ValueError(f"its processor type is {processor}, expected {_INTEL}, {_DEC} or {_MIPS}")
        parameters = _parameters(data, start + 4, processor)
        points, seen = _points(data, parameters, processor)
    except (ValueError, struct.error, IndexError, KeyError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"damaged or not a C3D file with points ({what})") from error
    return parameters, points, seen


def _parameters(data: bytes, at: int, processor: int) -> dict[str, Any]:
    """Arrays of numbers and lists of strings by "GROUP:NAME".

    A record consists of the length of its name (negative: locked), the number of its group (negative: it is the group
    itself), the name, the distance to the next record, and for a parameter the type, the dimensions and the values.
    """
    order = ">" if processor == _MIPS else "<"
    groups: dict[int, str] = {}
    found: list[tuple[int, str, Any]] = []
    while True:
        length, group = struct.unpack_from("bb", data, at)
        if length == 0:
            break
        name_end = at + 2 + abs(length)
        name = data[at + 2 : name_end].decode("latin-1").strip().upper()
        (step,) = struct.unpack_from(order + "h", data, name_end)
        if group < 0:
            groups[-group] = name
        elif group > 0:
            found.append((group, name, _values(data, name_end + 2, processor)))
        if step == 0:
            break
        if step < 0:
            raise ValueError(f"the parameter {name!r} points backwards")
        at = name_end + step
    return {f"{groups.get(group, group)}:{name}": value for group, name, value in found}


def _values(data: bytes, at: int, processor: int) -> Any:
    kind, dimensions = struct.unpack_from("bB", data, at)
    shape = list(data[at + 2 : at + 2 + dimensions])
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    size = abs(kind)
    raw = data[at + 2 + dimensions : at + 2 + dimensions + count * size]
    if kind not in (-1, 1, 2, 4) or len(shape) != dimensions or len(raw) != count * size:
        raise ValueError("a parameter's type or size does not fit the file")
    if kind == -1:
        width = shape[0] if len(shape) > 1 else count
        texts = [raw[i : i + width] for i in range(0, count, width)] if width else []
        return [_decoded(text) for text in texts]
    if kind == 4:
        return _floats(raw, processor)
    order = ">" if processor == _MIPS else "<"
    return np.frombuffer(raw, np.dtype(f"{order}u{kind}")).astype(np.int64)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return text.decode("latin-1").strip(" \0")


def _floats(raw: bytes, processor: int) -> np.ndarray:
    """Converts IEEE or DEC numbers to float32; DEC numbers have swapped halves and are four times larger."""
    if processor == _DEC:
        swapped = np.frombuffer(raw, "<u2").reshape(-1, 2)[:, ::-1].tobytes()
        return np.frombuffer(swapped, "<f4") / np.float32(4)
    return np.frombuffer(raw, ">f4" if processor == _MIPS else "<f4").astype(np.float32)


def _points(data: bytes, parameters: dict[str, Any], processor: int) -> tuple[np.ndarray, np.ndarray]:
    header = np.frombuffer(data[:BLOCK], ">u2" if processor == _MIPS else "<u2").astype(np.int64)
    used = int(_number(parameters, "USED") or 0) % 65536
    if used == 0:
        raise ValueError("it contains no points")
    scale = parameters["POINT:SCALE"][0]
    if not np.isfinite(scale) or scale == 0:
        raise ValueError(f"POINT:SCALE is {scale}")
    real = scale < 0  # a negative scale marks floating-point values, which are not scaled
    width = 4 if real else 2
    analog = int(header[2])  # analog values of each frame, after its points
    start = (int(_number(parameters, "DATA_START") or header[8]) % 65536 - 1) * BLOCK
    stride = (4 * used + analog) * width
    if start < BLOCK or start >= len(data):
        raise ValueError(f"its frames begin at block {start // BLOCK + 1}, but it has {len(data) // BLOCK} blocks")
    held = (len(data) - start) // stride
    frames = _frames(parameters, int(header[3]), int(header[4]), held)
    bounded(frames, used, 4)
    raw = np.frombuffer(data, np.uint8, frames * stride, start).reshape(frames, stride)[:, : 4 * used * width]
    if real:
        values = _floats(raw.tobytes(), processor)
    else:
        values = np.frombuffer(raw.tobytes(), ">i2" if processor == _MIPS else "<i2").astype(np.float32)
    values = values.reshape(frames, used, 4)
    points = values[..., :3].copy() if real else values[..., :3] * np.float32(scale)
    # The fourth value is negative if no camera saw the point. It is NaN only in damaged files.
    seen = (values[..., 3] >= 0) & np.isfinite(points).all(axis=-1)
    return points, seen


def _frames(parameters: dict[str, Any], first: int, last: int, held: int) -> int:
    """The number of frames. 16 bits hold at most 65535, so long recordings also state it elsewhere."""
    stated = []
    bounds = [parameters.get(f"TRIAL:ACTUAL_{end}_FIELD") for end in ("START", "END")]
    if all(bound is not None and len(bound) == 2 for bound in bounds):
        begin, end = (int(low) % 65536 + 65536 * (int(high) % 65536) for low, high in bounds)  # type: ignore[misc]
        stated.append(end - begin + 1)
    for name in ("LONG_FRAMES", "FRAMES"):
        number = _number(parameters, name)
        if number is not None and np.isfinite(number):
            stated.append(int(number) % 65536 if name == "FRAMES" else int(number))
    stated.append(last - first + 1)
    for frames in stated:
        if 0 < frames <= held and (frames != 65535 or held < 65536):
            return frames
    raise ValueError(f"it states {stated[0]} frames but contains {held}")


def _number(parameters: dict[str, Any], name: str) -> float | None:
    value = parameters.get(f"POINT:{name}")
    return float(value[0]) if isinstance(value, np.ndarray) and len(value) else None


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(f"POINT:{name}")
    return value[0].strip() if isinstance(value, list) and value else ""


def _labels(parameters: dict[str, Any], points: int) -> list[str]:
    """A label for each point, from LABELS, LABELS2, LABELS3 ...; a number if the label is empty or missing."""
    numbered = {
        int(match[1] or 1): value
        for key, value in parameters.items()
        if (match := re.fullmatch(r"POINT:LABELS(\d*)", key)) and isinstance(value, list)
    }
    labels = [label for number in sorted(numbered) for label in numbered[number]][:points]
    labels += [""] * (points - len(labels))
    taken: dict[str, int] = {}
    for i, label in enumerate(labels):
        label = label or f"point_{i + 1}"
        taken[label] = taken.get(label, 0) + 1
        labels[i] = label if taken[label] == 1 else f"{label}_{taken[label]}"
    return labels


def _named(skeleton: Any, labels: list[str], path: Path) -> Skeleton:
    """The skeleton given by the caller; if there are fewer names than points, the other points keep their labels."""
    if not isinstance(skeleton, (str, Skeleton)) and 0 < len(names := list(skeleton)) < len(labels):
        kept = len(labels) - len(names)
        warn(f"{len(names)} names for the {len(labels)} points of {path}: the last {kept} keep their labels")
        return custom([*names, *labels[len(names) :]], name="c3d")
    return resolve(skeleton, len(labels))


def _joints(labels: list[str], path: Path) -> Skeleton:
    try:
        table = custom(labels, name="c3d")
        covering(table, SKELETONS["common-15"])
    except ValueError:
        raise ValueError(
            f"the labels of the {len(labels)} points of {path} are not joint names: {', '.join(labels)}; pass "
            "skeleton= with a name for each in this order, including shoulders, elbows, wrists, hips, knees, ankles "
            "and a head"
        ) from None
    return table
