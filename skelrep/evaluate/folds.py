"""Folds of cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np


def stratified_folds(
    codes: np.ndarray, groups: np.ndarray | None, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of cross-validation with about equal fractions of each class.

    Args:
        codes: (N,) classes as whole numbers.
        groups: (N,) whole numbers, or None; no group is on both sides of a fold.
        folds: How many, or as many as the smallest class has rows (or groups), but at least two.
        seed: Shuffles the rows into folds.

    Returns:
        The (kept, held out) rows of each fold; an empty list where two folds cannot be made.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    # A class can be in as many folds as it has rows, or groups.
    pairs = np.unique(np.stack([codes, np.arange(len(codes)) if groups is None else groups]), axis=1)
    units_per_class = np.bincount(pairs[0])
    units_per_class = units_per_class[units_per_class > 0]
    if units_per_class.max() < 2:
        return []
    folds = max(2, min(folds, int(units_per_class.min())))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # "The least populated class has only 1 member": its row is tested in a fold whose training rows lack the class.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        splits = list(kind(folds, shuffle=True, random_state=seed).split(codes, codes, groups))
    # A fold without held-out rows, or with a single class to train on, measures nothing.
    return [(kept, held_out) for kept, held_out in splits if len(held_out) and len(np.unique(codes[kept])) > 1]


def folds_of_clips(
    info: Mapping[str, np.ndarray], codes: np.ndarray, groups: np.ndarray | None, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`stratified_folds`, in which no kept clip shares time with a held-out clip of the same recording.

    Args:
        info: Columns of the clips; where `source`, `start` and `end` are among them, as those of `Poses.windows`, clips
            may overlap in time.
        codes: As in `stratified_folds`.
        groups: As in `stratified_folds`.
        folds: As in `stratified_folds`.
        seed: As in `stratified_folds`.
    """
    splits = stratified_folds(codes, groups, folds, seed)
    if not {"source", "start", "end"} <= info.keys():
        return splits
    source, start, end = info["source"], info["start"], info["end"]
    apart = []
    for kept, held_out in splits:
        shares = np.zeros(len(kept), dtype=bool)
        for recording in np.unique(source[held_out]):
            out = held_out[source[held_out] == recording]
            out = out[np.argsort(start[out], kind="stable")]
            latest = np.maximum.accumulate(end[out])  # of the clips that start no later
            before = np.searchsorted(start[out], end[kept], side="left")  # how many start before a kept clip ends
            shares |= (source[kept] == recording) & (before > 0) & (latest[before - 1] > start[kept])
        if len(np.unique(codes[kept[~shares]])) > 1:
            apart.append((kept[~shares], held_out))
    return apart
