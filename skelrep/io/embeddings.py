"""Embeddings with ids, labels and other columns, and the files in which `skelrep embed` stores them.

`.npy` contains only the rows. `.npz` has `embeddings` (N, D), `model` (encoder, commit and streams), `ids` (N,) and, if
known, `labels` (N,) and `info_<column>` (N,), such as start and end of a window. `.parquet` has the same as columns:
`embedding`, a list of D float32, `id`, `label`, `info_<column>`; and `skelrep.model` in its metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.files import check_parent, open_to_read, replacing
from skelrep.messages import optional
from skelrep.npy import opened, save_npz
from skelrep.parquet import read_columns
from skelrep.poses import Poses
from skelrep.poses.columns import stacked

SUFFIXES = (".npy", ".npz", ".parquet")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N embeddings.

    Attributes:
        rows: (N, D).
        ids: (N,) names, or None.
        labels: (N,), or None.
        info: Other columns, each (N,), from the poses.
        model: The encoder, its commit and its streams, as `skelrep embed` writes them; None if unknown.
    """

    rows: np.ndarray
    ids: np.ndarray | None = None
    labels: np.ndarray | None = None
    info: dict[str, np.ndarray] = field(default_factory=dict)
    model: str | None = None

    @classmethod
    def of(cls, poses: Poses, rows: np.ndarray, model: str) -> Embeddings:
        """From clips and their embeddings (N, D)."""
        return cls(rows, np.asarray(poses.ids), poses.labels, poses.info, model)

    @classmethod
    def concatenate(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """Concatenates embeddings of one model; columns that some of them lack are left out."""
        tables = [dict(part.columns()) for part in parts]
        shared = {key: stacked([t[key] for t in tables]) for key in tables[0] if all(key in t for t in tables)}
        return cls._from(np.concatenate([part.rows for part in parts]), shared, parts[0].model)

    @classmethod
    def _from(cls, rows: np.ndarray, columns: dict[str, np.ndarray], model: str | None) -> Embeddings:
        info = {key.removeprefix("info_"): column for key, column in columns.items() if key.startswith("info_")}
        return cls(rows, columns.get("ids"), columns.get("labels"), info, model)

    @classmethod
    def of_columns(cls, rows: np.ndarray, columns: dict[str, np.ndarray], model: str | None) -> Embeddings:
        """From rows and the columns of a table: `id`, `label` and `info_<column>`."""
        plural = {singular: key for key, singular in _PARQUET.items()}
        return cls._from(rows, {plural.get(name, name): column for name, column in columns.items()}, model)

    def columns(self) -> Iterator[tuple[str, np.ndarray]]:
        """All columns except the rows, by their names in an `.npz`."""
        named = {"ids": self.ids, "labels": self.labels, **{f"info_{key}": self.info[key] for key in self.info}}
        return ((key, column) for key, column in named.items() if column is not None)

    def take(self, keep: np.ndarray) -> Embeddings:
        """Some of the rows, by their numbers or by (N,) booleans."""
        kept = {key: column[keep] for key, column in self.columns()}
        return self._from(self.rows[keep], kept, self.model)

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`, one row per embedding, with the columns of the `.parquet` that `skelrep embed` writes.

        Raises:
            ModuleNotFoundError: without pyarrow (the extra `parquet`).

        Examples:
            >>> skelrep.io.embeddings.load("rows.npz").to_arrow().column_names
            ['embedding', 'id', 'label', 'info_subject']
        """
        arrow = optional("pyarrow", "parquet")
        rows = np.ascontiguousarray(self.rows, dtype=np.float32)
        columns = {"embedding": arrow.FixedSizeListArray.from_arrays(arrow.array(rows.ravel()), rows.shape[1])}
        columns |= {_PARQUET.get(key, key): arrow.array(column) for key, column in self.columns()}
        return arrow.table(columns).replace_schema_metadata({"skelrep.model": self.model or ""})

    def about(self, row: int) -> dict[str, Any]:
        """The id of a row, or its number without ids, and, if known, its label and the times of its window."""
        known = {"id": self.ids, "label": self.labels}
        if {"source", "start", "end"} <= set(self.info):  # of `Poses.windows`
            known |= {"start": self.info["start"], "end": self.info["end"]}
        plain = {key: column[row : row + 1].tolist()[0] for key, column in known.items() if column is not None}
        return {"id": int(row), **plain}

    def check_comparable(self, other: Embeddings) -> None:
        """Raises an error if two sets of embeddings are from different models; an unknown model is accepted.

        Raises:
            ValueError: if both are known and differ.
        """
        if None not in (self.model, other.model) and self.model != other.model:
            raise ValueError(
                f"embeddings of {self.model} and of {other.model} cannot be compared; embed both in the same way (-m, "
                "--streams)"
            )


def check_output(path: str) -> None:
    """Raises the errors of `save` that concern the path, for callers who compute something long before saving.

    Raises:
        ValueError: for an unknown suffix.
        FileNotFoundError: if the folder does not exist.
        ModuleNotFoundError: for .parquet without pyarrow.
    """
    if (suffix := Path(path).suffix) not in SUFFIXES:
        raise ValueError(f"-o takes a .npy, .npz or .parquet file, a folder or -, got {path!r}")
    check_parent(Path(path))
    if suffix == ".parquet":
        optional("pyarrow", "parquet")


def save(embeddings: Embeddings, path: str | Path) -> None:
    """Writes a file with one of `SUFFIXES`; an existing file is replaced only after everything has been written."""
    if Path(path).suffix == ".npz":
        arrays = {"embeddings": embeddings.rows, **dict(embeddings.columns())}
        save_npz(path, arrays | ({} if embeddings.model is None else {"model": np.asarray(embeddings.model)}))
        return
    with replacing(path) as file:
        if Path(path).suffix == ".npy":
            np.save(file, embeddings.rows)
        else:
            # Embeddings rarely repeat, so a dictionary of values would only cost time.
            optional("pyarrow.parquet", "parquet").write_table(embeddings.to_arrow(), file, use_dictionary=False)


def load(path: str | os.PathLike) -> Embeddings | None:
    """The embeddings in a file; None if it is not a file, or of another kind, such as poses.

    The rows of an `.npy` (N, D) stay on disk until they are used.

    Raises:
        ValueError: if the file is damaged, or a column does not have one value per row.
        ModuleNotFoundError: for .parquet without pyarrow.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES or not path.is_file():
        return None
    if path.suffix == ".parquet":
        found = _read_parquet(path)
    else:
        with opened(path) as file:
            if isinstance(file, np.ndarray):
                return Embeddings(file) if file.ndim == 2 else None  # poses have more axes
            if "embeddings" not in file.files:
                return None
            arrays = {key: file[key] for key in file.files if key in _KEPT or key.startswith("info_")}
            model = str(arrays["model"]) if "model" in arrays else None
            found = Embeddings._from(arrays["embeddings"], arrays, model)
    if found is None:
        return None
    if found.rows.ndim not in (2, 3) or found.rows.dtype.kind != "f":
        raise ValueError(f"{path} is damaged: its embeddings have shape {found.rows.shape} of {found.rows.dtype}")
    if wrong := [key for key, column in found.columns() if column.shape != found.rows.shape[:1]]:
        raise ValueError(f"{path} is damaged: {wrong[0]} does not have one value for each of its embeddings")
    return found


_KEPT = ("embeddings", "model", "ids", "labels")
_PARQUET = {"ids": "id", "labels": "label"}  # singular, as is usual for columns of tables


def _read_parquet(path: Path) -> Embeddings | None:
    with open_to_read(path) as file:
        table = read_columns(file, path, lambda schema: _chosen(schema.names))
    if "embedding" not in table.columns:
        return None
    try:
        model = (table.schema.metadata or {}).get(b"skelrep.model", b"").decode() or None
    except UnicodeError as error:
        raise ValueError(f"{path} is damaged: the name of its model is no text") from error
    columns = {name: table.values(name) for name in known_columns(table.columns)}
    return Embeddings.of_columns(table.lists("embedding"), columns, model)


def _chosen(names: Sequence[str]) -> list[str]:
    return ["embedding", *known_columns(names)] if "embedding" in names else []


def known_columns(names: Iterable[str]) -> list[str]:
    """The columns that are read from a table of embeddings, without the rows."""
    return [name for name in names if name in _PARQUET.values() or name.startswith("info_")]
