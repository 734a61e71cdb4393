"""Measures of events against annotations: average precision, segmental F1, frame accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skelrep.recordings import Events

NOTHING = "none"
_STEP = 0.05  # seconds between the moments at which labels are compared


def overlaps(events: Events, start: float, end: float) -> np.ndarray:
    """Intersection over union of each event with a stretch of time, (K,)."""
    shared = np.minimum(events.end, end) - np.maximum(events.start, start)
    return np.maximum(shared, 0) / (np.maximum(events.end, end) - np.minimum(events.start, start))


def matches(ranked: Events, truth: Events, least: float) -> list[bool]:
    """For each event, in order, whether it overlaps one of the truth of its clip and label that none before it did."""
    free = np.ones(len(truth), dtype=bool)
    found = []
    for event in ranked:
        same = free & (truth.clip == event.clip) & (truth.label == event.label)
        overlap = np.where(same, overlaps(truth, event.start, event.end), 0) if len(truth) else np.zeros(1)
        best = int(overlap.argmax())
        found.append(bool(overlap[best] >= least))
        if found[-1]:
            free[best] = False
    return found


def average_precision(ranked: Events, truth: Events, least: float = 0.5) -> tuple[float, list[bool]]:
    """Mean precision at the hits, over all events of the truth (a missed one counts 0); and which are hits."""
    hits = matches(ranked, truth, least)
    precision = np.cumsum(hits) / (np.arange(len(hits)) + 1)
    return float((precision * hits).sum() / len(truth)), hits


def segmental_f1(predicted: Events, truth: Events, least: float) -> float:
    """F1 of segments that overlap by at least so much (Lea et al., CVPR 2017), over all recordings."""
    order = np.argsort(predicted.start, kind="stable")
    right = sum(matches(predicted[order], truth, least))
    return 2 * right / (len(predicted) + len(truth))


def frame_accuracy(predicted: Events, truth: Events, seconds: Mapping[str, float]) -> float:
    """Fraction of moments with the same label, moments without any event included."""
    same = []
    for name, duration in seconds.items():
        moments = np.arange(_STEP / 2, duration, _STEP)
        labels = [_labels(events[events.clip == name], moments) for events in (predicted, truth)]
        same.append(labels[0] == labels[1])
    return float(np.concatenate(same).mean())


def _labels(events: Events, moments: np.ndarray) -> np.ndarray:
    labels = np.full(len(moments), NOTHING, dtype=object)
    for event in events:
        labels[(moments >= event.start) & (moments < event.end)] = event.label
    return labels


def point_matches(found: Sequence[float], truth: np.ndarray, latency: float) -> int:
    """How many detections lie within the latency of an action point, each point taken once, in order of time."""
    free, right = np.ones(len(truth), dtype=bool), 0
    for seconds in sorted(found):
        distance = np.where(free, np.abs(truth - seconds), np.inf) if len(truth) else np.array([np.inf])
        nearest = int(distance.argmin())
        if distance[nearest] <= latency + 1e-9:
            free[nearest], right = False, right + 1
    return right


def f_score(right: np.ndarray, found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall from counts; 0 where nothing is right."""
    return 2 * np.asarray(right) / np.maximum(np.asarray(found) + np.asarray(truth), 1)
