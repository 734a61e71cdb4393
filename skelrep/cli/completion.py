"""What a shell offers after Tab (through argcomplete)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def complete(prefix: str, action: argparse.Action, **_: Any) -> list[str]:
    """Known names for an argument that takes some, and files."""
    from argcomplete.completers import FilesCompleter

    known: Iterable[str] = ()
    if action.dest in ("model", "what"):
        known = (path.parent.name for path in Path(__file__).parents[1].glob("pretrained/*/config.json"))
    elif action.dest in ("skeleton", "to"):
        from skelrep.skeletons import SKELETONS as known
    elif action.dest == "streams":
        known = ("joint", "bone", "motion")
    return [name for name in known if name.startswith(prefix)] + list(FilesCompleter()(prefix))
