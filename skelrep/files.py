"""Atomic writing of files, a check that a path is a regular file, and a memory of what was found in one."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

Found = TypeVar("Found")

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None

#: Error numbers of the system for a file that cannot become longer.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_LITTLE = 1 << 16  # bytes that may be left on a full disk, because file systems reserve some


class replacing:  # noqa: N801 - reads as a verb: `with replacing(path) as temporary`
    """Writes a file under a temporary name in the same folder, and renames it if there was no error.

    A reader never sees a partial file, and an existing file survives a failure, even of the machine. A link is
    followed, and an existing file keeps its permissions. The temporary file of a killed process is removed by the next
    process that writes the same path.

    Args:
        path: The final path; its folder must exist.
        follow_links: False where the name is not the user's choice, such as that of a file in a folder of skelrep,
            which may come from somebody else: a link is then replaced, and what it leads to is not changed.
    """

    def __init__(self, path: str | os.PathLike, follow_links: bool = True) -> None:
        """Stores the path."""
        self.path, self.follow_links = Path(path), follow_links

    def __enter__(self) -> BinaryIO:
        """The temporary file, open for writing bytes.

        Raises:
            OSError: if the folder does not exist, or `path` is a folder, a device or a pipe, or may not be written.
        """
        check_parent(self.path)
        replaced = not self.follow_links and self.path.is_symlink()
        try:
            old = None if replaced else self.path.stat()
        except OSError:
            old = None
        if old is not None and stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(f"cannot write {self.path}: it is a folder; give the name of a file")
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OSError(f"cannot write {self.path}: it is a {_kind(old)}; give the name of a file")
        if old is not None and not os.access(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        self.target = self.path.absolute() if replaced else Path(os.path.realpath(self.path))
        try:
            self.file = _temporary(self.target)
        except OSError as error:  # the message names the caller's file, not the temporary one
            raise type(error)(error.errno, error.strerror, str(self.path)) from error
        if old is not None and os.name == "posix":
            with contextlib.suppress(OSError):  # only root may change the owner
                os.fchown(self.file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(self.file.fileno(), stat.S_IMODE(old.st_mode))
        return self.file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: Any) -> None:
        """Renames the file, or removes it after an error.

        Raises:
            OSError: if the system refused to write, as on a full disk, whichever exception the writer raised.
        """
        temporary, renamed = Path(self.file.name), False
        try:
            if error is not None:
                raise error
            synced(self.file)
            if os.name == "nt":  # Windows cannot rename an open file; elsewhere the lock is held until the end
                self.file.close()
            temporary.replace(self.target)
            renamed = True
        except UnicodeError as failure:  # such as from a file name that is not UTF-8
            raise ValueError(f"cannot write {self.path}: a name or label in it is not Unicode text") from failure
        except Exception as failure:
            if number := self._refused(failure, error):
                written = temporary.stat().st_size if temporary.exists() else 0
                needed = f": more than {written:,} bytes are needed" if number in _FULL else ""
                reason = f"{os.strerror(number)}{needed}; nothing was changed"
                raise OSError(number, reason, str(self.path)) from failure
            if failure is not error:
                raise
        finally:
            if not renamed and os.name != "nt":  # before the lock is released: another writer may then use the name
                temporary.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # closing writes the rest of the buffer, which fails on a full disk
                self.file.close()
            if not renamed and os.name == "nt":
                temporary.unlink(missing_ok=True)

    def _refused(self, failure: Exception, error: BaseException | None) -> int | None:
        """The system's error number if it refused to write this file, whichever exception the writer raised."""
        if self.file.raw.refused is not None:
            return self.file.raw.refused.errno
        if isinstance(failure, OSError) and failure.errno is not None:
            ours = failure.filename is None or error is None  # else the error is about another file, and names it
            return failure.errno if ours else None
        # numpy and safetensors do not write through Python's file, and raise errors without the system's number.
        import shutil  # slow to load, and every command loads this module

        little = shutil.disk_usage(self.target.parent).free < _LITTLE
        return errno.ENOSPC if little and not isinstance(failure, ValueError) else None


class _Raw(io.FileIO):
    """Stores the system's error when writing fails, because some writers raise an exception of their own."""

    refused: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.refused = error
            raise


