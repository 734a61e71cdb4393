"""Assigns inputs to shards, for a new corpus or for one that has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skelrep.corpus.manifest import Input, Manifest, Shard
from skelrep.io.pieces import Piece, pieces
from skelrep.io.reader import ReadOptions
from skelrep.io.registry import reader_called
from skelrep.io.sources import Sources
from skelrep.messages import shortened

SHARD_FILES = 2048  # at most a minute of work for text formats
SHARD_BYTES = 2**29


def planned(
    found: Sources,
    old: Manifest | None,
    encoder: dict[str, Any],
    options: dict[str, Any],
    read_options: ReadOptions,
    *,
    most: int = SHARD_FILES,
    refresh: bool = False,
    where: str = "",
) -> Manifest:
    """The manifest of a corpus with its current inputs.

    Args:
        found: The inputs, by absolute paths.
        old: The previous manifest of the folder, if any.
        encoder: The manifest's `encoder`.
        options: The manifest's `options`.
        read_options: How inputs are read.
        most: Number of clips of a shard; a file whose clips are not counted is one.
        refresh: Whether inputs, options and encoder may differ from the old ones.
        where: The folder, for messages.

    Returns:
        The old shards, up to date, and new ones for inputs that are new.

    Raises:
        ValueError: if there is nothing to read; without `refresh`, if something has changed.
    """
    root = Path(old.root) if old is not None and _below(found.files, Path(old.root)) else found.root
    shards: list[Shard] = []
    if old is not None:
        present = {_relative(file, root): file for file in found.files}
        differences = _differences(old, encoder, options, present)
        if differences and not refresh:
            raise ValueError(
                f"{where} has changed: {shortened('; '.join(differences))}. Give another folder, or pass refresh=True "
                "to make again what differs"
            )
        shards = [_current(shard, present) for shard in old.shards]
    known = {root / item.path for shard in shards for item in shard.inputs}
    ids = _ids(found, root, {item.id for shard in shards for item in shard.inputs})
    reader = None if options.get("format") is None else reader_called(options["format"])
    shards += _shards(pieces(found, reader, read_options, most, known=known), root, ids, most)
    if not any(shard.inputs for shard in shards):
        raise ValueError(f"{found.said} contains no file that can be read")
    return Manifest(encoder, options, str(root), found.named, tuple(shards))


def shards_of(found: Sources, read_options: ReadOptions, format: str | None, most: int, most_bytes: int) -> list[Shard]:
    """All files of new inputs in shards, in order.

    Args:
        found: The inputs, by absolute paths.
        read_options: How they are read.
        format: The name of a reader, if the caller named one.
        most: Number of files of a shard, or of clips of a divided file.
        most_bytes: Size of the files of a shard.
    """
    reader = None if format is None else reader_called(format)
    new = list(pieces(found, reader, read_options, most))
    return list(_shards(new, found.root, _ids(found, found.root, set()), most, most_bytes))


def as_pieces(shard: Shard, root: Path) -> tuple[list[Piece], dict[Path, str]]:
    """The pieces to read for a shard, and the ids of the clips of each file."""
    files = [root / item.path for item in shard.inputs]
    ids = {file: item.id for file, item in zip(files, shard.inputs)}
    if shard.reader is not None:
        return [Piece(tuple(files), shard.reader, shard.clips)], ids
    return [Piece((file,), clips=shard.clips) for file in files], ids


def _below(files: Iterable[Path], root: Path) -> bool:
    return all(file.is_relative_to(root) for file in files)


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _ids(found: Sources, root: Path, taken: set[str]) -> dict[Path, str]:
    """The ids of the clips of each file; new files never get the ids of old ones."""
    names = found._replace(root=root).names()
    return {file: _relative(file, root) if name in taken else name for file, name in names.items()}


def _differences(
    old: Manifest, encoder: Mapping[str, Any], options: Mapping[str, Any], present: Mapping[str, Path]
) -> list[str]:
    """The differences from the previous manifest, one sentence each."""
    found = []
    if old.encoder["fingerprint"] != encoder["fingerprint"]:
        before, now = (f"{each['made_by']} (fingerprint {each['fingerprint'][:8]})" for each in (old.encoder, encoder))
        found.append(f"its encoder is {before}, not {now}")
    for key in sorted({*old.options, *options}):
        before, now = old.options.get(key), options.get(key)
        if before != now:
            found.append(f"{key}={before!r:.200} is now {key}={now!r:.200}")
    inputs = {item.path: item for shard in old.shards for item in shard.inputs}
    gone = [path for path in inputs if path not in present]
    changed = [path for path, item in inputs.items() if path in present and _input(present[path], item) != item]
    for what, paths in (("gone", gone), ("changed", changed)):
        if paths:
            shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
            found.append(f"{len(paths)} of its {len(inputs)} inputs are {what} ({shown})")
    return found


def _current(shard: Shard, present: Mapping[str, Path]) -> Shard:
    """The shard with its current inputs. A divided file that has changed is divided again."""
    inputs = tuple(_input(present[item.path], item) for item in shard.inputs if item.path in present)
    if shard.clips is not None and inputs != shard.inputs:
        inputs = ()
    return shard._replace(inputs=inputs)


def _input(file: Path, item: Input) -> Input:
    about = file.stat()
    return item._replace(size=about.st_size, modified=about.st_mtime_ns)


def _shards(
    new: Iterable[Piece], root: Path, ids: Mapping[Path, str], most: int, most_bytes: int = SHARD_BYTES
) -> Iterator[Shard]:
    """Joins pieces of one format, up to `most` clips or `most_bytes`; ranges of a file stay alone."""
    waiting: list[Piece] = []
    clips = size = 0

    def shard() -> Shard:
        files = dict.fromkeys(file for piece in waiting for file in piece.files)
        inputs = tuple(_input(file, Input(_relative(file, root), 0, 0, ids[file])) for file in files)
        return Shard(inputs, waiting[0].reader, waiting[0].clips)

    for piece in new:
        count = piece.counted or 1
        alone = piece.clips is not None or (waiting and waiting[0].clips is not None)
        full = clips + count > most or size >= most_bytes
        if waiting and (alone or full or piece.reader != waiting[0].reader):
            yield shard()
            waiting, clips, size = [], 0, 0
        waiting.append(piece)
        clips += count
        size += piece.files[0].stat().st_size
    if waiting:
        yield shard()
