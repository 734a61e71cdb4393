"""`--on-error skip`: reports at the end of a command what it left out."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from skelrep.cli.command import UsageError
from skelrep.cli.output import say
from skelrep.messages import shortened

if TYPE_CHECKING:
    from skelrep.io import ReadReport


def check_report(arguments: Namespace) -> None:
    """Raises an error, before the work, for a `--report` that would stay empty or could not be written."""
    if getattr(arguments, "report", None) is None:
        return
    if arguments.on_error != "skip":
        raise UsageError("--report lists what --on-error skip leaves out; give both")
    if Path(arguments.report).suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"--report takes a .csv or a .json file, got {arguments.report!r}")


def new_report(arguments: Namespace) -> ReadReport:
    """A new report for one call of a reader; `finish` combines all of them."""
    from skelrep.io import ReadReport

    arguments.reports = [*getattr(arguments, "reports", ()), ReadReport()]
    return arguments.reports[-1]


def skipped(arguments: Namespace) -> dict[str, str]:
    """The paths that the command left out, and the reasons."""
    return {path: reason for report in getattr(arguments, "reports", ()) for path, reason in report.skipped}


def finish(arguments: Namespace) -> int:
    """Lists what was skipped on stderr and in `--report`; returns the exit code, 3 if anything was skipped."""
    left_out = skipped(arguments)
    if getattr(arguments, "report", None) is not None:
        _write(Path(arguments.report), left_out)
    if not left_out:
        return 0
    reports = arguments.reports
    reasons = [shortened(reason if path in reason else f"{path}: {reason}", 500) for path, reason in left_out.items()]
    more = f"\n  and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    files = max(report.files for report in reports)
    say(f"{len(left_out)} skipped, {files} files read:\n  " + "\n  ".join(reasons[:3]) + more)
    return 3


def _write(path: Path, left_out: dict[str, str]) -> None:
    import csv
    import io
    import json

    from skelrep.files import replacing

    entries = [{"path": where, "reason": reason} for where, reason in left_out.items()]
    if path.suffix.lower() == ".json":
        text = json.dumps(entries, indent=2) + "\n"
    else:
        table = io.StringIO()
        writer = csv.DictWriter(table, ["path", "reason"])
        writer.writeheader()
        writer.writerows(entries)
        text = table.getvalue()
    with replacing(path) as file:
        file.write(text.encode())
