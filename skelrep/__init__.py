"""skelrep: embeddings of 3D human skeleton sequences from self-supervised encoders.

A public name loads its module when it is first used, so that `import skelrep` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelrep.embedding import embed
    from skelrep.encoder import Encoder, EncoderConfig
    from skelrep.evaluate import knn_eval, linear_eval, retrieve
    from skelrep.hub import load_pretrained, push_to_hub, save_pretrained
    from skelrep.io import read, write
    from skelrep.poses import Poses
    from skelrep.skeletons import SKELETONS, Skeleton
    from skelrep.sklearn import SkeletonEmbedder

from skelrep.version import __version__ as __version__

_HOMES = {
    "Encoder": "encoder",
    "EncoderConfig": "encoder",
    "Poses": "poses",
    "SKELETONS": "skeletons",
    "Skeleton": "skeletons",
    "SkeletonEmbedder": "sklearn",
    "embed": "embedding",
    "knn_eval": "evaluate",
    "linear_eval": "evaluate",
    "load_pretrained": "hub",
    "push_to_hub": "hub",
    "read": "io",
    "retrieve": "evaluate",
    "save_pretrained": "hub",
    "write": "io",
}

__all__ = [  # noqa: PLE0604 - spelled out for type checkers and for `from skelrep import *`
    "SKELETONS",
    "Encoder",
    "EncoderConfig",
    "Poses",
    "Skeleton",
    "SkeletonEmbedder",
    "embed",
    "knn_eval",
    "linear_eval",
    "load_pretrained",
    "push_to_hub",
    "read",
    "retrieve",
    "save_pretrained",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'skelrep' has no attribute {name!r}")
    value = getattr(import_module(f"skelrep.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
