"""MkDocs hook that generates the page of commands from the argument parsers."""

import argparse
import re
from typing import Any

from skelrep.cli.main import COMMANDS, command_parser

MARKER = re.compile(r"<!-- commands:.*?-->")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replaces the marker on the page by all commands."""
    return MARKER.sub(lambda _: commands(), markdown) if page.file.src_uri == "commands.md" else markdown


def commands() -> str:
    """A section for each command: its description, examples, and tables of its arguments."""
    sections = []
    for command in COMMANDS:
        parser = command_parser(command)
        examples = "\n".join(f"skelrep {line}" for line in command.examples)
        lines = [f"## {command.name}", f"{parser.description}", f"```sh\n{examples}\n```"]
        for group in parser._action_groups:
            if rows := [row(action) for action in group._group_actions if action.dest != "help"]:
                title = {"positional arguments": "arguments"}.get(group.title or "", group.title)
                lines.append(f"| {title} | |\n|---|---|\n" + "\n".join(rows))
        sections.append("\n\n".join(lines))
    return "\n\n".join(sections)


def row(action: argparse.Action) -> str:
    """The row of an argument in its table."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices and action.metavar is None else ""
    value = action.metavar or choices or (action.dest.upper() if action.option_strings else action.dest)
    names = value if isinstance(value, tuple) else (value,)
    if action.nargs == 0:
        shown = ""
    elif action.nargs in ("+", "*"):
        shown = f"{names[0]} ..."
    elif action.nargs == "?":
        shown = f"[{names[0]}]"
    else:
        shown = " ".join(names)
    spelled = ", ".join(f"`{option} {shown}`".replace(" `", "`") for option in action.option_strings) or f"`{shown}`"
    text = (action.help or "") % {"default": action.default, "prog": "skelrep"}
    return f"| {spelled} | {_escaped(text)} |"


def _escaped(text: str) -> str:
    """Text that is safe in a cell of a Markdown table."""
    return re.sub(r"([|*<])", r"\\\1", text)
