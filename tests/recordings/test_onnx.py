"""Classifiers as ONNX files: equal to `predict_proba` and `is_known`, with their classes, and no partial files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skelrep import Poses, load_pretrained
from skelrep.cli import main
from skelrep.recordings import Classifier, fit
from skelrep.skeletons import SKELETONS
from tests.recordings.made_up import clips_of, movement

pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install '.[onnx]'")

LABELS = ("squat", "wave", "kick")


def run(path, classifier: Classifier, poses: Poses) -> dict[str, np.ndarray]:
    """The outputs of the file by name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    joints, weights = classifier.loaded_encoder().prepare_weighted(poses, "cpu")
    values = {"joints": joints.numpy(), "weights": weights.numpy()}
    names = [given.name for given in session.get_outputs()]
    return dict(zip(names, session.run(names, {taken.name: values[taken.name] for taken in session.get_inputs()})))


def others() -> Poses:
    """Clips of known and of unknown movements, some of two persons of whom one is seen for a while."""
    clips = [movement(label, 2.0, seed) for seed, label in enumerate((*LABELS, "stand"))]
    rng = np.random.default_rng(0)
    clips += [rng.normal(size=(40, 17, 3)).cumsum(axis=0) for _ in range(4)]
    both = np.stack([clips[0], clips[1]])
    both[1, 15:] = np.nan
    return Poses([*(clip[None] for clip in clips), both], SKELETONS["coco-17"], fps=20)


@pytest.mark.parametrize("per_class", [1, 4], ids=["prototypes", "linear"])
@pytest.mark.parametrize("streams", [None, ["motion", "joint"]], ids=["all streams", "two streams"])
def test_the_file_gives_the_classifiers_probabilities(per_class, streams, tmp_path):
    classifier = fit(clips_of(LABELS, per_class), load_pretrained(device="cpu"), streams=streams)
    assert (classifier.head_.weight is None) == (per_class == 1)
    poses = others()
    nearest = np.sort(classifier.head_.cosines(classifier.loaded_encoder().embed(poses, streams=streams)).max(axis=1))
    classifier.head_ = replace(classifier.head_, threshold=float(nearest[3:5].mean()))
    assert classifier.export_onnx(tmp_path / "head.onnx") < 1e-5
    found = run(tmp_path / "head.onnx", classifier, poses)
    expected = classifier.predict_proba(poses)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert np.ptp(expected.max(axis=1)) > 0.1  # not all are sure
    known = classifier.is_known(poses)
    assert found["known"].tolist() == known.tolist() and known.sum() == len(known) - 4
    np.testing.assert_allclose(found["embedding"], classifier.loaded_encoder().embed(poses, streams=streams), atol=1e-5)


def test_temperature_and_threshold_are_in_the_file(tiny_encoder, tmp_path):
    classifier = fit(clips_of(LABELS, 4), tiny_encoder)
    poses = others()
    probabilities = []
    for temperature, threshold in ((0.1, -1.0), (10.0, 1.0)):
        classifier.head_ = replace(classifier.head_, temperature=temperature, threshold=threshold)
        classifier.export_onnx(tmp_path / "head.onnx")
        found = run(tmp_path / "head.onnx", classifier, poses)
        assert found["known"].all() == (threshold < 0) and found["known"].any() == (threshold < 0)
        np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(poses), atol=1e-5)
        probabilities.append(found["probabilities"])
    assert (probabilities[0].max(axis=1) > probabilities[1].max(axis=1)).all()


def test_a_file_that_differs_is_refused(tiny_encoder, tmp_path, monkeypatch):
    classifier = fit(clips_of(LABELS, 4), tiny_encoder)
    wrong = replace(classifier.head_, temperature=3 * classifier.head_.temperature)
    monkeypatch.setattr("skelrep.recordings.heads.Head.probabilities", lambda self, rows: _of(wrong, rows))
    with pytest.raises(ValueError, match="differs from the classifier by"):
        classifier.export_onnx(tmp_path / "head.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotFittedError):
        Classifier(tiny_encoder).export_onnx(tmp_path / "head.onnx")


def _of(head, rows) -> np.ndarray:
    exponential = np.exp(head.logits(rows))
    return exponential / exponential.sum(axis=1, keepdims=True)


def test_the_command(tiny_encoder, tmp_path, monkeypatch, capsys, hub):
    monkeypatch.chdir(tmp_path)
    train = clips_of(LABELS, 3)
    classifier = Classifier(tiny_encoder).fit(
        train, [{"squat": 7, "wave": 3, "kick": 5}[label] for label in train.labels]
    )
    classifier.save("head")
    assert main(["export-onnx", "head", "head.onnx", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["classes"] == [3, 5, 7] and facts["bytes"] == (tmp_path / "head.onnx").stat().st_size
    session = onnxruntime.InferenceSession("head.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == [3, 5, 7] and "config.json" in about
    outputs = {given.name: (given.type, given.shape) for given in session.get_outputs()}
    assert outputs["probabilities"] == ("tensor(float)", ["clips", 3])
    assert outputs["known"] == ("tensor(bool)", ["clips"])
    classifier.push_to_hub("people/gestures")
    assert main(["export-onnx", "people/gestures", "fetched.onnx"]) == 0
    assert "3 classes" in capsys.readouterr().err
    assert (tmp_path / "fetched.onnx").read_bytes()[:100] == (tmp_path / "head.onnx").read_bytes()[:100]
