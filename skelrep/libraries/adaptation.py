"""A map of embeddings that reduces differences between copies, learned from copies of a library's own clips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_DIMENSIONS = 128  # principal components that are kept
_SAMPLE = 1000  # clips from which they are computed
_SHRINKAGE = 0.1  # of the covariance of the changes towards a multiple of the identity: they are few


class Adaptation(NamedTuple):
    """A linear map of embeddings: within-class covariance normalisation (Hatch et al., Interspeech 2006).

    A class is a clip with its copies. Trimming, noise and resampling change embeddings along some directions more than
    along others; after the map, they change them equally along all.

    Attributes:
        mean: (D,).
        matrix: (D, K), K at most 128.
    """

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, originals: np.ndarray, copies: Iterable[np.ndarray]) -> Adaptation:
        """Learns the map.

        Args:
            rows: (N, D) embeddings of the library.
            originals: (S, D) embeddings of some clips.
            copies: Embeddings of their copies, each (S, D).
        """
        some = unit(rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(int))])
        mean = some.mean(axis=0)
        axes = np.linalg.svd(some - mean, full_matrices=False)[2][: min(_DIMENSIONS, len(some) - 1)].T
        changes = np.concatenate([(unit(each) - unit(originals)) @ axes for each in copies]).astype(np.float64)
        covariance = changes.T @ changes / len(changes)
        covariance += _SHRINKAGE * covariance.trace() / len(covariance) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        return cls(mean, (axes @ (vectors / np.sqrt(values))).astype(np.float32))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(N, K) float32, of length 1."""
        return unit((unit(rows) - self.mean) @ self.matrix)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays."""
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
