"""The effect of each part of the method: the same encoder, corpus, steps and seeds with one change at a time.

    python -m tests.benchmarks.ablation CORPUS -o docs/ablation.jsonl [--only parts] [--backbone convolution]
    python -m tests.benchmarks.ablation --table docs/ablation.jsonl

CORPUS is a folder that `skelrep prepare` wrote of the pretraining sets (see tests/motion_data.py). Every run appends
one line to the results, and runs already there are not made again, so that it can be stopped and gone on with. Judged
is the frozen encoder, on sets that it has not seen (but cmu_subset): 1-NN by cosine of all streams together and of each
alone, over all folds; a linear probe on all streams over the first three folds. An encoder that is pooled otherwise
once it is trained is judged both ways: its second line has "pooled" behind the name of its backbone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from skelrep import knn_eval, linear_eval
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import PreprocessConfig
from skelrep.train.data import Corpus
from skelrep.train.i2md import MethodConfig
from skelrep.train.loop import pretrain
from skelrep.train.recipes import LOSSES, Recipe
from tests.benchmarks.accuracy import over_folds, root_centred
from tests.motion_data import protocols

# The budget of every run: a few minutes on one core, so that many seeds are possible.
STEPS, BATCH, SLOTS = 600, 128, 2048
BUDGET = {"steps": STEPS, "batch": BATCH, "warmup": 50}
RECIPES = {
    # The encoder that the results in docs/ablation.jsonl are of: the first one that was bundled.
    "convolution": Recipe(EncoderConfig(backbone=ConvolutionConfig(stride=4)), averages=4, **BUDGET),
    "recurrent": Recipe(
        EncoderConfig(backbone=RecurrentConfig(hidden=64, layers=2), preprocess=PreprocessConfig(frames=32, persons=1)),
        **BUDGET,
    ),
}
METHOD = MethodConfig(slots=SLOTS, neighbours=SLOTS // 2, momentum=0.99)
PARTS = {name: dataclasses.replace(METHOD, **weights) for name, weights in LOSSES.items()}
CHOICES = {
    "8 neighbours": {"aggregated": 8},
    "128 neighbours": {"aggregated": 128},
    "temperature 0.05": {"aggregation_temperature": 0.05},
    "temperature 0.2": {"aggregation_temperature": 0.2},
    "start at once": {"start": 0.0},
    "start at half": {"start": 0.5},
    "enqueue centres": {"enqueue": "centre"},
    "neighbours are negatives": {"neighbours_are_negatives": True},
    "half weight for the cluster branch": {"cluster": 0.5, "intra_modal": 0.5},
    "banks of 1024": {"slots": 1024, "neighbours": 512},
    "banks of 4096": {"slots": 4096, "neighbours": 2048},
}
VARIANTS = {
    "parts": PARTS,
    "choices": {f"i2md, {name}": dataclasses.replace(METHOD, **change) for name, change in CHOICES.items()},
}
LINEAR_FOLDS = 3
JUDGED = ("utd_mhad", "msr_action3d, 10 splits", "utkinect", "hdm05_11", "jhmdb_2d", "cmu_subset, 8 classes")


def judge(rows_of, streams: dict[str, slice]) -> dict[str, float]:
    """Accuracies in per cent of what `rows_of(poses)` gives, (N, D), by protocol and figure."""
    figures = {}
    for name, (poses, folds) in protocols().items():
        if name not in JUDGED:
            continue
        rows, labels = rows_of(poses), poses.labels
        with warnings.catch_warnings():  # a test subject may be the only one of a class
            warnings.simplefilter("ignore")
            for stream, columns in {"fused": slice(None), **streams}.items():
                figures[f"{name}: {stream}"], _ = over_folds(
                    np.ascontiguousarray(rows[:, columns]), labels, folds, lambda *s: knn_eval(*s, k=(1,)).accuracy[1]
                )
            if "cmu" not in name:  # some of its classes have one subject only
                figures[f"{name}: linear"], _ = over_folds(
                    rows, labels, folds[:LINEAR_FOLDS], lambda *s: linear_eval(*s).accuracy
                )
    for figure in ("fused", *streams, "linear"):
        values = [value for key, value in figures.items() if key.endswith(f": {figure}")]
        figures[f"mean: {figure}"] = float(np.mean(values))
    return {key: round(value, 2) for key, value in figures.items()}


def judge_encoder(encoder: Encoder) -> dict[str, float]:
    size = encoder.dim // len(encoder.config.modalities)
    streams = {name: slice(i * size, (i + 1) * size) for i, name in enumerate(encoder.config.modalities)}
    return judge(lambda poses: encoder.embed(poses, show_progress=False), streams)


def named(backbone: str, steps: int) -> str:
    return backbone if steps == STEPS else f"{backbone}, {steps} steps"


def runs(
    variant: str, method: MethodConfig | None, backbone: str, seed: int, steps: int, corpus: Path
) -> Iterator[dict]:
    """Lines of results of one run. The untrained encoder has no method."""
    recipe = dataclasses.replace(RECIPES[backbone], seed=seed, steps=steps)
    line: dict = {"variant": variant, "backbone": named(backbone, steps), "seed": seed}
    if method is None:
        torch.manual_seed(seed)
        encoder = Encoder(recipe.encoder)
    else:
        recipe = dataclasses.replace(recipe, method=method)
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            encoder = pretrain(recipe, Corpus.load(corpus, recipe.encoder), Path(folder), save_every=steps)
        line |= {"steps": steps, "batch": BATCH, "minutes": round((time.perf_counter() - begin) / 60, 2)}
    if recipe.in_training == recipe.encoder:
        yield line | judge_encoder(encoder)
        return
    as_trained = Encoder(recipe.in_training)
    as_trained.load_state_dict(encoder.state_dict())
    yield line | judge_encoder(as_trained)
    yield line | {"backbone": f"{line['backbone']}, pooled"} | judge_encoder(encoder)


def table(path: Path, figures: list[str]) -> str:
    """Mean ± standard deviation over seeds, a row a variant, as Markdown."""
    seeds = defaultdict(list)
    for line in map(json.loads, path.read_text().splitlines()):
        seeds[line["backbone"], line["variant"]].append(line)
    rows = [f"| | {' | '.join(figures)} | seeds |", "|---" * (len(figures) + 2) + "|"]
    for (backbone, variant), lines in seeds.items():
        cells = []
        for figure in figures:
            values = [line[figure] for line in lines if figure in line]
            spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{spread}" if values else "–")
        rows.append(f"| {backbone}: {variant} | {' | '.join(cells)} | {len(lines)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--table", type=Path, help="only show the results in this file")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    every = ["untrained", *(name for group in VARIANTS.values() for name in group)]
    parser.add_argument("--variants", nargs="+", default=every, choices=every, help="some of those")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--backbone", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.table:
        streams = ["mean: fused", "mean: joint", "mean: bone", "mean: motion", "mean: linear"]
        for figures in (streams, [f"{name}: fused" for name in JUDGED], [f"{name}: linear" for name in JUDGED[:-1]]):
            print(table(arguments.table, figures), end="\n\n")
        return
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arguments.output.touch()

    def done(*key) -> bool:
        lines = map(json.loads, arguments.output.read_text().splitlines())
        return any((line["variant"], line["backbone"], line["seed"]) == key for line in lines)

    def keep(*lines: dict) -> None:
        with arguments.output.open("a") as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in lines))

    if not done("raw poses", "none", 0):
        keep({"variant": "raw poses", "backbone": "none", "seed": 0, **judge(root_centred, {})})
    for seed in arguments.seeds:
        for group in arguments.only:
            variants = {"untrained": None, **VARIANTS[group]} if group == "parts" else VARIANTS[group]
            for variant, method in variants.items():
                for backbone in arguments.backbone if variant in arguments.variants else ():
                    if not done(variant, named(backbone, arguments.steps), seed):
                        keep(*runs(variant, method, backbone, seed, arguments.steps, arguments.corpus))


if __name__ == "__main__":
    main()
