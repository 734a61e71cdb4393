"""JSON lines (`.jsonl`): one JSON object per line and clip, for other programs and languages.

    {"id": "wave_01", "label": "wave", "fps": 30.0, "skeleton": "coco-17", "joints": ["nose", ...], "parents": [0, ...],
     "person_ids": [null], "zeros": "coordinates", "info": {"subject": 3}, "poses": [...], "scores": [...]}

`poses` is persons x frames x joints x channels, `scores` persons x frames x joints; null means not seen. All keys
except `poses` and `skeleton` or `joints` may be absent. Lines with other JSON, such as frames or detections of a
tracker, are read like a list of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import remembered, replacing
from skelrep.io import any_json
from skelrep.io.json_files import parsed
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.text_lines import lines_between
from skelrep.messages import one_line
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton, resolve


def write_json_lines(poses: Poses, path: Path) -> None:
    """Writes everything that is known about each clip as one line of JSON."""
    if not len(poses):
        raise ValueError("there is no clip to write")
    with replacing(path) as temporary:
        for i in range(len(poses)):
            temporary.write(json.dumps(_as_object(poses, i), allow_nan=False, ensure_ascii=False).encode() + b"\n")


def _as_object(poses: Poses, i: int) -> dict[str, Any]:
    known = {
        "id": poses.ids[i],
        "label": None if poses.labels is None else poses.labels[i].item(),
        "fps": poses.fps,
        "skeleton": poses.skeleton.name,
        "joints": poses.skeleton.joints,
        "parents": poses.skeleton.parents,
        "person_ids": None if poses.person_ids is None else poses.person_ids[i],
        "zeros": poses.zeros,
        "info": {key: column[i].item() for key, column in poses.info.items()} or None,
        "poses": _as_lists(poses.clips[i]),
        "scores": None if poses.scores is None else _as_lists(poses.scores[i]),
    }
    return {key: value for key, value in known.items() if value is not None}


def _as_lists(array: np.ndarray) -> list:
    """Nested lists, with the fewest digits that give the same float32, and None for NaN."""
    numbers = [None if np.isnan(number) else float(str(number)) for number in array.ravel()]
    return np.array(numbers, dtype=object).reshape(array.shape).tolist()


def read_json_lines(path: Path, options: ReadOptions) -> Iterator[Poses]:
    """Reads what `write_json_lines` writes, clip by clip, or any other JSON with one value per line.

    Args:
        path: The file.
        options: `skeleton`: the joints, if a line does not state them or states them incorrectly.

    Yields:
        One clip each.

    Raises:
        ValueError: for a line that is not such an object; the message gives its number.
    """
    if _are_rows(path):
        yield any_json.poses_in(parsed(path.read_bytes()), path, options)
        return
    first = 0
    if options.clips is None:
        lines = lines_between(path, 0, path.stat().st_size)
    else:
        first, last = options.clips
        starts = remembered(_starts, path)
        lines = lines_between(path, int(starts[first]), int(starts[last]))
    for number, line in enumerate(lines, start=first + 1):
        if not line.strip():
            continue
        try:
            yield _from_object(json.loads(line.decode("utf-8-sig")), f"{path.stem}/{number - 1}", options)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not a clip as a JSON object ({one_line(error)})") from error


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of lines, each of which is a clip or empty; None for other JSON in lines."""
    return None if _are_rows(path) else len(remembered(_starts, path)) - 1


def _starts(path: Path) -> np.ndarray:
    """Where each line begins, in bytes, and where the last one ends."""
    with path.open("rb") as file:
        return np.cumsum([0, *map(len, file)], dtype=np.int64)


def _are_rows(path: Path) -> bool:
    """Whether the first line is a JSON object, but not a clip in the form of `write_json_lines`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
        content = parsed(first.encode())
        if isinstance(content, dict) and "poses" in content:
            return False
        return any_json.recognises(content) or any_json.recognises([content])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return False


def _from_object(found: dict[str, Any], name: str, options: ReadOptions) -> Poses:
    clip = np.array(found["poses"], dtype=np.float32)
    if clip.ndim not in (3, 4):
        raise ValueError(f"poses have shape {clip.shape}; expected (persons, frames, joints, channels)")
    skeleton: Any = options.skeleton
    if skeleton is None and "joints" in found and "parents" in found:
        skeleton = Skeleton(
            str(found.get("skeleton", "custom")), tuple(map(str, found["joints"])), tuple(map(int, found["parents"]))
        )
    if skeleton is None:
        skeleton = found.get("joints", found.get("skeleton"))
    return Poses(
        [clip if clip.ndim == 4 else clip[None]],
        resolve(skeleton, clip.shape[-2]),
        [str(found.get("id", name))],
        None if found.get("label") is None else np.array([found["label"]]),
        found.get("fps"),
        None if found.get("scores") is None else [np.array(found["scores"], dtype=np.float32)],
        {str(key): np.array([value]) for key, value in found.get("info", {}).items()},
        None if found.get("person_ids") is None else [tuple(found["person_ids"])],
        found.get("zeros"),
    )


READER = Reader("jsonl", (".jsonl", ".ndjson"), read_json_lines, count=count)
