"""Classifiers: `fit`, `predict`."""

from __future__ import annotations

import itertools
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import Command, UsageError, fraction, one_of, positive, whole
from skelrep.cli.options import (
    add_computing,
    add_embedding,
    add_reading,
    add_stride,
    column,
    load_encoder,
    reading_options,
)
from skelrep.cli.output import print_json, say, show, write_table
from skelrep.cli.stored import embeddings_or_poses, without_labels

if TYPE_CHECKING:
    from skelrep.poses import Poses
    from skelrep.recordings import Classifier, Event, SegmentRules


def _add_fit(parser: ArgumentParser) -> None:
    parser.add_argument("train", nargs="+", help="labelled poses, recordings with --events, or stored embeddings")
    parser.add_argument("-o", "--output", required=True, metavar="HEAD", help="folder of the fitted classifier")
    parser.add_argument(
        "--events",
        metavar="FILE",
        help="annotations of recordings: .csv, .json, .jsonl or .parquet with the columns clip, label, start and end",
    )
    parser.add_argument(
        "--window",
        type=positive,
        metavar="SECONDS",
        help="with --events: cut recordings into windows, labelled by the event at their middle or `none` (default: "
        "each event is one clip)",
    )
    add_stride(parser, default="a quarter window")
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="info column; cross-validation keeps the clips of a group in one fold (default: `subject` if it exists, "
        "else the recordings of windows, or blocks of time of a single recording)",
    )
    parser.add_argument(
        "--keep",
        type=fraction,
        metavar="F",
        default=0.95,
        help="fraction of held-out clips that are not rejected as unknown (default: %(default)s)",
    )
    parser.add_argument(
        "--finetune", action="store_true", help="train the encoder too; it is saved with the classifier"
    )
    parser.add_argument("--epochs", type=whole, metavar="N", help="epochs of --finetune (default: 30)")
    add_reading(parser)
    add_embedding(parser)
    parser.set_defaults(unlabelled="skip")  # clips without a label cannot be trained with


def _fit(arguments: Namespace) -> None:
    from skelrep.io.embeddings import Embeddings
    from skelrep.recordings import Classifier, Events, annotated
    from skelrep.recordings.annotations import groups_of
    from skelrep.recordings.saved import check_output

    if arguments.events is None and (arguments.window or arguments.stride):
        raise UsageError("--window and --stride cut annotated recordings into windows; they need --events")
    if arguments.epochs is not None and not arguments.finetune:
        raise UsageError("--epochs is an option of --finetune; give both")
    # Reading may take long, for example of videos, so everything that is wrong without it is reported before.
    check_output(arguments.output)
    events = None if arguments.events is None else Events.load(arguments.events)
    encoder = load_encoder(arguments)
    name = arguments.train[0] if len(arguments.train) == 1 else arguments.train
    train = embeddings_or_poses(name, arguments)
    if isinstance(train, Embeddings) and (arguments.events or arguments.finetune):
        raise UsageError("--events and --finetune need poses, not stored embeddings")
    if events is not None:
        assert not isinstance(train, Embeddings)
        train = annotated(train, events, arguments.window, arguments.stride)
    elif train.labels is None:
        raise ValueError(without_labels(", ".join(arguments.train[:3])))
    grouped, groups = groups_of(train) or (None, None)
    if arguments.groups is not None:
        grouped, groups = arguments.groups, column(train, arguments.groups, arguments.train[0])
    classifier = Classifier(
        encoder,
        streams=arguments.streams,
        keep=arguments.keep,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
    )
    if arguments.finetune:
        assert not isinstance(train, Embeddings)
        classifier = _finetuned(classifier, train, groups, arguments)
    else:
        classifier.fit(train, groups=groups)
    classifier.save(arguments.output, with_encoder=True if arguments.finetune else None)
    if arguments.json:
        figures = None if classifier.report_ is None else classifier.report_.to_dict()
        print_json({"output": arguments.output, "protocol": classifier.protocol_, "figures": figures}, arguments)
        return
    show(
        classifier.report_
        or "nothing was held out, because no class has clips of two groups; an accuracy needs more clips"
    )
    if not arguments.quiet:
        by = f", groups by {grouped}" if grouped else ""
        say(
            f"{classifier.protocol_['n_train']} clips of {len(classifier.classes_)} classes{by} -> {arguments.output}",
            prefix="",
        )


