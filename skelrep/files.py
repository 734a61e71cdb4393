"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any


class replacing:  # noqa: N801 - reads as a verb: `with replacing(path) as temporary`
    """Writes a file under a temporary name beside `path` and renames it when all went well.

    So a reader never sees half a file, and what stood there before survives a failure.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        """Takes the final path; its folder must exist."""
        self.path = Path(path)

    def __enter__(self):
        """The temporary file, open for writing bytes."""
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"cannot write {self.path}: the folder {self.path.parent} does not exist")
        if self.path.is_dir():
            raise IsADirectoryError(f"cannot write {self.path}: it is a folder; give the name of a file")
        try:
            self.file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in __exit__
                dir=self.path.parent, prefix=f".{self.path.name}.", delete=False
            )
        except OSError as error:  # named after the file that the caller knows of
            raise type(error)(error.errno, error.strerror, str(self.path)) from error
        return self.file

    def __exit__(self, kind: Any, *rest: Any) -> None:
        """Renames, or cleans up after an error."""
        temporary = Path(self.file.name)
        try:
            self.file.close()
            if kind is None:
                temporary.chmod(0o666 & ~_umask())  # temporary files are private, outputs are not
                temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)  # it is there only if something failed


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
