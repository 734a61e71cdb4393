"""Heads in folders and on the Hub: all comes back, and nothing else is loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from skelrep import save_pretrained
from skelrep.hub import load_pretrained
from skelrep.recordings import Classifier
from tests.conftest import untrained
from tests.recordings.made_up import rows_of_classes


@pytest.fixture
def head(tiny_encoder, tmp_path):
    rows, labels = rows_of_classes(6, dim=tiny_encoder.dim)
    Classifier(tiny_encoder, C=[0.1, 1.0], keep=0.9).fit(rows, labels).save(tmp_path / "head")
    return tmp_path / "head"


def test_everything_is_restored(head, tiny_encoder):
    rows, labels = rows_of_classes(6, dim=tiny_encoder.dim)
    fitted = Classifier(tiny_encoder, C=[0.1, 1.0], keep=0.9).fit(rows, labels)
    loaded = Classifier.load(head)  # with the encoder that was saved in the same folder
    np.testing.assert_array_equal(loaded.predict_proba(rows), fitted.predict_proba(rows))
    assert (loaded.is_known(rows) == fitted.is_known(rows)).all()
    assert loaded.loaded_encoder().fingerprint() == tiny_encoder.fingerprint()
    assert loaded.keep == 0.9 and str(loaded.report_) == str(fitted.report_)
    assert "bow" in (head / "README.md").read_text()


def test_prototypes_and_whole_numbers_come_back(tiny_encoder, tmp_path):
    rows, _ = rows_of_classes(1, dim=tiny_encoder.dim)
    Classifier(tiny_encoder).fit(rows, [3, 1, 2]).save(tmp_path)
    loaded = Classifier.load(tmp_path, encoder=tiny_encoder)
    assert loaded.predict(rows).tolist() == [3, 1, 2] and loaded.report_ is None


def test_a_bundled_encoder_is_only_named(tmp_path):
    rows, labels = rows_of_classes(3, dim=8)
    Classifier("i2md-small").fit(rows, labels).save(tmp_path)
    assert not (tmp_path / "encoder").exists()
    assert json.loads((tmp_path / "head.json").read_text())["encoder"]["name"] == "i2md-small"


def test_another_encoder_is_refused(head, tiny_config):
    other = untrained(tiny_config, seed=1)
    with pytest.raises(ValueError, match=other.fingerprint()[:12]):
        Classifier.load(head, encoder=other)
    save_pretrained(other, head / "encoder")
    with pytest.raises(ValueError, match="other weights or preprocessing"):
        Classifier.load(head)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda plain: plain.pop("classes"), "classes"),
        (lambda plain: plain.update(extra=1), "extra"),
        (lambda plain: plain.update(classes=["a", "a", "b"]), "classes"),
        (lambda plain: plain.update(classes=["a", "b"]), "expected"),
        (lambda plain: plain.update(temperature=0.0), "temperature"),
        (lambda plain: plain.update(kind="forest"), "forest"),
        (lambda plain: plain.update(format_version=2), "format_version"),
        (lambda plain: plain.update(figures={"accuracy": []}), "figures"),
        (lambda plain: plain.update(dim=3), "expected"),
    ],
)
def test_a_changed_config_is_refused(head, change, facts):
    plain = json.loads((head / "head.json").read_text())
    change(plain)
    (head / "head.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=facts):
        Classifier.load(head)


def test_changed_numbers_are_refused(head):
    path = head / "head.safetensors"
    arrays = load_file(path)
    for changed, facts in (
        ({**arrays, "mean": arrays["mean"] * np.float32(np.nan)}, "mean"),
        ({**arrays, "deviation": 0 * arrays["deviation"]}, "deviation"),
        ({name: array for name, array in arrays.items() if name != "bias"}, "bias"),
        ({**arrays, "more": arrays["mean"]}, "more"),
    ):
        save_file(changed, path)
        with pytest.raises(ValueError, match=facts):
            Classifier.load(head)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="damaged"):
        Classifier.load(head)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="head.safetensors"):
        Classifier.load(head)
    with pytest.raises(FileNotFoundError, match="head.json"):
        Classifier.load(head / "encoder")


def test_to_the_hub_and_back(head, hub):
    classifier = Classifier.load(head)
    address = classifier.push_to_hub("people/gestures")
    assert "people/gestures" in address
    rows, _ = rows_of_classes(2, dim=classifier.n_features_in_)
    found = Classifier.load("people/gestures")
    np.testing.assert_array_equal(found.predict_proba(rows), classifier.predict_proba(rows))
    with pytest.raises(FileNotFoundError, match="encoder"):
        load_pretrained("people/gestures")
