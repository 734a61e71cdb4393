"""Accuracy of an encoder's embeddings and of simpler baselines: Frozen 1-NN and linear probe on labelled sets.

    python -m tests.benchmarks.accuracy [--model i2md-small] [--only utd_mhad ...] [--quick] [--streams] [--flat]
        [--parts]

Columns, in per cent of the test clips:

- raw: 1-NN among the poses themselves, the better of two: centred at the root in every frame, or as the encoder's
  preprocessing leaves them ("prepared" shows the second alone).
- untrained: 1-NN among embeddings of the same network with random weights, mean of three seeds.
- minirocket: MiniRocket and a ridge classifier trained on the labels (Dempster et al., KDD 2021; by aeon), on prepared
  poses.
- 1-NN: cosine nearest neighbour among the frozen embeddings. linear: a linear probe on them.
- 1-NN 25 %, 50 %, 75 % (`--parts`): the same for the first part of each test clip, among whole clips.

A protocol of several folds gives the mean over folds, weighted by test clips, and the standard deviation over folds.
Needs the motion data (see tests/motion_data.py), and aeon for MiniRocket (pip install '.[benchmarks]').
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from skelrep import Encoder, Poses, knn_eval, linear_eval, load_pretrained
from skelrep.preprocess import resample
from tests.motion_data import protocols

SEEDS = (0, 1, 2)  # of untrained networks
PARTS = (25, 50, 75)  # per cent of a clip
FRAMES = 64  # that raw poses are resampled to, as in the literature
Folds = list[tuple[np.ndarray, np.ndarray]]
Judge = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


def root_centred(poses: Poses) -> np.ndarray:
    """Poses themselves as rows (N, M T V C): resampled, without their root's path, absent persons and joints zero."""
    root = next(i for i, parent in enumerate(poses.skeleton.parents) if i == parent)
    persons = max(len(clip) for clip in poses.clips)
    rows = []
    for clip in poses.clips:
        tracks = torch.from_numpy(np.ascontiguousarray(clip)).flatten(0, 1)
        starts = torch.arange(len(clip)) * clip.shape[1]
        tracks = resample(tracks, starts, torch.full((len(clip),), clip.shape[1]), FRAMES)
        tracks = (tracks - tracks[:1, :, root : root + 1]).nan_to_num(nan=0.0)
        rows.append(torch.nn.functional.pad(tracks.flatten(1), (0, 0, 0, persons - len(clip))).flatten())
    return torch.stack(rows).numpy()


def prepared(poses: Poses, encoder: Encoder) -> np.ndarray:
    """Clips as the encoder's network gets them, (N, M, T, V, 3); resampled to `FRAMES` if they have other lengths."""
    with torch.inference_mode():
        if encoder.config.preprocess.rate is not None:
            stepped = encoder.prepare_stepped(poses)
            persons, lengths = stepped.poses.flatten(0, 1), stepped.frames[..., -1].flatten().clamp(min=1)
            starts = torch.arange(len(persons)) * persons.shape[1]
            tracks = resample(persons.flatten(0, 1), starts, lengths, FRAMES)
            return tracks.unflatten(0, stepped.poses.shape[:2]).numpy()
        return encoder.prepare_weighted(poses).poses.numpy()


def untrained(encoder: Encoder, seed: int) -> Encoder:
    """The same network with weights as they are before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(encoder.config).eval()


def over_folds(
    rows: np.ndarray, labels: np.ndarray, folds: Folds, judge: Judge, queries: np.ndarray | None = None
) -> tuple[float, float]:
    """Mean and standard deviation of the accuracy in per cent; `queries` replace the rows of test clips."""
    queries = rows if queries is None else queries
    with warnings.catch_warnings():  # a test subject may be the only one of a class
        warnings.simplefilter("ignore")
        accuracies = np.array([judge(rows[a], labels[a], queries[b], labels[b]) for a, b in folds]) * 100
    sizes = [len(b) for _, b in folds]
    return float(np.average(accuracies, weights=sizes)), float(accuracies.std())


def nearest(*sets: np.ndarray) -> float:
    return knn_eval(*sets, k=1).accuracy[1]


def nearest_euclidean(*sets: np.ndarray) -> float:
    return knn_eval(*sets, k=1, metric="euclidean").accuracy[1]


def linear_probe(*sets: np.ndarray) -> float:
    return linear_eval(*sets).accuracy


def minirocket(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> float:
    """MiniRocket's default 10 000 features of (N, M, T, V, 3) clips, channel by channel, and ridge regression."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    series = [clips.transpose(0, 1, 3, 4, 2).reshape(len(clips), -1, clips.shape[2]) for clips in (train, test)]
    varying = series[0].std(axis=(0, 2)) > 0  # an axis that no clip uses, such as the second person's, is no channel
    classifier = MiniRocketClassifier(random_state=0, n_jobs=1)
    classifier.fit(series[0][:, varying], train_labels)
    return float((classifier.predict(series[1][:, varying]) == test_labels).mean())


