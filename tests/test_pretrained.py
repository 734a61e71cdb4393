"""The bundled encoders: size, stored embeddings, model cards, and accuracy on real data."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from skelrep import embed, load_pretrained
from skelrep.hub import bundled
from skelrep.hub.load import PRETRAINED
from tests import motion_data, reference_clips

PROMISED = {
    "i2md-small": {"utd_mhad": 95.3, "utkinect": 94.4, "msr_action3d": 85.5, "msr_action3d, 10 splits": 86.2},
    "i2md-small-open": {"utd_mhad": 91.0, "utkinect": 95.0, "msr_action3d": 82.0, "msr_action3d, 10 splits": 82.0},
    "i2md-stream": {"utd_mhad": 94.0, "utkinect": 90.5, "msr_action3d": 83.5, "msr_action3d, 10 splits": 86.3},
}
DATA = {"i2md-small": ("MSRC-12", "Bandai-Namco", "CMU", "CAD-60", "KARD"), "i2md-small-open": ("CMU",)}
DATA["i2md-stream"] = DATA["i2md-small"]
LICENCES = {"i2md-small": "cc-by-nc-4.0", "i2md-small-open": "apache-2.0", "i2md-stream": "cc-by-nc-4.0"}
ON_AVERAGE = {"i2md-stream"}  # encoders that beat the untrained network on average, but not on each data set


def test_the_default_is_bundled():
    encoder = load_pretrained()
    assert encoder.source == ("i2md-small", None) and not encoder.training
    assert bundled() == sorted(PROMISED)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISED)
def test_bundled_encoders_are_small(name):
    encoder = load_pretrained(name)
    assert sum(file.stat().st_size for file in (PRETRAINED / name).iterdir()) < 6e6
    assert embed(np.random.default_rng(0).normal(size=(40, 33, 3)), encoder, fps=30).shape == (1, encoder.dim)


@pytest.mark.parametrize("name", PROMISED)
def test_published_encoders_keep_their_numbers(name):
    """Equal to 1e-6 after any change of preprocessing or networks, for single clips and for batches."""
    with np.load(reference_clips.FILE) as stored:
        for kind, poses in reference_clips.clips().items():
            expected = stored[f"{name}/{kind}"]
            assert expected.shape == (len(poses), load_pretrained(name).dim)
            np.testing.assert_allclose(embed(poses, name), expected, rtol=0, atol=1e-6)
            np.testing.assert_allclose(embed(poses[-1:], name), expected[-1:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PROMISED)
def test_cards_name_the_data_and_the_licence(name):
    text = (PRETRAINED / name / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == LICENCES[name] and front["library_name"] == "skelrep"
    data = [source["name"] for source in load_pretrained(name).config.training["data"]]
    assert all(any(word in source for source in data) for word in DATA[name]) and len(data) == len(DATA[name])
    assert all(source in text for source in data)
    assert front["model-index"][0]["results"]


@pytest.mark.skipif(not motion_data.FOLDER.is_dir(), reason="needs the motion data, which is not ours to publish")
@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISED)
def test_bundled_encoders_reach_their_accuracy(name):
    from tests.benchmarks.accuracy import measure

    table = {line["protocol"]: line for line in measure(name, only=list(PROMISED[name]), quick=True)}
    assert set(table) == set(PROMISED[name])
    for protocol, least in PROMISED[name].items():
        line = table[protocol]
        assert line["1-NN"] > least and line["1-NN"] > line["raw"], line
        assert line["1-NN"] > line["untrained"] or name in ON_AVERAGE, line
    gains = [line["1-NN"] - line["untrained"] for line in table.values()]
    assert np.mean(gains) > 0.5, gains
