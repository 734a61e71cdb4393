"""Classifiers in folders: head.safetensors (the parameters), head.json (all else), README.md.

A head belongs to one encoder: head.json has its name, its commit on the Hub and its fingerprint, and a head is not
loaded with an encoder of another fingerprint. Loading is as strict as that of encoders.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save as as_bytes

from skelrep.encoder import Encoder, Source
from skelrep.encoder.config import read_object
from skelrep.files import check_no_link, write_together
from skelrep.hub import bundled, load_pretrained, save_pretrained
from skelrep.hub.load import CARD, CONFIG, WEIGHTS, find, read_strict_json, read_tensors
from skelrep.messages import one_line
from skelrep.recordings.heads import Head
from skelrep.recordings.report import FitReport
from skelrep.version import __version__

if TYPE_CHECKING:
    from skelrep.recordings.classifier import Classifier

HEAD, NUMBERS, ENCODER = "head.json", "head.safetensors", "encoder"
FORMAT_VERSION = 1  # of head.json; raised only when the meaning of a key changes
_PARAMETERS = ("C", "folds", "keep", "seed")


@dataclass(frozen=True)
class _EncoderName:
    """The encoder that a head belongs to."""

    name: str
    commit: str | None
    fingerprint: str
    streams: tuple[str, ...] | None
    included: bool  # in the folder `encoder` within the head's


@dataclass(frozen=True)
class _Config:
    """The content of head.json, except `format_version`."""

    classes: tuple[Any, ...]
    kind: str  # "linear" or "prototypes"
    dim: int
    temperature: float
    threshold: float
    encoder: _EncoderName
    protocol: dict
    figures: dict | None
    skelrep: str


def check_output(folder: str | os.PathLike) -> None:
    """Raises the errors of `save` that concern the folder, for callers who fit a classifier before they save it.

    Raises:
        ValueError: if it, or one of the folders that it is in, is a file.
    """
    folder = Path(folder).expanduser()
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise ValueError(f"cannot write the classifier {folder}: {path} is a file, expected a folder")


def save(classifier: Classifier, folder: str | os.PathLike, with_encoder: bool | None) -> Path:
    """Writes a fitted classifier; see `Classifier.save`."""
    folder = Path(folder).expanduser()
    encoder, head = classifier.loaded_encoder(), classifier.head_
    found_anywhere = encoder.source.name in bundled() or encoder.source.commit is not None
    included = not found_anywhere if with_encoder is None else with_encoder
    streams = None if classifier.streams is None else tuple(np.atleast_1d(classifier.streams).tolist())
    config = _Config(
        classes=tuple(classifier.classes_.tolist()),
        kind="prototypes" if head.weight is None else "linear",
        dim=classifier.n_features_in_,
        temperature=head.temperature,
        threshold=head.threshold,
        encoder=_EncoderName(*encoder.source, encoder.fingerprint(), streams, included),
        protocol=classifier.protocol_,
        figures=None if classifier.report_ is None else classifier.report_.to_dict(),
        skelrep=__version__,
    )
    text = json.dumps(
        {"format_version": FORMAT_VERSION, **asdict(config)}, indent=2, ensure_ascii=False, allow_nan=False
    )
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(getattr(head, name), dtype=np.float32))
        for name in _names(config.kind)
    }
    if included:
        check_no_link(folder / ENCODER)
        save_pretrained(encoder, folder / ENCODER)
    contents = {HEAD: text.encode() + b"\n", NUMBERS: as_bytes(tensors, metadata={"skelrep": __version__})}
    if not (folder / CARD).exists():  # people may have edited it
        contents[CARD] = _card(config, folder.resolve().name, classifier.report_).encode()
    write_together(folder, contents)
    return folder


def load(
    cls: type[Classifier],
    name_or_path: str | os.PathLike,
    *,
    encoder: Encoder | None,
    revision: str | None = None,
    device: str | torch.device | None = None,
    token: str | bool | None = None,
) -> Classifier:
    """Reads a classifier; see `Classifier.load`."""
    names = (HEAD, NUMBERS, CARD, f"{ENCODER}/{CONFIG}", f"{ENCODER}/{WEIGHTS}")
    folder, _ = find(name_or_path, revision, names=names, needed=(HEAD, NUMBERS), token=token)
    config = read_config(folder)
    head = _read_head(folder / NUMBERS, config)
    wanted = config.encoder
    if encoder is None:
        where = folder / ENCODER if wanted.included else wanted.name
        encoder = load_pretrained(
            where, revision=wanted.commit if not wanted.included else None, device=device, token=token
        )
        if wanted.included:
            encoder.source = Source(wanted.name, wanted.commit)
    if encoder.fingerprint() != wanted.fingerprint:
        raise ValueError(
            f"the head {folder} was fitted on embeddings of {wanted.name} with the fingerprint "
            f"{wanted.fingerprint[:12]}, but the encoder {encoder.source.name} has {encoder.fingerprint()[:12]}: other "
            "weights or preprocessing; give the encoder it was fitted with, or fit again"
        )
    given = {key: config.protocol[key] for key in _PARAMETERS if key in config.protocol}
    classifier = cls(encoder, streams=wanted.streams if wanted.streams is None else list(wanted.streams), **given)
    classifier.classes_ = np.array(config.classes)
    classifier.head_, classifier.n_features_in_, classifier.protocol_ = head, config.dim, config.protocol
    classifier.report_ = None if config.figures is None else FitReport.from_dict(config.figures, str(folder / HEAD))
    return classifier


def is_head(name_or_path: str | os.PathLike, revision: str | None = None) -> bool:
    """Whether a folder, or a repository on the Hub, holds a classifier rather than an encoder alone.

    Raises:
        ValueError: as `load_pretrained`, if it is neither.
        OSError: as `load_pretrained`, if it is neither.
    """
    folder, _ = find(name_or_path, revision, names=(HEAD,), needed=())
    return (folder / HEAD).is_file()


def read_config(folder: Path) -> _Config:
    """The content of head.json.

    Raises:
        ValueError: for an unknown or a missing key, a value of the wrong type, or another format version.
        OSError: if there is no such file.
    """
    if not (folder / HEAD).is_file():
        raise FileNotFoundError(f"{folder} is not a classifier: it has no {HEAD}; `skelrep fit` writes one")
    plain = read_strict_json(folder / HEAD)
    try:
        if not isinstance(plain, dict) or plain.pop("format_version", None) != FORMAT_VERSION:
            raise ValueError(
                f"expected an object with format_version {FORMAT_VERSION}; was it written by another version?"
            )
        config: _Config = read_object(_Config, plain, "config")
        kinds = {type(label) for label in config.classes}
        if kinds not in ({str}, {int}) or len(set(config.classes)) < max(2, len(config.classes)):
            raise ValueError("classes must be at least two different strings or whole numbers")
        if config.kind not in ("linear", "prototypes"):
            raise ValueError(f"kind must be linear or prototypes, got {config.kind!r}")
        if not (config.temperature > 0 and -1 <= config.threshold <= 1):
            raise ValueError(f"got the temperature {config.temperature} and the threshold {config.threshold}")
    except ValueError as error:
        raise ValueError(f"{folder / HEAD}: {one_line(error, 1000)}") from error
    return config


def _names(kind: str) -> tuple[str, ...]:
    arrays = [field.name for field in fields(Head) if field.name not in ("temperature", "threshold")]
    return tuple(name for name in arrays if kind == "linear" or name not in ("weight", "bias"))


def _read_head(path: Path, config: _Config) -> Head:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} is not a classifier: it has no {path.name}")
    tensors = read_tensors(path)
    n_classes, dim = len(config.classes), config.dim
    shapes = {"mean": (dim,), "deviation": (dim,), "bias": (n_classes,)}
    expected = {name: (shapes.get(name, (n_classes, dim)), torch.float32) for name in _names(config.kind)}
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if found != expected:
        raise ValueError(f"{path} does not contain the arrays of its head: it has {found}, expected {expected}")
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{path} contains NaN or infinite numbers in {', '.join(broken)}: refused")
    if not (tensors["deviation"] > 0).all():
        raise ValueError(f"{path} contains standard deviations that are not above 0: refused")
    arrays: dict[str, Any] = {name: tensor.clone().numpy() for name, tensor in tensors.items()}
    return Head(**{"weight": None, "bias": None, **arrays}, temperature=config.temperature, threshold=config.threshold)


def _card(config: _Config, name: str, report: FitReport | None) -> str:
    encoder = config.encoder
    classes = "\n".join(
        f"- {label}: {count} clips" for label, count in zip(config.classes, config.protocol["clips_per_class"])
    )
    figures = f"```\n{report}\n```" if report is not None else "No class had two clips, so nothing was held out."
    return f"""---
library_name: skelrep
tags: [skeleton, action-recognition]
---
# {name}

A classifier of human movement with {len(config.classes)} classes, on embeddings of the encoder `{encoder.name}`
(fingerprint `{encoder.fingerprint[:12]}`), fitted with skelrep {config.skelrep}.

    skelrep predict {name} clips.npz -o predictions.csv

```python title="not run"
from skelrep.recordings import Classifier

classifier = Classifier.load("{name}")
print(classifier.predict("clips.npz"))
```

## Classes

{classes}

# Cross-validation on the training clips

{figures}
"""
