"""ONNX files: equal to the encoder for any number of clips, complete metadata, and no partial files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import skelrep.encoder.onnx as skelrep_onnx
from skelrep import load_pretrained, save_pretrained
from skelrep.cli import main
from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.causal_convolution import CausalConvolutionConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.modalities import MODALITIES
from skelrep.encoder.onnx import export_onnx
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.poses import Poses
from skelrep.preprocess_config import CMD_LINE, ROBUST, STREAMING, PreprocessConfig
from skelrep.skeletons import SKELETONS
from tests.conftest import untrained

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install '.[onnx]'")

ONE = PreprocessConfig(persons=1, frames=32)
RECURRENT = RecurrentConfig(hidden=24, layers=3)
CONVOLUTION = ConvolutionConfig(width=16, blocks=2, kernel=7, spans=2)
CONFIGS = {
    "convolution": EncoderConfig(backbone=ConvolutionConfig(width=16, blocks=1)),
    "convolution, one person": EncoderConfig(backbone=CONVOLUTION, preprocess=ONE, modalities=("motion",)),
    "convolution, three persons, mean": EncoderConfig(
        backbone=CONVOLUTION, preprocess=PreprocessConfig(persons=3), fusion="mean", modalities=("bone", "joint")
    ),
    "recurrent, two persons": EncoderConfig(backbone=RECURRENT),
    "recurrent, one person": EncoderConfig(backbone=RECURRENT, preprocess=ONE, fusion="mean"),
    "recurrent, moments": EncoderConfig(backbone=RecurrentConfig(8, 2, "moments"), preprocess=ONE),
    "recurrent, persons alone": EncoderConfig(backbone=RecurrentConfig(8, 1, "moments", "alone")),
    "causal convolution": EncoderConfig(
        backbone=CausalConvolutionConfig(16, 2, 5), modalities=("joint", "causal_motion")
    ),
    "recurrent, one layer, as CMD": EncoderConfig(
        skeleton=SKELETONS["ntu-25"],
        preprocess=CMD_LINE,
        backbone=RecurrentConfig(hidden=8, layers=1),
        fusion="mean",
        modalities=("joint",),
    ),
}


def session(path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prepared(encoder: Encoder, clips: int) -> torch.Tensor:
    """Clips, some of which show only the first or only the second person."""
    config = encoder.config.preprocess
    joints = torch.randn(clips, config.persons, config.frames, len(encoder.skeleton), 3)
    if config.persons > 1:
        joints[::3, 1:] = 0
        joints[1::3, :1] = 0
    return joints


def difference(encoder: Encoder, run: onnxruntime.InferenceSession, joints: torch.Tensor) -> float:
    """The largest difference in any row, as a fraction of the row's length."""
    [found] = run.run(None, {"joints": joints.numpy()})
    with torch.inference_mode():
        expected = encoder.fuse(encoder(joints)).numpy()
    assert found.shape == expected.shape and found.dtype == np.float32
    return float((np.abs(found - expected).max(axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_file_gives_the_encoders_numbers_for_any_number_of_clips(config, tmp_path):
    encoder = untrained(config)
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert export_onnx(encoder, tmp_path / "encoder.onnx") < 1e-5
    run = session(tmp_path / "encoder.onnx")
    torch.manual_seed(1)
    for clips in (1, 2, 7, 33):
        assert difference(encoder, run, prepared(encoder, clips)) < 1e-5, clips
    assert all(torch.equal(state[name], tensor) for name, tensor in encoder.state_dict().items())


def test_the_bundled_encoder_on_poses_of_one_and_two_persons(tmp_path):
    encoder = load_pretrained(device="cpu")
    export_onnx(encoder, tmp_path / "i2md-small.onnx")
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(1 + i % 2, 40 + i, 20, 3)).cumsum(axis=1) for i in range(6)]
    poses = Poses(clips, SKELETONS["kinect-20"])
    joints, weights = encoder.prepare_weighted(poses, "cpu")
    assert (joints[0, 1] == 0).all() and (joints[1, 1] != 0).any()
    feeds = {"joints": joints.numpy(), "weights": weights.numpy()}
    [rows] = session(tmp_path / "i2md-small.onnx").run(None, feeds)
    np.testing.assert_allclose(rows, encoder.embed(poses), atol=1e-5)


@pytest.mark.parametrize("backbone", [CONVOLUTION, RecurrentConfig(8, 1, persons="alone")], ids=["conv", "gru"])
@pytest.mark.parametrize("pairs", ["apart", "partner"])
def test_persons_count_by_their_weights(pairs, backbone, tmp_path):
    encoder = untrained(EncoderConfig(backbone=backbone, preprocess=replace(ROBUST, pairs=pairs)))
    assert export_onnx(encoder, tmp_path / "encoder.onnx") < 1e-5
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(persons, 40, 15, 3)).cumsum(axis=1) for persons in (2, 2, 2, 1)]
    clips[0][1, 10:] = np.nan  # seen in a quarter of the frames, so no partner
    clips[1][0, :15] = np.nan  # a partner
    poses = Poses(clips, SKELETONS["common-15"])
    joints, weights = encoder.prepare_weighted(poses)
    np.testing.assert_allclose(weights, [[1, 0.25], [0.625, 1], [1, 1], [1, 0]], atol=0.02)
    run = session(tmp_path / "encoder.onnx")
    assert [(taken.name, taken.shape) for taken in run.get_inputs()][1] == ("weights", ["clips", 2])
    [rows] = run.run(None, {"joints": joints.numpy(), "weights": weights.numpy()})
    np.testing.assert_allclose(rows, encoder.embed(poses), atol=1e-5)
    [equal] = run.run(None, {"joints": joints.numpy(), "weights": (weights > 0).float().numpy()})
    assert np.abs(equal - rows)[:2].max(axis=1).min() > 1e-2 and np.abs(equal - rows)[3].max() < 1e-5
    [nobody] = run.run(None, {"joints": 0 * joints.numpy(), "weights": 0 * weights.numpy()})
    assert not nobody.any()


