"""The command line. Only data is written to stdout, everything else to stderr.

Exit codes: 0 done, 1 bad input (one sentence says what), 2 wrong usage, 130 interrupted. An error that is none of the
user's ends in a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from skelrep.cli.command import Command
from skelrep.cli.embedding import COMMANDS as embedding_commands
from skelrep.cli.evaluation import COMMANDS as evaluation_commands
from skelrep.cli.models import COMMANDS as models_commands
from skelrep.cli.options import add_common
from skelrep.cli.pictures import COMMANDS as pictures_commands
from skelrep.cli.poses import COMMANDS as poses_commands
from skelrep.cli.training import COMMANDS as training_commands
from skelrep.messages import nearest

#: In the order of `skelrep --help`.
COMMANDS: tuple[Command, ...] = (
    *embedding_commands,
    *evaluation_commands,
    *poses_commands,
    *pictures_commands,
    *training_commands,
    *models_commands,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words after `skelrep`; those of the process by default.

    Returns:
        The exit code.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 after `--help` and `--version`.
    """
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        import argcomplete

        from skelrep.cli.completion import complete

        argcomplete.autocomplete(whole, default_completer=complete)  # type: ignore[arg-type]
    argv = sys.argv[1:] if argv is None else argv
    names = [command.name for command in COMMANDS]
    if argv and argv[0] not in names and not argv[0].startswith("-"):
        whole.error(f"there is no command {argv[0]!r}{nearest(argv[0], names)} (see skelrep --help)")
    arguments = whole.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            arguments.run(arguments)
        if sys.stdout is not None:  # closed by `>&-`
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ValueError, OSError, ModuleNotFoundError) as error:  # what the library documents; all else is a bug
        if arguments.debug:
            raise
        print(f"skelrep: error: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, for documentation and tests.

    Returns:
        A parser whose one subparsers action has a parser for each of `COMMANDS`, by name. Building it imports neither
        numpy nor torch.
    """
    whole = argparse.ArgumentParser(
        prog="skelrep",
        description="Embeddings of human skeleton sequences from self-supervised encoders.",
        epilog=_examples(command.examples[0] for command in COMMANDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action=_Version)
    subparsers = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        part = subparsers.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=_examples(command.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(part)
        add_common(part)
        part.set_defaults(run=command.run)
    return whole


def _warn(message: Warning | str, *_: Any) -> None:
    """A warning without the line of code that gave it."""
    print(f"skelrep: warning: {message}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _examples(lines: Iterable[str]) -> str:
    return "\n  ".join(("examples:", *(f"skelrep {line}" for line in lines)))


class _Version(argparse.Action):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, nargs=0, help="show the version and exit", **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from skelrep.version import __version__

        print(__version__)
        parser.exit()
