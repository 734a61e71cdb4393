"""Part files: the embeddings of one shard, in Parquet.

A part is a table as `skelrep embed -o FILE.parquet` writes it, with two more entries in its metadata: `skelrep.shard`,
the digest of what it was made of (`Manifest.digest`), and `skelrep.skipped`, a list of [path, reason] in JSON. It is
written under a temporary name and renamed, and its metadata is at the end, so a part that can be opened is complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skelrep.corpus.folder import Folder
from skelrep.corpus.manifest import Manifest, part_name
from skelrep.io.embeddings import Embeddings
from skelrep.io.report import Skipped
from skelrep.memory_budget import MemoryBudget
from skelrep.messages import optional
from skelrep.parquet import opened, readable

ERRORS = "errors.parquet"
_SHARD, _SKIPPED = b"skelrep.shard", b"skelrep.skipped"


class Part(NamedTuple):
    """The metadata at the end of a part file."""

    rows: int
    skipped: list[Skipped]


def write_part(
    folder: Folder,
    number: int,
    digest: str,
    batches: Sequence[Embeddings],
    skipped: Sequence[Skipped],
    *,
    dim: int,
    model: str,
) -> int:
    """Writes a part, which may have no rows, and returns the number of rows."""
    parquet = optional("pyarrow.parquet", "parquet")
    empty = Embeddings(np.empty((0, dim), np.float32), np.empty(0, dtype=str), model=model)
    found = Embeddings.concatenate(batches) if batches else empty
    table = found.to_arrow()
    extra = {_SHARD: digest, _SKIPPED: json.dumps([list(each) for each in skipped])}
    table = table.replace_schema_metadata((table.schema.metadata or {}) | extra)
    with folder.writing(part_name(number)) as file:
        # Embeddings do not repeat and hardly compress; checksums detect what a disk has lost.
        parquet.write_table(table, file, use_dictionary=False, compression="NONE", write_page_checksum=True)
    return len(found.rows)


def read_end(folder: Folder, number: int, digest: str) -> Part | None:
    """The metadata of a part; None if the part is missing, truncated, or has another digest."""
    where = f"{folder}/{part_name(number)}"
    try:
        with (
            folder.open(part_name(number)) as file,
            readable(where),
            opened(file, file, where, MemoryBudget(file.seek(0, os.SEEK_END))) as (part, _),
        ):
            about = part.schema_arrow.metadata or {}
            if about.get(_SHARD, b"").decode() != digest:
                return None
            skipped = [Skipped(*map(str, each)) for each in json.loads(about[_SKIPPED])]
            return Part(part.metadata.num_rows, skipped)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def finished(folder: Folder, manifest: Manifest) -> dict[int, Part]:
    """The parts that are up to date, by the number of their shard."""
    there = folder.names()
    numbers = [i for i, shard in enumerate(manifest.shards) if shard.inputs and part_name(i) in there]
    ends = {number: read_end(folder, number, manifest.digest(number)) for number in numbers}
    return {number: end for number, end in ends.items() if end is not None}


def write_errors(folder: Folder, parts: dict[int, Part]) -> list[Skipped]:
    """Writes what all parts left out into `errors.parquet`, and removes the file if they left out nothing."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    rows: list[dict[str, Any]] = [
        {"part": part_name(number), **each._asdict()} for number in sorted(parts) for each in parts[number].skipped
    ]
    if not rows:
        folder.remove(ERRORS)
        return []
    with folder.writing(ERRORS) as file:
        parquet.write_table(arrow.Table.from_pylist(rows), file)
    return [Skipped(row["path"], row["reason"]) for row in rows]
