"""Summaries of models, poses, embeddings, corpora and runs: `info`, `runs`."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skelrep.cli.command import Command
from skelrep.cli.errors import as_options
from skelrep.cli.options import add_reading, read_poses
from skelrep.cli.output import outline, print_json, show, single_line
from skelrep.files import read_text
from skelrep.json_text import read_object

if TYPE_CHECKING:
    from skelrep.corpus import Corpus
    from skelrep.encoder import Encoder
    from skelrep.io.embeddings import Embeddings
    from skelrep.poses import Poses


def _add_info(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a model (bundled name, folder or Hub id), or a file or folder of poses, embeddings, a classifier, a "
        "corpus or a run",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check whether poses look like recordings of people: bones, sides, missing joints, unit, rate, axes",
    )
    add_reading(parser)


def _info(arguments: Namespace) -> None:
    facts, text = _described(arguments)
    if arguments.json:
        print_json(facts, arguments)
    else:
        show(text)


def _described(arguments: Namespace) -> tuple[dict[str, Any], str]:
    """The facts for JSON, and the text to print."""
    from skelrep import corpus
    from skelrep.io.embeddings import load

    path = Path(arguments.what).expanduser()
    described = None
    if not path.exists() or (path / "config.json").exists():
        from skelrep.hub import load_pretrained

        described = _model(load_pretrained(arguments.what, device="cpu"))
    elif (path / "head.json").exists():
        described = _head(path)
    elif (path / "recipe.json").exists():
        described = _run(path)
    elif (path / "corpus.json").exists():
        described = _corpus(path)
    elif corpus.is_corpus(path):
        described = _shards(path)
    elif (found := load(path)) is not None:
        described = _embeddings(found)
    if described is not None:
        if arguments.check:
            raise ValueError(
                f"--check is for poses, but {arguments.what} is of another kind: {next(iter(described[0]))}"
            )
        return described
    poses = read_poses(str(path), arguments)
    facts = _poses(poses)
    if not arguments.check:
        return facts, outline(facts)
    from skelrep.checks import check

    report = check(poses)
    return facts | {"check": report.to_dict()}, as_options(str(report), {"fps": "--fps", "scale": "--scale"})


def _poses(poses: Poses) -> dict[str, Any]:
    import numpy as np

    frames = [clip.shape[1] for clip in poses.clips]
    missing = sum(np.isnan(clip).sum() for clip in poses.clips) / sum(clip.size for clip in poses.clips)
    return {
        "clips": len(poses),
        "persons": sorted({clip.shape[0] for clip in poses.clips}),
        "frames": [min(frames), max(frames)],
        "channels": poses.channels,
        "skeleton": poses.skeleton.name,
        "joints": list(poses.skeleton.joints),
        "fps": poses.fps,
        "labels": None if poses.labels is None else sorted(set(poses.labels.tolist())),
        "info": list(poses.info),
        "missing": float(missing),
    }


def _embeddings(found: Embeddings | Corpus) -> tuple[dict[str, Any], str]:
    facts: dict[str, Any] = {
        "embeddings": len(found.rows),
        "dim": found.rows.shape[1],
        "model": found.model,
        "ids": None if found.ids is None else [str(name) for name in found.ids[[0, -1]]] if len(found.ids) else [],
        "labels": None if found.labels is None else sorted(set(found.labels.tolist())),
        "info": list(found.info),
    }
    shown = dict(facts)
    if found.ids is not None and len(found.ids):
        shown["ids"] = f"{found.ids[0]} ... {found.ids[-1]}"
    return facts, outline(shown)


def _shards(path: Path) -> tuple[dict[str, Any], str]:
    from skelrep import corpus

    found = corpus.open(path, partial=True)
    facts, text = _embeddings(found)
    shards = sum(bool(shard.inputs) for shard in found.manifest.shards)
    more = {"options": found.manifest.options, "shards": {"finished": shards - len(found.missing), "of": shards}}
    return facts | more, f"{text}\n{outline(more)}"


def _model(encoder: Encoder) -> tuple[dict[str, Any], str]:
    config = encoder.config
    size = sum(parameter.numel() for parameter in encoder.parameters())
    facts = {
        "model": encoder.source.name,
        "commit": encoder.source.commit,
        "dim": encoder.dim,
        "parameters": size,
        **config.to_dict(),
    }
    training, preprocess = config.training, config.preprocess
    streams = f"{', '.join(config.modalities)} stream{'s' * (len(config.modalities) > 1)}"
    network = {key: value for key, value in facts["backbone"].items() if key != "kind"}
    results = _listed(training, "results")
    shown = {
        "model": "@".join(filter(None, encoder.source)),
        "embedding": f"{encoder.dim} dimensions: {streams}, fusion by {config.fusion}",
        "network": f"{config.kind} ({', '.join(f'{key} {value}' for key, value in network.items())})",
        "parameters": f"{size / 1e6:.2f} million",
        "skeleton": f"{config.skeleton.name}, {len(config.skeleton)} joints: {', '.join(config.skeleton.joints)}",
        "input": f"each clip resampled to {preprocess.timing}, at most {preprocess.persons} persons",
        "licence": training.get("license", "unknown"),
        "trained on": {str(one.get("name")): _hours(one) for one in _listed(training, "data")},
        "training": training.get("recipe", "unknown"),
        "results": {_measured(one): _value(one) for one in results if "alone" not in _measured(one)},
    }
    known = {key: value for key, value in shown.items() if value}
    return facts, outline(known) + "\n(--json shows the whole configuration)"


def _listed(training: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = training.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _hours(source: dict[str, Any]) -> str:
    return f"{source['hours']:.2f} h" if isinstance(source.get("hours"), (int, float)) else "unknown duration"


def _measured(result: dict[str, Any]) -> str:
    return ", ".join(str(result.get(key)) for key in ("dataset", "protocol", "metric"))


def _value(result: dict[str, Any]) -> str:
    deviation = result.get("std", result.get("sd"))
    return f"{result.get('value')}" + (f" ± {deviation}" if deviation is not None else "")


def _corpus(folder: Path) -> tuple[dict[str, Any], str]:
    about = _json(folder / "corpus.json")
    facts = {"corpus": str(folder), **about}
    skeleton = about.get("skeleton")
    shown = {
        "corpus": folder,
        "skeleton": skeleton.get("name") if isinstance(skeleton, dict) else skeleton,
        "licence": about.get("licence") or "unknown",
        "duration": _hours(about),
        "sources": {
            str(one.get("path", one.get("name"))): f"{one.get('clips')} clips, {_hours(one)}"
            for one in _listed(about, "sources")
        },
    }
    return facts, outline(shown)


def _head(folder: Path) -> tuple[dict[str, Any], str]:
    from dataclasses import asdict

    from skelrep.recordings.report import FitReport
    from skelrep.recordings.saved import HEAD, read_config

    config = read_config(folder)
    encoder, protocol = config.encoder, config.protocol
    shown = {
        "classifier": folder,
        "classes": config.classes,
        "kind": config.kind,
        "encoder": f"{'@'.join(filter(None, (encoder.name, encoder.commit)))}, fingerprint {encoder.fingerprint[:12]}"
        + (", included" if encoder.included else ""),
        "fitted to": f"{protocol.get('n_train', 'unknown')} clips, with skelrep {config.skelrep}",
    }
    report = "" if config.figures is None else f"\n{FitReport.from_dict(config.figures, str(folder / HEAD))}"
    return {"classifier": str(folder), **asdict(config)}, outline(shown) + report


def _run(folder: Path) -> tuple[dict[str, Any], str]:
    recipe, about = _json(folder / "recipe.json"), _json(folder / "corpus.json")
    log = folder / "log.jsonl"
    lines = read_text(log, errors="replace").splitlines() if log.exists() else []
    last = next((line for line in map(_logged, reversed(lines)) if line is not None), {})
    finished = (folder / "encoder" / "config.json").exists()
    facts = {"run": str(folder), "finished": finished, "last": last, "recipe": recipe, "corpus": about}
    small = {key: value for key, value in recipe.items() if not isinstance(value, (dict, list))}
    resumed = "not finished; `skelrep pretrain` with the same arguments resumes it"
    state = f"finished; its encoder is {folder / 'encoder'}" if finished else resumed
    shown = {"run": folder, "state": state, "last step": last or "none", "recipe": small, "data": _hours(about)}
    return facts, outline(shown)


def _logged(line: str) -> dict[str, Any] | None:
    """A line of `log.jsonl`; None for an incomplete one, which a killed run may leave."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}


