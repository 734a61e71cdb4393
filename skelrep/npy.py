"""Safe reading of untrusted `.npy` and `.npz` files: headers are checked before anything is allocated.

numpy itself trusts a header: impossible shapes, invalid Unicode and members that are not arrays raise many kinds of
errors, and a small compressed archive can take gigabytes. Here all of these raise one kind of error with one sentence.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from skelrep.files import open_to_read, remembered, replacing
from skelrep.memory_budget import COPIES, budget_of
from skelrep.messages import one_line

_MAGIC = b"\x93NUMPY"
_LAST_CODE_POINT = 0x10FFFF


class Archive:
    """An open `.npz`: arrays by name, each checked and read when it is accessed.

    Attributes:
        files: The names of the arrays.
    """

    def __init__(self, path: str | os.PathLike, zipped: zipfile.ZipFile) -> None:
        """Lists the arrays; none is read."""
        self._path, self._zipped = path, zipped
        self._budget = budget_of(path)
        self._members = {info.filename.removesuffix(".npy"): info for info in zipped.infolist()}
        self.files = list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of this name.

        Raises:
            KeyError: if there is none.
            ValueError: if it is damaged, contains objects, or is too large for the archive's size.
        """
        return self._read(name, COPIES - 1)  # the first copy of it is the array that is read

    def padded(self, name: str) -> np.ndarray:
        """The array of this name, most of which may be padding: the reader claims memory for what it keeps.

        Raises:
            KeyError: as above.
            ValueError: as above.
        """
        return self._read(name, 1)

    def _read(self, name: str, copies: int) -> np.ndarray:
        info = self._members[name]
        with self._naming(name):
            self._budget.claim(info.file_size * copies)
            with self._zipped.open(info) as stream:
                _check_header(stream, info.file_size)
            with self._zipped.open(info) as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
            _check_text(array)
            return array

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of the array of this name, without reading it.

        Raises:
            KeyError: if there is none.
            ValueError: if it is damaged, or holds objects.
        """
        info = self._members[name]
        with self._naming(name), self._zipped.open(info) as stream:
            shape, _, dtype = _check_header(stream, info.file_size)
            return shape, dtype

    def mapped(self, name: str) -> np.ndarray:
        """The memory-mapped array of this name, of which only what is asked for is read.

        A compressed one is unpacked into a temporary file, once per process.

        Raises:
            KeyError: if there is none.
            ValueError: if it is damaged, or contains objects, or is too large for the archive's size.
        """
        info = self._members[name]
        with self._naming(name):
            if info.compress_type != zipfile.ZIP_STORED:
                self._budget.claim(info.file_size)
                return remembered(_unpacked, self._path, name)
            with self._zipped.open(info) as stream:
                shape, fortran_order, dtype = _check_header(stream, info.file_size)
                header = stream.tell()
            with Path(self._path).open("rb") as file:  # the entry's own header, of another length
                file.seek(info.header_offset + 26)
                names = sum(struct.unpack("<HH", file.read(4)))
            start = info.header_offset + 30 + names + header
            return _on_disk(self._path, shape, fortran_order, dtype, start)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Turns errors of zipfile, zlib and numpy, of a dozen kinds, into a ValueError that names the array."""
        try:
            yield
        except Exception as error:
            reason = str(error)[:300] if isinstance(error, ValueError) else type(error).__name__
            raise ValueError(f"{self._path}: its array {name[:100]!r} cannot be read ({reason})") from error


def _unpacked(path: Path, name: str) -> np.ndarray:
    """An array of a compressed archive, in a temporary file that is removed when the array is no longer used."""
    with zipfile.ZipFile(path) as zipped, tempfile.TemporaryFile() as file:
        info = next(info for info in zipped.infolist() if info.filename.removesuffix(".npy") == name)
        with zipped.open(info) as stream:
            shape, fortran_order, dtype = _check_header(stream, info.file_size)
            shutil.copyfileobj(stream, file, 2**20)
        return _on_disk(file, shape, fortran_order, dtype, 0)


