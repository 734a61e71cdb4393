"""Pictures, animations and pages of poses: `plot`, `explore`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from skelrep.cli.command import Command, UsageError, number, one_of, positive
from skelrep.cli.options import add_embedding, add_reading, embedding_options, load_encoder, read_poses
from skelrep.cli.output import report
from skelrep.cli.stored import rows_of

if TYPE_CHECKING:
    from skelrep.poses import Poses


def _add_plot(parser: ArgumentParser) -> None:
    parser.add_argument("poses", metavar="CLIP", help="a file or folder of poses")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="OUT.gif or OUT.mp4 is an animation (.mp4 needs the extra `video`), OUT.png a strip of skeletons",
    )
    parser.add_argument("--clip", metavar="CLIP", help="id or position of the clip in the file (default: 0, the first)")
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
    parser.add_argument("--events", metavar="FILE", help="with --overlay: a table of labels with start and end times")
    add_reading(parser)


def _plot(arguments: Namespace) -> None:
    if arguments.overlay:
        _overlay(arguments)
        return
    if arguments.events is not None:
        raise UsageError("--events needs --overlay")
    from skelrep.plot import save

    poses = read_poses(arguments.poses, arguments)
    clip = poses[_index(poses, arguments.clip)]
    save(
        clip,
        arguments.output,
        view=arguments.view,
        pictures=arguments.pictures,
        start=arguments.start,
        end=arguments.end,
        placement=arguments.placement,
        show_progress=False if arguments.quiet else None,
    )
    others = f", one of {len(poses)} clips," if len(poses) > 1 else ""
    report(
        arguments,
        {"output": arguments.output, "clip": clip.ids[0], "clips": len(poses)},
        f"{clip.ids[0]}{others} -> {arguments.output}",
    )


def _overlay(arguments: Namespace) -> None:
    from skelrep.plot import overlay
    from skelrep.recordings import Events

    events = None if arguments.events is None else Events.load(arguments.events)
    overlay(
        arguments.poses,
        arguments.output,
        pose_model=arguments.pose_model,
        events=events,
        show_progress=False if arguments.quiet else None,
    )
    report(arguments, {"output": arguments.output}, f"{arguments.poses} -> {arguments.output}")


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
    parser.add_argument("poses", help="a file or folder of poses")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.html", help="one self-contained page")
    parser.add_argument("--embeddings", metavar="FILE", help="embeddings of the same poses, written by `skelrep embed`")
    parser.add_argument(
        "--map", default="pca", **one_of("pca", "umap"), help="projection to 2-D; umap needs umap-learn (default: pca)"
    )
    add_reading(parser)
    add_embedding(parser)


def _explore(arguments: Namespace) -> None:
    from skelrep.files import replacing
    from skelrep.plot.explore import page

    poses = read_poses(arguments.poses, arguments)
    with replacing(arguments.output) as file:  # before the work, so that a missing folder is reported at once
        if arguments.embeddings is None:
            rows = load_encoder(arguments).embed(poses, **embedding_options(arguments))
        else:
            rows = rows_of(poses, arguments.embeddings)
        title = Path(arguments.poses).resolve().stem
        text = page(poses, rows, map=arguments.map, title=title).encode()
        file.write(text)
    report(
        arguments,
        {"output": arguments.output, "clips": len(poses), "bytes": len(text)},
        f"{len(poses)} clips -> {arguments.output}, {len(text) / 1e6:.1f} MB",
    )


COMMANDS = (
    Command(
        "plot",
        "draw a clip as an animation or as a strip of skeletons",
        (
            "plot clips.npz --clip 3 -o clip.gif",
            "plot clips.npz -o strip.png --view 90",
            "plot long.npz --start 60 --end 80 -o part.mp4",
            "plot squat.mp4 --overlay -o check.mp4  # the detected skeletons on the video",
        ),
        _add_plot,
        _plot,
    ),
    Command(
        "explore",
        "write a page that shows clips on a map of their embeddings",
        ("explore clips.npz -o explorer.html", "explore clips.npz --embeddings rows.npz -o page.html"),
        _add_explore,
        _explore,
    ),
)
