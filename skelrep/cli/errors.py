"""Turns an error of the library into one sentence that names options instead of Python parameters."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from skelrep.messages import printable, shortened

_LONGEST = 2000  # characters; enough for two lists of joint names
# A parameter as the library's messages write it: `fps=`, `fps=30`, `skeleton=["hip", "knee"]`, `leave_one_out=True`.
_VALUE = r"""'[^']*'|"[^"]*"|\([^()]*\)|\[[^\[\]]*\]|[\w.+-]*\w|"""
_PARAMETER = r"(?<![\w./\\-])({names})=(?:({value}))(?!\w)"
_SUBJECT = r"(?:^|(?<=[:;] ))({names})(?= must | is )"


def sentence(error: Exception, options: Mapping[str, str]) -> str:
    """The error's message as one line of bounded length without control characters.

    Args:
        error: What the library raised. Its message names parameters as `fps=` or `fps=30`, or begins "fps must".
        options: The option of the command for each parameter: {"fps": "--fps"}.

    Returns:
        The message with options instead of parameters: `--fps`, `--fps 30`, "--fps must".
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = as_options(" ".join(str(error).split()), options) or type(error).__name__
    return shortened(printable(text), _LONGEST)


def as_options(text: str, options: Mapping[str, str]) -> str:
    """The text with options of the command line instead of Python parameters."""
    names = "|".join(map(re.escape, options))
    text = re.sub(_PARAMETER.format(names=names, value=_VALUE), lambda m: _typed(options[m[1]], m[2]), text)
    return re.sub(_SUBJECT.format(names=names), lambda m: options[m[1]], text)


def _typed(option: str, value: str) -> str:
    """The option followed by a Python value, spelled as on the command line."""
    if value in ("", "True"):  # "pass fps=", a flag
        return option
    if value[0] in "([":
        parts = [part.strip().strip("'\"") for part in value[1:-1].split(",") if part.strip()]
        separator = "," if any(re.search(r"[^\W\d]", part) for part in parts) else " "  # names or numbers
        return f"{option} {separator.join(parts)}"
    return f"{option} {shlex.quote(value.strip(chr(39) + chr(34)))}"
