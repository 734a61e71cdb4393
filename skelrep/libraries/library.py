"""`Library`: the embeddings of many clips, and what else duplicates and clusters need; poses are read in parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelrep import corpus
from skelrep.corpus.clips import Skip, embedded, merged
from skelrep.embedding import maker
from skelrep.encoder import Encoder
from skelrep.encoder.inference import embed_batches
from skelrep.evaluate.inputs import check_rows
from skelrep.hub import load_pretrained
from skelrep.io import read_parts
from skelrep.io.embeddings import Embeddings
from skelrep.io.embeddings import load as load_embeddings
from skelrep.libraries.copies import KINDS, QUARTER, SHORTEST, copies, crops, mirrored
from skelrep.poses import Poses

SAMPLE = 200  # clips of which copies are made


@dataclass(frozen=True, eq=False)
class Library:
    """N clips as embeddings.

    Attributes:
        rows: (N, D) float32.
        ids: (N,) names.
        content: (N,) a digest of 16 bytes, equal for clips with the same poses (for stored embeddings: for equal rows).
        seen: (N,) how many joints are seen, summed over the frames of a clip; 0 for stored embeddings.
        mirrored: (N, D) embeddings of the clips' mirror images, or None.
        originals: (S, D) embeddings of some clips of which copies were made; without poses S is 0.
        copies: For each kind of copy, and for `QUARTER`, the embeddings of the copies, (S, D).
        model: The encoder, or None if unknown.
        crops: (9, N, D) embeddings of parts of the clips (`copies.crops`), or None.
        original_crops: (9, S, D) those of the clips of which copies were made, or None.
    """

    rows: np.ndarray
    ids: np.ndarray
    content: np.ndarray
    seen: np.ndarray
    mirrored: np.ndarray | None
    originals: np.ndarray
    copies: dict[str, np.ndarray]
    model: str | None
    crops: np.ndarray | None = None
    original_crops: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        source: Any,
        encoder: Encoder | str | os.PathLike = "i2md-small",
        *,
        mirrors: bool = False,
        trimmed: bool = False,
        **options: Any,
    ) -> Library:
        """Collects the embeddings of clips, or stored embeddings.

        Args:
            source: `Poses`; a file or folder of poses, of stored embeddings, or of a corpus; `Embeddings`, or (N, D)
                rows.
            encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`; for poses.
            mirrors: Whether the mirror images of clips are embedded, too.
            trimmed: Whether nine parts of each clip are embedded, too.
            **options: Options of `Encoder.embed`: `streams`, `batch_size`, `device`, `precision`.

        Raises:
            ValueError: as `embed` and `read`; for `mirrors` or `trimmed` of stored embeddings; without any clip.
            OSError: if a file or the encoder cannot be read.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, (str, os.PathLike)):
            source = stored(source) or read_parts(source)
        if isinstance(source, Embeddings) or getattr(source, "ndim", 0) == 2:
            found = source if isinstance(source, Embeddings) else Embeddings(source)
            return cls.of_embeddings(found, mirrors=mirrors, trimmed=trimmed)
        parts = [source] if isinstance(source, Poses) else source
        return cls.of_parts(parts, encoder, mirrors=mirrors, trimmed=trimmed, **options)

    @classmethod
    def of_embeddings(cls, embeddings: Embeddings, *, mirrors: bool = False, trimmed: bool = False) -> Library:
        """Takes stored embeddings; see `of`."""
        if mirrors:
            raise ValueError("mirrors= embeds the mirror images of clips, so it needs poses, not stored embeddings")
        if trimmed:
            raise ValueError("trimmed= embeds parts of clips, so it needs poses, not stored embeddings")
        rows = np.asarray(check_rows(embeddings.rows, "embeddings"))
        ids = np.arange(len(rows)) if embeddings.ids is None else embeddings.ids
        content = np.array([_digest(np.ascontiguousarray(row)) for row in rows])
        seen = np.zeros(len(rows), np.int64)
        return cls(rows, ids.astype(str), content, seen, None, rows[:0], {}, embeddings.model)

    @classmethod
    def of_parts(
        cls,
        parts: Iterable[Poses],
        encoder: Encoder | str | os.PathLike = "i2md-small",
        *,
        mirrors: bool = False,
        trimmed: bool = False,
        skip: Skip | None = None,
        **options: Any,
    ) -> Library:
        """Embeds poses in parts, as `skelrep.io.read_parts` yields them; one part is in memory at a time; see `of`.

        Args:
            parts: The poses.
            encoder: As in `of`.
            mirrors: As in `of`.
            trimmed: As in `of`.
            skip: Called with the id of a clip that cannot be embedded, and the error; by default it raises.
            **options: As in `of`.
        """
        encoder = encoder if isinstance(encoder, Encoder) else load_pretrained(encoder)
        model = maker(encoder, options.get("streams"))
        rows, ids, content, seen, twins, cropped = [], [], [], [], [], []
        sample = _Sample(SAMPLE)
        for poses in merged(parts):
            for part in embedded(poses, encoder, model, skip, **options):
                assert part.ids is not None
                own = poses if len(part.rows) == len(poses) else _called(poses, part.ids)
                rows.append(part.rows)
                ids += own.ids
                content += [_digest(clip, own.skeleton.joints) for clip in own.clips]
                seen += [int(np.logical_not(np.isnan(clip).any(axis=-1)).sum()) for clip in own.clips]
                parts_of = np.empty((0, *part.rows.shape), part.rows.dtype)
                if trimmed:
                    parts_of = np.stack([embed_batches(encoder, crop, **options) for crop in crops(own)])
                    cropped.append(parts_of)
                sample.add(own, part.rows, parts_of)
                if mirrors:
                    twins.append(embed_batches(encoder, mirrored(own), **options))
        if not rows:
            raise ValueError("the library contains no clip that can be embedded")
        return cls(
            np.concatenate(rows),
            np.array(ids),
            np.array(content),
            np.array(seen),
            np.concatenate(twins) if mirrors else None,
            np.stack(sample.rows) if sample.rows else rows[0][:0],
            sample.copies(encoder, options),
            model,
            np.concatenate(cropped, axis=1) if trimmed else None,
            np.stack(sample.crops, axis=1) if trimmed and sample.crops else None,
        )

    def __len__(self) -> int:
        """N."""
        return len(self.rows)


def stored(path: str | os.PathLike) -> Embeddings | None:
    """Embeddings in a file or in a folder of shards; None if it is neither."""
    return corpus.open(path).embeddings() if corpus.is_corpus(path) else load_embeddings(path)


def _digest(array: np.ndarray, names: tuple[str, ...] = ()) -> bytes:
    """A digest of the numbers, their shape and the names of the joints; all NaN are equal, and so are both zeros."""
    plain = np.where(np.isnan(array), np.float32(np.nan), array + np.float32(0))
    digest = hashlib.blake2b(f"{array.shape} {names}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(plain).data)
    return digest.digest()


def _called(poses: Poses, ids: np.ndarray) -> Poses:
    """The clips with these ids; the others could not be embedded."""
    wanted = set(ids.tolist())
    return poses[np.array([name in wanted for name in poses.ids])]


class _Sample:
    """A uniform sample of all clips that are added (reservoir sampling; Vitter, TOMS 1985), with their rows."""

    def __init__(self, size: int) -> None:
        self.size, self.count, self.rng = size, 0, np.random.default_rng(0)
        self.clips: list[Poses] = []
        self.rows: list[np.ndarray] = []
        self.crops: list[np.ndarray] = []

    def add(self, poses: Poses, rows: np.ndarray, crops: np.ndarray) -> None:
        for i in range(len(poses)):
            if poses.clips[i].shape[1] < SHORTEST:
                continue
            self.count += 1
            at = len(self.clips) if len(self.clips) < self.size else int(self.rng.integers(self.count))
            if at == len(self.clips):
                self.clips.append(poses[i])
                self.rows.append(rows[i])
                self.crops.append(crops[:, i])
            elif at < self.size:
                self.clips[at], self.rows[at], self.crops[at] = poses[i], rows[i], crops[:, i]

    def copies(self, encoder: Encoder, options: dict[str, Any]) -> dict[str, np.ndarray]:
        """For each kind of copy, the embeddings of the copies of these clips; empty if there is no clip."""
        options = options | {"show_progress": False}
        return {
            kind: np.concatenate([embed_batches(encoder, copies(part, kind), **options) for part in merged(self.clips)])
            for kind in (*KINDS, QUARTER)
            if self.clips
        }
