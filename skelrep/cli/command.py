"""What a command is made of. Nothing heavy is imported here: `skelrep --help` must not wait for numpy or torch."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """One command of `skelrep`.

    Attributes:
        name: As it is typed.
        help: One line, for `skelrep --help`.
        examples: Lines without the leading `skelrep`; the first one is shown by `skelrep --help`, all by
            `skelrep COMMAND --help`.
        add_arguments: Adds the command's own arguments to its parser.
        run: Runs it. A mistake of the user is a `ValueError`, an `OSError` or a `ModuleNotFoundError`.
    """

    name: str
    help: str
    examples: tuple[str, ...]
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
