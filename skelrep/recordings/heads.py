"""The parameters of a classifier on frozen embeddings, and their fit to labelled rows.

Rows are standardised with the statistics of the training rows. A linear head is multinomial logistic regression; a head
of prototypes, for classes of fewer than three clips, is softmax over the cosines to the classes' mean directions. Both
have the prototypes, because the cosine to the nearest prototype separates clips of unknown classes from those of known
ones much better than the probability does: with five clips per class and 30 % of the classes left out, the area under
the curve was 0.89, 0.99, 0.90 and 0.99 against 0.85, 0.96, 0.86 and 0.95 (UTD-MHAD, HDM05, UTKinect, KARD).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from skelrep.evaluate.linear import C_WITHOUT_FOLDS
from skelrep.evaluate.logistic import regularisation_path, standardise

FEW = 3  # clips of a class, below which logistic regression is not better than prototypes, which need no C
# The temperature of cosines if nothing is held out: the median of the best ones for one or two clips per class of these
# four data sets.
DEFAULT_TEMPERATURE = 0.06
_TEMPERATURES = 1e-2, 1e2  # the range in which the best one is searched
_MAX_ITER = 1000


@dataclass(frozen=True, eq=False)
class Head:
    """K classes on rows of D numbers.

    Attributes:
        mean: (D,) of the training rows.
        deviation: (D,) standard deviations; 1 where a column is constant.
        prototypes: (K, D) mean directions of the classes' standardised rows, of length 1.
        weight: (K, D) of logistic regression on standardised rows, or None for a head of prototypes.
        bias: (K,), or None.
        temperature: Logits are divided by it.
        threshold: Cosine to the nearest prototype below which a row belongs to no known class.
    """

    mean: np.ndarray
    deviation: np.ndarray
    prototypes: np.ndarray
    weight: np.ndarray | None
    bias: np.ndarray | None
    temperature: float
    threshold: float

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Unnormalised log-probabilities (N, K) of rows (N, D), by the temperature."""
        if self.weight is None or self.bias is None:
            return self.cosines(rows) / self.temperature
        return (self._standardised(rows) @ self.weight.T + self.bias) / self.temperature

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """(N, K) of rows (N, D); each row sums to 1."""
        return np.exp(log_softmax(self.logits(rows).astype(np.float64), axis=1))

    def cosines(self, rows: np.ndarray) -> np.ndarray:
        """Cosines (N, K) of standardised rows to the prototypes."""
        return _unit(self._standardised(rows)) @ self.prototypes.T

    def nearest(self, rows: np.ndarray) -> np.ndarray:
        """(N,) the cosine to the nearest prototype."""
        return self.cosines(rows).max(axis=1)

    def is_known(self, rows: np.ndarray) -> np.ndarray:
        """(N,) bool: whether the nearest prototype is near enough."""
        return self.nearest(rows) >= self.threshold

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) / self.deviation


class Fold(NamedTuple):
    """Training rows and held-out rows: of one encoder, or of one that was fine-tuned on the training clips alone."""

    rows: np.ndarray  # (n, D)
    codes: np.ndarray  # (n,) classes
    held_out: np.ndarray  # (m, D)
    held_out_codes: np.ndarray  # (m,)


class HeldOut(NamedTuple):
    """The predictions of the folds' classifiers for rows that they were not trained on.

    Attributes:
        codes: (Q,) true classes, of all folds one after the other.
        probabilities: (Q, K), 0 for a class that the fold did not know.
        nearest: (Q,) cosine to the nearest prototype.
        foreign: (Q,) cosine to the nearest prototype of another class: what the row would get if its class were
            unknown.
        accuracy: For each C the mean over the folds.
    """

    codes: np.ndarray
    probabilities: np.ndarray
    nearest: np.ndarray
    foreign: np.ndarray
    accuracy: np.ndarray


