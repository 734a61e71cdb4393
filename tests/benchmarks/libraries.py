"""How well are copies found in libraries of real recordings, and how well do clusters agree with labels?

    python -m tests.benchmarks.libraries [--model i2md-small] [--only duplicates cluster] [--trimmed]

Duplicates: a library is a set of recordings and copies of a third of them, each of another kind: exact, trimmed (a
tenth or a quarter of the frames is cut off), noisy (errors of 1 or 2 % of the body's size), resampled (half to twice
the frames), or all three. `skelrep.libraries.duplicates` chooses its threshold without knowing them.

- found: fraction of the copies in the group of their original.
- false: fraction of the recordings that are said to be a duplicate of another recording; "takes": those of them with
  the same label and subject, such as the second take of a walk.

Clusters: agreement with the labels of `skelrep.libraries.cluster`, with the number of classes and with the number that
it chooses: normalised mutual information, adjusted Rand index, purity (fraction of the clips whose label is the most
frequent one of their cluster); in per cent. Needs the motion data (see tests/motion_data.py).
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from skelrep import Poses, load_pretrained
from skelrep.encoder import Encoder
from skelrep.libraries import cluster, duplicates
from tests.benchmarks.accuracy import prepared, untrained
from tests.motion_data import _raw, load

LIBRARIES = ("cmu_subset", "bandai_namco_2", "kard", "utd_mhad")
LABELLED = ("utd_mhad", "msr_action3d", "hdm05_11")
SHORTEST = 8  # frames of a recording that is copied

Copy = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def cut(fraction: float) -> Copy:
    """Cuts a fraction of the frames off, some of them at the start and the others at the end."""

    def copy(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = max(1, round(fraction * clip.shape[1]))
        before = int(rng.integers(count + 1))
        return clip[:, before : clip.shape[1] - (count - before)]

    return copy


def shaken(fraction: float) -> Copy:
    """Adds errors of a fraction of the distance from the lowest to the highest joint."""

    def copy(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height = np.nanmedian(np.nanmax(clip, axis=2) - np.nanmin(clip, axis=2), axis=(0, 1)).max()
        return clip + rng.normal(scale=fraction * height, size=clip.shape)

    return copy


def retimed(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At another frame rate: each frame is interpolated between its two neighbours."""
    frames = clip.shape[1]
    times = np.arange(0, frames - 1, np.exp(rng.uniform(-np.log(2), np.log(2))))
    before = times.astype(int)
    part = (times - before)[:, None, None]
    return (1 - part) * clip[:, before] + part * clip[:, before + 1]


