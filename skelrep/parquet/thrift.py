"""Reads structures in the compact protocol of Apache Thrift, in which Parquet describes itself.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DEEPEST = 16  # structures within structures; those of Parquet are less than half as deep


class DamagedError(Exception):
    """The bytes are no such structure."""


class EndError(DamagedError):
    """The bytes end within a structure."""


class Compact:
    """Reads one structure after another from bytes.

    Attributes:
        at: Where the next one begins.
    """

    def __init__(self, data: bytes, claim: Callable[[int], None] = lambda count: None) -> None:
        """Takes the bytes, and a function that is called with the number of structures before they are read."""
        self.data, self.at, self._claim = data, 0, claim

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a structure by their numbers: numbers, bytes, lists, and dictionaries for structures.

        Raises:
            DamagedError: if it is none.
        """
        if depth > _DEEPEST:
            raise DamagedError("its structures are nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 12:
            return self.struct(depth + 1)
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            head = self._byte()
            count, kind = head >> 4 if head >> 4 < 15 else self._unsigned(), head & 15
            if count > len(self.data) - self.at:  # each element takes a byte at least
                raise EndError(f"a list of it has {count} elements")
            if kind == 12:
                self._claim(count)
            return [self._value(kind, depth) for _ in range(count)]
        if kind in (1, 2, 3):
            return self._byte()
        if kind == 7:
            return self._bytes(8)
        raise DamagedError(f"it has a field of the type {kind}")

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise EndError("it ends within a structure")
        self.at += 1
        return self.data[self.at - 1]

    def _unsigned(self) -> int:
        byte = self._byte()
        value = byte & 127
        shift = 7
        while byte > 127:
            if shift > 63:
                raise DamagedError("a number in it has too many bytes")
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
        return value

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise EndError(f"a text of it has {count} bytes")
        self.at += count
        return self.data[self.at - count : self.at]
