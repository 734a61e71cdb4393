"""Events in recordings: `detect`, `segment`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import Command, UsageError, number, one_of, positive, whole
from skelrep.cli.options import add_embedding, add_reading, add_stride, load_encoder, read_poses
from skelrep.cli.output import print_json, say, show, single_line, write_table

if TYPE_CHECKING:
    from skelrep.poses import Poses
    from skelrep.recordings import Events

_OUTPUT = "OUT.csv, .json, .jsonl or .parquet (default: CSV on stdout)"


def _add_detect(parser: ArgumentParser) -> None:
    parser.add_argument("example", help="clips of the movement: a file, a folder or a pattern in quotes")
    parser.add_argument("recordings", nargs="+", help="where to search: files, folders, patterns in quotes or @LIST")
    parser.add_argument(
        "-o", "--output", metavar="EVENTS", help="OUT.csv, .json, .jsonl or .parquet (default: CSV on stdout)"
    )
    parser.add_argument("--start", type=number, metavar="SECONDS", help="the example starts here in EXAMPLE")
    parser.add_argument("--end", type=number, metavar="SECONDS", help="and ends here")
    parser.add_argument("--negatives", metavar="POSES", help="clips of other movements, which are not detected")
    parser.add_argument("--label", help="label of the events (default: that of the example, or its id)")
    parser.add_argument(
        "--false-per-hour",
        type=positive,
        metavar="N",
        default=1.0,
        help="threshold: expected number of false events in an hour without the movement (default: 1)",
    )
    parser.add_argument(
        "--threshold",
        type=number,
        metavar="SCORE",
        help="minimum score of an event, instead of --false-per-hour; at most 1",
    )
    add_stride(parser, default="a quarter window")
    parser.add_argument(
        "--per",
        default="clip",
        **one_of("clip", "person"),
        help="search in all persons of a clip together, or in each person (default: clip)",
    )
    parser.add_argument("--count", action="store_true", help="print the number of events of each recording and person")
    add_reading(parser)
    add_embedding(parser)


def _detect(arguments: Namespace) -> None:
    from collections import Counter

    from skelrep.recordings import detect
    from skelrep.recordings.events import check_output

    if arguments.output is not None:
        check_output(arguments.output)
    examples = read_poses(arguments.example, arguments)
    if arguments.start is not None or arguments.end is not None:
        examples = _cut(examples, arguments)
    negatives = None if arguments.negatives is None else read_poses(arguments.negatives, arguments)
    encoder = load_encoder(arguments)
    recordings = _recordings(arguments)
    events = detect(
        examples,
        recordings,
        encoder,
        negatives=negatives,
        label=arguments.label,
        false_per_hour=arguments.false_per_hour,
        threshold=arguments.threshold,
        stride=arguments.stride,
        per=arguments.per,
        **_options(arguments),
    )
    if not arguments.count:
        _write(events, arguments)
        return
    if arguments.output is not None:
        events.save(arguments.output)
    counts = Counter({(name, ""): 0 for name in recordings.ids} if arguments.per == "clip" else {})
    counts.update(zip(events.clip.tolist(), events.person.tolist()))
    rows = [{"clip": clip, "person": person, "count": count} for (clip, person), count in counts.items()]
    if arguments.json:
        print_json({"counts": rows}, arguments)
    else:
        lines = (f"{row['count']:5}  {single_line(row['clip'])}  {single_line(row['person'])}" for row in rows)
        show("\n".join(line.rstrip() for line in lines))


def _cut(examples: Poses, arguments: Namespace) -> Poses:
    """The part of a recording between `--start` and `--end`."""
    from skelrep.recordings import Event, Events, annotated

    if len(examples) != 1 or examples.fps is None:
        raise UsageError(f"--start and --end need a single recording with a frame rate as {arguments.example}")
    start = 0.0 if arguments.start is None else arguments.start
    end = examples.clips[0].shape[1] / examples.fps if arguments.end is None else arguments.end
    if not 0 <= start < end:
        raise UsageError(f"--start must be before --end, got {start:g} and {end:g}")
    label = arguments.label or examples.ids[0]
    return annotated(examples, Events.of([Event(examples.ids[0], start, end, label)]))


def _add_segment(parser: ArgumentParser) -> None:
    parser.add_argument("recordings", nargs="+", help="files, folders, patterns in quotes or @LIST")
    parser.add_argument(
        "-o", "--output", metavar="EVENTS", help="OUT.csv, .json, .jsonl or .parquet (default: CSV on stdout)"
    )
    parser.add_argument(
        "--window", type=positive, default=1.0, metavar="SECONDS", help="length of a window (default: 1)"
    )
    add_stride(parser, default="a quarter window")
    parser.add_argument(
        "--shortest", type=positive, default=1.0, metavar="SECONDS", help="length of the shortest segment (default: 1)"
    )
    parser.add_argument(
        "--penalty", type=positive, default=1.0, metavar="FACTOR", help="2 gives fewer segments, 0.5 more (default: 1)"
    )
    parser.add_argument("--clusters", type=whole, metavar="N", help="number of clusters (default: by similarity)")
    add_reading(parser)
    add_embedding(parser)


def _segment(arguments: Namespace) -> None:
    from skelrep.recordings.changes import change_segments
    from skelrep.recordings.events import check_output

    if arguments.output is not None:
        check_output(arguments.output)
    settings = {name: getattr(arguments, name) for name in ("window", "stride", "shortest", "penalty", "clusters")}
    encoder = load_encoder(arguments)
    _write(change_segments(_recordings(arguments), encoder, **settings, **_options(arguments)), arguments)


def _recordings(arguments: Namespace) -> Poses:
    return read_poses(arguments.recordings[0] if len(arguments.recordings) == 1 else arguments.recordings, arguments)


def _options(arguments: Namespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in ("streams", "batch_size", "precision")}
    return given | {"show_progress": False if arguments.quiet else None}


def _write(events: Events, arguments: Namespace) -> None:
    """Writes the table to the output or to stdout."""
    if arguments.output is not None:
        events.save(arguments.output)
        if not arguments.quiet:
            say(f"{len(events)} events -> {arguments.output}", prefix="")
    if arguments.json:
        print_json({"events": events.to_dicts()}, arguments)
    elif arguments.output is None:
        write_table(events.to_text())


COMMANDS = (
    Command(
        "detect",
        "find a movement in recordings from an example of it",
        (
            "detect squat.npz session.npz -o events.csv",
            "detect session.npz session.npz --start 12 --end 14.5 --count",
            "detect squats/ sessions/ --negatives others.npz --per person -o events.csv",
        ),
        _add_detect,
        _detect,
    ),
    Command(
        "segment",
        "find where recordings change, and which segments are alike",
        ("segment session.npz -o segments.csv",),
        _add_segment,
        _segment,
    ),
)