def seen_by_one_camera(poses: Poses) -> Poses:
    """The same clips without their depth, as an estimator on single images would give them at best."""
    return replace(poses, clips=[clip[..., :2] for clip in poses.clips])


def first_part(poses: Poses, fraction: float) -> Poses:
    """The same clips without the rest of their frames."""
    clips = [clip[:, : max(1, round(fraction * clip.shape[1]))] for clip in poses.clips]
    return replace(poses, clips=clips, scores=None)


def measure(
    model: str,
    only: list[str] | None = None,
    quick: bool = False,
    streams: bool = False,
    flat: bool = False,
    parts: bool = False,
) -> list[dict]:
    """A line for every protocol; `quick` leaves out what takes minutes (the linear probe and MiniRocket)."""
    encoder = load_pretrained(model)
    table = []
    for name, (poses, folds) in protocols().items():
        if only and name not in only:
            continue
        labels = poses.labels
        assert labels is not None
        line: dict = {"protocol": name, "clips": len(poses)}
        clips, rows = prepared(poses, encoder), encoder.embed(poses)
        line["prepared"], _ = over_folds(clips.reshape(len(clips), -1), labels, folds, nearest)
        line["raw"] = max(line["prepared"], over_folds(root_centred(poses), labels, folds, nearest_euclidean)[0])
        line["untrained"] = float(
            np.mean([over_folds(untrained(encoder, seed).embed(poses), labels, folds, nearest)[0] for seed in SEEDS])
        )
        several_subjects = "cmu" not in name  # some of its classes have one subject only
        if not quick and several_subjects:
            line["minirocket"], line["minirocket sd"] = over_folds(clips, labels, folds, minirocket)
        line["1-NN"], line["1-NN sd"] = over_folds(rows, labels, folds, nearest)
        if not quick and several_subjects:
            line["linear"], line["linear sd"] = over_folds(rows, labels, folds, linear_probe)
        if streams:
            for stream in encoder.config.modalities:
                line[f"1-NN {stream}"], _ = over_folds(encoder.embed(poses, streams=stream), labels, folds, nearest)
        if flat and poses.channels == 3:
            line["1-NN flat"], _ = over_folds(encoder.embed(seen_by_one_camera(poses)), labels, folds, nearest)
        for percent in PARTS if parts else ():
            begun = encoder.embed(first_part(poses, percent / 100))
            line[f"1-NN {percent} %"], _ = over_folds(rows, labels, folds, nearest, begun)
        table.append(line)
    return table


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument("--only", nargs="+", metavar="PROTOCOL", help="some of the protocols")
    parser.add_argument("--quick", action="store_true", help="without the linear probe and MiniRocket (minutes)")
    parser.add_argument("--streams", action="store_true", help="also each stream alone")
    parser.add_argument("--flat", action="store_true", help="also without depth")
    parser.add_argument("--parts", action="store_true", help="also the first part of each test clip")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table = measure(
        arguments.model, arguments.only, arguments.quick, arguments.streams, arguments.flat, arguments.parts
    )
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    for line in table:
        figures = "  ".join(f"{key} {value:5.1f}" for key, value in line.items() if isinstance(value, float))
        print(f"{line['protocol']:25s} {line['clips']:5d} clips  {figures}")


if __name__ == "__main__":
    main()
