"""Protocols with labels: drawing few of them, fine-tuning, and the table."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.evaluate import knn_eval, linear_eval
from skelrep.poses import Poses
from skelrep.preprocess import PreprocessConfig
from skelrep.skeletons import SKELETONS
from skelrep.train.augment import AugmentConfig
from skelrep.train.finetune import Classifier, FinetuneConfig, _distorted, finetune, protocols, subset

COMMON = SKELETONS["common-15"]
QUICK = FinetuneConfig(
    epochs=10, batch=8, learning_rate=0.05, encoder_learning_rate=0.005
)  # random weights have far to go
NOTHING = AugmentConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentConfig)})


def fresh(**changes) -> Encoder:
    """A small untrained encoder, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder(dataclasses.replace(EncoderConfig(backbone=ConvolutionConfig(16, 1)), **changes))


def gestures(count: int, seed: int, classes: tuple = ("left", "right", "bow"), noise: float = 0.02) -> Poses:
    """Clips in which the left arm, the right arm or the head moves, by different bodies."""
    rng = np.random.default_rng(seed)
    rest = np.zeros((15, 3))
    rest[[1, 2]] = [[0, 0, 0.5], [0, 0, 0.7]]
    rest[[3, 4, 5]] = [[-0.2, 0, 0.5], [-0.2, 0, 0.25], [-0.2, 0, 0]]
    rest[[9, 10, 11]] = [[-0.1, 0, 0], [-0.1, 0, -0.4], [-0.1, 0, -0.8]]
    rest[[6, 7, 8, 12, 13, 14]] = rest[[3, 4, 5, 9, 10, 11]] * [-1, 1, 1]
    moved = {"left": [4, 5], "right": [7, 8], "bow": [2]}
    labels = np.array(classes)[np.arange(count) % len(classes)]
    clips = []
    for label in labels:
        clip = np.tile(rest * rng.uniform(0.9, 1.1, (15, 1)), (40, 1, 1))
        swing = np.sin(np.linspace(0, rng.uniform(5, 8), 40) + rng.uniform(0, 6))
        clip[:, moved[label]] += 0.2 * (1 + swing)[:, None, None] * np.array([0.2, 1, 1])
        clips.append((clip + noise * rng.normal(size=clip.shape))[None])
    return Poses(clips, COMMON, labels=labels)


@pytest.fixture
def encoder() -> Encoder:
    return fresh()


@pytest.fixture
def recurrent() -> Encoder:
    sizes = {"backbone": RecurrentConfig(12, 1), "preprocess": PreprocessConfig(frames=16, persons=1)}
    return fresh(modalities=("joint", "motion"), **sizes)


@pytest.fixture(scope="module")
def train() -> Poses:
    return gestures(36, 0)


@pytest.fixture(scope="module")
def test() -> Poses:
    return gestures(24, 1)


# -- few labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.001, 0.03, 0.1, 0.25, 0.5, 1.0])
def test_a_subset_has_its_size_and_as_many_of_each_class(share):
    labels = np.array(["a", "b", "c", "d"])[np.arange(203) % 4]
    chosen = subset(labels, share, 0)
    assert len(chosen) == max(round(share * 203), 4)
    assert np.array_equal(chosen, np.unique(chosen))
    counts = [np.sum(labels[chosen] == name) for name in "abcd"]
    assert min(counts) >= 1 and max(counts) - min(counts) <= 1


def test_small_classes_are_in_and_large_ones_make_up_the_rest():
    labels = np.repeat([0, 1, 2], [1, 3, 96])
    assert np.bincount(labels[subset(labels, 0.01, 0)]).tolist() == [1, 1, 1]
    assert np.bincount(labels[subset(labels, 0.2, 0)]).tolist() == [1, 3, 16]


def test_subsets_hang_on_the_seed_and_those_of_a_seed_are_nested():
    labels = np.arange(100) % 5
    assert np.array_equal(subset(labels, 0.2, 3), subset(labels, 0.2, 3))
    assert not np.array_equal(subset(labels, 0.2, 3), subset(labels, 0.2, 4))
    assert set(subset(labels, 0.1, 3)) < set(subset(labels, 0.2, 3))


