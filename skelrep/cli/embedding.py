"""Poses to embeddings, and search among them: `embed`, `search`."""

from __future__ import annotations

import io
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from skelrep.cli.command import Command, UsageError, positive, whole
from skelrep.cli.options import add_embedding, add_reading, column, embedding_options, load_encoder, read_poses
from skelrep.cli.output import aligned, print_json, say, show
from skelrep.cli.stored import maker, pair


def _add_embed(parser: ArgumentParser) -> None:
    parser.add_argument("poses", nargs="+", help="files or folders of poses (*.embeddings.npy are left out)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="OUT.npy, OUT.npz or OUT.parquet (with ids, labels, times), a folder, or - for .npy on stdout "
        "(default: POSES.embeddings.npy beside each input)",
    )
    parser.add_argument("--split", help="only this split of a file that has several")
    parser.add_argument("--normalize", action="store_true", help="scale each row to length 1")
    parser.add_argument("--window", type=positive, metavar="SECONDS", help="one row per window instead of one per clip")
    parser.add_argument(
        "--stride", type=positive, metavar="SECONDS", help="from one window to the next (default: no overlap)"
    )
    add_reading(parser)
    add_embedding(parser)


def _embed(arguments: Namespace) -> None:
    import numpy as np

    from skelrep.io import EMBEDDINGS
    from skelrep.io import embeddings as stored

    output: Any = arguments.output
    if arguments.stride is not None and arguments.window is None:
        raise UsageError("--stride needs --window")
    # `skelrep embed folder/*` a second time finds what the first time wrote.
    inputs = [name for name in arguments.poses if not name.endswith(f"{EMBEDDINGS}.npy")] or arguments.poses
    each = not output or output.endswith(os.sep) or Path(output).is_dir()
    targets = [_target(Path(name), output) for name in inputs] if each else []
    if twice := sorted({str(target) for target in targets if targets.count(target) > 1}):
        raise UsageError(f"several inputs would be written to {', '.join(twice)}; name one -o FILE.npz for all of them")
    if output == "-":
        if arguments.json:
            raise UsageError("--json and -o - both write to stdout; choose one")
        if sys.stdout is None:
            raise ValueError("-o - writes to stdout, which is closed")
    elif not each:  # said before the work, not after it
        stored.check_output(output)
    encoder = load_encoder(arguments)
    made_by = maker(encoder, arguments.streams)

    def embedded(name: str) -> stored.Embeddings:
        poses = read_poses(name, arguments, arguments.split)
        if arguments.window is not None:
            poses = poses.windows(arguments.window, arguments.stride)
        rows = encoder.embed(poses, **embedding_options(arguments), normalize=arguments.normalize)
        return stored.Embeddings.of(poses, rows, made_by)

    written = []
    if each:
        for name, target in zip(inputs, targets):
            part = embedded(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            stored.save(part, target)
            written.append((str(target), part.rows.shape))
    else:
        whole = stored.Embeddings.concatenate([embedded(name) for name in inputs])
        if output == "-":
            content = io.BytesIO()  # numpy would write to the pipe by its number, and fail in its own words
            np.save(content, whole.rows)
            sys.stdout.buffer.write(content.getbuffer())
        else:
            stored.save(whole, output)
        written.append((output, whole.rows.shape))
    if arguments.json:
        outputs = [{"path": path, "rows": shape[0], "dim": shape[1]} for path, shape in written]
        print_json({"model": encoder.source.name, "commit": encoder.source.commit, "outputs": outputs})
    elif not arguments.quiet:
        for path, shape in written:
            target = "stdout" if path == "-" else path
            say(f"{shape[0]} clip{'s' * (shape[0] != 1)} -> {target} {shape[0]} x {shape[1]}", prefix="")


def _target(path: Path, output: str | None) -> Path:
    """Where the embeddings of one input go: beside it, or into the folder `output`."""
    from skelrep.io import EMBEDDINGS

    if path.is_dir():
        path = path.resolve()  # "." has no name of its own
        stem = path.name
    else:
        stem = path.stem
    return (path.parent if output is None else Path(output)) / f"{stem}{EMBEDDINGS}.npy"


def _add_search(parser: ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="poses, or embeddings written by `skelrep embed`")
    parser.add_argument("bank", metavar="BANK", help="the same; if it is the same file, no clip finds itself")
    parser.add_argument("-k", type=whole, metavar="N", help="number of entries per query (default: 10)")
    parser.add_argument("--leave-one-out", action="store_true", help="BANK has the clips of QUERY, in their order")
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="of BANK, where it has the clips of QUERY: no clip finds one with the same value, for example subject",
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
        print_json({"protocol": found.protocol, "queries": queries})
        return
    names, lines = aligned(asked), aligned(answers)
    for i, (line, similarity) in enumerate(zip(lines, similarities)):
        if i % k == 0:
            show(names[i // k])
        show(f"{i % k + 1:4}  {similarity:6.3f}  {line}")


COMMANDS = (
    Command(
        "embed",
        "poses to embeddings",
        (
            "embed clips.npz                         # writes clips.embeddings.npy beside it",
            "embed long.npz --window 2 --stride 0.5 -o windows.npz",
            "embed clip.npy --skeleton coco-17 -o -  # a .npy to stdout",
        ),
        _add_embed,
        _embed,
    ),
    Command(
        "search",
        "the most similar entries of a bank for each query",
        (
            "search query.npz bank.npz -k 5          # poses, or embeddings written by embed",
            "search clips.npz clips.npz --json       # each clip among all others",
        ),
        _add_search,
        _search,
    ),
)
