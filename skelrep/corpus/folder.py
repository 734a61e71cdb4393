"""The folder that a corpus is written into: on a local disk, or anywhere that fsspec supports (`s3://bucket/name`)."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from skelrep.files import open_to_read, replacing
from skelrep.messages import optional


class LocalFolder:
    """A folder on a disk."""

    def __init__(self, path: str) -> None:
        """Stores the path; nothing is created yet."""
        self.path = Path(path)

    def names(self) -> set[str]:
        """Names of the files in it; none if it does not exist.

        Raises:
            NotADirectoryError: if it is a file.
        """
        return {file.name for file in self.path.iterdir()} if self.path.exists() else set()

    def open(self, name: str, whole: bool = False) -> BinaryIO:
        """A file to read; `whole` says that all of it is needed.

        Raises:
            OSError: if there is none, or it is a pipe or a device.
        """
        return open_to_read(self.path / name)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write, which appears under its name when everything is on the disk."""
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.path / name, follow_links=False) as file:
            yield file

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        (self.path / name).unlink(missing_ok=True)

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)


class RemoteFolder:
    """A folder in a file system that fsspec supports."""

    def __init__(self, url: str) -> None:
        """Connects to the file system.

        Raises:
            ModuleNotFoundError: without fsspec, or the package of the protocol.
            ValueError: for an unknown protocol.
        """
        optional("fsspec", "remote")
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        try:
            self.files, self.root = url_to_fs(self.url)
        except ImportError as error:  # fsspec names the package that the protocol needs
            raise ModuleNotFoundError(f"{url} cannot be reached: {error}") from error

    def names(self) -> set[str]:
        """Names of the files in it."""
        self.files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return {str(path).rpartition("/")[2] for path in self.files.ls(self.root, detail=False)}
        return set()

    def open(self, name: str, whole: bool = False) -> Any:
        """A file to read; `whole` says that all of it is needed, so that it is transferred once."""
        path = f"{self.root}/{name}"
        return io.BytesIO(self.files.cat_file(path)) if whole else self.files.open(path, "rb")

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A local file to write, which is then uploaded: an object store shows it only when it is complete."""
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / name
            with local.open("wb") as file:
                yield file
            self.files.makedirs(self.root, exist_ok=True)
            self.files.put_file(str(local), f"{self.root}/{name}")

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(f"{self.root}/{name}")

    def __str__(self) -> str:
        """Its URL."""
        return self.url


Folder = LocalFolder | RemoteFolder


def folder_at(path: str | os.PathLike) -> Folder:
    """The folder of a path or a URL.

    Raises:
        ValueError: for a URL with a password or a token, which messages, logs and lists of processes would show.
    """
    text = os.fspath(path)
    if re.match(r"(https?://[^/@]*|[\w+.:-]+://[^/@]*:[^/]*)@", text):
        raise ValueError(
            "the URL of the folder contains a password or a token: give it to fsspec by its configuration or by a "
            "variable such as FSSPEC_SFTP_PASSWORD, and leave it out of the URL"
        )
    return RemoteFolder(text) if "://" in text else LocalFolder(os.path.expanduser(text))  # noqa: PTH111
