"""Files of poses: `convert` from other formats, `poses` from videos."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from skelrep.cli.command import Command
from skelrep.cli.options import add_reading, read_poses
from skelrep.cli.output import report


def _add_convert(parser: ArgumentParser) -> None:
    parser.add_argument("poses", metavar="IN", help="a file or folder of poses")
    parser.add_argument(
        "output", metavar="OUT", help="OUT.npz keeps everything; OUT.parquet, OUT.csv and OUT.npy keep less"
    )
    parser.add_argument("--split", help="use only this split, if the file has several")
    add_reading(parser)


def _convert(arguments: Namespace) -> None:
    from skelrep.io import write
    from skelrep.io.writing import check_output

    check_output(arguments.output)
    poses = read_poses(arguments.poses, arguments, arguments.split)
    write(poses, arguments.output)
    report(
        arguments,
        {"output": arguments.output, "clips": len(poses), "skeleton": poses.skeleton.name},
        f"{arguments.poses} -> {arguments.output}: {poses!r}",
    )


def _add_poses(parser: ArgumentParser) -> None:
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, or folders of them")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.npz, or another format of `convert`")
    add_reading(parser)


def _poses(arguments: Namespace) -> None:
    from skelrep.io import write
    from skelrep.io.writing import check_output

    arguments.format = arguments.format or "video"
    check_output(arguments.output)
    videos = arguments.videos[0] if len(arguments.videos) == 1 else arguments.videos
    poses = read_poses(videos, arguments)
    write(poses, arguments.output)
    persons = [len(clip) for clip in poses.clips]
    report(
        arguments,
        {
            "output": arguments.output,
            "clips": len(poses),
            "persons": persons,
            "frames": [clip.shape[1] for clip in poses.clips],
            "fps": poses.fps,
            "skeleton": poses.skeleton.name,
        },
        f"{len(poses)} videos, {sum(persons)} persons -> {arguments.output}",
    )


COMMANDS = (
    Command(
        "convert",
        "convert poses of any readable format to .npz, .npy, .csv or .parquet",
        ("convert walk.bvh walk.npz", "convert clips.npz clips.csv --split train"),
        _add_convert,
        _convert,
    ),
    Command(
        "poses",
        "detect and track persons in videos",
        (
            "poses squat.mp4 -o squat.npz --pose-model pose_landmarker_full.task",
            "poses videos/ -o poses.npz --labels folder  # one folder per class",
        ),
        _add_poses,
        _poses,
    ),
)
