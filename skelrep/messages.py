"""Parts that messages share: the nearest known name, how to install what is missing, text that is safe to print.

A message names a parameter as `fps=`, with a value as `fps=30` or `skeleton="coco-17"`; the command line shows its
option instead, `--fps 30`.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parent)


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'coco-17'?", or nothing if no known one is near."""
    plain = {item.lower().replace("_", "-"): item for item in known}
    near = difflib.get_close_matches(str(name).lower().replace("_", "-"), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def optional(module: str, extra: str) -> Any:
    """A module that comes with one of the package's extras.

    Raises:
        ModuleNotFoundError: if it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this format needs {install(module, extra)}", name=module) from error


def install(module: str, extra: str) -> str:
    """What is missing and how it is installed: `pyarrow: pip install "pyarrow>=14"`, with the version of the extra."""
    from importlib.metadata import PackageNotFoundError, requires  # slow to import, and seldom needed

    name = module.partition(".")[0].replace("_", "-")
    try:
        lines = requires("skelrep") or []
    except PackageNotFoundError:  # used from a checkout
        lines = []
    extras = [line.partition(";")[0].strip() for line in lines if re.search(f"extra == ['\"]{extra}['\"]", line)]
    [needed, *_] = [line for line in extras if re.match(rf"{re.escape(name)}\b(?!-)", line)] or [name]
    return f'{name}: pip install "{needed}"'


def warn(message: str) -> None:
    """A warning that names the line of the caller's own code, however deep in the package it is given."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def one_line(error: BaseException, most: int = 300) -> str:
    """An error's text without line breaks, of bounded length; its type where it has no text."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def printable(text: str) -> str:
    r"""The text without characters that a terminal would obey: "\x1b[2J" stands for the sequence that clears a screen.

    Line ends and tabs stay, and so do the invisible joiners of some scripts.
    """
    return "".join(
        character
        if character.isprintable() or character in "\n\t\u200c\u200d"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
