"""The report of reading many files with `on_error="skip"`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Skipped(NamedTuple):
    """A file that could not be read, and why: one sentence."""

    path: str
    reason: str


@dataclass
class ReadReport:
    """Counts of files and clips; pass an empty one as `skelrep.read(report=...)`.

    Attributes:
        files: Number of files that were read.
        clips: Number of clips in them.
        skipped: Files that could not be read.

    Examples:
        >>> report = ReadReport()
        >>> poses = skelrep.read("recordings", on_error="skip", report=report)
        >>> print(report)
        1500 files with 1500 clips read, 1 skipped: broken.npz: ...
    """

    files: int = 0
    clips: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: Path, error: Exception) -> None:
        """Records a file that could not be read."""
        self.skipped.append(Skipped(str(path), " ".join(str(error).split())))

    def __str__(self) -> str:
        """One sentence with the counts and the first reasons."""
        text = f"{self.files} files with {self.clips} clips read, {len(self.skipped)} skipped"
        if not self.skipped:
            return text
        reasons = [r if p in r else f"{p}: {r}" for p, r in self.skipped[:3]]
        more = f"; and {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""
        return f"{text}: {'; '.join(reasons)}{more}"
