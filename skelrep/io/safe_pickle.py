"""Reads foreign pickles without executing anything.

An allow-list of *names* is not enough for numpy: with the real `numpy.ndarray` and `numpy.dtype`, a pickle can place an
object array over bytes of its own (`ndarray((1,), object, buffer)`) or give a dtype fields beyond its item size, and
so forge pointers. A file therefore never gets either of them. Each allowed name refers to one of the small functions
below, which check their arguments and build plain arrays. REDUCE calls only these functions, and BUILD fills only
arrays that were made here. Opcodes that data does not need (extension codes and their cache, persistent ids, NEWOBJ,
INST, OBJ, out-of-band buffers, sets) are refused.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from skelrep.files import open_to_read

_OPCODES = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT "
    "BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT "
    "SETITEM SETITEMS GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD"
)
_SCALARS = (str, bytes, int, float, bool, type(None))


class _Refused(Exception):
    """The file contains something other than data; the message continues a sentence that begins with its path."""


def load_pickle(path: str | PathLike) -> Any:
    """The content of a pickle of data: numpy arrays and scalars, numbers, strings, bytes, lists, tuples and dicts.

    Reads protocols 0 to 5, written by Python 2 (its strings are read as latin-1) or 3 and by numpy 1 or 2. An ordered
    dict becomes a dict, and a bytearray becomes bytes. Arrays may be read-only. Arrays of objects may contain only
    numbers and strings.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file asks for anything else (the message names it) or is damaged. Nothing in it was executed.
    """
    path = Path(path)
    with open_to_read(path) as file:
        return _load(file, path.stat().st_size, path)


def _load(stream: IO[bytes], size: int, path: object) -> Any:
    with reading(path):
        found = Unpickler(stream, size).load()
        check_expansion(found, size)
        return found


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Turns what an `Unpickler` raises into a ValueError that names the file."""
    try:
        yield
    except _Refused as refusal:
        raise ValueError(
            f"{path} {refusal}; only numpy arrays, numbers, strings, lists, tuples and dicts are read from a pickle, "
            "and nothing in this one was executed (save the data in this form, or as .npz)"
        ) from None
    # A damaged stream fails in as many ways as there are opcodes; to the user they all mean the same.
    except Exception as error:
        raise ValueError(f"{path} is damaged or not a pickle ({type(error).__name__}: {str(error)[:200]})") from error


def load_pickle_bytes(raw: bytes, name: object) -> Any:
    """The content of a pickle in memory, as for `load_pickle`; messages call it `name`."""
    return _load(io.BytesIO(raw), len(raw), name)


