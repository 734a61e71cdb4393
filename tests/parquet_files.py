"""Parquet files that no writer makes: footers with any lists, and with other numbers than the pages."""

from __future__ import annotations

import struct
from pathlib import Path

INTEGER_32, INTEGER_64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12  # types of Thrift's compact protocol


def unsigned(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def integer(value: int) -> bytes:
    return unsigned(value << 1 ^ value >> 63)


def structure(*fields: tuple[int, int, bytes]) -> bytes:
    """The fields (number, type, value) in ascending order."""
    out, last = b"", 0
    for number, kind, value in fields:
        out, last = out + bytes([number - last << 4 | kind]) + value, number
    return out + b"\0"


def listed(count: int, elements: bytes = b"", kind: int = STRUCT) -> bytes:
    """A list that states a number of elements."""
    return (bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + unsigned(count)) + elements


def element(name: bytes, children: int | None = None) -> bytes:
    """An element of a schema: a group with children, or a number."""
    kind = [] if children is not None else [(1, INTEGER_32, integer(1)), (3, INTEGER_32, integer(0))]
    group = [] if children is None else [(5, INTEGER_32, integer(children))]
    return structure(*kind, (4, BINARY, unsigned(len(name)) + name), *group)


def footer(schema: bytes, groups: bytes = b"\x0c", rows: int = 0) -> bytes:
    """The lists of elements of a schema and of row groups."""
    return structure((1, INTEGER_32, integer(2)), (2, LIST, schema), (3, INTEGER_64, integer(rows)), (4, LIST, groups))


def written(path: Path, content: bytes, body: bytes = b"") -> Path:
    """A file of this footer."""
    path.write_bytes(b"PAR1" + body + content + struct.pack("<I", len(content)) + b"PAR1")
    return path


def restated(path: Path, old: int, new: int) -> Path:
    """The file with another number in its footer, everywhere; a number may have more bytes than it needs."""
    data = path.read_bytes()
    size = struct.unpack("<I", data[-8:-4])[0]
    before, changed = integer(old), bytearray(integer(new))
    while len(changed) < len(before):
        changed[-1] |= 128
        changed.append(0)
    body, about = data[4 : -8 - size], data[-8 - size : -8]
    assert before in about
    return written(path, about.replace(before, bytes(changed)), body)
