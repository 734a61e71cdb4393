"""Drawing a fraction of the labels, for semi-supervised protocols."""

from __future__ import annotations

from typing import Any

import numpy as np


def subset(labels: Any, fraction: float, seed: int, groups: Any = None) -> np.ndarray:
    """Draws a fraction of the clips at random, with equally many of each class.

    Numbers of clips per class differ by at most one if the classes are large enough. Every class has at least one clip,
    so a small fraction of a small set can give more clips than requested. The subsets of one seed are nested.

    Examples:
        >>> from skelrep.train.few_labels import subset
        >>> subset(["a", "a", "b", "b", "b", "b"], 0.5, seed=0)
        array([0, 2, 3])

    Args:
        labels: (N,) labels of any type that can be sorted.
        fraction: Fraction of the N clips, above 0 and at most 1.
        seed: Random seed.
        groups: (N,) groups, such as subjects or recordings; the clips of a class are drawn from as many as possible.

    Returns:
        Sorted int64 indices.

    Raises:
        ValueError: if the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction!r} must be above 0 and at most 1; 0.05 is 5 % of the labels")
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(codes))
    # Sorting by the number of earlier equals takes one clip of each group in turn within each class, and then one clip
    # of each class in turn.
    if groups is not None:
        group_codes = np.unique(np.asarray(groups), return_inverse=True)[1]
        order = order[np.argsort(_earlier_equals((codes * len(codes) + group_codes)[order]), kind="stable")]
    order = order[np.argsort(_earlier_equals(codes[order]), kind="stable")]
    return np.sort(order[: max(round(fraction * len(codes)), codes.max() + 1)])


def _earlier_equals(keys: np.ndarray) -> np.ndarray:
    """How many equal keys precede each of (N,) keys."""
    order = np.argsort(keys, kind="stable")
    earlier = np.empty(len(keys), dtype=np.int64)
    earlier[order] = np.arange(len(keys)) - np.searchsorted(keys[order], keys[order])
    return earlier
