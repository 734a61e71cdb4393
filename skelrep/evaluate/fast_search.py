"""The results of `exact_search`, at the speed of float32.

The error of a float32 product of grid numbers has a known bound. A first pass in float32 keeps slightly more than k
candidates for each query. A row that is among the k nearest is within twice the bound of the k-th best in float32, so
only such rows are compared exactly. A query with more such rows than candidates, usually because many rows are equal,
is searched by the exact method.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skelrep.evaluate.exact_search import GRID, Excluded, Grid, exclude, largest, search, spans
from skelrep.evaluate.inputs import Rows
from skelrep.matmul import product

SPARE = 16  # candidates kept beyond k, for equal rows and rows that float32 cannot distinguish from the k-th

_CACHE_BYTES = 2**21  # of the rows that a CPU rounds at once, so that they stay in its cache
_LEAST_BANK = 4  # a bank with at most this many times as many rows as candidates is searched by the exact method alone
_DENSE = 4  # if more than this many times k values exceed the k-th best, topk is faster than selecting them


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
    """Finds the k nearest bank rows of every query; arguments and results are those of `exact_search.nearest_rows`."""
    grid = Grid.of(bank, metric, device)
    # If torch multiplies float32 in a lower precision, the error bound is not valid.
    if len(bank) <= _LEAST_BANK * (k + SPARE) or torch.get_float32_matmul_precision() != "highest":
        return search(query, np.arange(len(query)), bank, k, grid, excluded, block_bytes)
    indices = np.empty((len(query), k), dtype=np.int64)
    similarities = np.empty((len(query), k), dtype=np.float32)
    undecided = _search_candidates(query, bank, grid, excluded, block_bytes, (indices, similarities))
    found = search(query, undecided, bank, k, grid, excluded, block_bytes)
    indices[undecided], similarities[undecided] = found
    return indices, similarities


class _BlockSizes(NamedTuple):
    """How many rows are held at once: each of four kinds of blocks gets about a quarter of the budget."""

    queries: int  # in float32, with their candidates
    bank_rows: int  # in float32
    compared_queries: int  # how many of `queries` are compared with `bank_rows` at once
    exact_queries: int  # how many of `queries` are compared exactly with their candidates at once
    exact_pairs: int  # of these queries and candidates, how many at once

    @classmethod
    def of(cls, dim: int, kept: int, block_bytes: int) -> _BlockSizes:
        quarter = block_bytes // 4
        row = 4 * dim
        candidates = (4 + 8) * kept  # value and index
        bank_rows = max(kept, quarter // (2 * row))  # twice: the product makes a copy
        rounded = 2 * 8 * dim  # float64, twice while it is made
        return cls(
            # One and a half quarters, because each block of queries requires rounding the whole bank again. The
            # candidates are held three times while new ones are merged.
            queries=max(1, 3 * quarter // (2 * (row + 3 * candidates))),
            bank_rows=bank_rows,
            compared_queries=max(1, quarter // ((4 + 8) * bank_rows)),  # a comparison, and an index if it is selected
            # A candidate takes seven numbers of 8 bytes: its row, query, column and comparison, and their order.
            exact_queries=max(1, quarter // (2 * (rounded + 7 * 8 * kept))),
            exact_pairs=max(1, quarter // (2 * 2 * rounded)),  # a query and a row each
        )


def _search_candidates(
    query: Rows,
    bank: Rows,
    grid: Grid,
    excluded: Excluded,
    block_bytes: int,
    results: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Writes the nearest rows of the queries that float32 can decide into (Q, k) `results`; returns the other queries.

    Returns:
        (R,) int64 queries for which nothing was written.
    """
    k, dim = results[0].shape[1], bank.shape[1]
    kept = k + SPARE
    sizes = _BlockSizes.of(dim, kept, block_bytes)
    undecided = []
    for span in spans(len(query), sizes.queries):
        queries, length = rounded_to_float32(grid, query, span, block_bytes)
        best, rows, longest = _best_candidates(grid, queries, span, bank, excluded, kept, sizes, block_bytes)
        # A row that is not a candidate may be nearer than its float32 comparison by up to the bound, and the k-th
        # candidate farther by as much.
        threshold = best[:, k - 1].double() - 2 * error_bound(grid.metric, length, longest, dim)
        decided = best[:, -1] < threshold  # true if all rows above the threshold were kept; false for NaN
        undecided.append(np.arange(span.start, span.stop)[~decided.cpu().numpy()])
        _compare_candidates(grid, query, span.start, bank, decided, rows, best >= threshold[:, None], sizes, results)
    return np.concatenate(undecided)


