"""Real motion data for evaluating and training encoders, if a copy is available.

It is not ours to publish and not part of this repository. `FOLDER` (the environment variable SKELREP_MOTION_DATA, or
`../shared/data`) holds a `read.py` with `load(name)` and `folds(name)`; where it does not exist, what needs it is
skipped.

    python -m tests.motion_data OUT      writes every set as a skelrep .npz, for `skelrep prepare`
"""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from skelrep import Poses
from skelrep.skeletons import SKELETONS, resolve

FOLDER = Path(os.environ.get("SKELREP_MOTION_DATA", Path(__file__).parents[2] / "shared" / "data"))

PRETRAINING = ("msrc12", "bandai_namco_1", "bandai_namco_2", "cmu_subset", "cmu_extra", "kard", "cad60")
LABELLED = ("utd_mhad", "msr_action3d", "utkinect", "hdm05_11", "jhmdb_2d", "sbu_interaction")  # for judging only
SKELETON = {  # of the sets whose joints have a named skeleton; the others are known by their joints' names
    "msrc12": "kinect-20",
    "bandai_namco_1": "bandai-namco-21",
    "bandai_namco_2": "bandai-namco-21",
    "cmu_subset": "cmu-17",
    "utd_mhad": "utd-mhad-20",
    "msr_action3d": "msr-action3d-20",
    "utkinect": "kinect-20",
    "hdm05_11": "hdm05-31",
    "jhmdb_2d": "jhmdb-15",
}


@lru_cache(maxsize=1)
def _reader():
    spec = importlib.util.spec_from_file_location("motion_data_read", FOLDER / "read.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=4)
def _raw(name: str) -> dict:
    return _reader().load(name)


def load(name: str) -> Poses:
    """One set; its clips are stored (T, M, V, C)."""
    data = _raw(name)
    return Poses(
        [clip.transpose(1, 0, 2, 3) for clip in data["clips"]],
        SKELETONS[SKELETON[name]] if name in SKELETON else resolve([str(joint) for joint in data["joint_names"]]),
        ids=[str(item) for item in data["names"]] if "names" in data else [],
        labels=data["labels"],
        fps=float(data["fps"]),
        info={"subject": data["subjects"]},
    )


def protocols() -> dict[str, tuple[Poses, list[tuple[np.ndarray, np.ndarray]]]]:
    """For every protocol the poses and its (train, test) index arrays."""
    found = {name: (load(name), _reader().folds(name)) for name in ("utd_mhad", "msr_action3d", "utkinect")}
    msr = _raw("msr_action3d")
    good, subject = msr["used557"], msr["subjects"]
    splits = zip(msr["split10_train_subjects"], msr["split10_test_subjects"])
    halves = [tuple(np.flatnonzero(np.isin(subject, half) & good) for half in split) for split in splits]
    found["msr_action3d, 10 splits"] = (found["msr_action3d"][0], halves)
    found |= {name: (load(name), _reader().folds(name)) for name in ("hdm05_11", "jhmdb_2d", "sbu_interaction")}
    found["cmu_subset, 8 classes"] = _cmu()
    segments = msrc12_segments()
    first = segments.info["subject"] <= 15
    found["msrc12 segments"] = segments, [(np.flatnonzero(first), np.flatnonzero(~first))]
    return found


def _cmu() -> tuple[Poses, list[tuple[np.ndarray, np.ndarray]]]:
    """The eight coarse classes with at least six trials by at least two subjects; each subject against all others."""
    poses = load("cmu_subset")
    subject, labels = poses.info["subject"], poses.labels
    assert labels is not None
    trials, subjects = (
        np.bincount(pairs[0], minlength=labels.max() + 1)
        for pairs in (labels[None], np.unique(np.stack([labels, subject]), axis=1))
    )
    poses = poses.select(labels=np.flatnonzero((trials >= 6) & (subjects >= 2)).tolist())
    subject = poses.info["subject"]
    return poses, [(np.flatnonzero(subject != s), np.flatnonzero(subject == s)) for s in np.unique(subject)]


def msrc12_segments() -> Poses:
    """Two seconds around each marked gesture."""
    data = _raw("msrc12")
    with np.load(FOLDER / "msrc12_segments_index.npz", allow_pickle=False) as index:
        index = dict(index)
    rows = np.concatenate([clip[:, 0] for clip in data["clips"]])
    clips = [rows[a : a + n][None] for a, n in zip(index["start"], index["lengths"])]
    info = {"subject": index["subjects"]}
    return Poses(clips, SKELETONS["kinect-20"], labels=index["labels"], fps=float(data["fps"]), info=info)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name in (*PRETRAINING, *LABELLED):
        load(name).save(out / f"{name}.npz")
