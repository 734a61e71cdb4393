"""Numeric arrays in MATLAB's `.mat` files of version 5 to 7, read without a library.

SciPy's reader trusts the sizes that a file states, so a damaged file can crash the process. This module reads only the
parts that are needed for an array of numbers, and checks each size against the available bytes (MathWorks, "MAT-File
Format").
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np

from skelrep.memory_budget import bounded
from skelrep.messages import one_line

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double, single and integers; others are cells, structures, characters, sparse
_MOST_BYTES = 2**31


def read_mat_array(path: Path, name: str | None = None) -> np.ndarray:
    """The array with a given name, or the only array of numbers with three axes or more.

    Raises:
        ValueError: if the file is of another version or damaged, or does not have exactly one suitable array (the
            message lists its arrays).
    """
    data = path.read_bytes()
    names, several = [], []
    try:
        if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
            raise ValueError("it does not begin like a file of version 5 to 7; save it with -v7")
        order = "<" if data[126:128] == b"IM" else ">"
        at = _HEADER
        while at < len(data):
            kind, raw, at = _element(data, at, order)
            if kind == _COMPRESSED:
                kind, raw, _ = _element(_inflated(raw), 0, order)
            if kind != _MATRIX:
                continue
            found, array = _matrix(raw, order, name)
            names.append(found)
            if array is not None and name is not None:
                return array
            if array is not None and array.ndim > 2:
                several.append(array)
    except (ValueError, struct.error, zlib.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or not a .mat file of numbers ({one_line(error)})") from error
    if len(several) == 1:
        return several[0]
    expected = f"the array {name}" if name is not None else "one array of numbers with three axes or more"
    raise ValueError(f"{path} contains {', '.join(names) or 'nothing'}; expected {expected}")


def _inflated(raw: bytes) -> bytes:
    stream = zlib.decompressobj()
    whole = stream.decompress(raw, _MOST_BYTES)
    if stream.unconsumed_tail:
        raise ValueError("its contents are larger than two gigabytes")
    return whole


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """The type and the bytes of the element at a position, and where the next begins: at multiples of eight bytes."""
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # up to four bytes beside the type
        size, kind = kind >> 16, kind & 0xFFFF
        raw, after = data[at + 4 : at + 4 + size], at + 8
        if size > 4:
            raise ValueError("a small element is larger than four bytes")
    else:
        raw, after = data[at + 8 : at + 8 + size], at + 8 + size
        after += 0 if kind == _COMPRESSED else -size % 8
    if len(raw) != size:
        raise ValueError(f"it states {size} bytes, but {len(raw)} are left")
    return kind, raw, after


def _matrix(data: bytes, order: str, wanted: str | None) -> tuple[str, np.ndarray | None]:
    """The name of an array, and the array if it is the wanted one, or if none is wanted and it is numeric."""
    _, flags, at = _element(data, 0, order)
    _, sizes, at = _element(data, at, order)
    _, name, at = _element(data, at, order)
    called = name.decode("latin-1")
    if wanted not in (None, called):
        return called, None
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    (about,) = struct.unpack_from(order + "I", flags)
    if about & 0xFF not in _NUMERIC_CLASSES or about & 0x0800 or min(shape, default=-1) < 0:
        if wanted is None:
            return called, None
        raise ValueError(f"{wanted} is not an array of real numbers")
    bounded(*shape)
    kind, raw, _ = _element(data, at, order)
    if kind not in _NUMBERS:
        raise ValueError(f"{called} contains numbers of the unknown type {kind}")
    values = np.frombuffer(raw, order + _NUMBERS[kind])
    if len(values) != math.prod(shape):
        raise ValueError(f"{called} contains {len(values)} numbers, expected {' x '.join(map(str, shape))}")
    return called, values.reshape(shape, order="F")
