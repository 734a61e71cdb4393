"""EncoderConfig: strict reading from JSON, every value of every type, sizes that are refused."""

import copy
import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.config import typed
from skelrep.encoder.convolution import MAX_BLOCKS, ConvolutionConfig
from skelrep.encoder.encoder import MAX_PARAMETERS, _count
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import CMD_LINE, STREAMING, PreprocessConfig
from skelrep.skeletons import SKELETONS

NTU = SKELETONS["ntu-25"]
CONFIGS = {
    "convolution": EncoderConfig(
        backbone=ConvolutionConfig(width=16, blocks=1), training={"data": ["a", "b"], "epochs": 3}
    ),
    "recurrent": EncoderConfig(
        skeleton=NTU, modalities=("joint",), preprocess=CMD_LINE, backbone=RecurrentConfig(8, 2), fusion="mean"
    ),
}


# -- the config -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [*CONFIGS.values(), EncoderConfig()], ids=[*CONFIGS, "default"])
def test_configs_survive_json(config):
    plain = json.loads(json.dumps(config.to_dict(), allow_nan=False))
    read = EncoderConfig.from_dict(plain)
    assert read == config
    assert hash(read.preprocess) == hash(config.preprocess)  # tuples all the way down
    assert read.to_dict() == config.to_dict()


def test_the_plain_form_is_as_documented():
    plain = json.loads(json.dumps(CONFIGS["recurrent"].to_dict()))
    assert list(plain) == ["format_version", "skeleton", "modalities", "preprocess", "backbone", "fusion", "training"]
    assert plain["format_version"] == 1
    sizes = {"hidden": 8, "layers": 2, "readout": "last", "persons": "together"}
    assert plain["backbone"] == {"kind": "recurrent", **sizes}
    assert plain["preprocess"]["up"] == [["pelvis"], ["spine"]]
    assert plain["preprocess"]["scale"] is None
    assert plain["skeleton"]["joints"] == list(NTU.joints)


def test_reading_leaves_its_argument_alone():
    plain = CONFIGS["convolution"].to_dict()
    before = copy.deepcopy(plain)
    EncoderConfig.from_dict(plain)
    assert plain == before


def changed(path: str, value=..., kind="convolution") -> dict:
    """The plain config with one value changed, or taken out; dots go down into objects."""
    plain = json.loads(json.dumps(CONFIGS[kind].to_dict()))
    *parts, last = path.split(".")
    inner = plain
    for part in parts:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return plain


def keys(plain: dict, prefix="") -> list[str]:
    inner = [key for name, value in plain.items() if isinstance(value, dict) for key in keys(value, f"{prefix}{name}.")]
    return [f"{prefix}{name}" for name in plain] + [key for key in inner if not key.startswith("training.")]


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_key_is_needed_and_no_other_is_known(kind):
    parts = {"preprocess": PreprocessConfig, "backbone": RecurrentConfig}
    later = {
        f"{part}.{item.name}"
        for part, config in parts.items()
        for item in dataclasses.fields(config)
        if "when_missing" in item.metadata
    }
    for key in keys(CONFIGS[kind].to_dict()):
        if key in later:
            continue
        with pytest.raises(ValueError, match=rf"lacks {key.split('.')[-1]}|must be an object|is None|format_version"):
            EncoderConfig.from_dict(changed(key, kind=kind))
    for key in ("dropout", "preprocess.dropout", "backbone.dropout", "skeleton.dropout"):
        with pytest.raises(ValueError, match="unknown key 'dropout'"):
            EncoderConfig.from_dict(changed(key, 0.1, kind=kind))


def test_pairs_and_weights_of_persons_need_persons_encoded_alone():
    for change in ({"pairs": "partner"}, {"weigh": "sightings"}):
        with pytest.raises(ValueError, match="per_person"):
            EncoderConfig(preprocess=PreprocessConfig(per_person=False, **change))
    with pytest.raises(ValueError, match="persons = 2, got 3"):
        EncoderConfig(preprocess=PreprocessConfig(persons=3, pairs="partner"))


def test_weights_of_persons_need_a_network_that_encodes_them_alone():
    weighted = PreprocessConfig(weigh="sightings")
    with pytest.raises(ValueError, match=r"weigh='sightings' .* recurrent .* 2 persons .* persons='alone'"):
        EncoderConfig(preprocess=weighted, backbone=RecurrentConfig(8, 1))
    for works in (RecurrentConfig(8, 1, persons="alone"), ConvolutionConfig(16, 1)):
        assert not EncoderConfig(preprocess=weighted, backbone=works).persons_together
    one = dataclasses.replace(weighted, persons=1)
    assert not EncoderConfig(preprocess=one, backbone=RecurrentConfig(8, 1)).persons_together


