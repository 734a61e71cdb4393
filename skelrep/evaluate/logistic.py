"""Multinomial logistic regression on a CPU: the objective of scikit-learn's `LogisticRegression`, solved by L-BFGS.

It is faster than scikit-learn for four reasons. Products are computed in the precision of the rows (scikit-learn
converts float32 rows to float64 in every iteration). Where there are fewer rows than dimensions, the rows are replaced
by their coordinates in the subspace that they span. Each C starts from the solution for the previous one. And L-BFGS
works in variables in which the objective has about the same curvature in all directions (see `_scale`), unless finding
them would take longer: if classes overlap, it needs a fifth to a fifteenth of the iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from skelrep.matmul import product

# A fit ends when a step decreases the objective by less than this, or when no entry of the gradient is larger, both
# relative to the objective at the start. The result is then within 1e-4 of the minimum. With an absolute limit, such as
# scikit-learn's 1e-4 for the gradient, a fit ends far from the minimum if C is large and the classes are separable,
# because the objective itself is then tiny.
TOLERANCE = 1e-6

_CORRECTIONS = 10  # previous steps from which L-BFGS estimates the curvature; 20 saved few iterations
_BLOCK_ROWS = 1024  # rows per block: a block stays in the processor's cache between the two products that use it
_LEAST_LOG_PROBABILITY = -60.0  # smaller ones do not change the gradient, but denormal numbers take 10 times as long

# Evaluations of the objective that principal axes are expected to save for each C: hundreds if classes overlap, none if
# they are separable or the columns are not correlated.
_SAVED_EVALUATIONS = 10

Objective = Callable[[Tensor], tuple[float, Tensor]]


def regularisation_path(
    rows: Tensor, codes: Tensor, candidates: Sequence[float], max_iter: int
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Fits a classifier for each C: the minimum of the mean cross-entropy plus |weights|² / (2 C N).

    Args:
        rows: (N, D) float32 or float64, standardised; they are overwritten.
        codes: (N,) int64 classes from 0 to K - 1, each with at least one row, K > 1.
        candidates: Values of C; ascending ones are fastest.
        max_iter: Largest number of iterations for each C.

    Yields:
        (K, D) weights; (K,) intercepts; whether the fit has converged.
    """
    n_classes = int(codes.max()) + 1
    rows, axes = _spanned(rows)
    # Covariance and rotation take as long as D / K evaluations of the objective.
    if rows.shape[1] <= _SAVED_EVALUATIONS * n_classes * len(candidates):
        rotation, variance = _rotate_to_principal_axes(rows)
        axes = rotation if axes is None else axes @ rotation
    else:
        variance = _largest_variance(rows).expand(rows.shape[1])
    point = rows.new_zeros(n_classes, rows.shape[1] + 1)
    uncertainty = None
    for C in candidates:
        # For two classes scikit-learn penalises the difference of their weights: twice the square of each.
        penalty = (2 if n_classes == 2 else 1) / (C * len(rows))
        before, uncertainty = uncertainty, _uncertainty(rows, point)
        # Where classes are separable, predictions become much more certain with every C. Extrapolated from the last C,
        # twice as far because the next one is reached at the end of the fit: a tenth to a quarter fewer iterations.
        expected = uncertainty if before is None else uncertainty * (uncertainty / before).clamp(max=1).square()
        scale = _scale(expected, variance, penalty)
        scaled, converged = _minimise(_objective(rows, codes, penalty, scale), point / scale, max_iter)
        point = scaled * scale
        yield point[:, :-1] if axes is None else point[:, :-1] @ axes.T, point[:, -1], converged


def standardise(train: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    """Subtracts the mean of each training column from all, and divides all by its standard deviation, in place.

    As scikit-learn's `StandardScaler`: constant columns become zeros in training and are not divided.

    Returns:
        (D,) means and (D,) deviations.
    """
    mean = train.mean(dim=0)
    train -= mean
    remainder = train.mean(dim=0)  # rounding error of the mean, and all that is left of a constant column
    train -= remainder
    # In float64, where the square of any finite float32 is finite; in blocks, because torch's float64 sum is slow.
    square = sum((block.double().square().sum(dim=0) for block in train.split(_BLOCK_ROWS)), torch.zeros(()))
    deviation = (square / len(train)).sqrt().to(train.dtype)
    deviation[deviation <= torch.finfo(train.dtype).eps * mean.abs()] = 1
    train /= deviation
    for rows in others:
        rows.sub_(mean).sub_(remainder).div_(deviation)
    return mean + remainder, deviation


def _spanned(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Rows (N, D) in the subspace that they span, (N, N), and its axes, (D, N); if N >= D, the rows and None.

    The optimal weights are combinations of the rows. With Xᵀ = Q R and orthonormal Q, the rows of Rᵀ have the same
    products and lengths as those of X, in fewer dimensions.
    """
    if len(rows) >= rows.shape[1]:
        return rows, None
    axes, triangle = torch.linalg.qr(rows.T)
    return triangle.T.contiguous(), axes


def _rotate_to_principal_axes(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rotates standardised rows (N, R) in place; the optimal weights rotate with them.

    Returns:
        (R, R) axes, as columns of length 1; (R,) variances along the axes.
    """
    covariance = rows.new_zeros(rows.shape[1], rows.shape[1])
    for block in rows.split(_BLOCK_ROWS):
        covariance += product(block.T, block.T)
    variance, axes = torch.linalg.eigh(covariance / len(rows))
    for block in rows.split(_BLOCK_ROWS):
        block.copy_(product(block, axes.T))
    return axes, variance.clamp_(min=0)  # rounding leaves negative ones


def _largest_variance(rows: Tensor) -> Tensor:
    """Roughly the variance of standardised rows along the first principal axis, by power iteration."""
    direction = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0)).to(rows.dtype)
    for _ in range(4):
        direction = rows.T @ (rows @ torch.nn.functional.normalize(direction, dim=0)) / len(rows)
    return torch.linalg.vector_norm(direction)


