"""VideoPose3D's `.npz`: joints by subject and action, `data_3d_*.npz` and `data_2d_*.npz`."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_numpy_object
from skelrep.memory_budget import bounded
from skelrep.messages import one_line
from skelrep.missing import absent_as_nan
from skelrep.npy import npz_members
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS, Skeleton, custom, resolve

# The moving joints among Human3.6M's 32, in the order of "h36m-17".
_H36M_17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
# HumanEva's fifteen joints, in the order of VideoPose3D's humaneva.py.
_HUMANEVA = (
    *("pelvis", "neck", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "head"),
)
_HUMANEVA_PARENTS = (0, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1)
# Human3.6M's test subjects in nearly all papers; the others are for training.
_TEST = ("S9", "S11")
_FPS = {"h36m": 50.0, "humaneva": 60.0}  # frame rates of the cameras


def read_videopose3d(path: Path, options: ReadOptions) -> Poses:
    """Reads `positions_3d`, else `positions_2d`, without executing the pickle in it.

    Args:
        path: A `.npz` of dictionaries {subject: {action: (T, V, 3)}}, or {subject: {action: [(T, V, 2), ...]}} with an
            array for each camera.
        options: `skeleton`: the joints, if neither their number nor the metadata identifies them.

    Returns:
        One clip for each subject and action (and camera), with the action without its number as label, and the columns
        `subject`, `action` and, in 2-D, `camera`. If the subjects are those of Human3.6M, there are the columns `train`
        and `test` (S9, S11). Frames per second are those of Human3.6M or HumanEva if the file's name contains one.

    Raises:
        ValueError: for any other content.
    """
    members = npz_members(path)
    if not members & {"positions_3d", "positions_2d"}:
        raise ValueError(f"{path} contains {', '.join(sorted(members))}; expected positions_3d or positions_2d")
    name = "positions_3d" if "positions_3d" in members else "positions_2d"
    content = _object(path, name)
    metadata = _object(path, "metadata") if "metadata" in members else {}
    clips, ids, labels, columns = [], [], [], {"subject": [], "action": [], "camera": []}
    for subject, action, camera, array in _recordings(content, name):
        clip = _clip(array, 3 if name == "positions_3d" else 2, f"{subject}/{action}")
        clips.append(clip)
        ids.append("/".join([subject, action] + ([] if camera is None else [f"camera{camera}"])))
        labels.append(re.sub(r"[ _]\d+$", "", action))
        columns["subject"].append(subject)
        columns["action"].append(action)
        columns["camera"].append(camera)
    if not clips:
        raise ValueError(f"{name} contains no recordings")
    if name == "positions_3d":
        del columns["camera"]
    joints = clips[0].shape[2]
    if any(clip.shape[2] != joints for clip in clips):
        raise ValueError(f"{name} contains recordings with different numbers of joints")
    if joints == 32 and options.skeleton is None and "h36m" in path.stem:
        clips = [clip[:, :, list(_H36M_17)] for clip in clips]
        joints = 17
    info = {key: np.array(column) for key, column in columns.items()}
    if all(re.fullmatch(r"S\d+", subject) for subject in columns["subject"]) and {*columns["subject"]} & {*_TEST}:
        info["test"] = np.isin(info["subject"], _TEST)
        info["train"] = ~info["test"]
    fps = next((rate for key, rate in _FPS.items() if key in path.stem.lower()), None)
    skeleton = _skeleton(options, joints, metadata, name)
    return Poses([absent_as_nan(clip) for clip in clips], skeleton, ids, np.array(labels), fps, info=info)


def is_videopose3d(path: Path) -> bool:
    """Whether a `.npz` contains one of VideoPose3D's arrays."""
    try:
        return bool({"positions_3d", "positions_2d"} & npz_members(path))
    except (OSError, ValueError):
        return False


READER = Reader("videopose3d", (".npz",), read_videopose3d, is_videopose3d)


def _object(path: Path, name: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            return load_numpy_object(stream, archive.getinfo(f"{name}.npy").file_size, f"{name} in {path}")
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged ({one_line(error)})") from error


def _recordings(content: Any, name: str) -> Iterator[tuple[str, str, int | None, Any]]:
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise ValueError(f"{name} is not a dictionary of subjects and actions")
    for subject, actions in content.items():
        for action, arrays in actions.items():
            if name == "positions_3d":
                yield str(subject), str(action), None, arrays
            elif isinstance(arrays, (list, tuple)):
                for camera, array in enumerate(arrays):
                    yield str(subject), str(action), camera, array
            else:
                yield str(subject), str(action), 0, arrays


def _clip(array: Any, channels: int, where: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[2] < channels:
        raise ValueError(f"{where} has shape {array.shape}; expected (frames, joints, {channels})")
    bounded(*array.shape)
    return array[None, :, :, :channels].astype(np.float32)


def _skeleton(options: ReadOptions, joints: int, metadata: Any, name: str) -> Skeleton:
    if options.skeleton is not None:
        return resolve(options.skeleton, joints)
    layout = str(metadata.get("layout_name", "")).lower() if isinstance(metadata, dict) else ""
    if joints == 17 and (layout.startswith("coco") or layout.startswith("h36m") or name == "positions_3d"):
        return SKELETONS["coco-17" if layout.startswith("coco") else "h36m-17"]
    if joints == 15 and (layout.startswith("humaneva") or name == "positions_3d"):
        return custom(_HUMANEVA, _HUMANEVA_PARENTS, "humaneva-15")
    return resolve(None, joints)
