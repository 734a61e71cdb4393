"""The encoder and its config: strict reading, streams, persons, sizes; the convolutional backbone against loops."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.convolution import ConvolutionConfig, TemporalConvolution
from skelrep.encoder.device import as_device
from skelrep.encoder.encoder import MOST_LAYERS, MOST_PARAMETERS, _parameters
from skelrep.encoder.modalities import MODALITIES, modality
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess import CMD_LINE, PreprocessConfig
from skelrep.skeletons import SKELETONS, Skeleton

COMMON, NTU = SKELETONS["common-15"], SKELETONS["ntu-25"]
CONFIGS = {
    "convolution": EncoderConfig(
        backbone=ConvolutionConfig(width=16, blocks=1), training={"data": ["a", "b"], "epochs": 3}
    ),
    "recurrent": EncoderConfig(
        skeleton=NTU, modalities=("joint",), preprocess=CMD_LINE, backbone=RecurrentConfig(8, 2), fusion="mean"
    ),
}


def body(frames=20, persons=1, seed=0, joints=15) -> np.ndarray:
    """(M, T, V, 3) noise that stands on something: nothing is degenerate."""
    return np.random.default_rng(seed).normal(size=(persons, frames, joints, 3)).astype(np.float32)


def poses(*clips: np.ndarray, **columns) -> Poses:
    return Poses(list(clips), COMMON, **columns)


@torch.inference_mode()
def features(encoder: Encoder, clips: Poses) -> dict[str, torch.Tensor]:
    return encoder(encoder.prepare(clips))


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
    assert plain["backbone"] == {"kind": "recurrent", "hidden": 8, "layers": 2}
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
    for key in keys(CONFIGS[kind].to_dict()):
        with pytest.raises(ValueError, match=r"lacks|must be an object|is None|format_version"):
            EncoderConfig.from_dict(changed(key, kind=kind))
    for place in ("dropout", "preprocess.dropout", "backbone.dropout", "skeleton.dropout"):
        with pytest.raises(ValueError, match="unknown key 'dropout' in the config's"):
            EncoderConfig.from_dict(changed(place, 0.1, kind=kind))


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


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_value_of_another_type_is_taken(kind):
    """Whatever JSON holds in whatever place: it is read as it was written, or refused in words."""
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
            or (key in ("backbone.reach", "backbone.spread") and value == 3.5)
            or (key == "preprocess.per_person" and value is True)
            or (key in ("preprocess.scale", "preprocess.up_else") and value is None)
            or (key == "skeleton.name" and isinstance(value, str))
            or (key == "training" and isinstance(value, dict))
        ), f"{key} = {value!r} was taken"
    assert ("training", {"a": 1}) in taken
    assert ("preprocess.frames", 3) in taken


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, "format_version is 2, this skelrep reads 1"),
        ("format_version", True, "format_version is True"),
        ("format_version", 1.0, "format_version is 1.0"),
        ("backbone", "convolution", "backbone kind is None"),
        ("backbone", [["kind", "convolution"]], "backbone kind is None"),
        ("backbone.kind", "transformer", "kind is 'transformer', not one of convolution, recurrent"),
        ("backbone.kind", ["convolution"], "backbone kind is"),
        ("backbone.width", True, "backbone.width must be of type int, got True"),
        ("backbone.width", 16.0, "must be of type int"),
        ("backbone.width", "16", "must be of type int"),
        ("backbone.width", 0, "every size"),
        ("backbone.blocks", -1, "every size"),
        ("backbone.width", 10**12, "every size"),
        ("backbone.width", 10**400, "every size"),
        ("preprocess.frames", 10**12, "every size"),
        ("preprocess.persons", 0, "every size"),
        ("backbone.blocks", MOST_LAYERS + 1, f"asks for {MOST_LAYERS + 1} layers"),
        ("preprocess.crop", 0, "above 0 and at most 1; got 0"),
        ("preprocess.crop", 1.01, "above 0 and at most 1"),
        ("preprocess.crop", float("nan"), "above 0 and at most 1; got nan"),
        ("preprocess.crop", float("inf"), "above 0 and at most 1"),
        ("preprocess.crop", "0.95", "preprocess.crop must be of type float"),
        ("preprocess.crop", True, "preprocess.crop must be of type float"),
        ("preprocess.per_person", 1, "preprocess.per_person must be of type bool"),
        ("preprocess.align", "last", "preprocess.align must be one of first, mean"),
        ("preprocess.align", ["first"], "preprocess.align must be one of"),
        ("preprocess.center", "mid_hips", "preprocess.center must be a list"),
        ("preprocess.center", [], "by no joint at all"),
        ("preprocess.center", ["tail"], "goes by the joint 'tail', which 'common-15' lacks"),
        ("preprocess.up", [["mid_hips"]], "preprocess.up must have 2 items"),
        ("preprocess.up", [["mid_hips"], ["head"], ["head"]], "preprocess.up must have 2 items"),
        ("preprocess.up", [["mid_hips"], []], "by no joint at all"),
        ("preprocess.up", [["mid_hips"], "head"], "preprocess.up must be a list"),
        ("preprocess.up", [["mid_hips"], [7]], "preprocess.up must be of type str"),
        ("preprocess.right", None, "preprocess.right must be a list"),
        ("preprocess.scale", [["mid_hips"], ["tail"]], "the joint 'tail'"),
        ("preprocess.scale", False, "preprocess.scale must be a list"),
        ("modalities", [], "modalities must be one or more"),
        ("modalities", ["joint", "joint"], "modalities must be one or more"),
        ("modalities", ["joint", "smell"], "no modality is called 'smell'"),
        ("modalities", "joint", "config.modalities must be a list"),
        ("modalities", [["joint"]], "config.modalities must be of type str"),
        ("fusion", "sum", "config.fusion must be one of concatenate, mean"),
        ("training", [1], "config.training must be of type dict"),
        ("skeleton", "common-15", "skeleton must be an object"),
        ("skeleton.parents", ["0"] * 15, "skeleton.parents must be of type int, got '0'"),
        ("skeleton.parents", [False] * 15, "skeleton.parents must be of type int, got False"),
        ("skeleton.parents", [0.0] * 15, "skeleton.parents must be of type int"),
        ("skeleton.parents", [0] * 14, "15 joints but 14 parents"),
        ("skeleton.parents", [-1] * 15, "parent outside 0..14"),
        ("skeleton.parents", [10**30] * 15, "parent outside 0..14"),
        ("skeleton.joints", list(range(15)), "skeleton.joints must be of type str, got 0"),
        ("skeleton.joints", ["head"] * 15, "names a joint twice: head"),
    ],
)  # fmt: skip
def test_values_that_are_refused(key, value, message):
    with pytest.raises(ValueError, match=message):
        EncoderConfig.from_dict(changed(key, value))


@pytest.mark.parametrize("plain", [None, [], "config", 3])
def test_what_is_no_config(plain):
    with pytest.raises(ValueError, match="a config must be a JSON object"):
        EncoderConfig.from_dict(plain)


def test_whole_numbers_will_do_for_shares():
    assert EncoderConfig.from_dict(changed("preprocess.crop", 1)).preprocess.crop == 1


def test_the_default_goes_by_joints_that_its_skeleton_has():
    with pytest.raises(ValueError, match="the joint 'mid_hips', which 'ntu-25' lacks"):
        EncoderConfig(skeleton=NTU)


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(backbone=ConvolutionConfig(width=10**6)),
        EncoderConfig(backbone=ConvolutionConfig(width=4, kernel=10**9 + 1)),
        EncoderConfig(backbone=ConvolutionConfig(width=2000, blocks=MOST_LAYERS)),
        EncoderConfig(preprocess=PreprocessConfig(frames=2**20), backbone=ConvolutionConfig(spans=2**18)),
        EncoderConfig(backbone=RecurrentConfig(hidden=10**5)),
        EncoderConfig(backbone=RecurrentConfig(hidden=1000, layers=MOST_LAYERS)),
        EncoderConfig(preprocess=PreprocessConfig(persons=10**8), backbone=RecurrentConfig(hidden=8)),
    ],
    ids=lambda config: type(config.backbone).__name__,
)  # fmt: skip
def test_absurd_sizes_are_refused_before_anything_is_allocated(config, monkeypatch):
    def allocate(*args, **kwargs):
        raise AssertionError("something was allocated")

    for cls in (nn.Conv2d, nn.GRU, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d):
        monkeypatch.setattr(cls, "__init__", allocate)
    assert _parameters(config) > MOST_PARAMETERS
    with pytest.raises(ValueError, match=r"the config asks for .*e\+\d+ parameters, more than 2e\+09: refused"):
        Encoder(config)


@pytest.mark.parametrize("size", [{"frames": 800_000}, {"persons": 10**7}])
def test_clips_of_absurd_sizes_are_refused(size):
    """The convolution has no more weights for more frames and persons, but `prepare` would make room for all."""
    config = EncoderConfig(preprocess=PreprocessConfig(**size), backbone=ConvolutionConfig(width=4, blocks=1))
    with pytest.raises(ValueError, match="numbers a clip"):
        Encoder(config)


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(),
        EncoderConfig(modalities=("bone",), backbone=ConvolutionConfig(width=64, blocks=5, kernel=5, spans=2)),
        EncoderConfig(backbone=RecurrentConfig(hidden=64, layers=3)),
        EncoderConfig(NTU, ("joint", "motion"), CMD_LINE, RecurrentConfig(hidden=100, layers=1)),
    ],
)
def test_the_count_of_weights_is_right(config):
    """Biases and normalisations are not worth counting."""
    with torch.device("meta"):
        encoder = Encoder(config)
    assert _parameters(config) == pytest.approx(sum(p.numel() for p in encoder.parameters()), rel=0.03)


@pytest.mark.parametrize(
    ("frames", "backbone", "message"),
    [
        (63, ConvolutionConfig(), "63 frames do not divide by the stride of 2"),
        (64, ConvolutionConfig(kernel=8), "a kernel of 8 frames has none in its middle"),
    ],
)
def test_sizes_that_do_not_fit_each_other(frames, backbone, message):
    with pytest.raises(ValueError, match=message):
        Encoder(EncoderConfig(preprocess=PreprocessConfig(frames=frames), backbone=backbone))


# -- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_recurrent_encoder"])
@pytest.mark.parametrize("persons", [1, 2])
def test_shapes_of_features(kind, persons, request):
    encoder = request.getfixturevalue(kind)
    prepared = torch.randn(5, 2, 64, 15, 3)
    prepared[:, persons:] = 0
    with torch.inference_mode():
        streams = encoder(prepared)
    width = encoder.dim // 3
    assert {name: tuple(feature.shape) for name, feature in streams.items()} == {
        name: (5, width) for name in MODALITIES
    }
    assert width == {"tiny_encoder": 16 * 4, "tiny_recurrent_encoder": 2 * 16}[kind]
    assert all(feature.isfinite().all() for feature in streams.values())
    assert not encoder.training


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [
        (64, {}),
        (60, {"stride": 3, "spans": 4, "spread": 0.0}),
        (8, {"kernel": 31, "stride": 1, "spans": 1}),
        (2, {"spans": 1, "spread": 0.5}),
    ],
)
def test_sizes_that_fit_make_features(frames, sizes):
    config = EncoderConfig(
        preprocess=PreprocessConfig(frames=frames),
        backbone=ConvolutionConfig(width=6, blocks=2, **{"kernel": 3, **sizes}),
    )
    encoder = Encoder(config)
    feature = features(encoder, poses(body(), body(3)))
    parts = config.backbone.spans + (config.backbone.spread > 0)
    assert feature["bone"].shape == (2, 6 * parts)
    assert encoder.dim == 3 * 6 * parts


def test_some_of_the_streams(tiny_encoder):
    prepared = torch.randn(3, 2, 64, 15, 3)
    with torch.inference_mode():
        every = tiny_encoder(prepared)
        some = tiny_encoder.features(prepared, ["motion", "joint"])
        assert list(some) == ["motion", "joint"]
        for name, feature in some.items():
            torch.testing.assert_close(feature, every[name], rtol=0, atol=0)
            # Each stream sees its own view through its own weights.
            alone = tiny_encoder.streams[name](modality(name, prepared, COMMON.parents), torch.ones(3, 2, dtype=bool))
            torch.testing.assert_close(alone, feature, rtol=0, atol=0)
    assert not torch.allclose(every["joint"], every["bone"])


def naive_stream(stream: TemporalConvolution, person: np.ndarray, config: ConvolutionConfig) -> np.ndarray:
    """The feature of one person (T, V, 3), number by number."""
    weights = {name: value.double().numpy() for name, value in stream.state_dict().items()}

    def norm(x, name):
        scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
        return (x - weights[f"{name}.running_mean"][:, None]) * scale[:, None] + weights[f"{name}.bias"][:, None]

    def convolve(x, weight, stride, depthwise=False):
        around = config.kernel // 2
        padded = np.pad(x, ((0, 0), (around, around)))
        out = np.zeros((len(weight), -(-x.shape[1] // stride)))
        for channel in range(len(weight)):
            for t in range(out.shape[1]):
                seen = padded[:, t * stride : t * stride + config.kernel]
                seen = seen[channel : channel + 1] if depthwise else seen
                out[channel, t] = (weight[channel, :, :, 0] * seen).sum()
        return out

    frames = len(person)
    x = np.array([person[:, v, c] for v in range(person.shape[1]) for c in range(3)], dtype=np.float64)
    entry = (
        weights["entry.weight"].reshape(config.width, config.kernel, -1, 1).swapaxes(1, 2)
    )  # a row is frame by frame
    x = convolve(norm(x, "norm"), entry, config.stride) + weights["entry.bias"][:, None]
    for block in range(config.blocks):
        name = f"blocks.{block}"
        y = norm(convolve(x, weights[f"{name}.time.weight"], 1, depthwise=True), f"{name}.time_norm")
        y = weights[f"{name}.expand.weight"] @ y + weights[f"{name}.expand.bias"][:, None]
        y = weights[f"{name}.reduce.weight"] @ np.maximum(y, 0)
        x = x + norm(y, f"{name}.norm")
    length = frames // config.stride
    feature = []
    for span in range(config.spans):
        middle = (span + 0.5) * length / config.spans
        reach = config.reach * length / config.spans
        share = np.array([max(0.0, 1 - abs(t + 0.5 - middle) / reach) for t in range(length)])
        feature.append((x * share).sum(axis=1) / share.sum())
    feature.append(config.spread * np.sqrt(x.var(axis=1) + 1e-6))
    return np.concatenate(feature)


def test_the_convolution_against_loops(tiny_encoder):
    config = tiny_encoder.config.backbone
    prepared = torch.randn(3, 2, 64, 15, 3)
    prepared[1, 1] = 0
    prepared[2, 0] = 0
    with torch.inference_mode():
        got = tiny_encoder(prepared)
    for name, stream in tiny_encoder.streams.items():
        view = modality(name, prepared, COMMON.parents).double().numpy()
        for clip, persons in enumerate([(0, 1), (0,), (1,)]):
            each = [naive_stream(stream, view[clip, person], config) for person in persons]
            np.testing.assert_allclose(got[name][clip], np.mean(each, axis=0), atol=1e-4)


def test_what_never_changes_has_no_spread_and_a_gradient():
    torch.manual_seed(0)
    stream = TemporalConvolution(15, 64, ConvolutionConfig(width=8, kernel=1, blocks=2))
    still = torch.randn(4, 1, 1, 15, 3).expand(4, 1, 64, 15, 3)
    feature = stream(still)
    torch.testing.assert_close(feature[:, 24:], torch.full((4, 8), 2e-3), rtol=1e-3, atol=0)
    feature.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in stream.parameters() if parameter.grad is not None)


def test_blocks_start_as_the_identity():
    """So that an untrained encoder's features are averages of poses seen through one convolution."""
    torch.manual_seed(0)
    stream = TemporalConvolution(15, 64, ConvolutionConfig(width=8, blocks=2)).eval()
    x = torch.randn(2, 32, 8)
    torch.testing.assert_close(stream.blocks(x), x, rtol=0, atol=0)


