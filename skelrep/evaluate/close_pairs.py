"""All pairs of rows whose cosine reaches a threshold, in bounded memory; equal for all block sizes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from skelrep.evaluate.exact_search import GRID, Grid, spans
from skelrep.evaluate.fast_search import error_bound, rounded_to_float32
from skelrep.evaluate.inputs import BLOCK_BYTES, Rows
from skelrep.matmul import product

_PAIRS_AT_ONCE = 4096  # compared exactly


class ClosePairs(NamedTuple):
    """Pairs of rows, in the order of the first and then the second row.

    Attributes:
        first: (P,) int64 rows.
        second: (P,) int64 rows, larger than the first.
        cosine: (P,) float32.
    """

    first: np.ndarray
    second: np.ndarray
    cosine: np.ndarray


def close_pairs(
    rows: Rows, threshold: float, *, other: Rows | None = None, most: int = 10**7, block_bytes: int = BLOCK_BYTES
) -> ClosePairs:
    """Finds the pairs i < j of rows with a cosine of at least the threshold.

    A product in float32 finds the candidates, with a margin for its error; candidates are then compared exactly, as in
    `exact_search`.

    Args:
        rows: (N, D) finite.
        threshold: At least -1.
        other: (N, D): row i is compared with row j of these instead, for example with its mirror image.
        most: Number of pairs above which the search stops with an error, because all pairs are kept in memory.
        block_bytes: Upper bound of the blocks held at once; the pairs are not counted.

    Raises:
        ValueError: for more pairs than `most`.
    """
    bank = rows if other is None else other
    grid = Grid.of(bank, "cosine", None)
    least = float(threshold) * GRID**2
    found: list[ClosePairs] = []
    count = 0
    blocks = spans(len(rows), _side(rows.shape[1], block_bytes))
    for at, span in enumerate(blocks):
        queries, length = rounded_to_float32(grid, rows, span, block_bytes)
        for bank_span in blocks[at:]:
            bank_rows, bank_length = rounded_to_float32(grid, bank, bank_span, block_bytes)
            compared = product(queries, bank_rows)
            error = error_bound("cosine", length, bank_length.max(), rows.shape[1])
            candidates = (compared >= (least - error).float()[:, None]).nonzero().cpu().numpy()
            pairs = candidates + (span.start, bank_span.start)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            for part in spans(len(pairs), _PAIRS_AT_ONCE):
                one, two = pairs[part].T
                exact = grid.compare_pairs(grid.round(rows, one), grid.round(bank, two))
                close = (exact >= least).cpu().numpy()
                found.append(ClosePairs(one[close], two[close], grid.similarity(exact).cpu().numpy()[close]))
                count += int(close.sum())
                if count > most:
                    raise ValueError(
                        f"threshold={threshold:g}: more than {most} pairs of clips have a larger cosine, too many to "
                        "be duplicates; pass a higher threshold"
                    )
    if not found:
        return ClosePairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, cosine = (np.concatenate(column) for column in zip(*found))
    order = np.lexsort((second, first))
    return ClosePairs(first[order], second[order], cosine[order])


def _side(dim: int, block_bytes: int) -> int:
    """The largest S for which two blocks of S rows, copied once by the product, and their S x S comparisons fit.

    A comparison takes 4 bytes, its test against the threshold another 2 at most.
    """
    per_row = 2 * 2 * 4 * dim
    return max(1, int((math.sqrt(per_row**2 + 4 * 6 * block_bytes) - per_row) / (2 * 6)))
