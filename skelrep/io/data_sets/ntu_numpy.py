"""NTU RGB+D as its authors' `txt2npy.py` converts it: `S001C001P001R001A001.skeleton.npy`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from skelrep.io import ntu
from skelrep.io.reader import Reader, ReadOptions
from skelrep.io.safe_pickle import load_numpy_object
from skelrep.memory_budget import bounded
from skelrep.missing import absent_as_nan
from skelrep.persons import coordinate_energy
from skelrep.poses import Poses
from skelrep.skeletons import resolve

_BODY = re.compile(r"skel_body\d+")


def read_ntu_numpy(path: Path, options: ReadOptions) -> Poses:
    """Reads the dictionary in one file, without executing the pickle that contains it.

    Args:
        path: A `.npy` of {"file_name", "nbodys", "njoints", "skel_body0": (T, 25, 3), ...}.
        options: `skeleton`: another skeleton of 25 joints, by default "ntu-25".

    Returns:
        One clip (M, T, 25, 3) in metres at 30 frames per second, with at most two bodies in the order of decreasing
        motion energy. Its name gives the label and the columns, as for `.skeleton` files.

    Raises:
        ValueError: for other content.
    """
    with path.open("rb") as stream:
        content = load_numpy_object(stream, path.stat().st_size, path)
    arrays = (
        [np.asarray(content[key]) for key in content if _BODY.fullmatch(str(key))] if isinstance(content, dict) else []
    )
    shape = (len(arrays[0]), ntu.JOINTS, 3) if arrays and arrays[0].ndim == 3 else None
    if shape is None or any(array.shape != shape or array.dtype.kind not in "fiu" for array in arrays):
        raise ValueError(f"{path} contains no skel_body0 of shape (frames, {ntu.JOINTS}, 3)")
    bounded(len(arrays), *shape)
    clip = absent_as_nan(np.stack(arrays).astype(np.float32))
    energy = coordinate_energy(clip)
    order = [i for i in np.argsort(-energy, kind="stable") if energy[i] >= 0][: ntu.BODIES]
    if not order:
        raise ValueError(f"no frame of {path} has a body")
    stem = path.name.split(".")[0]
    labels, columns = ntu.labels_of([stem]), ntu.columns_of([stem])
    skeleton = resolve("ntu-25" if options.skeleton is None else options.skeleton, ntu.JOINTS)
    return Poses([clip[order]], skeleton, [path.stem], labels, 30, info=columns)


def is_ntu_numpy(path: Path) -> bool:
    """Whether a `.npy` is named after a `.skeleton` and contains Python objects."""
    return path.name.lower().endswith(".skeleton.npy")


READER = Reader("ntu-npy", (".npy",), read_ntu_numpy, is_ntu_numpy)