# -- persons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_recurrent_encoder"])
def test_an_absent_person_changes_nothing(kind, request):
    encoder = request.getfixturevalue(kind)
    one = body(30)
    absent = np.full_like(one, np.nan)
    alone, pair, zeros = (
        features(encoder, clips)
        for clips in (
            poses(one),
            poses(np.concatenate([one, absent])),
            Poses.from_array(np.concatenate([one, absent * 0]), skeleton=COMMON),  # as sensors write it
        )
    )
    for name in MODALITIES:
        torch.testing.assert_close(pair[name], alone[name], rtol=0, atol=0)
        torch.testing.assert_close(zeros[name], alone[name], rtol=0, atol=0)


def test_the_order_of_persons_does_not_matter(tiny_encoder):
    pair = body(30, persons=2)
    absent = np.full_like(pair[:1], np.nan)
    forth, back = features(tiny_encoder, poses(pair)), features(tiny_encoder, poses(pair[::-1]))
    late, alone = (features(tiny_encoder, poses(clip)) for clip in (np.concatenate([absent, pair[:1]]), pair[:1]))
    for name in MODALITIES:
        torch.testing.assert_close(forth[name], back[name])
        torch.testing.assert_close(late[name], alone[name])


def test_the_feature_of_two_persons_is_the_mean(tiny_encoder):
    """Each goes by its own body, so that a stranger beside a person only averages in."""
    pair = body(30, persons=2)
    both, *each = (features(tiny_encoder, poses(clip)) for clip in (pair, pair[:1], pair[1:]))
    for name in MODALITIES:
        torch.testing.assert_close(both[name], (each[0][name] + each[1][name]) / 2, atol=1e-5, rtol=1e-4)


