"""`manifest.json`: the inputs, options and encoder of a folder of shards.

It has `format_version`, `skelrep` (the version that wrote it), `encoder` (name, commit, fingerprint, dim), `options`
(everything else that decides the rows), `root` (the folder that paths of inputs are relative to), `named` (whether each
input was named by the caller) and `shards`: for each its `part`, the `reader` of formats whose files belong together,
the range of `clips` of a divided file, and its `inputs`: path, size in bytes, time of the last change in nanoseconds,
and the id of the clips in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from skelrep.corpus.folder import Folder
from skelrep.messages import one_line
from skelrep.version import __version__

NAME = "manifest.json"
FORMAT_VERSION = 1


class Input(NamedTuple):
    """A file of the corpus."""

    path: str  # below the root
    size: int  # bytes
    modified: int  # nanoseconds since 1970
    id: str  # of its clips; empty if they keep the ids in the file


class Shard(NamedTuple):
    """The inputs of one part; a shard without inputs was removed, and its number is not used again."""

    inputs: tuple[Input, ...]
    reader: str | None = None
    clips: tuple[int, int] | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`; see the module."""

    encoder: dict[str, Any]
    options: dict[str, Any]
    root: str
    named: bool
    shards: tuple[Shard, ...]

    def digest(self, number: int) -> str:
        """SHA-256 of everything that affects the rows of a shard; an up-to-date part contains the same digest."""
        parts = [FORMAT_VERSION, self.encoder["fingerprint"], self.options, self.shards[number]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def write(self, folder: Folder) -> None:
        """Writes it into the folder."""
        shards = [
            {"part": part_name(i), "reader": shard.reader, "clips": shard.clips, "inputs": shard.inputs}
            for i, shard in enumerate(self.shards)
        ]
        plain = {"format_version": FORMAT_VERSION, "skelrep": __version__, "encoder": self.encoder}
        plain |= {"options": self.options, "root": self.root, "named": self.named, "shards": shards}
        with folder.writing(NAME) as file:
            file.write(json.dumps(plain).encode())

    @classmethod
    def read(cls, folder: Folder) -> Manifest:
        """Reads it.

        Raises:
            ValueError: if it is damaged, or of another version.
        """
        with folder.open(NAME) as file:
            content = file.read()
        try:
            plain = json.loads(content)
            version = plain["format_version"]
            if version != FORMAT_VERSION:
                raise ValueError(f"its format_version is {version!r:.100}, this skelrep reads {FORMAT_VERSION}")
            manifest = cls(
                encoder={key: _typed(plain["encoder"], key, *kinds) for key, kinds in _ENCODER.items()},
                options=_typed(plain, "options", dict),
                root=_typed(plain, "root", str),
                named=_typed(plain, "named", bool),
                shards=tuple(_shard(shard) for shard in _typed(plain, "shards", list)),
            )
            if manifest.encoder["dim"] < 1:
                raise ValueError(f"its dim is {manifest.encoder['dim']}")
            return manifest
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
            raise ValueError(f"{folder}/{NAME} cannot be read as the manifest of a corpus: {reason}") from error


def part_name(number: int) -> str:
    """The file of a shard."""
    return f"part-{number:05}.parquet"


_ENCODER = {"name": (str,), "commit": (str, type(None)), "fingerprint": (str,), "dim": (int,), "made_by": (str,)}


def _typed(plain: dict[str, Any], key: str, *kinds: type) -> Any:
    """A value of one of these types."""
    if type(value := plain[key]) not in kinds:
        raise ValueError(f"its {key} is a {type(value).__name__}, not a {kinds[0].__name__}")
    return value


def _shard(plain: dict[str, Any]) -> Shard:
    inputs = tuple(Input(*each) for each in _typed(plain, "inputs", list))
    if not {tuple(map(type, each)) for each in inputs} <= {(str, int, int, str)}:
        raise ValueError("an input is not a path, a size, a time and an id")
    if (clips := _typed(plain, "clips", list, type(None))) is not None:
        first, last = clips
        if not (type(first) is type(last) is int and 0 <= first < last):
            raise ValueError(f"the range of clips of a shard is {clips}")
        clips = (first, last)
    return Shard(inputs, _typed(plain, "reader", str, type(None)), clips)