def _uncertainty(rows: Tensor, point: Tensor) -> Tensor:
    """(K, 1) the mean of p (1 - p) over the rows, for the probability p of each class."""
    total = point.new_zeros(len(point), 1)
    for block in rows.split(_BLOCK_ROWS):
        probability = product(point[:, :-1].contiguous(), block).add_(point[:, -1:]).softmax(dim=0)
        total += (probability - probability.square()).sum(dim=1, keepdim=True)
    return total / len(rows)


def _scale(uncertainty: Tensor, variance: Tensor, penalty: float) -> Tensor:
    """(K, R + 1) weights and intercepts in units in which the objective has a curvature of about 1.

    Along a principal axis, the curvature of the mean cross-entropy for class k is the mean of p (1 - p) x² over the
    rows, taken as the product of the means of p (1 - p) and x². The intercept is the weight of a constant column x = 1,
    which is orthogonal to standardised rows and has no penalty. Without principal axes, `variance` is the largest one
    for all weights, so that they do not converge much faster than the intercept.
    """
    least = torch.finfo(variance.dtype).eps  # predictions may be certain
    curvature = uncertainty.clamp(min=least) * torch.cat([variance, variance.new_ones(1)])
    curvature[:, :-1] += penalty
    return curvature.rsqrt_()


def _objective(rows: Tensor, codes: Tensor, penalty: float, scale: Tensor) -> Objective:
    """Value and gradient as a function of (K, R + 1): weights and intercepts, both divided by `scale`."""
    blocks = list(zip(rows.split(_BLOCK_ROWS), codes[None].split(_BLOCK_ROWS, dim=1), strict=True))

    def objective(point: Tensor) -> tuple[float, Tensor]:
        unscaled = point * scale
        weights, intercept = unscaled[:, :-1].contiguous(), unscaled[:, -1:]
        total = torch.zeros((), dtype=torch.float64)
        grad_weights, grad_intercept = torch.zeros_like(weights), torch.zeros_like(intercept)
        for block, code in blocks:
            log_probability = product(weights, block).add_(intercept).log_softmax(dim=0)
            total -= log_probability.gather(0, code).sum(dtype=torch.float64)
            # The gradient of the cross-entropy: probabilities minus one-hot labels.
            error = log_probability.clamp_(min=_LEAST_LOG_PROBABILITY).exp_()
            error.scatter_add_(0, code, error.new_full(code.shape, -1.0))
            grad_weights += product(error, block.T)
            grad_intercept += error.sum(dim=1, keepdim=True)
        value = total.item() / len(rows) + penalty / 2 * weights.square().sum(dtype=torch.float64).item()
        grad_weights = grad_weights.div_(len(rows)).add_(weights, alpha=penalty)
        return value, torch.cat([grad_weights, grad_intercept / len(rows)], dim=1) * scale

    return objective


def _minimise(objective: Objective, start: Tensor, max_iter: int) -> tuple[Tensor, bool]:
    """Runs scipy's L-BFGS-B on an objective in the precision of `start`.

    Returns:
        The point reached, and whether the fit has converged.
    """
    scale = None  # the value at the start, which scipy evaluates first

    def flat_objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal scale
        value, gradient = objective(torch.from_numpy(flat).view(start.shape).to(start.dtype))
        scale = scale or value
        return value / scale, gradient.double().numpy().ravel() / scale

    options = {"maxiter": max_iter, "maxcor": _CORRECTIONS, "ftol": TOLERANCE, "gtol": TOLERANCE}
    found = minimize(flat_objective, start.double().numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
    # Status 1 means out of iterations. Status 2 means that no step along the gradient decreases the value: only
    # rounding errors are left, so the fit has converged.
    return torch.from_numpy(found.x).view(start.shape).to(start.dtype), found.status != 1