def test_a_batch_of_ragged_clips_is_each_alone(tiny_encoder, tiny_recurrent_encoder):
    clips = [body(5), body(64, 2, 1), body(1, 1, 2), body(200, 3, 3)]
    for encoder in (tiny_encoder, tiny_recurrent_encoder):
        together = features(encoder, poses(*clips))
        for i, clip in enumerate(clips):
            for name, feature in features(encoder, poses(clip)).items():
                torch.testing.assert_close(feature[0], together[name][i], atol=1e-5, rtol=1e-4)


def test_clips_without_anybody_are_named(tiny_encoder):
    nobody = np.full((2, 5, 15, 3), np.nan, np.float32)
    half = body(5)
    half[..., 2] = np.nan  # no joint has all its coordinates
    with pytest.raises(ValueError, match="nobody is seen in 2 of 3 clips: empty, half; leave them out"):
        tiny_encoder.prepare(poses(nobody, body(), half, ids=["empty", "fine", "half"]))
    with pytest.raises(ValueError, match=r"in 7 of 7 clips: 0, 1, 2, 3, 4, \.\.\.; leave"):
        tiny_encoder.prepare(poses(*[nobody] * 7))


def test_prepare_maps_to_the_encoders_skeleton(tiny_encoder):
    clip = body(joints=25)
    prepared = tiny_encoder.prepare(Poses([clip], NTU))
    assert prepared.shape == (1, 2, 64, 15, 3)
    assert prepared.device == tiny_encoder.device
    with pytest.raises(ValueError, match="cannot be mapped to 'common-15'"):
        tiny_encoder.prepare(Poses([clip[:, :, :2]], Skeleton("eyes", ("left_eye", "right_eye"), (0, 0))))


