"""The command line. Data alone goes to stdout, everything else to stderr.

Exit codes: 0 done, 1 something expected went wrong (one sentence says what), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from skelrep.io.embeddings import Embeddings
    from skelrep.poses import Poses

# Nothing heavy is imported before a command needs it: `skelrep --help` must not wait for torch.

# By command; `skelrep --help` shows the first of each, and `skelrep COMMAND --help` all of its own.
EXAMPLES = {
    "embed": (
        "embed clips.npz                         # writes clips.embeddings.npy beside it",
        "embed long.npz --window 2 --stride 0.5 -o windows.npz",
        "embed clip.npy --skeleton coco-17 -o -  # a .npy to stdout",
    ),
    "search": (
        "search query.npz bank.npz -k 5          # poses, or what embed wrote",
        "search clips.npz clips.npz --json       # each clip among all others",
    ),
    "knn": ("knn train.npz test.npz -k 1 5 20", "knn clips.npz --leave-one-out"),
    "probe": ("probe ntu60_3d.pkl --splits xsub_train xsub_val", "probe train.npz test.npz --groups subject"),
    "info": ("info i2md-small", "info clips.npz --json"),
    "convert": ("convert walk.bvh walk.npz", "convert clips.npz clips.csv --split train"),
    "plot": ("plot clips.npz --clip 3 -o clip.gif", "plot clips.npz -o strip.png --view 90"),
    "explore": ("explore clips.npz -o explorer.html", "explore clips.npz --embeddings rows.npz -o page.html"),
    "convert-cmd": ("convert-cmd checkpoint_0450.pth.tar my-encoder",),
    "prepare": ("prepare a.npz b.npz --to common-15 -o corpus",),
    "pretrain": (
        "pretrain i2md_small --data corpus -o run  # again after a stop: goes on",
        "pretrain i2md --data ntu60 -o run --set epochs=100 --seed 1",
    ),
    "export": ("export run my-encoder --licence cc-by-4.0",),
    "export-onnx": ("export-onnx i2md-small i2md-small.onnx",),
    "protocols": ("protocols my-encoder train.npz test.npz --shares 0.05 0.1",),
    "download": (
        "download ORG/NAME                       # from now on it loads without a network",
        "download ORG/NAME -o my-encoder         # a folder to take elsewhere",
    ),
    "push": ("push my-encoder ORG/NAME --private",),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        import argcomplete

        argcomplete.autocomplete(parser, default_completer=_completions)  # type: ignore[arg-type]
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] not in EXAMPLES and not argv[0].startswith("-"):
        from skelrep.messages import nearest

        parser.error(f"there is no command {argv[0]!r}{nearest(argv[0], EXAMPLES)} (see skelrep --help)")
    arguments = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            arguments.run(arguments)
        if sys.stdout is not None:  # closed by `>&-`
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ValueError, OSError, TypeError, ModuleNotFoundError) as error:
        if arguments.debug:
            raise
        print(f"skelrep: error: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _warn(message: Warning | str, *_: Any) -> None:
    """A warning as a user wants it: without the line of code that gave it."""
    print(f"skelrep: warning: {message}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _completions(prefix: str, action: argparse.Action, **_: Any) -> list[str]:
    """What a shell offers for an argument: names where some are known, and files."""
    from argcomplete.completers import FilesCompleter

    known: Iterable[str] = ()
    if action.dest in ("model", "what"):
        known = (path.parent.name for path in Path(__file__).parents[1].glob("pretrained/*/config.json"))
    elif action.dest in ("skeleton", "to"):
        from skelrep.skeletons import SKELETONS as known
    elif action.dest == "streams":
        known = ("joint", "bone", "motion")
    return [name for name in known if name.startswith(prefix)] + list(FilesCompleter()(prefix))


def _examples(lines: Iterable[str]) -> str:
    return "\n  ".join(("examples:", *(f"skelrep {line}" for line in lines)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skelrep",
        description="Embeddings of human skeleton sequences from self-supervised encoders.",
        epilog=_examples(texts[0] for texts in EXAMPLES.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, parents: list[argparse.ArgumentParser], help: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            parents=parents,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=_examples(EXAMPLES[name]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="one JSON document on stdout")
    every.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    every.add_argument("--debug", action="store_true", help="show the traceback of an error")

    reading = argparse.ArgumentParser(add_help=False)
    group = reading.add_argument_group("reading poses")
    group.add_argument("--format", help="the files' format, if their names do not tell")
    group.add_argument("--layout", help="axes of an array: letters out of N, M, T, V, C, for example NCTVM")
    group.add_argument("--skeleton", help="what the joints are: a known skeleton's name, or names with commas between")
    group.add_argument("--fps", type=float, help="frames a second, if the file does not tell")
    group.add_argument(
        "--scale", nargs="+", type=float, metavar="FACTOR", help="of coordinates, or one an axis: 0.001 for millimetres"
    )
    group.add_argument("--min-score", type=float, metavar="SCORE", help="joints of lower confidence are missing")

    embedding = argparse.ArgumentParser(add_help=False)
    group = embedding.add_argument_group("embedding")
    group.add_argument(
        "-m", "--model", default="i2md-small", help="bundled name, folder or Hub id (default: %(default)s)"
    )
    group.add_argument("--revision", help="branch, tag or commit of a Hub model")
    group.add_argument("--streams", nargs="+", metavar="STREAM", help="some of the encoder's: joint, bone, motion")
    group.add_argument("--batch-size", type=int, metavar="N", help="clips at once")
    group.add_argument("--device", help="cpu, cuda, cuda:1 (default: the best there is)")
    group.add_argument("--precision", default="float32", help="float32, bfloat16 or int8 (default: %(default)s)")

    command = add("embed", parents=[every, reading, embedding], help="poses to embeddings")
    command.add_argument("poses", nargs="+", help="files or folders that hold poses (*.embeddings.npy are passed over)")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="OUT.npy, OUT.npz or OUT.parquet (with ids, labels, times), a folder, or - for .npy on stdout; "
        "by default POSES.embeddings.npy beside each input",
    )
    command.add_argument("--split", help="only this split of a file that has several")
    command.add_argument("--normalize", action="store_true", help="rows of length 1")
    command.add_argument("--window", type=float, metavar="SECONDS", help="one row a window instead of one a clip")
    command.add_argument("--stride", type=float, metavar="SECONDS", help="from window to window (default: no overlap)")
    command.set_defaults(run=_embed)

    command = add("search", [every, reading, embedding], "the entries of a bank that are most like each query")
    command.add_argument("query", metavar="QUERY", help="poses, or embeddings that `skelrep embed` wrote")
    command.add_argument("bank", metavar="BANK", help="likewise; if it is the same file, no clip finds itself")
    command.add_argument("-k", type=int, metavar="N", help="entries for each query (default: 10)")
    command.add_argument("--leave-one-out", action="store_true", help="BANK has the clips of QUERY, in their order")
    command.set_defaults(run=_search)

    judging = argparse.ArgumentParser(add_help=False)
    judging.add_argument("train", help="labelled poses, or embeddings that `skelrep embed` wrote")
    judging.add_argument("test", nargs="?", help="likewise; or give --splits")
    judging.add_argument("--splits", nargs=2, metavar=("TRAIN", "TEST"), help="two splits of the one file")

    command = add("knn", parents=[every, judging, reading, embedding], help="nearest-neighbour accuracy of embeddings")
    command.add_argument("-k", nargs="+", type=int, default=[1, 5, 20], help="neighbours (default: 1 5 20)")
    command.add_argument("--metric", default="cosine", help="cosine or euclidean")
    command.add_argument("--weights", default="uniform", help="votes: uniform or softmax")
    command.add_argument("--leave-one-out", action="store_true", help="judge every clip of TRAIN by all others")
    command.set_defaults(run=_knn)

    command = add("probe", parents=[every, judging, reading, embedding], help="linear-probe accuracy of embeddings")
    command.add_argument("--groups", metavar="COLUMN", help="info column kept together in cross-validation: subject")
    command.set_defaults(run=_probe)

    command = add("info", parents=[every, reading], help="what a model or a file holds")
    command.add_argument("what", metavar="MODEL|FILE")
    command.set_defaults(run=_info)

    command = add("convert", parents=[every, reading], help="poses of any format to one of skelrep's")
    command.add_argument("poses", metavar="IN", help="a file or folder that holds poses")
    command.add_argument(
        "output", metavar="OUT", help="OUT.npz keeps everything; OUT.parquet, OUT.csv, OUT.npy keep less"
    )
    command.add_argument("--split", help="only this split of a file that has several")
    command.set_defaults(run=_convert)

    command = add("plot", parents=[every, reading], help="draw a clip: its motion or some moments")
    command.add_argument("poses", metavar="CLIP", help="a file or folder that holds poses")
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.gif moves, OUT.png shows moments")
    command.add_argument("--clip", metavar="ID|INDEX", help="one of several clips (default: the first)")
    command.add_argument(
        "--view", type=float, default=30.0, metavar="DEGREES", help="around the person, from the front (default: 30)"
    )
    command.add_argument(
        "--pictures", type=float, metavar="N", help="pictures a second of a .gif (default: 25 at most)"
    )
    command.set_defaults(run=_plot)

    command = add(
        "explore", parents=[every, reading, embedding], help="a page to look through clips by their embeddings"
    )
    command.add_argument("poses", help="a file or folder that holds poses")
    command.add_argument("-o", "--output", required=True, metavar="OUT.html", help="one page that needs no network")
    command.add_argument("--embeddings", metavar="FILE", help="what `skelrep embed` wrote of the same poses")
    command.add_argument("--labels", metavar="COLUMN", help="info column to colour by, instead of the labels")
    command.add_argument("--map", default="pca", help="pca, or umap if umap-learn is installed (default: pca)")
    command.set_defaults(run=_explore)

    command = add("convert-cmd", parents=[every], help="a training checkpoint of the public CMD code to a model folder")
    command.add_argument("checkpoint", help="checkpoint_0450.pth.tar or the like; no pickle in it is executed")
    command.add_argument("output", metavar="FOLDER", help="gets config.json, model.safetensors and README.md")
    command.set_defaults(run=_convert_cmd)

    command = add("prepare", parents=[every, reading], help="poses to a training corpus that is mapped into memory")
    command.add_argument("poses", nargs="+", help="files or folders of three-dimensional poses")
    command.add_argument("-o", "--output", required=True, metavar="CORPUS", help="a new folder")
    command.add_argument("--to", metavar="SKELETON", help="map all poses to this one (i2md_small: common-15)")
    command.add_argument(
        "--splits", nargs="+", default=[], metavar="SPLIT", help="clips in all of these: ntu60 xsub_train"
    )
    command.add_argument("--licence", help="of the data, for model cards")
    command.set_defaults(run=_prepare)

    command = add("pretrain", parents=[every], help="train an encoder without labels, or go on with it")
    command.add_argument("recipe", help="i2md_small; moco, cmd, i2md (NTU RGB+D); moco_pku, cmd_pku, i2md_pku")
    command.add_argument("--data", required=True, metavar="CORPUS", help="a folder that `skelrep prepare` wrote")
    command.add_argument("-o", "--output", required=True, metavar="RUN", help="gone on with if it holds this run")
    command.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=VALUE", help="of the recipe: steps=100 method.slots=2048"
    )
    command.add_argument("--seed", type=int, help="short for --set seed=N")
    command.add_argument("--monitor", metavar="POSES", help="labelled poses: 1-NN of the frozen encoder on the way")
    command.add_argument("--save-every", type=int, default=200, metavar="STEPS", help="(default: %(default)s)")
    command.add_argument("--device", help="cpu, cuda (default: the best there is)")
    command.add_argument("--threads", type=int, metavar="N", help="of the processor")
    command.set_defaults(run=_pretrain)

    command = add("export", parents=[every], help="a run's encoder to a model folder, with its card")
    command.add_argument("folder", metavar="RUN")
    command.add_argument("output", metavar="MODEL", help="a new folder, for load_pretrained and push_to_hub")
    command.add_argument("--licence", help="of the weights: cc-by-4.0, cc-by-nc-4.0 ...")
    command.add_argument("--results", metavar="JSON", help="a list of objects: dataset, protocol, metric, value, sd")
    command.add_argument("--note", nargs="+", default=[], metavar="SENTENCE", help="what it is good or bad at")
    command.set_defaults(run=_export)

    command = add("export-onnx", [every], "an encoder as an ONNX file, compared with PyTorch")
    command.add_argument("model", help="bundled name, folder or Hub id")
    command.add_argument("output", metavar="OUT.onnx", help="takes prepared poses; gives all streams, fused")
    command.add_argument("--revision", help="branch, tag or commit of a Hub model")
    command.set_defaults(run=_export_onnx)

    command = add(
        "protocols", parents=[every, reading], help="an encoder by the literature's protocols, with all and few labels"
    )
    command.add_argument("model", help="bundled name, folder or Hub id")
    command.add_argument("train", help="labelled poses")
    command.add_argument("test", nargs="?", help="likewise; or give --splits")
    command.add_argument("--splits", nargs=2, metavar=("TRAIN", "TEST"), help="two splits of the one file")
    command.add_argument(
        "--which", nargs="+", default=["knn", "linear", "semi", "finetune"], help="(default: all four)"
    )
    command.add_argument(
        "--shares", nargs="+", type=float, default=[0.01, 0.05, 0.1, 0.2], help="of the labels, for semi"
    )
    command.add_argument("--seeds", type=int, default=5, help="repetitions of semi and finetune (default: 5)")
    command.add_argument("--scratch", action="store_true", help="also the same network from random weights")
    command.add_argument("--groups", metavar="COLUMN", help="info column kept together: subject")
    command.add_argument("--device", help="cpu, cuda (default: the best there is)")
    command.set_defaults(run=_protocols)

    command = add("download", [every], "fetch an encoder from the Hub; prints the folder")
    command.add_argument("model", help="a Hub id (or a bundled name, to copy it)")
    command.add_argument("-o", "--output", metavar="FOLDER", help="copy it into a folder of your own")
    command.add_argument("--revision", help="branch, tag or commit")
    command.set_defaults(run=_download)

    command = add("push", [every], "upload an encoder to the Hub; prints the address of the commit")
    command.add_argument("folder", metavar="DIR", help="what `skelrep export` wrote")
    command.add_argument("repository", metavar="ORG/NAME", help="made if it does not exist")
    command.add_argument("--private", action="store_true", help="a private one; refused if it exists and is public")
    command.add_argument("--message", help="of the commit")
    command.add_argument("--revision", metavar="BRANCH", help="made if it does not exist (default: main)")
    command.add_argument("--replace-card", action="store_true", help="even if there is a README.md")
    command.set_defaults(run=_push)
    return parser


class _Version(argparse.Action):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, nargs=0, help="show the version and exit", **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from skelrep.version import __version__

        print(__version__)
        parser.exit()


# -- commands -------------------------------------------------------------------------------------------------------


def _embed(arguments: argparse.Namespace) -> None:
    import numpy as np

    from skelrep.io import EMBEDDINGS
    from skelrep.io import embeddings as stored

    output: Any = arguments.output
    # `skelrep embed folder/*` a second time meets what the first time wrote.
    inputs = [name for name in arguments.poses if not name.endswith(f"{EMBEDDINGS}.npy")] or arguments.poses
    each = not output or output.endswith(os.sep) or Path(output).is_dir()
    targets = [_target(Path(name), output) for name in inputs] if each else []
    if twice := sorted({str(target) for target in targets if targets.count(target) > 1}):
        raise ValueError(f"several inputs would be written to {', '.join(twice)}; name one -o FILE.npz for all of them")
    if output == "-":
        if arguments.json:
            raise ValueError("--json and -o - both want stdout; choose one")
        if sys.stdout is None:
            raise ValueError("-o - writes to stdout, which is closed")
    elif not each:  # said before the work, not after it
        stored.check_output(output)
    encoder = _encoder(arguments)
    maker = _maker(encoder, arguments.streams)

    def embedded(name: str) -> stored.Embeddings:
        poses = _read(name, arguments, arguments.split)
        if arguments.window is not None:
            poses = poses.windows(arguments.window, arguments.stride)
        elif arguments.stride is not None:
            raise ValueError("--stride needs --window")
        rows = encoder.embed(poses, **_embedding_options(arguments), normalize=arguments.normalize)
        return stored.Embeddings.of(poses, rows, maker)

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
        _print_json({"model": encoder.source.name, "commit": encoder.source.commit, "outputs": outputs})
    elif not arguments.quiet:
        for path, shape in written:
            target = "stdout" if path == "-" else path
            print(f"{shape[0]} clip{'s' * (shape[0] != 1)} -> {target} {shape[0]} x {shape[1]}", file=sys.stderr)


def _search(arguments: argparse.Namespace) -> None:
    from skelrep.evaluate import retrieve

    same = os.path.realpath(arguments.query) == os.path.realpath(arguments.bank)
    query, bank = _pair(arguments.query, arguments.query if same else arguments.bank, arguments, labelled=False)
    apart = same or arguments.leave_one_out
    k = max(1, min(10, len(bank.rows) - apart)) if arguments.k is None else arguments.k
    found = retrieve(query.rows, bank.rows, k=k, leave_one_out=apart)
    asked = [query.about(row) for row in range(len(query.rows))]
    answers = [bank.about(row) for row in found.indices.ravel()]
    similarities = found.similarities.ravel().tolist()
    if arguments.json:
        ranked = [answer | {"similarity": value} for answer, value in zip(answers, similarities)]
        queries = [entry | {"neighbours": ranked[i * k : i * k + k]} for i, entry in enumerate(asked)]
        _print_json({"protocol": found.protocol, "queries": queries})
        return
    names, lines = _aligned(asked), _aligned(answers)
    for i, (line, similarity) in enumerate(zip(lines, similarities)):
        if i % k == 0:
            print(names[i // k])
        print(f"{i % k + 1:4}  {similarity:6.3f}  {line}")


def _knn(arguments: argparse.Namespace) -> None:
    from skelrep.evaluate import knn_eval

    options = {"k": tuple(arguments.k), "metric": arguments.metric, "weights": arguments.weights}
    if arguments.leave_one_out:
        if arguments.test or arguments.splits:
            raise ValueError("--leave-one-out judges TRAIN by itself; give no TEST and no --splits")
        only: Any = _pair(arguments.train, arguments.train, arguments)[0]
        result = knn_eval(only.rows, only.labels, leave_one_out=True, **options)
    else:
        train, test = _train_and_test(arguments)
        result = knn_eval(train.rows, train.labels, test.rows, test.labels, **options)
    _print_result(result, arguments)


def _probe(arguments: argparse.Namespace) -> None:
    from skelrep.evaluate import linear_eval

    train, test = _train_and_test(arguments)
    groups = _column(train, arguments.groups, arguments.train)
    result = linear_eval(train.rows, train.labels, test.rows, test.labels, groups=groups)
    _print_result(result, arguments)


def _info(arguments: argparse.Namespace) -> None:
    path = Path(arguments.what).expanduser()
    if path.exists() and not (path / "config.json").exists():
        poses = _read(str(path), arguments, None)
        frames = [clip.shape[1] for clip in poses.clips]
        facts: dict[str, Any] = {
            "clips": len(poses),
            "persons": sorted({clip.shape[0] for clip in poses.clips}),
            "frames": [min(frames), max(frames)],
            "channels": poses.channels,
            "skeleton": poses.skeleton.name,
            "joints": list(poses.skeleton.joints),
            "fps": poses.fps,
            "labels": None if poses.labels is None else sorted(set(poses.labels.tolist())),
            "info": list(poses.info),
            "missing": float(_missing(poses)),
        }
    else:
        from skelrep.hub import load_pretrained

        encoder = load_pretrained(arguments.what, device="cpu")
        facts = {
            "model": encoder.source.name,
            "commit": encoder.source.commit,
            "dim": encoder.dim,
            "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
            **encoder.config.to_dict(),
        }
    if arguments.json:
        _print_json(facts)
    else:
        print(_outline(facts))


def _convert(arguments: argparse.Namespace) -> None:
    from skelrep.io import write

    poses = _read(arguments.poses, arguments, arguments.split)
    write(poses, arguments.output)
    if arguments.json:
        _print_json({"output": arguments.output, "clips": len(poses), "skeleton": poses.skeleton.name})
    elif not arguments.quiet:
        print(f"{arguments.poses} -> {arguments.output}: {poses!r}", file=sys.stderr)


def _plot(arguments: argparse.Namespace) -> None:
    from skelrep.plot import save

    poses = _read(arguments.poses, arguments, None)
    clip = poses[_index(poses, arguments.clip)]
    save(clip, arguments.output, view=arguments.view, pictures=arguments.pictures)
    if arguments.json:
        _print_json({"output": arguments.output, "clip": clip.ids[0], "clips": len(poses)})
    elif not arguments.quiet:
        others = f", one of {len(poses)} clips," if len(poses) > 1 else ""
        print(f"{clip.ids[0]}{others} -> {arguments.output}", file=sys.stderr)


def _explore(arguments: argparse.Namespace) -> None:
    from skelrep.files import replacing
    from skelrep.plot.explore import page

    poses = _read(arguments.poses, arguments, None)
    labels = _column(poses, arguments.labels, arguments.poses)
    with replacing(arguments.output) as file:  # before the work, so that a folder that is not there is told at once
        if arguments.embeddings is None:
            rows = _encoder(arguments).embed(poses, **_embedding_options(arguments))
        else:
            rows = _rows_of(poses, arguments.embeddings)
        title = Path(arguments.poses).resolve().stem
        text = page(poses, rows, labels=labels, map=arguments.map, title=title).encode()
        file.write(text)
    if arguments.json:
        _print_json({"output": arguments.output, "clips": len(poses), "bytes": len(text)})
    elif not arguments.quiet:
        print(f"{len(poses)} clips -> {arguments.output}, {len(text) / 1e6:.1f} MB", file=sys.stderr)


def _convert_cmd(arguments: argparse.Namespace) -> None:
    from skelrep.hub import convert_cmd

    encoder = convert_cmd(arguments.checkpoint, arguments.output)
    if arguments.json:
        _print_json({"output": arguments.output, "dim": encoder.dim, "streams": list(encoder.config.modalities)})
    elif not arguments.quiet:
        print(f"{arguments.checkpoint} -> {arguments.output}: {encoder!r}", file=sys.stderr)


def _prepare(arguments: argparse.Namespace) -> None:
    from functools import partial

    from skelrep.io import read_parts

    reader = partial(read_parts, **_told(arguments))
    about = _train("prepare").prepare(
        arguments.poses,
        arguments.output,
        skeleton=arguments.to,
        splits=arguments.splits,
        licence=arguments.licence,
        reader=reader,
    )
    if arguments.json:
        _print_json({"output": arguments.output, **about})
    elif not arguments.quiet:
        clips = sum(source["clips"] for source in about["sources"])
        print(f"{clips} clips, {about['hours']:.2f} hours -> {arguments.output}", file=sys.stderr)


def _pretrain(arguments: argparse.Namespace) -> None:
    run = _train("run")
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {arguments.threads}")
        import torch

        torch.set_num_threads(arguments.threads)
    changes = arguments.set + ([] if arguments.seed is None else [f"seed={arguments.seed}"])
    try:
        encoder = run.run(
            arguments.recipe,
            arguments.data,
            arguments.output,
            changes=changes,
            device=arguments.device,
            monitor=arguments.monitor,
            save_every=arguments.save_every,
            show_progress=False if arguments.quiet else None,
        )
    except _train("loop").Stopped as stopped:
        print(f"skelrep: {stopped}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM) from None
    if os.environ.get("RANK", "0") != "0":  # of the processes of `torchrun` one speaks for all
        return
    if arguments.json:
        _print_json({"output": str(Path(arguments.output, "encoder")), "dim": encoder.dim})
    elif not arguments.quiet:
        print(f"{encoder!r} -> {Path(arguments.output, 'encoder')}", file=sys.stderr)


def _export(arguments: argparse.Namespace) -> None:
    encoder = _train("run").export(
        arguments.folder,
        arguments.output,
        licence=arguments.licence,
        results=arguments.results,
        notes=arguments.note,
    )
    if arguments.json:
        _print_json({"output": arguments.output, "dim": encoder.dim})
    elif not arguments.quiet:
        print(f"{arguments.folder} -> {arguments.output}: {encoder!r}", file=sys.stderr)


def _export_onnx(arguments: argparse.Namespace) -> None:
    from skelrep.encoder.onnx import export_onnx
    from skelrep.hub import load_pretrained

    encoder = load_pretrained(arguments.model, revision=arguments.revision, device="cpu")
    difference = export_onnx(encoder, arguments.output)
    size = Path(arguments.output).stat().st_size
    if arguments.json:
        _print_json({"output": arguments.output, "dim": encoder.dim, "bytes": size, "difference": difference})
    elif not arguments.quiet:
        file = f"{arguments.output}, {size / 1e6:.1f} MB"
        print(f"{encoder!r} -> {file}, within {difference:.0e} of PyTorch", file=sys.stderr)


def _download(arguments: argparse.Namespace) -> None:
    from skelrep.hub import download

    folder = download(arguments.model, arguments.output, revision=arguments.revision)
    if arguments.json:
        _print_json({"model": arguments.model, "output": str(folder)})
    else:
        print(folder)


def _push(arguments: argparse.Namespace) -> None:
    from skelrep.hub import push_to_hub

    address = push_to_hub(
        arguments.folder,
        arguments.repository,
        private=arguments.private or None,
        revision=arguments.revision,
        commit_message=arguments.message,
        replace_card=arguments.replace_card,
    )
    if arguments.json:
        _print_json({"repository": arguments.repository, "commit": address})
    else:
        print(address)


def _protocols(arguments: argparse.Namespace) -> None:
    from skelrep.hub import load_pretrained

    train_split, test_split = _splits(arguments)
    train = _read(arguments.train, arguments, train_split)
    test = _read(arguments.test or arguments.train, arguments, test_split)
    table = _train("finetune").protocols(
        load_pretrained(arguments.model, device=arguments.device),
        train,
        test,
        which=arguments.which,
        shares=arguments.shares,
        seeds=arguments.seeds,
        scratch=arguments.scratch,
        groups=_column(train, arguments.groups, arguments.train),
        labelled=Path(arguments.train).stem,
        show_progress=False if arguments.quiet else None,
    )
    _print_result(table, arguments)


# -- parts of commands ------------------------------------------------------------------------------------------------


def _target(path: Path, output: str | None) -> Path:
    """Where the embeddings of one input go: beside it, or into the folder `output`."""
    from skelrep.io import EMBEDDINGS

    if path.is_dir():
        path = path.resolve()  # "." has no name of its own
        stem = path.name
    else:
        stem = path.stem
    return (path.parent if output is None else Path(output)) / f"{stem}{EMBEDDINGS}.npy"


def _train(module: str) -> Any:
    """A module of the training package, which nothing else here knows."""
    return importlib.import_module(f"skelrep.train.{module}")


def _column(known: Any, name: str | None, path: str) -> np.ndarray | None:
    """The info column of that name; None if none is asked for."""
    if name is not None and name not in known.info:
        from skelrep.messages import nearest

        has = ", ".join(known.info) or "none"
        raise ValueError(f"no info column {name!r} in {path}; it has {has}{nearest(name, known.info)}")
    return None if name is None else known.info[name]


def _index(poses: Poses, clip: str | None) -> int:
    """Where a clip stands that is named by its id or its position."""
    if clip is None:
        return 0
    if clip in poses.ids:
        return poses.ids.index(clip)
    if clip.isdecimal() and int(clip) < len(poses):
        return int(clip)
    from skelrep.messages import nearest

    where = f"give an id or a position within 0..{len(poses) - 1}"
    raise ValueError(f"no clip {clip!r}: {where}{nearest(clip, poses.ids)}")


def _rows_of(poses: Poses, name: str) -> np.ndarray:
    """Embeddings that `skelrep embed` wrote of these poses; if they have ids, these tell whether it did."""
    from skelrep.io.embeddings import load

    found = load(name)
    if found is None:
        raise ValueError(f"{name} holds no embeddings; `skelrep embed -o FILE.npz` writes them")
    if found.ids is not None and found.ids.astype(str).tolist() != poses.ids:
        raise ValueError(f"the embeddings in {name} are of other clips, or in another order; embed these poses")
    return found.rows


def _encoder(arguments: argparse.Namespace) -> Any:
    from skelrep.hub import load_pretrained

    return load_pretrained(arguments.model, revision=arguments.revision, device=arguments.device)


def _embedding_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "streams": arguments.streams,
        "batch_size": arguments.batch_size,
        "precision": arguments.precision,
        "show_progress": False if arguments.quiet else None,
    }


def _read(path: str, arguments: argparse.Namespace, split: str | None) -> Poses:
    from skelrep.io import read

    return read(path, split=split, **_told(arguments))


def _told(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the arguments say of the files to read."""
    skeleton = arguments.skeleton
    if skeleton and "," in skeleton:
        skeleton = [name.strip() for name in skeleton.split(",")]
    given = ("format", "layout", "fps", "scale", "min_score")
    return {key: getattr(arguments, key) for key in given} | {"skeleton": skeleton}


