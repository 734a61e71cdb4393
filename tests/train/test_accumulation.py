"""Gradient accumulation: a step in parts equals the step on the whole batch, or that of its parts."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch

from skelrep.cli import main
from skelrep.encoder import Encoder
from skelrep.encoder.backbone import NormalisedInput
from skelrep.train import loop
from skelrep.train.accumulation import losses_with_gradients
from skelrep.train.data import Corpus
from skelrep.train.i2md import Batch, Method
from skelrep.train.loop import Stopped, pretrain
from skelrep.train.recipes import Recipe
from tests.corpus_data import METHOD, corpus_of, pairs, recordings, small, small_paper

BATCH = 12
AGGREGATING = dataclasses.replace(METHOD, start=0.0)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpora")
    return {"one": corpus_of(recordings(), folder / "one"), "two": corpus_of(pairs(), folder / "two")}


def method_of(recipe: Recipe, **options) -> Method:
    torch.manual_seed(0)
    method = Method(Encoder(recipe.in_training), recipe.method, **options).train()
    method.memory.clip.copy_(torch.arange(len(method.memory.clip)))  # some slots hold the clips themselves
    return method


def views_of(recipe: Recipe, persons: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Views whose mean and scale differ from clip to clip, so that the statistics of parts differ."""
    torch.manual_seed(1)
    shape = (2, BATCH, persons, recipe.encoder.preprocess.frames, len(recipe.encoder.skeleton), 3)
    place, size = torch.arange(BATCH).view(BATCH, 1, 1, 1, 1) / 4, 1 + torch.arange(BATCH).view(BATCH, 1, 1, 1, 1) / 8
    first, second = torch.randn(shape) * size + place
    return first, second, torch.arange(BATCH) % 7


def stepped(recipe: Recipe, parts: int, steps: int = 3) -> tuple[dict[str, torch.Tensor], Method]:
    """Losses of the last step, and the method after some steps."""
    method, views = method_of(recipe), views_of(recipe, 2)
    optimizer = torch.optim.SGD(loop._trained(method), lr=0.1, momentum=0.9)
    losses: dict[str, torch.Tensor] = {}
    for _ in range(steps):
        optimizer.zero_grad()
        losses = losses_with_gradients(method, method, method, views, parts)
        optimizer.step()
        method.after_step()
    return losses, method


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_recurrent_steps_in_parts_are_the_steps_on_the_whole_batch(parts):
    recipe = small_paper(method=AGGREGATING)
    (whole, one), (losses, other) = stepped(recipe, 1), stepped(recipe, parts)
    assert losses.keys() == whole.keys()
    for name, loss in whole.items():
        torch.testing.assert_close(losses[name], loss.detach(), rtol=1e-4, atol=1e-6, msg=name)
    before = method_of(recipe).state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)
        if name.endswith(("running_mean", "running_var", "bank", "clip", "weight_hh_l0")):
            assert not torch.equal(before[name], value), name  # the steps change it
    assert all(module.training for module in other.modules())


def test_parts_normalised_by_themselves_would_differ(monkeypatch):
    """The statistics of the whole batch are what makes the steps equal."""
    recipe = small_paper(method=AGGREGATING)
    _, one = stepped(recipe, 1)
    monkeypatch.setattr(Method, "normalised_inputs", lambda *_: iter(()))
    _, other = stepped(recipe, 3)
    difference = one.state_dict()["memory.bank"] - other.state_dict()["memory.bank"]
    assert difference.abs().max() > 1e-2