# -- fusion and the rest ----------------------------------------------------------------------------------------------


def test_fusion_against_numpy(tiny_encoder):
    streams = {name: torch.randn(4, 64) for name in MODALITIES}
    parts = [
        streams[name].numpy() / np.linalg.norm(streams[name].numpy(), axis=1, keepdims=True) for name in MODALITIES
    ]
    np.testing.assert_allclose(tiny_encoder.fuse(streams), np.concatenate(parts, axis=1), atol=1e-6)
    assert tiny_encoder.fuse(streams).shape[1] == tiny_encoder.dim == 192

    mean = Encoder(replace(tiny_encoder.config, fusion="mean"))
    expected = sum(feature.numpy() for feature in streams.values()) / 3
    np.testing.assert_allclose(mean.fuse(streams), expected, atol=1e-6)
    assert mean.fuse(streams).shape[1] == mean.dim == 64

    zero = tiny_encoder.fuse({"joint": torch.zeros(2, 64)})
    assert zero.isfinite().all()


def test_repr_is_one_line(tiny_encoder):
    count = sum(parameter.numel() for parameter in tiny_encoder.parameters()) / 1e6
    text = "convolution, joint+bone+motion, common-15 x 64 frames -> 192"
    assert repr(tiny_encoder) == f"Encoder(untrained: {text}, {count:.2f} M parameters, cpu)"
    tiny_encoder.source = Source("someone/model", "0123456789abcdef")
    assert repr(tiny_encoder).startswith("Encoder(someone/model@01234567: convolution")
    assert "recurrent, joint, ntu-25" in repr(Encoder(CONFIGS["recurrent"]))


def test_what_an_encoder_says_of_itself(tiny_encoder):
    assert tiny_encoder.skeleton is COMMON
    assert tiny_encoder.source == Source("untrained", None)
    assert tiny_encoder.device == torch.device("cpu")
    assert not any(module.training for module in tiny_encoder.modules())


def test_devices():
    assert as_device("cpu") == as_device(torch.device("cpu")) == torch.device("cpu")
    assert as_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "cuda:99", ""):
        with pytest.raises(ValueError, match=f"there is no device '{wrong}' here; there is cpu"):
            as_device(wrong)
