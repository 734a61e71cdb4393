"""Embeddings of poses, and search in them: `embed`, `search`."""

from __future__ import annotations

import io
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from skelrep.cli.command import Command, UsageError, positive, whole
from skelrep.cli.corpora import add_corpus, check_no_corpus_options, embed_corpus, is_folder
from skelrep.cli.options import (
    add_embedding,
    add_reading,
    add_stride,
    column,
    embedding_options,
    load_encoder,
    reading_options,
)
from skelrep.cli.output import aligned, print_json, say, show
from skelrep.cli.overwriting import Earlier
from skelrep.cli.skipping import new_report, skipped
from skelrep.cli.stored import pair

if TYPE_CHECKING:
    from skelrep.encoder import Encoder
    from skelrep.io.embeddings import Embeddings


def _add_embed(parser: ArgumentParser) -> None:
    parser.add_argument(
        "poses",
        nargs="+",
        help="files, folders (searched recursively), quoted patterns, @LIST (a file with one path per line) or - "
        "(paths on stdin); files named *.embeddings.* are left out",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="OUT.npz or OUT.parquet (with ids, labels and times), OUT.npy (embeddings only), - for .npy on stdout, or "
        "a folder or URL for a corpus of any size, see below (default: POSES.embeddings.npz next to each input)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an output file that has other rows")
    parser.add_argument("--split", help="use only this split, if the file has several")
    parser.add_argument("--normalize", action="store_true", help="scale each row to length 1")
    parser.add_argument("--window", type=positive, metavar="SECONDS", help="one row per window instead of one per clip")
    add_stride(parser, default="no overlap")
    add_corpus(parser)
    add_reading(parser)
    add_embedding(parser)


def _embed(arguments: Namespace) -> None:
    import numpy as np

    from skelrep.embedding import maker
    from skelrep.io import embeddings as stored

    if arguments.stride is not None and arguments.window is None:
        raise UsageError("--stride needs --window")
    if is_folder(arguments.output):
        embed_corpus(_inputs(arguments), arguments)
        return
    check_no_corpus_options(arguments)
    jobs = _jobs(arguments)
    for _, target in jobs:
        if target == "-":
            if arguments.json:
                raise UsageError("--json and -o - both write to stdout; choose one")
            if sys.stdout is None:
                raise ValueError("-o - writes to stdout, which is closed")
        elif not isinstance(target, Path):  # an error before the work, not after it
            stored.check_output(target)
    encoder = load_encoder(arguments)
    made_by = maker(encoder, arguments.streams)
    written = []
    for inputs, target in jobs:
        earlier = None if target == "-" or arguments.overwrite else Earlier.at(target, made_by)
        table = stored.Embeddings.concatenate(list(_embedded(inputs, encoder, made_by, earlier, arguments)))
        if earlier is not None:
            earlier.finish(table)
        if target == "-":
            content = io.BytesIO()  # numpy would write to a pipe by file descriptor and raise an error of its own
            np.save(content, table.rows)
            sys.stdout.buffer.write(content.getbuffer())
        else:
            stored.save(table, target)
        written.append((str(target), table.rows.shape))
    if arguments.json:
        outputs = [{"path": path, "rows": shape[0], "dim": shape[1]} for path, shape in written]
        document = {"model": encoder.source.name, "commit": encoder.source.commit, "outputs": outputs}
        print_json(document, arguments)
    elif not arguments.quiet:
        for path, shape in written:
            target = "stdout" if path == "-" else path
            say(f"{shape[0]} clip{'s' * (shape[0] != 1)} -> {target} {shape[0]} x {shape[1]}", prefix="")


def _jobs(arguments: Namespace) -> list[tuple[list[str], str | Path]]:
    """The inputs of each output. An output that is a `Path` was named here, not by the caller."""
    inputs = _inputs(arguments)
    if arguments.output:
        return [(inputs, arguments.output)]
    targets = [_target(name) for name in inputs]
    if twice := sorted({str(target) for target in targets if targets.count(target) > 1}):
        raise UsageError(f"several inputs would be written to {', '.join(twice)}; name one -o FILE.npz for all of them")
    return [([name], target) for name, target in zip(inputs, targets)]


def _inputs(arguments: Namespace) -> list[str]:
    """The inputs, without embeddings: the pattern of `skelrep embed folder/*` matches those of an earlier run."""
    from skelrep.io import EMBEDDINGS

    return [name for name in arguments.poses if Path(name).suffixes[-2:-1] != [EMBEDDINGS]] or arguments.poses


