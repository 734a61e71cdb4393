"""SMPL bodies: AMASS's `.npz` of rotations (`poses`, `trans`, `betas`), and their joints from a body model.

The joints of SMPL, SMPL-H and SMPL-X follow from the body model's joint regressor and the rotations alone; neither a
mesh nor a library is needed. The first 22 joints of all three are the same: "smpl-22".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.kinematics import positions
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_pickle
from skelrep.memory_budget import bounded
from skelrep.npy import npz_members, opened
from skelrep.poses import Poses
from skelrep.skeletons import resolve

JOINTS = 22
_MODELS = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X"}
_JOINT_ARRAYS = ("joints", "joints3d", "joints_3d", "jtr", "keypoints3d")
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate", "mocap_time_length")


def read_smpl(path: Path, options: ReadOptions) -> Poses:
    """Reads AMASS's `.npz`, and other `.npz` with the same arrays, or with joints in addition to the rotations.

    Args:
        path: A `.npz` of `poses` (T, 72, 156 or 165) axis-angle rotations, `trans` (T, 3) and `betas` (B,); or of
            `joints` (T, V, 3).
        options: `body_model`: the body model, an `.npz` or a plain `.pkl`, or a folder from which the model for the
            file's gender and kind is chosen. It is not needed if the file contains joints.

    Returns:
        One clip (1, T, 22, 3) in metres, z up, at the file's rate.

    Raises:
        ValueError: without a body model, for one that does not fit, or if the file is damaged.
    """
    with opened(path) as content:
        if isinstance(content, np.ndarray) or not {"trans"} & set(map(str.lower, content.files)):
            raise ValueError(f"{path} contains no poses and trans, or joints and trans, of SMPL's bodies")
        arrays = {key.lower(): content[key] for key in content.files if key.lower() in _KEYS}
    fps = next((float(arrays[key]) for key in _RATES[:-1] if key in arrays and np.size(arrays[key]) == 1), None)
    ready = next((arrays[key] for key in _JOINT_ARRAYS if key in arrays), None)
    if ready is not None:
        if ready.ndim != 3 or ready.shape[2] != 3 or (options.skeleton is None and ready.shape[1] < JOINTS):
            raise ValueError(f"its joints have shape {ready.shape}; expected (frames, at least {JOINTS} joints, 3)")
        clip = np.asarray(ready, dtype=np.float32)[None]
        if options.skeleton is None and clip.shape[2] != 24:
            clip = clip[:, :, :JOINTS]
    else:
        clip = _joints(path, arrays, options)[None]
    skeleton = options.skeleton or ("smpl-24" if clip.shape[2] == 24 else "smpl-22")
    fps = fps if fps is not None and np.isfinite(fps) and fps > 0 else None
    return Poses([clip], resolve(skeleton, clip.shape[2]), [path.stem], fps=fps)


def is_smpl(path: Path) -> bool:
    """Whether a `.npz` contains rotations as AMASS does."""
    try:
        members = {name.lower() for name in npz_members(path)}
    except (OSError, ValueError):
        return False
    return {"poses", "trans"} <= members or ("trans" in members and bool(members & {*_JOINT_ARRAYS}))


READER = Reader("smpl", (".npz",), read_smpl, is_smpl)
_KEYS = ("poses", "trans", "betas", "gender", *_JOINT_ARRAYS, *_RATES)


def _joints(path: Path, arrays: Mapping[str, np.ndarray], options: ReadOptions) -> np.ndarray:
    if "poses" not in arrays:
        raise ValueError(f"{path} contains {', '.join(arrays)}; expected poses and trans, or joints")
    poses, trans = arrays["poses"], arrays["trans"]
    count = poses.shape[1] // 3 if poses.ndim == 2 else 0
    if poses.ndim != 2 or 3 * count != poses.shape[1] or count not in _MODELS or trans.shape != (len(poses), 3):
        raise ValueError(
            f"its poses have shape {poses.shape} and its trans {trans.shape}; expected (frames, 72, 156 or 165) and "
            "(frames, 3)"
        )
    if options.body_model is None:
        raise ValueError(
            f"{path} contains rotations of {_MODELS[count]}'s joints; their positions need a body model, whose licence "
            "does not allow us to include it: download it (smpl.is.tue.mpg.de, mano.is.tue.mpg.de or "
            "smpl-x.is.tue.mpg.de) and pass its .npz or its folder as body_model="
        )
    gender = str(arrays["gender"]) if "gender" in arrays else "neutral"
    gender = next((one for one in ("female", "male", "neutral") if one in gender.lower()), "neutral")
    model = _model_file(Path(options.body_model).expanduser(), gender, count)
    rest, parents = rest_joints(model, arrays.get("betas"))
    if len(rest) != count:
        raise ValueError(f"{path} has rotations of {count} joints ({_MODELS[count]}), but {model} has {len(rest)}")
    bounded(len(poses), count, 9)
    rotations = rotation_matrices(poses[:, : 3 * JOINTS].reshape(len(poses), JOINTS, 3))
    offsets = rest - rest[parents]
    offsets[0] = rest[0]
    translations = np.tile(offsets[:JOINTS], (len(poses), 1, 1))
    translations[:, 0] += trans
    return positions([-1, *parents[1:JOINTS].tolist()], translations, rotations).astype(np.float32)


def _model_file(path: Path, gender: str, joints: int) -> Path:
    """The body model itself, or the one in a folder whose path names the gender and the kind of body."""
    if not path.exists():
        raise ValueError(f"there is no body model {path}")
    if path.is_file():
        return path
    kind = _MODELS[joints].replace("-", "").lower()
    files = sorted(file for file in path.rglob("*") if file.suffix in (".npz", ".pkl"))
    for wanted in (gender, "neutral"):
        for file in files:
            words = file.relative_to(path.parent).as_posix().lower()
            others = [name for name in ("smplh", "smplx") if name != kind and name in words]
            named = wanted in words and not (wanted == "male" and "female" in words)
            if named and (kind in words and not others):
                return file
    raise ValueError(f"{path} contains no .npz or .pkl that is named like a {gender} {_MODELS[joints]} model")


def rest_joints(model: Path, betas: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The joints (V, 3) of a body with a given shape in the rest pose, and their parents (V,).

    Args:
        model: A body model with `v_template` (P, 3), `shapedirs` (P, 3, B), `J_regressor` (V, P), `kintree_table`.
        betas: (B,) coefficients of the shape, or None for the mean body.

    Raises:
        ValueError: if the file is not a body model, or its `.pkl` contains objects of other libraries.
    """
    if model.suffix == ".npz":
        with opened(model) as content:
            names = () if isinstance(content, np.ndarray) else content.files  # an array in a file named like an archive
            arrays = {key: content[key] for key in _MODEL_ARRAYS if key in names}
    else:
        content = load_pickle(model)
        content = content if isinstance(content, dict) else {}
        arrays = {key: np.asarray(content[key]) for key in _MODEL_ARRAYS if key in content}
    if missing := [key for key in _MODEL_ARRAYS if key not in arrays]:
        raise ValueError(f"{model} is not a body model: it lacks {', '.join(missing)}")
    template, directions, regressor, tree = (arrays[key] for key in _MODEL_ARRAYS)
    points, joints = len(template), len(regressor)
    shapes = template.shape, directions.shape[:2], regressor.shape, tree.shape
    if shapes != ((points, 3), (points, 3), (joints, points), (2, joints)) or directions.ndim != 3:
        raise ValueError(f"{model} is not a body model: its arrays have the shapes {', '.join(map(str, shapes))}")
    parents = tree[0].astype(np.int64)
    parents[0] = 0
    if (parents < 0).any() or (parents[1:] >= np.arange(1, joints)).any():
        raise ValueError(f"{model} is not a body model: a joint comes before its parent in kintree_table")
    shape = np.zeros(0) if betas is None else np.ravel(betas)[: directions.shape[2]].astype(np.float64)
    regressor = regressor.astype(np.float64)
    return regressor @ (template + directions[:, :, : len(shape)] @ shape), parents


_MODEL_ARRAYS = ("v_template", "shapedirs", "J_regressor", "kintree_table")


def rotation_matrices(vectors: Any) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3), by Rodrigues' formula."""
    vectors = np.asarray(vectors, dtype=np.float64)
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    axis = vectors / np.maximum(angle[..., 0], 1e-12)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
