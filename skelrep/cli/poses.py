"""What is in files, and their conversion: `info`, `convert`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import Command
from skelrep.cli.options import add_reading, read_poses
from skelrep.cli.output import outline, print_json, report, show

if TYPE_CHECKING:
    from skelrep.poses import Poses


def _add_info(parser: ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", help="a model (bundled name, folder or Hub id) or a file of poses")
    add_reading(parser)


def _info(arguments: Namespace) -> None:
    path = Path(arguments.what).expanduser()
    if path.exists() and not (path / "config.json").exists():
        poses = read_poses(str(path), arguments)
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
        print_json(facts)
    else:
        show(outline(facts))


def _missing(poses: Poses) -> float:
    import numpy as np

    return sum(np.isnan(clip).sum() for clip in poses.clips) / sum(clip.size for clip in poses.clips)


def _add_convert(parser: ArgumentParser) -> None:
    parser.add_argument("poses", metavar="IN", help="a file or folder of poses")
    parser.add_argument(
        "output", metavar="OUT", help="OUT.npz keeps everything; OUT.parquet, OUT.csv, OUT.npy keep less"
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
        "info",
        "what a model or a file contains",
        ("info i2md-small", "info clips.npz --json"),
        _add_info,
        _info,
    ),
    Command(
        "convert",
        "poses of any format to one of skelrep's",
        ("convert walk.bvh walk.npz", "convert clips.npz clips.csv --split train"),
        _add_convert,
        _convert,
    ),
)