def test_a_convolutional_step_is_the_mean_of_the_steps_of_its_parts():
    recipe = small(method=AGGREGATING)
    assert not isinstance(Encoder(recipe.encoder).network("joint"), NormalisedInput)
    views, method = views_of(recipe, 1), method_of(recipe)
    by_hand = copy.deepcopy(method)
    losses = losses_with_gradients(method, method, method, views, 3)
    method.after_step()
    totals, keys = [], []
    for part in zip(*(view.split(BATCH // 3) for view in views)):
        total = by_hand(*part)["total"]
        (total / 3).backward()
        totals.append(total.detach())
        keys.append(by_hand._waiting[0])
    torch.testing.assert_close(losses["total"], torch.stack(totals).mean())
    for one, other in zip(loop._trained(method), loop._trained(by_hand)):
        assert one.grad is not None and torch.equal(one.grad, other.grad)  # type: ignore[arg-type]
    assert torch.equal(method.memory.bank[:, :, :BATCH], torch.cat(keys, dim=2))
    assert torch.equal(method.memory.clip[:BATCH], views[2])
    assert method.memory.cursor == BATCH


def test_additional_losses_are_means_over_the_parts():
    def steadiness(batch: Batch) -> torch.Tensor:
        return 1 - (batch.query * batch.key).sum(dim=-1).mean()

    recipe = small_paper()
    found = []
    for parts in (1, 4):
        method = method_of(recipe, losses={"steadiness": (steadiness, 0.5)})
        found.append(losses_with_gradients(method, method, method, views_of(recipe, 2), parts))
    assert "steadiness" in found[0]
    torch.testing.assert_close(found[0]["steadiness"], found[1]["steadiness"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found[0]["total"].detach(), found[1]["total"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [small, small_paper])
def test_a_run_in_parts_resumes_bit_exactly(make, corpora, tmp_path):
    recipe = make(accumulate=3)
    corpus = Corpus.load(corpora["two" if make is small_paper else "one"], recipe.encoder)
    whole = pretrain(recipe, corpus, tmp_path / "whole", save_every=2)
    with pytest.raises(Stopped):
        pretrain(recipe, corpus, tmp_path / "parts", save_every=2, until=0.0)
    again = pretrain(recipe, corpus, tmp_path / "parts", save_every=2)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    plain = pretrain(make(), corpus, tmp_path / "plain")
    weights = [encoder.state_dict() for encoder in (whole, plain)]
    same = all(torch.allclose(weights[0][name], weights[1][name], rtol=1e-3, atol=1e-4) for name in weights[0])
    assert same == (make is small_paper)


def test_invalid_numbers_of_parts_are_refused(corpora, tmp_path):
    for wrong in (0, 4, 6):  # of a batch of 6: parts of no whole number of clips, and of one clip
        with pytest.raises(ValueError, match=f"accumulate must divide the batch of 6 .* got {wrong}"):
            small(accumulate=wrong).check()
    small(accumulate=3).check()


def test_the_option_is_a_field_of_the_recipe(corpora, tmp_path, capsys):
    arguments = ["pretrain", "i2md_small", "--data", str(corpora["one"]), "-o", str(tmp_path), "--device", "cpu", "-q"]
    changes = ["encoder.backbone.width=8", "method.slots=32", "method.neighbours=16", "batch=8", "steps=1"]
    assert main([*arguments, "--accumulate", "2", "--set", *changes]) == 0
    assert json.loads((tmp_path / "recipe.json").read_text())["accumulate"] == 2
    assert main([*arguments, "--accumulate", "3", "--set", *changes]) == 1
    assert "accumulate must divide the batch of 8" in capsys.readouterr().err


def test_too_little_memory_is_said_with_what_to_do(corpora, tmp_path, monkeypatch):
    recipe = small(accumulate=2, batch=8)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB")

    corpus = Corpus.load(corpora["one"], recipe.encoder)
    with monkeypatch.context() as patch:
        patch.setattr(Method, "forward", full)
        with pytest.raises(ValueError, match="too little memory for 4 clips at a time; .* such as accumulate=4"):
            pretrain(recipe, corpus, tmp_path)
    # Nothing has been trained, so the folder takes the recipe that fits.
    pretrain(dataclasses.replace(recipe, accumulate=4), corpus, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell the memory of a process")
def test_parts_take_less_memory():
    from tests.benchmarks.measuring import extra_megabytes

    whole, parts = (extra_megabytes(one_step, number) for number in (1, 8))
    assert whole is not None and parts is not None and parts < 0.5 * whole


def one_step(parts: int):
    torch.set_num_threads(1)
    recipe = small_paper(method=dataclasses.replace(METHOD, slots=256))
    backbone = dataclasses.replace(recipe.encoder.backbone, hidden=64)
    preprocess = dataclasses.replace(recipe.encoder.preprocess, frames=64)
    recipe = dataclasses.replace(
        recipe, encoder=dataclasses.replace(recipe.encoder, backbone=backbone, preprocess=preprocess)
    )
    method = method_of(recipe)
    first, second = torch.randn(2, 64, 2, 64, 25, 3)
    return lambda: losses_with_gradients(method, method, method, (first, second, torch.arange(64)), parts)


def test_a_recipe_of_an_older_version_is_resumed(corpora, tmp_path):
    corpus = Corpus.load(corpora["one"], small().encoder)
    with pytest.raises(Stopped):
        pretrain(small(), corpus, tmp_path, until=0.0)
    stored = json.loads((tmp_path / "recipe.json").read_text())
    del stored["accumulate"]
    text = json.dumps(stored, indent=2)
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match="another recipe"):
        pretrain(small(accumulate=2), corpus, tmp_path)
    pretrain(small(), corpus, tmp_path)
    assert (tmp_path / "recipe.json").read_text() == text
