"""The encoder: preprocessing, a backbone for each modality, fusion, and the config that says all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

from skelrep.encoder.convolution import ConvolutionConfig, TemporalConvolution
from skelrep.encoder.inference import embed_batches
from skelrep.encoder.modalities import MODALITIES, modality
from skelrep.encoder.recurrent import RecurrentConfig, RecurrentStack
from skelrep.encoder.streaming import EmbeddingStream
from skelrep.poses import Poses, as_poses
from skelrep.preprocess import PreprocessConfig, prepare
from skelrep.skeletons import SKELETONS, Skeleton, resolve

FORMAT_VERSION = 1  # of config.json; raised only when the meaning of a key changes
MOST_PARAMETERS = 2_000_000_000  # 30 times CMD's three streams: a config that asks for more is a mistake or an attack
MOST_INPUTS = 10_000_000  # numbers a clip, a thousand times CMD's 9600: a batch of 64 then still fits into memory
MOST_LAYERS = 100  # every one costs time and memory before its first weight does


@dataclass(frozen=True)
class EncoderConfig:
    """Everything between raw poses and the embedding; what `config.json` holds.

    Attributes:
        skeleton: The encoder's own; input of another one is mapped to it by joint name.
        modalities: Its streams, in the order of the embedding.
        preprocess: How clips are cut, resampled, centred, turned and scaled.
        backbone: Kind and sizes of the network of each stream.
        fusion: How the streams' features become one vector. "concatenate": each L2-normalised, one after the other;
            "mean": the arithmetic mean, as CMD's code offers it.
        training: Where the weights come from: data, licence, recipe, results. Free-form, for people and model cards.
    """

    skeleton: Skeleton = SKELETONS["common-15"]
    modalities: tuple[str, ...] = MODALITIES
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    backbone: ConvolutionConfig | RecurrentConfig = field(default_factory=ConvolutionConfig)
    fusion: Literal["concatenate", "mean"] = "concatenate"
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what no encoder can be built from."""
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"modalities must be one or more of {', '.join(MODALITIES)}, got {self.modalities}")
        if unknown := [name for name in self.modalities if name not in MODALITIES]:
            raise ValueError(f"no modality is called {unknown[0]!r}; there are {', '.join(MODALITIES)}")
        preprocess = self.preprocess
        for directions in (
            preprocess.up,
            preprocess.up_else or (),
            preprocess.right,
            preprocess.scale or (),
            (preprocess.center,),
        ):
            if not all(directions):
                raise ValueError("preprocessing goes by no joint at all in one of center, up, right and scale")
            if lost := [joint for joints in directions for joint in joints if joint not in self.skeleton.joints]:
                raise ValueError(f"preprocessing goes by the joint {lost[0]!r}, which {self.skeleton.name!r} lacks")
        if not (0 < preprocess.crop <= 1):
            raise ValueError(f"crop is the share of a clip that is kept, above 0 and at most 1; got {preprocess.crop}")
        backbone = dataclasses.asdict(self.backbone)
        if not 0.5 <= (reach := backbone.pop("reach", 1.0)) <= MOST_PARAMETERS:  # false for NaN, too
            raise ValueError(f"windows that reach {reach} spans miss frames or have no end; take 0.5 or a little more")
        if not 0 <= (spread := backbone.pop("spread", 0.0)) <= MOST_PARAMETERS:
            raise ValueError(f"the weight of the spread over time must be a number of at least 0, got {spread}")
        sizes = [preprocess.frames, preprocess.persons, *backbone.values()]
        if min(sizes) < 1 or max(sizes) > MOST_PARAMETERS:
            raise ValueError(
                f"every size in a config must be 1 to {MOST_PARAMETERS:.0e}: {preprocess}, {self.backbone}"
            )
        if (depth := getattr(self.backbone, "blocks", 0) or getattr(self.backbone, "layers", 0)) > MOST_LAYERS:
            raise ValueError(f"the config asks for {depth} layers, more than {MOST_LAYERS}: refused")

    def to_dict(self) -> dict[str, Any]:
        """As `config.json` has it: plain lists, strings and numbers."""
        kind = next(name for name, cls in BACKBONES.items() if isinstance(self.backbone, cls))
        plain = dataclasses.asdict(self) | {"backbone": {"kind": kind, **dataclasses.asdict(self.backbone)}}
        return {"format_version": FORMAT_VERSION, **plain}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> EncoderConfig:
        """Reads `to_dict`'s form, strictly.

        Raises:
            ValueError: for an unknown or a missing key, a value of the wrong type, or a newer format version.
        """
        if not isinstance(plain, dict):
            raise ValueError(f"a config must be a JSON object, got {type(plain).__name__}")
        plain = dict(plain)
        version = plain.pop("format_version", None)
        if version != FORMAT_VERSION or not isinstance(version, int) or isinstance(version, bool):
            raise ValueError(
                f"the config's format_version is {version!r}, this skelrep reads {FORMAT_VERSION}: "
                "it belongs to another version of skelrep, or is no skelrep config"
            )
        backbone = plain.get("backbone")
        kind = backbone.get("kind") if isinstance(backbone, dict) else None
        if not isinstance(kind, str) or kind not in BACKBONES:
            raise ValueError(f"the config's backbone kind is {kind!r}, not one of {', '.join(BACKBONES)}")
        plain["backbone"] = {key: value for key, value in backbone.items() if key != "kind"}  # type: ignore[union-attr]
        parts = {"skeleton": Skeleton, "preprocess": PreprocessConfig, "backbone": BACKBONES[kind]}
        built = {key: _strict(part, plain.get(key), key) for key, part in parts.items()}
        return _strict(cls, {**plain, **built}, "config")


