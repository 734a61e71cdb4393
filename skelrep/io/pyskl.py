"""The annotation pickles of pyskl and mmaction2, read without executing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import remembered
from skelrep.io.ntu import columns_of
from skelrep.io.numpy_files import poses_of_arrays
from skelrep.io.pickled_lists import PickledList
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_pickle
from skelrep.missing import absent_as_nan
from skelrep.persons import ever_seen
from skelrep.poses import Poses
from skelrep.skeletons import resolve

# The skeleton of a `keypoint` array with V joints and C dimensions, in the files published by pyskl and mmaction2.
_KNOWN = {(17, 2): "coco-17", (25, 3): "ntu-25"}


def read_pyskl(path: Path, options: ReadOptions) -> Poses:
    """Reads `{"split": {name: [frame_dir, ...]}, "annotations": [...]}`, one or several annotations, or arrays.

    An annotation is a dict with `keypoint` (M, T, V, C), and perhaps `keypoint_score` (M, T, V), `frame_dir` (or
    `filename`), `label`, `total_frames`. Joints with score zero, and persons with only zeros in a frame, were not seen
    and become NaN. Persons who are never seen are padding and are left out. A pickle that contains only arrays is read
    like a `.npz` with several arrays (see `poses_of_arrays`).

    Args:
        path: The file.
        options: `skeleton`: the joints; by default COCO's for 17 joints in 2-D, NTU's for 25 in 3-D. `split`: read only
            the members of this split, the first of several.

    Returns:
        Clips with a boolean column in `info` for each split, and the columns from NTU names (`ntu.columns_of`).
        Coordinates are as in the file: metres for NTU, pixels for COCO.

    Raises:
        ValueError: if the pickle is refused (see `load_pickle`) or contains something else.
    """
    skeleton, split = options.skeleton, options.split
    first, listed = 0, None if options.clips is None else remembered(PickledList.find, path)
    data = load_pickle(path) if listed is None else listed.rest
    if _are_arrays(data):
        return poses_of_arrays(data, path, options)
    splits: Any = {}
    if isinstance(data, dict) and "annotations" in data:
        data, splits = data["annotations"], data.get("split") or {}
    elif isinstance(data, dict):
        data = [{"frame_dir": path.stem, **data}]
    if listed is not None and options.clips is not None:
        first, data = options.clips[0], listed.read(*options.clips)
    if not isinstance(data, (list, tuple)) or not data or not all(isinstance(entry, dict) for entry in data):
        raise ValueError(
            f"{path} contains a {type(data).__name__}; expected annotations: a dict "
            '{"split": ..., "annotations": [...]}, a list of dicts, or one dict, each with a keypoint array'
        )
    if not isinstance(splits, dict) or not all(isinstance(members, (list, tuple)) for members in splits.values()):
        raise ValueError(f'the "split" of {path} is not a dict of lists of names')
    members = {str(name): set(map(str, split_names)) for name, split_names in splits.items()}
    entries = [(str(entry.get("frame_dir", entry.get("filename", i))), entry) for i, entry in enumerate(data, first)]
    if split in members:
        entries = [(name, entry) for name, entry in entries if name in members[split]]
    if not entries:
        raise ValueError(f"no clip of {path} is in the split {split!r}")
    clips, scores = [], []
    for name, entry in entries:
        clip, score = _clip(entry, name)
        clips.append(clip)
        scores.append(score)
    sizes = clips[0].shape[2:]
    if skeleton is None and sizes not in _KNOWN:
        known = ", ".join(f"{v} in {c}-D ({name})" for (v, c), name in _KNOWN.items())
        raise ValueError(
            f"{path} has {sizes[0]} joints in {sizes[1]}-D; the known ones are {known}: pass skeleton= for others"
        )
    names = [name for name, _ in entries]
    labels = [entry.get("label") for _, entry in entries]
    return Poses(
        clips,
        resolve(_KNOWN[sizes] if skeleton is None else skeleton, sizes[0]),
        names,
        labels=np.array(labels) if all(np.isscalar(label) for label in labels) else None,
        scores=scores if all(score is not None for score in scores) else None,
        info=columns_of(names) | {key: np.array([name in those for name in names]) for key, those in members.items()},
    )


def count(path: Path, options: ReadOptions) -> int | None:
    """Number of annotations, if they can be read one by one."""
    listed = remembered(PickledList.find, path)
    return None if listed is None or not isinstance(listed.read(0, 1)[0], dict) else len(listed)


def _are_arrays(data: Any) -> bool:
    """Whether there are arrays rather than annotations: one, a list of them, or a dict of them."""
    if isinstance(data, dict) and "keypoint" not in data and "annotations" not in data:
        return any(isinstance(value, np.ndarray) and value.ndim > 2 for value in data.values())
    return isinstance(data, np.ndarray) or (
        isinstance(data, (list, tuple)) and bool(data) and all(isinstance(item, np.ndarray) for item in data)
    )


def _clip(entry: dict, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The clip (M, T, V, C) and the scores (M, T, V) of one annotation."""
    if "keypoint" not in entry:
        raise ValueError(
            f"annotation {name!r} has no 'keypoint' (it has: {', '.join(map(str, entry))}); pyskl's Kinetics "
            "annotations keep the keypoints in separate files, which are not supported"
        )
    keypoint, score, frames = (entry.get(key) for key in ("keypoint", "keypoint_score", "total_frames"))
    keypoint = np.asarray(keypoint)
    if keypoint.dtype.kind not in "fiu" or keypoint.ndim != 4 or 0 in keypoint.shape:
        raise ValueError(
            f"the keypoint of annotation {name!r} is {keypoint.dtype} of shape {keypoint.shape}; "
            "expected numbers (persons, frames, joints, channels)"
        )
    if not isinstance(frames, (int, np.integer)) or frames < 1:
        frames = keypoint.shape[1]
    clip = absent_as_nan(np.array(keypoint[:, :frames], dtype=np.float32))
    if score is not None:
        score = np.asarray(score)
        if score.dtype.kind not in "fiu" or score.shape != keypoint.shape[:3]:
            raise ValueError(
                f"the keypoint_score of annotation {name!r} is {score.dtype} of shape {score.shape}; "
                f"expected {keypoint.shape[:3]}, one for each keypoint"
            )
        score = score[:, :frames].astype(np.float32)
        clip[score == 0] = np.nan
    present = ever_seen(clip)
    return clip[present], None if score is None else score[present]


READER = Reader("pyskl", (".pkl", ".pickle"), read_pyskl, count=count)
