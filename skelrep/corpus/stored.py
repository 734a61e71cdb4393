"""`open`: the embeddings of a corpus, whose rows stay on the disk until they are used."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelrep.corpus.folder import Folder, LocalFolder, folder_at
from skelrep.corpus.manifest import NAME, Manifest, part_name
from skelrep.corpus.parts import finished
from skelrep.files import replacing
from skelrep.io.embeddings import Embeddings, known_columns
from skelrep.parquet import read_columns
from skelrep.poses.columns import stacked


class Rows:
    """An (N, D) float32 matrix in the part files of a corpus.

    `rows[i]`, slices and arrays of numbers or booleans read the parts that are needed; `numpy.asarray(rows)` reads all.
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, folder: Folder, counts: dict[int, int], dim: int) -> None:
        """Stores the number of rows in each part."""
        self.counts = {number: counts[number] for number in sorted(counts) if counts[number]}
        self._folder, self._numbers = folder, list(self.counts)
        self._ends = np.cumsum(list(self.counts.values()), dtype=np.int64)
        self.shape = (int(self._ends[-1]) if len(self._ends) else 0, dim)
        self._part = functools.lru_cache(maxsize=2)(self._read)  # neighbours are read in turn

    def __len__(self) -> int:
        """N."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows by their numbers, as in numpy."""
        chosen = np.arange(*index.indices(len(self))) if isinstance(index, slice) else np.arange(len(self))[index]
        if np.ndim(chosen) == 0:
            return self[np.array([chosen])][0]
        rows = np.empty((len(chosen), self.shape[1]), np.float32)
        part_of = np.searchsorted(self._ends, chosen, side="right")
        for part in np.unique(part_of):
            mine = part_of == part
            start = self._ends[part - 1] if part else 0
            rows[mine] = self._part(self._numbers[part])[chosen[mine] - start]
        return rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows, in memory."""
        rows = np.empty(self.shape, np.float32)
        at = 0
        for block in self.blocks():
            rows[at : at + len(block)] = block
            at += len(block)
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows part by part."""
        return map(self._read, self._numbers)

    def save(self, path: str | os.PathLike) -> None:
        """Writes a `.npy` for `numpy.load(path, mmap_mode="r")`, to search in more rows than fit into memory."""
        with replacing(path) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in self.blocks():
                file.write(np.ascontiguousarray(block, "<f4").data)

    def _read(self, number: int) -> np.ndarray:
        where = f"{self._folder}/{part_name(number)}"
        with self._folder.open(part_name(number), whole=True) as file:
            rows = read_columns(file, where, lambda _: ["embedding"]).lists("embedding")
        if rows.shape != (self.counts[number], self.shape[1]) or rows.dtype != self.dtype:
            raise ValueError(
                f"{where} is damaged: it holds rows of shape {rows.shape} and type {rows.dtype}, expected "
                f"{(self.counts[number], self.shape[1])} and {self.dtype}"
            )
        return rows


@dataclass(frozen=True, eq=False)
class Corpus:
    """The embeddings of a corpus.

    Attributes:
        rows: (N, D) float32, read from the disk when used; see `Rows`.
        ids: (N,) names.
        labels: (N,), or None.
        info: Other columns that all parts have, each (N,).
        model: The encoder, its commit and its streams.
        manifest: The inputs, options and encoder.
        missing: Numbers of shards that are not finished.
    """

    rows: Rows
    ids: np.ndarray
    labels: np.ndarray | None
    info: dict[str, np.ndarray]
    model: str
    manifest: Manifest
    missing: list[int]

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    def embeddings(self) -> Embeddings:
        """All embeddings in memory."""
        return Embeddings(np.asarray(self.rows), self.ids, self.labels, self.info, self.model)


def is_corpus(path: str | os.PathLike) -> bool:
    """Whether there is a folder of shards at a path or URL."""
    folder = folder_at(path)
    if isinstance(folder, LocalFolder):
        return (folder.path / NAME).is_file()
    return NAME in folder.names()


def open(path: str | os.PathLike, *, partial: bool = False) -> Corpus:
    """Opens a folder that `embed` has written.

    Args:
        path: The folder, or its URL.
        partial: Whether shards may be missing because a run is not finished.

    Raises:
        FileNotFoundError: if there is no corpus.
        ValueError: if the manifest is damaged, or a shard is missing or out of date.

    Examples:
        >>> clips = skelrep.corpus.open("embeddings")
        >>> clips.rows.shape, clips.rows[:10].mean()
        ((56578, 768), 0.012)
    """
    if not is_corpus(path):
        raise FileNotFoundError(
            f"{path} contains no corpus of embeddings (no {NAME}); `skelrep embed -o FOLDER` writes one"
        )
    folder = folder_at(path)
    manifest = Manifest.read(folder)
    parts = finished(folder, manifest)
    missing = [i for i, shard in enumerate(manifest.shards) if shard.inputs and i not in parts]
    if missing and not partial:
        raise ValueError(
            f"{len(missing)} of {len(missing) + len(parts)} shards of {path} are missing (the first is "
            f"{part_name(missing[0])}); run the same `skelrep embed` again, or pass partial=True to use what exists"
        )
    rows = Rows(folder, {number: part.rows for number, part in parts.items()}, manifest.encoder["dim"])
    columns = _columns(folder, rows)
    about = Embeddings.of_columns(np.empty((0, 0)), columns, None)
    ids = np.empty(0, dtype=str) if about.ids is None else about.ids
    return Corpus(rows, ids, about.labels, about.info, manifest.encoder["made_by"], manifest, missing)


def _columns(folder: Folder, rows: Rows) -> dict[str, np.ndarray]:
    """The columns, without the rows, that all parts have.

    Raises:
        ValueError: if a part is damaged, or does not hold rows and ids as the manifest says.
    """
    tables: list[dict[str, np.ndarray]] = []
    for number, count in rows.counts.items():
        where = f"{folder}/{part_name(number)}"
        with folder.open(part_name(number)) as file:
            part = read_columns(file, where, lambda schema: known_columns(schema.names))
        kind = part.schema.field("embedding").type if "embedding" in part.schema.names else None
        if "id" not in part.columns or part.rows != count or getattr(kind, "list_size", None) != rows.shape[1]:
            raise ValueError(
                f"{where} is damaged: expected {count} ids and embeddings of {rows.shape[1]} numbers, got {part.rows} "
                f"rows of {', '.join(part.schema.names)[:200]} with embeddings of type {kind}; remove it, and run the "
                "same `skelrep embed` again"
            )
        tables.append({key: part.values(key) for key in part.columns})
    shared = [key for key in tables[0] if all(key in table for table in tables)] if tables else []
    return {key: stacked([table[key] for table in tables]) for key in shared}
