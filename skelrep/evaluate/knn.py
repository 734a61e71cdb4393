"""Judging embeddings: nearest neighbours, a linear probe, retrieval.

Everything takes plain (N, D) arrays or tensors, one row a clip, whatever made them, and returns a frozen dataclass
that carries its protocol along.

Neighbours are exact. Float32 products differ in their last bits with the shape of the block they are computed in, so
equal similarities would come out unequal and their order would hang on the block size. Rows are therefore put on a
grid of 2^-24 of their length and multiplied in float64, where sums of such numbers are integers below 2^53 and
nothing is ever rounded: the neighbours are the same for every block size, number of threads and device. So that this
costs no float64 product of everything with everything, a search in float32, of which it is known how far it can be
wrong, first leaves a few candidates for each query.
"""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skelrep.evaluate.logistic import regularisation_path, standardise
from skelrep.matmul import product
from skelrep.messages import nearest
from skelrep.version import __version__

Rows: TypeAlias = "np.ndarray | Tensor"

METRICS = ("cosine", "euclidean")
WEIGHTS = ("uniform", "softmax")
CANDIDATES_OF_C = tuple(float(c) for c in np.logspace(-4, 2, 7))
BLOCK_BYTES = 2**28  # 256 MiB: blocks of about 1800 x 1800 at D = 2048; larger ones were not faster

SPARE = 16  # candidates kept beyond k: equal rows, and rows that float32 cannot tell apart from the k-th

_CACHED = 2**21  # bytes of rows that are placed at once on a CPU: they stay in the cache
_GRID = 2.0**24  # steps to the unit length: 24 + 24 bits of a product leave float64 5 bits of headroom
_NORMAL_975 = 1.959963984540054  # 97.5 % quantile of the normal distribution, for 95 % intervals
_ROW_FIELDS = ("predictions", "neighbors", "indices", "similarities", "average_precision")  # one entry a clip


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class KNNResult:
    """What `knn_eval` found. Dictionaries have one entry for each k.

    Attributes:
        accuracy: Share of test clips classified right.
        interval: 95 % Wilson interval of the accuracy. It takes clips for independent draws; clips of one performer
            are not, so that the truth about new performers is wider.
        balanced_accuracy: Mean of the per-class accuracies over the classes that have test clips.
        per_class: (n_classes,) accuracy of each class, NaN for a class without test clips.
        predictions: (Q,) predicted labels.
        confusion: (n_classes, n_classes) counts for the first k; rows are true classes, columns predicted ones.
        neighbors: (Q, max k) rows of the gallery, nearest first.
        similarities: (Q, max k) float32; the cosine, or minus the Euclidean distance.
        classes: (n_classes,) labels of the training and test rows together, sorted.
        protocol: How it was done, down to the version of skelrep; add to it what you know of the embeddings.
    """

    accuracy: dict[int, float]
    interval: dict[int, tuple[float, float]]
    balanced_accuracy: dict[int, float]
    per_class: dict[int, np.ndarray]
    predictions: dict[int, np.ndarray]
    confusion: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray
    classes: np.ndarray
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """Everything as JSON can hold it; what has an entry for each clip only with `rows`."""
        return _as_dict(self, rows)

    def __str__(self) -> str:
        """Two lines: the accuracies, then what they were measured on."""
        scores = ", ".join(f"{k}-NN {_percent(self.accuracy[k], self.interval[k])}" for k in self.accuracy)
        return f"kNN ({_voting(self.protocol)}): {scores}\n{_sizes(self.protocol)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(
            f"kNN, {_voting(self.protocol)}. {_sizes(self.protocol)}",
            ("k", "accuracy", "95 % interval", "balanced"),
            [(str(k), *_cells(self.accuracy[k], self.interval[k], self.balanced_accuracy[k])) for k in self.accuracy],
        )


@dataclass(frozen=True, eq=False, repr=False)
class LinearResult:
    """What `linear_eval` found.

    Attributes:
        accuracy: Share of test clips classified right.
        interval: 95 % Wilson interval of the accuracy, with the same caution as in `KNNResult`.
        balanced_accuracy: Mean of the per-class accuracies over the classes that have test clips.
        per_class: (n_classes,) accuracy of each class, NaN for a class without test clips.
        predictions: (Q,) predicted labels.
        confusion: (n_classes, n_classes) counts; rows are true classes, columns predicted ones.
        classes: (n_classes,) labels of the training and test rows together, sorted.
        C: The inverse strength of the regularisation that was used.
        cross_validation: What C was chosen by: {"C": candidates, "mean": accuracies, "std": their spread over the
            folds, "folds": how many}; None where C was given or could not be chosen.
        protocol: How it was done, down to the version of skelrep; add to it what you know of the embeddings.
    """

    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    per_class: np.ndarray
    predictions: np.ndarray
    confusion: np.ndarray
    classes: np.ndarray
    C: float
    cross_validation: dict[str, Any] | None
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """Everything as JSON can hold it; what has an entry for each clip only with `rows`."""
        return _as_dict(self, rows)

    def __str__(self) -> str:
        """Two lines: the accuracy, then what it was measured on."""
        return (
            f"linear probe (C = {self.C:g}, {self._chosen()}): {_percent(self.accuracy, self.interval)}\n"
            f"{_sizes(self.protocol)}"
        )

    __repr__ = __str__

    def _chosen(self) -> str:
        if self.cross_validation is None:
            return "not chosen by cross-validation"
        return f"chosen by {self.cross_validation['folds']} folds of the training rows"

    def _repr_html_(self) -> str:
        return _html_table(
            f"Linear probe, C {self._chosen()}. {_sizes(self.protocol)}",
            ("C", "accuracy", "95 % interval", "balanced"),
            [(f"{self.C:g}", *_cells(self.accuracy, self.interval, self.balanced_accuracy))],
        )


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalResult:
    """What `retrieve` found.

    Attributes:
        indices: (Q, k) rows of the bank, most similar first.
        similarities: (Q, k) float32; the cosine, or minus the Euclidean distance.
        mean_average_precision: Mean of `average_precision` over the queries whose label the bank holds; None without
            labels.
        average_precision: (Q,) over the whole ranking of the bank, NaN where there was nothing to find; None without
            labels.
        precision: (k,) at position j - 1 the share of right labels among the first j rows, mean over the same
            queries; None without labels.
        protocol: How it was done, down to the version of skelrep.
    """

    indices: np.ndarray
    similarities: np.ndarray
    mean_average_precision: float | None
    average_precision: np.ndarray | None
    precision: np.ndarray | None
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """Everything as JSON can hold it; what has an entry for each query only with `rows`."""
        return _as_dict(self, rows)

    def _scores(self) -> list[tuple[str, str]]:
        if self.mean_average_precision is None or self.precision is None:
            return []
        ks = dict.fromkeys((1, len(self.precision)))
        return [
            ("mean average precision", f"{100 * self.mean_average_precision:.1f} %"),
            *((f"precision@{k}", f"{100 * self.precision[k - 1]:.1f} %") for k in ks),
        ]

    def __str__(self) -> str:
        """Two lines: what was searched, then how well it went."""
        protocol = self.protocol
        searched = (
            f"retrieval ({protocol['metric']}): the first {protocol['k']} of {protocol['n_bank']} rows for "
            f"{protocol['n_query']} queries of {protocol['dim']} numbers"
        )
        scores = ", ".join(f"{name} {value}" for name, value in self._scores())
        return f"{searched}\n{scores or 'not judged: no labels given'}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(str(self).split("\n", maxsplit=1)[0], ("measure", "value"), self._scores())


