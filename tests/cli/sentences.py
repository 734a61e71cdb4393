"""What the command line says of bad input: one sentence with its facts, and an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from skelrep.cli import main


def check_error(capsys: pytest.CaptureFixture[str], words: Sequence[str], code: int, facts: Iterable[str]) -> None:
    """A command ends with the code and one line on stderr that names the facts."""
    try:
        assert main(words) == code
    except SystemExit as stop:
        assert stop.code == code
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1 and all(fact in err for fact in facts), err
