"""Corpora of made-up rows, written as `skelrep embed` writes them, without embedding anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skelrep.corpus.folder import folder_at
from skelrep.corpus.manifest import Input, Manifest, Shard
from skelrep.corpus.parts import finished, write_part
from skelrep.io.embeddings import Embeddings

MODEL = "made-up"
ROWS_PER_PART = 10_000


def write_corpus(target: Path, count: int, dim: int, part_of: Callable[[int, range], Embeddings]) -> None:
    """Writes a corpus of `count` rows of `dim` numbers; parts that exist are kept.

    Args:
        target: The folder.
        count: Number of rows.
        dim: Size of a row.
        part_of: The rows of a part, from its number and the positions of its rows.
    """
    folder = folder_at(target)
    starts = range(0, count, ROWS_PER_PART)
    shards = tuple(Shard((Input(f"{number:05}.npz", 0, 0, ""),)) for number in range(len(starts)))
    encoder = {"name": MODEL, "commit": None, "fingerprint": MODEL, "dim": dim, "made_by": MODEL}
    manifest = Manifest(encoder, {}, str(target.parent), False, shards)
    manifest.write(folder)
    there = finished(folder, manifest)
    for number, start in enumerate(starts):
        if number not in there:
            part = part_of(number, range(start, min(start + ROWS_PER_PART, count)))
            write_part(folder, number, manifest.digest(number), [part], [], dim=dim, model=MODEL)
