"""The training package: losses against loops in float64, banks, views, and a run that stops and resumes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from skelrep import embed, load_pretrained
from skelrep.convolution import ConvolutionConfig
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.poses import Poses
from skelrep.recurrent import RecurrentConfig
from skelrep.skeletons import SKELETONS
from skelrep.train.__main__ import main
from skelrep.train.augment import AugmentConfig, augment, mirror
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method, MethodConfig
from skelrep.train.loop import pretrain
from skelrep.train.losses import info_nce, mutual_distillation
from skelrep.train.memory import Memory
from skelrep.train.recipes import RECIPES, Recipe
from skelrep.train.whiten import whiten

COMMON = SKELETONS["common-15"]


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


@pytest.mark.parametrize("with_ignore", [False, True])
def test_info_nce_is_the_formula(with_ignore):
    query, key, bank = unit(2, 5, 8), unit(2, 5, 8, seed=1), unit(2, 33, 8, seed=2)
    ignore = torch.zeros(5, 33, dtype=torch.bool)
    if with_ignore:
        ignore[2, [0, 7]] = True
    expected = torch.zeros(2, dtype=torch.float64)
    for s in range(2):
        for b in range(5):
            positive = (query[s, b] @ key[s, b] / 0.07).exp()
            others = sum((query[s, b] @ bank[s, k] / 0.07).exp() for k in range(33) if not ignore[b, k])
            expected[s] -= (positive / (positive + others)).log() / 5
    got = info_nce(query.float(), key.float(), bank.float(), 0.07, ignore if with_ignore else None)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("neighbours", [10, 33, 100])
@pytest.mark.parametrize("with_ignore", [False, True])
def test_mutual_distillation_is_the_formula(neighbours, with_ignore):
    query, key, bank = unit(3, 4, 8), unit(3, 4, 8, seed=1), unit(3, 33, 8, seed=2)
    ignore = torch.zeros(4, 33, dtype=torch.bool)
    if with_ignore:
        ignore[1, [3, 4, 5]] = True
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for a in range(3):
        for b in range(3):
            for i in range(4):
                allowed = torch.nonzero(~ignore[i])[:, 0] if with_ignore else torch.arange(33)
                similarity = bank[a, allowed] @ key[a, i]
                chosen = allowed[similarity.topk(min(neighbours, len(allowed))).indices]
                p = (bank[a, chosen] @ key[a, i] / 0.05).softmax(0)
                q = (bank[b, chosen] @ query[b, i] / 0.1).softmax(0)
                expected[a, b] += (p * (p / q).log()).sum() / 4 if a != b else 0
    got = mutual_distillation(
        query.float(),
        key.float(),
        bank.float(),
        neighbours=neighbours,
        teacher_temperature=0.05,
        student_temperature=0.1,
        ignore=ignore if with_ignore else None,
    )
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_formulas(monkeypatch):
    # The losses compute in float32; for gradcheck that cast is made a cast to float64.
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor.double())
    key, bank = unit(2, 3, 4, seed=1), unit(2, 9, 4, seed=2)
    query = unit(2, 3, 4).requires_grad_()
    ignore = torch.zeros(3, 9, dtype=torch.bool)
    ignore[0, 1] = True
    assert torch.autograd.gradcheck(lambda q: info_nce(q, key, bank, 0.07, ignore), (query,))
    assert torch.autograd.gradcheck(
        lambda q: mutual_distillation(
            q, key, bank, neighbours=5, teacher_temperature=0.05, student_temperature=0.1, ignore=ignore
        ),
        (query,),
    )


def test_losses_stay_float32_under_autocast():
    query, key, bank = (unit(2, 4, 8, seed=s, dtype=torch.float32) for s in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        low = info_nce(query, key, bank, 0.07)
    torch.testing.assert_close(low, info_nce(query, key, bank, 0.07), rtol=0, atol=0)


def test_memory_wraps_and_knows_whose_slots_are_whose():
    memory = Memory(2, 10, 4)
    expected, clips = memory.bank.clone(), [-1] * 10
    cursor = 0
    for step in range(7):  # batches of 4 do not divide 10 slots
        keys, clip = unit(2, 4, 4, seed=step, dtype=torch.float32), torch.arange(4) + 4 * step
        memory.write(keys, clip)
        for j in range(4):
            expected[:, cursor], clips[cursor] = keys[:, j], 4 * step + j
            cursor = (cursor + 1) % 10
    assert torch.equal(memory.bank, expected)
    assert memory.clip.tolist() == clips
    assert memory.cursor.item() == cursor
    assert memory.own(torch.tensor([clips[3], 999])).nonzero().tolist() == [[0, 3]]


def recordings(count=6, frames=90, seed=0):
    rng = np.random.default_rng(seed)
    rest = rng.normal(size=(15, 3)) * 0.1
    rest[0], rest[1] = [0, 0, 0], [0, 0.5, 0]
    rest[[3, 6]] = [[0.2, 0.5, 0], [-0.2, 0.5, 0]]
    rest[[9, 10, 11, 12, 13, 14]] = [
        [0.1, 0, 0],
        [0.1, -0.4, 0],
        [0.1, -0.8, 0],
        [-0.1, 0, 0],
        [-0.1, -0.4, 0],
        [-0.1, -0.8, 0],
    ]
    clips = [
        (rest + 0.1 * np.sin(np.linspace(0, 9, frames)[:, None, None] * rng.uniform(0.5, 2, (15, 3))))[None]
        for _ in range(count)
    ]
    return Poses(clips, COMMON, fps=30.0)


def tiny_recipe(**changes) -> Recipe:
    config = EncoderConfig(backbone=ConvolutionConfig(width=8, blocks=1, kernel=3, spans=2))
    method = MethodConfig(projection=8, slots=24, neighbours=12, momentum=0.9)
    return dataclasses.replace(Recipe(encoder=config, method=method, batch=5, steps=8, warmup=2), **changes)


def test_views_are_cuts_of_their_recording_normalised():
    torch.manual_seed(0)
    config = EncoderConfig()
    corpus = Corpus.of([recordings()], config)
    first, second, recording = corpus.views(32, (1.0, 2.0), (0.3, 1.0), config)
    assert first.shape == second.shape == (32, 64, 15, 3)
    assert recording.min() >= 0 and recording.max() < 6
    for view in (first, second):
        middle = view[:, :, [0, 1]].mean(dim=2)
        trunk = torch.linalg.vector_norm(view[:, :, 1] - view[:, :, 0], dim=-1)
        assert middle.abs().max() < 1e-5  # centred in every frame
        torch.testing.assert_close(trunk.mean(dim=1), torch.ones(32), rtol=0, atol=1e-4)  # scaled
    assert not torch.allclose(first, second)


def test_corpus_needs_fps_and_depth():
    with pytest.raises(ValueError, match="fps"):
        Corpus.of([dataclasses.replace(recordings(), fps=None)], EncoderConfig())


def test_augmentation_of_nothing_is_nothing_and_mirroring_twice_too():
    torch.manual_seed(0)
    poses = torch.randn(4, 64, 15, 3)
    nothing = AugmentConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentConfig)})
    torch.testing.assert_close(augment(poses, COMMON, nothing), poses, rtol=1e-5, atol=1e-5)
    once, _, chosen = mirror(poses, poses, COMMON, 1.0)
    twice, _, _ = mirror(once, once, COMMON, 1.0)
    assert chosen.all() and torch.equal(twice, poses) and not torch.equal(once, poses)


def test_limbs_change_lengths_and_rotations_do_not():
    torch.manual_seed(0)
    poses = torch.randn(8, 64, 15, 3)
    nothing = {field.name: 0.0 for field in dataclasses.fields(AugmentConfig)}

    def bones(x):
        return torch.linalg.vector_norm(x - x[:, :, list(COMMON.parents)], dim=-1)

    turned = augment(poses, COMMON, AugmentConfig(**nothing | {"yaw": 60.0, "tilt": 20.0}))
    torch.testing.assert_close(bones(turned), bones(poses), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(turned, poses)
    stretched = augment(poses, COMMON, AugmentConfig(**nothing | {"limbs": 0.1}))
    ratio = bones(stretched)[..., 1:] / bones(poses)[..., 1:]
    assert 0.9 - 1e-3 < ratio.min() < 0.95 and 1.05 < ratio.max() < 1.1 + 1e-3
    torch.testing.assert_close(ratio.std(dim=1), torch.zeros(8, 14), atol=2e-3, rtol=0)  # the same in every frame
    dropped = augment(poses, COMMON, AugmentConfig(**nothing | {"dropped_views": 1.0, "dropped_joints": 0.5}))
    gone = (dropped == 0).all(dim=3).all(dim=1)
    assert 0.3 < gone.float().mean() < 0.7
    flat = augment(poses, COMMON, AugmentConfig(**nothing | {"flat_views": 1.0}))
    assert (flat[..., 1] == 0).all() and torch.allclose(flat[..., [0, 2]], poses[..., [0, 2]], atol=1e-5)


@pytest.mark.parametrize("backbone", [ConvolutionConfig(8, 1, 3, 2, 2), RecurrentConfig(8, 1)], ids=["conv", "gru"])
def test_a_step_moves_the_encoder_the_keys_and_the_banks(backbone):
    torch.manual_seed(0)
    recipe = tiny_recipe()
    config = dataclasses.replace(
        recipe.encoder, backbone=backbone, preprocess=dataclasses.replace(recipe.encoder.preprocess, persons=1)
    )
    method = Method(Encoder(config), recipe.method).train()
    corpus = Corpus.of([recordings()], config)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    first, second, clip = corpus.views(5, (1.0, 2.0), (0.3, 1.0), config)
    losses = method(first, second, clip)
    assert losses["instance"].shape == (3,) and losses["cross_modal"].shape == (3, 3)
    torch.testing.assert_close(losses["total"], losses["instance"].sum() + losses["cross_modal"].sum())
    losses["total"].backward()
    assert all(p.grad is None for p in method.key.parameters())
    torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1).step()
    method.after_step()
    assert method.memory.cursor.item() == 5 and method.memory.clip[:5].tolist() == clip.tolist()
    for name, lead in method.encoder.streams.named_parameters():
        old = before[f"key.streams.{name}"]
        torch.testing.assert_close(method.key["streams"].get_parameter(name), old + 0.1 * (lead - old))  # type: ignore[union-attr]
    assert not torch.equal(before["heads.joint.0.weight"], method.heads["joint"][0].weight)  # type: ignore[index]


class Interrupted(Exception):
    pass


def test_a_stopped_run_resumes_bit_exactly(tmp_path):
    recipe = tiny_recipe()
    corpus = Corpus.of([recordings()], recipe.encoder)
    whole = pretrain(recipe, corpus, tmp_path / "whole", save_every=3)

    def stop(encoder):
        raise Interrupted

    with pytest.raises(Interrupted):  # dies after the checkpoint of step 3, before its log line
        pretrain(recipe, corpus, tmp_path / "parts", save_every=3, monitor=stop)
    resumed = pretrain(recipe, corpus, tmp_path / "parts", save_every=3)
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items()):
        assert torch.equal(a, b), name
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 8]
    assert all(np.isfinite(line["total"]) for line in lines)


def test_a_folder_belongs_to_one_recipe(tmp_path):
    recipe = tiny_recipe(steps=1)
    corpus = Corpus.of([recordings()], recipe.encoder)
    pretrain(recipe, corpus, tmp_path)
    with pytest.raises(ValueError, match="another recipe"):
        pretrain(tiny_recipe(steps=2), corpus, tmp_path)


@pytest.mark.parametrize(("name", "weights"), [("instance", (1.0, 0.0)), ("cross_modal", (0.0, 1.0))])
def test_steps_on_one_batch_lower_its_loss(name, weights):
    torch.manual_seed(0)
    recipe = tiny_recipe()
    method = dataclasses.replace(recipe.method, instance=weights[0], cross_modal=weights[1])
    method = Method(Encoder(recipe.encoder), method).train()
    views = Corpus.of([recordings(count=12)], recipe.encoder).views(16, (1.0, 2.0), (0.3, 1.0), recipe.encoder)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=5e-3)
    history = []
    for _ in range(60):
        losses = method(*views)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        history.append(losses[name].sum().item())
    # Keys and banks stand still, so the queries can come as near to their goals as they like.
    assert history[-1] < 0.5 * history[0]


def test_whitening_takes_half_of_the_spread_away():
    torch.manual_seed(0)
    encoder = Encoder(tiny_recipe().encoder)
    corpus = Corpus.of([recordings(count=12)], encoder.config)
    torch.manual_seed(1)
    views = torch.cat([corpus.views(256, (1.0, 2.0), (0.3, 1.0), encoder.config)[0][:, None] for _ in range(2)])
    with torch.inference_mode():
        before = encoder(views)
    torch.manual_seed(1)  # the same views again
    whiten(encoder, corpus, (1.0, 2.0), (0.3, 1.0), 512)
    with torch.inference_mode():
        after = encoder(views)
    for name in encoder.config.modalities:
        assert after[name].mean(dim=0).abs().max() < 1e-3 * after[name].std()
        old, new = (torch.linalg.eigvalsh(torch.cov(features[name].double().T)) for features in (before, after))
        large = old > 1e-3 * old.max()  # smaller ones are left alone
        # Variances are now the square roots of what they were, but for one common factor.
        factor = (new[large] / old[large].sqrt()).log()
        assert factor.max() - factor.min() < 1e-2
    with pytest.raises(ValueError, match="whitened already"):
        whiten(encoder, corpus, (1.0, 2.0), (0.3, 1.0), 512)


def test_the_command_writes_an_encoder_that_loads(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "i2md_small", lambda: tiny_recipe(whiten=256))
    recordings().save(tmp_path / "moves.npz")
    arguments = ["i2md_small", "--data", str(tmp_path / "moves.npz"), "-o", str(tmp_path / "run"), "--steps", "3"]
    assert main(arguments) == 0
    encoder = load_pretrained(tmp_path / "run" / "encoder")
    assert encoder.config.training["data"] == [{"name": "moves"}]
    assert encoder.config.training["hyper_parameters"]["steps"] == 3
    assert embed(recordings(), encoder).shape == (6, encoder.dim)
    assert main([*arguments[:2], str(tmp_path / "nowhere.npz"), *arguments[3:]]) == 1


def test_every_recipe_builds():
    for recipe in RECIPES.values():
        assert isinstance(recipe(), Recipe)
