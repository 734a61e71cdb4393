"""Trains with a named recipe and exports the encoder: the commands `pretrain` and `export`."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.config import typed
from skelrep.encoder.device import as_device
from skelrep.evaluate import knn_eval
from skelrep.files import read_text
from skelrep.hub import load_pretrained, save_pretrained
from skelrep.io import members, read
from skelrep.json_text import read_json, read_object
from skelrep.messages import nearest, one_line
from skelrep.poses import Poses
from skelrep.train import distributed
from skelrep.train.data import Corpus
from skelrep.train.loop import load_checkpoint, pretrain
from skelrep.train.recipes import RECIPES, Recipe


def run(
    name: str,
    data: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    changes: Sequence[str] = (),
    start: str | os.PathLike | None = None,
    device: str | None = None,
    monitor: str | os.PathLike | None = None,
    save_every: int = 200,
    until: float | None = None,
    on_line: Callable[[dict[str, float], int, float], object] | None = None,
    show_progress: bool | None = None,
) -> Encoder:
    """Pretrains with a recipe and writes the encoder into `folder`/encoder; resumes a run that was stopped there.

    Under `torchrun`, every process calls this function, and they train together.

    Args:
        name: Name of a recipe in `RECIPES`.
        data: A folder written by `skelrep prepare`.
        folder: Folder of the run.
        changes: Changes of the recipe: "steps=100", "method.slots=2048", "window=None".
        start: An encoder, as `load_pretrained` takes it, whose training goes on: the run starts from its weights, and
            trains an encoder of its config. By default, weights are random.
        device: Where to train; by default the best available device.
        monitor: Labelled poses on which the frozen encoder is evaluated at every checkpoint with 1-NN: test against
            train if the file has these splits, else each clip against all others.
        save_every: Steps between checkpoints.
        until: As in `pretrain`.
        on_line: As in `pretrain`.
        show_progress: A bar on stderr; by default only in a terminal or notebook.

    Raises:
        ValueError: for an unknown recipe or field, and as `Corpus.load` and `pretrain`.
        FileNotFoundError: if there is no encoder to start from; further errors as in `load_pretrained`.
        Stopped: as `pretrain`.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; known recipes: {', '.join(RECIPES)}{nearest(name, RECIPES)}")
    recipe = RECIPES[name]()
    origin = None if start is None else load_pretrained(start, device="cpu")
    if origin is not None:
        recipe = dataclasses.replace(recipe, encoder=dataclasses.replace(origin.config, training={}))
    for change in changes:
        recipe = changed(recipe, change)
    folder = Path(folder)
    device_of_process = distributed.start(as_device(device))
    try:
        corpus = Corpus.load(data, recipe.encoder, device_of_process)
        evaluate, protocol = (None, "") if monitor is None else _monitor(monitor, recipe.encoder)
        encoder = pretrain(
            recipe,
            corpus,
            folder,
            start=origin,
            save_every=save_every,
            monitor=evaluate,
            until=until,
            on_line=on_line,
            show_progress=show_progress,
        ).cpu()
        if distributed.rank() == 0:
            training = _training(name, changes, recipe, corpus, folder, monitor, protocol)
            encoder.config.training.update(training)
            save_pretrained(encoder, folder / "encoder", replace_card=True)
            encoder.source = Source(str(folder / "encoder"))
        return encoder
    finally:
        distributed.stop()