def _on_disk(file: Any, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype, start: int) -> np.ndarray:
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", start, shape, "F" if fortran_order else "C")


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[np.ndarray | Archive]:
    """The memory-mapped array of a `.npy`, or the open archive of a `.npz`; pickled objects are refused.

    Raises:
        ValueError: if the file is damaged or neither of them.
    """
    with open_to_read(Path(path)) as file:
        is_array = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if is_array:
            yield _mapped(path, file)
            return
        try:
            zipped = zipfile.ZipFile(file)
        except Exception as error:  # a damaged directory fails in as many ways as it has fields
            raise ValueError(f"{path} is damaged or not a NumPy file ({one_line(error)})") from error
        with zipped:
            yield Archive(path, zipped)


def save_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.npz` that can be read without pickle; an existing file is replaced only after all has been written.

    Raises:
        ValueError: if an array contains Python objects, or text that is not Unicode.
        OSError: if the file cannot be written.
    """
    for key, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"{key} contains Python objects; make them integers or strings to save them")
        try:
            _check_text(array)
        except ValueError as error:
            raise ValueError(
                f"cannot write {path}: a name or label in {key} contains text that is not Unicode"
            ) from error
    with replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def holds_one_object(path: Path) -> bool:
    """Whether a file is a `.npy` of a single Python object, such as a dict of arrays."""
    try:
        with path.open("rb") as stream:
            major, _ = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
            return shape == () and bool(dtype.hasobject)
    except Exception:  # numpy parses headers as Python literals, which fail in many ways; `opened` reports the error
        return False


def npz_members(path: Path) -> frozenset[str]:
    """The names of the arrays in a `.npz`, without reading one.

    Raises:
        ValueError: if the file is not a `.npz` or is damaged.
    """
    return remembered(_members, path)  # a file that is read in ranges is recognised anew in each of them


def _members(path: Path) -> frozenset[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except OSError:
        raise
    except Exception as error:  # a damaged directory fails in as many ways as it has fields
        raise ValueError(f"{path} is damaged or not a .npz ({one_line(error)})") from error


def _mapped(path: str | os.PathLike, file: IO[bytes]) -> np.ndarray:
    try:
        _check_header(file, os.fstat(file.fileno()).st_size)
        array = np.lib.format.open_memmap(path, mode="r")
        _check_text(array)
    except Exception as error:  # numpy parses headers as Python literals, which fail in many ways
        raise ValueError(f"{path} is damaged or not a NumPy file ({one_line(error)})") from error
    return array


def _check_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type in the header of a `.npy`.

    Raises:
        ValueError: unless it fits the `size` bytes of the whole.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version in ((2, 0), (3, 0)):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"its format version is {version}")
    if dtype.hasobject:
        raise ValueError(
            "it contains Python objects, but only arrays of numbers and text are read; clips of different lengths can "
            "be saved with np.savez(path, walk=walk, run=run)"
        )
    count = math.prod(shape)  # of Python integers, which do not overflow
    if len(shape) > 32 or any(axis < 0 for axis in shape):
        raise ValueError(f"its shape {str(shape)[:100]} is impossible")
    if dtype.itemsize == 0 and count > size:  # such as a million empty strings, which have no bytes
        raise ValueError(f"its shape {str(shape)[:100]} has more items than the file has bytes")
    if count * dtype.itemsize > size - stream.tell():
        raise ValueError(f"its shape {str(shape)[:100]} of {dtype} needs more bytes than there are")
    return shape, fortran_order, dtype


def _check_text(array: np.ndarray) -> None:
    """Raises a ValueError for text that is not valid Unicode, which numpy would notice only when it is used."""
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > _LAST_CODE_POINT or ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
            raise ValueError("its text is not valid Unicode")
