"""The items of a large list in a pickle, one by one, so that they need not fit into memory together.

A pickle refers to what came before it by number (its memo), and thereby keeps everything alive. Here only what items
usually share is kept: names, types and numbers. If an item refers to anything else of another item, its list cannot be
read item by item.
"""

from __future__ import annotations

import pickle
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.io.safe_pickle import ARRAY, DataType, Unpickler, check_expansion, reading

_LONGEST = 256  # characters or bytes of what is kept
_MOST = 8  # numbers or texts in a tuple that is kept, such as the size of a picture
_KEY = "annotations"  # of the list, where it is in a dict


class PickledList:
    """A list in a pickle, or the `annotations` of a dict in one.

    Attributes:
        rest: What the pickle holds, with this list empty.
    """

    def __init__(self, path: Path, rest: Any, items: list[_Item], memo: _Memo) -> None:
        """Takes what `find` has found."""
        self.rest = rest
        self._path, self._memo = path, memo
        self._items = np.array(items, dtype=np.int64).reshape(-1, 3)

    @classmethod
    def find(cls, path: Path) -> PickledList | None:
        """Reads the pickle once; None if there is no such list, or its items cannot be read one by one.

        Raises:
            ValueError: as `load_pickle`.
        """
        with path.open("rb") as file, reading(path):
            scanner = _Scanner(file, path.stat().st_size)
            try:
                rest = scanner.scan()
            except pickle.UnpicklingError:  # an item shares something with another, or the file is damaged
                return None
            check_expansion(rest, scanner.size)
        return cls(path, rest, scanner.items, scanner.memo) if scanner.items else None

    def __len__(self) -> int:
        """Number of items."""
        return len(self._items)

    def read(self, first: int, last: int) -> list[Any]:
        """The items from one number to another (exclusive).

        Raises:
            ValueError: as `load_pickle`.
        """
        found = []
        with self._path.open("rb") as file, reading(self._path):
            scanner = _Scanner(file, self._path.stat().st_size, self._memo.copy())
            for item in self._items[first:last].tolist():
                found.append(scanner.item(_Item(*item)))
            check_expansion(found, scanner.size)
        return found


class _Item(NamedTuple):
    start: int  # first byte
    end: int  # last byte, exclusive
    known: int  # objects of the memo before it


class _Memo(dict):
    """Objects by the order in which they came, of which some have been forgotten; its length counts those as well."""

    def __init__(self) -> None:
        self.next = 0

    def __len__(self) -> int:
        return self.next

    def __setitem__(self, number: int, value: Any) -> None:
        self.next = max(self.next, number + 1)
        super().__setitem__(number, value)

    def copy(self) -> _Memo:
        """Another one, to which reading may add."""
        other = _Memo()
        dict.update(other, self)
        return other

    def forget(self, first: int) -> None:
        """Forgets what is large, or may hold something large, from one number on."""
        for number in range(first, self.next):
            if not _is_small(self.get(number)):
                self.pop(number, None)


def _is_small(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) <= _MOST and not any(isinstance(part, tuple) for part in value) and all(map(_is_small, value))
    if isinstance(value, (str, bytes)):
        return len(value) <= _LONGEST
    return value is None or value is ARRAY or isinstance(value, (int, float, DataType, types.FunctionType))


class _Scanner(Unpickler):
    """An unpickler that knows where in the file it is, and does not keep the items of the list."""

    def __init__(self, file: Any, size: int, memo: _Memo | None = None) -> None:
        super().__init__(file, size)
        self.size, self.file = size, file
        self.memo: Any = _Memo() if memo is None else memo
        self.items: list[_Item] = []
        self.main: list | None = None  # the list; it is on the stack below `level` marks, under `floor` objects
        self.level = self.floor = 0
        # Where each object above the list begins, and the next one, with the length of the memo there.
        self.begun: list[tuple[int, int]] = []
        self.following = (0, 0)
        self.begin()

    def begin(self) -> None:
        """Empties the stack. Frames are not used: their content follows without a gap."""
        self.read, self.readline, self.readinto = self.file.read, self.file.readline, self.file.readinto
        self.metastack: list[list] = []
        self.stack: list = []
        self.append = self.stack.append
        self.proto = 0

    def scan(self) -> Any:
        """All of the pickle, without the items."""
        tell, dispatch = self.file.tell, self.dispatch
        try:
            while True:
                dispatch[self._opcode()](self)
                if self.main is not None and (above := self._above()) is not None:
                    if above > len(self.begun):
                        if self.begun:
                            self.memo.forget(self.begun[-1][1])
                        self.begun.append(self.following)
                    else:  # an object that is made of several, as by a call
                        del self.begun[above:]
                    self.following = tell(), self.memo.next
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value

    def item(self, item: _Item) -> Any:
        """One item."""
        self.begin()
        self.file.seek(item.start)
        self.memo.next = item.known
        while self.file.tell() < item.end:
            self.dispatch[self._opcode()](self)
        self.memo.forget(item.known)
        [found] = self.stack
        return found

    def _opcode(self) -> int:
        key = self.read(1)
        if not key:
            raise EOFError
        return key[0]

    def _above(self) -> int | None:
        """Number of objects above the list; None within one of them, or where the list is complete."""
        depth = len(self.metastack) - self.level
        if depth == 1:
            return len(self.stack) if self.metastack[-1][-1] is self.main else None
        return len(self.stack) - self.floor if depth == 0 and len(self.stack) >= self.floor else None

    def load_mark(self) -> None:
        stack = self.stack
        if self.main is None and stack and type(stack[-1]) is list:
            alone = len(stack) == 1 and not self.metastack
            if alone or (len(stack) > 1 and stack[-2] == _KEY and len(self.metastack) <= 1):
                self.main, self.level, self.floor = stack[-1], len(self.metastack), len(stack)
        super().load_mark()  # type: ignore[misc]

    def pop_mark(self) -> list:
        if self.main is not None and self.metastack[-1] and self.metastack[-1][-1] is self.main:
            raise pickle.UnpicklingError("the mark is of an item, as protocol 0 writes it")
        return super().pop_mark()  # type: ignore[misc]

    def load_appends(self) -> None:
        if self.main is not None and self.metastack[-1][-1] is self.main:
            self._take(len(self.stack))
            super().pop_mark()  # type: ignore[misc]
        else:
            super().load_appends()  # type: ignore[misc]

    def load_append(self) -> None:
        if self.main is not None and self.stack[-2] is self.main:
            self._take(1)
            self.stack.pop()
        else:
            super().load_append()  # type: ignore[misc]

    def _take(self, count: int) -> None:
        """The items that are complete before the current opcode, of one byte."""
        ends = [at for at, _ in self.begun[1:count]] + [self.file.tell() - 1]
        if len(self.begun) != count:
            raise pickle.UnpicklingError("items of a list begin where others do")
        self.items += [_Item(at, end, known) for (at, known), end in zip(self.begun, ends)]
        self.memo.forget(self.begun[-1][1])
        self.begun = []

    def load_frame(self) -> None:
        self.read(8)


_Scanner.dispatch = Unpickler.dispatch | {
    pickle.MARK[0]: _Scanner.load_mark,
    pickle.APPENDS[0]: _Scanner.load_appends,
    pickle.APPEND[0]: _Scanner.load_append,
    pickle.FRAME[0]: _Scanner.load_frame,
}
