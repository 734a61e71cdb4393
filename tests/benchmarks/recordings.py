"""How well are movements found in recordings? Detection by one example, and supervised segments, on UTKinect.

    python -m tests.benchmarks.recordings [--model i2md-small] [--rows untrained DTW ...] [--quick]

The 20 untrimmed recordings of UTKinect-Action3D (10 subjects, 15 frames per second, 13 minutes), in which each of ten
actions occurs once. Needs the motion data (see tests/motion_data.py), and aeon for DTW and MiniRocket
(pip install '.[benchmarks]').

Detection: every action of each subject's first recording is the one example; the 18 recordings of the other subjects
are searched, which contain the action 18 times. The rule is that of `skelrep.recordings.detect`, on windows of a fixed
set of lengths that are embedded once, of which the five nearest to the example's are used.

- P@10: fraction of the ten detections with the highest scores that overlap an action of the example's class (not
  counted before) by an intersection over union of at least 0.5; "inside": whose middle lies in such an action.
- mAP: mean average precision at an overlap of 0.5.

Segments: windows of 1.6 s of eight subjects, labelled by the action at their middle or `none`, train a classifier; the
recordings of the other two are cut into segments (five folds). Frame accuracy is over all frames, those without an
action included; F1 is the segmental one of Lea et al. (CVPR 2017); mAP at an overlap of 0.5.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from skelrep import Poses, load_pretrained
from skelrep.recordings import Classifier, Event, Events, SegmentRules, annotated
from skelrep.recordings.detection import LENGTH_PENALTY, OVERLAP, Window, peaks
from skelrep.recordings.segments import Segmenter
from tests.benchmarks.accuracy import untrained
from tests.benchmarks.segment_measures import average_precision, frame_accuracy, segmental_f1
from tests.motion_data import _raw

LENGTHS = tuple(0.8 * 2 ** (i / 2) for i in range(6))  # seconds, 0.8 to 4.5
STRIDE = 4 / 15
SEGMENT_WINDOW, SEGMENT_STRIDE = 1.6, 0.2
COARSE = 16  # frames of a window for raw poses

Rows = Callable[[Poses], np.ndarray]
ROWS = ["encoder", "untrained", "raw poses", "raw poses, DTW", "MiniRocket"]


class Annotated(NamedTuple):
    """Recordings and what happens in them."""

    recordings: Poses
    events: Events
    subject: np.ndarray  # (N,) of each recording


def utkinect() -> Annotated:
    """The untrimmed recordings; the trimmed clips are parts of them, found by their first frame."""
    raw, trimmed = _raw("utkinect_untrimmed"), _raw("utkinect")
    clips = [clip.transpose(1, 0, 2, 3) for clip in raw["clips"]]
    fps = float(raw["fps"])
    recordings = Poses(clips, "kinect-20", ids=[f"recording {i}" for i in range(len(clips))], fps=fps)
    events = []
    for clip, subject, episode, label in zip(*(trimmed[key] for key in ("clips", "subjects", "episodes", "labels"))):
        at = np.flatnonzero(raw["subjects"] == subject)[episode - 1]
        first = int(np.abs(raw["clips"][at] - clip[0]).max(axis=(1, 2, 3)).argmin())
        name = str(trimmed["label_names"][label])
        events.append(Event(recordings.ids[at], first / fps, (first + len(clip)) / fps, name))
    return Annotated(recordings, Events.of(events), raw["subjects"])


def raw_rows(poses: Poses) -> np.ndarray:
    """Aligned poses themselves, (N, 16 frames x joints x 3)."""
    prepared = load_pretrained("i2md-small", device="cpu").prepare(poses).numpy()[:, 0, :: 64 // COARSE]
    return prepared.reshape(len(prepared), -1)


def examples_of(data: Annotated) -> tuple[Poses, list[Event]]:
    """The actions of each subject's first recording as clips."""
    firsts = {data.recordings.ids[np.flatnonzero(data.subject == subject)[0]] for subject in np.unique(data.subject)}
    chosen = data.events[np.isin(data.events.clip, sorted(firsts))]
    return annotated(data.recordings, chosen), list(chosen)


