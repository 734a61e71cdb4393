"""The encoder in the box: it is what its card says, and as good on real data as promised."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from skelrep import embed, load_pretrained
from skelrep.hub import bundled
from tests import motion_data

PROMISED = {"utd_mhad": 91.0, "utkinect": 91.0, "msr_action3d": 82.0, "msr_action3d, 10 splits": 85.0}


def test_it_is_small_and_loads_by_default():
    encoder = load_pretrained()
    assert encoder.source == ("i2md-small", None) and not encoder.training
    assert "i2md-small" in bundled()
    from skelrep.hub import PRETRAINED

    assert sum(file.stat().st_size for file in (PRETRAINED / "i2md-small").iterdir()) < 12e6
    assert embed(np.random.default_rng(0).normal(size=(40, 33, 3)), encoder).shape == (1, encoder.dim)


def test_its_card_names_the_data_and_the_licence():
    from skelrep.hub import PRETRAINED

    text = (PRETRAINED / "i2md-small" / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "cc-by-nc-4.0" and front["library_name"] == "skelrep"
    for name in ("MSRC-12", "Bandai-Namco", "CMU"):
        assert name in text
    assert front["model-index"][0]["results"]


@pytest.mark.skipif(not motion_data.FOLDER.is_dir(), reason="needs the motion data, which is not ours to publish")
def test_it_is_as_good_as_promised():
    from tests.benchmarks.accuracy import measure

    table = {line["protocol"]: line for line in measure("i2md-small")}
    for name, line in table.items():
        if name != "jhmdb_2d":  # two-dimensional: reported in the card, not promised
            assert line["1-NN"] >= motion_data.FLOORS[name], line
    for name, least in PROMISED.items():
        assert table[name]["1-NN"] > least, table[name]
