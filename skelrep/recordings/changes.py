"""Unsupervised segments: where a recording changes, and which of its segments are alike; to look at, name and `fit`."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from skelrep.encoder import Encoder
from skelrep.encoder.inference import embed_batches
from skelrep.hub import load_pretrained
from skelrep.messages import install
from skelrep.poses import Poses
from skelrep.recordings.events import Event, Events

_DIMENSIONS = 16  # principal components of the windows' embeddings; the rest is mostly noise
_ALIKE = 0.5  # cosine of the mean embeddings above which two segments are in one cluster


def change_segments(
    recordings: Poses,
    encoder: Encoder | str | os.PathLike = "i2md-small",
    *,
    window: float = 1.0,
    stride: float | None = None,
    shortest: float = 1.0,
    penalty: float = 1.0,
    clusters: int | None = None,
    **options: Any,
) -> Events:
    """Cuts recordings where the movement changes, and groups segments that are alike.

    Change points minimise the squared deviations of the windows' embeddings from the mean of their segment, plus a
    penalty for each segment (PELT; Killick et al., JASA 2012; with the package ruptures). Segments of all recordings
    together are clustered by the cosine of their mean embeddings (average linkage, with scikit-learn).

    Args:
        recordings: Recordings, with fps.
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`.
        window: Seconds of a window: changes closer than that are hard to tell apart.
        stride: Seconds from one window to the next; by default a quarter of the window.
        shortest: Seconds of the shortest segment.
        penalty: Factor of the penalty: 2 gives fewer segments, 0.5 more.
        clusters: Number of clusters; by default as many as there are segments whose mean embeddings have a cosine below
            0.5.
        **options: Options of `Encoder.embed`: `streams`, `batch_size`, `device`, `precision`.

    Returns:
        Segments without gaps, with the labels "cluster 1", "cluster 2" ... in the order of their total duration; the
        score is the cosine to the mean of the cluster.

    Raises:
        ModuleNotFoundError: if ruptures is not installed (the extra `recordings`).
        ValueError: without fps, for a parameter out of range, and as `embed`.
        OSError: if the encoder cannot be loaded.
    """
    ruptures = _ruptures()
    for name, value in (("window", window), ("shortest", shortest), ("penalty", penalty)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} must be a number above 0")
    if not isinstance(encoder, Encoder):
        encoder = load_pretrained(encoder)
    stride = window / 4 if stride is None else stride
    found: list[tuple[str, float, float]] = []
    means = []
    for recording in recordings:
        windows = recording.windows(window, stride)
        rows = embed_batches(encoder, windows, **options)
        rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), np.finfo(np.float32).tiny)
        middles = (windows.info["start"] + windows.info["end"]) / 2
        signal = _components(rows)
        # The cost of a segment more under the noise that neighbouring windows differ by, as in BIC.
        noise = np.median(np.square(np.diff(signal, axis=0)).sum(axis=1)) if len(signal) > 1 else 1.0
        smallest = max(1, round(shortest / stride))
        if len(signal) < 2 * smallest:
            borders = [len(signal)]
        else:
            search = ruptures.Pelt(model="l2", min_size=smallest, jump=1).fit(signal)
            borders = search.predict(pen=penalty * 4 * window / stride * noise * math.log(len(signal)))
        first = 0
        for border in borders:
            begin = 0.0 if first == 0 else (middles[first - 1] + middles[first]) / 2
            end = windows.info["end"][-1] if border == len(middles) else (middles[border - 1] + middles[border]) / 2
            found.append((recording.ids[0], float(begin), float(end)))
            means.append(rows[first:border].mean(axis=0))
            first = border
    directions = np.stack(means)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    names, scores = _clusters(directions, np.array([end - begin for _, begin, end in found]), clusters)
    return Events.of(
        Event(clip, begin, end, f"cluster {name + 1}", float(score))
        for (clip, begin, end), name, score in zip(found, names, scores)
    )


def _components(rows: np.ndarray) -> np.ndarray:
    """The first principal components (n, at most 16) of standardised rows."""
    left, values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return (left * values)[:, :_DIMENSIONS]


def _clusters(directions: np.ndarray, seconds: np.ndarray, clusters: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each segment, numbered by decreasing duration, and the cosine to its mean."""
    if len(directions) == 1:
        return np.zeros(1, int), np.ones(1)
    if clusters is not None and not 1 <= clusters <= len(directions):
        raise ValueError(f"clusters={clusters!r} must be between 1 and the {len(directions)} segments that were found")
    model = AgglomerativeClustering(
        n_clusters=clusters,  # type: ignore[arg-type]
        metric="cosine",
        linkage="average",
        distance_threshold=1 - _ALIKE if clusters is None else None,
    )
    found = model.fit_predict(directions)
    order = np.argsort(-np.bincount(found, seconds), kind="stable")
    names = np.argsort(order)[found]
    means = np.stack([directions[names == name].mean(axis=0) for name in range(len(order))])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return names, (directions * means[names]).sum(axis=1)


def _ruptures() -> Any:
    try:
        import ruptures
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"change points need {install('ruptures', 'recordings')}", name="ruptures") from error
    return ruptures