# -- evaluations ------------------------------------------------------------------------------------------------------


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

    1-NN by cosine is what the skeleton literature reports. Uniform votes give the predictions of scikit-learn's
    `KNeighborsClassifier(metric=..., algorithm="brute")`; softmax votes those of DINO's evaluation (Caron et al.
    2021, after Wu et al. 2018), which weigh each neighbour by exp(similarity / temperature).

    Ties: of neighbours at equal similarity the lower gallery row comes first, whatever the block size; of classes
    with equal votes the one that comes first in `classes` wins, as in scikit-learn.

    Args:
        train: (N, D) embeddings of the gallery.
        train_labels: N labels, any hashable values.
        test: (Q, D) embeddings to classify; leave it out with `leave_one_out`.
        test_labels: Q labels. A class that the gallery lacks counts as wrong, with a warning.
        k: How many neighbours vote; one number or several, the first of which the confusion matrix is for. Those
            larger than the gallery are left out with a warning, unless all of them are.
        metric: "cosine" or "euclidean". Under the cosine a row of zeros has similarity 0 to everything, as in
            scikit-learn.
        weights: "uniform" or "softmax".
        temperature: Of the softmax votes; 0.07 as in Wu et al. 2018.
        leave_one_out: Judge every row of `train` by all the others.
        groups: N subjects, recordings or the like, with `leave_one_out`: a row is judged by the rows of all other
            groups ("leave one subject out").
        device: Where to multiply; by default where `train` lies. (MPS has no float64: there the CPU does it.)
        block_bytes: Bound of the blocks that are held at once, whatever N and Q; results and labels come on top.

    Raises:
        ValueError: for rows that are not (N, D), not finite or of unequal D; for labels that are missing or not one
            a row; if every k is larger than the gallery; for an unknown metric or kind of weights.
    """
    _one_of("metric", metric, METRICS)
    _one_of("weights", weights, WEIGHTS)
    if weights == "softmax" and not temperature > 0:
        raise ValueError(f"temperature={temperature!r} must be a positive number; 0.07 is customary")
    _check_block_bytes(block_bytes)
    train = _check_rows(train, "train", block_bytes)
    excluded = None
    if leave_one_out:
        if test is not None or test_labels is not None:
            raise ValueError("leave_one_out=True judges the training rows themselves; leave test and test_labels out")
        classes, (train_codes,) = _encode(train=(train_labels, len(train)))
        test, test_codes = train, train_codes
        own = np.arange(len(train)) if groups is None else _encode(groups=(groups, len(train)))[1][0]
        excluded = (own, own)
        available = len(train) - int(np.bincount(own).max())
        if available == 0:
            raise ValueError(
                f"leave_one_out=True leaves nothing to judge by: got {len(train)} training rows"
                + (" of one group; give at least two groups" if groups is not None else "; give at least two")
            )
    else:
        if groups is not None:
            raise ValueError("groups= leaves the row's own group out of its neighbours; it needs leave_one_out=True")
        if test is None or test_labels is None:
            raise ValueError("give both test and test_labels, or leave_one_out=True to judge the training rows")
        test = _check_rows(test, "test", block_bytes)
        _check_dim(train, "train", test, "test")
        classes, (train_codes, test_codes) = _encode(train=(train_labels, len(train)), test=(test_labels, len(test)))
        _warn_unseen(classes, train_codes, test_codes)
        available = len(train)
    ks = _check_ks(k, available)

    neighbors, similarities = _search(
        test, train, max(ks), metric=metric, excluded=excluded, device=device, block_bytes=block_bytes
    )
    if weights == "softmax":  # less the row's largest similarity, which changes no vote and keeps exp in range
        votes = np.exp((similarities - similarities[:, :1]).astype(np.float64) / temperature)
    else:
        votes = np.ones(neighbors.shape)
    codes = {n: _majority(train_codes[neighbors[:, :n]], votes[:, :n], len(classes)) for n in ks}
    scores = {n: _score(test_codes, codes[n], len(classes)) for n in ks}
    return KNNResult(
        accuracy={n: score.accuracy for n, score in scores.items()},
        interval={n: score.interval for n, score in scores.items()},
        balanced_accuracy={n: score.balanced_accuracy for n, score in scores.items()},
        per_class={n: score.per_class for n, score in scores.items()},
        predictions={n: classes[codes[n]] for n in ks},
        confusion=_confusion(test_codes, codes[ks[0]], len(classes)),
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


def linear_eval(
    train: Rows,
    train_labels: Iterable[Any],
    test: Rows,
    test_labels: Iterable[Any],
    *,
    groups: Iterable[Any] | None = None,
    C: float | Iterable[float] | None = None,
    folds: int = 5,
    seed: int = 0,
    max_iter: int = 1000,
) -> LinearResult:
    """Trains a linear classifier on frozen embeddings and judges it on the test rows.

    Every dimension is standardised by the training rows; the classifier minimises the objective of scikit-learn's
    multinomial `LogisticRegression`. C is chosen on the training rows alone, by the mean accuracy over stratified
    folds (of equal ones the smallest C). The skeleton literature reports the best epoch on the *test* rows instead;
    its numbers are therefore not strictly comparable.

    Args:
        train: (N, D) embeddings to train on.
        train_labels: N labels, any hashable values, of two classes at least.
        test: (Q, D) embeddings to classify.
        test_labels: Q labels. A class that the training rows lack counts as wrong, with a warning.
        groups: N subjects, recordings or the like; no group is then on both sides of a fold.
        C: Inverse strength of the regularisation; several to choose from; by default 1e-4, 1e-3 ... 1e2.
        folds: Of the cross-validation; fewer where the smallest class has fewer clips (or groups), but at least two.
            Where not even two can be made C is 1, with a warning.
        seed: Shuffles the rows into folds.
        max_iter: Of each fit.

    Raises:
        ValueError: for rows that are not (N, D), not finite or of unequal D; for labels that are missing or not one
            a row; if there is one training class only; for a C, folds or max_iter out of range.
    """
    train, test = _check_rows(train, "train"), _check_rows(test, "test")
    _check_dim(train, "train", test, "test")
    classes, (train_codes, test_codes) = _encode(train=(train_labels, len(train)), test=(test_labels, len(test)))
    if len(np.unique(train_codes)) < 2:
        only = str(classes[train_codes[0]])
        raise ValueError(f"the training rows are all of class {only!r}; a probe needs at least two classes")
    _warn_unseen(classes, train_codes, test_codes)
    group_codes = None if groups is None else _encode(groups=(groups, len(train)))[1][0]
    given = CANDIDATES_OF_C if C is None else C if isinstance(C, Iterable) else [C]
    candidates = sorted({float(c) for c in given})
    if not candidates or not all(0 < c < math.inf for c in candidates):
        raise ValueError(f"C={C!r} must be a positive number or several; leave it out to try 1e-4 ... 1e2")
    if not _whole(folds) or folds < 2:
        raise ValueError(f"folds={folds!r} must be a whole number of at least 2; pass C= to do without folds")
    if not _whole(max_iter) or max_iter < 1:
        raise ValueError(f"max_iter={max_iter!r} must be a positive whole number")

    train_array = _on_host(train)
    test_array = _on_host(test).astype(train_array.dtype, copy=False)
    cross_validation = None
    if len(candidates) == 1:
        chosen = candidates[0]
    else:
        splits = _folds(train_codes, group_codes, folds, seed)
        if splits:
            accuracy = np.empty((len(splits), len(candidates)))
            for fold, (kept, held_out) in enumerate(splits):
                fits = _probe(train_array[kept], train_codes[kept], train_array[held_out], candidates, max_iter)
                accuracy[fold] = [(predicted == train_codes[held_out]).mean() for predicted, _ in fits]
            mean = accuracy.mean(axis=0)
            chosen = candidates[int(mean.argmax())]
            cross_validation = {
                "C": candidates,
                "mean": mean.tolist(),
                "std": accuracy.std(axis=0).tolist(),
                "folds": len(splits),
            }
        else:
            chosen = 1.0  # scikit-learn's default
            warnings.warn(
                "C cannot be chosen by cross-validation: the training rows make no two folds, as a class would need "
                f"at least two rows{'' if groups is None else ' of different groups'}; used C=1, pass C= to set it",
                stacklevel=2,
            )
    [(predicted, converged)] = _probe(train_array.copy(), train_codes, test_array.copy(), [chosen], max_iter)
    if not converged:
        warnings.warn(f"the probe had not converged after max_iter={max_iter} iterations; raise it", stacklevel=2)
    score = _score(test_codes, predicted, len(classes))
    return LinearResult(
        **score._asdict(),
        predictions=classes[predicted],
        confusion=_confusion(test_codes, predicted, len(classes)),
        classes=classes,
        C=chosen,
        cross_validation=cross_validation,
        protocol={
            "evaluation": "linear",
            "C": chosen,
            "C_candidates": candidates,
            "folds": None if cross_validation is None else cross_validation["folds"],
            "n_groups": None if group_codes is None else int(group_codes.max()) + 1,
            "seed": seed,
            "max_iter": max_iter,
            "standardised": True,
            "n_train": len(train),
            "n_test": len(test),
            "n_classes": len(classes),
            "dim": train.shape[1],
            "skelrep": __version__,
        },
    )


def retrieve(
    query: Rows,
    bank: Rows,
    *,
    k: int = 10,
    metric: str = "cosine",
    query_labels: Iterable[Any] | None = None,
    bank_labels: Iterable[Any] | None = None,
    leave_one_out: bool = False,
    device: str | torch.device | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> RetrievalResult:
    """Finds the rows of a bank that are most similar to each query.

    Of rows at equal similarity the lower one comes first, whatever the block size. With labels the ranking is judged:
    average precision is the mean, over the rows of the query's label, of the precision at their ranks (Manning et
    al., Introduction to Information Retrieval, 2008, section 8.4), over the whole bank. Queries whose label the bank
    lacks have nothing to find; they are left out of the means, with a warning.

    Args:
        query: (Q, D) embeddings to search for.
        bank: (N, D) embeddings to search in.
        k: How many rows to return for each query.
        metric: "cosine" (a row of zeros has similarity 0 to everything) or "euclidean".
        query_labels: Q labels, any hashable values; with `bank_labels`.
        bank_labels: N labels; with `query_labels`.
        leave_one_out: Query and bank are the same rows: row i is no answer to query i.
        device: Where to multiply; by default where `bank` lies. (MPS has no float64: there the CPU does it.)
        block_bytes: Bound of the blocks that are held at once, whatever N and Q; results come on top. Only the ranking
            for the average precision needs 48 N bytes, if that is more.

    Raises:
        ValueError: for rows that are not (N, D), not finite or of unequal D; if k is larger than the bank; for labels
            that are missing or not one a row; for an unknown metric.
    """
    _one_of("metric", metric, METRICS)
    _check_block_bytes(block_bytes)
    query, bank = _check_rows(query, "query", block_bytes), _check_rows(bank, "bank", block_bytes)
    _check_dim(query, "query", bank, "bank")
    if leave_one_out and len(query) != len(bank):
        raise ValueError(
            f"leave_one_out=True takes query and bank for the same rows, got {len(query)} and {len(bank)}; "
            "pass the same array twice"
        )
    available = len(bank) - leave_one_out
    if not _whole(k) or not 1 <= k <= available:
        raise ValueError(
            f"k={k!r} must be a whole number between 1 and {available}, the bank's number of rows"
            + (" but the query's own" if leave_one_out else "")
        )
    own = np.arange(len(bank))
    excluded = (own, own) if leave_one_out else None
    search: dict[str, Any] = {"metric": metric, "excluded": excluded, "device": device, "block_bytes": block_bytes}

    mean_average_precision = average_precision = precision = None
    codes = None
    if query_labels is not None and bank_labels is not None:
        codes = _encode(query=(query_labels, len(query)), bank=(bank_labels, len(bank)))[1]
    elif query_labels is not None or bank_labels is not None:
        raise ValueError("give both query_labels and bank_labels, or neither")
    indices, similarities = _search(query, bank, int(k), **search)
    if codes is not None:
        query_codes, bank_codes = codes
        average_precision = _average_precision(query, bank, query_codes, bank_codes, **search)
        judged = ~np.isnan(average_precision)
        if not judged.any():
            raise ValueError("no query has a row of its label in the bank; check that both label sets are of one kind")
        if not judged.all():
            warnings.warn(
                f"{(~judged).sum()} of {len(query)} queries have no row of their label in the bank and are left out "
                "of the means",
                stacklevel=2,
            )
        mean_average_precision = float(average_precision[judged].mean())
        right = bank_codes[indices[judged]] == query_codes[judged][:, None]
        precision = (right.cumsum(axis=1) / np.arange(1, k + 1)).mean(axis=0)
    return RetrievalResult(
        indices=indices,
        similarities=similarities,
        mean_average_precision=mean_average_precision,
        average_precision=average_precision,
        precision=precision,
        protocol={
            "evaluation": "retrieval",
            "k": int(k),
            "metric": metric,
            "leave_one_out": leave_one_out,
            "n_query": len(query),
            "n_bank": len(bank),
            "n_judged": None if average_precision is None else int((~np.isnan(average_precision)).sum()),
            "dim": bank.shape[1],
            "skelrep": __version__,
        },
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927, Probable inference, the law of succession ...).

    Resampling test clips by bootstrap gives the same numbers (to four places at 16 487 clips), but slowly and by
    chance; and unlike the normal interval this one stays inside [0, 1] and does not shrink to nothing at 0 and 1.

    Raises:
        ValueError: unless 0 <= successes <= trials and trials > 0.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"got {successes} successes in {trials} trials; expected 0 <= successes <= trials, trials > 0")
    share, z = successes / trials, _NORMAL_975
    centre = share + z**2 / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low, high = ((centre + side) / (1 + z**2 / trials) for side in (-half, half))
    # The clamps only take off the rounding where none or all succeed.
    return max(min(low, share), 0.0), min(max(high, share), 1.0)


# -- exact search -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Space:
    """The grid on which rows are compared without rounding; see the top of this file.

    Under the cosine every row has its own length for unit. Euclidean rows share one, the typical length of a bank row
    from a typical point of the bank (subtracted because only differences count, and the grid should be fine for
    them); a row more than 5 times as far out than typical is compared with float64's usual rounding.
    """

    metric: str
    device: torch.device
    center: Tensor | None = None  # (D,)
    unit: float = 1.0

    @classmethod
    def of(cls, bank: Rows, metric: str, device: str | torch.device | None) -> _Space:
        """The space of a bank; queries never change it, so that each is judged on its own."""
        if device is None:
            device = bank.device if isinstance(bank, Tensor) else "cpu"
        device = torch.device(device)
        if device.type == "mps":
            device = torch.device("cpu")
        if metric == "cosine":
            return cls(metric, device)
        # Medians, so that wild rows neither move the center nor coarsen the grid; of 256 rows, which tell enough.
        sample = _block(bank, slice(0, None, -(-len(bank) // 256)), device)
        center = sample.median(dim=0).values
        lengths = torch.linalg.vector_norm(sample - center, dim=1)
        lengths = lengths[lengths > 0]
        # A power of two, lest the last bit of a length, which may differ between devices, move the grid.
        unit = 2.0 ** math.ceil(math.log2(lengths.median().item())) if len(lengths) else 1.0
        return cls(metric, device, center, unit)

    def place(self, rows: Rows, span: slice | np.ndarray) -> Tensor:
        """Some rows of an array as integers on the grid, (S, D) float64."""
        block = _block(rows, span, self.device)
        if self.center is not None:
            return block.sub_(self.center).mul_(_GRID / self.unit).round_()
        length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        # A row of zeros stays zero: similarity 0 to everything.
        return block.mul_(_GRID / torch.where(length > 0, length, 1.0)).round_()

    def compare(self, query: Tensor, bank: Tensor) -> Tensor:
        """(..., S, D) against (..., S', D), both placed: (..., S, S') exact integers, larger for nearer rows."""
        product = query @ bank.mT
        if self.metric == "cosine":
            return product
        # Minus the squared distance, |q - b|^2 = |q|^2 - 2 q.b + |b|^2.
        product = product.mul_(2).sub_(query.square().sum(dim=-1, keepdim=True))
        return product.sub_(bank.square().sum(dim=-1)[..., None, :])

    def roughly(self, rows: Rows, span: slice, block_bytes: int) -> tuple[Tensor, Tensor]:
        """Some rows placed and then rounded to float32, (S, D), and their lengths (S,)."""
        count, dim = span.stop - span.start, rows.shape[1]
        some = max(1, min(_CACHED, block_bytes // 16) // (8 * dim)) if self.device.type == "cpu" else count
        placed = torch.empty(count, dim, device=self.device)
        length = torch.empty(count, dtype=torch.float64, device=self.device)
        for part in _spans(count, some):
            block = self.place(rows, slice(span.start + part.start, span.start + part.stop))
            placed[part], length[part] = block, torch.linalg.vector_norm(block, dim=1)
        return placed, length

    def approximately(self, query: Tensor, bank: Tensor, length: Tensor) -> Tensor:
        """`compare` in float32, less the query's own length, for rows and lengths of the bank by `roughly`."""
        compared = product(query, bank)
        return compared if self.metric == "cosine" else compared.mul_(2).sub_(length.square().float())

    def error(self, query: Tensor, bank: Tensor, dim: int) -> Tensor:
        """The most by which `approximately` errs, (S,), for lengths (S,) of queries and the longest of bank rows, ().

        A sum of D products in any order errs by D u |q| |b| at most (u = 2^-24, D u small), Higham, Accuracy and
        Stability of Numerical Algorithms, 2002, section 3.1; a few u more for what is rounded before and after.
        """
        product = (dim + 4) * query * bank
        if self.metric == "euclidean":
            product = 2 * product + 2 * query * bank + 3 * bank.square()
        return 1.01 * 2.0**-24 * product

    def similarity(self, compared: Tensor) -> Tensor:
        """The float32 numbers that users see, for those of `compare`."""
        if self.metric == "cosine":
            return (compared / _GRID**2).float()
        return -(compared.neg().clamp_(min=0).sqrt() * (self.unit / _GRID)).float()