def test_every_clip_is_as_likely():
    labels = np.repeat([0, 1], [10, 10])
    drawn = np.bincount(np.concatenate([subset(labels, 0.2, seed) for seed in range(2000)]), minlength=20)
    assert np.abs(drawn / 2000 - 0.2).max() < 0.045  # five standard deviations of a share of 0.2


def test_subsets_spread_over_groups():
    labels, groups = np.repeat([0, 1], 40), np.tile(np.repeat(["x", "y", "z", "w"], 10), 2)
    chosen = subset(labels, 0.1, 0, groups)
    assert sorted(zip(labels[chosen].tolist(), groups[chosen].tolist())) == [
        (label, group) for label in (0, 1) for group in "wxyz"
    ]


@pytest.mark.parametrize("share", [0, -0.1, 1.5, 20])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match="at most 1"):
        subset([0, 1], share, 0)


# -- fine-tuning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["encoder", "recurrent"])
def test_it_learns_what_is_there_to_learn_and_leaves_the_encoder_alone(kind, train, test, request):
    encoder = request.getfixturevalue(kind)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    random = torch.get_rng_state()
    model = finetune(encoder, train, QUICK, show_progress=False)
    assert model.accuracy(train) > 0.95 and model.accuracy(test) > 0.9
    assert set(model.predict(test)) == {"left", "right", "bow"}
    assert model.accuracy(test) == np.mean(model.predict(test) == test.labels)

    assert torch.equal(torch.get_rng_state(), random)
    assert encoder.source.name == "untrained" and model.encoder.source.name == "untrained, fine-tuned"
    assert not encoder.training and not model.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    moved = {name for name, value in model.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


def test_shuffled_labels_do_not_generalise(encoder, train, test):
    shuffled = dataclasses.replace(train, labels=np.random.default_rng(0).permutation(train.labels))
    assert finetune(encoder, shuffled, QUICK, show_progress=False).accuracy(test) < 0.67


def test_a_seed_says_everything(encoder, train):
    def weights(seed):
        torch.rand(seed + 1)  # whatever the caller drew before
        model = finetune(encoder, train[:12], FinetuneConfig(epochs=2, seed=seed), show_progress=False)
        return torch.cat([value.flatten().double() for value in model.state_dict().values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_persons_are_distorted_alike_and_absent_ones_stay_absent(encoder):
    torch.manual_seed(0)
    clips = torch.randn(5, 2, 64, 15, 3)
    clips[:, 1] = clips[:, 0]
    clips[3:, 1] = 0
    linear = dataclasses.replace(NOTHING, yaw=30.0, shear=0.2, limbs=0.1)
    distorted = _distorted(clips, encoder, linear)
    torch.testing.assert_close(distorted[:3, 1], distorted[:3, 0])
    assert not torch.allclose(distorted, clips, atol=0.1)
    noisy = _distorted(clips, encoder, AugmentConfig())
    assert (noisy[3:, 1] == 0).all() and (noisy[3:, 0] != 0).any()
    torch.testing.assert_close(_distorted(clips, encoder, NOTHING), clips)


def test_bfloat16_trains_too(encoder, train):
    config = dataclasses.replace(QUICK, precision="bfloat16")
    assert finetune(encoder, train, config, show_progress=False).accuracy(train) > 0.9


def test_what_cannot_be_learnt_from_is_refused(encoder, train, test):
    with pytest.raises(ValueError, match="no labels"):
        finetune(encoder, dataclasses.replace(train, labels=None))
    with pytest.raises(ValueError, match="all of class bow"):
        finetune(encoder, train.select(labels="bow"))
    with pytest.raises(ValueError, match="lower learning rates"):
        finetune(encoder, train, FinetuneConfig(epochs=3, encoder_learning_rate=1e30), show_progress=False)
    with pytest.raises(ValueError, match="epochs and batch"):
        FinetuneConfig(epochs=0)
    model = Classifier(encoder, np.array(["left", "right"]))
    with pytest.raises(ValueError, match="no training clip has the label bow, which 8 test clips have"):
        model.accuracy(test)
    with pytest.raises(ValueError, match="no labels"):
        model.accuracy(dataclasses.replace(test, labels=None))


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_has_every_protocol(train, test):
    encoder = fresh(modalities=("joint", "motion"), training={"data": [{"name": "Walks"}, {"name": "Runs"}]}).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    options = {"shares": (0.1,), "seeds": 2, "config": FinetuneConfig(epochs=2), "show_progress": False}
    table = protocols(encoder, train, test, scratch=True, labelled="Gestures", **options)
    assert encoder.training and all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())

    assert [(row.protocol, row.setting, row.streams, row.share, row.clips, row.seeds) for row in table.rows] == [
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
    assert all((row.sd is None) is (row.seeds == 1) for row in table.rows)
    assert {(row.setting == "from scratch", row.pretraining) for row in table.rows} == {
        (False, "Walks, Runs"),
        (True, "none"),
    }
    assert {row.labelled for row in table.rows} == {"Gestures"}

    # The figures are those of the public functions.
    x, y = encoder.embed(train), encoder.embed(test)
    motion = encoder.embed(train, streams="motion"), encoder.embed(test, streams="motion")
    found = {(row.setting, row.streams): row.accuracy for row in table.rows if row.share == 1.0}
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
    assert whole.sd == pytest.approx(np.std(tuned, ddof=1))

    plain = json.loads(json.dumps(table.to_dict()))
    assert plain["rows"] == [dataclasses.asdict(row) for row in table.rows]
    assert plain["protocol"]["n_classes"] == 3 and plain["protocol"]["finetune"]["epochs"] == 2
    lines = str(table).splitlines()
    assert lines[0] == "untrained on Gestures" and len(lines) == 2 + len(table.rows)
    assert lines[1].index("accuracy") + len("accuracy") == lines[2].index(" %", lines[2].index("36")) + 2
    assert "±" in lines[-1] and "(2 seeds)" in lines[-1] and "±" not in lines[2]
    assert "<pre>" in table._repr_html_()


def test_test_labels_only_count_what_is_right(encoder):
    # With two classes, labels the other way round make every right answer wrong: so nothing was predicted from them.
    both = ("left", "right")
    train, test = gestures(16, 0, both, noise=0.1), gestures(15, 1, both, noise=0.1)
    turned = dataclasses.replace(test, labels=np.where(test.labels == "left", "right", "left"))
    options = {"shares": (0.2,), "seeds": 1, "config": FinetuneConfig(epochs=2), "show_progress": False}
    table, other = (protocols(encoder, train, part, scratch=True, **options) for part in (test, turned))
    assert len(table.rows) == len(other.rows) == 8 + 1 + 3 + 2
    for row, opposite in zip(table.rows, other.rows):
        assert row.accuracy == pytest.approx(1 - opposite.accuracy), row


def test_from_scratch_takes_nothing_of_the_encoder(encoder, train, test):
    ruined = copy.deepcopy(encoder)
    torch.nn.utils.vector_to_parameters(torch.zeros(sum(p.numel() for p in ruined.parameters())), ruined.parameters())
    options = {"which": ["finetune"], "seeds": 1, "scratch": True, "config": dataclasses.replace(QUICK, epochs=5)}
    rows, others = (protocols(one, train, test, show_progress=False, **options).rows for one in (encoder, ruined))
    assert others[0].accuracy < 0.5 < 0.8 < rows[1].accuracy == others[1].accuracy


def test_a_table_of_some_protocols(recurrent, train, test):
    options = {"shares": (0.01,), "seeds": 1, "config": FinetuneConfig(epochs=1), "show_progress": False}
    groups = np.arange(36) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one clip a class is nothing to warn of
        table = protocols(recurrent, train, test, which=["semi"], groups=groups, **options)
    assert [(row.protocol, row.setting, row.sd) for row in table.rows] == [
        ("semi", "linear probe", None),
        ("semi", "fine-tuned", None),
    ]
    assert table.rows[0].pretraining == "none" and "36 training and 24 test clips" in table.rows[0].labelled
    assert (
        protocols(fresh(training={"data": "what I had"}), train, test, which=["knn"]).rows[0].pretraining
        == "what I had"
    )


def test_protocols_refuse_what_they_cannot_judge(encoder, train, test):
    with pytest.raises(ValueError, match="no protocol is called 'lineal'; there are knn, linear, semi, finetune"):
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
    with pytest.raises(ValueError, match="share=5"):
        protocols(encoder, train, test, which=["semi"], shares=(5,))
