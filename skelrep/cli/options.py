"""Arguments that several commands share: each `add_...` function precedes the function that uses its values."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from skelrep.cli.command import AddUp, UsageError, number, one_of, positive, whole
from skelrep.cli.skipping import new_report

if TYPE_CHECKING:
    import numpy as np

    from skelrep.encoder import Encoder
    from skelrep.poses import Poses

Value = TypeVar("Value")


def add_common(parser: ArgumentParser) -> None:
    """Adds the arguments that every command takes."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="write one JSON document to stdout")
    group.add_argument("-q", "--quiet", action="store_true", help="write no progress and no summary")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_reading(parser: ArgumentParser) -> None:
    """Adds the arguments for reading files of poses (see `read_poses`)."""
    group = parser.add_argument_group("reading poses")
    group.add_argument("--format", type=_format, help="format of the files (default: detected)")
    group.add_argument(
        "--layout", type=_layout, help="order of an array's axes, in the letters N, M, T, V, C; for example NCTVM"
    )
    group.add_argument("--skeleton", type=skeleton, help="name of a known skeleton, or joint names separated by commas")
    group.add_argument(
        "--fps",
        type=positive,
        metavar="RATE",
        help="frames per second of the recording, if the file does not state it correctly (nothing is resampled)",
    )
    group.add_argument(
        "--scale",
        nargs="+",
        type=number,
        metavar="FACTOR",
        help="multiply coordinates by FACTOR (one value, or one per axis); 0.001 converts mm to m",
    )
    group.add_argument(
        "--min-score", type=number, metavar="SCORE", help="joints with lower confidence count as missing"
    )
    group.add_argument(
        "--zeros",
        **one_of("missing", "coordinates"),
        help="what coordinates of exactly 0 mean (default: decided from the data)",
    )
    group.add_argument(
        "--channels",
        type=_channels,
        metavar="LETTERS",
        help="numbers of a joint in an array or a table without column names: x, y, z, s for a score, _ for an unused "
        "one; for example xys (default: decided from the data)",
    )
    group.add_argument(
        "--root-offset",
        **one_of("added", "replaced"),
        help="BVH: whether the OFFSET of the root is added to its position channels or replaced by them (default: "
        "decided from the height of the feet)",
    )
    group.add_argument(
        "--labels",
        metavar="WHERE",
        help="where labels are, if not in the files: `folder`, the names of the folders that contain the files "
        "(`folder:2` for the second level); FILE.csv or FILE.csv:COLUMN, a table of clips; or an info column",
    )
    group.add_argument("--subjects", metavar="WHERE", help="as --labels, for the info column `subject`")
    group.add_argument(
        "--unlabelled",
        default="stop",
        **one_of("stop", "skip"),
        help="if the table of --labels does not have a clip: stop, or skip the clip (default: %(default)s)",
    )
    group.add_argument(
        "--on-error",
        default="stop",
        **one_of("stop", "skip"),
        help="if a file cannot be read: stop, or skip it and exit with code 3 at the end (default: %(default)s)",
    )
    group.add_argument(
        "--report", metavar="FILE", help="with --on-error skip: list what was skipped in this .csv or .json file"
    )
    group.add_argument("--body-model", metavar="PATH", help="SMPL body model, for files of SMPL rotations (AMASS)")
    group.add_argument(
        "--pose-model",
        metavar="FILE",
        help="MediaPipe model bundle (.task) that detects persons in videos (default: SKELREP_POSE_MODEL)",
    )


def reading_options(arguments: Namespace) -> dict[str, Any]:
    """The arguments of `add_reading` as keyword arguments of `skelrep.read`."""
    given = ("format", "layout", "skeleton", "fps", "scale", "min_score", "zeros", "channels", "root_offset")
    given += ("body_model", "pose_model", "labels", "subjects", "on_error")
    given += ("unlabelled",) if arguments.unlabelled == "skip" else ()  # not of corpora
    return {key: getattr(arguments, key) for key in given} | {"report": new_report(arguments)}


def check_no_unlabelled(arguments: Namespace) -> None:
    """Refuses `--unlabelled skip` for corpora, whose processes read a part each."""
    if arguments.unlabelled == "skip":
        raise UsageError("--unlabelled skip is not for a corpus; give a table with all clips")


def skeleton(text: str) -> str | list[str]:
    """The name of a known skeleton, or a list of joint names."""
    from skelrep.skeletons import resolve

    names = [name.strip() for name in text.split(",")] if "," in text else text
    return _checked(names, resolve)


