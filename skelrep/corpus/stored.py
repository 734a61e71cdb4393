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
from skelrep.io.embeddings import Embeddings, known_columns, values
from skelrep.messages import optional


class Rows:
    """An (N, D) float32 matrix in the part files of a corpus.

    `rows[i]`, slices and arrays of numbers or booleans read the parts that are needed; `numpy.asarray(rows)` reads all.
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, folder: Folder, counts: dict[int, int], dim: int) -> None:
        """Stores the number of rows in each part."""
        self._folder = folder
        self._numbers = [number for number in sorted(counts) if counts[number]]
        self._ends = np.cumsum([counts[number] for number in self._numbers], dtype=np.int64)
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
        parquet = optional("pyarrow.parquet", "parquet")
        with self._folder.open(part_name(number)) as file:
            [column] = parquet.read_table(file, columns=["embedding"], page_checksum_verification=True).columns
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, self.shape[1])


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
    columns = _columns(folder, [number for number in sorted(parts) if parts[number].rows])
    rows = Rows(folder, {number: part.rows for number, part in parts.items()}, manifest.encoder["dim"])
    about = Embeddings.of_columns(np.empty((0, 0)), columns, None)
    ids = np.empty(0, dtype=str) if about.ids is None else about.ids
    return Corpus(rows, ids, about.labels, about.info, manifest.encoder["made_by"], manifest, missing)


def _columns(folder: Folder, numbers: list[int]) -> dict[str, np.ndarray]:
    """The columns, without the rows, that all of the given parts have."""
    parquet = optional("pyarrow.parquet", "parquet")
    tables: list[dict[str, np.ndarray]] = []
    for number in numbers:
        name = part_name(number)
        with folder.open(name) as file, parquet.ParquetFile(file) as part:
            kept = known_columns(part.schema_arrow.names)
            table = part.read(columns=kept)
        tables.append({key: values(table[key], key, f"{folder}/{name}") for key in kept})
    shared = [key for key in tables[0] if all(key in table for table in tables)] if tables else []
    return {key: np.concatenate([table[key] for table in tables]) for key in shared}