def _missing(poses: Poses) -> float:
    import numpy as np

    return sum(np.isnan(clip).sum() for clip in poses.clips) / sum(clip.size for clip in poses.clips)


def _splits(arguments: argparse.Namespace) -> tuple[str | None, str | None]:
    """The splits of the one file, or none of two files."""
    if (arguments.test is None) == (arguments.splits is None):
        raise ValueError("give two files, TRAIN and TEST, or one file and --splits TRAIN TEST")
    return arguments.splits or (None, None)


def _train_and_test(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Embeddings with labels, for which type checkers would ask."""
    return _pair(arguments.train, arguments.test or arguments.train, arguments, splits=_splits(arguments))


def _pair(
    first: str,
    second: str,
    arguments: argparse.Namespace,
    *,
    splits: tuple[str | None, str | None] = (None, None),
    labelled: bool = True,
) -> tuple[Embeddings, Embeddings]:
    """Embeddings of two files, or of two splits of one, by one encoder; what is the same is embedded once."""
    cache: dict[str, Any] = {}
    one = _embeddings(first, splits[0], arguments, cache, labelled)
    alike = (first, splits[0]) == (second, splits[1])
    other = one if alike else _embeddings(second, splits[1], arguments, cache, labelled)
    one.check_comparable(other)
    return one, other


def _embeddings(
    name: str, split: str | None, arguments: argparse.Namespace, cache: dict[str, Any], labelled: bool
) -> Embeddings:
    """Those of a file of poses; of one that `skelrep embed` wrote, those in it."""
    from skelrep.io import members
    from skelrep.io.embeddings import Embeddings, load

    no_labels = f"{name} holds no labels to judge by; an .npz written by Poses.save can"
    if (found := load(name)) is not None:
        if labelled and found.labels is None:
            raise ValueError(no_labels)
        return found if split is None else found.take(members(found.info, split, name))
    poses = _read(name, arguments, split)
    if labelled and poses.labels is None:  # said before the work
        raise ValueError(no_labels)
    if "encoder" not in cache:
        cache["encoder"] = _encoder(arguments)
    rows = cache["encoder"].embed(poses, **_embedding_options(arguments))
    return Embeddings.of(poses, rows, _maker(cache["encoder"], arguments.streams))


def _maker(encoder: Any, streams: Sequence[str] | None) -> str:
    return "@".join(filter(None, encoder.source)) + (f" ({', '.join(streams)})" if streams else "")


def _print_result(result: Any, arguments: argparse.Namespace) -> None:
    if arguments.json:
        _print_json(result.to_dict())
    else:
        print(result)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str))


def _aligned(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Ids, labels and times of `Embeddings.about`, each under each."""
    times = [f"{entry['start']:.2f}-{entry['end']:.2f} s" if "start" in entry else "" for entry in entries]
    cells = [(str(entry["id"]), str(entry.get("label", "")), time) for entry, time in zip(entries, times)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths) if width).rstrip() for line in cells]


def _outline(facts: dict[str, Any], indent: str = "") -> str:
    """Nested facts as indented lines; a list stays on its line."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", _outline(value, indent + "  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            lines.append(f"{indent}{key}: {text}")
    return "\n".join(lines)
