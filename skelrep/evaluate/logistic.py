"""Multinomial logistic regression on a CPU: the objective of scikit-learn's `LogisticRegression`, solved by L-BFGS.

What makes it fast: products in the precision of the rows (scikit-learn widens float32 rows to float64 in every
iteration), the span of the rows for coordinates where it is much smaller than their dimension, and each C begun at the
solution for the one before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from skelrep.matmul import product

TOLERANCE = 1e-5  # of the objective: the decrease still expected of a step; leaves about 1e-4 to the minimum
FLATNESS = 1e-4  # of every number of the gradient, as in scikit-learn; what decides where C is small

_BLOCK = 256  # rows at a time: they stay in the cache between the two products that need them
_MEMORY = 10  # steps that tell the curvature; 20 saved few iterations
_LOWEST = -60.0  # log-probabilities below change no gradient, but products with denormal numbers take 10 times as long

Function = Callable[[Tensor], tuple[float, Tensor]]


def regularisation_path(
    rows: Tensor, codes: Tensor, candidates: Sequence[float], max_iter: int
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Fits a classifier for each C: the minimum of the mean cross entropy plus |weights|² / (2 C N).

    Args:
        rows: (N, D) float32 or float64, standardised.
        codes: (N,) int64 classes from 0 to K - 1, each with a row at least, K > 1.
        candidates: Values of C; ascending ones are quickest.
        max_iter: Iterations for each.

    Yields:
        (K, D) weights; (K,) intercepts; whether they have converged.
    """
    n_classes, basis = int(codes.max()) + 1, None
    if 2 * len(rows) < rows.shape[1]:
        # The weights are combinations of rows: R Q with R = Xᵀ and orthonormal Q keeps products and lengths.
        basis, triangle = torch.linalg.qr(rows.T)
        rows = triangle.T.contiguous()
    # An intercept is fitted as the weight of a column that is as long as the rows' first principal component: as that
    # of a column of ones it was by far the last to settle where the columns move together.
    unit = _largest_deviation(rows)
    fitted = rows.new_zeros(n_classes, rows.shape[1] + 1)
    for C in candidates:
        # Of two classes scikit-learn penalises the difference of their weights, twice the square of what each has.
        penalty = (2 if n_classes == 2 else 1) / (C * len(rows))
        fitted, converged = minimise(_objective(rows, codes, penalty, unit), fitted, max_iter)
        weights, intercept = fitted[:, :-1], unit * fitted[:, -1]
        yield weights if basis is None else weights @ basis.T, intercept, converged


def standardise(train: Tensor, test: Tensor) -> None:
    """Takes the mean of the training rows' columns off both, and divides by their standard deviation, in place.

    As scikit-learn's `StandardScaler`: constant columns become zeros in training and are not divided.
    """
    mean = train.mean(dim=0)
    train -= mean
    rest = train.mean(dim=0)  # that the mean's rounding left, all there is in a constant column
    train -= rest
    # In float64, where no finite float32 is too large to be squared; in blocks, because its own reduction is slow.
    square = sum((block.double().square().sum(dim=0) for block in train.split(_BLOCK)), torch.zeros(()))
    deviation = (square / len(train)).sqrt().to(train.dtype)
    deviation[deviation <= torch.finfo(train.dtype).eps * mean.abs()] = 1
    train /= deviation
    test.sub_(mean).sub_(rest).div_(deviation)


def _largest_deviation(rows: Tensor) -> float:
    """Roughly the standard deviation of the first principal component, by power iteration."""
    direction = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0)).to(rows.dtype)
    for _ in range(4):
        direction = rows.T @ (rows @ torch.nn.functional.normalize(direction, dim=0))
    return math.sqrt(torch.linalg.vector_norm(direction).item() / len(rows)) or 1.0  # 0 where all columns are constant


def _objective(rows: Tensor, codes: Tensor, penalty: float, unit: float) -> Function:
    """Value and gradient at (K, D + 1) weights and intercepts in units."""
    blocks = list(zip(rows.split(_BLOCK), codes[None].split(_BLOCK, dim=1), strict=True))

    def objective(point: Tensor) -> tuple[float, Tensor]:
        weights, intercept = point[:, :-1].contiguous(), unit * point[:, -1:]
        total = torch.zeros((), dtype=torch.float64)
        slope, offset = torch.zeros_like(weights), torch.zeros_like(intercept)
        for block, code in blocks:
            score = product(weights, block).add_(intercept).log_softmax(dim=0)
            total -= score.gather(0, code).sum(dtype=torch.float64)
            error = score.clamp_(min=_LOWEST).exp_()
            error.scatter_add_(0, code, error.new_full(code.shape, -1.0))
            slope += product(error, block.T)
            offset += error.sum(dim=1, keepdim=True)
        value = total.item() / len(rows) + penalty / 2 * weights.square().sum(dtype=torch.float64).item()
        gradient = torch.cat([slope.div_(len(rows)).add_(weights, alpha=penalty), offset * (unit / len(rows))], dim=1)
        return value, gradient

    return objective


def minimise(function: Function, point: Tensor, max_iter: int) -> tuple[Tensor, bool]:
    """L-BFGS (Nocedal & Wright, Numerical Optimization, 2006, algorithm 7.4) with halved steps, for convex functions.

    Args:
        function: Gives value and gradient.
        point: Where to begin.
        max_iter: Steps at most.

    Returns:
        The point reached, and whether it counts as the minimum: it meets `TOLERANCE` and `FLATNESS`, or what a step
        gains is lost in rounding.
    """
    value, gradient = function(point)
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=_MEMORY)
    for _ in range(max_iter):
        direction = -_divided_by_curvature(gradient, pairs)
        slope = _dot(gradient, direction).item()
        if pairs and -slope <= TOLERANCE * abs(value) and gradient.abs().max() <= FLATNESS:
            return point, True
        # The first step knows no curvature, and is of unit length.
        length = 1.0 if pairs else 1 / max(1.0, math.sqrt(-slope))
        while True:
            step = length * direction
            next_value, next_gradient = function(point + step)
            if next_value <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-6:
                return point, True
        change = next_gradient - gradient
        curvature = _dot(step, change)
        if curvature > 0:  # as it is without rounding
            pairs.append((step, change, 1 / curvature))
        point, value, gradient = point + step, next_value, next_gradient
    return point, False


def _divided_by_curvature(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The inverse Hessian that (step, change of the gradient, 1 / their product) tell of, times the gradient."""
    result, shares = gradient.clone(), []
    for step, change, inverse in reversed(pairs):
        shares.append(inverse * _dot(step, result))
        result -= shares[-1] * change
    if pairs:
        _, change, inverse = pairs[-1]
        result /= inverse * _dot(change, change)
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        result += (share - inverse * _dot(change, result)) * step
    return result


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())
