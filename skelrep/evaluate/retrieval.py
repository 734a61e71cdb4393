"""Retrieval: the most similar rows of a bank, and the average precision of their ranking."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from skelrep.evaluate.exact_search import Excluded, Grid, block_side, exclude, spans
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
)
from skelrep.evaluate.results import RetrievalResult
from skelrep.messages import warn
from skelrep.version import __version__

# Bytes per entry of a ranking: the comparison, its sorted copy, its order and the working memory of the sort (8 each),
# and the relevance with its cumulative sum and precision.
_RANKING_BYTES = 48


def retrieve(
    query: Rows,
    bank: Rows,
    *,
    k: int = 10,
    metric: str = "cosine",
    query_labels: Iterable[Any] | None = None,
    bank_labels: Iterable[Any] | None = None,
    leave_one_out: bool = False,
    groups: Iterable[Any] | None = None,
    device: str | torch.device | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> RetrievalResult:
    """Finds the rows of a bank that are most similar to each query.

    Of rows at equal similarity, the lower one comes first, whatever the block size. With labels, the ranking of the
    whole bank is scored: average precision is the mean of the precision at the ranks of the rows with the query's label
    (Manning et al., Introduction to Information Retrieval, 2008, section 8.4). Queries whose label the bank lacks are
    left out of the means, with a warning.

    Examples:
        >>> import numpy as np
        >>> from skelrep import retrieve
        >>> bank = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> retrieve(np.array([[0.1, 1.0]]), bank, k=2).indices
        array([[1, 2]])

    Args:
        query: (Q, D) embeddings to search for.
        bank: (N, D) embeddings to search in; also `skelrep.corpus.open(...).rows`, which stay on the disk.
        k: Number of rows to return for each query.
        metric: "cosine" (a row of zeros has similarity 0 to everything) or "euclidean".
        query_labels: Q labels, any hashable values; with `bank_labels`.
        bank_labels: N labels; with `query_labels`.
        leave_one_out: Query and bank are the same rows, and row i is not returned for query i.
        groups: N groups, such as subjects or recordings, with `leave_one_out`: no row of the query's own group is
            returned.
        device: Where to compute; by default the device of `bank`. (MPS has no float64; the CPU is used instead.)
        block_bytes: Upper bound of the blocks held at once, whatever N and Q; results are not counted. The ranking for
            the average precision needs at least 48 N bytes, even if that is more.

    Returns:
        Indices, similarities and scores; see `RetrievalResult`.

    Raises:
        ValueError: if rows are not (N, D), not finite or of unequal D; if k is larger than the bank without the rows
            left out; if labels or groups are missing or not one per row; if the metric is unknown.
    """
    check_one_of("metric", metric, METRICS)
    check_block_bytes(block_bytes)
    query, bank = (
        check_rows(each, name, block_bytes, on_disk=True) for each, name in ((query, "query"), (bank, "bank"))
    )
    check_same_dim(query, "query", bank, "bank")
    excluded, left_out = None, 0
    if leave_one_out:
        if len(query) != len(bank):
            raise ValueError(
                f"leave_one_out=True needs query and bank to be the same rows, got {len(query)} and {len(bank)}; "
                "pass the same array twice"
            )
        group_codes = np.arange(len(bank)) if groups is None else encode(groups=(groups, len(bank)))[1][0]
        excluded, left_out = (group_codes, group_codes), int(np.bincount(group_codes).max())
    elif groups is not None:
        raise ValueError("groups= excludes the query's own group from the bank, so it needs leave_one_out=True")
    available = len(bank) - left_out
    if not is_whole(k) or not 1 <= k <= available:
        without = " without those of the query's group" if groups is not None else " without the query's own"
        raise ValueError(
            f"k={k!r} must be a whole number between 1 and {available}, the bank's number of rows"
            + (without if leave_one_out else "")
        )

    mean_average_precision = average_precision = precision = None
    codes = None
    if query_labels is not None and bank_labels is not None:
        codes = encode(query=(query_labels, len(query)), bank=(bank_labels, len(bank)))[1]
    elif query_labels is not None or bank_labels is not None:
        raise ValueError("give both query_labels and bank_labels, or neither")
    indices, similarities = nearest_rows(
        query, bank, int(k), metric=metric, excluded=excluded, device=device, block_bytes=block_bytes
    )
    if codes is not None:
        query_codes, bank_codes = codes
        grid = Grid.of(bank, metric, device)
        average_precision = _average_precision(query, bank, query_codes, bank_codes, grid, excluded, block_bytes)
        scored = ~np.isnan(average_precision)
        if not scored.any():
            raise ValueError(
                "no label of a query occurs in the bank; check that query_labels and bank_labels use the same labels"
            )
        if not scored.all():
            warn(
                f"{(~scored).sum()} of {len(query)} queries have a label that does not occur in the bank; they are "
                "left out of the means"
            )
        mean_average_precision = float(average_precision[scored].mean())
        same_label = bank_codes[indices[scored]] == query_codes[scored][:, None]
        precision = (same_label.cumsum(axis=1) / np.arange(1, k + 1)).mean(axis=0)
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
            "n_groups": None if excluded is None or groups is None else int(excluded[0].max()) + 1,
            "n_query": len(query),
            "n_bank": len(bank),
            "n_scored": None if average_precision is None else int((~np.isnan(average_precision)).sum()),
            "dim": bank.shape[1],
            "skelrep": __version__,
        },
    )


def _average_precision(
    query: Rows,
    bank: Rows,
    query_codes: np.ndarray,
    bank_codes: np.ndarray,
    grid: Grid,
    excluded: Excluded,
    block_bytes: int,
) -> np.ndarray:
    """(Q,) average precision over the whole ranking of the bank, NaN where no bank row has the query's label."""
    half = block_bytes // 2  # for blocks of rows; the other half is for the rankings
    side = block_side(bank.shape[1], 0, half)
    queries_at_once = max(1, min(side, half // (_RANKING_BYTES * len(bank))))
    rank = torch.arange(1, len(bank) + 1, dtype=torch.float64, device=grid.device)
    bank_labels = torch.from_numpy(bank_codes).to(grid.device)
    result = np.empty(len(query))
    for span in spans(len(query), queries_at_once):
        queries = grid.round(query, span)
        compared = torch.empty((len(queries), len(bank)), dtype=torch.float64, device=grid.device)
        for bank_span in spans(len(bank), side):
            compared[:, bank_span] = grid.compare(queries, grid.round(bank, bank_span))
        relevant = torch.from_numpy(query_codes[span]).to(grid.device)[:, None] == bank_labels
        exclude(compared, span, slice(0, len(bank)), excluded)
        relevant &= compared > -math.inf
        hit = relevant.gather(1, compared.argsort(dim=1, descending=True, stable=True))
        precision = hit.cumsum(dim=1, dtype=torch.float64).div_(rank).mul_(hit)
        result[span] = (precision.sum(dim=1) / hit.sum(dim=1)).cpu().numpy()  # 0 / 0 is NaN
    return result
