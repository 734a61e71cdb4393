"""Model cards: the README.md of an encoder, from the template `model_card.md`."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Any

from skelrep.encoder import Encoder
from skelrep.preprocess_config import PreprocessConfig

TEMPLATE = Template(Path(__file__).with_suffix(".md").read_text(encoding="utf-8"))


def model_card(encoder: Encoder, *, name: str | None = None) -> str:
    """The text of a README.md for the Hub: YAML metadata, then sections for readers.

    It uses the config and the following keys of `encoder.config.training`. All of them are optional; without its key a
    section is left out:

    - `license` (str): licence of the weights, as the Hub spells it: "apache-2.0", "cc-by-4.0", "other".
    - `data` (list of objects): the training data; `name` and, if known, `licence`, `hours`, `url`, ... (columns of a
      table, in this order).
    - `recipe` (str): how the encoder was trained, in a sentence.
    - `hyper_parameters` (object): names and values of the hyper-parameters.
    - `results` (list of objects): `dataset`, `protocol`, `metric`, `value` and, if known, `sd`, the standard deviation.
    - `notes` (list of str): strengths and limitations.

    Args:
        encoder: The encoder.
        name: The argument of `load_pretrained` in the card's example; by default `encoder.source.name`.

    Raises:
        ValueError: if the value of one of these keys has another type.
    """
    config, name = encoder.config, name or encoder.source.name
    training, preprocess = config.training, config.preprocess
    data = _entries(training, "data", ("name",))
    results = _entries(training, "results", ("dataset", "protocol", "metric", "value"))
    size = sum(parameter.numel() for parameter in encoder.parameters())
    text = TEMPLATE.substitute(
        metadata=_metadata(name, training, data, results),
        name=name,
        dim=encoder.dim,
        kind=config.kind.replace("_", " ").capitalize(),
        streams=f"{', '.join(config.modalities)} stream{'s' * (len(config.modalities) > 1)}",
        parameters=f"{size / 1e6:.2f}",
        skeleton=config.skeleton.name,
        joint_count=len(config.skeleton),
        joints=", ".join(config.skeleton.joints),
        preprocessing=_preprocessing(preprocess),
        fps="" if preprocess.rate is None else ", fps=30",
    )
    parts = [text.strip()]
    if recipe := training.get("recipe"):
        parts.append(f"## Training\n\n{recipe}")
    if hyper := training.get("hyper_parameters"):
        if not isinstance(hyper, dict):
            raise ValueError(f"training['hyper_parameters'] must be an object, got {hyper!r:.300}")
        parts.append("## Hyper-parameters\n\n" + _table([{"name": key, "value": hyper[key]} for key in hyper]))
    if data:
        parts.append("## Training data\n\n" + _table(data))
    if results:
        rows = [
            {key: row[key] for key in ("dataset", "protocol", "metric")}
            | {"value": f"{row['value']}" + (f" ± {row['sd']}" if row.get("sd") is not None else "")}
            for row in results
        ]
        parts.append("## Results\n\n" + _table(rows))
    if notes := training.get("notes"):
        if not isinstance(notes, (list, tuple)):
            raise ValueError(f"training['notes'] must be a list of sentences, got {notes!r:.300}")
        parts.append("## Strengths and limitations\n\n" + "\n".join(f"- {note}" for note in notes))
    if licence := training.get("license"):
        parts.append(f"## Licence\n\nWeights: {licence}. The training data have their own licences.")
    return "\n\n".join(parts) + "\n"


def _entries(training: dict[str, Any], key: str, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = training.get(key) or []
    if not isinstance(entries, (list, tuple)) or not all(
        isinstance(entry, dict) and all(name in entry for name in needed) for entry in entries
    ):
        raise ValueError(
            f"training[{key!r}] must be a list of objects that have {', '.join(needed)}; got {entries!r:.300}"
        )
    return list(entries)


def _metadata(name: str, training: dict[str, Any], data: list[dict[str, Any]], results: list[dict[str, Any]]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    metadata = ModelCardData(
        library_name="skelrep",
        pipeline_tag="feature-extraction",
        tags=["skeleton", "action-recognition", "self-supervised", "i2md"],
        license=training.get("license"),
        datasets=[_hub_id(row["name"]) for row in data] or None,
        metrics=["accuracy"] if results else None,
        model_name=name.split("/")[-1],
        eval_results=[
            EvalResult(
                task_type="feature-extraction",
                task_name="Action recognition on frozen embeddings",
                dataset_type=_hub_id(row["dataset"]),
                dataset_name=str(row["dataset"]),
                metric_type="accuracy" if "accuracy" in str(row["metric"]).lower() else _hub_id(row["metric"]),
                metric_name=f"{row['metric']} ({row['protocol']})",
                metric_value=row["value"],
            )
            for row in results
        ]
        or None,
    )
    return metadata.to_yaml().strip()


def _hub_id(name: Any) -> str:
    """A name in the form of a Hub id, which the Hub requires."""
    parts = [re.sub(r"[^\w.]+", "-", part, flags=re.ASCII).strip("-.") for part in str(name).split("/")]
    return "/".join(parts) if len(parts) == 2 else "-".join(parts).lower()


def _table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with a column for each key, in the order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(_one_cell(cell) for cell in line)} |" for line in lines)


def _one_cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _preprocessing(preprocess: PreprocessConfig) -> str:
    """The preprocessing of clips as a list of sentences."""

    def point(names: tuple[str, ...]) -> str:
        return names[0] if len(names) == 1 else f"the mean of {', '.join(names[:-1])} and {names[-1]}"

    def vector(ends: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
        return f"the vector from {point(ends[0])} to {point(ends[1])}"

    whole = "The whole clip" if preprocess.crop == 1 else f"The middle {preprocess.crop:.0%} of the clip"
    most = preprocess.persons
    joints = "each aligned by their own joints" if preprocess.per_person else "all aligned by the first one's joints"
    persons = f"The {most} most active persons are used, {joints}." if most > 1 else "The most active person is used."
    lines = [
        f"{whole} is resampled linearly to {preprocess.timing}.",
        persons,
        f"The origin of every frame is {point(preprocess.center)}.",
        f"Clips are rotated so that {vector(preprocess.up)} points up and {vector(preprocess.right)} to +x.",
    ]
    if preprocess.up_else:
        lines[-1] += f" If the first vector is missing in the whole clip, {vector(preprocess.up_else)} replaces it."
    lines[-1] += {
        "first": " The vectors are those of the first frame.",
        "mean": " The vectors are means over the clip.",
        "running": " The vectors of a frame are means over all frames up to it, and so is the scale.",
    }[preprocess.align]
    if preprocess.scale:
        first, second = map(point, preprocess.scale)
        lines.append(f"Poses are scaled so that the distance between {first} and {second} is 1.")
    else:
        lines.append("Poses are not scaled.")
    return "\n".join(f"- {line}" for line in lines)