def _target(name: str) -> Path:
    """The file for the embeddings of one input, next to it."""
    from skelrep.io import EMBEDDINGS

    path = Path(name.removeprefix("@")).expanduser()
    if not path.exists() and (name == "-" or any(sign in name for sign in "*?[")):
        raise UsageError(f"{name} names several files; name the file for their embeddings with -o FILE.npz")
    if path.is_dir():
        path = path.resolve()  # "." has no name
        stem = path.name
    else:
        stem = path.stem
    return path.parent / f"{stem}{EMBEDDINGS}.npz"


def _embedded(
    inputs: list[str], encoder: Encoder, made_by: str, earlier: Earlier | None, arguments: Namespace
) -> Iterator[Embeddings]:
    """Embeds all clips of the inputs in parts of many clips, so that the poses need not fit into memory."""
    from skelrep.corpus.clips import embedded, merged
    from skelrep.io import read_parts

    some = False
    skip = new_report(arguments).skip if arguments.on_error == "skip" else None
    path = inputs[0] if len(inputs) == 1 else inputs
    for poses in merged(read_parts(path, split=arguments.split, **reading_options(arguments))):
        if arguments.window is not None:
            poses = poses.windows(arguments.window, arguments.stride)
        if earlier is not None and arguments.on_error == "stop":
            earlier.check(poses.ids, poses.info)
        options = embedding_options(arguments) | {"normalize": arguments.normalize}
        for part in embedded(poses, encoder, made_by, skip, **options):
            some = True
            yield part
    if not some:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped(arguments).items())[:3])
        raise ValueError(f"no clip of {', '.join(inputs[:3])} can be embedded: {reasons}")


def _add_search(parser: ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="poses, or embeddings written by `skelrep embed`")
    parser.add_argument("bank", metavar="BANK", help="the same; if it is the same file, no clip is its own result")
    parser.add_argument("-k", type=whole, metavar="N", help="number of entries per query (default: 10)")
    parser.add_argument(
        "--leave-one-out",
        action="store_true",
        help="BANK has the same clips as QUERY, in the same order: no clip is its own result",
    )
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="info column of BANK, which has the same clips as QUERY: leave out results with the query's own value, "
        "for example subject",
    )
    add_reading(parser)
    add_embedding(parser)


def _search(arguments: Namespace) -> None:
    import numpy as np

    from skelrep.evaluate import retrieve

    same = os.path.realpath(arguments.query) == os.path.realpath(arguments.bank)
    query, bank = pair(arguments.query, arguments.query if same else arguments.bank, arguments, labelled=False)
    apart = same or arguments.leave_one_out
    groups = column(bank, arguments.groups, arguments.bank)
    if groups is not None and not apart:
        raise UsageError("--groups leaves the group of a query out of BANK, which must have the clips of QUERY")
    left_out = apart if groups is None else int(np.unique(groups, return_counts=True)[1].max())
    k = max(1, min(10, len(bank.rows) - left_out)) if arguments.k is None else arguments.k
    found = retrieve(query.rows, bank.rows, k=k, leave_one_out=apart, groups=groups)
    asked = [query.about(row) for row in range(len(query.rows))]
    answers = [bank.about(row) for row in found.indices.ravel()]
    similarities = found.similarities.ravel().tolist()
    if arguments.json:
        ranked = [answer | {"similarity": value} for answer, value in zip(answers, similarities)]
        queries = [entry | {"neighbours": ranked[i * k : i * k + k]} for i, entry in enumerate(asked)]
        print_json({"protocol": found.protocol, "queries": queries}, arguments)
        return
    names, lines = aligned(asked), aligned(answers)
    for i, (line, similarity) in enumerate(zip(lines, similarities)):
        if i % k == 0:
            show(names[i // k])
        show(f"{i % k + 1:4}  {similarity:6.3f}  {line}")


COMMANDS = (
    Command(
        "embed",
        "compute embeddings of poses",
        (
            "embed clips.npz                         # writes clips.embeddings.npz next to it",
            "embed long.npz --window 2 --stride 0.5 -o windows.npz",
            "embed recordings -o rows/               # a corpus of any size; run it again to resume",
            "embed clip.npy --skeleton coco-17 -o -  # writes .npy to stdout",
        ),
        _add_embed,
        _embed,
    ),
    Command(
        "search",
        "find the most similar clips of a bank for each query",
        (
            "search query.npz bank.npz -k 5          # poses, or embeddings written by embed",
            "search clips.npz clips.npz --json       # compares each clip with all others",
        ),
        _add_search,
        _search,
    ),
)