def test_a_constant_rate_needs_a_network_and_preprocessing_without_future():
    streaming = EncoderConfig(preprocess=STREAMING, backbone=RecurrentConfig(8, 1, "moments", "alone"))
    assert EncoderConfig.from_dict(json.loads(json.dumps(streaming.to_dict()))) == streaming
    wrong = {"crop": 0.9, "per_person": False, "undo_swaps": True, "remove_spikes": True, "pairs": "partner"}
    for key, value in wrong.items():
        with pytest.raises(ValueError, match=key):
            dataclasses.replace(streaming, preprocess=dataclasses.replace(STREAMING, **{key: value}))
    for change in ({"rate": None}, {"align": "mean"}):
        with pytest.raises(ValueError, match="align='running' and a rate"):
            dataclasses.replace(streaming, preprocess=dataclasses.replace(STREAMING, **change))
    for rate in (0.0, -15.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="rate"):
            dataclasses.replace(streaming, preprocess=dataclasses.replace(STREAMING, rate=rate))
    with pytest.raises(ValueError, match="persons='alone'"):
        dataclasses.replace(streaming, backbone=RecurrentConfig(8, 1))
    with pytest.raises(ValueError, match="rate=15 needs a causal backbone, which convolution is not"):
        Encoder(dataclasses.replace(streaming, backbone=ConvolutionConfig(16, 1)))


@pytest.mark.parametrize("kind", CONFIGS)
def test_keys_of_preprocessing_that_were_added_may_be_absent(kind):
    plain = CONFIGS[kind].to_dict()
    for item in dataclasses.fields(PreprocessConfig):
        if "when_missing" in item.metadata:
            del plain["preprocess"][item.name]
            assert item.metadata["when_missing"] == item.default
    assert EncoderConfig.from_dict(plain) == CONFIGS[kind]


HOSTILE = [
    None,
    True,
    3,
    3.5,
    -1,
    "a",
    "3",
    [],
    [3],
    ["a"],
    [["a"]],
    {},
    {"a": 1},
    [None],
    float("nan"),
    float("inf"),
    [{}],
    [[]],
]


