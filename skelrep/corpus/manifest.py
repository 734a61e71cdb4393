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
                raise ValueError(f"its format_version is {version!r}, this skelrep reads {FORMAT_VERSION}")
            return cls(
                encoder={key: plain["encoder"][key] for key in ("name", "commit", "fingerprint", "dim", "made_by")},
                options=dict(plain["options"]),
                root=str(plain["root"]),
                named=bool(plain["named"]),
                shards=tuple(_shard(shard) for shard in plain["shards"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{folder}/{NAME} cannot be read as the manifest of a corpus: {reason}") from error


def part_name(number: int) -> str:
    """The file of a shard."""
    return f"part-{number:05}.parquet"


def _shard(plain: dict[str, Any]) -> Shard:
    inputs = tuple(Input(str(path), int(size), int(at), str(name)) for path, size, at, name in plain["inputs"])
    clips = plain["clips"]
    return Shard(inputs, plain["reader"], None if clips is None else (int(clips[0]), int(clips[1])))