def changed(recipe: Recipe, change: str) -> Recipe:
    """A recipe with one field changed, such as "method.slots=2048"; values are written as in Python.

    Raises:
        ValueError: if there is no such field, or the value has the wrong type.
    """
    path, equals, text = change.partition("=")
    if not equals:
        raise ValueError(f"a change of the recipe is written FIELD=VALUE, got {change!r}")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text  # a word

    def replaced(part: Any, names: list[str]) -> Any:
        fields = [field.name for field in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else []
        if names[0] not in fields:
            raise ValueError(
                f"the recipe has no {path!r}{nearest(names[0], fields)}; valid fields: {', '.join(fields) or 'none'}"
            )
        if len(names) > 1:
            new = replaced(getattr(part, names[0]), names[1:])
        else:
            new = typed(get_type_hints(type(part))[names[0]], value, path)
        # Steps and epochs exclude each other: setting one resets the other.
        other = {"steps": {"epochs": 0}, "epochs": {"steps": 0}}.get(path, {})
        return dataclasses.replace(part, **{names[0]: new}, **other)  # type: ignore[arg-type]

    return replaced(recipe, path.split("."))


def export(
    folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    licence: str | None = None,
    results: str | os.PathLike | None = None,
    notes: Sequence[str] = (),
) -> Encoder:
    """Exports the encoder of a run to a folder for `load_pretrained` and `push_to_hub`, with a model card.

    An unfinished run exports the encoder of its last checkpoint, and the card states the number of steps.

    Args:
        folder: Folder of the run.
        output: Folder for config.json, model.safetensors and README.md; must not exist or be empty. Its name becomes
            the name of the model.
        licence: Licence of the weights, as the Hub spells it ("cc-by-nc-4.0").
        results: A JSON file: a list of objects with dataset, protocol, metric, value and, if known, sd.
        notes: Sentences for the card.

    Raises:
        ValueError: if the folder contains no run, or a file is invalid.
        FileExistsError: if there is something at `output`.
    """
    folder, output = Path(folder), Path(output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"{output} exists and is not an empty folder; remove it or choose another name")
    if (folder / "encoder" / "config.json").exists():
        encoder = load_pretrained(folder / "encoder", device="cpu")
    elif all((folder / name).exists() for name in ("checkpoint.pt", "recipe.json", "corpus.json")):
        encoder = _of_checkpoint(folder)
    else:
        raise ValueError(f"{folder} has no run with a checkpoint; `skelrep pretrain` writes one")
    training = encoder.config.training
    if licence is not None:
        training["license"] = licence
    if results is not None:
        training["results"] = read_json(results)
    if notes:
        training["notes"] = [*training.get("notes", ()), *notes]
    save_pretrained(encoder, output, replace_card=True)
    return encoder


def _of_checkpoint(folder: Path) -> Encoder:
    plain, about = read_object(folder / "recipe.json"), read_object(folder / "corpus.json")
    try:
        config = EncoderConfig.from_dict(plain.get("encoder", {}))
    except ValueError as error:
        raise ValueError(f"{folder / 'recipe.json'}: {one_line(error, 1000)}") from error
    encoder = Encoder(config)
    state = load_checkpoint(folder / "checkpoint.pt")
    prefix = "encoder."
    weights = {key.removeprefix(prefix): value for key, value in state["method"].items() if key.startswith(prefix)}
    try:
        encoder.load_state_dict(weights)
    except Exception as error:  # torch lists every tensor that does not fit, one per line
        raise ValueError(f"the checkpoint in {folder} does not match its recipe.json") from error
    hyper = {key: value for key, value in plain.items() if key != "encoder"}
    _, begun, origin = _of_start(folder)
    encoder.config.training.update(
        recipe=f"The checkpoint after {state['step']} steps of the run that the hyper-parameters describe{begun}.",
        data=[*origin.pop("data", []), *_data(about, folder)],
        hyper_parameters=hyper,
        **origin,
    )
    encoder.source = Source(str(folder))
    return encoder


def _of_start(folder: Path) -> tuple[list[str], str, dict[str, Any]]:
    """Of the encoder that a run started from: the option, the words of the card, and the entries that it repeats."""
    path = folder / "start.json"
    if not path.exists():
        return [], "", {}
    origin = read_object(path)
    taken = {key: origin[key] for key, kind in (("license", str), ("data", list)) if isinstance(origin.get(key), kind)}
    commit = f" at commit {origin['commit']}" if origin.get("commit") else ""
    name = str(origin.get("name"))
    return ["--from", name], f", starting from the weights of {name}{commit}", taken


def _data(about: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The entries of a corpus in the model card."""
    kinds = {"name": str, "clips": int, "hours": (int, float)}
    sources = about.get("sources", [])
    if not isinstance(sources, list) or not all(
        isinstance(source, dict) and all(isinstance(source.get(key), kind) for key, kind in kinds.items())
        for source in sources
    ):
        raise ValueError(f"{folder / 'corpus.json'} is damaged: its sources are not a list of name, clips and hours")
    return [
        {"name": source["name"], "clips": source["clips"], "hours": round(source["hours"], 2)}
        | ({"licence": about["licence"]} if about.get("licence") else {})
        for source in sources
    ]


def _training(
    name: str, changes: Sequence[str], recipe: Recipe, corpus: Corpus, folder: Path, monitor: Any, protocol: str
) -> dict[str, Any]:
    """The entries of a run in the model card."""
    method = recipe.method
    parts = {
        "instance contrast": method.instance,
        "mutual distillation between the streams": method.cross_modal,
        "dynamic neighbours aggregation": method.cluster,
        "mutual distillation between each stream's two branches": method.intra_modal,
    }
    losses = [part for part, weight in parts.items() if weight]
    option, begun, origin = _of_start(folder)
    command = " ".join(["skelrep pretrain", name, *option, *(["--set", *changes] if changes else [])])
    lines = read_text(folder / "log.jsonl", errors="replace").splitlines()
    last = json.loads(lines[-1]) if lines else {}  # empty if the log was removed after the last step
    results = [
        {
            "dataset": Path(monitor).stem,
            "protocol": f"{protocol}, {'all streams' if stream == 'fused' else stream + ' stream'}",
            "metric": "1-NN accuracy (%)",
            "value": last[f"knn/{stream}"],
        }
        for stream in ("fused", *recipe.encoder.modalities)
        if monitor is not None and f"knn/{stream}" in last
    ]
    return {
        **origin,
        "recipe": f"Pretrained without labels by {', '.join(losses)}{begun}: `{command}`.",
        "data": [*origin.get("data", []), *_data(corpus.about, folder)],
        "hyper_parameters": {k: v for k, v in dataclasses.asdict(recipe).items() if k != "encoder"},
        **({"results": results} if results else {}),
    }


def _monitor(path: str | os.PathLike, config: EncoderConfig) -> tuple[Callable[[Encoder], dict[str, float]], str]:
    """A function that computes the 1-NN accuracy of each stream on a labelled file in per cent; the protocol's name.

    Poses that do not fit the config raise an error here and not at the first checkpoint.
    """
    poses = read(path)
    if poses.labels is None:
        raise ValueError(f"{path} contains no labels to evaluate with; an .npz written by Poses.save can")
    try:
        train, test = (members(poses.info, split, path) for split in ("train", "test"))
    except ValueError:
        train = test = None
        if len(poses) < 2:
            raise ValueError(
                f"{path} contains {len(poses)} clip; evaluation of each clip against the others needs two"
            ) from None
    Encoder(config).prepare_weighted(poses)

    def accuracy(rows: np.ndarray, poses: Poses) -> float:
        assert poses.labels is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about classes with one clip, at every checkpoint
            if train is None:
                result = knn_eval(rows, poses.labels, k=(1,), leave_one_out=True)
            else:
                result = knn_eval(rows[train], poses.labels[train], rows[test], poses.labels[test], k=(1,))
        return round(100 * result.accuracy[1], 2)

    def evaluate(encoder: Encoder) -> dict[str, float]:
        streams = {"fused": None} | {name: name for name in encoder.config.modalities}
        return {
            f"knn/{name}": accuracy(encoder.embed(poses, streams=stream, show_progress=False), poses)
            for name, stream in streams.items()
        }

    return evaluate, "each clip against all others" if train is None else "the file's train and test split"
