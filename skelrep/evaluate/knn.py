"""Nearest-neighbour classification of embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from skelrep.evaluate.fast_search import nearest_rows
from skelrep.evaluate.inputs import (
    BLOCK_BYTES,
    METRICS,
    Rows,
    check_block_bytes,
    check_one_of,
    check_rows,
    check_same_dim,
    encode,
    is_whole,
    warn_of_classes_in_one_group,
    warn_of_unseen_classes,
)
from skelrep.evaluate.results import KNNResult
from skelrep.evaluate.scores import confusion_counts, majority, score
from skelrep.messages import warn
from skelrep.version import __version__

VOTES = ("uniform", "softmax")


def knn_eval(
    train: Rows,
    train_labels: Iterable[Any],
    test: Rows | None = None,
    test_labels: Iterable[Any] | None = None,
    *,
    k: int | Iterable[int] = (1, 5, 20),
    metric: str = "cosine",
    weights: str = "uniform",
    temperature: float = 0.07,
    leave_one_out: bool = False,
    groups: Iterable[Any] | None = None,
    device: str | torch.device | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> KNNResult:
    """Classifies test rows by the labels of their nearest training rows.

    The skeleton literature reports 1-NN accuracy with the cosine metric. With uniform votes, predictions equal those
    of scikit-learn's `KNeighborsClassifier(metric=..., algorithm="brute")`; with softmax votes, those of DINO's
    evaluation (Caron et al. 2021, after Wu et al. 2018), which weights each neighbour by exp(similarity / temperature).

    Ties: of neighbours at equal similarity, the one with the lower training row comes first, whatever the block size;
    of classes with equal votes, the first one in `classes` wins, as in scikit-learn.

    Examples:
        >>> import numpy as np
        >>> from skelrep import knn_eval
        >>> train, test = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> knn_eval(train, ["sit", "wave"], test, ["sit", "wave"], k=1).accuracy
        {1: 1.0}

    Args:
        train: (N, D) embeddings with known labels.
        train_labels: N labels, any hashable values.
        test: (Q, D) embeddings to classify; leave it out with `leave_one_out`.
        test_labels: Q labels. A class that no training row has counts as wrong, with a warning.
        k: Number of neighbours that vote, or several such numbers; the confusion matrix is for the first. Values
            larger than the training set are left out with a warning, unless all of them are.
        metric: "cosine" or "euclidean". With "cosine", a row of zeros has similarity 0 to every row, as in
            scikit-learn.
        weights: "uniform" or "softmax".
        temperature: Temperature of the softmax votes; 0.07 as in Wu et al. 2018.
        leave_one_out: Classify each row of `train` by all other rows.
        groups: N groups, such as subjects or recordings, with `leave_one_out`: a row is classified by the rows of all
            other groups ("leave one subject out").
        device: Where to compute; by default the device of `train`. (MPS has no float64; the CPU is used instead.)
        block_bytes: Upper bound of the blocks held at once, whatever N and Q; results and labels are not counted.

    Returns:
        Accuracies, predictions and neighbours for each k; see `KNNResult`.

    Raises:
        ValueError: if rows are not (N, D), not finite or of unequal D; if labels are missing or not one per row; if
            every k is larger than the training set; if the metric or the kind of weights is unknown.
    """
    check_one_of("metric", metric, METRICS)
    check_one_of("weights", weights, VOTES)
    if weights == "softmax" and not temperature > 0:
        raise ValueError(f"temperature={temperature!r} must be a positive number; 0.07 is the usual value")
    check_block_bytes(block_bytes)
    train = check_rows(train, "train", block_bytes, on_disk=True)
    excluded = None
    if leave_one_out:
        if test is not None or test_labels is not None:
            raise ValueError("leave_one_out=True classifies the training rows; leave test and test_labels out")
        classes, (train_codes,) = encode(train=(train_labels, len(train)))
        test, test_codes = train, train_codes
        group_codes = np.arange(len(train)) if groups is None else encode(groups=(groups, len(train)))[1][0]
        excluded = (group_codes, group_codes)
        available = len(train) - int(np.bincount(group_codes).max())
        if available == 0:
            raise ValueError(
                f"leave_one_out=True needs other rows to compare with: got {len(train)} training rows"
                + (" of one group; give at least two groups" if groups is not None else "; give at least two")
            )
        if groups is not None:
            warn_of_classes_in_one_group(classes, train_codes, group_codes)
    else:
        if groups is not None:
            raise ValueError("groups= excludes neighbours of a row's own group, so it needs leave_one_out=True")
        if test is None or test_labels is None:
            raise ValueError("give both test and test_labels, or leave_one_out=True to classify the training rows")
        test = check_rows(test, "test", block_bytes, on_disk=True)
        check_same_dim(train, "train", test, "test")
        classes, (train_codes, test_codes) = encode(train=(train_labels, len(train)), test=(test_labels, len(test)))
        warn_of_unseen_classes(classes, train_codes, test_codes)
        available = len(train)
    ks = _possible_ks(k, available)

    neighbors, similarities = nearest_rows(
        test, train, max(ks), metric=metric, excluded=excluded, device=device, block_bytes=block_bytes
    )
    if weights == "softmax":  # subtracting the row's largest similarity keeps exp in range and changes no vote
        votes = np.exp((similarities - similarities[:, :1]).astype(np.float64) / temperature)
    else:
        votes = np.ones(neighbors.shape)
    codes = {n: majority(train_codes[neighbors[:, :n]], votes[:, :n], len(classes)) for n in ks}
    scores = {n: score(test_codes, codes[n], len(classes)) for n in ks}
    return KNNResult(
        accuracy={n: found.accuracy for n, found in scores.items()},
        interval={n: found.interval for n, found in scores.items()},
        balanced_accuracy={n: found.balanced_accuracy for n, found in scores.items()},
        per_class={n: found.per_class for n, found in scores.items()},
        predictions={n: classes[codes[n]] for n in ks},
        confusion=confusion_counts(test_codes, codes[ks[0]], len(classes)),
        neighbors=neighbors,
        similarities=similarities,
        classes=classes,
        protocol={
            "evaluation": "knn",
            "k": list(ks),
            "metric": metric,
            "weights": weights,
            "temperature": float(temperature) if weights == "softmax" else None,
            "leave_one_out": leave_one_out,
            "n_groups": None if excluded is None or groups is None else int(excluded[0].max()) + 1,
            "n_train": len(train),
            "n_test": len(test),
            "n_classes": len(classes),
            "dim": train.shape[1],
            "skelrep": __version__,
        },
    )


def _possible_ks(k: int | Iterable[int], available: int) -> tuple[int, ...]:
    """The values of k that are not larger than the number of available neighbours, in their order, each once."""
    ks: list[Any] = list(k) if isinstance(k, Iterable) else [k]
    if not ks or not all(is_whole(n) and n >= 1 for n in ks):
        raise ValueError(f"k={k!r} must be a whole number of at least 1, or several")
    ks = list(dict.fromkeys(int(n) for n in ks))
    possible = tuple(n for n in ks if n <= available)
    if not possible:
        raise ValueError(f"k={k!r} is larger than the {available} neighbours that a row can have; pass a smaller k")
    if len(possible) < len(ks):
        left_out = ", ".join(str(n) for n in ks if n > available)
        warn(f"k = {left_out} left out: a row can have only {available} neighbours")
    return possible
