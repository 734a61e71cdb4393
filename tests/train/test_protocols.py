"""The table of protocols against the public functions that it calls."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch

from skelrep.evaluate import knn_eval, linear_eval
from skelrep.preprocess_config import PreprocessConfig
from skelrep.train.finetune import FinetuneConfig, finetune
from skelrep.train.protocols import protocols
from tests.train.gestures import QUICK, fresh, gestures, recurrent


def test_table_has_every_protocol_with_the_results_of_the_public_functions(train, test):
    encoder = fresh(modalities=("joint", "motion"), training={"data": [{"name": "Walks"}, {"name": "Runs"}]}).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    options = {"fractions": (0.1,), "seeds": 2, "config": FinetuneConfig(epochs=2), "show_progress": False}
    table = protocols(encoder, train, test, from_scratch=True, dataset="Gestures", **options)
    assert encoder.training and all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())

    assert [(row.protocol, row.setting, row.streams, row.fraction, row.clips, row.seeds) for row in table.rows] == [
        ("knn", "1-NN", "joint+motion", 1.0, 36, 1),
        ("knn", "5-NN", "joint+motion", 1.0, 36, 1),
        ("knn", "1-NN", "joint", 1.0, 36, 1),
        ("knn", "5-NN", "joint", 1.0, 36, 1),
        ("knn", "1-NN", "motion", 1.0, 36, 1),
        ("knn", "5-NN", "motion", 1.0, 36, 1),
        ("linear", "linear probe", "joint+motion", 1.0, 36, 1),
        *(("semi", setting, "joint+motion", 0.1, 4, 2) for setting in ("linear probe", "fine-tuned", "from scratch")),
        *(("finetune", setting, "joint+motion", 1.0, 36, 2) for setting in ("fine-tuned", "from scratch")),
    ]
    assert all((row.std is None) is (row.seeds == 1) for row in table.rows)
    assert {(row.setting == "from scratch", row.pretraining) for row in table.rows} == {
        (False, "Walks, Runs"),
        (True, "none"),
    }
    assert {row.dataset for row in table.rows} == {"Gestures"}

    # The figures are those of the public functions.
    x, y = encoder.embed(train), encoder.embed(test)
    motion = encoder.embed(train, streams="motion"), encoder.embed(test, streams="motion")
    found = {(row.setting, row.streams): row.accuracy for row in table.rows if row.fraction == 1.0}
    sets = train.labels, test.labels
    assert found["5-NN", "joint+motion"] == knn_eval(x, sets[0], y, sets[1], k=5).accuracy[5]
    assert found["1-NN", "motion"] == knn_eval(motion[0], sets[0], motion[1], sets[1], k=1).accuracy[1]
    assert found["linear probe", "joint+motion"] == linear_eval(x, sets[0], y, sets[1]).accuracy
    tuned = [
        finetune(encoder, train, FinetuneConfig(epochs=2, seed=seed), show_progress=False).accuracy(test)
        for seed in (0, 1)
    ]
    assert found["fine-tuned", "joint+motion"] == np.mean(tuned)
    [whole] = [row for row in table.rows if row.protocol == "finetune" and row.setting == "fine-tuned"]
    assert whole.std == pytest.approx(np.std(tuned, ddof=1))

    plain = json.loads(json.dumps(table.to_dict()))
    assert plain["rows"] == [dataclasses.asdict(row) for row in table.rows]
    assert plain["protocol"]["n_classes"] == 3 and plain["protocol"]["finetune"]["epochs"] == 2
    lines = str(table).splitlines()
    assert lines[0] == "untrained on Gestures" and len(lines) == 2 + len(table.rows)
    assert lines[1].index("accuracy") + len("accuracy") == lines[2].index(" %", lines[2].index("36")) + 2
    assert "±" in lines[-1] and "(2 seeds)" in lines[-1] and "±" not in lines[2]
    assert "<pre>" in table._repr_html_()


def test_test_labels_do_not_influence_predictions():
    # With two classes, exchanged test labels must turn every correct prediction into a wrong one.
    encoder = fresh(preprocess=PreprocessConfig(frames=8))
    both = ("left", "right")
    train, test = gestures(12, 0, both, noise=0.1), gestures(11, 1, both, noise=0.1)
    turned = dataclasses.replace(test, labels=np.where(test.labels == "left", "right", "left"))
    options = {"fractions": (0.2,), "seeds": 1, "config": FinetuneConfig(epochs=1), "show_progress": False}
    table, other = (protocols(encoder, train, part, from_scratch=True, **options) for part in (test, turned))
    assert len(table.rows) == len(other.rows) == 8 + 1 + 3 + 2
    for row, opposite in zip(table.rows, other.rows):
        assert row.accuracy == pytest.approx(1 - opposite.accuracy), row


def test_from_scratch_does_not_depend_on_the_encoder_weights(encoder, train, test):
    ruined = copy.deepcopy(encoder)
    torch.nn.utils.vector_to_parameters(torch.zeros(sum(p.numel() for p in ruined.parameters())), ruined.parameters())
    options = {"which": ["finetune"], "seeds": 1, "from_scratch": True, "config": dataclasses.replace(QUICK, epochs=5)}
    rows, others = (protocols(one, train, test, show_progress=False, **options).rows for one in (encoder, ruined))
    assert others[0].accuracy < 0.5 < 0.8 < rows[1].accuracy == others[1].accuracy


def test_a_table_of_some_protocols(train, test):
    options = {"fractions": (0.01,), "seeds": 1, "config": FinetuneConfig(epochs=1), "show_progress": False}
    groups = np.arange(36) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one clip a class is nothing to warn of
        table = protocols(recurrent(), train, test, which=["semi"], groups=groups, **options)
    assert [(row.protocol, row.setting, row.std) for row in table.rows] == [
        ("semi", "linear probe", None),
        ("semi", "fine-tuned", None),
    ]
    assert table.rows[0].pretraining == "none" and "36 training and 24 test clips" in table.rows[0].dataset
    assert (
        protocols(fresh(training={"data": "what I had"}), train, test, which=["knn"]).rows[0].pretraining
        == "what I had"
    )


def test_unusable_arguments_are_refused(encoder, train, test):
    with pytest.raises(ValueError, match="no protocol 'lineal'.* knn, linear, semi, finetune"):
        protocols(encoder, train, test, which=("knn", "lineal"))
    with pytest.raises(ValueError, match="training poses have no labels"):
        protocols(encoder, dataclasses.replace(train, labels=None), test)
    with pytest.raises(ValueError, match="test poses have no labels"):
        protocols(encoder, train, dataclasses.replace(test, labels=None))
    with pytest.raises(ValueError, match="no training clip has the label bow"):
        protocols(encoder, train.select(labels=["left", "right"]), test)
    with pytest.raises(ValueError, match="seeds=0"):
        protocols(encoder, train, test, seeds=0)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\) for 36"):
        protocols(encoder, train, test, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="fraction=5"):
        protocols(encoder, train, test, which=["semi"], fractions=(5,))
