"""Unsupervised segments: where a recording changes, and which of its segments are alike; to look at, name and `fit`."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from skelrep.encoder import Encoder
from skelrep.encoder.inference import embed_batches
from skelrep.evaluate.inputs import is_whole
from skelrep.hub import load_pretrained
from skelrep.messages import install, warn
from skelrep.poses import Poses
from skelrep.recordings.detection import check_somebody_seen
from skelrep.recordings.events import Event, Events

_DIMENSIONS = 16  # principal components of the windows' embeddings; the rest is mostly noise
_ALIKE = 0.5  # cosine of the mean embeddings above which two segments are in one cluster
_SAMPLE = 1024  # windows from which the components are computed
_AT_ONCE = 512  # windows that are embedded: memory does not grow with the length of a recording


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
        clusters: Number of clusters, at most that of the segments; by default as many as there are segments whose mean
            embeddings have a cosine below 0.5.
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
    if clusters is not None and (not is_whole(clusters) or clusters < 1):
        raise ValueError(f"clusters={clusters!r} must be a whole number above 0")
    if recordings.fps is None:
        raise ValueError("windows are in seconds, so the recordings need fps; pass fps=")
    check_somebody_seen(recordings)
    if not isinstance(encoder, Encoder):
        encoder = load_pretrained(encoder)
    stride = window / 4 if stride is None else stride
    found: list[tuple[str, float, float]] = []
    means = []
    for recording in recordings:
        windows = recording.windows(window, stride)
        starts, ends = windows.info["start"], windows.info["end"]
        middles = (starts + ends) / 2
        smallest = max(1, round(shortest / stride))
        with _Rows(encoder, windows, options) as rows:
            signal = rows.components()
            # The cost of a segment more under the noise that neighbouring windows differ by, as in BIC.
            noise = np.median(np.square(np.diff(signal, axis=0)).sum(axis=1)) if len(signal) > 1 else 1.0
            if len(signal) < 2 * smallest:
                borders = [len(signal)]
            else:
                cost = penalty * 4 * window / stride * noise * math.log(len(signal))
                search = ruptures.KernelCPD(kernel="linear", min_size=smallest).fit(signal)
                borders = search.predict(pen=max(cost, np.finfo(np.float32).tiny))  # it takes no zero
            means += rows.means(borders)
        for first, border in zip([0, *borders], borders):
            begin = 0.0 if first == 0 else (middles[first - 1] + middles[first]) / 2
            end = ends[-1] if border == len(middles) else (middles[border - 1] + middles[border]) / 2
            found.append((recording.ids[0], float(begin), float(end)))
    directions = np.stack(means)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    names, scores = _clusters(directions, np.array([end - begin for _, begin, end in found]), clusters)
    return Events.of(
        Event(clip, begin, end, f"cluster {name + 1}", float(score))
        for (clip, begin, end), name, score in zip(found, names, scores)
    )


class _Rows:
    """The embeddings of a recording's windows, standardised; in a temporary file, since those of hours fill the memory.

    Args:
        encoder: Embeds the windows.
        windows: n clips.
        options: Of `Encoder.embed`.
    """

    def __init__(self, encoder: Encoder, windows: Poses, options: dict[str, Any]) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        sampled = np.zeros(len(windows), dtype=bool)
        sampled[np.linspace(0, len(windows) - 1, min(len(windows), _SAMPLE)).astype(int)] = True
        total, squares, sample = np.zeros(()), np.zeros(()), []
        for first in range(0, len(windows), _AT_ONCE):
            block = embed_batches(encoder, windows[first : first + _AT_ONCE], **options)
            self.file.write(block.data)
            total = total + block.sum(axis=0, dtype=np.float64)
            squares = squares + np.square(block, dtype=np.float64).sum(axis=0)
            sample.append(block[sampled[first : first + _AT_ONCE]])
        self.mean = total / len(windows)
        deviation = np.sqrt(np.maximum(squares / len(windows) - np.square(self.mean), 0))
        # What is constant but for rounding does not count.
        self.deviation = np.where(deviation > 1e-6 * np.abs(self.mean).max(), deviation, np.inf)
        self.sample = self._standardised(np.concatenate(sample))

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def components(self) -> np.ndarray:
        """The first principal components, (n, at most 16)."""
        axes = np.linalg.svd(self.sample, full_matrices=False)[2][:_DIMENSIONS]
        return np.concatenate([block @ axes.T for block in self._blocks()])

    def means(self, borders: Sequence[int]) -> list[np.ndarray]:
        """The mean row of each segment; segments end before the windows `borders`, of which the last is n."""
        sums, sizes = np.zeros((len(borders), len(self.mean))), np.diff(borders, prepend=0)
        first = 0
        for block in self._blocks():
            segments = np.searchsorted(borders, np.arange(first, first + len(block)), side="right")
            np.add.at(sums, segments, block)
            first += len(block)
        return list((sums / sizes[:, None]).astype(np.float32))

    def _blocks(self) -> Iterator[np.ndarray]:
        self.file.seek(0)
        size = 4 * len(self.mean) * _AT_ONCE
        while content := self.file.read(size):
            yield self._standardised(np.frombuffer(content, np.float32).reshape(-1, len(self.mean)))

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        return ((rows - self.mean) / self.deviation).astype(np.float32)


def _clusters(directions: np.ndarray, seconds: np.ndarray, clusters: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each segment, numbered by decreasing duration, and the cosine to its mean."""
    if len(directions) == 1:
        return np.zeros(1, int), np.ones(1)
    if clusters is not None and clusters > len(directions):
        warn(f"only {len(directions)} segments were found, so there are so many clusters instead of {clusters}")
        clusters = len(directions)
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
