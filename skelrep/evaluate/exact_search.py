"""Nearest rows by exact comparison: the same for every block size, number of threads and device.

The last bits of a matrix product in float32 or float64 depend on the shape of the block in which it is computed. Equal
similarities would then come out unequal, and the order of equal neighbours would depend on the block size. Rows are
therefore rounded to a grid of 2^-24 of their length and multiplied in float64: sums of products of such numbers are
integers below 2^53, which float64 represents exactly.

This module is the readable form. `fast_search` returns the same results several times faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from skelrep.evaluate.inputs import Rows

Excluded: TypeAlias = "tuple[np.ndarray, np.ndarray] | None"
"""(Q,) and (N,) codes: a bank row is not compared with a query that has the same code."""

GRID = 2.0**24  # steps per unit of length: 24 + 24 bits of a product leave float64 5 bits of headroom for sums

_SAMPLE_ROWS = 256  # rows from which the origin and unit of Euclidean rows are estimated

# Bytes per entry of a block of comparisons: 8 for itself, 8 for the copy of those of queries with nearer rows, and 24
# where there are ties: for another copy, the tests against the k-th value and the number of equal values so far.
_COMPARISON_BYTES = 8 + 8 + 24
# Bytes per best row of a query so far: value and index, and about three times as much while they are merged.
_BEST_BYTES = 4 * (8 + 8)


@dataclass(frozen=True)
class Grid:
    """The grid on which rows are compared without rounding.

    For the cosine, the unit is the length of each row. Euclidean rows share one unit: the median distance of bank rows
    from their median. The median is subtracted, because only differences count and a finer grid fits around it. A row
    more than 5 times as far away as the median distance is compared with float64's usual rounding.

    Attributes:
        metric: "cosine" or "euclidean".
        device: Where to compute; never MPS, which has no float64.
        origin: (D,) float64, subtracted from Euclidean rows; None for the cosine.
        unit: Length of `GRID` steps for Euclidean rows.
    """

    metric: str
    device: torch.device
    origin: Tensor | None = None
    unit: float = 1.0

    @classmethod
    def of(cls, bank: Rows, metric: str, device: str | torch.device | None) -> Grid:
        """The grid of a bank. It does not depend on the queries, so no query changes the result of another."""
        if device is None:
            device = bank.device if isinstance(bank, Tensor) else "cpu"
        device = torch.device(device)
        if device.type == "mps":
            device = torch.device("cpu")
        if metric == "cosine":
            return cls(metric, device)
        # Medians, so that outliers neither move the origin nor coarsen the grid.
        sample = _float64(bank, slice(0, None, -(-len(bank) // _SAMPLE_ROWS)), device)
        origin = sample.median(dim=0).values
        lengths = torch.linalg.vector_norm(sample - origin, dim=1)
        lengths = lengths[lengths > 0]
        # A power of two: the last bit of a length may differ between devices and must not change the grid.
        unit = 2.0 ** math.ceil(math.log2(lengths.median().item())) if len(lengths) else 1.0
        return cls(metric, device, origin, unit)

    def round(self, rows: Rows, span: slice | np.ndarray) -> Tensor:
        """Rounds some rows of an array to whole steps of the grid: (S, D) float64."""
        block = _float64(rows, span, self.device)
        if self.origin is not None:
            return block.sub_(self.origin).mul_(GRID / self.unit).round_()
        length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        # A row of zeros stays zero, so it has similarity 0 to every row.
        return block.mul_(GRID / torch.where(length > 0, length, 1.0)).round_()

    def compare(self, query: Tensor, bank: Tensor) -> Tensor:
        """Exact integers that are larger for nearer rows.

        Args:
            query: (S, D) from `round`.
            bank: (S', D) from `round`.

        Returns:
            (S, S') float64 scalar products, or minus the squared distances.
        """
        dot = query @ bank.T
        if self.metric == "cosine":
            return dot
        # -|q - b|² = 2 q·b - |q|² - |b|²
        dot = dot.mul_(2).sub_(query.square().sum(dim=1, keepdim=True))
        return dot.sub_(bank.square().sum(dim=1))

    def compare_pairs(self, query: Tensor, bank: Tensor) -> Tensor:
        """`compare` of row i with row i: (S,) from two times (S, D)."""
        dot = (query * bank).sum(dim=1)
        return dot if self.metric == "cosine" else 2 * dot - query.square().sum(dim=1) - bank.square().sum(dim=1)

    def similarity(self, compared: Tensor) -> Tensor:
        """The float32 similarities that users see, from the values of `compare`."""
        if self.metric == "cosine":
            return (compared / GRID**2).float()
        return -(compared.neg().clamp_(min=0).sqrt() * (self.unit / GRID)).float()


def nearest_rows(
    query: Rows,
    bank: Rows,
    k: int,
    *,
    metric: str,
    excluded: Excluded,
    device: str | torch.device | None,
    block_bytes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k nearest bank rows of every query.

    Args:
        query: (Q, D).
        bank: (N, D).
        k: At most N minus the largest number of bank rows excluded for one query.
        metric: "cosine" or "euclidean".
        excluded: See `Excluded`.
        device: Where to compute; by default the device of `bank`.
        block_bytes: Upper bound of the blocks held at once.

    Returns:
        (Q, k) int64 rows of the bank, nearest first and lower rows first among equals; (Q, k) float32 similarities.
    """
    grid = Grid.of(bank, metric, device)
    return search(query, np.arange(len(query)), bank, k, grid, excluded, block_bytes)


def search(
    query: Rows, chosen: np.ndarray, bank: Rows, k: int, grid: Grid, excluded: Excluded, block_bytes: int
) -> tuple[np.ndarray, np.ndarray]:
    """`nearest_rows` for the chosen queries, (S,) int64: (S, k) rows of the bank and their similarities."""
    indices = np.empty((len(chosen), k), dtype=np.int64)
    similarities = np.empty((len(chosen), k), dtype=np.float32)
    side = block_side(bank.shape[1], k, block_bytes)
    for span in spans(len(chosen), side):
        some_queries = grid.round(query, chosen[span])
        best = torch.full((len(some_queries), k), -math.inf, dtype=torch.float64, device=grid.device)
        best_rows = torch.zeros((len(some_queries), k), dtype=torch.int64, device=grid.device)
        for bank_span in spans(len(bank), side):
            compared = grid.compare(some_queries, grid.round(bank, bank_span))
            exclude(compared, chosen[span], bank_span, excluded)
            # The best so far have lower rows than this block, so that only nearer ones displace them.
            nearer = (compared > best[:, -1:]).any(dim=1)
            value, column = largest(compared[nearer], k)
            best[nearer], order = largest(torch.cat([best[nearer], value], dim=1), k)
            rows = torch.cat([best_rows[nearer], column + bank_span.start], dim=1)
            best_rows[nearer] = rows.gather(1, order)
        indices[span] = best_rows.cpu().numpy()
        similarities[span] = grid.similarity(best).cpu().numpy()
    return indices, similarities


def largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of every row and their columns, lower columns first among equals.

    `torch.topk` does not specify which of several columns with the k-th value it returns, nor their order.
    """
    value, column = values.topk(min(k, values.shape[1]), dim=1)
    crowded = (values >= value[:, -1:]).sum(dim=1) > value.shape[1]
    if crowded.any():
        some, least = values[crowded], value[crowded, -1:]
        above, equal = some > least, some == least
        room = value.shape[1] - above.sum(dim=1, keepdim=True)
        kept = above | equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room)
        column[crowded] = kept.nonzero()[:, 1].unflatten(0, (-1, value.shape[1]))
    column = column.sort(dim=1).values
    value, order = values.gather(1, column).sort(dim=1, descending=True, stable=True)
    return value, column.gather(1, order)


def exclude(compared: Tensor, query_span: slice | np.ndarray, bank_span: slice, excluded: Excluded) -> None:
    """Sets excluded pairs in a block of comparisons to minus infinity."""
    if excluded is not None:
        query_codes, bank_codes = excluded[0][query_span], excluded[1][bank_span]
        # False for most pairs of blocks if a row is excluded for itself alone; then comparing all pairs takes longer.
        if np.isin(query_codes, bank_codes).any():
            same = torch.from_numpy(query_codes)[:, None] == torch.from_numpy(bank_codes)
            compared.masked_fill_(same.to(compared.device), -math.inf)


def block_side(dim: int, k: int, block_bytes: int) -> int:
    """The largest S such that S queries, S bank rows and their S x S comparisons stay within the bytes.

    The buffers of the matrix library are not counted: with ties everywhere, 180 MiB were measured with a budget of
    256 MiB, and 75 to 90 MiB with 64 MiB.
    """
    rounded_row = 2 * 8 * dim  # float64, twice while it is made
    per_row = 2 * rounded_row + _BEST_BYTES * k  # for a query and a bank row
    # The positive root of  _COMPARISON_BYTES S² + per_row S = block_bytes
    root = math.sqrt(per_row**2 + 4 * _COMPARISON_BYTES * block_bytes)
    return max(1, int((root - per_row) / (2 * _COMPARISON_BYTES)))


def spans(rows: int, side: int) -> list[slice]:
    """Slices of at most `side` rows that cover all rows in order."""
    return [slice(start, min(start + side, rows)) for start in range(0, rows, side)]


def _float64(rows: Rows, span: slice | np.ndarray, device: torch.device) -> Tensor:
    """A new float64 copy of some rows."""
    if isinstance(rows, Tensor):
        # In two steps, because a tensor cannot become float64 while it is on MPS.
        return rows[span].detach().to(device).to(torch.float64, copy=True)
    return torch.from_numpy(np.array(rows[span], dtype=np.float64)).to(device)
