"""The page of commands shows every command and every option."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

from skelrep.cli.main import COMMANDS, command_parser

DOCS = Path(__file__).parents[2] / "docs"


def shown() -> str:
    """The page as the site shows it."""
    spec = importlib.util.spec_from_file_location("commands_hook", DOCS / "assets" / "commands.py")
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="commands.md"))
    return hook.on_page_markdown((DOCS / "commands.md").read_text(encoding="utf-8"), page, None, None)


def test_the_page_has_every_command_option_and_example():
    text = shown()
    sections = dict(zip(COMMANDS, text.split("\n## ")[-len(COMMANDS) :]))
    for command, section in sections.items():
        assert section.startswith(f"{command.name}\n")
        for line in command.examples:
            assert f"skelrep {line}" in section
        for option in command_parser(command).options().values():
            assert option == "--help" or f"`{option}" in section, option
    assert "{float32,bfloat16,int8}" in text and "%(" not in text


def test_every_option_is_explained():
    for command in COMMANDS:
        for action in command_parser(command)._actions:
            assert action.help, f"{command.name} {action.dest}"
