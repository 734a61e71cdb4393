"""What commands write: results to stdout, everything else to stderr, and no control characters."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from skelrep.messages import printable


def report(arguments: argparse.Namespace, document: dict[str, Any], summary: str) -> None:
    """Reports what was done: with `--json` the document on stdout, else, unless `--quiet`, the summary on stderr."""
    if arguments.json:
        print_json(document, arguments)
    elif not arguments.quiet:
        say(summary, prefix="")


def say(text: str, prefix: str = "skelrep: ") -> None:
    """Writes a line to stderr."""
    if sys.stderr is not None:  # closed by `2>&-`
        print(f"{prefix}{printable(text)}", file=sys.stderr)


def is_terminal() -> bool:
    """Whether stderr is a terminal, which can show progress bars."""
    return sys.stderr is not None and sys.stderr.isatty()


class Status:
    """The progress of a long command: in the last line of a terminal, or else a line every half minute."""

    def __init__(self, quiet: bool) -> None:
        """`quiet`: nothing is shown."""
        self.quiet, self.terminal, self.last = quiet, is_terminal(), time.monotonic()

    def show(self, text: str) -> None:
        """Shows the current progress."""
        if self.quiet:
            return
        if self.terminal:
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self.last > STATUS_EVERY:
            self.last = time.monotonic()
            say(text, prefix="")

    def clear(self) -> None:
        """Clears the last line of a terminal, before other text and at the end."""
        if self.terminal and not self.quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


STATUS_EVERY = 30.0  # seconds


def show(text: object) -> None:
    """Writes text to stdout."""
    print(printable(str(text)))


def write_table(text: str) -> None:
    """Writes a table to stdout: as it is, or, if stdout is a terminal, without control characters."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def single_line(value: object) -> str:
    """A value as text on one line, so that an id or a label cannot look like other lines."""
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def print_result(result: Any, arguments: argparse.Namespace) -> None:
    """Prints a result of `skelrep.evaluate`: its text, or with `--json` its `to_dict()`."""
    if arguments.json:
        print_json(result.to_dict(), arguments)
    else:
        show(result)


def print_json(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Prints one JSON document; with `--on-error skip` it lists what was skipped."""
    if getattr(arguments, "on_error", "stop") == "skip":
        left_out = {path: reason for report in getattr(arguments, "reports", ()) for path, reason in report.skipped}
        document = document | {"skipped": left_out}
    text = json.dumps(_plain(document), indent=2, default=str, allow_nan=False)
    print(text.replace("\x7f", "\\u007f"))  # the one control character that json does not escape


def _plain(value: Any) -> Any:
    """The value with None instead of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def aligned(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Ids, labels and times of `Embeddings.about`, in columns."""
    times = [f"{entry['start']:.2f}-{entry['end']:.2f} s" if "start" in entry else "" for entry in entries]
    cells = [
        (single_line(entry["id"]), single_line(entry.get("label", "")), time) for entry, time in zip(entries, times)
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths) if width).rstrip() for line in cells]


def duration(seconds: float) -> str:
    """A readable duration: "2 h 5 min", "40 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def outline(facts: dict[str, Any], indent: str = "") -> str:
    """Nested facts as indented lines; a list stays on one line."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{single_line(key)}:", outline(value, indent + "  ")]
        else:
            text = ", ".join(map(single_line, value)) if isinstance(value, (list, tuple)) else single_line(value)
            lines.append(f"{indent}{single_line(key)}: {text}")
    return "\n".join(lines)
