"""Named splits of a data set: the rule for which clips are in a split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from skelrep.messages import nearest


def split_names(info: Mapping[str, np.ndarray]) -> list[str]:
    """The names of all splits: each boolean column is one, and so is each value of the column `split`."""
    flags = [key for key, column in info.items() if column.dtype == bool]
    return [*flags, *np.unique(np.asarray(info.get("split", ()), dtype=str)).tolist()]


def in_split(info: Mapping[str, np.ndarray], split: str, where: object) -> np.ndarray:
    """Which rows are in a split, (N,) bool.

    Args:
        info: Columns of N values.
        split: The name of a boolean column, or a value of the column `split`.
        where: What the columns belong to, for messages.

    Raises:
        ValueError: if there is no such split; the message lists the existing ones.
    """
    known = split_names(info)
    if split not in known:
        raise ValueError(
            f"{where} has no split {split!r}{nearest(split, known)} (it has: {', '.join(known)})"
            if known
            else f"{where} has no splits, so split={split!r} cannot be taken from it"
        )
    if split in info and info[split].dtype == bool:
        return info[split]
    return np.asarray(info["split"], dtype=str) == split


def members(info: Mapping[str, np.ndarray], split: str, where: object) -> np.ndarray:
    """As `in_split`, but also raises an error for a split without clips.

    Raises:
        ValueError: if there is no such split (the message lists the existing ones), or no clip in it.
    """
    chosen = in_split(info, split, where)
    if not chosen.any():
        raise ValueError(f"no clip of {where} is in the split {split!r}")
    return chosen
