"""Existing embeddings are replaced only by embeddings of the same rows, unless `--overwrite` is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from skelrep.io.embeddings import Embeddings

_TIMES = ("start", "end")  # of the windows that `Poses.windows` cuts


class Earlier:
    """A file of embeddings that is about to be replaced."""

    def __init__(self, path: Path, found: Embeddings) -> None:
        """Stores the path and the embeddings found there."""
        self.path, self.found, self.done = path, found, 0

    @classmethod
    def at(cls, target: str | os.PathLike, made_by: str) -> Earlier | None:
        """The file at the target; None if there is none.

        Raises:
            ValueError: if it contains anything other than embeddings, or embeddings of another model.
        """
        from skelrep.io.embeddings import load

        path = Path(target)
        if not path.is_file() or not path.stat().st_size:
            return None
        found = load(path)
        if found is None:
            raise _refusal(path, "no embeddings")
        if found.model not in (None, made_by):
            raise _refusal(path, f"embeddings of {found.model}, not of {made_by}")
        return cls(path, found)

    def check(self, ids: Sequence[str], info: Mapping[str, np.ndarray]) -> None:
        """Compares the next clips with the rows of the file, before they are embedded.

        Raises:
            ValueError: if the file has other rows.
        """
        rows = slice(self.done, self.done + len(ids))
        old = [self.found.ids, *(self.found.info.get(key) for key in _TIMES)]
        new = [ids, *(info.get(key) for key in _TIMES)]
        if self.found.ids is not None and any(_plain(a, rows) != _plain(b) for a, b in zip(old, new)):
            raise _refusal(self.path, "the rows of other clips or windows")
        self.done = rows.stop

    def finish(self, table: Embeddings) -> None:
        """Compares all rows with those of the file.

        Raises:
            ValueError: if the file has other rows.
        """
        if len(self.found.rows) != len(table.rows):
            raise _refusal(self.path, f"{len(self.found.rows)} rows, not {len(table.rows)}")
        self.done = 0
        self.check([] if table.ids is None else table.ids.tolist(), table.info)


def _plain(column: Sequence | np.ndarray | None, rows: slice = slice(None)) -> list | None:
    import numpy as np

    return None if column is None else np.asarray(column)[rows].tolist()


def _refusal(path: Path, what: str) -> ValueError:
    return ValueError(f"{path} exists and contains {what}; give another -o, or --overwrite to replace it")