BACKBONES: dict[str, type] = {"convolution": ConvolutionConfig, "recurrent": RecurrentConfig}


def _strict(cls: type, plain: Any, where: str) -> Any:
    """A dataclass from a JSON object that has exactly its fields, each of its type."""
    if not isinstance(plain, dict):
        raise ValueError(f"the config's {where} must be an object, got {plain!r}")
    hints = get_type_hints(cls)
    names = [item.name for item in dataclasses.fields(cls)]
    if unknown := sorted(set(plain) - set(names)):
        raise ValueError(
            f"unknown key {unknown[0]!r} in the config's {where}; a newer skelrep may know it: update skelrep"
        )
    if missing := [name for name in names if name not in plain]:
        raise ValueError(f"the config's {where} lacks {', '.join(missing)}")
    return cls(**{name: typed(hints[name], plain[name], f"{where}.{name}") for name in names})


def typed(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as the type that a field asks for: lists become tuples, and nothing else is converted."""
    if dataclasses.is_dataclass(value):  # the parts come built
        return value
    kind, args = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return None if value is None and type(None) in args else typed(args[0], value, where)
    if kind is Literal:
        if value not in args:
            raise ValueError(f"the config's {where} must be one of {', '.join(args)}, got {value!r}")
        return value
    if kind is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"the config's {where} must be a list, got {value!r}")
        items = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(items) != len(value):
            raise ValueError(f"the config's {where} must have {len(items)} items, got {value!r}")
        return tuple(typed(item, part, where) for item, part in zip(items, value))
    if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool) is not (kind is bool):
        raise ValueError(f"the config's {where} must be of type {kind.__name__}, got {value!r}")
    return value


class Source(NamedTuple):
    """Where an encoder's weights came from."""

    name: str  # bundled name, folder or Hub id
    commit: str | None = None  # of the Hub repository


class Encoder(nn.Module):
    """Turns clips of skeletons into vectors.

    Made by `skelrep.load_pretrained`, or from a config with untrained weights. Always in evaluation mode unless
    someone calls `train()`.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Builds the network that a config describes, with random weights.

        Raises:
            ValueError: if its sizes are absurd or do not fit each other.
        """
        super().__init__()
        self.config = config
        self.source = Source("untrained")
        if (size := _parameters(config)) > MOST_PARAMETERS:
            raise ValueError(f"the config asks for {size:.1e} parameters, more than {MOST_PARAMETERS:.0e}: refused")
        if (size := 3 * len(config.skeleton) * config.preprocess.frames * config.preprocess.persons) > MOST_INPUTS:
            raise ValueError(f"the config asks for {size:.1e} numbers a clip, more than {MOST_INPUTS:.0e}: refused")
        self.streams = nn.ModuleDict({name: _backbone(config) for name in config.modalities})
        self.eval()

    def forward(self, poses: Tensor) -> dict[str, Tensor]:
        """Features of prepared clips, one tensor a stream.

        Args:
            poses: (N, M, T, V, 3), normalised, at the encoder's T, M and V, as `prepare` returns them.

        Returns:
            For each modality a tensor (N, D of a stream).
        """
        return self.features(poses, self.config.modalities)

    def features(self, poses: Tensor, streams: Sequence[str], precision: str | None = None) -> dict[str, Tensor]:
        """`forward` for some of the streams.

        Args:
            poses: As `forward` takes them.
            streams: Names of modalities.
            precision: None: the modules as they are, which gradients flow through. One of `PRECISIONS`: for inference,
                with products in it; on a CPU with packed weights, kept for the next call while no weight changes (as
                much memory again as the weights).

        Raises:
            ValueError: for int8 on another device than a CPU.
        """
        present = persons_present(poses)
        parents = self.config.skeleton.parents
        networks: Any = self.streams
        products: AbstractContextManager = nullcontext()  # whatever is around the call, such as a trainer's autocast
        if precision == "int8" or (precision is not None and poses.device.type == "cpu"):
            networks = self.packed(streams, precision)
        elif precision == "bfloat16":
            products = torch.autocast(poses.device.type, torch.bfloat16)
        with products:
            return {name: networks[name](modality(name, poses, parents), present) for name in streams}

    def packed(self, streams: Sequence[str], precision: str) -> dict[str, Any]:
        """Networks of some of the streams with constant weights: what takes the arguments of their `forward`."""
        kept = self.__dict__.setdefault("_packed_streams", {})
        for name in streams:
            network = self.streams[name]
            weights = [*network.parameters(), *network.buffers()]
            # A tensor born in inference mode has no version; then nobody can tell whether it has changed.
            state = None if any(w.is_inference() for w in weights) else [(w.data_ptr(), w._version) for w in weights]
            if state is None or kept.get((name, precision), (None,))[0] != state:
                kept[name, precision] = state, network.packed(precision)  # type: ignore[operator]
        return {name: kept[name, precision][1] for name in streams}

    def __getstate__(self) -> dict[str, Any]:
        """What to copy and to pickle: packed weights are made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed_streams"}

    def prepare(self, poses: Poses, device: torch.device | str | None = None) -> Tensor:
        """Raw poses as `forward` takes them, (N, M, T, V, 3), by the config's preprocessing.

        Raises:
            ValueError: if the skeleton cannot be mapped, or a clip shows nobody, or of nobody two of the joints that
                the encoder looks at.
        """
        config = self.config
        prepared = prepare(poses.clips, poses.skeleton, config.skeleton, config.preprocess, device or self.device)
        if empty := [name for name, seen in zip(poses.ids, persons_present(prepared).any(dim=1).tolist()) if not seen]:
            raise ValueError(
                f"nobody is seen in {len(empty)} of {len(poses)} clips: {', '.join(empty[:5])}"
                f"{', ...' if len(empty) > 5 else ''}; leave them out"
            )
        return prepared

    def fuse(self, features: dict[str, Tensor]) -> Tensor:
        """One vector a clip, (N, D), out of the streams' features, as the config's `fusion` says."""
        parts = list(features.values())
        if self.config.fusion == "mean":
            return torch.stack(parts).mean(dim=0)
        return torch.cat([nn.functional.normalize(part, dim=1) for part in parts], dim=1)

    def embed(
        self,
        poses: Any,
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        fps: float | None = None,
        window: float | None = None,
        stride: float | None = None,
        **options: Any,
    ) -> np.ndarray:
        """`skelrep.embed` for poses in memory; see there for all arguments, the result and the errors."""
        poses = as_poses(poses, skeleton=skeleton, layout=layout, fps=fps)
        if window is not None:
            poses = poses.windows(window, stride)
        elif stride is not None:
            raise ValueError("stride needs window: the seconds that one row covers")
        return embed_batches(self, poses, **options)

    def stream(self, skeleton: Skeleton | str | Sequence[str] | None = None, **options: Any) -> EmbeddingStream:
        """Frame-by-frame embedding; see `skelrep.encoder.EmbeddingStream`."""
        return EmbeddingStream(self, resolve(skeleton or self.config.skeleton), **options)

    @property
    def skeleton(self) -> Skeleton:
        """The encoder's own skeleton."""
        return self.config.skeleton

    @property
    def dim(self) -> int:
        """D of the embedding over all streams."""
        sizes: list[int] = [stream.dim for stream in self.streams.values()]  # type: ignore[misc]
        return sum(sizes) if self.config.fusion == "concatenate" else sizes[0]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def __repr__(self) -> str:
        """What it is, where it came from and what it takes, on one line."""
        kind = self.config.to_dict()["backbone"]["kind"]
        size = sum(parameter.numel() for parameter in self.parameters())
        commit = f"@{self.source.commit[:8]}" if self.source.commit else ""
        return (
            f"Encoder({self.source.name}{commit}: {kind}, {'+'.join(self.config.modalities)}, "
            f"{self.skeleton.name} x {self.config.preprocess.frames} frames -> {self.dim}, "
            f"{size / 1e6:.2f} M parameters, {self.device})"
        )


def persons_present(prepared: Tensor) -> Tensor:
    """Which persons of (N, M, T, V, 3) prepared clips are there at all, (N, M): an absent one is all zeros."""
    return prepared.flatten(2).abs().amax(dim=2) > 0


def _backbone(config: EncoderConfig) -> TemporalConvolution | RecurrentStack:
    joints, preprocess = len(config.skeleton), config.preprocess
    if isinstance(config.backbone, RecurrentConfig):
        return RecurrentStack(joints, preprocess.persons, config.backbone)
    return TemporalConvolution(joints, preprocess.frames, config.backbone)


def _parameters(config: EncoderConfig) -> int:
    """Number of weights, counted without allocating any."""
    if isinstance(config.backbone, RecurrentConfig):
        hidden, layers = config.backbone.hidden, config.backbone.layers
        inputs = len(config.skeleton) * 3 * config.preprocess.persons
        stream = 6 * hidden * (inputs + hidden) + (layers - 1) * 6 * hidden * 3 * hidden
    else:
        width, blocks, kernel = config.backbone.width, config.backbone.blocks, config.backbone.kernel
        windows = config.backbone.spans * config.preprocess.frames // config.backbone.stride
        stream = 3 * len(config.skeleton) * width * kernel + blocks * (4 * width * width + width * kernel) + windows
    return stream * len(config.modalities)
