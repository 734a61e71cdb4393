"""The files to read: from a file, a folder, a pattern, a list, or a list in a file."""

from __future__ import annotations

import errno
import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from skelrep.files import check_file, read_text

_LONGEST = 1000  # characters of a path that a message repeats
#: Comes before the suffix of the files that `skelrep embed` writes beside its inputs.
EMBEDDINGS = ".embeddings"


class Sources(NamedTuple):
    """Files to read.

    Attributes:
        root: The folder that names of files are relative to: the given folder, or the common folder of several files.
        files: The files of a folder in the order of their names; several inputs in the given order.
        named: Whether the caller named each of the files; other files are left out if they contain no poses.
        said: The caller's input, for messages.
        ids: The ids of the clips of each file, if already known; empty for a file whose clips keep their own ids.
    """

    root: Path
    files: list[Path]
    named: bool
    said: str
    ids: dict[Path, str] | None = None

    @property
    def alone(self) -> bool:
        """Whether the caller named one file."""
        return self.named and len(self.files) == 1

    def names(self) -> dict[Path, str]:
        """The path of each file below the root, with its suffix only if two names would be equal without it."""
        if self.ids is not None:
            return self.ids
        if self.alone:
            return {self.files[0]: ""}
        bare = {file: file.relative_to(self.root).with_suffix("").as_posix() for file in self.files}
        count: dict[str, int] = {}
        for name in bare.values():
            count[name] = count.get(name, 0) + 1
        return {
            file: name if count[name] == 1 else file.relative_to(self.root).as_posix() for file, name in bare.items()
        }


def sources(path: str | os.PathLike | Sequence[str | os.PathLike]) -> Sources:
    """The files for a path or several paths.

    Args:
        path: A file; a folder; a pattern such as "train/*/*.json" ("**" for any depth), if no file has this name;
            "@FILE", a text file with one path per line, or "-" for such lines on standard input; or a list of these.

    Raises:
        FileNotFoundError: if there is no such file or folder, or a pattern matches none.
        ValueError: for an empty list, or a pipe or a device.
    """
    several = not isinstance(path, (str, os.PathLike))
    said = f"{len(path)} files" if several and len(path) != 1 else str(path[0] if several else path)  # type: ignore[arg-type,index]
    paths = [found for one in (path if several else [path]) for found in _expanded(one)]  # type: ignore[union-attr]
    if not paths:
        raise ValueError("the list of files is empty")
    if len(paths) == 1:
        return Sources(*_one(paths[0]), said)
    files = list(dict.fromkeys(file for one in paths for file in _one(one)[1]))
    if not files:
        raise FileNotFoundError(f"there is no file in {said}")
    root = Path(os.path.commonpath([file.parent for file in files]))
    return Sources(root, files, all(one.is_file() for one in paths), said)


def _one(path: Path) -> tuple[Path, list[Path], bool]:
    if not _exists(path):
        raise FileNotFoundError(f"there is no file or folder {str(path)[:_LONGEST]}")
    check_file(path)
    return (path, _below(path), False) if path.is_dir() else (path.parent, [path], True)


def _expanded(path: str | os.PathLike) -> list[Path]:
    if "://" in os.fspath(path):  # the message does not show it, because a URL may contain a password
        raise ValueError("a URL is not read: download the file, and give its path")
    text = str(Path(path).expanduser())
    if text == "-":
        return _listed(sys.stdin, Path())
    if text.startswith("@") and not Path(text).exists():
        lists = Path(text[1:])
        if not lists.is_file():
            raise FileNotFoundError(f"there is no file {lists} with a list of paths")
        return _listed(read_text(lists).splitlines(), lists.parent)
    if glob.has_magic(text) and not Path(text).exists():
        found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - of any root, absolute or not
        if not found:
            raise FileNotFoundError(f"no file matches {text}")
        return [Path(one) for one in found if not Path(one).is_dir() or "**" not in text]
    return [Path(text)]


def _listed(lines: Iterable[str], folder: Path) -> list[Path]:
    """Paths from lines, relative to the working directory or, if there is no such file, to the folder of the list."""
    paths = [Path(line.strip()).expanduser() for line in lines if line.strip()]
    return [path if _exists(path) or not _exists(folder / path) else folder / path for path in paths]


def _exists(path: Path) -> bool:
    """Whether there is a file or folder; none has a name that the system finds too long."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _below(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffixes[-2:-1] != [EMBEDDINGS]
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )
