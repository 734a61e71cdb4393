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
        last = min(_FARTHEST, count // 3)
        first = min(_NEAREST, last // 3)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _QUERIES)).astype(int))
        own = np.arange(count)
        found = nearest_rows(
            rows[chosen],
            rows,
            last,
            metric="cosine",
            excluded=(chosen, own),
            device=None,
            block_bytes=block_bytes,
        )[1]
        distance = _distance(found.astype(float))
        near, far = distance[:, first - 1], distance[:, last - 1]
        usable = near > 0
        if not usable.any():
            return None
        growth = np.log(far[usable] / near[usable]).mean()
        return cls(float(np.log(last / first) / max(growth, 1e-6)), far, last / (count - 1))

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


def _distance(cosine: np.ndarray) -> np.ndarray:
    """The distance between two rows of length 1 with this cosine."""
    return np.sqrt(np.maximum(2 - 2 * cosine, 0))
