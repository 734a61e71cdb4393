"""Reading PyTorch checkpoints without running code from them, and without a small file filling the memory."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

import torch

from skelrep.files import check_file

# Items of a tuple, including those of nested tuples, each counted as often as it is referred to. The tuples of a tensor
# have about thirty. torch hashes a tuple that is a key of a dict, which takes time proportional to this number.
_MAX_ITEMS = 100_000


def load_checkpoint(path: str | PathLike) -> Any:
    """What `torch.save` wrote, on the CPU: tensors, numbers, strings and plain containers, nothing else.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, or contains anything else; the message gives a reason, without the path.
    """
    path = Path(path)
    check_file(path)
    try:
        for stream in _pickles(path):
            _check_tuples(stream)
        # If the file can be memory-mapped, unused parts, such as the state of an optimiser, are never read.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # neither unpickler has its own exception type: damage can raise any
        raise ValueError(
            "it is damaged, or contains objects other than tensors and plain containers, which are refused because "
            "they could run code"
        ) from error


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".pkl"):
                    with archive.open(info) as stream:
                        yield stream
        return
    with path.open("rb") as stream:  # the format before torch 1.6: five pickles, then the bytes of the tensors
        for _ in range(5):
            yield stream


def _check_tuples(stream: IO[bytes]) -> None:
    """Follows the opcodes of a pickle, and keeps only the sizes of its tuples.

    Raises:
        ValueError: if a tuple has too many items, or the pickle is damaged.
    """
    stack: list[int | None] = []  # items of each tuple, 1 for anything else, None for a mark
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        key = cast(int, argument)
        name = opcode.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[key] = stack[-1] or 1
            continue
        if name == "MEMOIZE":
            memo[len(memo)] = stack[-1] or 1
            continue
        before = [item.name for item in opcode.stack_before]
        taken: list[int] = []
        if "mark" in before:
            while (top := stack.pop()) is not None:
                taken.append(top)
            before = before[: before.index("mark")]
        for _ in before:
            taken.append(stack.pop() or 1)
        if name in ("GET", "BINGET", "LONG_BINGET"):
            made = memo[key]
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            made = 1 + sum(taken)
        elif name == "DUP":
            made = taken[0]
        else:
            made = 1
        if made > _MAX_ITEMS:
            raise ValueError("a tuple in it has too many items")
        for item in opcode.stack_after:
            stack.append(None if item.name == "mark" else made)
