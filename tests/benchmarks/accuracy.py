"""How good are an encoder's embeddings? Frozen 1-NN (cosine) and linear probe on real labelled sets, beside raw poses.

    python -m tests.benchmarks.accuracy [--model i2md-small] [--linear] [--streams] [--flat] [--json]

A protocol of several folds gives the mean over folds and their standard deviation; accuracies are weighted by test
clips where a fold is one subject. Needs the motion data (see tests/motion_data.py).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np

from skelrep import Poses, knn_eval, linear_eval, load_pretrained
from tests.motion_data import FLOORS, protocols


def raw_poses(poses: Poses) -> np.ndarray:
    """Poses themselves as (N, T V C) rows: resampled to 64 frames, centred at the root in every frame."""
    import torch

    from skelrep.preprocess import resample

    root = next(i for i, parent in enumerate(poses.skeleton.parents) if i == parent)
    rows = []
    for clip in poses.clips:
        track = torch.from_numpy(clip[0])
        track = resample(track, torch.tensor([0]), torch.tensor([len(track)]), 64)[0]
        rows.append((track - track[:, root : root + 1]).flatten())
    return torch.stack(rows).numpy()


def over_folds(rows: np.ndarray, labels: np.ndarray, folds: list, judge) -> tuple[float, float]:
    """Mean and standard deviation of the accuracy in per cent."""
    accuracies = np.array([judge(rows[a], labels[a], rows[b], labels[b]) for a, b in folds]) * 100
    weights = np.array([len(b) for _, b in folds], dtype=float)
    return float((accuracies * weights).sum() / weights.sum()), float(accuracies.std())


def seen_by_one_camera(poses: Poses) -> Poses:
    """The same clips without their depth, as an estimator on single images would give them at best."""
    return replace(poses, clips=[clip[..., :2] for clip in poses.clips])


def measure(model: str, linear: bool = False, streams: bool = False, flat: bool = False) -> list[dict]:
    encoder = load_pretrained(model)

    def nearest(*sets, metric="cosine"):
        import warnings

        with warnings.catch_warnings():  # a test subject may be the only one of a class
            warnings.simplefilter("ignore")
            return knn_eval(*sets, k=(1,), metric=metric).accuracy[1]

    table = []
    for name, (poses, folds) in protocols().items():
        rows = encoder.embed(poses)
        assert poses.labels is not None
        line: dict = {"protocol": name, "clips": len(poses), "floor": FLOORS[name]}
        line["raw"], _ = over_folds(raw_poses(poses), poses.labels, folds, lambda *s: nearest(*s, metric="euclidean"))
        line["1-NN"], line["1-NN sd"] = over_folds(rows, poses.labels, folds, nearest)
        if streams:
            for stream in encoder.config.modalities:
                part = encoder.embed(poses, streams=stream)
                line[f"1-NN {stream}"], _ = over_folds(part, poses.labels, folds, nearest)
        if flat and poses.channels == 3:
            line["1-NN flat"], _ = over_folds(encoder.embed(seen_by_one_camera(poses)), poses.labels, folds, nearest)
        if linear and "cmu" not in name:  # some of its classes have one subject only
            line["linear"], line["linear sd"] = over_folds(
                rows, poses.labels, folds, lambda *s: linear_eval(*s).accuracy
            )
        table.append(line)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument("--linear", action="store_true", help="also a linear probe (minutes)")
    parser.add_argument("--streams", action="store_true", help="also each stream alone")
    parser.add_argument("--flat", action="store_true", help="also without depth")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table = measure(arguments.model, arguments.linear, arguments.streams, arguments.flat)
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    for line in table:
        figures = "  ".join(f"{key} {value:5.1f}" for key, value in line.items() if isinstance(value, float))
        print(f"{line['protocol']:25s} {line['clips']:5d} clips  {figures}")


if __name__ == "__main__":
    main()