SWITCHES = tuple(
    f"preprocess.{name}" for name in ("per_person", "trim", "undo_swaps", "remove_spikes", "derive_missing")
)


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_value_of_another_type_is_taken(kind):
    """Any value at any key is either read as it was written or refused with a message."""
    taken = []
    for key in keys(CONFIGS[kind].to_dict()):
        for value in HOSTILE:
            plain = changed(key, value, kind=kind)
            try:
                config = EncoderConfig.from_dict(plain)
            except ValueError as error:
                assert str(error), key
                continue
            assert json.loads(json.dumps(config.to_dict())) == plain
            taken.append((key, value))
    sizes = ("preprocess.frames", "preprocess.persons", "backbone.")
    for key, value in taken:
        assert (
            (key.startswith(sizes) and value == 3 and value is not True)
            or (key in ("backbone.reach", "backbone.std_weight") and value == 3.5)
            or (key in SWITCHES and value is True)
            or (key == "preprocess.scale_else" and value == [])
            or (key == "preprocess.rate" and value is None)
            or (key in ("preprocess.scale", "preprocess.up_else", "preprocess.rate") and value is None)
            or (key == "skeleton.name" and isinstance(value, str))
            or (key == "training" and isinstance(value, dict))
        ), f"{key} = {value!r} was taken"
    assert ("training", {"a": 1}) in taken
    assert ("preprocess.frames", 3) in taken


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, "format_version is 2.* reads 1"),
        ("format_version", True, "format_version is True"),
        ("format_version", 1.0, "format_version is 1.0"),
        ("backbone", "convolution", "backbone kind is None"),
        ("backbone", [["kind", "convolution"]], "backbone kind is None"),
        ("backbone.kind", "transformer", "'transformer', not one of convolution, causal_convolution, recurrent"),
        ("backbone.kind", ["convolution"], "backbone kind is"),
        ("backbone.width", True, "backbone.width must be of type int, got True"),
        ("backbone.width", 16.0, "must be of type int"),
        ("backbone.width", "16", "must be of type int"),
        ("backbone.width", 0, "width must be .* got 0"),
        ("backbone.blocks", -1, "blocks must be .* got -1"),
        ("backbone.width", 10**12, "width must be 1 to 2e\\+09, got 1000000000000"),
        ("backbone.width", 10**400, "width must be 1 to 2e"),
        ("preprocess.frames", 10**12, "frames must be 1 to 2e"),
        ("preprocess.persons", 0, "persons must be .* got 0"),
        ("backbone.blocks", MAX_BLOCKS + 1, f"blocks must be 1 to 1e\\+02, got {MAX_BLOCKS + 1}"),
        ("preprocess.crop", 0, "crop.*got 0"),
        ("preprocess.crop", 1.01, "crop.*got 1.01"),
        ("preprocess.crop", float("nan"), "crop.*got nan"),
        ("preprocess.crop", float("inf"), "crop.*got inf"),
        ("preprocess.crop", "0.95", "preprocess.crop must be of type float"),
        ("preprocess.crop", True, "preprocess.crop must be of type float"),
        ("preprocess.per_person", 1, "preprocess.per_person must be of type bool"),
        ("preprocess.align", "last", "preprocess.align must be one of first, mean"),
        ("preprocess.align", ["first"], "preprocess.align must be one of"),
        ("preprocess.center", "mid_hips", "preprocess.center must be a list"),
        ("preprocess.center", [], "at least one joint"),
        ("preprocess.center", ["tail"], "joint 'tail', which 'common-15' lacks"),
        ("preprocess.up", [["mid_hips"]], "preprocess.up must have 2 items"),
        ("preprocess.up", [["mid_hips"], ["head"], ["head"]], "preprocess.up must have 2 items"),
        ("preprocess.up", [["mid_hips"], []], "at least one joint"),
        ("preprocess.up", [["mid_hips"], "head"], "preprocess.up must be a list"),
        ("preprocess.up", [["mid_hips"], [7]], "preprocess.up must be of type str"),
        ("preprocess.right", None, "preprocess.right must be a list"),
        ("preprocess.scale", [["mid_hips"], ["tail"]], "the joint 'tail'"),
        ("preprocess.scale", False, "preprocess.scale must be a list"),
        ("preprocess.scale_else", [["left_shoulder", "tail", 0.6]], "the joint 'tail'"),
        ("preprocess.scale_else", [["left_shoulder", "left_elbow", 0]], "length above 0"),
        ("preprocess.pairs", "facing", "preprocess.pairs must be one of apart, partner"),
        ("preprocess.keep", True, "preprocess.keep must be one of energy, movement"),
        ("modalities", [], "modalities must be one or more"),
        ("modalities", ["joint", "joint"], "modalities must be one or more"),
        ("modalities", ["joint", "smell"], "no modality 'smell'"),
        ("modalities", "joint", "modalities must be a list"),
        ("modalities", [["joint"]], "modalities must be of type str"),
        ("fusion", "sum", "fusion must be one of concatenate, mean"),
        ("training", [1], "training must be of type dict"),
        ("skeleton", "common-15", "skeleton must be an object"),
        ("skeleton.parents", ["0"] * 15, "skeleton.parents must be of type int, got '0'"),
        ("skeleton.parents", [False] * 15, "skeleton.parents must be of type int, got False"),
        ("skeleton.parents", [0.0] * 15, "skeleton.parents must be of type int"),
        ("skeleton.parents", [0] * 14, "15 joints but 14 parents"),
        ("skeleton.parents", [-1] * 15, "parent outside 0..14"),
        ("skeleton.parents", [10**30] * 15, "parent outside 0..14"),
        ("skeleton.joints", list(range(15)), "skeleton.joints must be of type str, got 0"),
        ("skeleton.joints", ["head"] * 15, "has the same joint twice: head"),
    ],
)  # fmt: skip
def test_values_that_are_refused(key, value, message):
    with pytest.raises(ValueError, match=message):
        EncoderConfig.from_dict(changed(key, value))


@pytest.mark.parametrize("plain", [None, [], "config", 3])
def test_invalid_configs_are_refused(plain):
    with pytest.raises(ValueError, match="a config must be a JSON object"):
        EncoderConfig.from_dict(plain)


def test_a_float_field_takes_a_whole_number():
    assert EncoderConfig.from_dict(changed("preprocess.crop", 1)).preprocess.crop == 1


def test_preprocessing_needs_joints_of_the_skeleton():
    with pytest.raises(ValueError, match="the joint 'mid_hips', which 'ntu-25' lacks"):
        EncoderConfig(skeleton=NTU)


# -- sizes ------------------------------------------------------------------------------------------------------------