def all_three(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return retimed(shaken(0.01)(cut(0.1)(clip, rng), rng), rng)


COPIES: dict[str, Copy] = {
    "exact": lambda clip, rng: clip.copy(),
    "trimmed 10 %": cut(0.1),
    "trimmed 25 %": cut(0.25),
    "noisy 1 %": shaken(0.01),
    "noisy 2 %": shaken(0.02),
    "resampled": retimed,
    "all three": all_three,
}


def with_copies(poses: Poses, seed: int = 0) -> tuple[Poses, np.ndarray, np.ndarray]:
    """A library with copies of a third of the recordings, the recording of each clip, and the kind of each copy."""
    rng = np.random.default_rng(seed)
    long = [i for i, clip in enumerate(poses.clips) if clip.shape[1] >= SHORTEST]
    chosen = rng.permutation(long)[: len(poses) // 3]
    kinds = [list(COPIES)[i % len(COPIES)] for i in range(len(chosen))]
    clips = [COPIES[kind](poses.clips[i], rng).astype(np.float32) for i, kind in zip(chosen.tolist(), kinds)]
    copies = replace(poses[chosen], clips=clips, ids=[f"copy of {poses.ids[i]}" for i in chosen])
    order = rng.permutation(len(poses) + len(copies))
    recording = np.append(np.arange(len(poses)), chosen)[order]
    return Poses.concatenate([poses, copies])[order], recording, np.array([""] * len(poses) + kinds)[order]


def measure_duplicates(name: str, encoder: Encoder, trimmed: bool) -> dict:
    """Recall by kind of copy, and false duplicates."""
    poses = load(name)
    _, distinct = np.unique([clip.tobytes() for clip in poses.clips], return_index=True)
    poses = poses[np.sort(distinct)]  # exact copies that the set itself has would count as false
    library, recording, kind = with_copies(poses)
    found = duplicates(library, encoder, trimmed=trimmed, show_progress=False)
    group = np.arange(len(library)) + len(library)  # each clip is a group of its own
    group[found.rows] = found.group
    kept = {number: row for number, row, keep in zip(found.group, found.rows, found.keep) if keep}
    own = np.empty(len(poses), dtype=int)
    own[recording[kind == ""]] = group[kind == ""]
    line: dict = {
        "task": "duplicates",
        "trimmed": trimmed,
        "library": name,
        "recordings": len(poses),
        "copies": int((kind != "").sum()),
    }
    line |= {"threshold": round(found.protocol["threshold"], 4), "stated false %": found.protocol["clip_rate"] * 100}
    for one in COPIES:
        of_kind = np.flatnonzero(kind == one)
        line[one] = 100 * float((group[of_kind] == own[recording[of_kind]]).mean())
    removed = found.rows[~found.keep]
    keeper = np.array([kept[number] for number in found.group[~found.keep]], dtype=int)
    false = (recording[removed] != recording[keeper]) & (kind[removed] == "")
    one, other = recording[removed[false]], recording[keeper[false]]
    assert poses.labels is not None
    takes = (poses.labels[one] == poses.labels[other]) & (poses.info["subject"][one] == poses.info["subject"][other])
    line["false %"] = 100 * len(one) / len(poses)
    line["of these takes %"] = 100 * float(takes.mean()) if len(takes) else 0.0
    return line


def agreement(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """NMI, ARI and purity in per cent."""
    counts = np.array(
        [np.bincount(np.unique(labels, return_inverse=True)[1][clusters == c]).max() for c in np.unique(clusters)]
    )
    return {
        "NMI": 100 * float(normalized_mutual_info_score(labels, clusters)),
        "ARI": 100 * float(adjusted_rand_score(labels, clusters)),
        "purity": 100 * counts.sum() / len(labels),
    }


def measure_clusters(name: str, rows: dict[str, np.ndarray], labels: np.ndarray) -> list[dict]:
    """Agreement for each kind of rows, with the number of classes and with the number that is chosen."""
    lines = []
    classes = len(np.unique(labels))
    for kind, matrix in rows.items():
        for k in (classes, None):
            found = cluster(matrix, k=k)
            number = int(found.cluster.max())
            line = {"task": "cluster", "set": name, "rows": kind, "k": number, "given": k is not None}
            lines.append(line | agreement(labels, found.cluster))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument("--only", nargs="+", choices=("duplicates", "cluster"), default=("duplicates", "cluster"))
    parser.add_argument("--sets", nargs="+", choices=LIBRARIES, default=LIBRARIES, help="for duplicates")
    parser.add_argument("--trimmed", action="store_true", help="duplicates(trimmed=True)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    encoder = load_pretrained(arguments.model, device="cpu")
    if "duplicates" in arguments.only:
        for name in arguments.sets:
            print(json.dumps(_rounded(measure_duplicates(name, encoder, arguments.trimmed))), flush=True)
    if "cluster" in arguments.only:
        fresh = untrained(encoder, 0)
        for name in LABELLED:
            poses = load(name)
            if name == "msr_action3d":
                poses = poses[np.flatnonzero(_raw(name)["used557"])]
            assert poses.labels is not None
            raw = prepared(poses, encoder)
            rows = {arguments.model: encoder.embed(poses, show_progress=False)}
            rows |= {"untrained": fresh.embed(poses, show_progress=False), "raw poses": raw.reshape(len(raw), -1)}
            for line in measure_clusters(name, rows, poses.labels):
                print(json.dumps(_rounded(line)), flush=True)


def _rounded(line: dict) -> dict:
    return {
        key: round(value, 1) if isinstance(value, float) and key != "threshold" else value
        for key, value in line.items()
    }


if __name__ == "__main__":
    main()