def fit_head(
    rows: np.ndarray, codes: np.ndarray, folds: Sequence[Fold], candidates: Sequence[float], keep: float
) -> tuple[Head, float | None, HeldOut | None]:
    """Fits a head; all hyperparameters are chosen on held-out rows of the training set.

    Args:
        rows: (N, D) float32 or float64.
        codes: (N,) classes from 0 to K - 1, each with at least one row, K > 1.
        folds: For choosing C, the temperature and the threshold; empty if no class has two clips.
        candidates: Values of C in ascending order.
        keep: Fraction of the held-out rows whose nearest prototype is near enough.

    Returns:
        The head; the C that was used, None for prototypes; and the predictions for held-out rows, None without folds.
    """
    n_classes = int(codes.max()) + 1
    tried: Sequence[float | None] = candidates if np.bincount(codes).min() >= FEW else [None]
    if not folds:
        C = tried[0] if len(tried) == 1 else C_WITHOUT_FOLDS
        [head] = _heads(rows, codes, n_classes, [C])
        # Nothing can be held out. The median of the cosines to other classes' clips was as low as the 5 % quantile of
        # known clips' cosines (on the four sets above).
        threshold = float(np.median(_foreign(head.cosines(rows), codes)))
        return replace(head, threshold=threshold), C, None
    parts = [_held_out(fold, n_classes, tried) for fold in folds]
    accuracy = np.mean([part.accuracy for part in parts], axis=0)
    best = int(accuracy.argmax())  # among equal ones the smallest C, the strongest regularisation
    truth = np.concatenate([fold.held_out_codes for fold in folds])
    logits = np.concatenate([part.logits[best] for part in parts])
    cosines = np.concatenate([part.cosines for part in parts])
    temperature = best_temperature(logits, truth)
    held_out = HeldOut(
        truth,
        np.exp(log_softmax(logits / temperature, axis=1)),
        cosines.max(axis=1),
        _foreign(cosines, truth),
        accuracy,
    )
    [head] = _heads(rows, codes, n_classes, [tried[best]])
    threshold = float(np.quantile(held_out.nearest, 1 - keep))
    return replace(head, temperature=temperature, threshold=threshold), tried[best], held_out


class _Part(NamedTuple):
    """The outputs of heads that were fitted to a fold's rows, for its held-out rows."""

    accuracy: list[float]  # for each C
    logits: list[np.ndarray]  # (m, K) for each C
    cosines: np.ndarray  # (m, K)


def _held_out(fold: Fold, n_classes: int, tried: Sequence[float | None]) -> _Part:
    heads = _heads(fold.rows, fold.codes, n_classes, tried)
    logits = [replace(head, temperature=1.0).logits(fold.held_out).astype(np.float64) for head in heads]
    cosines = heads[0].cosines(fold.held_out)
    absent = np.setdiff1d(np.arange(n_classes), fold.codes)
    cosines[:, absent] = -1
    for values in logits:
        values[:, absent] = -np.inf
    accuracy = [float((values.argmax(axis=1) == fold.held_out_codes).mean()) for values in logits]
    return _Part(accuracy, logits, cosines)


def _heads(rows: np.ndarray, codes: np.ndarray, n_classes: int, tried: Sequence[float | None]) -> list[Head]:
    """A head for each C (ascending), or one of prototypes for None; a class without rows has zeros."""
    present, positions = np.unique(codes, return_inverse=True)
    standardised = torch.from_numpy(rows.copy())
    mean, deviation = (moment.numpy() for moment in standardise(standardised))
    directions = _unit(standardised.numpy())
    prototypes = np.zeros((n_classes, rows.shape[1]), rows.dtype)
    prototypes[present] = _unit(np.stack([directions[positions == i].mean(axis=0) for i in range(len(present))]))
    bare = Head(mean, deviation, prototypes, None, None, DEFAULT_TEMPERATURE, -1.0)
    if tried == [None]:
        return [bare]
    heads = []
    path = regularisation_path(
        standardised, torch.from_numpy(positions), [C for C in tried if C is not None], _MAX_ITER
    )
    for fitted_weight, fitted_bias, _ in path:
        weight, bias = np.zeros_like(prototypes), np.zeros(n_classes, rows.dtype)
        weight[present], bias[present] = fitted_weight.numpy(), fitted_bias.numpy()
        heads.append(replace(bare, weight=weight, bias=bias, temperature=1.0))
    return heads


def _foreign(cosines: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The cosine (N,) to the nearest prototype of another class, of (N, K)."""
    return np.where(np.arange(cosines.shape[1]) == codes[:, None], -1.0, cosines).max(axis=1)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(rows.dtype).tiny)


def best_temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """The temperature that minimises the mean cross-entropy of (Q, K) logits, with targets smoothed as Platt's (1999).

    Without smoothing, the temperature would go to 0 if all predictions are correct. With n held-out clips, the target
    of the true class is (n + 1) / (n + 2). Rows whose class is not among the logits (-inf) are ignored.
    """
    known = np.isfinite(logits[np.arange(len(codes)), codes])
    logits, codes = logits[known], codes[known]
    if not len(codes):
        return 1.0
    target = (len(codes) + 1) / (len(codes) + 2)

    def loss(log_temperature: float) -> float:
        log_probability = log_softmax(logits / math.exp(log_temperature), axis=1)
        own = log_probability[np.arange(len(codes)), codes]
        finite = np.isfinite(log_probability)
        others = np.where(finite, log_probability, 0).sum(axis=1) - own
        return float(-(target * own + (1 - target) * others / np.maximum(finite.sum(axis=1) - 1, 1)).mean())

    bounds = tuple(math.log(bound) for bound in _TEMPERATURES)
    found: Any = minimize_scalar(loss, bounds=bounds, method="bounded")
    return math.exp(found.x)
