"""One small valid input for every format: a file, or a folder of files, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.seeds import arrays, documents, folders, motion_capture, stores, tables
from tests.fuzz.seeds.seed import Seed as Seed

#: Each case exports a run, or trains, or embeds, or measures with a model.
SLOW = ("run", "results", "embedded_folder", "embedded_folder_with_skips", "shards_resumed")

SEEDS: dict[str, Callable[[Path], Seed]] = {
    name: function
    for module in (arrays, tables, documents, motion_capture, stores, folders)
    for name, function in vars(module).items()
    if getattr(function, "__module__", None) == module.__name__ and not name.startswith("_")
}
