"""1-NN on people and activities held out of the pretraining sets, for choosing a recipe without the test sets.

    python -m tests.benchmarks.validation --corpus OUT            writes the corpus without the people held out
    python -m tests.benchmarks.validation MODEL [MODEL ...] [--json]

Held out are all of cad60, kard and bandai_namco_1, and subjects 21 to 30 of msrc12. Figures are accuracies in per cent
of frozen embeddings by cosine, all streams: for each set, their mean, and the mean without depth. MODEL is what
`load_pretrained` takes, or a run's folder that holds `encoder`; "untrained" is the network of the recipe `i2md_small`
with random weights. Needs the motion data (see tests/motion_data.py).
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np

from skelrep import Poses, knn_eval, load_pretrained
from skelrep.encoder import Encoder
from tests.benchmarks.accuracy import over_folds, seen_by_one_camera
from tests.motion_data import PRETRAINING, load, msrc12_segments

WINDOW = 3.0  # seconds; cad60's recordings last up to a minute
HELD_OUT = ("cad60", "kard", "bandai_namco_1")
FIRST_HELD_OUT = 21  # of msrc12's subjects

Folds = list[tuple[np.ndarray, np.ndarray]]


def windows(poses: Poses, seconds: float) -> Poses:
    """Consecutive windows of every clip, with its labels and columns; a shorter rest is left out."""
    assert poses.fps is not None
    length = round(seconds * poses.fps)
    cuts = [(i, begin) for i, clip in enumerate(poses.clips) for begin in range(0, clip.shape[1] - length + 1, length)]
    index = np.array([i for i, _ in cuts])
    clips = [poses.clips[i][:, begin : begin + length] for i, begin in cuts]
    labels = None if poses.labels is None else poses.labels[index]
    info = {key: column[index] for key, column in poses.info.items()}
    return Poses(clips, poses.skeleton, labels=labels, fps=poses.fps, info=info)


def one_person_known(groups: np.ndarray) -> Folds:
    """Each group alone as the gallery and all others as queries: what an encoder knows of people must come from it."""
    return [(np.flatnonzero(groups == group), np.flatnonzero(groups != group)) for group in np.unique(groups)]


def sets() -> dict[str, tuple[Poses, Folds]]:
    """For every set the poses and (gallery, query) index arrays."""
    cad60 = windows(load("cad60"), WINDOW)
    cad60 = cad60.select(labels=[label for label in np.unique(cad60.labels) if label >= 0])  # type: ignore[arg-type]
    kard, bandai, segments = load("kard"), load("bandai_namco_1"), msrc12_segments()
    style = np.array([name.split("_")[2] for name in bandai.ids])
    segments = segments[np.flatnonzero(segments.info["subject"] >= FIRST_HELD_OUT)[::2]]  # every other one is enough
    return {
        "cad60, from one person to the others": (cad60, one_person_known(cad60.info["subject"])),
        "kard, from one person to the others": (kard, one_person_known(kard.info["subject"])),
        "bandai_namco_1, from one style to the others": (bandai, one_person_known(style)),
        "msrc12 segments, from one person to the others": (segments, one_person_known(segments.info["subject"])),
    }


def measure(encoder: Encoder) -> dict[str, float]:
    """Accuracies in per cent, by set."""
    found, without = {}, []
    for name, (poses, folds) in sets().items():
        with warnings.catch_warnings():  # a class of one clip
            warnings.simplefilter("ignore")
            for flat in (False, True):
                rows = encoder.embed(seen_by_one_camera(poses) if flat else poses, show_progress=False)
                accuracy, _ = over_folds(rows, poses.labels, folds, lambda *s: knn_eval(*s, k=(1,)).accuracy[1])  # type: ignore[arg-type]
                if flat:
                    without.append(accuracy)
                else:
                    found[name] = accuracy
    found["mean"], found["mean without depth"] = float(np.mean(list(found.values()))), float(np.mean(without))
    return {key: round(value, 2) for key, value in found.items()}


def write_corpus(folder: Path) -> None:
    """The training corpus without the people that are held out."""
    from skelrep.train.prepare import prepare

    def reader(path: Path, split: object) -> list[Poses]:
        poses = load(path.name)
        if path.name == "msrc12":
            poses = poses[np.flatnonzero(poses.info["subject"] < FIRST_HELD_OUT)]
        return [poses]

    prepare([name for name in PRETRAINING if name not in HELD_OUT], folder, skeleton="common-15", reader=reader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--corpus", type=Path, metavar="OUT")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.corpus:
        write_corpus(arguments.corpus)
    for model in arguments.models:
        if model == "untrained":
            import torch

            from skelrep.train.recipes import i2md_small

            torch.manual_seed(0)
            encoder = Encoder(i2md_small().encoder)
        else:
            inside = Path(model) / "encoder"
            encoder = load_pretrained(str(inside) if inside.is_dir() else model)
        figures = measure(encoder)
        print(json.dumps({"model": model, **figures}) if arguments.json else model)
        if not arguments.json:
            print("\n".join(f"  {value:5.1f}  {name}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
