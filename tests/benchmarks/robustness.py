"""Robustness of embeddings to damaged poses: 1-NN of damaged queries among clean clips.

    python -m tests.benchmarks.robustness [--model i2md-small] [--repaired] [--dataset utd_mhad] [--json]

Columns, in per cent of the test clips of the data set's first fold: the encoder; the same network with random weights
(mean of three seeds); and the poses as the encoder's preprocessing leaves them, without any network. The last line is
1-NN on two people, over all folds of sbu_interaction. `--repaired` gives an encoder that was published without them
all repairs of preprocessing (`skelrep.preprocess_config.ROBUST`). Needs the motion data (see tests/motion_data.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence

import numpy as np

from skelrep import Encoder, Poses, load_pretrained
from skelrep.preprocess_config import ROBUST
from skelrep.skeletons import Skeleton
from tests.benchmarks.accuracy import SEEDS, nearest, over_folds, prepared, untrained
from tests.motion_data import protocols

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # of a (M, T, V, C) clip, which it may change


def without(joints: Sequence[int]) -> Damage:
    """These joints are never seen."""

    def damage(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        clip[:, :, list(joints)] = np.nan
        return clip

    return damage


def without_some(share: float) -> Damage:
    """Each joint is never seen with a probability."""

    def damage(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        clip[:, :, random.random(clip.shape[2]) < share] = np.nan
        return clip

    return damage


def with_gaps(share: float) -> Damage:
    """Each sighting is lost with a probability."""

    def damage(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        clip[random.random(clip.shape[:3]) < share] = np.nan
        return clip

    return damage


def spikes(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """2 % of sightings are off by a standard deviation of half a metre per axis."""
    hit = random.random(clip.shape[:3]) < 0.02
    clip[hit] += random.normal(size=(hit.sum(), clip.shape[3])) * 0.5
    return clip


def swaps(skeleton: Skeleton) -> Damage:
    """Left and right are exchanged in a fifth of the frames."""

    def damage(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        hit = random.random(clip.shape[1]) < 0.2
        clip[:, hit] = clip[:, hit][:, :, skeleton.mirror]
        return clip

    return damage


def longer(value: float | None, front: bool) -> Damage:
    """As long again before or after the clip, of one value or, with None, of the pose at that end."""

    def damage(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        end = clip[:, :1] if front else clip[:, -1:]
        rest = np.broadcast_to(end, clip.shape) if value is None else np.full_like(clip, value)
        return np.concatenate([rest, clip] if front else [clip, rest], axis=1)

    return damage


def damages(skeleton: Skeleton) -> dict[str, Damage]:
    """All kinds, for clips of a skeleton."""
    joints = {name: i for i, name in enumerate(skeleton.joints)}
    legs = [i for name, i in joints.items() if name.split("_")[-1] in ("knee", "ankle", "foot", "toe")]
    lower = [*legs, *(i for name, i in joints.items() if name.split("_")[-1] in ("hip", "pelvis", "hips"))]
    hands = {side: [joints[f"{side}_{name}"] for name in ("wrist", "hand") if f"{side}_{name}" in joints]
             for side in ("left", "right")}  # fmt: skip
    return {
        "clean": lambda clip, random: clip,
        **{f"no {name}": without([i]) for name, i in joints.items()},
        "no left wrist and hand": without(hands["left"]),
        "no right wrist and hand": without(hands["right"]),
        "no right arm": without([*hands["right"], joints["right_elbow"]]),
        "a fifth of the joints never seen": without_some(0.2),
        "no legs": without(legs),
        "no lower body": without(lower),
        "a fifth of the sightings lost": with_gaps(0.2),
        "spikes": spikes,
        "sides exchanged": swaps(skeleton),
        "nobody after the clip (NaN)": longer(np.nan, front=False),
        "nobody before the clip (NaN)": longer(np.nan, front=True),
        "nobody after the clip (zeros)": longer(0.0, front=False),
        "standing still before the clip": longer(None, front=True),
        "the first half alone": lambda clip, random: clip[:, : (clip.shape[1] + 1) // 2],
    }


def measure(encoder: Encoder, dataset: str = "utd_mhad") -> list[dict]:
    """A line for each damage."""
    known = protocols()
    poses, folds = known[dataset]
    train, test = folds[0]
    assert poses.labels is not None
    networks: dict[str, list[Callable[[Poses], np.ndarray]]] = {
        "encoder": [encoder.embed],
        "untrained": [untrained(encoder, seed).embed for seed in SEEDS],
        "prepared": [lambda clips: prepared(clips, encoder).reshape(len(clips), -1)],
    }
    galleries = {name: [make(poses[train]) for make in makers] for name, makers in networks.items()}
    table = []
    for name, damage in damages(poses.skeleton).items():
        random = np.random.default_rng(0)
        clips = [damage(clip.copy(), random) for clip in poses[test].clips]
        queries = Poses(clips, poses.skeleton, labels=poses.labels[test], fps=poses.fps)
        line: dict = {"damage": name}
        for column, makers in networks.items():
            scores = [
                nearest(rows, poses.labels[train], make(queries), poses.labels[test])
                for rows, make in zip(galleries[column], makers)
            ]
            line[column] = float(np.mean(scores)) * 100
        table.append(line)
    poses, folds = known["sbu_interaction"]
    assert poses.labels is not None
    line = {"damage": "two people (sbu_interaction)"}
    for column, makers in networks.items():
        line[column] = float(np.mean([over_folds(make(poses), poses.labels, folds, nearest)[0] for make in makers]))
    return [*table, line]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument("--repaired", action="store_true", help="with all repairs of preprocessing")
    parser.add_argument("--dataset", default="utd_mhad", help="whose first fold is damaged")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    encoder = load_pretrained(arguments.model)
    if arguments.repaired:
        own = encoder.config.preprocess
        repairs = dataclasses.replace(ROBUST, frames=own.frames, crop=own.crop)
        encoder.config = dataclasses.replace(encoder.config, preprocess=repairs)
    table = measure(encoder, arguments.dataset)
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    print(f"{'':34s}" + "".join(f"{column:>11s}" for column in ("encoder", "untrained", "prepared")))
    for line in table:
        print(
            f"{line['damage']:34s}"
            + "".join(f"{line[column]:11.1f}" for column in ("encoder", "untrained", "prepared"))
        )


if __name__ == "__main__":
    main()
