"""Conversion of files of poses: `convert`."""

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
    parser.add_argument("--split", help="only this split of a file that has several")
    add_reading(parser)


def _convert(arguments: Namespace) -> None:
    from skelrep.io import write

    poses = read_poses(arguments.poses, arguments, arguments.split)
    write(poses, arguments.output)
    report(
        arguments,
        {"output": arguments.output, "clips": len(poses), "skeleton": poses.skeleton.name},
        f"{arguments.poses} -> {arguments.output}: {poses!r}",
    )


COMMANDS = (
    Command(
        "convert",
        "convert poses of any readable format to .npz, .npy, .csv or .parquet",
        ("convert walk.bvh walk.npz", "convert clips.npz clips.csv --split train"),
        _add_convert,
        _convert,
    ),
)
