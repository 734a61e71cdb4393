"""The config of an encoder, which is read strictly from JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from skelrep.encoder.backbone import MAX_SIZE, BackboneConfig, check_sizes
from skelrep.encoder.causal_convolution import CausalConvolutionConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.modalities import MODALITIES, find_modality
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import PreprocessConfig
from skelrep.skeletons import SKELETONS, Skeleton

FORMAT_VERSION = 1  # of config.json; raised only when the meaning of a key changes

#: Config classes of all backbones by their kind in config.json. To add one, set `BACKBONES["mine"] = MyConfig` before a
#: config names it; see `skelrep.encoder.backbone`.
BACKBONES: dict[str, type[BackboneConfig]] = {
    "convolution": ConvolutionConfig,
    "causal_convolution": CausalConvolutionConfig,
    "recurrent": RecurrentConfig,
}


@dataclass(frozen=True)
class EncoderConfig:
    """Everything between raw poses and the embedding: the content of `config.json`.

    Attributes:
        skeleton: The encoder's own skeleton; input on another one is mapped to it by joint name.
        modalities: Names of the streams, in the order of the embedding.
        preprocess: How clips are cut, resampled, centred, rotated and scaled.
        backbone: Config of the network of each stream; its class is one of `BACKBONES`.
        fusion: How the streams' features become one vector. "concatenate": they are L2-normalised and concatenated;
            "mean": their arithmetic mean, as in CMD's code.
        training: How the encoder was trained: data, licence, recipe, results. Free-form, for people and model cards.
    """

    skeleton: Skeleton = SKELETONS["common-15"]
    modalities: tuple[str, ...] = ("joint", "bone", "motion")
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    backbone: BackboneConfig = field(default_factory=ConvolutionConfig)
    fusion: Literal["concatenate", "mean"] = "concatenate"
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises a ValueError for values that no encoder can be built from."""
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"modalities must be one or more of {', '.join(MODALITIES)}, got {self.modalities}")
        for name in self.modalities:
            find_modality(name)
        preprocess = self.preprocess
        for landmarks in (
            preprocess.up,
            preprocess.up_else or (),
            preprocess.right,
            preprocess.scale or (),
            (preprocess.center,),
            *(((start,), (end,)) for start, end, _ in preprocess.scale_else),
        ):
            if not all(landmarks):
                raise ValueError("center, up, up_else, right and scale must each name at least one joint")
            if lost := [joint for joints in landmarks for joint in joints if joint not in self.skeleton.joints]:
                raise ValueError(f"preprocessing needs the joint {lost[0]!r}, which {self.skeleton.name!r} lacks")
        if not all(0 < length < float("inf") for _, _, length in preprocess.scale_else):
            raise ValueError(f"scale_else needs a length above 0 for each bone, got {preprocess.scale_else}")
        if not (0 < preprocess.crop <= 1):
            raise ValueError(f"crop, the fraction of a clip that is kept, must be in (0, 1], got {preprocess.crop}")
        if not preprocess.per_person and (preprocess.weigh, preprocess.pairs) != ("equal", "apart"):
            raise ValueError("weigh and pairs need per_person=True, because they apply to persons encoded alone")
        if preprocess.pairs != "apart" and preprocess.persons != 2:
            raise ValueError(f"pairs={preprocess.pairs!r} needs persons = 2, got {preprocess.persons}")
        if preprocess.rate is not None and not 0 < preprocess.rate < float("inf"):
            raise ValueError(f"rate, in frames per second, must be a finite number above 0, got {preprocess.rate}")
        if (preprocess.align == "running") != (preprocess.rate is not None):
            raise ValueError(
                f"align='running' and a rate belong together, got align={preprocess.align!r}, rate={preprocess.rate}"
            )
        if preprocess.rate is not None:
            whole = {"crop": 1.0, "per_person": True, "undo_swaps": False, "remove_spikes": False, "pairs": "apart"}
            for key, needed in whole.items():
                if (got := getattr(preprocess, key)) != needed:
                    raise ValueError(f"rate needs {key}={needed!r}, which looks at no later frame, got {got!r}")
            if self.persons_together:
                raise ValueError(
                    f"rate needs a network that encodes each person alone, but this {self.kind} backbone takes all "
                    f"{preprocess.persons} persons as one input; set its persons='alone'"
                )
        check_sizes(MAX_SIZE, frames=preprocess.frames, persons=preprocess.persons)
        kind = self.kind
        if preprocess.weigh != "equal" and self.persons_together:
            raise ValueError(
                f"weigh={preprocess.weigh!r} weights persons who are encoded alone, but this {kind} backbone takes all "
                f"{preprocess.persons} persons as one input; set its persons='alone', or weigh='equal'"
            )
        try:
            self.backbone.check()
        except ValueError as error:
            raise ValueError(f"{kind} backbone: {error}") from error

    @property
    def persons_together(self) -> bool:
        """Whether all persons of a clip are one input of the network, rather than each of them."""
        preprocess, network = self.preprocess, getattr(self.backbone, "persons", "alone")
        return not preprocess.per_person or (preprocess.persons > 1 and network == "together")

    @property
    def kind(self) -> str:
        """The backbone's name in `BACKBONES`."""
        for kind, config in BACKBONES.items():
            if type(self.backbone) is config:
                return kind
        name = type(self.backbone).__name__
        raise ValueError(f"{name} is not in skelrep.encoder.BACKBONES; add it: BACKBONES['my-kind'] = {name}")

    def to_dict(self) -> dict[str, Any]:
        """The content of `config.json`: plain lists, strings and numbers."""
        backbone = {"kind": self.kind, **dataclasses.asdict(self.backbone)}
        return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self), "backbone": backbone}

    def numerical(self) -> dict[str, Any]:
        """What decides the embedding: `to_dict` without `training`, and without keys at their `when_missing` value.

        So it stays the same for an encoder when a later version adds such a key.
        """
        plain = _without_defaults(dataclasses.replace(self, training={}))
        return plain | {"backbone": {"kind": self.kind, **plain["backbone"]}}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> EncoderConfig:
        """Reads the form that `to_dict` returns, strictly.

        Raises:
            ValueError: for an unknown or missing key, a value of the wrong type, or another format version.
        """
        if not isinstance(plain, dict):
            raise ValueError(f"a config must be a JSON object, got {type(plain).__name__}")
        plain = dict(plain)
        version = plain.pop("format_version", None)
        if version != FORMAT_VERSION or not isinstance(version, int) or isinstance(version, bool):
            raise ValueError(
                f"the config's format_version is {version!r:.100}, but this version of skelrep reads {FORMAT_VERSION}: "
                "it is from another version of skelrep, or not a skelrep config"
            )
        backbone = plain.get("backbone")
        kind = backbone.get("kind") if isinstance(backbone, dict) else None
        if not isinstance(backbone, dict) or not isinstance(kind, str) or kind not in BACKBONES:
            raise ValueError(
                f"the config's backbone kind is {kind!r}, not one of {', '.join(BACKBONES)}; if another package has "
                "added it to skelrep.encoder.BACKBONES, import that package first"
            )
        fields = {key: value for key, value in backbone.items() if key != "kind"}
        return read_object(cls, {**plain, "backbone": read_object(BACKBONES[kind], fields, "backbone")}, "config")