def detection(data: Annotated, rows_of: Rows, step: int, dtw: bool = False) -> dict[str, float]:
    """P@10, its lenient form and mAP in per cent, of every `step`-th example."""
    examples, wanted = examples_of(data)
    queries = rows_of(examples)
    tables = []
    for length in LENGTHS:
        windows = data.recordings.windows(length, STRIDE)
        tables.append((windows.info, rows_of(windows)))
    every = np.concatenate([rows for _, rows in tables])
    mean, deviation = every.mean(axis=0), np.maximum(every.std(axis=0), 1e-9)
    recording = {name: i for i, name in enumerate(data.recordings.ids)}

    def standardised(rows: np.ndarray) -> np.ndarray:
        rows = (rows - mean) / deviation
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    tables = [(info, rows if dtw else standardised(rows)) for info, rows in tables]
    queries = queries if dtw else standardised(queries)
    found = []
    for query, event in list(zip(queries, wanted))[::step]:
        seconds = event.end - event.start
        near = np.argsort(np.abs(np.log(np.array(LENGTHS) / seconds)))[:5]
        others = {name for name, at in recording.items() if data.subject[at] != data.subject[recording[event.clip]]}
        windows = []
        for at in near.tolist():
            info, rows = tables[at]
            scores = -_dtw(rows, query) if dtw else rows @ query
            scores = scores - LENGTH_PENALTY * abs(np.log(LENGTHS[at] / seconds)) * (1 if not dtw else scores.std())
            columns = zip(info["source"].tolist(), info["start"].tolist(), info["end"].tolist(), scores.tolist())
            windows += [Window(recording[name], "", a, b, score) for name, a, b, score in columns if name in others]
        ranked = sorted(peaks(windows, OVERLAP), key=lambda one: -one.score)[:200]
        names = data.recordings.ids
        ranked = Events.of(Event(names[one.recording], one.start, one.end, event.label, one.score) for one in ranked)
        truth = data.events[(data.events.label == event.label) & np.isin(data.events.clip, sorted(others))]
        precision, hits = average_precision(ranked, truth)
        middles = (ranked.start[:10] + ranked.end[:10]) / 2
        inside = [
            bool(((truth.clip == name) & (truth.start <= middle) & (middle < truth.end)).any())
            for name, middle in zip(ranked.clip, middles)
        ]
        found.append((np.mean(hits[:10]), np.mean(inside), precision))
    strict, lenient, mean_precision = 100 * np.mean(found, axis=0)
    return {"P@10": float(strict), "P@10 inside": float(lenient), "mAP": float(mean_precision)}