def _finetuned(classifier: Classifier, train: Poses, groups: Any, arguments: Namespace) -> Classifier:
    """A classifier on an encoder that was trained with the labels.

    Its accuracy, temperature and threshold come from one fold, held out from an encoder that is trained on the others.
    The final encoder is then trained on all clips.
    """
    from dataclasses import replace

    import numpy as np

    from skelrep.evaluate.folds import folds_of_clips
    from skelrep.evaluate.inputs import encode
    from skelrep.recordings.classifier import check_classes
    from skelrep.recordings.heads import Fold
    from skelrep.train.finetune import FinetuneConfig, finetune

    config = FinetuneConfig() if arguments.epochs is None else replace(FinetuneConfig(), epochs=arguments.epochs)
    encoder, show_progress = classifier.loaded_encoder(), False if arguments.quiet else None
    options = classifier.embedding_options()
    assert train.labels is not None
    check_classes(np.unique(train.labels))
    codes = np.unique(train.labels, return_inverse=True)[1]
    group_codes = None if groups is None else encode(groups=(groups, len(train)))[1][0]
    folds = []
    for kept, out in folds_of_clips(train.info, codes, group_codes, classifier.folds, classifier.seed)[:1]:
        tuned = finetune(encoder, train[kept], config, show_progress=show_progress).encoder
        rows = [tuned.embed(train[part], **options) for part in (kept, out)]
        folds = [Fold(rows[0], codes[kept], rows[1], codes[out])]
    classifier.set_params(encoder=finetune(encoder, train, config, show_progress=show_progress).encoder)
    return classifier.fit_folds(classifier.loaded_encoder().embed(train, **options), train.labels, folds)


