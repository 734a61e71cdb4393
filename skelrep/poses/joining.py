"""Values that belong to clips by id: how a table's ids are matched to those of clips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from skelrep.messages import nearest, quoted, warn
from skelrep.poses.columns import check_text


class Join:
    """A table of values by id, and which of its rows belong to clips.

    An id in the table matches the clip with this id, or the file that contains the clip: with or without a suffix
    ("wave/a.json" and "wave/a"), without folders ("a" and "wave/a") or with more of them ("/data/wave/a.json"), if the
    match is unique.
    """

    def __init__(self, values: Mapping[Any, Any], what: str, root: str = "") -> None:
        """Stores the values by id, what a value is (for messages), and the folder that contains the files."""
        self.what = what
        self.root = PurePosixPath(root.replace("\\", "/")).parts
        self.values = {str(key).replace("\\", "/").removeprefix("./"): value for key, value in values.items()}
        self.bare = _unique({key: _without_suffix(key) for key in self.values})
        self.tails = _unique({key: PurePosixPath(key).name for key in self.values})
        self.stems = _unique({key: _without_suffix(PurePosixPath(key).name) for key in self.values})
        self.ends: dict[str, set[str]] = {}  # ends of ids, with and without their suffixes
        self.cut_ends: dict[str, set[str]] = {}
        for key in self.values:
            parts = PurePosixPath(key).parts
            for i in range(len(parts)):
                end = "/".join(parts[i:])
                self.ends.setdefault(end, set()).add(key)
                self.cut_ends.setdefault(_without_suffix(end), set()).add(key)
        self.used: dict[str, str] = {}

    def column(self, ids: Sequence[str], files: Sequence[str] | None = None) -> np.ndarray:
        """The value of each clip, (N,).

        Args:
            ids: N clip ids.
            files: N paths of the clips' files, if they are in files.

        Raises:
            ValueError: if a clip has no value, or the ends of two clips' ids match the same one.
        """
        keys = self._keys(ids, files)
        if missing := [name for name, key in zip(ids, keys) if key is None]:
            unused = [key for key in self.values if key not in self.used]
            others = f", but no clip has {quoted(unused)}{nearest(missing[0], unused)}" if unused else ""
            raise ValueError(
                f"{len(missing)} of {len(ids)} clips have no {self.what}: {quoted(missing)}; "
                f"the table has {len(self.values)} ids{others}"
            )
        values = [self.values[key] for key in keys]  # type: ignore[index]
        check_text(values)
        return np.asarray(values)

    def has(self, ids: Sequence[str], files: Sequence[str] | None = None) -> np.ndarray:
        """Whether each clip has a value, (N,) booleans; arguments are those of `column`."""
        return np.array([key is not None for key in self._keys(ids, files)], dtype=bool)

    def _keys(self, ids: Sequence[str], files: Sequence[str] | None) -> list[str | None]:
        return [self._key(name, files[i] if files is not None else name) for i, name in enumerate(ids)]

    def include(self, used: Mapping[str, str]) -> None:
        """Counts ids as used by clips of the given files, as another process found.

        Raises:
            ValueError: if an id without folders belongs to two files.
        """
        for key, file in used.items():
            self._use(key, file, unique="/" not in key and key not in (file, _without_suffix(file)))

    def _use(self, key: str, file: str, unique: bool) -> None:
        if (other := self.used.setdefault(key, file)) != file and unique:
            raise ValueError(
                f"the id {quoted([key])} in the table of {self.what}s may be {quoted([other])} or {quoted([file])}; "
                "write it with its folders"
            )

    def finish(self) -> None:
        """Warns about ids of the table that belong to no clip."""
        if unused := [key for key in self.values if key not in self.used]:
            warn(
                f"{len(unused)} of {len(self.values)} ids in the table of {self.what}s belong to no clip: "
                f"{quoted(unused)}"
            )

    def _key(self, name: str, file: str) -> str | None:
        """The table's id of a clip. A suffix is removed from one id, never from both: "a.left" is not "a.right"."""
        bare = _without_suffix(file)
        exact = [(name, True), (file, False), (bare, file != name)]
        for candidate, may_match_cut in exact:
            key = candidate if candidate in self.values else self.bare.get(candidate) if may_match_cut else None
            if key is not None:
                self.used.setdefault(key, file)
                return key
        for candidate, may_match_cut in exact:
            tail = PurePosixPath(candidate).name
            key = self.tails.get(tail) or (self.stems.get(tail) if may_match_cut else None)
            if key is not None and ("/" not in key or candidate.endswith((key, _without_suffix(key)))):
                self._use(key, file, unique=True)
                return key
        for candidate, may_match_cut in exact:
            key = self._ending_in(candidate, self.ends) or (
                self._ending_in(candidate, self.cut_ends) if may_match_cut else None
            )
            if key is not None:
                self.used.setdefault(key, file)
                return key
        return None

    def _ending_in(self, file: str, ends: Mapping[str, set[str]]) -> str | None:
        """The only id that ends in a path, with as many of its folders as are needed."""
        parts = (*self.root, *PurePosixPath(file).parts)
        for length in range(len(PurePosixPath(file).parts), len(parts) + 1):
            found = ends.get("/".join(parts[-length:]), set())
            if len(found) < 2:
                return next(iter(found), None)
        return None


def joined(ids: Sequence[str], values: Mapping[Any, Any], what: str) -> np.ndarray:
    """The value of each clip, (N,); a warning names ids in the table that belong to no clip.

    Raises:
        ValueError: as `Join.column`.
    """
    join = Join(values, what)
    column = join.column(ids)
    join.finish()
    return column


def _without_suffix(path: str) -> str:
    return re.sub(r"(?<=[^/])\.[A-Za-z]\w{0,9}$", "", path)


def _unique(names: Mapping[str, str]) -> dict[str, str]:
    """The keys by value, of values that only one key has."""
    count: dict[str, int] = {}
    for value in names.values():
        count[value] = count.get(value, 0) + 1
    return {value: key for key, value in names.items() if count[value] == 1}
