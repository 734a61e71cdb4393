"""Where each clip of a large table begins, if its rows stand together and the columns alone tell the clips apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from skelrep.io.row_groups import recordings_of

Texts = dict[str, list[str]]

BATCH = 2**14  # rows that are looked at together: their texts take some 10 MB


class ClipRuns(NamedTuple):
    """The clips of a table.

    Attributes:
        starts: (N + 1,) where each of N clips begins, and where the last one ends: rows, or bytes.
        several: Which of "subject" and "camera" have several values, so that they are part of the ids.
    """

    starts: np.ndarray
    several: tuple[str, ...]


def clip_runs(batches: Iterable[tuple[list[int], Texts]], end: int, names: Mapping[str, str]) -> ClipRuns | None:
    """The clips of a table; None unless reading them one by one gives what reading all of them gives.

    This is so if the rows of each value of the column of clips stand together, and if nothing else divides them into
    recordings (see `recordings_of`): frame numbers do not begin again within a clip, and its label does not change.

    Args:
        batches: Consecutive rows: where each begins, and the texts of their columns by role, among them "clip".
        end: Where the last row ends.
        names: What the columns are called.
    """
    starts: list[int] = []
    known: set[str] = set()
    several: set[str] = set()
    first: dict[str, str] = {}
    at: list[int] = []
    texts: Texts = {}

    def take(count: int) -> bool:
        """Takes the first rows, which are of complete clips; returns whether they are as expected."""
        nonlocal at, texts
        head = {key: column[:count] for key, column in texts.items()}
        clip = np.array(head["clip"], dtype=object)
        begins = np.flatnonzero(np.concatenate([[True], clip[1:] != clip[:-1]]))
        called = set(clip[begins])
        for key in {"subject", "camera"} & {*head}:
            values = {*head[key], first.setdefault(key, head[key][0])}
            several.update([key] if len(values) > 1 else [])
        roles = {*head}
        groups, _, remarks = recordings_of(head, names, "", count)
        runs = np.split(np.arange(count), begins[1:])
        same = len(groups) == len(runs) and all(map(np.array_equal, groups, runs))
        if not same or remarks or {*head} != roles or len(called) < len(begins) or called & known:
            return False
        known.update(called)
        starts.extend(at[i] for i in begins)
        at, texts = at[count:], {key: column[count:] for key, column in texts.items()}
        return True

    for more, columns in batches:
        at += more
        texts = {key: texts.get(key, []) + column for key, column in columns.items()}
        last = texts["clip"][-1]
        complete = next((i for i in range(len(at), 0, -1) if texts["clip"][i - 1] != last), 0)
        if complete and not take(complete):
            return None
    if not at or not take(len(at)):
        return None
    return ClipRuns(np.array([*starts, end], dtype=np.int64), tuple(sorted(several)))
