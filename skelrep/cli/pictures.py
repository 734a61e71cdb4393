"""Pictures, animations and pages of poses: `plot`, `explore`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from skelrep.cli.command import Command, UsageError, number, one_of, positive
from skelrep.cli.options import add_embedding, add_reading, add_stride, embedding_options, load_encoder, read_poses
from skelrep.cli.output import report
from skelrep.cli.stored import clips_and_rows

if TYPE_CHECKING:
    import numpy as np

    from skelrep.poses import Poses


def _add_plot(parser: ArgumentParser) -> None:
    parser.add_argument("poses", nargs="+", metavar="CLIP", help="files, folders, patterns in quotes or @LIST")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="OUT.gif or OUT.mp4 is an animation (.mp4 needs the extra `video`); OUT.png, .svg or .pdf a strip of "
        "skeletons, or with --events a timeline",
    )
    parser.add_argument(
        "--clip",
        metavar="CLIP",
        help="id or position of the clip in the file (default: 0, the first, or with --events the first that has any; "
        "a timeline shows all that have)",
    )
    parser.add_argument(
        "--view",
        type=number,
        default=30.0,
        metavar="DEGREES",
        help="camera angle around the person; 0 is from the front (default: 30)",
    )
    parser.add_argument(
        "--pictures", type=positive, metavar="N", help="pictures per second of an animation (default: up to 25)"
    )
    parser.add_argument("--start", type=number, metavar="SECONDS", help="start time (default: start of the clip)")
    parser.add_argument("--end", type=number, metavar="SECONDS", help="end time (default: end of the clip)")
    parser.add_argument(
        "--placement",
        default="auto",
        **one_of("auto", "recorded", "side-by-side"),
        help="where to draw several persons; auto keeps their positions unless they overlap or are far apart "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="CLIP is a video: draw the detected skeletons on it, as OUT.mp4",
    )
    parser.add_argument(
        "--events",
        metavar="FILE",
        help="a table of labels with start and end, such as `skelrep predict`, `detect` and `segment` write: a picture "
        "is a timeline of them, and an animation or --overlay shows each label while it lasts",
    )
    add_reading(parser)


def _plot(arguments: Namespace) -> None:
    if arguments.overlay:
        _overlay(arguments)
        return
    from skelrep.plot import save
    from skelrep.plot.saving import PICTURES, check_output
    from skelrep.recordings import Events
    from skelrep.recordings.annotations import of_each_recording

    check_output(arguments.output)
    events = None if arguments.events is None else Events.load(arguments.events)
    poses = _read(arguments)
    is_timeline = events is not None and Path(arguments.output).suffix.lower() in PICTURES
    clip = poses
    if not is_timeline or arguments.clip is not None:
        parts = None if events is None else of_each_recording(poses.ids, events)
        if parts is not None and arguments.clip is None:
            index = next((i for i, part in enumerate(parts) if len(part)), 0)
        else:
            index = _index(poses, arguments.clip)
        clip = poses[index]
        if parts is not None:
            events = parts[index]
            if not len(events):
                raise ValueError(f"none of the events in {arguments.events} is of the clip {clip.ids[0]!r}")
    save(
        clip,
        arguments.output,
        view=arguments.view,
        pictures=arguments.pictures,
        start=arguments.start,
        end=arguments.end,
        placement=arguments.placement,
        events=events,
        show_progress=False if arguments.quiet else None,
    )
    if events is not None:
        report(
            arguments,
            {"output": arguments.output, "clips": len(poses), "events": len(events)},
            f"{len(events)} event{'s' * (len(events) != 1)} -> {arguments.output}",
        )
        return
    others = f", one of {len(poses)} clips," if len(poses) > 1 else ""
    report(
        arguments,
        {"output": arguments.output, "clip": clip.ids[0], "clips": len(poses)},
        f"{clip.ids[0]}{others} -> {arguments.output}",
    )


def _overlay(arguments: Namespace) -> None:
    from skelrep.plot import overlay
    from skelrep.recordings import Events

    if len(arguments.poses) != 1:
        raise UsageError(f"--overlay draws on one video, got {len(arguments.poses)} files")
    [video] = arguments.poses
    events = None if arguments.events is None else Events.load(arguments.events)
    overlay(
        video,
        arguments.output,
        pose_model=arguments.pose_model,
        events=events,
        show_progress=False if arguments.quiet else None,
    )
    report(arguments, {"output": arguments.output}, f"{video} -> {arguments.output}")


def _read(arguments: Namespace) -> Poses:
    return read_poses(arguments.poses[0] if len(arguments.poses) == 1 else arguments.poses, arguments)


def _index(poses: Poses, clip: str | None) -> int:
    """The position of a clip that is given by its id or its position."""
    if clip is None:
        return 0
    if clip in poses.ids:
        return poses.ids.index(clip)
    if clip.isdecimal() and int(clip) < len(poses):
        return int(clip)
    from skelrep.messages import nearest

    where = f"give an id or a position from 0 to {len(poses) - 1}"
    raise ValueError(f"no clip {clip!r}: {where}{nearest(clip, poses.ids)}")


def _add_explore(parser: ArgumentParser) -> None:
    parser.add_argument("poses", nargs="+", help="files, folders, patterns in quotes or @LIST")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.html", help="one self-contained page")
    parser.add_argument(
        "--embeddings",
        metavar="FILE",
        help="embeddings of the same poses, or of windows of them, written by `skelrep embed`",
    )
    parser.add_argument("--window", type=positive, metavar="SECONDS", help="show windows of recordings on a timeline")
    add_stride(parser, default="no overlap")
    parser.add_argument(
        "--per",
        default="clip",
        **one_of("clip", "person"),
        help="one point for all persons of a clip or window together, or for each (default: %(default)s)",
    )
    parser.add_argument(
        "--events",
        action="append",
        metavar="FILE",
        help="a table of labels with start and end, such as `skelrep predict`, `detect` and `segment` write; several "
        "if the option is repeated",
    )
    parser.add_argument(
        "--map", default="pca", **one_of("pca", "umap"), help="projection to 2-D; umap needs umap-learn (default: pca)"
    )
    add_reading(parser)
    add_embedding(parser)


def _explore(arguments: Namespace) -> None:
    from skelrep.files import replacing
    from skelrep.plot.explore import check, page
    from skelrep.recordings import Events

    if arguments.stride is not None and arguments.window is None:
        raise UsageError("--stride needs --window")
    if arguments.per == "person" and arguments.embeddings is not None:
        raise UsageError("--per person computes the embeddings; it does not take --embeddings")
    tables = [(name, Events.load(name)) for name in arguments.events or ()]
    events = {_table_name(name, [each for each, _ in tables]): table for name, table in tables} or None
    poses = _with_inputs(_read(arguments), arguments.poses)
    if arguments.window is not None:
        poses = poses.windows(arguments.window, arguments.stride)
    with replacing(arguments.output) as file:  # before the work, so that a missing folder is reported at once
        if arguments.embeddings is None:
            check(poses, arguments.map, events)
        if arguments.per == "person":
            poses, rows = _persons_and_rows(poses, arguments)
        elif arguments.embeddings is None:
            rows = load_encoder(arguments).embed(poses, **embedding_options(arguments))
        else:
            poses, rows = clips_and_rows(poses, arguments.embeddings)
        title = ", ".join(Path(name).resolve().stem for name in arguments.poses[:3])
        text = page(poses, rows, map=arguments.map, events=events, title=title).encode()
        file.write(text)
    what = "clips" if arguments.window is None else "windows"
    what += " of single persons" if arguments.per == "person" else ""
    report(
        arguments,
        {"output": arguments.output, "clips": len(poses), "bytes": len(text)},
        f"{len(poses)} {what} -> {arguments.output}, {len(text) / 1e6:.1f} MB",
    )


def _persons_and_rows(poses: Poses, arguments: Namespace) -> tuple[Poses, np.ndarray]:
    """A clip for each person of each clip or window, with the columns of windows and `person`, and its embedding."""
    from dataclasses import replace

    import numpy as np

    if poses.fps is None:
        raise ValueError("--per person needs the times of clips, so the poses need fps; pass fps=")
    if "source" not in poses.info:
        seconds = np.array([clip.shape[1] for clip in poses.clips]) / poses.fps
        poses = poses.with_info(source=poses.ids, start=np.zeros(len(poses)), end=seconds)
    found = load_encoder(arguments).embed_persons(poses, **embedding_options(arguments))
    picked = poses[found.clips]
    places = [picked.person_names(i).index(name) for i, name in enumerate(found.persons)]
    clips = replace(
        picked,
        clips=[clip[at : at + 1] for clip, at in zip(picked.clips, places)],
        scores=None if picked.scores is None else [score[at : at + 1] for score, at in zip(picked.scores, places)],
        ids=[f"{name} · {person}" for name, person in zip(picked.ids, found.persons)],
        person_ids=[(person,) for person in found.persons],
        info=picked.info | {"person": np.array(found.persons)},
    )
    return clips, found.rows


def _with_inputs(poses: Poses, names: list[str]) -> Poses:
    """The poses of several inputs, with the column `input`, which names the input of each clip.

    The id of a clip begins with the path of its file, or of its folder, below the folder that all inputs have in
    common (see `skelrep.read`).
    """
    if len(names) < 2 or "input" in poses.info:
        return poses
    from skelrep.io.sources import sources

    found = sources(names)
    begins: list[tuple[str, str]] = []
    for name in names:
        if Path(name).is_dir():
            begins.append((Path(name).resolve().relative_to(found.root.resolve()).as_posix(), name))
        else:
            begins += [(found.names()[file], name) for file in sources(name).files]
    begins.sort(key=lambda pair: -len(pair[0]))
    column = [
        next((name for begin, name in begins if each == begin or each.startswith(f"{begin}/")), "")
        for each in poses.ids
    ]
    return poses.with_info(input=column) if all(column) else poses


def _table_name(path: str, paths: list[str]) -> str:
    """The stem of a file, or its path if another one has the same stem."""
    stems = [Path(each).stem for each in paths]
    return Path(path).stem if stems.count(Path(path).stem) == 1 else path


COMMANDS = (
    Command(
        "plot",
        "draw a clip as an animation or as a strip of skeletons",
        (
            "plot clips.npz --clip 3 -o clip.gif",
            "plot clips.npz -o strip.png --view 90",
            "plot long.npz --start 60 --end 80 -o part.mp4",
            "plot session.npz --events events.csv -o timeline.png  # or .svg, .pdf; .gif and .mp4 with running labels",
            "plot squat.mp4 --overlay -o check.mp4  # the detected skeletons on the video",
        ),
        _add_plot,
        _plot,
    ),
    Command(
        "explore",
        "write a page that shows clips on a map of their embeddings",
        (
            "explore clips.npz -o explorer.html",
            "explore clips.npz --embeddings rows.npz -o page.html",
            "explore monday.npz tuesday.npz --window 2 --stride 0.5 --events predictions.csv -o sessions.html",
        ),
        _add_explore,
        _explore,
    ),
)
