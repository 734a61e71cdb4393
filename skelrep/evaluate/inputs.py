"""Checks of embeddings, labels and options, shared by all evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skelrep.messages import nearest, warn

Rows: TypeAlias = "np.ndarray | Tensor"

METRICS = ("cosine", "euclidean")
BLOCK_BYTES = 2**28  # 256 MiB: blocks of about 1800 x 1800 at D = 2048; larger ones were not faster

_BYTES_PER_CHECKED_VALUE = 16  # a float64 copy, the mask of finite values, and room for temporaries


def check_rows(rows: Any, name: str, block_bytes: int = BLOCK_BYTES, *, on_disk: bool = False) -> Rows:
    """Checks that embeddings are finite numbers of shape (N, D), and returns them unchanged, as an array or a tensor.

    Args:
        rows: The embeddings.
        name: What messages call them.
        block_bytes: Upper bound of what is checked at once.
        on_disk: Whether a matrix that is read when it is indexed (`skelrep.corpus.Corpus.rows`) stays as it is.

    Raises:
        ValueError: if they are not; the message names the argument `name`.
    """
    if not isinstance(rows, Tensor):
        rows = rows if on_disk and hasattr(rows, "blocks") else np.asarray(rows)
        if rows.dtype.kind not in "fiub":
            raise ValueError(f"{name} must contain numbers, got dtype {rows.dtype}; pass the (N, D) array of embed")
    elif rows.is_complex():
        raise ValueError(f"{name} must contain real numbers, got dtype {rows.dtype}")
    if rows.ndim != 2:
        raise ValueError(
            f"{name} must be (N, D), one row per clip, got shape {tuple(rows.shape)}; embed the clips first"
        )
    if 0 in rows.shape:
        raise ValueError(f"{name} is empty: got shape {tuple(rows.shape)}, expected at least one row of one number")
    not_finite: list[int] = []
    step = max(1, block_bytes // (_BYTES_PER_CHECKED_VALUE * rows.shape[1]))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        if isinstance(block, Tensor):
            finite = torch.isfinite(block.detach()).all(dim=1).cpu().numpy()
        else:
            finite = np.isfinite(block).all(axis=1)
        not_finite += (np.flatnonzero(~finite) + start).tolist()
    if not_finite:
        raise ValueError(
            f"{name} has NaN or infinity in {len(not_finite)} of {len(rows)} rows (row {some(not_finite)}); "
            "remove these rows, or look for missing values in their clips"
        )
    return rows


def check_same_dim(rows: Rows, name: str, other: Rows, other_name: str) -> None:
    """Raises a ValueError if two sets of embeddings have rows of different lengths."""
    if rows.shape[1] != other.shape[1]:
        raise ValueError(
            f"{name} rows have {rows.shape[1]} numbers but {other_name} rows have {other.shape[1]}; "
            "embed both with the same encoder and streams"
        )


def check_block_bytes(block_bytes: int) -> None:
    """Raises a ValueError unless `block_bytes` is a positive whole number."""
    if not is_whole(block_bytes) or block_bytes < 1:
        raise ValueError(f"block_bytes={block_bytes!r} must be a positive whole number of bytes; 2**28 is the default")


def check_one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Raises a ValueError unless the value of an option is one of the known values."""
    if value not in known:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, known))}{nearest(value, known)}")


def encode(**columns: tuple[Iterable[Any], int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Turns labels into integer codes.

    Args:
        **columns: (labels, expected number of labels) for each name; messages use the name.

    Returns:
        (n_classes,) sorted classes over all columns, and for each column its (N,) int64 codes.
    """
    lists = [_labels(labels, rows, name) for name, (labels, rows) in columns.items()]
    distinct = set().union(*lists)
    try:
        ordered = sorted(distinct)
    except TypeError:  # labels of several types
        ordered = sorted(distinct, key=lambda label: (type(label).__name__, repr(label)))
    code_of = {label: i for i, label in enumerate(ordered)}
    kinds = {type(label) for label in ordered}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        classes = np.array(ordered)
    else:  # one by one, because numpy would split tuples into columns and turn mixed types into strings
        classes = np.empty(len(ordered), dtype=object)
        for i, label in enumerate(ordered):
            classes[i] = label
    return classes, [np.array([code_of[label] for label in labels], dtype=np.int64) for labels in lists]


def _labels(labels: Any, rows: int, name: str) -> list[Any]:
    """Labels as a list of hashable Python values, one per row."""
    what = "groups" if name == "groups" else f"{name}_labels"
    shape = getattr(labels, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{what} must be one value per row, got shape {tuple(shape)}; for one-hot rows pass argmax(1)")
    if labels is None or isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise ValueError(f"{what} must be a sequence of one value per row, got {labels!r}")
    # tolist converts numpy's and torch's scalars to Python values, so that equal labels are equal.
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)  # type: ignore[union-attr]
    values = [value.item() if isinstance(value, (np.generic, Tensor)) else value for value in values]
    if len(values) != rows:
        raise ValueError(f"{what} has {len(values)} values for {rows} rows; give one for each row")
    missing = [i for i, value in enumerate(values) if value is None or (isinstance(value, float) and value != value)]
    if missing:
        raise ValueError(f"{what} has None or NaN in {len(missing)} rows (row {some(missing)}); drop these rows")
    try:
        set(values)
    except TypeError:
        raise ValueError(f"{what} must be hashable values, one per row; got {type(values[0]).__name__}") from None
    return values


def warn_of_unseen_classes(classes: np.ndarray, train_codes: np.ndarray, test_codes: np.ndarray) -> None:
    """Warns if test rows have a label that no training row has."""
    unseen = np.setdiff1d(test_codes, train_codes)
    if len(unseen):
        rows = int(np.isin(test_codes, unseen).sum())
        warn(
            f"no training row has the label {some([str(label) for label in classes[unseen]])}; "
            f"the {rows} test rows with it count as wrong"
        )


def warn_of_classes_in_one_group(classes: np.ndarray, codes: np.ndarray, groups: np.ndarray) -> None:
    """Warns if all rows of a class are in one group: none is left when that group is left out."""
    pairs = np.unique(np.stack([codes, groups]), axis=1)
    alone = np.flatnonzero(np.bincount(pairs[0], minlength=len(classes)) == 1)
    if len(alone):
        rows = int(np.isin(codes, alone).sum())
        warn(
            f"no row outside its own group has the label {some([str(label) for label in classes[alone]])}; "
            f"the {rows} rows with it count as wrong"
        )


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, of Python or numpy, and not a bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def some(items: Sequence[Any], most: int = 5) -> str:
    """The first few items for a message, with "..." if there are more."""
    return ", ".join(map(str, items[:most])) + (" ..." if len(items) > most else "")
