"""Values that belong to clips by id: how a table's ids are matched to those of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from skelrep.messages import nearest, warn


def joined(ids: Sequence[str], values: Mapping[Any, Any], what: str) -> np.ndarray:
    """The value of each clip, (N,).

    An id of the table matches a clip's id that is the same; or the same without a suffix ("wave/a.json" and "wave/a");
    or, where no two clips end alike, the same without folders ("a" and "wave/a").

    Args:
        ids: N clip ids.
        values: By the table's ids.
        what: What a value is, for messages.

    Raises:
        ValueError: if a clip has no value; clips and ids of the table are named.
    """
    table = {str(key).replace("\\", "/").removeprefix("./"): value for key, value in values.items()}
    keys = _matched(ids, table)
    if missing := [name for name, key in zip(ids, keys) if key is None]:
        unused = [key for key in table if key not in set(keys)]
        others = f", of which no clip has {_some(unused)}{nearest(missing[0], unused)}" if unused else ""
        raise ValueError(
            f"{len(missing)} of {len(ids)} clips have no {what}: {_some(missing)}; "
            f"the table has {len(table)} ids{others}"
        )
    if unused := set(table) - set(keys):
        warn(f"{len(unused)} of {len(table)} ids of the table are of no clip: {_some(sorted(unused, key=str))}")
    return np.asarray([table[key] for key in keys])  # type: ignore[index]


def _matched(ids: Sequence[str], table: Mapping[str, Any]) -> list[str | None]:
    """The table's id of each clip."""
    without_suffix = _unique({key: PurePosixPath(key).with_suffix("").as_posix() for key in table if key})
    names = {name: PurePosixPath(name).name for name in ids}
    tails = _unique({key: PurePosixPath(key).name for key in table if key})
    tails = _unique({key: PurePosixPath(key).stem for key in table if key}) | tails
    unique = _unique(names)
    found: list[str | None] = []
    for name in ids:
        key = name if name in table else without_suffix.get(name)
        if key is None and unique.get(names[name]) == name:
            key = tails.get(names[name])
        found.append(key)
    return found


def _unique(names: Mapping[str, str]) -> dict[str, str]:
    """The keys by value, of values that only one key has."""
    values = list(names.values())
    count = {value: 0 for value in values}
    for value in values:
        count[value] += 1
    return {value: key for key, value in names.items() if count[value] == 1}


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