def _format(text: str) -> str:
    from skelrep.io.registry import reader_called

    return _checked(text, reader_called)


def _layout(text: str) -> str:
    letters = text.upper()
    if len(set(letters)) != len(letters) or not set("TVC") <= set(letters) <= set("NMTVC"):
        raise ArgumentTypeError(f"must name each of T, V and C once, and N and M at most once; got {text!r}")
    return letters


def _channels(text: str) -> str:
    from skelrep.channels import check_channels

    return _checked(text, check_channels)


def _checked(value: Value, check: Callable[[Value], object]) -> Value:
    """The value, if the library's check accepts it."""
    try:
        check(value)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return value


def read_poses(path: str | list[str], arguments: Namespace, split: str | None = None) -> Poses:
    """Reads poses of a file, a folder, a pattern or a list of them with the options of `add_reading`."""
    from skelrep.io import read

    return read(path, split=split, **reading_options(arguments))


def add_embedding(parser: ArgumentParser) -> None:
    """Adds the arguments that choose the encoder and how it embeds (see `load_encoder` and `embedding_options`)."""
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "-m", "--model", default="i2md-small", help="encoder: bundled name, folder or Hub id (default: %(default)s)"
    )
    group.add_argument("--revision", help="branch, tag or commit of a Hub model")
    group.add_argument(
        "--streams",
        nargs="+",
        action=AddUp,
        metavar="STREAM",
        help="use only these streams of the encoder: joint, bone, motion",
    )
    add_computing(group)


def add_stride(parser: Any, default: str) -> None:
    """The option for the distance of windows; `default` is what the command does without it, in words."""
    parser.add_argument(
        "--stride",
        type=positive,
        metavar="SECONDS",
        help=f"time between the starts of windows (default: {default})",
    )


def add_computing(group: Any) -> None:
    """Adds the arguments for the computation of embeddings to a parser or a group."""
    group.add_argument("--batch-size", type=whole, metavar="N", help="number of clips per batch")
    group.add_argument("--device", help="cpu, cuda or cuda:1 (default: the best one available)")
    group.add_argument(
        "--precision",
        default="float32",
        **one_of("float32", "bfloat16", "int8"),
        help="precision of matrix products (default: %(default)s)",
    )


def load_encoder(arguments: Namespace) -> Encoder:
    """The encoder that `add_embedding` names; streams that it does not have are an error before the work."""
    from skelrep.encoder.inference import chosen_streams
    from skelrep.hub import load_pretrained

    encoder = load_pretrained(arguments.model, revision=arguments.revision, device=arguments.device)
    chosen_streams(encoder, arguments.streams)
    return encoder


def embedding_options(arguments: Namespace) -> dict[str, Any]:
    """The arguments of `add_embedding` as keyword arguments of `Encoder.embed`."""
    return {
        "streams": arguments.streams,
        "batch_size": arguments.batch_size,
        "precision": arguments.precision,
        "show_progress": False if arguments.quiet else None,
    }


def add_train_and_test(parser: ArgumentParser, train: str) -> None:
    """Adds TRAIN, TEST and `--splits`: two files, or two splits of one file (see `splits`)."""
    parser.add_argument("train", help=train)
    parser.add_argument("test", nargs="?", help="the same for testing; if omitted, TRAIN contains both splits")
    parser.add_argument(
        "--splits",
        nargs=2,
        metavar=("TRAIN", "TEST"),
        help="names of the two splits if TRAIN contains both (default for a folder: train test)",
    )


def splits(arguments: Namespace) -> tuple[str | None, str | None]:
    """The names of the train and test splits; by default "train" and "test" of a folder, None of two files."""
    if arguments.test is None and arguments.splits is None and Path(arguments.train).is_dir():
        return "train", "test"
    if (arguments.test is None) == (arguments.splits is None):
        raise UsageError("give two files, TRAIN and TEST, or one file and --splits TRAIN TEST")
    return arguments.splits or (None, None)


def column(known: Any, name: str | None, path: str) -> np.ndarray | None:
    """An info column of poses or embeddings by its name; None if no name is given."""
    if name is not None and name not in known.info:
        from skelrep.messages import nearest

        has = ", ".join(known.info) or "none"
        raise ValueError(f"no info column {name!r} in {path}; it has {has}{nearest(name, known.info)}")
    return None if name is None else known.info[name]
