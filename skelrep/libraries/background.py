"""How often clips of different recordings are as similar as copies: the false rate of a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skelrep.evaluate.fast_search import nearest_rows
from skelrep.evaluate.inputs import BLOCK_BYTES, Rows

_QUERIES = 1000  # clips whose neighbours are examined
#: Ranks of the neighbours between which their number is compared: the nearest ones may be the duplicates themselves.
_NEAREST, _FARTHEST = 10, 100
LEAST = 30  # clips that are enough for a background


@dataclass(frozen=True, eq=False)
class Background:
    """The neighbourhoods of some clips of a library.

    Around a clip the number of other clips within a distance r grows as r^d, where d is the local intrinsic
    dimensionality (Amsaleg et al., Estimating Local Intrinsic Dimensionality, KDD 2015). d is estimated from the
    neighbours of middle ranks, and the law is continued to smaller distances, where duplicates may be.

    Attributes:
        dimension: d, one for the library.
        radius: (Q,) distance of each clip to its neighbour of the last rank, of rows of length 1.
        fraction: Fraction of all other clips that are within this distance.
    """

    dimension: float
    radius: np.ndarray
    fraction: float

    @classmethod
    def of(cls, rows: Rows, block_bytes: int = BLOCK_BYTES) -> Background | None:
        """Measures the neighbourhoods of (N, D) rows of different clips; None for fewer than 30 rows."""
        count = len(rows)
        if count < LEAST:
            return None
        chosen = _queries(count)
        own = np.arange(count)
        found = nearest_rows(
            rows[chosen],
            rows,
            _ranks(count)[1],
            metric="cosine",
            excluded=(chosen, own),
            device=None,
            block_bytes=block_bytes,
        )[1]
        return cls._of_nearest(found, count)

    @classmethod
    def _of_nearest(cls, cosines: np.ndarray, count: int) -> Background | None:
        """From the largest cosines of each clip (Q, last), in descending order, in a library of `count` clips."""
        first, last = _ranks(count)
        distance = _distance(cosines.astype(float))
        near, far = distance[:, first - 1], distance[:, last - 1]
        usable = near > 0
        if not usable.any():
            return None
        growth = np.log(far[usable] / near[usable]).mean()
        return cls(float(np.log(last / first) / max(growth, 1e-6)), far, last / (count - 1))

    @classmethod
    def of_crops(cls, rows: Rows, crops: np.ndarray, block_bytes: int = BLOCK_BYTES) -> Background | None:
        """The same for the largest cosine of a clip and a part of another, or the other way round.

        Args:
            rows: (N, D) of length 1.
            crops: (V, N, D) of length 1, the parts of these clips.
            block_bytes: Upper bound of the cosines that are computed at once.
        """
        count = len(rows)
        if count < LEAST:
            return None
        chosen = _queries(count)
        last = _ranks(count)[1]
        nearest = []
        for some in np.array_split(chosen, -(-len(chosen) * count * 8 // block_bytes)):
            best = np.full((len(some), count), -1, np.float32)
            for parts in crops:
                np.maximum(best, rows[some] @ parts.T, out=best)
                np.maximum(best, parts[some] @ np.asarray(rows).T, out=best)
            best[np.arange(len(some)), some] = -1
            nearest.append(-np.sort(np.partition(-best, last - 1, axis=1)[:, :last], axis=1))
        return cls._of_nearest(np.concatenate(nearest), count)

    def rate(self, threshold: float) -> float:
        """The fraction of pairs of different recordings whose cosine is at least the threshold."""
        ratio = _distance(np.array(threshold)) / np.maximum(self.radius, 1e-12)
        return float(np.minimum(self.fraction * np.minimum(ratio, 1e6) ** self.dimension, 1).mean())

    def threshold(self, rate: float) -> float:
        """The cosine that this fraction of pairs of different recordings reaches."""
        low, high = -1.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.rate(middle) > rate else (low, middle)
        return high


def _queries(count: int) -> np.ndarray:
    """The clips whose neighbours are looked at, evenly chosen from so many."""
    return np.unique(np.linspace(0, count - 1, min(count, _QUERIES)).astype(int))


def _ranks(count: int) -> tuple[int, int]:
    """The ranks of neighbours that are compared in a library of so many clips."""
    last = min(_FARTHEST, count // 3)
    return min(_NEAREST, last // 3), last


def _distance(cosine: np.ndarray) -> np.ndarray:
    """The distance between two rows of length 1 with this cosine."""
    return np.sqrt(np.maximum(2 - 2 * cosine, 0))
