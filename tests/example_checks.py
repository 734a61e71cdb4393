"""What the output of each example must show, whether it runs as a script or as a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import skelrep
from skelrep import SKELETONS
from skelrep.train.recipes import i2md_small

EXAMPLES = Path(__file__).parents[1] / "examples"
CHANCE = 100 / 12  # accuracy by chance in per cent


def number(pattern, text):
    """The number that a line of the output shows."""
    [found] = re.findall(pattern, text, re.MULTILINE)
    return float(found)


def named(kind, text):
    """The files that the output says were drawn or written."""
    files = [Path(name) for name in re.findall(rf"^{kind}: (.+)$", text, re.MULTILINE)]
    assert files
    return files


def quickstart(text):
    assert number(r"^kNN .*1-NN ([\d.]+) %", text) > 85
    assert "the first clip as an array gives the same row: True" in text
    assert re.search(r"^most like wave-.*\n  wave-", text, re.MULTILINE)
    windows = re.findall(r"^ .* s: (.+?) +truth: (\w[\w ]*)$", text, re.MULTILINE)
    assert len(windows) > 10
    assert np.mean([name == truth for name, truth in windows]) > 0.8


def knn_and_linear_probe(text):
    scores = dict(re.findall(r"^([\w, ]+): kNN .*?1-NN ([\d.]+) %", text, re.MULTILINE))
    poses, prepared, embeddings = (float(scores[name]) for name in ("poses", "poses, prepared", "embeddings"))
    assert embeddings > prepared > poses > CHANCE
    assert number(r"^linear probe .*: ([\d.]+) %", text) > 90
    streams = re.findall(r"^(?:joint|bone|motion) +([\d.]+)%", text, re.MULTILINE)
    assert len(streams) == 3
    assert min(map(float, streams)) > 85


def clustering_and_map(text):
    plain = number(r"^adjusted Rand index: ([\d.]+)", text)
    assert plain > 0.5
    assert number(r"mirror image: ([\d.]+)", text) > plain
    assert number(r"^(\d+) of 20 clips of throwing", text) >= 15
    [page] = named("written", text)
    assert page.read_text(encoding="utf-8").count("kick-s") >= 20, "the page has every clip"


def retrieval(text):
    for sensor, least in {"kinect-20": 90, "coco-17": 90, "coco-17, 2-D": 80}.items():
        assert number(rf"^{sensor} +precision@1 ([\d.]+)%", text) > least
    found = re.findall(r"^most like .*: ([\d.]+) s; .* from ([\d.]+) to ([\d.]+) s", text, re.MULTILINE)
    assert len(found) == 3
    for best, begin, end in found:
        assert float(begin) <= float(best) <= float(end)


def mediapipe_landmarks(text):
    for seen_by, least in {"depth sensor": 85, "world": 85, "picture": 60}.items():
        assert number(rf"^{seen_by} +([\d.]+)% of 60 clips", text) > least
    assert "the file gives the same row: True" in text
    [file] = named("written", text)
    assert skelrep.read(file).skeleton == SKELETONS["mediapipe-33"]
    names = re.findall(r"^ .* s: (\w+)", text, re.MULTILINE)
    assert min(names.count(action) for action in ("walk", "wave", "bow", "kick")) >= 2


def live_streaming(text):
    assert "after 45 frames the same as embedding these as a clip: True" in text
    assert number(r"^windows, what was done a second ago: +(\d+)%", text) > 90
    assert number(r"^stream, what is done now: +(\d+)%", text) > 60


def scikit_learn_pipeline(text):
    assert number(r"^folds of people: ([\d.]+)%", text) > 75
    assert len(re.findall(r"^  [\d.]+% \{", text, re.MULTILINE)) == 6
    assert number(r"cross-validation, ([\d.]+)% of the test", text) > 65
    assert "a new person squats: squat" in text


def few_shot_labelling(text):
    mean = {
        way: np.array(re.findall(r"([\d.]+)% ±", cells), dtype=float)
        for way, cells in re.findall(r"^(poses, \w+|embeddings, \w+) +(.+)$", text, re.MULTILINE)
    }
    assert len(mean) == 4
    for accuracies in mean.values():
        more_right = np.diff(accuracies, prepend=CHANCE) > 0
        assert (more_right | (accuracies > 99)).all(), "more labels, more right, unless nearly all are"
    assert (mean["embeddings, balanced"] > mean["poses, balanced"] + 10).all()
    assert (mean["embeddings, medoids"] > mean["embeddings, random"]).all()
    assert number(r"^least similar fifth: ([\d.]+)%", text) <= number(r"^all others: +([\d.]+)%", text)


def pretraining_on_your_own_corpus(text):
    [made] = re.findall(r"^Encoder\((.+): convolution", text, re.MULTILINE)
    encoder = skelrep.load_pretrained(made)
    assert encoder.config.backbone == i2md_small().encoder.backbone
    assert encoder.embed(np.random.default_rng(0).normal(size=(30, 20, 3)), skeleton="kinect-20").shape == (
        1,
        encoder.dim,
    )
    assert [int(step) for step in re.findall(r"^  step +(\d+): loss [\d.]+, 1-NN", text, re.MULTILINE)][-1] == 3
    scores = dict(re.findall(r"^(untrained|yours|bundled) +kNN .*?1-NN ([\d.]+) %", text, re.MULTILINE))
    assert min(map(float, scores.values())) > 4 * CHANCE
    assert float(scores["bundled"]) > float(scores["untrained"])


#: The check of each example, by the name of its script.
CHECKS = {
    check.__name__: check
    for check in (
        quickstart,
        knn_and_linear_probe,
        clustering_and_map,
        retrieval,
        mediapipe_landmarks,
        live_streaming,
        scikit_learn_pipeline,
        few_shot_labelling,
        pretraining_on_your_own_corpus,
    )
}
