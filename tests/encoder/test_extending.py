"""A backbone and a modality from outside the package: saved, loaded, exported, trained, refused as a stream."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from skelrep import embed, load_pretrained, save_pretrained
from skelrep.encoder import BACKBONES, MODALITIES, Encoder, EncoderConfig, Modality
from skelrep.encoder.onnx import export_onnx
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import CMD_LINE
from skelrep.skeletons import SKELETONS
from skelrep.train.i2md import Method, MethodConfig
from tests.encoder.outside import VELOCITY, TransformerConfig
from tests.ragged_clips import ragged


@pytest.fixture
def backbone(monkeypatch):
    monkeypatch.setitem(BACKBONES, "transformer", TransformerConfig)
    return TransformerConfig()


@pytest.fixture
def velocity(monkeypatch):
    monkeypatch.setitem(MODALITIES, "velocity", VELOCITY)


@pytest.fixture
def encoder(backbone, velocity):
    torch.manual_seed(0)
    return Encoder(EncoderConfig(backbone=backbone, modalities=("joint", "velocity")))


@pytest.mark.parametrize("pooling", [None, 3, "mean"])
def test_an_external_backbone_is_saved_loaded_and_embeds(encoder, pooling, tmp_path):
    encoder = Encoder(
        dataclasses.replace(encoder.config, backbone=dataclasses.replace(encoder.config.backbone, pooling=pooling))
    )
    rows = embed(ragged(), encoder)
    assert rows.shape == (7, 32) and np.isfinite(rows).all()
    np.testing.assert_allclose(embed(ragged(), encoder, batch_size=1), rows, atol=1e-6)  # and dropout is off
    folder = save_pretrained(encoder, tmp_path / "saved")
    stored = json.loads((folder / "config.json").read_text())["backbone"]
    assert stored == {
        "kind": "transformer",
        "width": 16,
        "layers": 2,
        "dropout": 0.2,
        "activation": "tanh",
        "pooling": pooling,
    }
    loaded = load_pretrained(folder, device="cpu")
    assert loaded.config == encoder.config
    np.testing.assert_array_equal(embed(ragged(), loaded), rows)
    assert "Transformer backbone, joint, velocity streams" in (folder / "README.md").read_text()
    assert repr(loaded).startswith(f"Encoder({folder}: transformer, joint+velocity")


def test_precisions(encoder):
    exact, rounded = embed(ragged(), encoder), embed(ragged(), encoder, precision="bfloat16")
    assert 0 < np.abs(exact - rounded).max() < 0.05
    with pytest.raises(ValueError, match="Transformer .* int8"):
        embed(ragged(), encoder, precision="int8")


def test_an_external_backbone_is_exported(encoder, tmp_path):
    pytest.importorskip("onnxruntime")
    assert export_onnx(encoder, tmp_path / "encoder.onnx") < 1e-5


def test_a_modality_without_an_onnx_form_is_not_exported(encoder, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(MODALITIES, "velocity", VELOCITY._replace(to_onnx=None))
    with pytest.raises(ValueError, match="'velocity' has no ONNX form"):
        export_onnx(encoder, tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


def test_an_external_backbone_is_trained(encoder):
    method = Method(encoder, MethodConfig(projection=8, slots=16, neighbours=4, aggregated=2)).train()
    poses = torch.randn(4, 2, 64, 15, 3)
    losses = method(poses, poses + 0.1 * torch.randn_like(poses), torch.arange(4))
    losses["total"].backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_an_external_backbone_cannot_be_streamed(encoder):
    with pytest.raises(ValueError, match="whole clips"):
        encoder.stream()


def causal(*modalities: str) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(SKELETONS["ntu-25"], modalities, CMD_LINE, RecurrentConfig(8, 2)))


def test_streams_refuse_a_modality_that_depends_on_frames_before(velocity):
    with pytest.raises(ValueError, match="'velocity' cannot be streamed"):
        causal("joint", "velocity").stream()
    assert causal("joint", "velocity").stream(streams="joint").step(np.ones((25, 3))) is not None


@pytest.mark.parametrize("lookahead", [0, 1])
def test_streams_of_a_modality_from_outside_equal_whole_clips(lookahead, monkeypatch):
    def height(joints, parents):
        return joints * joints.new_tensor([0, 0, 1])

    def midpoint(joints, parents):
        return (joints + torch.cat([joints[..., 1:, :, :], joints[..., -1:, :, :]], dim=-3)) / 2

    monkeypatch.setitem(MODALITIES, "other", Modality([height, midpoint][lookahead], lookahead=lookahead))
    encoder, clip = causal("other"), np.random.default_rng(0).normal(size=(1, 6, 25, 3))
    stream = encoder.stream()
    for t in range(6):
        row = stream.step(clip[:, t])
        preprocess = dataclasses.replace(CMD_LINE, frames=t + 1, crop=1.0)
        short = Encoder(dataclasses.replace(encoder.config, preprocess=preprocess))
        short.load_state_dict(encoder.state_dict())
        np.testing.assert_allclose(row, short.embed(clip[:, : t + 1], skeleton="ntu-25")[0], atol=2e-6)


def test_values_are_checked(encoder):
    plain = encoder.config.to_dict()
    for key, value in {"dropout": 1.0, "activation": "gelu", "pooling": 0.5, "width": 0}.items():
        with pytest.raises(ValueError, match=key):
            EncoderConfig.from_dict({**plain, "backbone": {**plain["backbone"], key: value}})


def test_a_backbone_without_an_entry_is_refused_with_advice(encoder, monkeypatch):
    plain = encoder.config.to_dict()
    monkeypatch.delitem(BACKBONES, "transformer")
    with pytest.raises(
        ValueError, match="'transformer', not one of convolution, causal_convolution, recurrent.*import that package"
    ):
        EncoderConfig.from_dict(plain)
    with pytest.raises(ValueError, match="TransformerConfig .* skelrep.encoder.BACKBONES"):
        EncoderConfig(backbone=TransformerConfig())