def _best_candidates(
    grid: Grid,
    queries: Tensor,
    span: slice,
    bank: Rows,
    excluded: Excluded,
    kept: int,
    sizes: _BlockSizes,
    block_bytes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best float32 comparisons of a block of queries with the whole bank.

    Args:
        grid: The grid of the bank.
        queries: (S, D) from `rounded_to_float32`.
        span: The positions of these queries.
        bank: (N, D).
        excluded: See `Excluded`.
        kept: Number of candidates K of each query.
        sizes: Sizes of the blocks.
        block_bytes: Upper bound of the blocks held at once.

    Returns:
        (S, K) float32 comparisons in descending order; (S, K) int64 rows of the bank; a float64 scalar, the length of
        the longest rounded bank row.
    """
    best = torch.full((len(queries), kept), -math.inf, device=grid.device)
    rows = torch.zeros((len(queries), kept), dtype=torch.int64, device=grid.device)
    longest = torch.zeros((), dtype=torch.float64, device=grid.device)
    for bank_span in spans(len(bank), sizes.bank_rows):
        bank_rows, bank_length = rounded_to_float32(grid, bank, bank_span, block_bytes)
        longest = torch.maximum(longest, bank_length.max())
        for part in spans(len(queries), sizes.compared_queries):
            compared = product(queries[part], bank_rows)
            if grid.metric == "euclidean":  # minus the squared distance, without the query's own length
                compared.mul_(2).sub_(bank_length.square().float())
            exclude(compared, slice(span.start + part.start, span.start + part.stop), bank_span, excluded)
            value, column = _candidates_above(compared, best[part, -1:], kept)
            best[part], order = torch.cat([best[part], value], dim=1).topk(kept, dim=1)
            rows[part] = torch.cat([rows[part], column + bank_span.start], dim=1).gather(1, order)
    return best, rows, longest


def _compare_candidates(
    grid: Grid,
    query: Rows,
    first_query: int,
    bank: Rows,
    decided: Tensor,
    rows: Tensor,
    is_candidate: Tensor,
    sizes: _BlockSizes,
    results: tuple[np.ndarray, np.ndarray],
) -> None:
    """Compares each decided query with its candidates exactly and writes the k nearest into `results`.

    Args:
        grid: The grid of the bank.
        query: (Q, D).
        first_query: The query that row 0 of `decided`, `rows` and `is_candidate` belongs to.
        bank: (N, D).
        decided: (S,) bool.
        rows: (S, K) int64 rows of the bank.
        is_candidate: (S, K) bool.
        sizes: Sizes of the blocks.
        results: (Q, k) int64 rows of the bank and (Q, k) float32 similarities.
    """
    indices, similarities = results
    for some in decided.nonzero()[:, 0].split(sizes.exact_queries):
        queries = some.cpu().numpy() + first_query
        rounded = grid.round(query, queries)
        # In the order of the bank, so that lower rows come first among equals.
        candidate_rows, order = rows[some].sort(dim=1)
        chosen = is_candidate[some].gather(1, order)
        compared = torch.full(chosen.shape, -math.inf, dtype=torch.float64, device=grid.device)
        owner, column = chosen.nonzero(as_tuple=True)
        # All pairs in the order of the bank, so that the parts of a bank on the disk are read once, and a row that is a
        # candidate of several queries is rounded once.
        row_of, order = candidate_rows[chosen].sort()
        for row, pair in zip(row_of.split(sizes.exact_pairs), order.split(sizes.exact_pairs), strict=True):
            distinct, which = row.unique_consecutive(return_inverse=True)
            candidates = grid.round(bank, distinct.cpu().numpy())[which]
            compared[owner[pair], column[pair]] = grid.compare_pairs(rounded[owner[pair]], candidates)
        value, column = largest(compared, indices.shape[1])
        indices[queries] = candidate_rows.gather(1, column).cpu().numpy()
        similarities[queries] = grid.similarity(value).cpu().numpy()


def rounded_to_float32(grid: Grid, rows: Rows, span: slice, block_bytes: int) -> tuple[Tensor, Tensor]:
    """Some rows on the grid, rounded to float32, (S, D), and their lengths before that rounding, (S,) float64."""
    count, dim = span.stop - span.start, rows.shape[1]
    # A sixteenth of the budget, since the other blocks are held at the same time.
    at_once = max(1, min(_CACHE_BYTES, block_bytes // 16) // (8 * dim)) if grid.device.type == "cpu" else count
    rounded = torch.empty(count, dim, device=grid.device)
    length = torch.empty(count, dtype=torch.float64, device=grid.device)
    for part in spans(count, at_once):
        block = grid.round(rows, slice(span.start + part.start, span.start + part.stop))
        rounded[part], length[part] = block, torch.linalg.vector_norm(block, dim=1)
    return rounded, length


def error_bound(metric: str, query_length: Tensor, longest: Tensor, dim: int) -> Tensor:
    """The largest error of the float32 comparison of a query with any bank row.

    A sum of D products in any order is wrong by at most D u |q| |b| for u = 2^-24 and small D u (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1). A few u are added for what is rounded before and after.

    Args:
        metric: "cosine" or "euclidean".
        query_length: (S,) lengths of the rounded queries.
        longest: () length of the longest rounded bank row.
        dim: D.

    Returns:
        (S,) float64.
    """
    unit_roundoff, second_order = 1 / GRID, 1.01  # Higham's gamma is D u / (1 - D u); D u is below 0.01 for D < 160 000
    bound = (dim + 4) * query_length * longest
    if metric == "euclidean":  # the product is doubled, and the squared length, itself rounded, is subtracted
        bound = 2 * bound + 2 * query_length * longest + 3 * longest.square()
    return second_order * unit_roundoff * bound


def _candidates_above(values: Tensor, least: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and columns that include each row's k largest, if they exceed `least`.

    After the first block, few values exceed the worst candidate so far; counting and selecting them takes a CPU a tenth
    of the time of `topk`.

    Args:
        values: (S, S') float32.
        least: (S, 1), the smallest value of interest of each row.
        k: How many are needed.

    Returns:
        (S, W) values and (S, W) columns; W varies, and rows with fewer values are filled with minus infinity.
    """
    if values.device.type == "cpu":
        above = (values > least).numpy()
        if np.count_nonzero(above) <= _DENSE * k * len(above):
            flat = np.flatnonzero(above)
            row = flat // values.shape[1]
            count = np.bincount(row, minlength=len(values))
            width = int(count.max(initial=0))
            if width <= _DENSE * k:
                position = torch.from_numpy(np.arange(len(flat)) - (count.cumsum() - count)[row])  # within its row
                row_index = torch.from_numpy(row)
                value = values.new_full((len(values), width), -math.inf)
                column = torch.zeros((len(values), width), dtype=torch.int64)
                value[row_index, position] = values.flatten()[torch.from_numpy(flat)]
                column[row_index, position] = torch.from_numpy(flat - row * values.shape[1])
                return value, column
    return values.topk(min(k, values.shape[1]), dim=1)
