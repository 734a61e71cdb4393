"""Clusters of a library, each with the clip that represents it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage
from sklearn.metrics import pairwise_distances, silhouette_score

from skelrep.encoder import Encoder
from skelrep.evaluate.inputs import is_whole
from skelrep.io.records import Records
from skelrep.libraries.library import Library
from skelrep.version import __version__

# Numbers of clusters that are tried, relative to the root of the number of clips. The silhouette of two clusters is the
# largest if one movement is far from all others, as in UTD-MHAD and MSR Action3D, but says nothing about the others.
_FEWEST, _MOST = 1 / 3, 2.0
_GROWTH = 1.1  # factor between the numbers that are tried
_TREE = 5000  # clips that are clustered, and
_SAMPLE = 2000  # clips of which the silhouette is computed: both need the distances of all pairs
_AT_ONCE = 4096  # clips that are compared with the clusters


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(Records):
    """The cluster of each of N clips.

    Attributes:
        id: (N,) names of the clips.
        cluster: (N,) from 1, the largest cluster first.
        distance: (N,) one minus the cosine to the medoid of the cluster.
        is_medoid: (N,) whether a clip is the medoid: of all clips of the cluster, the one with the smallest mean
            distance to the others.
        protocol: The number of clusters and how it was chosen, settings and sizes.

    Examples:
        >>> found = cluster(poses)
        >>> poses.with_labels([f"cluster {number}" for number in found.cluster])
    """

    COLUMNS = ("id", "cluster", "distance", "is_medoid")
    CONTENT = "clusters"

    id: np.ndarray
    cluster: np.ndarray
    distance: np.ndarray
    is_medoid: np.ndarray
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The protocol and the clusters, in a form that JSON can hold."""
        return {"protocol": self.protocol, "clusters": self.to_dicts()}

    def __str__(self) -> str:
        """The sizes and medoids of the clusters."""
        said = self.protocol
        sizes = np.bincount(self.cluster)[1:]
        lines = [f"{len(self)} clips in {said['k']} clusters ({said['chosen']})"]
        for medoid in sorted(np.flatnonzero(self.is_medoid).tolist(), key=lambda row: self.cluster[row]):
            number = self.cluster[medoid]
            lines.append(f"{number:4}  {sizes[number - 1]} clips, medoid {self.id[medoid]}")
        return "\n".join(lines)

    __repr__ = __str__


def cluster(
    library: Any,
    encoder: Encoder | str | os.PathLike = "i2md-small",
    *,
    k: int | None = None,
    **options: Any,
) -> Clusters:
    """Groups similar clips, without labels.

    Embeddings of length 1 are merged by Ward's method (Ward, JASA 1963; by scipy). On KARD, CAD-60, MSRC-12 and
    Bandai-Namco 1, it was as good as k-means and better than average linkage and HDBSCAN. Of more than 5000 clips, 5000
    are merged, evenly chosen, and each of the others joins the cluster whose mean is nearest.

    Args:
        library: `Poses`; a file or folder of poses, of stored embeddings, or of a corpus; `Embeddings`, (N, D) rows or
            a `Library`.
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`; for poses.
        k: Number of clusters; by default the one with the largest mean silhouette by cosine (Rousseeuw, J. Comput.
            Appl. Math. 1987), of the numbers from a third of the root of N to twice this root, each a tenth larger
            than the one before.
        **options: Options of `Encoder.embed`: `streams`, `batch_size`, `device`, `precision`.

    Raises:
        ValueError: for a `k` that is not between 1 and N or 5000; as `embed`.
        OSError: if a file or the encoder cannot be read.

    Examples:
        >>> found = cluster("motions", k=12)
        >>> found.save("clusters.csv")
    """
    library = Library.of(library, encoder, **options)
    rows = np.asarray(library.rows, dtype=np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    some = _evenly(len(rows), _TREE)
    if k is not None and (not is_whole(k) or not 1 <= k <= len(some)):
        raise ValueError(f"k={k!r} must be a whole number between 1 and the {len(some)} clips that are merged")
    codes, silhouette = _merged(rows[some], k)
    if len(some) < len(rows):
        means = np.stack([rows[some[codes == code]].mean(axis=0) for code in range(codes.max() + 1)])
        half = np.square(means).sum(axis=1) / 2
        parts = np.array_split(rows, -(-len(rows) // _AT_ONCE))
        codes = np.concatenate([(part @ means.T - half).argmax(axis=1) for part in parts])
    by_size = np.argsort(-np.bincount(codes), kind="stable")
    number = np.argsort(by_size)[codes] + 1
    distance, is_medoid = np.empty(len(rows), np.float32), np.zeros(len(rows), dtype=bool)
    for one in range(1, number.max() + 1):
        members = np.flatnonzero(number == one)
        # The mean cosine to all members is proportional to the cosine to their sum.
        medoid = members[(rows[members] @ rows[members].sum(axis=0)).argmax()]
        is_medoid[medoid] = True
        distance[members] = np.maximum(1 - rows[members] @ rows[medoid], 0)
    return Clusters(
        library.ids,
        number,
        distance,
        is_medoid,
        {
            "k": int(number.max()),
            "chosen": "as given" if k is not None else "by the silhouette" if silhouette else "too few clips for more",
            "silhouette": silhouette,
            "n_merged": len(some),
            "n_clips": len(rows),
            "model": library.model,
            "skelrep": __version__,
        },
    )


def _merged(rows: np.ndarray, k: int | None) -> tuple[np.ndarray, dict[int, float]]:
    """The cluster of each of n rows of length 1, and the mean silhouette of each number of clusters that was tried."""
    count = len(rows)
    low, high = max(2.0, _FEWEST * math.sqrt(count)), _MOST * math.sqrt(count)
    steps = int(math.log(high / low, _GROWTH)) + 1 if high >= low else 0
    numbers = sorted({round(low * _GROWTH**i) for i in range(steps)} & set(range(2, count)))
    if count == 1 or (k is None and not numbers):
        return np.zeros(count, dtype=int), {}
    tree = linkage(rows.astype(np.float64), "ward")
    if k is not None:
        return cut_tree(tree, k)[:, 0], {}
    some = _evenly(count, _SAMPLE)
    distances = np.maximum(pairwise_distances(rows[some], metric="cosine"), 0)
    np.fill_diagonal(distances, 0)
    cuts = cut_tree(tree, numbers)
    silhouette = {}
    for number, codes in zip(numbers, cuts.T):
        if 2 <= len(np.unique(codes[some])) < len(some):
            silhouette[number] = float(silhouette_score(distances, codes[some], metric="precomputed"))
    best = max(silhouette, key=lambda number: silhouette[number])
    return cuts[:, numbers.index(best)], silhouette


def _evenly(count: int, most: int) -> np.ndarray:
    """At most so many of the numbers below `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))
