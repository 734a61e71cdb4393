"""Saved encoders for tests to compare and to damage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from skelrep.encoder import Encoder
from skelrep.hub import save_pretrained
from skelrep.hub.load import CONFIG, WEIGHTS

REPO = "lab/encoder"
TRAINING = {
    "license": "cc-by-4.0",
    "data": [{"name": "Bandai-Namco 2", "licence": "CC BY-NC 4.0", "hours": 3.2}, {"name": "org/set", "url": "x|y"}],
    "recipe": "I2MD for 60 epochs: on one CPU.",
    "hyper_parameters": {"epochs": 60, "lr": 1e-3},
    "results": [
        {"dataset": "UTD-MHAD", "protocol": "cross-subject", "metric": "1-NN accuracy", "value": 81.25, "sd": 0.4},
        {"dataset": "UTD-MHAD", "protocol": "linear: frozen", "metric": "accuracy", "value": 88.5},
    ],
    "notes": ["Good at whole-body actions.", "Bad at hands: it sees none."],
}


def files_of(encoder: Encoder, folder: Path) -> dict[str, bytes]:
    save_pretrained(encoder, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(a: Encoder, b: Encoder) -> bool:
    mine, yours = a.state_dict(), b.state_dict()
    return (
        a.config == b.config and list(mine) == list(yours) and all(torch.equal(mine[key], yours[key]) for key in mine)
    )


def shifted(encoder: Encoder) -> Encoder:
    """The next version of an encoder."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 1
    return encoder


def with_config(folder: Path, **changes) -> Path:
    """Changes config.json: values by path, `preprocess__frames=32`; `...` removes the key."""
    config = json.loads((folder / CONFIG).read_text())
    for path, value in changes.items():
        *way, last = path.split("__")
        place = config
        for key in way:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


def with_tensors(folder: Path, change) -> Path:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    return folder


def in_a_process(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