def load_numpy_object(stream: IO[bytes], size: int, path: object) -> Any:
    """The Python object that `np.save` wrote: a `.npy` whose array contains one dict, list or other data.

    Args:
        stream: The `.npy`, open for reading bytes.
        size: Its size in bytes.
        path: Its name in messages.

    Raises:
        ValueError: if it is something else, asks for anything but data, or is damaged. Nothing in it was executed.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    # numpy parses its header as Python literals, which fails in many ways if the header is damaged.
    except Exception as error:
        raise ValueError(f"{path} is damaged or not a NumPy file ({str(error)[:200]})") from error
    if not dtype.hasobject or shape != ():
        raise ValueError(f"{path} contains an array of {dtype} and shape {shape}, expected a single Python object")
    array = _load(stream, size, path)
    if not isinstance(array, np.ndarray) or array.shape != ():
        raise ValueError(f"{path} is damaged: its pickle contains no array of a single object")
    return array.item()


def check_expansion(found: Any, size: int) -> None:
    """Refuses nested lists with shared parts, by which a file of a small size can represent billions of items.

    Counts each list as often as it would be written out, without writing it out.
    """
    most = max(2**20, 16 * size)
    counts: dict[int, int] = {}
    stack: list[tuple[Any, bool]] = [(found, False)]
    pending: set[int] = set()
    while stack:
        item, done = stack.pop()
        if not isinstance(item, (list, tuple, dict)) or id(item) in counts:
            continue
        parts = list(item.values()) if isinstance(item, dict) else item
        if done:
            pending.discard(id(item))
            counts[id(item)] = 1 + sum(counts.get(id(part), 1) for part in parts)
            if counts[id(item)] > most:
                raise _Refused(f"stands for more than {most} items in lists that share their parts")
            continue
        if id(item) in pending:
            raise _Refused("contains a list that contains itself")
        pending.add(id(item))
        stack.append((item, True))
        stack += [(part, False) for part in parts if isinstance(part, (list, tuple, dict)) and id(part) not in counts]


# -- the functions for the allowed names
# ---------------------------------------------------------------------------------

ARRAY = object()  # stands for numpy.ndarray: it is only compared, never called


@dataclass
class DataType:
    """A numpy dtype under construction: BUILD adds the byte order before it is used."""

    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        """The dtype; raises `_Refused` for items without bytes."""
        if self.code.startswith("O"):
            return np.dtype(object)
        dtype = np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]
        if dtype.itemsize == 0:  # any shape would fit zero bytes
            raise _Refused("contains an array of zero-sized items")
        return dtype


def _dtype(code: Any, *_: Any) -> DataType:
    if type(code) is not str or not re.fullmatch(r"[biufc]\d{1,2}|[SU]\d{1,6}|O[48]?", code):
        raise _Refused("contains an array of a dtype that is neither numbers nor strings")
    return DataType(code)


def _size(shape: Any) -> int:
    if type(shape) is not tuple or len(shape) > 32 or not all(type(axis) is int and axis >= 0 for axis in shape):
        raise _Refused("contains an array of impossible shape")
    return math.prod(shape)  # in Python integers, which do not overflow


def _bytes(raw: Any) -> bytes:
    if type(raw) is str:  # as Python 2 wrote it
        return raw.encode("latin1")
    if type(raw) is not bytes:
        raise _Refused("contains an array without its bytes")
    return raw


def _reconstruct(kind: Any, *_: Any) -> np.ndarray:
    if kind is not ARRAY:
        raise _Refused("contains a kind of array that is not numpy.ndarray")
    return np.empty(0, np.int8)


def _from_buffer(raw: Any, dtype: DataType, shape: Any, order: str = "C", axes: Any = None) -> np.ndarray:
    resolved = dtype.numpy()
    if resolved.hasobject:
        raise _Refused("places an array of objects over bytes")
    raw = _bytes(raw)
    if len(raw) != _size(shape) * resolved.itemsize:
        raise _Refused("contains an array whose shape does not fit its bytes")
    if order == "K" and axes is not None:
        return np.ndarray(shape, resolved, raw).transpose(axes)
    return np.ndarray(shape, resolved, raw, order="F" if order == "F" else "C")


def _scalar(dtype: DataType, raw: Any = b"") -> Any:
    return _from_buffer(raw, dtype, ())[()]


def _encode(text: str, encoding: str) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise _Refused("asks for another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""  # how protocols 0 to 2 write empty bytes


def _dict(pairs: Any = ()) -> dict:
    return _filled({}, [part for key, value in pairs for part in (key, value)])


_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): _dict,
}


def _filled(mapping: Any, items: list) -> dict:
    """Puts key, value, key, value ... into a dict."""
    if type(mapping) is not dict:
        raise _Refused("sets items of something that is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Hashing a tuple nested a million deep would overflow the C stack, so no tuples.
        if not isinstance(key, (*_SCALARS, np.generic)):
            raise _Refused(f"has a {type(key).__name__} as key of a dict")
        mapping[key] = value
    return mapping


def _fill_array(array: np.ndarray, state: Any) -> None:
    """Does what `ndarray.__setstate__` does, after checking its arguments."""
    _, shape, dtype, fortran, raw = state
    resolved, count = dtype.numpy(), _size(shape)
    if resolved.hasobject:
        # A single object may be a container, because np.save writes a dict this way. All containers were made here.
        known = (*_SCALARS, dict, list, tuple, np.ndarray) if count == 1 and shape == () else _SCALARS
        if type(raw) is not list or len(raw) != count or not all(type(item) in known for item in raw):
            raise _Refused("contains an array of objects that are not numbers or strings")
    else:
        raw = _bytes(raw)
        if len(raw) != count * resolved.itemsize:
            raise _Refused("contains an array whose shape does not fit its bytes")
    array.__setstate__((1, shape, resolved, bool(fortran), raw))  # type: ignore[arg-type]


# The interpreter written in Python, not the one in C: its opcodes can be selected, and their code can be read.
class Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Reads data from a pickle, as `load_pickle` does, and raises what `reading` turns into a ValueError."""

    stack: list
    dispatch: ClassVar[dict] = {}

    def __init__(self, file: Any, size: int) -> None:
        """Takes a file that is open for reading bytes, and its size."""
        super().__init__(file, encoding="latin1")
        self.blank: dict[int, np.ndarray] = {}  # made by _reconstruct and not filled yet, by id
        # The bytes that calls may create, so that a memoised string is not copied without limit. A regular file
        # contains every byte of its data, and at least one byte for each reference in an array of objects (eight bytes
        # in memory).
        self.budget = 8 * size

    def find_class(self, module: str, name: str) -> Any:
        """What an allowed name stands for."""
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _Refused(f"asks for {ascii(f'{module}.{name}'[:100])}") from None

    def load_reduce(self) -> None:
        """Calls one of the functions above."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not types.FunctionType or type(arguments) is not tuple:
            raise _Refused(f"calls a {type(function).__name__}")
        made = function(*arguments)
        if function is _reconstruct:
            self.blank[id(made)] = made
        self.spend(made)
        self.stack.append(made)

    def load_build(self) -> None:
        """Fills an array that was made here, or adds the byte order to a dtype."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is DataType and type(state) is tuple and len(state) >= 5:
            if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
                raise _Refused("contains a structured array")
            target.order = state[1]
        elif (array := self.blank.pop(id(target), None)) is not None and type(state) is tuple and len(state) == 5:
            _fill_array(array, state)
            self.spend(array)
        else:
            raise _Refused(f"sets the state of a {type(target).__name__}")

    def spend(self, made: Any) -> None:
        """Counts what was made against the size of the file."""
        if isinstance(made, (np.ndarray, np.generic)):
            self.budget -= made.nbytes
        elif isinstance(made, (bytes, dict)):
            self.budget -= len(made)
        if self.budget < 0:
            raise _Refused("makes more data than it has bytes")

    def load_setitem(self) -> None:
        """Sets an item of a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        _filled(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        """Sets items of a dict."""
        items = self.pop_mark()  # type: ignore[attr-defined]
        _filled(self.stack[-1], items)

    def load_dict(self) -> None:
        """Makes a dict of the objects above the mark."""
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append(_filled({}, items))


def _refuse(code: int):
    def refuse(_: Any) -> None:
        raise _Refused(f"uses pickle opcode {bytes([code])!r}, which data does not need")

    return refuse


_ALLOWED = {getattr(pickle, name)[0] for name in _OPCODES.split()}
Unpickler.dispatch = {
    code: load if code in _ALLOWED else _refuse(code)
    for code, load in pickle._Unpickler.dispatch.items()  # type: ignore[attr-defined]
} | {
    pickle.REDUCE[0]: Unpickler.load_reduce,
    pickle.BUILD[0]: Unpickler.load_build,
    pickle.SETITEM[0]: Unpickler.load_setitem,
    pickle.SETITEMS[0]: Unpickler.load_setitems,
    pickle.DICT[0]: Unpickler.load_dict,
    # Read as bytes, because a bytearray would be filled with as many zeros as the file claims before any byte is read.
    pickle.BYTEARRAY8[0]: pickle._Unpickler.load_binbytes8,  # type: ignore[attr-defined]
}
