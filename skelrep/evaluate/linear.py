"""A linear classifier on frozen embeddings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.evaluate.folds import stratified_folds
from skelrep.evaluate.inputs import (
    Rows,
    check_rows,
    check_same_dim,
    encode,
    is_whole,
    warn_of_classes_in_one_group,
    warn_of_unseen_classes,
)
from skelrep.evaluate.logistic import regularisation_path, standardise
from skelrep.evaluate.results import LinearResult
from skelrep.evaluate.scores import confusion_counts, score
from skelrep.messages import warn
from skelrep.version import __version__

CANDIDATES_OF_C = tuple(float(c) for c in np.logspace(-4, 2, 7))
C_WITHOUT_FOLDS = 1.0  # scikit-learn's default


def linear_eval(
    train: Rows,
    train_labels: Iterable[Any],
    test: Rows | None = None,
    test_labels: Iterable[Any] | None = None,
    *,
    leave_one_out: bool = False,
    groups: Iterable[Any] | None = None,
    C: float | Iterable[float] | None = None,
    folds: int = 5,
    seed: int = 0,
    max_iter: int = 1000,
) -> LinearResult:
    """Trains a linear classifier on frozen embeddings and measures its accuracy on the test rows.

    Every dimension is standardised with the mean and standard deviation of the training rows; the classifier minimises
    the objective of scikit-learn's multinomial `LogisticRegression`. C is chosen on the training rows alone, by the
    mean accuracy over stratified folds; among equals, the smallest C is used. The skeleton literature reports the best
    epoch on the *test* rows instead, so its numbers are not strictly comparable.

    Examples:
        >>> import numpy as np
        >>> from skelrep import linear_eval
        >>> rows = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.1]])
        >>> linear_eval(rows, ["sit", "sit", "wave", "wave"], rows[1:3], ["sit", "wave"], C=1.0).accuracy
        1.0

    Args:
        train: (N, D) embeddings to train on.
        train_labels: N labels, any hashable values, of at least two classes.
        test: (Q, D) embeddings to classify; leave it out with `leave_one_out`.
        test_labels: Q labels. A class that no training row has counts as wrong, with a warning.
        leave_one_out: With `groups`: classify the rows of each group by a classifier trained on all other groups
            ("leave one subject out"). C is chosen separately for each group, on the other groups.
        groups: N groups, such as subjects or recordings; cross-validation keeps the rows of a group in one fold.
        C: Inverse regularisation strength, or several to choose from; by default 1e-4, 1e-3 ... 1e2.
        folds: Number of folds of the cross-validation; fewer if the smallest class has fewer clips (or groups), but at
            least two. If two folds cannot be made, C is 1, with a warning.
        seed: Seed for shuffling the rows into folds.
        max_iter: Largest number of iterations of each fit.

    Returns:
        Accuracy, predictions and the chosen C; see `LinearResult`.

    Raises:
        ValueError: if rows are not (N, D), not finite or of unequal D; if labels or groups are missing or not one per
            row; if there is only one training class; if C, folds or max_iter is out of range.
    """
    train = check_rows(train, "train")
    if leave_one_out:
        if test is not None or test_labels is not None:
            raise ValueError("leave_one_out=True classifies the training rows; leave test and test_labels out")
        if groups is None:
            raise ValueError("leave_one_out=True trains one classifier per group; give groups=, one value per row")
        classes, (train_codes,) = encode(train=(train_labels, len(train)))
        test, test_codes = train, train_codes
    else:
        if test is None or test_labels is None:
            raise ValueError("give both test and test_labels, or leave_one_out=True and groups")
        test = check_rows(test, "test")
        check_same_dim(train, "train", test, "test")
        classes, (train_codes, test_codes) = encode(train=(train_labels, len(train)), test=(test_labels, len(test)))
    if len(np.unique(train_codes)) < 2:
        only = str(classes[train_codes[0]])
        raise ValueError(f"the training rows are all of class {only!r}; a probe needs at least two classes")
    group_names, group_codes = None, None
    if groups is not None:
        group_names, (group_codes,) = encode(groups=(groups, len(train)))
    if leave_one_out and group_codes is not None and group_names is not None:
        _check_groups(train_codes, group_codes, classes, group_names)
        warn_of_classes_in_one_group(classes, train_codes, group_codes)
    else:
        warn_of_unseen_classes(classes, train_codes, test_codes)
    given = CANDIDATES_OF_C if C is None else C if isinstance(C, Iterable) else [C]
    candidates = sorted({float(c) for c in given})
    if not candidates or not all(0 < c < math.inf for c in candidates):
        raise ValueError(f"C={C!r} must be a positive number or several; leave it out to try 1e-4 ... 1e2")
    if not is_whole(folds) or folds < 2:
        raise ValueError(f"folds={folds!r} must be a whole number of at least 2; with C= no folds are needed")
    if not is_whole(max_iter) or max_iter < 1:
        raise ValueError(f"max_iter={max_iter!r} must be a positive whole number")

    train_rows = _as_array(train)
    fit = _Fit(candidates, folds, seed, max_iter)
    cross_validation: dict[str, Any] | None
    if leave_one_out and group_codes is not None:
        predicted, outcomes = _leave_one_group_out(fit, train_rows, train_codes, group_codes)
        chosen = [outcome.C for outcome in outcomes]
        used = Counter(chosen).most_common(1)[0][0]
        cross_validation = {"C": candidates, "chosen": chosen} if len(candidates) > 1 else None
        n_folds = None
    else:
        test_rows = _as_array(test).astype(train_rows.dtype, copy=False)
        outcome = fit.predict(train_rows, train_codes, test_rows, group_codes)
        outcomes, predicted, used, cross_validation = [outcome], outcome.predicted, outcome.C, outcome.cross_validation
        n_folds = None if cross_validation is None else cross_validation["folds"]
    if any(outcome.without_folds for outcome in outcomes):
        warn(
            "C cannot be chosen by cross-validation: two folds need a class with at least two training rows"
            f"{'' if groups is None else ' of different groups'}; C=1 was used, pass C= to set it"
        )
    if not all(outcome.converged for outcome in outcomes):
        warn(f"the probe had not converged after max_iter={max_iter} iterations; raise it")
    return LinearResult(
        **score(test_codes, predicted, len(classes))._asdict(),
        predictions=classes[predicted],
        confusion=confusion_counts(test_codes, predicted, len(classes)),
        classes=classes,
        C=used,
        cross_validation=cross_validation,
        protocol={
            "evaluation": "linear",
            "C": used,
            "C_candidates": candidates,
            "folds": n_folds,
            "leave_one_out": leave_one_out,
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


class _Outcome(NamedTuple):
    """The result of one probe."""

    predicted: np.ndarray  # (Q,) codes
    C: float
    cross_validation: dict[str, Any] | None
    without_folds: bool  # C was to be chosen, but no two folds could be made
    converged: bool


class _Fit(NamedTuple):
    """The settings of a probe."""

    candidates: list[float]
    folds: int
    seed: int
    max_iter: int

    def predict(
        self, train: np.ndarray, codes: np.ndarray, test: np.ndarray, groups: np.ndarray | None = None
    ) -> _Outcome:
        """Chooses C on (N, D) training rows with (N,) codes and predicts the codes of (Q, D) test rows."""
        cross_validation, without_folds, C = None, False, self.candidates[0]
        if len(self.candidates) > 1:
            splits = stratified_folds(codes, groups, self.folds, self.seed)
            without_folds, C = not splits, C_WITHOUT_FOLDS
            if splits:
                cross_validation = self._cross_validate(train, codes, splits)
                C = self.candidates[int(np.argmax(cross_validation["mean"]))]
        [(predicted, converged)] = _probe(train.copy(), codes, test.copy(), [C], self.max_iter)
        return _Outcome(predicted, C, cross_validation, without_folds, converged)

    def _cross_validate(
        self, train: np.ndarray, codes: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]
    ) -> dict[str, Any]:
        accuracy = np.empty((len(splits), len(self.candidates)))
        for fold, (kept, held_out) in enumerate(splits):
            fits = _probe(train[kept], codes[kept], train[held_out], self.candidates, self.max_iter)
            accuracy[fold] = [(predicted == codes[held_out]).mean() for predicted, _ in fits]
        mean, std = accuracy.mean(axis=0).tolist(), accuracy.std(axis=0).tolist()
        return {"C": self.candidates, "mean": mean, "std": std, "folds": len(splits)}


def _check_groups(codes: np.ndarray, groups: np.ndarray, classes: np.ndarray, group_names: np.ndarray) -> None:
    """Raises a ValueError if the rows left after leaving out a group cannot train a probe."""
    if len(group_names) == 1:
        raise ValueError(f"leave_one_out=True got {len(codes)} rows of one group; give at least two groups")
    for group, name in enumerate(group_names):
        others = np.unique(codes[groups != group])
        if len(others) < 2:
            raise ValueError(
                f"all rows outside group {str(name)!r} are of class {str(classes[others[0]])!r}; a probe needs at "
                "least two classes in the other groups"
            )


def _leave_one_group_out(
    fit: _Fit, rows: np.ndarray, codes: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, list[_Outcome]]:
    """Classifies each group by a probe trained on the others: (N,) predicted codes, and the outcome of each probe."""
    predicted, outcomes = np.empty_like(codes), []
    for group in range(int(groups.max()) + 1):
        inside = groups == group
        outcomes.append(fit.predict(rows[~inside], codes[~inside], rows[inside], groups[~inside]))
        predicted[inside] = outcomes[-1].predicted
    return predicted, outcomes


def _probe(
    train: np.ndarray, codes: np.ndarray, test: np.ndarray, candidates: Sequence[float], max_iter: int
) -> list[tuple[np.ndarray, bool]]:
    """Predicted codes of the test rows and whether the fit converged, for each C; both sets of rows are overwritten."""
    train_rows, test_rows = torch.from_numpy(train), torch.from_numpy(test)
    standardise(train_rows, test_rows)
    present, positions = np.unique(codes, return_inverse=True)
    fits = []
    for weights, intercept, converged in regularisation_path(
        train_rows, torch.from_numpy(positions), candidates, max_iter
    ):
        logits = torch.addmm(intercept, test_rows, weights.T)
        fits.append((present[logits.argmax(dim=1).numpy()], converged))
    return fits


def _as_array(rows: Rows) -> np.ndarray:
    """Embeddings as a numpy array: float64 stays, every other dtype becomes float32, the dtype of `embed`."""
    if isinstance(rows, Tensor):
        return rows.detach().to("cpu", torch.float64 if rows.dtype == torch.float64 else torch.float32).numpy()
    return np.asarray(rows, dtype=np.float64 if rows.dtype == np.float64 else np.float32)