def test_a_constant_rate_is_refused(tmp_path):
    encoder = untrained(EncoderConfig(preprocess=STREAMING, backbone=CausalConvolutionConfig(16, 1)))
    with pytest.raises(ValueError, match="constant frame rate"):
        export_onnx(encoder, tmp_path / "encoder.onnx")
    assert not any(tmp_path.iterdir())


def test_one_person_needs_no_weights(tmp_path):
    preprocess = replace(ROBUST, persons=1, pairs="apart")
    encoder = untrained(EncoderConfig(backbone=CONVOLUTION, preprocess=preprocess))
    export_onnx(encoder, tmp_path / "encoder.onnx")
    run = session(tmp_path / "encoder.onnx")
    assert difference(encoder, run, prepared(encoder, 3)) < 1e-5


def test_a_clip_without_persons_does_not_change_others(tiny_encoder, tmp_path):
    export_onnx(tiny_encoder, tmp_path / "encoder.onnx")
    run = session(tmp_path / "encoder.onnx")
    joints = prepared(tiny_encoder, 3)
    joints[1] = 0
    [rows] = run.run(None, {"joints": joints.numpy()})
    with torch.inference_mode():
        expected = tiny_encoder.fuse(tiny_encoder(joints)).numpy()
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert not rows[1].any() and rows[0].any()
    [nobody] = run.run(None, {"joints": np.zeros_like(joints.numpy())})
    assert nobody.shape == rows.shape and not nobody.any()


def test_a_gru_is_one_node_and_nothing_is_unrolled(tiny_recurrent_encoder, tmp_path):
    export_onnx(tiny_recurrent_encoder, tmp_path / "encoder.onnx")
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "encoder.onnx").graph.node)
    assert nodes["GRU"] == 3 * 2 * 2  # streams, layers, GRUs side by side
    assert nodes.total() < 100 and not {"Loop", "Scan", "If"} & set(nodes)


