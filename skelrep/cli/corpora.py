"""`embed -o FOLDER`: embeds a corpus of any size, with progress for terminals, logs and programs."""

from __future__ import annotations

import json
import os
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import UsageError, one_of, whole
from skelrep.cli.options import check_no_unlabelled, embedding_options, reading_options
from skelrep.cli.output import Status, duration, report, say
from skelrep.cli.skipping import new_report
from skelrep.files import check_file, check_parent
from skelrep.messages import shortened

if TYPE_CHECKING:
    from skelrep.corpus import Progress


def add_corpus(parser: ArgumentParser) -> None:
    """Adds the arguments for a folder of shards; see `embed_corpus`."""
    group = parser.add_argument_group("a corpus: -o FOLDER (the extra parquet)")
    group.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="processes that read and embed (default: one per core; with a GPU at most 8)",
    )
    group.add_argument(
        "--refresh",
        action="store_true",
        help="make shards again if their inputs have changed, and all if the encoder or the options have",
    )
    group.add_argument("--shard", type=_shard, metavar="I/N", help="make every N-th shard from shard I on (job arrays)")
    group.add_argument(
        "--shard-size", type=whole, metavar="N", help="clips per shard; files below 1 MB count as one (default: 2048)"
    )
    group.add_argument("--engine", **one_of("local", "ray"), help="ray needs the extra ray (default: local)")
    group.add_argument("--address", metavar="HOST:PORT", help="Ray cluster (default: RAY_ADDRESS, or a new one)")
    group.add_argument("--log", metavar="FILE", help="append a line of JSON for each shard to this file")


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or not int(index) < int(count):
        raise ArgumentTypeError(f"must be I/N with I from 0 to N-1, such as 0/16, got {text!r}")
    return int(index), int(count)


def is_folder(output: str | None) -> bool:
    """Whether an output is a folder of shards: a URL, or a path that ends in / or has no suffix."""
    if output is None or output == "-":
        return False
    return "://" in output or output.endswith(("/", os.sep)) or not Path(output).suffix or Path(output).is_dir()


def check_no_corpus_options(arguments: Namespace) -> None:
    """Raises an error for options of a corpus if the output is not a folder."""
    names = ("workers", "refresh", "shard", "shard_size", "engine", "address", "log")
    if given := [name for name in names if getattr(arguments, name)]:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{option} is for a corpus, whose output is a folder: give -o FOLDER/")


def embed_corpus(inputs: list[str], arguments: Namespace) -> None:
    """Runs `skelrep.corpus.embed` and reports its progress."""
    from skelrep import corpus
    from skelrep.hub import load_pretrained

    if arguments.overwrite:
        raise UsageError("--overwrite is for an output file; for a corpus, use --refresh")
    if arguments.address and arguments.engine != "ray":
        raise UsageError("--address is for a Ray cluster; it needs --engine ray")
    check_no_unlabelled(arguments)
    reading = reading_options(arguments)
    del reading["report"]
    embedding = embedding_options(arguments)
    del embedding["show_progress"]
    shown = _Shown(arguments)
    summary = corpus.embed(
        inputs[0] if len(inputs) == 1 else inputs,
        arguments.output,
        load_pretrained(arguments.model, revision=arguments.revision, device="cpu"),
        split=arguments.split,
        normalize=arguments.normalize,
        window=arguments.window,
        stride=arguments.stride,
        device=arguments.device,
        refresh=arguments.refresh,
        engine=arguments.engine or "local",
        workers=arguments.workers,
        address=arguments.address,
        shard=arguments.shard,
        **({} if arguments.shard_size is None else {"shard_size": arguments.shard_size}),
        on_shard=shown.show,
        **embedding,
        **reading,
    )
    shown.close()
    left_out = new_report(arguments)
    left_out.skipped.extend(summary.skipped)
    left_out.files = summary.inputs - sum(Path(each.path).is_absolute() for each in summary.skipped)  # others are clips
    document = {key: value for key, value in vars(summary).items() if key != "skipped"}
    done = f"{summary.rows} rows x {summary.dim} -> {summary.folder}"
    shards = f"{summary.finished} of {summary.shards} shards" if summary.finished < summary.shards else ""
    made = f"{summary.made} shards made in {duration(summary.seconds)}" if summary.made else "everything was up to date"
    report(arguments, document, f"{done} ({'; '.join(filter(None, (shards, made)))})")


class _Shown:
    """Progress on stderr, warnings, and the log file."""

    def __init__(self, arguments: Namespace) -> None:
        self.log = arguments.log
        self.status = Status(arguments.quiet)
        self.said: set[str] = set()
        if self.log is not None:
            check_parent(Path(self.log))
            check_file(self.log)

    def show(self, progress: Progress) -> None:
        """Shows the progress: continuously in the last line of a terminal, else a line every half minute."""
        if self.log is not None:
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(_line(progress)) + "\n")
        for warning in progress.done.warnings:
            if warning not in self.said and len(self.said) < 20:  # a million files may each have their own
                self.said.add(warning)
                self.status.clear()
                say(f"warning: {shortened(warning, 500)}")
        self.status.show(_text(progress))

    def close(self) -> None:
        """Clears the last line of a terminal."""
        self.status.clear()


def _text(progress: Progress) -> str:
    left = progress.seconds * (1 / progress.fraction - 1) if progress.fraction else 0.0
    speed = progress.rows / progress.seconds if progress.seconds else 0.0
    return (
        f"embed: {100 * progress.fraction:.1f} %, shard {progress.made} of {progress.to_make}, {progress.rows} rows, "
        f"{speed:.0f} rows/s, {duration(left)} left, {progress.skipped} skipped"
    )


def _line(progress: Progress) -> dict[str, Any]:
    done = progress.done
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "shard": done.number,
        "rows": done.rows,
        "seconds": round(done.seconds, 3),
        "skipped": [each._asdict() for each in done.skipped],
        "warnings": done.warnings,
        "made": progress.made,
        "to_make": progress.to_make,
        "fraction": round(progress.fraction, 6),
        "elapsed": round(progress.seconds, 3),
    }