def _dtw(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Distances by dynamic time warping within four frames of the diagonal, for all rows at once."""
    series, other = rows.reshape(len(rows), COARSE, -1), query.reshape(COARSE, -1)
    cost = np.square(series).sum(2)[:, :, None] + np.square(other).sum(1) - 2 * series @ other.T
    total = np.full((len(rows), COARSE + 1, COARSE + 1), np.inf)
    total[:, 0, 0] = 0
    for i in range(COARSE):
        for j in range(max(0, i - 4), min(COARSE, i + 5)):
            before = np.minimum(np.minimum(total[:, i, j], total[:, i, j + 1]), total[:, i + 1, j])
            total[:, i + 1, j + 1] = cost[:, i, j] + before
    return np.sqrt(np.maximum(total[:, -1, -1], 0))


def segments(data: Annotated, probabilities_of: Callable[..., tuple[np.ndarray, Sequence[str]]]) -> dict[str, float]:
    """Frame accuracy, F1 and mAP in per cent, over five folds of two subjects."""
    windows = annotated(data.recordings, data.events, SEGMENT_WINDOW, SEGMENT_STRIDE)
    names = np.array(data.recordings.ids)
    found: list[Event] = []
    rules = SegmentRules(smooth=0.8, enter=0.4, leave=0.3, shortest=0.4)
    subjects = np.unique(data.subject)
    for fold in range(5):
        out = names[np.isin(data.subject, subjects[fold::5])]
        held_out = np.isin(windows.info["source"], out)
        probabilities, labels = probabilities_of(windows, np.flatnonzero(~held_out), np.flatnonzero(held_out))
        test = windows[np.flatnonzero(held_out)]
        for name in out:
            own = np.flatnonzero(test.info["source"] == name)
            segmenter = Segmenter(labels, rules, SEGMENT_STRIDE, clip=str(name))
            for at in own:
                found += segmenter.feed(test.info["start"][at], test.info["end"][at], probabilities[at])
            found += segmenter.finish()
    predicted = Events.of(found)
    durations = {name: clip.shape[1] / 15 for name, clip in zip(data.recordings.ids, data.recordings.clips)}
    figures = {"frames": frame_accuracy(predicted, data.events, durations)}
    figures |= {f"F1@{percent}": segmental_f1(predicted, data.events, percent / 100) for percent in (10, 25, 50)}
    precisions = []
    for label in np.unique(data.events.label):
        of_label = predicted[predicted.label == label]
        ranked = of_label[np.argsort(-of_label.score)]
        precisions.append(average_precision(ranked, data.events[data.events.label == label])[0])
    figures["mAP"] = float(np.mean(precisions))
    return {name: 100 * value for name, value in figures.items()}


def by_classifier(rows: np.ndarray) -> Callable[..., tuple[np.ndarray, Sequence[str]]]:
    """Probabilities of held-out windows by `Classifier`, fitted to every second window."""

    def probabilities(windows: Poses, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, Sequence[str]]:
        assert windows.labels is not None
        train = train[::2]
        classifier = Classifier(C=0.01, folds=2)
        classifier.fit(rows[train], windows.labels[train], groups=windows.info["source"][train])
        return classifier.predict_proba(rows[test]), classifier.classes_.tolist()

    return probabilities


def by_minirocket(prepared: np.ndarray) -> Callable[..., tuple[np.ndarray, Sequence[str]]]:
    """MiniRocket's features of prepared poses, and the same classifier."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    def probabilities(windows: Poses, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, Sequence[str]]:
        assert windows.labels is not None
        train = train[::2]
        rocket = MiniRocket(n_kernels=2000, random_state=0).fit(prepared[train])
        rows = [np.asarray(rocket.transform(prepared[part]), np.float32) for part in (train, test)]
        classifier = Classifier(C=0.01, folds=2)
        classifier.fit(rows[0], windows.labels[train], groups=windows.info["source"][train])
        return classifier.predict_proba(rows[1]), classifier.classes_.tolist()

    return probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROWS", help=f"some of {', '.join(ROWS)}"
    )
    parser.add_argument("--quick", action="store_true", help="every seventh example, and the encoder alone")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    data, encoder = utkinect(), load_pretrained(arguments.model, device="cpu")
    windows = data.recordings.windows(SEGMENT_WINDOW, SEGMENT_STRIDE)
    for name in ROWS[:1] if arguments.quick else arguments.rows:
        network = untrained(encoder, 0) if name == "untrained" else encoder
        rows_of: Rows = raw_rows if "raw" in name else lambda poses, n=network: n.embed(poses, show_progress=False)
        said = arguments.model if name == ROWS[0] else name
        if name != "MiniRocket":
            found = detection(data, rows_of, 7 if arguments.quick else 1, dtw="DTW" in name)
            print(json.dumps({"task": "detection", "rows": said, **_rounded(found)}), flush=True)
        if "DTW" in name:
            continue
        if name == "MiniRocket":
            prepared = encoder.prepare(windows).numpy()[:, 0].reshape(len(windows), 64, -1).transpose(0, 2, 1)
            found = segments(data, by_minirocket(prepared.astype(np.float64)))
        else:
            found = segments(data, by_classifier(rows_of(windows)))
        print(json.dumps({"task": "segments", "rows": said, **_rounded(found)}), flush=True)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}


if __name__ == "__main__":
    main()