def _search(
    query: Rows,
    bank: Rows,
    k: int,
    *,
    metric: str,
    excluded: tuple[np.ndarray, np.ndarray] | None,
    device: str | torch.device | None,
    block_bytes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest bank rows of every query.

    Args:
        query: (Q, D).
        bank: (N, D).
        k: At most N less the largest number of bank rows excluded for one query.
        metric: One of `METRICS`.
        excluded: (Q,) and (N,) codes; a bank row is no neighbour of a query with the same code.
        device: Where to compute.
        block_bytes: Bound of the blocks held at once.

    Returns:
        (Q, k) int64 rows of the bank, nearest first and lower rows first among equals; (Q, k) float32 similarities.
    """
    space = _Space.of(bank, metric, device)
    indices = np.empty((len(query), k), dtype=np.int64)
    similarities = np.empty((len(query), k), dtype=np.float32)
    rest = np.arange(len(query))
    if 4 * (k + SPARE) < len(bank) and torch.get_float32_matmul_precision() == "highest":
        rest = _scan(query, bank, space, excluded, block_bytes, indices, similarities)
    side = _block_side(bank.shape[1], k, block_bytes)
    for mine in (rest[span] for span in _spans(len(rest), side)):
        placed = space.place(query, mine)
        best = torch.empty((len(placed), 0), dtype=torch.float64, device=space.device)
        found = torch.empty((len(placed), 0), dtype=torch.int64, device=space.device)
        for theirs in _spans(len(bank), side):
            compared = space.compare(placed, space.place(bank, theirs))
            _exclude(compared, mine, theirs, excluded)
            value, column = _largest(compared, k)
            # The best so far are lower rows than the block's: standing before them they win among equals.
            best, order = _largest(torch.cat([best, value], dim=1), k)
            found = torch.cat([found, column + theirs.start], dim=1).gather(1, order)
        indices[mine] = found.cpu().numpy()
        similarities[mine] = space.similarity(best).cpu().numpy()
    return indices, similarities


def _scan(
    query: Rows,
    bank: Rows,
    space: _Space,
    excluded: tuple[np.ndarray, np.ndarray] | None,
    block_bytes: int,
    indices: np.ndarray,
    similarities: np.ndarray,
) -> np.ndarray:
    """`_search` at the speed of float32: the exact comparison is made for a few candidates only.

    Float32 products of grid numbers are wrong by a known bound at most. Of the rows whose float32 comparison is within
    twice the bound of the k-th best none may be missed; they are compared exactly. Queries with more such rows than
    are kept (equal rows in great number, mostly) are left to others.

    Returns:
        The queries left, (R,); the results of all others are written into (Q, k) `indices` and `similarities`.
    """
    k, dim = indices.shape[1], bank.shape[1]
    keep, share = k + SPARE, block_bytes // 4
    # Queries in float32 and the best so far, twice in a merge; a share and a half, for each chunk places the bank anew.
    tall = max(1, 3 * share // (8 * dim + 72 * keep))
    wide = max(keep, share // (8 * dim))  # bank rows in float32, and as much again inside the product
    low = max(1, share // (12 * wide))  # queries at once
    left = []
    for chunk in _spans(len(query), tall):
        parts = [slice(begin, min(begin + low, chunk.stop)) for begin in range(chunk.start, chunk.stop, low)]
        mine, length = space.roughly(query, chunk, block_bytes)
        best = torch.full((len(length), keep), -math.inf, device=space.device)
        found = torch.zeros((len(length), keep), dtype=torch.int64, device=space.device)
        longest = torch.zeros((), dtype=torch.float64, device=space.device)
        for theirs in _spans(len(bank), wide):
            others, far = space.roughly(bank, theirs, block_bytes)
            longest = torch.maximum(longest, far.max())
            for part in parts:
                here = slice(part.start - chunk.start, part.stop - chunk.start)
                compared = space.approximately(mine[here], others, far)
                _exclude(compared, part, theirs, excluded)
                value, column = _best_above(compared, best[here, -1:], keep)
                best[here], order = torch.cat([best[here], value], dim=1).topk(keep, dim=1)
                found[here] = torch.cat([found[here], column + theirs.start], dim=1).gather(1, order)
        floor = best[:, k - 1].double() - 2 * space.error(length, longest, dim)
        settled = best[:, -1] < floor  # false for NaN, too
        left.append(np.arange(chunk.start, chunk.stop)[~settled.cpu().numpy()])
        candidate = best >= floor[:, None]
        if not settled.any():
            continue
        most = int(candidate[settled].sum(dim=1).max())
        for some in settled.nonzero()[:, 0].split(max(1, share // (16 * dim * most))):
            # In the order of the bank, so that lower rows come first among equals.
            theirs, order = found[some, :most].sort(dim=1)
            rows = some.cpu().numpy() + chunk.start
            others = space.place(bank, theirs.flatten().cpu().numpy()).unflatten(0, theirs.shape)
            compared = space.compare(space.place(query, rows)[:, None], others)[:, 0]
            compared.masked_fill_(~candidate[some, :most].gather(1, order), -math.inf)
            value, column = _largest(compared, k)
            indices[rows] = theirs.gather(1, column).cpu().numpy()
            similarities[rows] = space.similarity(value).cpu().numpy()
    return np.concatenate(left)


def _best_above(values: Tensor, least: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and columns among which are each row's k largest, as far as they are above its own `least`, (S, 1).

    Rows with fewer are filled up with minus infinity. Once there is something to be above there are few such values,
    and to pick them takes a CPU a tenth of the time of `topk`.
    """
    if values.device.type == "cpu":
        place = np.flatnonzero((values > least).numpy())
        row = place // values.shape[1]
        count = np.bincount(row, minlength=len(values))
        if (most := int(count.max(initial=0))) <= 4 * k:
            column = torch.from_numpy(place - row * values.shape[1])
            slot = torch.from_numpy(np.arange(len(place)) - (count.cumsum() - count)[row])
            row = torch.from_numpy(row)
            found = values.new_full((len(values), most), -math.inf), column.new_zeros(len(values), most)
            found[0][row, slot], found[1][row, slot] = values.flatten()[torch.from_numpy(place)], column
            return found
    return values.topk(min(k, values.shape[1]), dim=1)


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of every row and their columns, lower columns first among equals.

    `torch.topk` leaves open which of the columns equal to the k-th value it takes, and their order.
    """
    value, column = values.topk(min(k, values.shape[1]), dim=1)
    crowded = (values >= value[:, -1:]).sum(dim=1) > value.shape[1]
    if crowded.any():
        ranked = values[crowded].sort(dim=1, descending=True, stable=True)
        value[crowded] = ranked.values[:, : value.shape[1]]
        column[crowded] = ranked.indices[:, : value.shape[1]]
    column, order = column.sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    return value, column.gather(1, order)


def _average_precision(
    query: Rows,
    bank: Rows,
    query_codes: np.ndarray,
    bank_codes: np.ndarray,
    *,
    metric: str,
    excluded: tuple[np.ndarray, np.ndarray] | None,
    device: str | torch.device | None,
    block_bytes: int,
) -> np.ndarray:
    """(Q,) average precision over the whole ranking of the bank, NaN where no bank row has the query's label."""
    space = _Space.of(bank, metric, device)
    side = _block_side(bank.shape[1], 0, block_bytes // 2)
    height = max(1, min(side, block_bytes // (2 * 48 * len(bank))))  # 48 bytes an entry of the ranking, see below
    rank = torch.arange(1, len(bank) + 1, dtype=torch.float64, device=space.device)
    theirs_codes = torch.from_numpy(bank_codes).to(space.device)
    result = np.empty(len(query))
    for mine in _spans(len(query), height):
        placed = space.place(query, mine)
        compared = torch.empty((len(placed), len(bank)), dtype=torch.float64, device=space.device)
        for theirs in _spans(len(bank), side):
            compared[:, theirs] = space.compare(placed, space.place(bank, theirs))
        relevant = torch.from_numpy(query_codes[mine]).to(space.device)[:, None] == theirs_codes
        _exclude(compared, mine, slice(0, len(bank)), excluded)
        relevant &= compared > -math.inf
        hit = relevant.gather(1, compared.argsort(dim=1, descending=True, stable=True))
        precision = hit.cumsum(dim=1, dtype=torch.float64).div_(rank).mul_(hit)
        result[mine] = (precision.sum(dim=1) / hit.sum(dim=1)).cpu().numpy()  # 0 / 0 is NaN
    return result


def _exclude(
    compared: Tensor, mine: slice | np.ndarray, theirs: slice, excluded: tuple[np.ndarray, np.ndarray] | None
) -> None:
    """Sets pairs with equal codes to minus infinity."""
    if excluded is not None:
        query, bank = (torch.from_numpy(codes[span]) for codes, span in zip(excluded, (mine, theirs), strict=True))
        compared.masked_fill_((query[:, None] == bank).to(compared.device), -math.inf)


def _block_side(dim: int, k: int, block_bytes: int) -> int:
    """Rows S of a block on either side such that two blocks and their S x S comparison stay within the bytes.

    A placed row costs 8 D bytes and once more while it is made. An entry of the comparison costs 8, and where a stable
    sort settles ties 32 more: its copy, the sorted values, their indices and the sort's own room. A row's running
    best costs 16 k, and about four times that while it is merged. Not counted are the matrix library's own buffers:
    with ties everywhere, 180 MiB were measured at a budget of 256 MiB, and 75 to 90 MiB at 64 MiB.
    """
    row, entry = 2 * 16 * dim + 64 * k, 40
    return max(1, int((math.sqrt(row**2 + 4 * entry * block_bytes) - row) / (2 * entry)))


def _spans(rows: int, side: int) -> list[slice]:
    return [slice(start, min(start + side, rows)) for start in range(0, rows, side)]


def _block(rows: Rows, span: slice | np.ndarray, device: torch.device) -> Tensor:
    """A fresh float64 copy of some rows."""
    if isinstance(rows, Tensor):
        # In two steps, because a tensor on MPS cannot become float64 before it has moved.
        return rows[span].detach().to(device).to(torch.float64, copy=True)
    return torch.from_numpy(np.array(rows[span], dtype=np.float64)).to(device)


# -- votes and scores -------------------------------------------------------------------------------------------------


class _Score(NamedTuple):
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    per_class: np.ndarray


def _score(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> _Score:
    """Scores of (Q,) class codes."""
    right = truth == predicted
    clips = np.bincount(truth, minlength=n_classes)
    per_class = np.full(n_classes, np.nan)
    np.divide(np.bincount(truth[right], minlength=n_classes), clips, out=per_class, where=clips > 0)
    successes = int(right.sum())
    return _Score(
        successes / len(truth), wilson_interval(successes, len(truth)), float(np.nanmean(per_class)), per_class
    )


def _confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def _majority(codes: np.ndarray, votes: np.ndarray, n_classes: int) -> np.ndarray:
    """The class of every row of (Q, k) codes with the largest sum of votes, the first one among equals."""
    winners = np.empty(len(codes), dtype=np.int64)
    for span in _spans(len(codes), max(1, 2**22 // n_classes)):  # 32 MiB of sums at a time
        rows = len(winners[span])
        flat = np.arange(rows)[:, None] * n_classes + codes[span]
        sums = np.bincount(flat.ravel(), votes[span].ravel(), minlength=rows * n_classes)
        winners[span] = sums.reshape(rows, n_classes).argmax(axis=1)
    return winners


def _folds(codes: np.ndarray, groups: np.ndarray | None, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kept, held out) rows of each fold; empty where no two folds can be made."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    # How many folds can each hold a row of a class: its number of rows, or of groups.
    pairs = np.unique(np.stack([codes, np.arange(len(codes)) if groups is None else groups]), axis=1)
    spread = np.bincount(pairs[0])
    spread = spread[spread > 0]
    if spread.max() < 2:
        return []
    folds = max(2, min(folds, int(spread.min())))
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # "The least populated class has only 1 member": it is then tested in a fold whose training rows lack it.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        splits = list(kind(folds, shuffle=True, random_state=seed).split(codes, codes, groups))
    # A fold without held-out rows, or with a single class to train on, says nothing.
    return [(kept, held_out) for kept, held_out in splits if len(held_out) and len(np.unique(codes[kept])) > 1]


def _probe(
    train: np.ndarray, codes: np.ndarray, test: np.ndarray, candidates: Sequence[float], max_iter: int
) -> list[tuple[np.ndarray, bool]]:
    """Predicted codes of the test rows and whether the fit converged, for each C; both sets of rows are overwritten."""
    train_rows, test_rows = torch.from_numpy(train), torch.from_numpy(test)
    standardise(train_rows, test_rows)
    classes, positions = np.unique(codes, return_inverse=True)
    fits = []
    for weights, intercept, converged in regularisation_path(
        train_rows, torch.from_numpy(positions), candidates, max_iter
    ):
        scores = torch.addmm(intercept, test_rows, weights.T)
        fits.append((classes[scores.argmax(dim=1).numpy()], converged))
    return fits


# -- what comes in ----------------------------------------------------------------------------------------------------


def _check_rows(rows: Any, name: str, block_bytes: int = BLOCK_BYTES) -> Rows:
    """Embeddings as they came, array or tensor, or a sentence about what is wrong with them."""
    if not isinstance(rows, Tensor):
        rows = np.asarray(rows)
        if rows.dtype.kind not in "fiub":
            raise ValueError(f"{name} must hold numbers, got dtype {rows.dtype}; pass the (N, D) array of embed")
    elif rows.is_complex():
        raise ValueError(f"{name} must hold real numbers, got dtype {rows.dtype}")
    if rows.ndim != 2:
        raise ValueError(f"{name} must be (N, D), one row a clip, got shape {tuple(rows.shape)}; embed the clips first")
    if 0 in rows.shape:
        raise ValueError(f"{name} is empty: got shape {tuple(rows.shape)}, expected at least one row of one number")
    wrong: list[int] = []
    for span in _spans(len(rows), max(1, block_bytes // (16 * rows.shape[1]))):
        block = rows[span]
        finite = torch.isfinite(block.detach()).all(dim=1).cpu().numpy() if isinstance(block, Tensor) else None
        finite = np.isfinite(block).all(axis=1) if finite is None else finite
        wrong += (np.flatnonzero(~finite) + span.start).tolist()
    if wrong:
        raise ValueError(
            f"{name} has NaN or infinity in {len(wrong)} of {len(rows)} rows (row {_some(wrong)}); "
            "drop these clips or see what they hold"
        )
    return rows


def _check_dim(one: Rows, one_name: str, other: Rows, other_name: str) -> None:
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"{one_name} rows have {one.shape[1]} numbers but {other_name} rows have {other.shape[1]}; "
            "embed both with the same encoder and streams"
        )


def _check_block_bytes(block_bytes: int) -> None:
    if not _whole(block_bytes) or block_bytes < 1:
        raise ValueError(f"block_bytes={block_bytes!r} must be a positive whole number of bytes; 2**28 is the default")


def _check_ks(k: int | Iterable[int], available: int) -> tuple[int, ...]:
    """The ks that the gallery can serve, in their order, each once."""
    ks: list[Any] = list(k) if isinstance(k, Iterable) else [k]
    if not ks or not all(_whole(n) and n >= 1 for n in ks):
        raise ValueError(f"k={k!r} must be a whole number of at least 1, or several")
    ks = list(dict.fromkeys(int(n) for n in ks))
    possible = tuple(n for n in ks if n <= available)
    if not possible:
        raise ValueError(f"k={k!r} asks for more neighbours than the {available} that a row can have; pass a smaller k")
    if len(possible) < len(ks):
        left_out = ", ".join(str(n) for n in ks if n > available)
        warnings.warn(f"k = {left_out} left out: a row can have {available} neighbours only", stacklevel=3)
    return possible


def _encode(**columns: tuple[Iterable[Any], int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Sorted classes over all columns, and each column as (N,) int64 positions in them.

    Args:
        **columns: Name of the rows (for messages) to (labels, expected number).
    """
    lists = [_labels(labels, rows, name) for name, (labels, rows) in columns.items()]
    distinct = set().union(*lists)
    try:
        ordered = sorted(distinct)
    except TypeError:  # of several types: by type first, the numbers among them as numbers
        ordered = sorted(distinct, key=lambda label: (type(label).__name__, repr(label)))
    position = {label: i for i, label in enumerate(ordered)}
    kinds = {type(label) for label in ordered}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        classes = np.array(ordered)
    else:  # filled one by one: numpy would take apart tuples and turn mixtures into strings
        classes = np.empty(len(ordered), dtype=object)
        for i, label in enumerate(ordered):
            classes[i] = label
    return classes, [np.array([position[label] for label in labels], dtype=np.int64) for labels in lists]


def _labels(labels: Any, rows: int, name: str) -> list[Any]:
    """Labels as a list of hashable Python values, one a row."""
    what = "groups" if name == "groups" else f"{name}_labels"
    shape = getattr(labels, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{what} must be one value a row, got shape {tuple(shape)}; for one-hot rows pass argmax(1)")
    if labels is None or isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise ValueError(f"{what} must be a sequence of one value a row, got {labels!r}")
    # tolist makes Python values of numpy's and torch's, so that 1 from here equals 1 from there.
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)  # type: ignore[union-attr]
    values = [value.item() if isinstance(value, (np.generic, Tensor)) else value for value in values]
    if len(values) != rows:
        raise ValueError(f"{what} has {len(values)} values for {rows} rows; give one for each row")
    missing = [i for i, value in enumerate(values) if value is None or (isinstance(value, float) and value != value)]
    if missing:
        raise ValueError(f"{what} has None or NaN in {len(missing)} rows (row {_some(missing)}); drop these rows")
    try:
        set(values)
    except TypeError:
        raise ValueError(f"{what} must be hashable values, one a row; got {type(values[0]).__name__}") from None
    return values


def _warn_unseen(classes: np.ndarray, train_codes: np.ndarray, test_codes: np.ndarray) -> None:
    unseen = np.setdiff1d(test_codes, train_codes)
    if len(unseen):
        clips = int(np.isin(test_codes, unseen).sum())
        warnings.warn(
            f"no training row has the label {_some([str(label) for label in classes[unseen]])}; "
            f"the {clips} test rows that have count as wrong",
            stacklevel=3,
        )


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, known))}{nearest(value, known)}")


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _some(items: Sequence[Any], most: int = 5) -> str:
    return ", ".join(map(str, items[:most])) + (" ..." if len(items) > most else "")


def _on_host(rows: Rows) -> np.ndarray:
    """Embeddings for scikit-learn: float64 stays, everything else becomes float32, as embed returns it."""
    host = rows.detach().cpu().double().numpy() if isinstance(rows, Tensor) else rows
    return np.asarray(host, dtype=np.float64 if rows.dtype in (np.float64, torch.float64) else np.float32)


# -- what goes out ----------------------------------------------------------------------------------------------------


def _as_dict(result: Any, rows: bool) -> dict[str, Any]:
    names = [field.name for field in fields(result) if rows or field.name not in _ROW_FIELDS]
    return {name: _plain(getattr(result, name)) for name in names}


def _plain(value: Any) -> Any:
    """Numbers, strings, lists and dictionaries only; NaN, which JSON lacks, is None."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _percent(accuracy: float, interval: tuple[float, float]) -> str:
    return f"{100 * accuracy:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _cells(accuracy: float, interval: tuple[float, float], balanced: float) -> tuple[str, str, str]:
    return (
        f"{100 * accuracy:.1f} %",
        f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %",
        f"{100 * balanced:.1f} %",
    )


def _voting(protocol: dict[str, Any]) -> str:
    temperature = protocol["temperature"]
    return f"{protocol['metric']}, {protocol['weights']} votes" + (f" at {temperature:g}" if temperature else "")


def _sizes(protocol: dict[str, Any]) -> str:
    if protocol.get("leave_one_out"):
        left_out = "one left out" if protocol["n_groups"] is None else f"one of {protocol['n_groups']} groups left out"
        clips = f"{protocol['n_train']} clips, {left_out}"
    else:
        clips = f"{protocol['n_test']} test clips against {protocol['n_train']}"
    return f"{clips}; {protocol['n_classes']} classes, {protocol['dim']} dimensions, skelrep {protocol['skelrep']}"


def _html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", cells) for cells in rows)
    return f"<table><caption>{html.escape(caption)}</caption>{line('th', head)}{body}</table>"
