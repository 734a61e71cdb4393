"""Training of encoders: `prepare`, `pretrain`, `export`."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser, Namespace
from pathlib import Path

from skelrep.cli.command import AddUp, Command, moment, one_of, whole
from skelrep.cli.options import add_reading, check_no_unlabelled, reading_options, skeleton
from skelrep.cli.output import Status, duration, is_terminal, report, say


def _add_prepare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "poses", nargs="+", help="three-dimensional poses: files, folders, patterns, @LIST or - for paths on stdin"
    )
    parser.add_argument("-o", "--output", required=True, metavar="CORPUS", help="a new folder")
    parser.add_argument(
        "--to", type=skeleton, metavar="SKELETON", help="map all poses to this skeleton (i2md_small: common-15)"
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        action=AddUp,
        default=[],
        metavar="SPLIT",
        help="keep only clips that are in all of these splits: ntu60 xsub_train",
    )
    parser.add_argument("--licence", help="licence of the data, shown in model cards")
    parser.add_argument(
        "--clean",
        action="store_true",
        help="undo swaps of left and right, and interpolate joints that jump away and back",
    )
    parser.add_argument("--workers", type=whole, metavar="N", help="processes that read (default: one per core)")
    add_reading(parser)


def _prepare(arguments: Namespace) -> None:
    from skelrep.corpus.local import default_workers
    from skelrep.train.prepare import Progress, prepare

    check_no_unlabelled(arguments)
    status = Status(arguments.quiet)

    def shown(progress: Progress) -> None:
        left = progress.seconds * (1 / progress.fraction - 1) if progress.fraction else 0.0
        status.show(
            f"prepare: {100 * progress.fraction:.1f} %, part {progress.parts} of {progress.of}, "
            f"{progress.clips} clips, {progress.files / max(progress.seconds, 1e-3):.0f} files/s, "
            f"{duration(left)} left, {progress.skipped} skipped"
        )

    try:
        about = prepare(
            arguments.poses,
            arguments.output,
            skeleton=arguments.to,
            splits=arguments.splits,
            licence=arguments.licence,
            clean=arguments.clean,
            reading=reading_options(arguments),
            workers=default_workers("cpu") if arguments.workers is None else arguments.workers,
            on_part=shown,
        )
    finally:
        status.clear()
    clips = sum(source["clips"] for source in about["sources"])
    report(
        arguments,
        {"output": arguments.output, **about},
        f"{clips} clips, {about['hours']:.2f} hours -> {arguments.output}",
    )


def _add_pretrain(parser: ArgumentParser) -> None:
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        **one_of("i2md_small", "i2md_stream", "moco", "cmd", "i2md", "moco_pku", "cmd_pku", "i2md_pku"),
        help="i2md_small; i2md_stream (for live streams); moco, cmd, i2md (for NTU RGB+D); moco_pku, cmd_pku, i2md_pku "
        "(for PKU-MMD)",
    )
    parser.add_argument("--data", required=True, metavar="CORPUS", help="a folder written by `skelrep prepare`")
    parser.add_argument(
        "-o", "--output", required=True, metavar="RUN", help="run folder; resumed if it already contains this run"
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="go on training this encoder, instead of random weights: a bundled name, a folder, or ORG/NAME on the Hub",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action=AddUp,
        default=[],
        metavar="FIELD=VALUE",
        help="change fields of the recipe: steps=100 method.slots=2048",
    )
    parser.add_argument("--seed", type=int, help="short for --set seed=N")
    parser.add_argument(
        "--accumulate",
        type=whole,
        metavar="N",
        help="compute each batch in N parts, which takes less memory; short for --set accumulate=N",
    )
    parser.add_argument(
        "--monitor", metavar="POSES", help="labelled poses; their 1-NN accuracy is logged during training"
    )
    parser.add_argument(
        "--save-every",
        type=whole,
        default=200,
        metavar="STEPS",
        help="steps between checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--until",
        type=moment,
        metavar="TIME",
        help="save a checkpoint and stop at this time (06:30, 2026-11-30T06:30), with exit code 143 as for a signal",
    )
    parser.add_argument("--device", help="cpu or cuda (default: the best one available)")
    parser.add_argument("--threads", type=whole, metavar="N", help="number of CPU threads")


def _pretrain(arguments: Namespace) -> None:
    from skelrep.train.loop import Stopped
    from skelrep.train.run import run

    if arguments.threads is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    short = {"seed": arguments.seed, "accumulate": arguments.accumulate}
    changes = arguments.set + [f"{field}={value}" for field, value in short.items() if value is not None]
    try:
        encoder = run(
            arguments.recipe,
            arguments.data,
            arguments.output,
            changes=changes,
            start=arguments.start,
            device=arguments.device,
            monitor=arguments.monitor,
            save_every=arguments.save_every,
            until=arguments.until,
            on_line=None if arguments.quiet or is_terminal() else _show_line,
            show_progress=False if arguments.quiet else None,
        )
    except Stopped as stopped:
        say(str(stopped))
        raise SystemExit(128 + signal.SIGTERM) from None
    if os.environ.get("RANK", "0") != "0":  # only one of the processes of `torchrun` reports
        return
    report(
        arguments,
        {"output": str(Path(arguments.output, "encoder")), "dim": encoder.dim},
        f"{encoder!r} -> {Path(arguments.output, 'encoder')}",
    )


def _show_line(line: dict[str, float], steps: int, left: float) -> None:
    """Writes a line of progress at each checkpoint, if there is no terminal to show a bar."""
    accuracy = f", 1-NN {line['knn/fused']} %" if "knn/fused" in line else ""
    say(
        f"pretrain: step {line['step']} of {steps}, epoch {line['epoch']:.1f}, loss {line['total']:.3f}{accuracy}, "
        f"{line['clips_per_second']} clips/s, {duration(left)} left",
        prefix="",
    )


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="a run folder written by `skelrep pretrain`")
    parser.add_argument("output", metavar="MODEL", help="a new model folder, for load_pretrained and push_to_hub")
    parser.add_argument("--licence", help="licence of the weights: cc-by-4.0, cc-by-nc-4.0 ...")
    parser.add_argument(
        "--results", metavar="JSON", help="file with a list of objects: dataset, protocol, metric, value, sd"
    )
    parser.add_argument(
        "--note",
        nargs="+",
        action=AddUp,
        default=[],
        metavar="SENTENCE",
        help="strengths and limitations, for the model card",
    )


def _export(arguments: Namespace) -> None:
    from skelrep.train.run import export

    encoder = export(
        arguments.folder,
        arguments.output,
        licence=arguments.licence,
        results=arguments.results,
        notes=arguments.note,
    )
    report(
        arguments,
        {"output": arguments.output, "dim": encoder.dim},
        f"{arguments.folder} -> {arguments.output}: {encoder!r}",
    )


COMMANDS = (
    Command(
        "prepare",
        "write poses as a memory-mapped training corpus",
        ("prepare a.npz b.npz --to common-15 -o corpus",),
        _add_prepare,
        _prepare,
    ),
    Command(
        "pretrain",
        "train an encoder without labels, or resume its training",
        (
            "pretrain i2md_small --data corpus -o run  # the same command resumes a stopped run",
            "pretrain i2md --data ntu60 -o run --set epochs=100 --seed 1",
            "pretrain i2md_small --from i2md-small --data corpus -o run --set steps=2000  # adapt it to your own poses",
        ),
        _add_pretrain,
        _pretrain,
    ),
    Command(
        "export",
        "write the encoder of a run as a model folder with a model card",
        ("export run my-encoder --licence cc-by-4.0",),
        _add_export,
        _export,
    ),
)
