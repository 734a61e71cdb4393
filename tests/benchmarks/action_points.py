"""How well are action points of gestures found, and how soon? F-score at a latency of 333 ms, on MSRC-12.

    python -m tests.benchmarks.action_points [--model i2md-small untrained raw] [--quick]

MSRC-12 (Fothergill et al., CHI 2012) has 592 recordings of 30 people who repeat one of twelve gestures each; an action
point is the moment at which a gesture is recognisable to a person. A detection is right if it lies within 333 ms of an
action point of its gesture that no other detection has taken; the F-score is that of a gesture over all recordings,
averaged over the twelve, and is also given for each kind of instruction that the people had.

Windows of one second are classified as the gesture whose action point lies 0.1 to 0.3 s before their end, or as none. A
gesture is detected at the end of the first window whose probability reaches a threshold, and not again within a second:
nothing later than the detection is used. Six people are held out at a time (five folds). The threshold of each gesture
is the best one on the held-out people of the other folds.

The bundled encoders were trained on these recordings, without their labels. Needs the motion data (see
tests/motion_data.py). With `--quick` only every third person takes part.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skelrep import Poses, load_pretrained
from skelrep.recordings import Classifier
from skelrep.skeletons import SKELETONS
from tests.benchmarks.accuracy import untrained
from tests.benchmarks.recordings import Rows, raw_rows
from tests.benchmarks.segment_measures import f_score, point_matches
from tests.motion_data import _raw

WINDOW, STRIDE = 1.0, 4 / 30  # seconds
BEFORE_END = 0.1, 0.3  # of a window, where the action point lies
LATENCY, APART = 1 / 3, 1.0  # seconds
NONE, BACKGROUND_STEP = -1, 5  # every so many windows of no gesture are enough to train on
THRESHOLDS = np.linspace(0.1, 0.9, 17).tolist()
AT_ONCE = 4096  # windows


class Windows(NamedTuple):
    """Windows of all recordings, in order of time."""

    rows: np.ndarray  # (N, D)
    recording: np.ndarray  # (N,)
    end: np.ndarray  # (N,) seconds
    label: np.ndarray  # (N,)


def windows_of(rows_of: Rows, people: np.ndarray) -> tuple[Windows, list[np.ndarray], dict[str, np.ndarray]]:
    """The windows, the action points of each recording in seconds, and what is known of each recording."""
    raw = _raw("msrc12")
    fps, points = float(raw["fps"]), np.split(raw["tag_frames"], np.cumsum(raw["tag_counts"])[:-1])
    chosen = np.flatnonzero(np.isin(raw["subjects"], people) & (raw["labels"] >= 0))
    clips = [raw["clips"][i].transpose(1, 0, 2, 3) for i in chosen]
    recordings = Poses(clips, SKELETONS["kinect-20"], ids=[str(i) for i in range(len(clips))], fps=fps)
    windows = recordings.windows(WINDOW, STRIDE)
    recording, end = windows.info["source"].astype(int), windows.info["end"]
    times = [points[i] / fps for i in chosen]
    label = np.full(len(windows), NONE)
    for at in range(len(chosen)):
        own = recording == at
        before = end[own][:, None] - times[at]
        near = ((before >= BEFORE_END[0]) & (before <= BEFORE_END[1])).any(axis=1)
        label[own] = np.where(near, raw["labels"][chosen[at]], NONE)
    about = {key: raw[key][chosen] for key in ("subjects", "labels", "instruction")}
    rows = np.concatenate([rows_of(windows[first : first + AT_ONCE]) for first in range(0, len(windows), AT_ONCE)])
    return Windows(rows, recording, end, label), times, about


def detections(end: np.ndarray, probability: np.ndarray, threshold: float) -> list[float]:
    """Ends of the windows that reach the threshold, of which none is within `APART` of the one before."""
    found: list[float] = []
    for seconds in end[probability >= threshold].tolist():
        if not found or seconds - found[-1] > APART:
            found.append(seconds)
    return found


def measure(rows_of: Rows, people: np.ndarray, instructions: Sequence[int] = (1, 2, 3)) -> dict[str, float]:
    """F-scores in per cent: of all recordings, and of those of each instruction."""
    windows, points, about = windows_of(rows_of, people)
    gestures = np.unique(about["labels"])
    fold_of = {person: i % 5 for i, person in enumerate(people)}
    fold = np.array([fold_of[person] for person in about["subjects"]])
    found: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}  # of windows, by recording and gesture
    for out in range(5):
        train = np.flatnonzero(fold[windows.recording] != out)
        background = train[windows.label[train] == NONE][::BACKGROUND_STEP]
        train = np.sort(np.concatenate([train[windows.label[train] != NONE], background]))
        classifier = Classifier(C=0.001)
        classifier.fit_folds(windows.rows[train], windows.label[train], [])
        for recording in np.flatnonzero(fold == out):
            own = np.flatnonzero(windows.recording == recording)
            probabilities = classifier.predict_proba(windows.rows[own])
            for gesture in gestures:
                column = probabilities[:, np.flatnonzero(classifier.classes_ == gesture)[0]]
                found[recording, gesture] = windows.end[own], column

    def counts(recordings: np.ndarray, gesture: int, threshold: float) -> np.ndarray:
        """Right detections, detections and action points."""
        total = np.zeros(3, dtype=int)
        for recording in recordings:
            times = detections(*found[recording, gesture], threshold)
            truth = points[recording] if about["labels"][recording] == gesture else np.array([])
            total += point_matches(times, truth, LATENCY), len(times), len(truth)
        return total

    by_fold = np.array(
        [[[counts(np.flatnonzero(fold == out), g, t) for t in THRESHOLDS] for g in gestures] for out in range(5)]
    )  # (folds, gestures, thresholds, 3)
    others = by_fold.sum(axis=0, keepdims=True) - by_fold
    best = f_score(*np.moveaxis(others, -1, 0)).argmax(axis=2)  # (folds, gestures)
    figures = {}
    parts = {"all": np.ones(len(fold), bool)} | {f"instruction {i}": about["instruction"] == i for i in instructions}
    for name, some in parts.items():
        scores = []
        for j, gesture in enumerate(gestures):
            parts_of = [
                counts(np.flatnonzero((fold == out) & some), gesture, THRESHOLDS[best[out, j]]) for out in range(5)
            ]
            scores.append(f_score(*np.sum(parts_of, axis=0)))
        figures[name] = 100 * float(np.mean(scores))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["i2md-small"], help='names, "untrained", or "raw" for poses')
    parser.add_argument("--quick", action="store_true", help="every third person")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    people = np.arange(1, 31)[:: 3 if arguments.quick else 1]
    for name in arguments.model:
        encoder = load_pretrained("i2md-small" if name in ("untrained", "raw") else name, device="cpu")
        encoder = untrained(encoder, 0) if name == "untrained" else encoder
        rows_of = raw_rows if name == "raw" else lambda poses, n=encoder: n.embed(poses, show_progress=False)
        figures = {key: round(value, 1) for key, value in measure(rows_of, people).items()}
        print(json.dumps({"model": name, "people": len(people), **figures}), flush=True)


if __name__ == "__main__":
    main()
