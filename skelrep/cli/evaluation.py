"""Scores of encoders and embeddings: `knn`, `probe`, `protocols`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import AddUp, Command, UsageError, fraction, one_of, whole
from skelrep.cli.options import add_embedding, add_reading, add_train_and_test, column, read_poses, splits
from skelrep.cli.output import print_result
from skelrep.cli.stored import pair

if TYPE_CHECKING:
    from skelrep.io.embeddings import Embeddings

_LABELLED = "labelled poses, or embeddings written by `skelrep embed`"


def _add_knn(parser: ArgumentParser) -> None:
    add_train_and_test(parser, _LABELLED)
    parser.add_argument(
        "-k",
        nargs="+",
        action=AddUp,
        type=whole,
        metavar="N",
        default=[1, 5, 20],
        help="numbers of neighbours (default: 1 5 20)",
    )
    parser.add_argument(
        "--metric", default="cosine", **one_of("cosine", "euclidean"), help="distance measure (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        default="uniform",
        **one_of("uniform", "softmax"),
        help="weights of the votes (default: %(default)s)",
    )
    parser.add_argument("--leave-one-out", action="store_true", help="classify each clip of TRAIN by all other clips")
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="with --leave-one-out: info column, such as subject; a clip is classified by the clips of other groups",
    )
    add_reading(parser)
    add_embedding(parser)


def _knn(arguments: Namespace) -> None:
    from skelrep.evaluate import knn_eval

    options: dict[str, Any] = {"k": tuple(arguments.k), "metric": arguments.metric, "weights": arguments.weights}
    if arguments.leave_one_out:
        only = _train_alone(arguments)
        groups = column(only, arguments.groups, arguments.train)
        result = knn_eval(only.rows, only.labels, leave_one_out=True, groups=groups, **options)  # type: ignore[arg-type]
    else:
        if arguments.groups:
            raise UsageError("--groups excludes neighbours of a clip's own group, so it needs --leave-one-out")
        train, test = _train_and_test(arguments)
        result = knn_eval(train.rows, train.labels, test.rows, test.labels, **options)  # type: ignore[arg-type]
    print_result(result, arguments)


def _add_probe(parser: ArgumentParser) -> None:
    add_train_and_test(parser, _LABELLED)
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="info column, such as subject; cross-validation keeps the clips of a group in one fold",
    )
    parser.add_argument(
        "--leave-one-out", action="store_true", help="classify each group of TRAIN by a probe trained on the others"
    )
    add_reading(parser)
    add_embedding(parser)


def _probe(arguments: Namespace) -> None:
    from skelrep.evaluate import linear_eval

    if arguments.leave_one_out:
        if arguments.groups is None:
            raise UsageError("--leave-one-out trains one probe per group; name the groups with --groups COLUMN")
        only = _train_alone(arguments)
        groups = column(only, arguments.groups, arguments.train)
        result = linear_eval(only.rows, only.labels, leave_one_out=True, groups=groups)  # type: ignore[arg-type]
    else:
        train, test = _train_and_test(arguments)
        groups = column(train, arguments.groups, arguments.train)
        result = linear_eval(train.rows, train.labels, test.rows, test.labels, groups=groups)  # type: ignore[arg-type]
    print_result(result, arguments)


def _train_alone(arguments: Namespace) -> Embeddings:
    """TRAIN with its labels; refuses a TEST or `--splits`."""
    if arguments.test or arguments.splits:
        raise UsageError("--leave-one-out takes TRAIN alone; give no TEST and no --splits")
    return pair(arguments.train, arguments.train, arguments)[0]


def _train_and_test(arguments: Namespace) -> tuple[Embeddings, Embeddings]:
    """TRAIN and TEST with their labels."""
    return pair(arguments.train, arguments.test or arguments.train, arguments, splits=splits(arguments))


def _add_protocols(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="bundled name, folder or Hub id")
    add_train_and_test(parser, "labelled poses")
    parser.add_argument(
        "--which",
        nargs="+",
        action=AddUp,
        default=["knn", "linear", "semi", "finetune"],
        **one_of("knn", "linear", "semi", "finetune"),
        help="protocols to run (default: all four)",
    )
    parser.add_argument(
        "--fractions",
        nargs="+",
        action=AddUp,
        type=fraction,
        metavar="F",
        default=[0.01, 0.05, 0.1, 0.2],
        help="fractions of the labels, for semi (default: 0.01 0.05 0.1 0.2)",
    )
    parser.add_argument(
        "--seeds", type=whole, metavar="N", default=5, help="number of repetitions of semi and finetune (default: 5)"
    )
    parser.add_argument("--scratch", action="store_true", help="also train the same network from random weights")
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="info column, such as subject; cross-validation keeps the clips of a group in one fold",
    )
    parser.add_argument("--device", help="cpu or cuda (default: the best one available)")
    add_reading(parser)


def _protocols(arguments: Namespace) -> None:
    from skelrep.hub import load_pretrained
    from skelrep.train.protocols import protocols

    train_split, test_split = splits(arguments)
    train = read_poses(arguments.train, arguments, train_split)
    test = read_poses(arguments.test or arguments.train, arguments, test_split)
    table = protocols(
        load_pretrained(arguments.model, device=arguments.device),
        train,
        test,
        which=arguments.which,
        fractions=arguments.fractions,
        seeds=arguments.seeds,
        from_scratch=arguments.scratch,
        groups=column(train, arguments.groups, arguments.train),
        dataset=Path(arguments.train).stem,
        show_progress=False if arguments.quiet else None,
    )
    print_result(table, arguments)


COMMANDS = (
    Command(
        "knn",
        "measure the nearest-neighbour accuracy of embeddings",
        ("knn train.npz test.npz -k 1 5 20", "knn clips.npz --leave-one-out --groups subject"),
        _add_knn,
        _knn,
    ),
    Command(
        "probe",
        "measure the linear-probe accuracy of embeddings",
        ("probe ntu60_3d.pkl --splits xsub_train xsub_val", "probe clips.npz --leave-one-out --groups subject"),
        _add_probe,
        _probe,
    ),
    Command(
        "protocols",
        "evaluate an encoder by the protocols of the literature, with all labels and with few",
        ("protocols my-encoder train.npz test.npz --fractions 0.05 0.1",),
        _add_protocols,
        _protocols,
    ),
)
