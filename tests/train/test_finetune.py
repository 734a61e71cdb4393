"""Fine-tuning learns, is repeatable, and leaves the encoder unchanged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from skelrep.train.augment import AugmentConfig
from skelrep.train.finetune import Classifier, FinetuneConfig, _distorted, finetune
from tests.train.gestures import QUICK, fresh, recurrent

NOTHING = AugmentConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentConfig)})


@pytest.mark.parametrize("make", [fresh, recurrent])
def test_finetuning_learns_and_does_not_change_the_encoder(make, train, test):
    encoder = make()
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


def test_equal_seeds_give_equal_weights(encoder, train):
    def weights(seed):
        torch.rand(seed + 1)  # independent of random numbers drawn before
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


def test_bfloat16_training_learns(encoder, train):
    config = dataclasses.replace(QUICK, precision="bfloat16")
    assert finetune(encoder, train, config, show_progress=False).accuracy(train) > 0.9


def test_unusable_labels_and_settings_are_refused(encoder, train, test):
    with pytest.raises(ValueError, match="no labels"):
        finetune(encoder, dataclasses.replace(train, labels=None))
    with pytest.raises(ValueError, match="all of class bow"):
        finetune(encoder, train.select(labels="bow"))
    with pytest.raises(ValueError, match="loss is (nan|inf) after 3 epochs"):
        finetune(encoder, train, FinetuneConfig(epochs=3, encoder_learning_rate=1e30), show_progress=False)
    with pytest.raises(ValueError, match="epochs and batch"):
        FinetuneConfig(epochs=0)
    model = Classifier(encoder, np.array(["left", "right"]))
    with pytest.raises(ValueError, match="no training clip has the label bow, which 8 test clips have"):
        model.accuracy(test)
    with pytest.raises(ValueError, match="no labels"):
        model.accuracy(dataclasses.replace(test, labels=None))
