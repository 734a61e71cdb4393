"""What commands write: results to stdout, everything else to stderr, nothing that a terminal would obey."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from skelrep.messages import printable


def report(arguments: argparse.Namespace, document: dict[str, Any], summary: str) -> None:
    """What was done: with `--json` the document on stdout, else the summary on stderr unless `--quiet`."""
    if arguments.json:
        print_json(document, arguments)
    elif not arguments.quiet:
        say(summary, prefix="")


def say(text: str, prefix: str = "skelrep: ") -> None:
    """A line on stderr."""
    if sys.stderr is not None:  # closed by `2>&-`
        print(f"{prefix}{printable(text)}", file=sys.stderr)


def show(text: object) -> None:
    """Text on stdout."""
    print(printable(str(text)))


def print_result(result: Any, arguments: argparse.Namespace) -> None:
    """A result of `skelrep.evaluate`: its own text, or with `--json` its `to_dict()`."""
    if arguments.json:
        print_json(result.to_dict(), arguments)
    else:
        show(result)


def print_json(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    """One JSON document, with what was skipped where `--on-error skip` allows it."""
    if getattr(arguments, "on_error", "stop") == "skip":
        left_out = {path: reason for report in getattr(arguments, "reports", ()) for path, reason in report.skipped}
        document = document | {"skipped": left_out}
    text = json.dumps(_plain(document), indent=2, default=str, allow_nan=False)
    print(text.replace("\x7f", "\\u007f"))  # the one control left unescaped


def _plain(value: Any) -> Any:
    """Without NaN and infinity, which JSON has no words for: null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def aligned(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Ids, labels and times of `Embeddings.about`, in columns."""
    times = [f"{entry['start']:.2f}-{entry['end']:.2f} s" if "start" in entry else "" for entry in entries]
    cells = [(str(entry["id"]), str(entry.get("label", "")), time) for entry, time in zip(entries, times)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths) if width).rstrip() for line in cells]


def outline(facts: dict[str, Any], indent: str = "") -> str:
    """Nested facts as indented lines; a list stays on its line."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", outline(value, indent + "  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            lines.append(f"{indent}{key}: {text}")
    return "\n".join(lines)
