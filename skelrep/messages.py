"""Parts of messages: the nearest known name, how to install a missing package, text that is safe to print.

A message names a parameter as `fps=`, and with a value as `fps=30` or `skeleton="coco-17"`; the command line shows the
option `--fps 30` instead.
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
_LONGEST_NAME = 200  # characters of a name that is compared with others, or quoted


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'coco-17'?"; empty if no known name is similar."""
    if len(str(name)) > _LONGEST_NAME:  # comparing takes the product of both lengths
        return ""
    plain = {item.lower().replace("_", "-"): item for item in known if len(item) <= _LONGEST_NAME}
    near = difflib.get_close_matches(str(name).lower().replace("_", "-"), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def optional(module: str, extra: str) -> Any:
    """A module that one of the package's extras installs.

    Raises:
        ModuleNotFoundError: if it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this format needs {install(module, extra)}", name=module) from error


def install(module: str, extra: str) -> str:
    """The package to install, in the extra's version, and how: `pyarrow: pip install "pyarrow>=14"`."""
    from importlib.metadata import PackageNotFoundError, requires  # slow to import and rarely needed

    name = module.partition(".")[0].replace("_", "-")
    try:
        lines = requires("skelrep") or []
    except PackageNotFoundError:  # used from a checkout
        lines = []
    extras = [line.partition(";")[0].strip() for line in lines if re.search(f"extra == ['\"]{extra}['\"]", line)]
    [needed, *_] = [line for line in extras if re.match(rf"{re.escape(name)}\b(?!-)", line)] or [name]
    return f'{name}: pip install "{needed}"'


def warn(message: str) -> None:
    """Warns with the line of the caller outside the package, however deep inside the package this is called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def one_line(error: BaseException, most: int = 600) -> str:
    """An error's text without line breaks, of bounded length; its type if it has no text."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def quoted(names: Iterable[object], most: int = 5) -> str:
    """The first few names for a message, each of bounded length: "'a', 'b' and 3 more"."""
    names = [str(name) for name in names]
    shown = [repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...") for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def shortened(text: str, longest: int = 800) -> str:
    """The text, with its middle left out if it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... ({len(text) - longest} characters left out) ... {text[-half:]}"


def printable(text: str) -> str:
    r"""The text with control characters escaped, such as "\x1b[2J", the sequence that clears a terminal.

    Line ends, tabs and the invisible joiners of some scripts stay.
    """
    return "".join(
        character
        if character.isprintable() or character in "\n\t\u200c\u200d"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def caption(text: str, most: int = 100) -> str:
    """Text of a file for a picture: one line of at most `most` characters; what is too long loses its middle."""
    text = printable(" ".join(text.split()))
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"
