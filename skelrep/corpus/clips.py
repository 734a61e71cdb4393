"""Embeds the clips of many small files: together for speed, separately if one of them cannot be embedded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from skelrep.encoder import Encoder
from skelrep.io.embeddings import Embeddings
from skelrep.poses import Poses

MAX_WAITING = 2**24  # coordinates collected before they are embedded together: 64 MB

Skip = Callable[[Path, Exception], None]


def merged(parts: Iterable[Poses]) -> Iterator[Poses]:
    """Poses of many files; small files are joined, because batches of single clips are slow."""

    def kind(poses: Poses) -> tuple:
        columns = (poses.labels is None, poses.scores is None, poses.person_ids is None, *poses.info)
        return (poses.skeleton.joints, poses.channels, poses.fps, columns)

    waiting: list[Poses] = []
    values = 0
    for poses in parts:
        if waiting and (kind(poses) != kind(waiting[0]) or values > MAX_WAITING):
            yield Poses.concatenate(waiting)
            waiting, values = [], 0
        waiting.append(poses)
        values += sum(clip.size for clip in poses.clips)
    if waiting:
        yield Poses.concatenate(waiting)


def embedded(poses: Poses, encoder: Encoder, model: str, skip: Skip | None, **options: Any) -> list[Embeddings]:
    """Embeddings of the clips.

    Args:
        poses: The clips.
        encoder: The encoder.
        model: The name of the encoder that is stored with the embeddings.
        skip: Called with the id of a clip that cannot be embedded, and the error; None: it raises.
        **options: Options of `Encoder.embed`.

    Raises:
        ValueError: as `Encoder.embed`, without `skip`.
    """
    try:
        return [Embeddings.of(poses, encoder.embed(poses, **options), model)]
    except ValueError as error:
        if skip is None:
            raise
        if len(poses) == 1:
            skip(Path(poses.ids[0]), error)
            return []
    middle = len(poses) // 2  # bisection: finding few bad clips among many costs few batches
    halves = (poses[:middle], poses[middle:])
    return [part for half in halves for part in embedded(half, encoder, model, skip, **options)]
