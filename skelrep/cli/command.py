"""A command: its arguments and its function. Nothing heavy is imported, so that `--help` does not wait for numpy."""

from __future__ import annotations

import argparse
import datetime
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

from skelrep.messages import nearest, printable


class Command(NamedTuple):
    """One command of `skelrep`.

    Attributes:
        name: The word after `skelrep`.
        help: One line, for `skelrep --help`.
        examples: Lines without the leading `skelrep`; the first one is shown by `skelrep --help`, all by
            `skelrep COMMAND --help`.
        add_arguments: Adds the command's own arguments to its parser.
        run: Runs the command and returns the exit code; None means 0. Bad input raises `ValueError`, `OSError` or
            `ModuleNotFoundError` with one sentence; contradictory arguments raise `UsageError`.
    """

    name: str
    help: str
    examples: tuple[str, ...]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


class UsageError(Exception):
    """Arguments that are wrong regardless of what the files contain: exit code 2."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, which suggests the nearest option."""

    def __init__(self, *, examples: Iterable[str], notes: str = "", **options: Any) -> None:
        """As `argparse.ArgumentParser`; the help ends with the examples and the notes."""
        shown = "\n  ".join(("examples:", *(f"skelrep {line}" for line in examples)))
        epilog = "\n\n".join(filter(None, (shown, notes)))
        super().__init__(epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def options(self) -> dict[str, str]:
        """The longest spelling of every option, by its parameter: {"min_score": "--min-score", "k": "-k"}."""
        actions = [action for action in self._actions if action.option_strings]
        return {action.dest: max(action.option_strings, key=len) for action in actions}

    def check_options(self, words: Sequence[str]) -> None:
        """Exits with code 2 if a long option does not exist; argparse would report a missing argument first."""
        known = self._option_string_actions
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                self.error(f"there is no option {name}{nearest(name, known)}")

    def error(self, message: str) -> NoReturn:
        """Exits with code 2."""
        self.exit(2, f"skelrep: error: {printable(message)} (see {self.prog} --help)\n")


class AddUp(argparse.Action):
    """The action of an option with several values: if it is repeated, its values add up instead of being replaced."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        """Replaces the default by the values of the first occurrence, and extends these."""
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is self.default else [*before, *values])


# -- values of arguments, for the `type` of `add_argument` ------------------------------------------------------------


def one_of(*known: str) -> dict[str, Any]:
    """Keyword arguments of `add_argument` for one of the known values; the error suggests the nearest one."""

    def choice(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}; got {text!r}{nearest(text, known)}")
        return text

    return {"type": choice, "choices": known}


def whole(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def positive(text: str) -> float:
    """A number above 0."""
    if not 0 < (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def moment(text: str) -> float:
    """A time of this day or the next ("06:30"), or a date and a time, as seconds since 1970."""
    now = datetime.datetime.now()
    try:
        if re.fullmatch(r"\d\d:\d\d", text):
            then = datetime.datetime.combine(now, datetime.time.fromisoformat(text))
            return (then if then > now else then + datetime.timedelta(days=1)).timestamp()
        then = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as 06:30 or 2026-11-30T06:30, got {text!r}") from None
    if then.timestamp() <= now.timestamp():
        raise argparse.ArgumentTypeError(f"must be in the future, got {text}")
    return then.timestamp()


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    if not 0 < (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"must be a fraction above 0 and at most 1, got {text!r}")
    return number


def number(text: str) -> float:
    """A finite number."""
    if not math.isfinite(value := _number(text)):
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text!r}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
