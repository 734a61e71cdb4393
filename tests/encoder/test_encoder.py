"""The encoder: streams, persons, shapes, fusion."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.device import as_device
from skelrep.encoder.modalities import modality
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.hub import load_pretrained, save_pretrained
from skelrep.poses import Poses
from skelrep.preprocess_config import CMD_LINE, PreprocessConfig
from skelrep.skeletons import SKELETONS, Skeleton

STREAMS = ("joint", "bone", "motion")

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
    assert {name: tuple(feature.shape) for name, feature in streams.items()} == {name: (5, width) for name in STREAMS}
    assert width == {"tiny_encoder": 16 * 4, "tiny_recurrent_encoder": 2 * 16}[kind]
    assert all(feature.isfinite().all() for feature in streams.values())
    assert not encoder.training


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [
        (64, {}),
        (60, {"stride": 3, "spans": 4, "std_weight": 0.0}),
        (8, {"kernel": 31, "stride": 1, "spans": 1}),
        (2, {"spans": 1, "std_weight": 0.5}),
    ],
)
def test_sizes_that_fit_make_features(frames, sizes):
    config = EncoderConfig(
        preprocess=PreprocessConfig(frames=frames),
        backbone=ConvolutionConfig(width=6, blocks=2, **{"kernel": 3, **sizes}),
    )
    encoder = Encoder(config)
    feature = features(encoder, poses(body(), body(3)))
    parts = config.backbone.spans + (config.backbone.std_weight > 0)
    assert feature["bone"].shape == (2, 6 * parts)
    assert encoder.dim == 3 * 6 * parts


def test_some_of_the_streams(tiny_encoder):
    prepared = torch.randn(3, 2, 64, 15, 3)
    with torch.inference_mode():
        every = tiny_encoder(prepared)
        some = tiny_encoder.features(prepared, ["motion", "joint"])
        assert list(some) == ["motion", "joint"]
        for name, feature in some.items():
            torch.testing.assert_close(feature, every[name], rtol=1e-4, atol=1e-5)  # packed products round otherwise
            # Each stream sees its own modality through its own weights.
            alone = tiny_encoder.streams[name](modality(name, prepared, COMMON.parents), torch.ones(3, 2, dtype=bool))
            torch.testing.assert_close(alone, every[name], rtol=0, atol=0)
    assert not torch.allclose(every["joint"], every["bone"])


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
    for name in STREAMS:
        torch.testing.assert_close(pair[name], alone[name], rtol=0, atol=0)
        torch.testing.assert_close(zeros[name], alone[name], rtol=0, atol=0)


def test_the_order_of_persons_does_not_matter(tiny_encoder):
    pair = body(30, persons=2)
    absent = np.full_like(pair[:1], np.nan)
    forth, back = features(tiny_encoder, poses(pair)), features(tiny_encoder, poses(pair[::-1]))
    late, alone = (features(tiny_encoder, poses(clip)) for clip in (np.concatenate([absent, pair[:1]]), pair[:1]))
    for name in STREAMS:
        torch.testing.assert_close(forth[name], back[name])
        torch.testing.assert_close(late[name], alone[name])


def test_the_feature_of_two_persons_is_the_mean(tiny_encoder):
    """Every person is aligned by their own body, so another person in the clip only adds to the mean."""
    pair = body(30, persons=2)
    both, *each = (features(tiny_encoder, poses(clip)) for clip in (pair, pair[:1], pair[1:]))
    for name in STREAMS:
        torch.testing.assert_close(both[name], (each[0][name] + each[1][name]) / 2, atol=1e-5, rtol=1e-4)


def test_a_batch_of_ragged_clips_is_each_alone(tiny_encoder, tiny_recurrent_encoder):
    clips = [body(5), body(64, 2, 1), body(1, 1, 2), body(200, 3, 3)]
    for encoder in (tiny_encoder, tiny_recurrent_encoder):
        together = features(encoder, poses(*clips))
        for i, clip in enumerate(clips):
            for name, feature in features(encoder, poses(clip)).items():
                torch.testing.assert_close(feature[0], together[name][i], atol=1e-5, rtol=1e-4)


def test_clips_without_persons_are_named(tiny_encoder):
    nobody = np.full((2, 5, 15, 3), np.nan, np.float32)
    half = body(5)
    half[..., 2] = np.nan  # no joint has all its coordinates
    with pytest.raises(ValueError, match="nobody is seen in 2 of 3 clips: empty, half"):
        tiny_encoder.prepare(poses(nobody, body(), half, ids=["empty", "fine", "half"]))
    with pytest.raises(ValueError, match=r"in 7 of 7 clips: 0, 1, 2, 3, 4, \.\.\."):
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
    streams = {name: torch.randn(4, 64) for name in STREAMS}
    parts = [streams[name].numpy() / np.linalg.norm(streams[name].numpy(), axis=1, keepdims=True) for name in STREAMS]
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


def test_repr_of_an_encoder(tiny_encoder):
    assert tiny_encoder.skeleton is COMMON
    assert tiny_encoder.source == Source("untrained", None)
    assert tiny_encoder.device == torch.device("cpu")
    assert not any(module.training for module in tiny_encoder.modules())


def test_devices():
    assert as_device("cpu") == as_device(torch.device("cpu")) == torch.device("cpu")
    assert as_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "cuda:99", ""):
        with pytest.raises(ValueError, match=f"no device '{wrong}'.*cpu"):
            as_device(wrong)


# -- fingerprint ------------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_of_weights_and_config_alone(tiny_encoder, tmp_path):
    save_pretrained(tiny_encoder, tmp_path / "saved")
    found = tiny_encoder.fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", found) and load_pretrained(tmp_path / "saved").fingerprint() == found
    noted = Encoder(replace(tiny_encoder.config, training={"notes": ["another"]}))
    noted.load_state_dict(tiny_encoder.state_dict())
    assert noted.fingerprint() == found
    trimmed = Encoder(replace(tiny_encoder.config, preprocess=replace(tiny_encoder.config.preprocess, trim=True)))
    trimmed.load_state_dict(tiny_encoder.state_dict())
    assert trimmed.fingerprint() != found
    with torch.no_grad():
        next(tiny_encoder.parameters()).view(-1)[0] += 1e-6
    assert tiny_encoder.fingerprint() != found


def test_a_fingerprint_does_not_change_when_configs_get_new_keys():
    stored = []
    for config in CONFIGS.values():
        encoder = Encoder(config)
        with torch.no_grad():
            for tensor in encoder.state_dict().values():
                tensor.fill_(1)
        stored.append(encoder.fingerprint()[:16])
    assert stored == ["00882fece3578a6d", "a21b923286384baf"]  # manifests of corpora and files of classifiers hold them
