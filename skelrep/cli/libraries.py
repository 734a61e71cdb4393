"""Libraries of clips: `duplicates`, `cluster`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from skelrep.cli.command import Command, fraction, number, whole
from skelrep.cli.options import add_embedding, add_reading, embedding_options, load_encoder, reading_options
from skelrep.cli.output import print_json, say, write_table
from skelrep.cli.skipping import new_report

if TYPE_CHECKING:
    from skelrep.libraries import Clusters, Duplicates, Library


def _add_library(parser: ArgumentParser, rows: str) -> None:
    parser.add_argument(
        "library",
        nargs="+",
        help="files, folders, patterns in quotes or @LIST of poses; or embeddings: a file or a folder of shards",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", help=f"{rows} as OUT.csv, .json, .jsonl or .parquet (default: CSV on stdout)"
    )


def _add_duplicates(parser: ArgumentParser) -> None:
    _add_library(parser, "groups")
    parser.add_argument(
        "--false-rate",
        type=fraction,
        metavar="F",
        default=0.05,
        help="expected fraction of clips with another recording above the threshold (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold", type=number, metavar="COSINE", help="smallest cosine of duplicates, instead of --false-rate"
    )
    parser.add_argument("--mirrors", action="store_true", help="also compare clips with mirror images")
    parser.add_argument(
        "--trimmed",
        action="store_true",
        help="also compare clips with parts of clips, for copies without 15 to 40 %% of the frames; takes ten times as "
        "long",
    )
    add_reading(parser)
    add_embedding(parser)


def _duplicates(arguments: Namespace) -> None:
    from skelrep.io.records import check_output
    from skelrep.libraries import duplicates

    if arguments.output is not None:
        check_output(arguments.output, "duplicates")
    found = duplicates(
        _library(arguments, mirrors=arguments.mirrors, trimmed=arguments.trimmed),
        threshold=arguments.threshold,
        false_rate=arguments.false_rate,
        mirrors=arguments.mirrors,
        trimmed=arguments.trimmed,
    )
    _write(found, f"{found}", arguments)


def _add_cluster(parser: ArgumentParser) -> None:
    _add_library(parser, "clusters")
    parser.add_argument(
        "-k", type=whole, metavar="N", help="number of clusters (default: the one with the largest silhouette)"
    )
    add_reading(parser)
    add_embedding(parser)


def _cluster(arguments: Namespace) -> None:
    from skelrep.io.records import check_output
    from skelrep.libraries import cluster

    if arguments.output is not None:
        check_output(arguments.output, "clusters")
    found = cluster(_library(arguments), k=arguments.k)
    _write(found, f"{found}", arguments)


def _library(arguments: Namespace, **also: bool) -> Library:
    """The clips or stored embeddings that the arguments name; poses are read and embedded in parts."""
    from skelrep.io import read_parts
    from skelrep.libraries import Library
    from skelrep.libraries.library import stored

    [first, *more] = arguments.library
    if not more and (found := stored(first)) is not None:
        return Library.of_embeddings(found, **also)
    skip = new_report(arguments).skip if arguments.on_error == "skip" else None
    parts = read_parts(arguments.library if more else first, **reading_options(arguments))
    encoder = load_encoder(arguments)
    return Library.of_parts(parts, encoder, **also, skip=skip, **embedding_options(arguments))


def _write(found: Duplicates | Clusters, summary: str, arguments: Namespace) -> None:
    """Writes the table to the output or to stdout, and a summary to stderr."""
    from skelrep.io.records import to_text

    if arguments.output is not None:
        found.save(arguments.output)
    if arguments.json:
        print_json(found.to_dict(), arguments)
    elif arguments.output is None:
        write_table(to_text(dict(found.columns())))
    if not arguments.quiet:
        say(summary if arguments.output is None else f"{summary}\n-> {arguments.output}", prefix="")


COMMANDS = (
    Command(
        "duplicates",
        "find copies of clips: exact, trimmed, noisy, resampled",
        (
            "duplicates motions/ -o groups.csv",
            "duplicates motions/ --mirrors --json",
            "duplicates rows.npz --threshold 0.99 -o groups.csv  # embeddings written by embed",
        ),
        _add_duplicates,
        _duplicates,
    ),
    Command(
        "cluster",
        "group similar clips, with a representative of each group",
        ("cluster motions/ -o clusters.csv", "cluster rows.npz -k 12 -o clusters.csv"),
        _add_cluster,
        _cluster,
    ),
)