def synced(file: BinaryIO) -> None:
    """Makes the system write what is still in its memory."""
    file.flush()
    os.fsync(file.fileno())


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes several files of a folder; after a failure before the first is renamed, none is changed.

    Links in the folder are replaced (`replacing`).

    Args:
        folder: The folder; created if it does not exist.
        contents: The content of each file by its name. They are renamed in reverse order, so the first one, which
            describes the others, comes last.

    Raises:
        OSError: as `replacing`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        for name, content in contents.items():
            file = files.enter_context(replacing(folder / name, follow_links=False))
            file.write(content)
            synced(file)  # so that a disk that fails is noticed before the first file is renamed


def check_parent(path: Path) -> None:
    """Raises an error for a file that is to be written into a folder that does not exist.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")


def check_no_link(path: Path) -> None:
    """Raises an error for a folder within a folder of skelrep that is a link, because files would be written elsewhere.

    Raises:
        ValueError: if `path` is a link.
    """
    if path.is_symlink():
        raise ValueError(f"{path} is a link, and what is written there would go elsewhere; remove it first")


def check_file(path: str | os.PathLike) -> None:
    """Raises an error for a path that cannot be read twice or could block forever.

    Raises:
        OSError: if `path` is a pipe, a device or a socket.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise OSError(f"cannot read {os.fspath(path)}: it is a {_kind(found)}; save its content in a file first")


def open_to_read(path: Path) -> BinaryIO:
    """Opens a file; other than Python's own function it does not wait for a pipe.

    Raises:
        OSError: as `read_bytes`.
    """
    check_file(path)
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """The content of a file; other than Python's own function it does not wait for a pipe.

    Raises:
        OSError: if it cannot be read, or `path` is a pipe, a device or a socket.
    """
    check_file(path)
    return path.read_bytes()


def read_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text of a file.

    Args:
        path: The file.
        encoding: As in `open`.
        errors: As in `open`: what happens to bytes that are no such text.

    Raises:
        ValueError: if it is no such text.
        OSError: as `read_bytes`.
    """
    check_file(path)
    try:
        return path.read_text(encoding=encoding, errors=errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from error


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Adds the path of the output to errors of the system that name no file, such as that of a full disk.

    Raises:
        OSError: as within the block, with `path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error


def remembered(find: Callable[..., Found], path: str | os.PathLike, *more: str) -> Found:
    """What `find(path, *more)` finds in a file; it is called again only if the size or the time of the file differ."""
    about = Path(path).stat()
    return _found(find, Path(path), more, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # large files are read one after the other
def _found(find: Callable[..., Any], path: Path, more: tuple[str, ...], *_: int) -> Any:
    return find(path, *more)


def _kind(found: os.stat_result) -> str:
    return "pipe" if stat.S_ISFIFO(found.st_mode) else "socket" if stat.S_ISSOCK(found.st_mode) else "device"


def _temporary(target: Path) -> io.BufferedWriter[_Raw]:
    """A new file in the folder of the target, locked while it is written; an unlocked one may be removed."""
    import hashlib  # as above

    stem = target.name if len(os.fsencode(target.name)) < 200 else hashlib.sha256(target.name.encode()).hexdigest()
    usual = target.with_name(f".{stem}.part")
    _remove_stale(usual)
    for path in (usual, target.with_name(f".{stem}.{os.urandom(8).hex()}.part")):
        with contextlib.suppress(FileExistsError):  # another process is writing the same target
            file = io.BufferedWriter(_Raw(path, "xb"))
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # another process is about to remove it as stale
                    file.close()
                    continue
                except OSError:  # a file system without locks
                    pass
            if os.name == "posix" and os.fstat(file.fileno()).st_nlink == 0:
                file.close()
                continue
            return file
    raise OSError(errno.EAGAIN, "several processes write this file at the same time", str(target))


def _remove_stale(path: Path) -> None:
    """Removes a temporary file whose writer no longer exists."""
    with contextlib.suppress(OSError):  # there is no such file, or its writer is still running
        if fcntl is None:
            path.unlink()
            return
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):  # not replaced by another file meanwhile
                path.unlink()
