"""The command line. Only data is written to stdout, everything else to stderr.

Exit codes: 0 done, 1 bad input (one sentence on stderr), 2 wrong usage, 3 done but some inputs were skipped,
130 interrupted, 143 stopped by SIGTERM. Any other exception is a bug and ends in a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from skelrep.cli.classification import COMMANDS as classification_commands
from skelrep.cli.command import Command, Parser, UsageError
from skelrep.cli.embedding import COMMANDS as embedding_commands
from skelrep.cli.errors import sentence
from skelrep.cli.evaluation import COMMANDS as evaluation_commands
from skelrep.cli.info import COMMANDS as info_commands
from skelrep.cli.libraries import COMMANDS as libraries_commands
from skelrep.cli.models import COMMANDS as models_commands
from skelrep.cli.options import add_common
from skelrep.cli.output import say
from skelrep.cli.pictures import COMMANDS as pictures_commands
from skelrep.cli.poses import COMMANDS as poses_commands
from skelrep.cli.recordings import COMMANDS as recordings_commands
from skelrep.cli.skipping import check_report, finish
from skelrep.cli.training import COMMANDS as training_commands
from skelrep.messages import nearest

EXIT_CODES = """exit codes:
  0 done, 1 bad input, 2 wrong usage, 3 done but some inputs were skipped,
  130 interrupted, 143 stopped by SIGTERM (pretrain saves a checkpoint first)"""

#: In the order of `skelrep --help`.
COMMANDS: tuple[Command, ...] = (
    *embedding_commands,
    *classification_commands,
    *recordings_commands,
    *libraries_commands,
    *evaluation_commands,
    *info_commands,
    *poses_commands,
    *pictures_commands,
    *training_commands,
    *models_commands,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after `skelrep`; by default those of the process.

    Returns:
        The exit code.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 after `--help` and `--version`, 143 if SIGTERM stopped a training.
    """
    if "_ARGCOMPLETE" in os.environ:  # a shell requests completions
        from skelrep.cli.completion import complete

        complete(parser())
    argv = sys.argv[1:] if argv is None else argv
    command = next((command for command in COMMANDS if [command.name] == list(argv[:1])), None)
    if command is None:  # --help and --version exit here as well
        whole = parser(filled=False)
        names = [command.name for command in COMMANDS]
        if argv and not argv[0].startswith("-"):
            whole.error(f"there is no command {argv[0]!r}{nearest(argv[0], names)}")
        whole.check_options(argv[:1])
        whole.parse_args(argv)
        whole.error("the command comes first")
    own = command_parser(command)
    own.check_options(argv[1:])
    return _run(command, own, own.parse_args(argv[1:]))


def parser(*, filled: bool = True) -> Parser:
    """The parser of the whole command line, for completion in a shell and, without options, for `skelrep --help`.

    Building it imports neither numpy nor torch.

    Args:
        filled: Whether the commands have their options, which take most of the time.
    """
    whole = Parser(
        prog="skelrep",
        description="Embeddings of human skeleton sequences from self-supervised encoders.",
        examples=[command.examples[0] for command in COMMANDS],
        notes=EXIT_CODES,
    )
    whole.add_argument("--version", action=_Version)
    subparsers = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = subparsers.add_parser(command.name, help=command.help, **_texts(command))
        if filled:
            _fill(own, command)
    return whole


def command_parser(command: Command) -> Parser:
    """The parser of one command; its help and its section of the documentation are generated from it."""
    own = Parser(prog=f"skelrep {command.name}", **_texts(command))
    _fill(own, command)
    return own


def _texts(command: Command) -> dict[str, Any]:
    return {"description": f"{command.help[0].upper()}{command.help[1:]}.", "examples": command.examples}


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    command.add_arguments(parser)
    add_common(parser)


def _run(command: Command, parser: Parser, arguments: argparse.Namespace) -> int:
    """Runs a command with its parsed arguments and returns the exit code."""
    options = parser.options()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: say(f"warning: {sentence(Warning(message), options)}")
            check_report(arguments)
            code = command.run(arguments) or finish(arguments)
        if sys.stdout is not None:  # closed by `>&-`
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whatever reads stdout has closed it, for example `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except UsageError as error:
        say(f"error: {error} (see {parser.prog} --help)")
        return 2
    except (ValueError, OSError, ModuleNotFoundError) as error:  # the documented errors; any other is a bug
        say("".join(traceback.format_exception(error)) if arguments.debug else f"error: {sentence(error, options)}")
        return 1


class _Version(argparse.Action):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, nargs=0, help="show the version and exit", **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from skelrep.version import __version__

        print(__version__)
        parser.exit()