def _without_defaults(value: Any) -> Any:
    """Dataclasses within each other as dicts, without the fields that have their `when_missing` value."""
    if isinstance(value, (list, tuple)):
        return [_without_defaults(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    items = [(item, getattr(value, item.name)) for item in dataclasses.fields(value)]
    kept = [(i.name, v) for i, v in items if "when_missing" not in i.metadata or i.metadata["when_missing"] != v]
    return {name: _without_defaults(part) for name, part in kept}


def read_object(cls: type, plain: Any, where: str) -> Any:
    """A dataclass from a JSON object with exactly its fields, each of the right type.

    Two entries of a field's metadata allow older files to be read: `formerly`, the key's former name, and
    `when_missing`, the field's value if the key is missing.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"the config's {where} must be an object, got {plain!r}")
    plain, hints, fields = dict(plain), get_type_hints(cls), dataclasses.fields(cls)
    for item in fields:
        former = item.metadata.get("formerly")
        if item.name not in plain and former in plain:
            plain[item.name] = plain.pop(former)
    names = {item.name for item in fields}
    if unknown := sorted(set(plain) - names):
        raise ValueError(
            f"unknown key {unknown[0]!r} in the config's {where}; if a newer skelrep wrote it, update skelrep"
        )
    if missing := [item.name for item in fields if item.name not in plain and "when_missing" not in item.metadata]:
        raise ValueError(f"the config's {where} lacks {', '.join(missing)}")
    prefix = "" if where == "config" else f"{where}."
    return cls(
        **{
            item.name: typed(hints[item.name], plain[item.name], f"{prefix}{item.name}")
            if item.name in plain
            else item.metadata["when_missing"]
            for item in fields
        }
    )


def typed(hint: Any, value: Any, where: str) -> Any:
    """A JSON value in the type of a field: lists become tuples, objects dataclasses; nothing else is converted.

    Args:
        hint: The field's type.
        value: From JSON.
        where: The field's name, for errors.

    Raises:
        ValueError: for a value of another type.
    """
    kind, args = get_origin(hint) or hint, get_args(hint)
    if kind is BackboneConfig or kind is Any:  # a backbone has been read already, because its class depends on `kind`
        return value
    if kind in (Union, UnionType):
        return _one_of(args, value, where)
    if kind is Literal:
        if not any(value == option and type(value) is type(option) for option in args):
            raise ValueError(f"the config's {where} must be one of {', '.join(map(str, args))}, got {value!r}")
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return read_object(kind, value, where)
    if kind is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"the config's {where} must be a list, got {value!r}")
        items = args[:1] * len(value) if args[-1:] == (Ellipsis,) else args
        if len(items) != len(value):
            raise ValueError(f"the config's {where} must have {len(items)} items, got {value!r}")
        return tuple(typed(item, part, where) for item, part in zip(items, value))
    if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool) is not (kind is bool):
        raise ValueError(f"the config's {where} must be of type {kind.__name__}, got {value!r}")
    return value


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value in the first type of a union that accepts it."""
    errors = []
    for hint in hints:
        try:
            return typed(hint, value, where)
        except ValueError as error:
            errors.append((hint, error))
    others = [(hint, error) for hint, error in errors if hint is not type(None)]
    if len(others) == 1:
        raise others[0][1]
    names = ", ".join(getattr(hint, "__name__", str(hint)) for hint, _ in errors)
    raise ValueError(f"the config's {where} must be of one of the types {names}; got {value!r}")