def _add_predict(parser: ArgumentParser) -> None:
    parser.add_argument("head", help="folder written by `skelrep fit`, or its Hub id")
    parser.add_argument(
        "poses",
        nargs="+",
        help="files, folders, patterns in quotes or @LIST; `-` reads frames as lines of JSON from stdin, live, and "
        "prints segments as lines of JSON (or, if the first line is no JSON, a list of files)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="OUT.csv, .json, .jsonl or .parquet (default: CSV on stdout, or with --json one object per line, as soon "
        "as it is known)",
    )
    parser.add_argument(
        "--per", default="clip", **one_of("clip", "person"), help="one row for each of these (default: %(default)s)"
    )
    parser.add_argument(
        "--no-reject", action="store_true", help="also classify clips that are unlike all training clips"
    )
    group = parser.add_argument_group("segments of recordings")
    group.add_argument("--segments", action="store_true", help="report when each class starts and ends")
    group.add_argument(
        "--window",
        type=positive,
        metavar="SECONDS",
        help="length of the windows to classify; implies --segments (default: the median duration of training clips)",
    )
    add_stride(group, default="a quarter window")
    group.add_argument(
        "--smooth", type=positive, metavar="SECONDS", help="average probabilities over time (default: half a window)"
    )
    group.add_argument("--enter", type=fraction, default=0.5, help="probability that starts a segment (default: 0.5)")
    group.add_argument("--leave", type=fraction, default=0.3, help="lower probability that ends it (default: 0.3)")
    group.add_argument(
        "--shortest", type=positive, metavar="SECONDS", help="leave shorter segments out (default: half a window)"
    )
    add_reading(parser)
    add_computing(parser.add_argument_group("embedding"))


def _predict(arguments: Namespace) -> None:
    from skelrep.recordings import Classifier, Events
    from skelrep.recordings.events import check_output

    if arguments.output is not None:
        check_output(arguments.output)
    given = [f"--{name}" for name in ("stride", "smooth", "shortest") if getattr(arguments, name) is not None]
    if given and arguments.poses != ["-"] and not (arguments.segments or arguments.window):
        raise UsageError(f"{' and '.join(given)} are about segments; give --segments, or --window SECONDS")
    classifier = Classifier.load(arguments.head, device=arguments.device)
    classifier.set_params(batch_size=arguments.batch_size, precision=arguments.precision)
    frames = _frames_on_stdin(arguments)
    found = _predicted(classifier, arguments) if frames is None else _predicted_live(classifier, frames, arguments)
    at_once = arguments.json or (frames is not None and arguments.output is None)
    events = []
    for event in found:
        if at_once:
            [row] = Events.of([event]).to_dicts()
            print(json.dumps(row), flush=True)
        if arguments.output is not None or not at_once:
            events.append(event)
    if arguments.output is not None:
        table = Events.of(events)
        table.save(arguments.output)
        if not arguments.quiet:
            say(f"{len(table)} rows -> {arguments.output}", prefix="")
    elif not at_once:
        write_table(Events.of(events).to_text())


def _frames_on_stdin(arguments: Namespace) -> Iterator[str] | None:
    """The lines on stdin, if POSES is `-` and the first line is JSON; else None, and `-` is replaced by their paths."""
    if arguments.poses != ["-"]:
        return None
    lines = iter(sys.stdin)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip()[:1] in ("{", "["):
        return itertools.chain([first], lines)
    arguments.poses = [line.strip() for line in (first, *lines) if line.strip()]
    return None


def _predicted(classifier: Classifier, arguments: Namespace) -> Iterator[Event]:
    from skelrep.io import read_parts
    from skelrep.recordings.prediction import clip_events, segment_events

    reject = not arguments.no_reject
    path = arguments.poses[0] if len(arguments.poses) == 1 else arguments.poses
    if not (arguments.segments or arguments.window):
        for poses in read_parts(path, **reading_options(arguments)):
            yield from clip_events(classifier, poses, per=arguments.per, reject=reject)
        return
    window, rules = _window_and_rules(classifier, arguments)
    parts = read_parts(path, in_stretches=True, **reading_options(arguments))
    yield from segment_events(
        classifier, parts, window, arguments.stride, per=arguments.per, rules=rules, reject=reject
    )


def _predicted_live(classifier: Classifier, lines: Iterator[str], arguments: Namespace) -> Iterator[Event]:
    from skelrep.io.frame_lines import live_frames
    from skelrep.recordings import LiveSegments

    window, rules = _window_and_rules(classifier, arguments)
    fps, joints, frames = live_frames(lines, arguments.fps)
    live = LiveSegments(
        classifier,
        fps=fps,
        skeleton=arguments.skeleton or joints,
        window=window,
        stride=arguments.stride,
        per=arguments.per,
        rules=rules,
        reject=not arguments.no_reject,
        zeros=arguments.zeros,
        scale=arguments.scale,
        min_score=arguments.min_score,
    )
    if not arguments.quiet:
        say(f"{fps:g} frames per second; segments are known {live.delay:.2g} s after their end")
    for seconds, people in frames:
        yield from live.feed(seconds, people)
    yield from live.finish()


def _window_and_rules(classifier: Classifier, arguments: Namespace) -> tuple[float, SegmentRules]:
    from skelrep.recordings import SegmentRules
    from skelrep.recordings.prediction import default_window

    window = arguments.window or default_window(classifier)
    rules = SegmentRules(
        smooth=window / 2 if arguments.smooth is None else arguments.smooth,
        enter=arguments.enter,
        leave=arguments.leave,
        shortest=window / 2 if arguments.shortest is None else arguments.shortest,
    )
    return window, rules


COMMANDS = (
    Command(
        "fit",
        "train a classifier of your own classes",
        (
            "fit recordings/ -o head --labels folder  # recordings/squat/a.bvh, recordings/jump/b.bvh ...",
            "fit clips.npz -o head --labels labels.csv",
            "fit session.npz -o head --events annotations.csv --window 2",
            "fit clips.npz -o head --finetune",
        ),
        _add_fit,
        _fit,
    ),
    Command(
        "predict",
        "classify clips, or the segments of recordings",
        (
            "predict head clips.npz -o predictions.csv",
            "predict head session.npz --window 2 --stride 0.5 --per person -o segments.csv",
            "predict head session.npz --segments --json",
            "predict head - --fps 30 < frames.jsonl   # live: each line is a frame",
        ),
        _add_predict,
        _predict,
    ),
)