def test_the_file_contains_its_inputs_and_its_source(tiny_encoder, tmp_path):
    tiny_encoder.source = Source("lab/encoder", "0123abc")
    export_onnx(tiny_encoder, tmp_path / "encoder.onnx")
    run = session(tmp_path / "encoder.onnx")
    [taken], [given] = run.get_inputs(), run.get_outputs()
    assert (taken.name, taken.type, taken.shape) == ("joints", "tensor(float)", ["clips", 2, 64, 15, 3])
    assert (given.name, given.shape) == ("embedding", ["clips", tiny_encoder.dim])
    about = run.get_modelmeta().custom_metadata_map
    assert EncoderConfig.from_dict(json.loads(about["config.json"])) == tiny_encoder.config
    assert about["source"] == "lab/encoder@0123abc"
    model = onnx.load(tmp_path / "encoder.onnx")
    assert "persons" in model.graph.input[0].doc_string
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)


def test_half_precision_and_training_mode_are_no_obstacle(tiny_config, tmp_path):
    encoder = untrained(tiny_config).to(torch.bfloat16).train()
    export_onnx(encoder, tmp_path / "encoder.onnx")
    assert encoder.training and next(encoder.parameters()).dtype == torch.bfloat16
    single = untrained(tiny_config).to(torch.bfloat16).float()
    assert difference(single, session(tmp_path / "encoder.onnx"), prepared(single, 3)) < 1e-5


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_recurrent_encoder"])
def test_a_file_that_differs_is_refused_and_what_was_there_stays(kind, request, tmp_path, monkeypatch):
    encoder = request.getfixturevalue(kind)
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"before")
    monkeypatch.setitem(MODALITIES, "motion", MODALITIES["motion"]._replace(to_onnx=MODALITIES["bone"].to_onnx))
    with pytest.raises(ValueError, match=r"differs from the encoder by \d"):
        export_onnx(encoder, path)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_an_encoder_that_gives_nan_is_refused(tiny_encoder, tmp_path):
    tiny_encoder.streams["bone"].entry.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="differs from the encoder by nan"):
        export_onnx(tiny_encoder, tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


def test_more_weights_than_a_file_holds_are_refused(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(skelrep_onnx, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="than the 2 GB that fit into one ONNX file"):
        export_onnx(tiny_encoder, tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra(tiny_encoder, tmp_path, monkeypatch, missing, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {missing}.*pip install"):
        export_onnx(tiny_encoder, tmp_path / "encoder.onnx")
    assert main(["export-onnx", "i2md-small", str(tmp_path / "encoder.onnx")]) == 1
    assert f"needs {missing}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command(tiny_encoder, tmp_path, capsys):
    tiny_encoder.config = replace(tiny_encoder.config, training={"license": "cc-by-4.0"})
    save_pretrained(tiny_encoder, tmp_path / "model")
    output = tmp_path / "encoder.onnx"
    output.write_bytes(b"before")  # replaced, as by every command with a file for output
    assert main(["export-onnx", str(tmp_path / "model"), str(output), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == output.stat().st_size and facts["dim"] == tiny_encoder.dim
    assert facts["difference"] < 1e-5
    assert difference(tiny_encoder, session(output), prepared(tiny_encoder, 2)) < 1e-5
    assert main(["export-onnx", str(tmp_path / "model"), str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "encoder.onnx" in captured.err and "of PyTorch" in captured.err


@pytest.mark.parametrize(
    ("model", "output", "message"),
    [
        ("i2md-smal", "encoder.onnx", "did you mean 'i2md-small'?"),
        ("nowhere/at/all", "encoder.onnx", "there is no folder 'nowhere/at/all'"),
        ("i2md-small", "encoder.bin", "suffix of an ONNX file must be .onnx, got 'encoder.bin'"),
        ("i2md-small", "nowhere/encoder.onnx", "the folder nowhere does not exist"),
        ("i2md-small --revision main", "encoder.onnx", "it has no revision 'main'"),
    ],
)
def test_errors_are_one_sentence_and_leave_no_file(model, output, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export-onnx", *model.split(), output]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(tmp_path.iterdir())
