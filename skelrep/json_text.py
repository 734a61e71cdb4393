"""Reads JSON files of skelrep and its users; an error is one sentence with the path."""

from __future__ import annotations

import json
import re
import sys
from os import PathLike
from pathlib import Path
from typing import Any

from skelrep.files import read_bytes
from skelrep.messages import one_line

_TOO_LARGE = re.compile(rb"\d{%d}" % (sys.float_info.max_10_exp + 1))


def read_json(path: str | PathLike) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: if it is not JSON in UTF-8, or nested too deeply.
    """
    try:
        text = read_bytes(Path(path))
        check_numbers(text)
        content = json.loads(text)
        check_depth(content)
        return content
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {one_line(error)}") from error


def check_numbers(text: bytes) -> None:
    """Refuses JSON with an integer that is no float: whatever computes with it raises an OverflowError.

    Raises:
        ValueError: if there are more digits in a row than the largest float has.
    """
    if _TOO_LARGE.search(text):
        raise ValueError(f"a number in it has more than {sys.float_info.max_10_exp} digits")


def check_depth(content: Any, most: int = 100) -> None:
    """Refuses JSON that is nested so deeply that functions which follow it exceed Python's limit.

    Raises:
        ValueError: if lists and objects are nested more than `most` times.
    """
    level = [content]
    for _ in range(most + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(f"it is nested more than {most} times")


def read_object(path: str | PathLike) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: if it is not JSON, or contains something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} contains a {type(content).__name__}, not a JSON object")
    return content
