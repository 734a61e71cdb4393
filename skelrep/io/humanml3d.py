"""HumanML3D and KIT-ML: joints (`new_joints`) and motion features (`new_joint_vecs`) of one clip in a `.npy`.

Features of a frame with V joints (Guo et al., CVPR 2022): velocity of the root's rotation about y (1, half an angle per
frame), of its position in x and z (2), its height (1), positions of the other joints (3 (V - 1)), rotations
(6 (V - 1)), velocities (3 V), contacts of the feet (4): 263 numbers for 22 joints, 251 for KIT-ML's 21.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from skelrep.files import read_text
from skelrep.io.reader import Reader, ReadOptions
from skelrep.npy import opened
from skelrep.poses import Poses
from skelrep.skeletons import resolve

_JOINTS = {263: 22, 251: 21}  # by the number of features
_SKELETONS = {22: "smpl-22", 21: "kit-21"}
_FPS = {22: 20.0, 21: 12.5}
_FOLDERS = ("new_joints", "new_joint_vecs")
_SPLITS = ("train", "val", "test")


def read_humanml3d(path: Path, options: ReadOptions) -> Poses:
    """Reads one clip: joints (T, 22 or 21, 3), or features (T, 263 or 251), from which the joints are recovered.

    Args:
        path: The `.npy`.
        options: `skeleton`: other names for the joints.

    Returns:
        One clip (1, T, V, 3), y up, at 20 frames per second in metres (HumanML3D), or at 12.5 in the unit of the file
        (KIT-ML). If `train.txt`, `val.txt` and `test.txt` are in the parent folder, there are columns with these names.

    Raises:
        ValueError: for an array of another shape.
    """
    with opened(path) as content:
        array = np.array(content, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] in _JOINTS:
        array = joints_of_features(array)
    if array.ndim != 3 or array.shape[1] not in _FPS or array.shape[2] != 3:
        raise ValueError(
            f"an array of shape {array.shape} is not from HumanML3D or KIT-ML; expected (frames, 22 or 21, 3) or "
            "(frames, 263 or 251)"
        )
    joints = array.shape[1]
    skeleton = resolve(_SKELETONS[joints] if options.skeleton is None else options.skeleton, joints)
    info = {name: np.array([path.stem in members]) for name, members in _lists(path.parent.parent)}
    return Poses([array[None]], skeleton, [path.stem], fps=_FPS[joints], info=info)


def is_humanml3d(path: Path) -> bool:
    """Whether a `.npy` contains these features, or is in a folder in which the data set stores its joints."""
    try:
        with opened(path) as array:
            if not isinstance(array, np.ndarray):
                return False
            if array.ndim == 2:
                return array.shape[1] in _JOINTS
            return path.parent.name in _FOLDERS and array.ndim == 3 and array.shape[1] in _FPS
    except (ValueError, OSError):
        return False


READER = Reader("humanml3d", (".npy",), read_humanml3d, is_humanml3d)


def joints_of_features(features: np.ndarray) -> np.ndarray:
    """Joint positions (T, V, 3), y up, from features (T, 263) or (T, 251); the clip begins above the origin.

    The root's rotation in a frame is the sum of the previous angular velocities; its position is the sum of the
    previous velocities, each rotated back by the rotation of its frame. Other joints are relative to the root's x and z
    position and rotation.
    """
    joints = _JOINTS[features.shape[1]]
    before = np.concatenate([np.zeros((1, 3)), features[:-1, :3]])
    # Features contain half the angle, like the quaternion (cos, 0, sin, 0) of the root's rotation.
    angle = -2 * np.cumsum(before[:, 0])
    cosine, sine = np.cos(angle), np.sin(angle)

    def turned(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = (-1, *[1] * (x.ndim - 1))
        c, s = cosine.reshape(shape), sine.reshape(shape)
        return c * x + s * z, c * z - s * x

    root_x, root_z = (np.cumsum(step) for step in turned(before[:, 1], before[:, 2]))
    local = features[:, 4 : 4 + 3 * (joints - 1)].reshape(len(features), joints - 1, 3)
    x, z = turned(local[..., 0], local[..., 2])
    points = np.empty((len(features), joints, 3))
    points[:, 0] = np.stack([root_x, features[:, 3], root_z], axis=1)
    points[:, 1:] = np.stack([x + root_x[:, None], local[..., 1], z + root_z[:, None]], axis=-1)
    return points


def _lists(folder: Path) -> Iterable[tuple[str, set[str]]]:
    for name in _SPLITS:
        file = folder / f"{name}.txt"
        if file.is_file():
            yield name, set(read_text(file, errors="replace").split())