class NothingLarge(TorchDispatchMode):
    """Fails where an operator makes a tensor that takes memory to speak of."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                assert tensor.numel() < 10_000, f"{func} made {tuple(tensor.shape)}"
        return result


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(backbone=ConvolutionConfig(width=10**6)),
        EncoderConfig(backbone=ConvolutionConfig(width=10_000, blocks=MAX_BLOCKS)),
        EncoderConfig(backbone=RecurrentConfig(hidden=10**5)),
        EncoderConfig(backbone=RecurrentConfig(hidden=1100, layers=MAX_BLOCKS)),
        EncoderConfig(preprocess=PreprocessConfig(persons=10**8), backbone=RecurrentConfig(hidden=8)),
    ],
    ids=lambda config: type(config.backbone).__name__,
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(config):
    assert _count(config) > MAX_PARAMETERS
    with NothingLarge(), pytest.raises(ValueError, match=r"e\+\d+ parameters, more than 2e\+09"):
        Encoder(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EncoderConfig(backbone=ConvolutionConfig(width=10**9, kernel=10**9 + 1)), "no network"),
        (
            EncoderConfig(preprocess=PreprocessConfig(frames=2**20), backbone=ConvolutionConfig(spans=2**18)),
            "262144 spans and 1048576 frames",
        ),
    ],
)
def test_sizes_that_overflow_are_refused_before_anything_is_allocated(config, message):
    with NothingLarge(), pytest.raises(ValueError, match=message):
        Encoder(config)


@pytest.mark.parametrize("size", [{"frames": 800_000}, {"persons": 10**7}])
def test_clips_of_absurd_sizes_are_refused(size):
    """The convolution has no more weights for more frames and persons, but `prepare` would make room for all."""
    config = EncoderConfig(preprocess=PreprocessConfig(**size), backbone=ConvolutionConfig(width=4, blocks=1))
    with pytest.raises(ValueError, match="numbers a clip"):
        Encoder(config)


@pytest.mark.parametrize("config", [*CONFIGS.values(), EncoderConfig()], ids=[*CONFIGS, "default"])
def test_the_count_of_weights_draws_no_random_numbers(config):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count = _count(config)
    assert torch.equal(torch.get_rng_state(), before)
    encoder = Encoder(config)
    assert count == sum(tensor.numel() for tensor in [*encoder.parameters(), *encoder.buffers()])


@pytest.mark.parametrize(
    ("frames", "backbone", "message"),
    [
        (63, ConvolutionConfig(), "63, must be a multiple of the stride, 2"),
        (64, ConvolutionConfig(kernel=8), "kernel must be odd.* got 8"),
    ],
)
def test_sizes_that_do_not_fit_each_other(frames, backbone, message):
    with pytest.raises(ValueError, match=message):
        Encoder(EncoderConfig(preprocess=PreprocessConfig(frames=frames), backbone=backbone))


# -- types of fields ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Plain:
    name: str = "a"
    rate: float = 0.5
    on: bool = True
    either: int | str = 3
    perhaps: float | None = None
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[str, float] = ("a", 1.0)
    choice: Literal["a", 1] = "a"
    inner: Inner = Inner()
    nested: tuple[int, ...] | Literal["all"] | None = None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("either", "x", "x"),
        ("either", 7, 7),
        ("perhaps", None, None),
        ("perhaps", 0.1, 0.1),
        ("sizes", [], ()),
        ("pair", ["b", 2], ("b", 2)),
        ("choice", 1, 1),
        ("inner", {"depth": 4}, Inner(4)),
        ("nested", [1, 2], (1, 2)),
        ("nested", "all", "all"),
        ("nested", None, None),
    ],
)
def test_fields_of_any_plain_type(key, value, expected):
    plain = {**json.loads(json.dumps(dataclasses.asdict(Plain()))), key: value}
    assert typed(Plain, plain, "plain") == dataclasses.replace(Plain(), **{key: expected})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("either", 1.5, "plain.either .*int, str.* got 1.5"),
        ("either", True, "plain.either .*got True"),
        ("perhaps", "0.1", "plain.perhaps must be of type float, got '0.1'"),
        ("choice", True, "plain.choice must be one of a, 1, got True"),
        ("inner", {"depth": "4"}, "plain.inner.depth must be of type int"),
        ("inner", {"width": 4}, "unknown key 'width'.*plain.inner"),
        ("nested", "some", "plain.nested .*got 'some'"),
    ],
)
def test_no_member_of_a_union_takes_another_type(key, value, message):
    with pytest.raises(ValueError, match=message):
        typed(Plain, {**dataclasses.asdict(Plain()), key: value}, "plain")


@dataclass(frozen=True)
class Renamed:
    std_weight: float = field(default=2.0, metadata={"formerly": "spread"})
    added: str = field(default="new", metadata={"when_missing": "old"})


def test_older_files_are_read_with_their_meaning():
    assert typed(Renamed, {"spread": 1.0}, "x") == Renamed(1.0, "old")
    assert typed(Renamed, {"std_weight": 1.0, "added": "new"}, "x") == Renamed(1.0, "new")
    with pytest.raises(ValueError, match="unknown key 'spread'"):
        typed(Renamed, {"std_weight": 1.0, "spread": 1.0}, "x")
    with pytest.raises(ValueError, match="lacks std_weight"):
        typed(Renamed, {}, "x")