def _add_runs(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a folder with runs of `skelrep pretrain` in it or below it")


def _runs(arguments: Namespace) -> None:
    root = Path(arguments.folder)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    found = [path.parent for path in sorted(root.rglob("recipe.json"))]
    if not found:
        raise ValueError(f"{root} contains no run; `skelrep pretrain` writes one")
    rows = [_run_row(folder, root) for folder in found]
    if arguments.json:
        print_json({"runs": rows}, arguments)
        return
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([single_line(row.get(key, "")) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        show("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _run_row(folder: Path, root: Path) -> dict[str, Any]:
    """The main facts of a run."""
    facts = _run(folder)[0]
    recipe, last = facts["recipe"], facts["last"]
    clips = sum(_whole(source, "clips") for source in _listed(facts["corpus"], "sources"))
    steps = _whole(recipe, "steps") or -(-_whole(recipe, "epochs") * clips // max(1, _whole(recipe, "batch")))
    row = {"run": folder.relative_to(root).as_posix(), "step": last.get("step", 0), "of": steps}
    shown = {"epoch": 1, "learning_rate": 6, "total": 3, "knn/fused": 2, "clips_per_second": 1}
    row |= {key: round(last[key], digits) for key, digits in shown.items() if isinstance(last.get(key), (int, float))}
    log = folder / "log.jsonl"
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(log.stat().st_mtime)) if log.exists() else "never"
    return row | {"logged": changed, "state": "finished" if facts["finished"] else "not finished"}


def _whole(facts: dict[str, Any], key: str) -> int:
    """A whole number of a file that may be damaged; 0 if there is none."""
    value = facts.get(key)
    return value if isinstance(value, int) else 0


COMMANDS = (
    Command(
        "info",
        "show what a model, a file or a folder contains",
        (
            "info i2md-small",
            "info clips.npz --json",
            "info walk.bvh --check                   # checks whether it looks like a recording of a person",
        ),
        _add_info,
        _info,
    ),
    Command(
        "runs",
        "list training runs with their progress",
        ("runs experiments                        # every run below a folder",),
        _add_runs,
        _runs,
    ),
)
