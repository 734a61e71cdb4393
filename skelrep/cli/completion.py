"""Tab completion in a shell, by argcomplete."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Arguments that take a file or a folder, by their names in the parsers.
_PATHS = {"bank", "checkpoint", "data", "embeddings", "folder", "model", "monitor", "output", "poses", "query"}
_PATHS |= {"body_model", "labels", "pose_model", "report", "results", "subjects", "test", "train", "what"}


def complete(parser: argparse.ArgumentParser) -> None:
    """Prints completions and exits, if a shell requests them."""
    import argcomplete

    argcomplete.autocomplete(parser, default_completer=_offers)  # type: ignore[arg-type]


def _offers(prefix: str, action: argparse.Action, **_: Any) -> list[str]:
    """Known names and files that fit an argument; argcomplete itself offers `choices`."""
    from argcomplete.completers import FilesCompleter

    known: Iterable[str] = ()
    if action.dest in ("model", "what"):
        known = (path.parent.name for path in Path(__file__).parents[1].glob("pretrained/*/config.json"))
    elif action.dest in ("skeleton", "to"):
        from skelrep.skeletons import SKELETONS as known
    elif action.dest == "streams":
        known = ("joint", "bone", "motion")
    elif action.dest == "format":
        from skelrep.io import readers

        known = (reader.name for reader in readers())
    files = FilesCompleter()(prefix) if action.dest in _PATHS else ()
    return [*(name for name in known if name.startswith(prefix)), *files]
