"""The method: what a step changes, losses against naive implementations, and no synchronisation with the host."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.train import i2md
from skelrep.train.augment import AugmentConfig, CMDAugmentConfig
from skelrep.train.data import Corpus
from skelrep.train.i2md import Batch, Method, MethodConfig, fused
from skelrep.train.loop import _optimizer, _trained, _views
from skelrep.train.losses import EXCLUDED
from skelrep.train.memory import Memory
from skelrep.train.recipes import LOSSES, Recipe
from tests.corpus_data import METHOD, corpus_of, pairs, recordings, small, small_paper
from tests.naive_losses import naive_distillation, naive_info_nce, unit

NAMES = ["instance", "cross_modal", "cluster", "intra_modal"]
BACKBONES = pytest.mark.parametrize("make", [small, small_paper], ids=["convolution", "recurrent"])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[Any, Corpus]:
    """By the function that makes the recipe."""
    folder = tmp_path_factory.mktemp("corpora")
    return {
        small: Corpus.load(corpus_of(recordings(12), folder / "one"), small().encoder),
        small_paper: Corpus.load(corpus_of(pairs(), folder / "two"), small_paper().encoder),
    }


def method_of(recipe: Recipe, **changes) -> Method:
    """A method in training, always the same; of every clip, and of its mirror image, a slot holds an older view."""
    torch.manual_seed(0)
    method = Method(Encoder(recipe.encoder), dataclasses.replace(recipe.method, **changes)).train()
    method.memory.clip.copy_(torch.arange(len(method.memory.clip)))
    return method


def batch_of(recipe: Recipe, corpora) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return _views(recipe, corpora[small_paper if recipe.window is None else small], 0)


def projections(method: Method, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys, (H, S, B, P), in float64; in training BatchNorm's output does not depend on what it keeps."""
    with torch.no_grad():
        query = method._project(method.encoder.streams, method.heads, first)
        key = method._project(method.key["streams"], method.key["heads"], second)  # type: ignore[arg-type]
    return query.double(), key.double()


def test_memory_wraps_and_stores_the_clip_of_each_slot():
    memory = Memory(2, 3, 10, 4)
    torch.testing.assert_close(memory.bank.norm(dim=-1), torch.ones(2, 3, 10))
    assert memory.own(torch.tensor([0, 1])).abs().max() == 0  # not written yet
    expected, clips = memory.bank.clone(), [-1] * 10
    cursor = 0
    for step in range(7):  # batches of 4 do not divide 10 slots
        keys, clip = unit(2, 3, 4, 4, seed=step, dtype=torch.float32), torch.arange(4) + 4 * step
        memory.write(keys, clip)
        for j in range(4):
            expected[:, :, cursor], clips[cursor] = keys[:, :, j], 4 * step + j
            cursor = (cursor + 1) % 10
    assert torch.equal(memory.bank, expected)
    assert memory.clip.tolist() == clips
    assert memory.cursor.item() == cursor
    own = memory.own(torch.tensor([clips[3], 999]))
    assert own.nonzero().tolist() == [[0, 3]]
    assert own.min() == EXCLUDED


@BACKBONES
def test_a_step_moves_the_encoder_the_keys_and_the_banks(make, corpora):
    recipe = make()
    method, (first, second, clip) = method_of(recipe), batch_of(recipe, corpora)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    _, key = projections(method, first, second)
    method = method_of(recipe)  # looking has moved BatchNorm's statistics
    losses = method(first, second, clip)
    losses["total"].backward()
    optimizer = torch.optim.SGD(_trained(method), lr=0.1)
    optimizer.step()
    after_forward = {name: value.clone() for name, value in method.state_dict().items()}
    method.after_step()

    after = dict(method.named_parameters())
    for name, follow in method.key.named_parameters():
        lead_name = f"encoder.{name}" if name.startswith("streams") else name
        lead, old = after[lead_name], before[f"key.{name}"]
        assert torch.equal(before[lead_name], old)  # keys start as copies
        torch.testing.assert_close(follow, 0.9 * old + 0.1 * lead, rtol=0, atol=1e-6)
        if lead.grad is not None and lead.grad.abs().max() > 1e-6:
            assert not torch.equal(lead, before[lead_name])
    assert method.memory.cursor.item() == 6
    torch.testing.assert_close(method.memory.bank[:, :, :6].double(), key, rtol=0, atol=1e-6)
    assert torch.equal(method.memory.bank[:, :, 6:], before["memory.bank"][:, :, 6:])
    assert method.memory.clip[:6].tolist() == clip.tolist()
    for name, value in after_forward.items():  # the average moves weights, not statistics
        if "running" in name or "batches" in name:
            assert torch.equal(method.state_dict()[name], value), name


@BACKBONES
def test_keys_have_separate_statistics_and_no_gradient(make, corpora):
    recipe = make()
    method, (first, second, clip) = method_of(recipe), batch_of(recipe, corpora)
    method(first, second, clip)["total"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.key.parameters())
    assert all(p.grad is not None for p in _trained(method))
    assert not {id(p) for p in method.key.parameters()} & {id(p) for p in _trained(method)}
    for streams, view in ((method.encoder.streams, first), (method.key["streams"], second)):
        for name, stream in streams.items():  # type: ignore[operator]
            poses = modality(name, view, recipe.encoder.skeleton.parents)
            # Both flatten a pose to what their entry normalises, the recurrent one with the person fastest.
            mean = poses.permute(0, 2, 3, 4, 1).flatten(2).mean(dim=(0, 1))
            torch.testing.assert_close(stream.norm.running_mean, 0.1 * mean, rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("losses", LOSSES)
def test_losses_of_each_method_and_their_weighted_sum(losses, corpora):
    recipe = small()
    weights = dict.fromkeys(NAMES, 1.0) | LOSSES[losses]
    weights = {name: weight * factor for (name, weight), factor in zip(weights.items(), (1, 2, 3, 5))}
    method, views = method_of(recipe, **weights), batch_of(recipe, corpora)
    got = method(*views)
    present = [name for name, weight in weights.items() if weight]
    assert present == {"moco": ["instance"], "cmd": ["instance", "cross_modal"],
                       "dna": ["instance", "cross_modal", "cluster"],
                       "i2md": ["instance", "cross_modal", "cluster", "intra_modal"]}[losses]  # fmt: skip
    assert set(got) == {*present, "total"}
    shapes = {"instance": (3,), "cross_modal": (3, 3), "cluster": (3,), "intra_modal": (2, 3)}
    assert all(got[name].shape == shapes[name] for name in present)
    torch.testing.assert_close(got["total"], sum(weights[name] * got[name].sum() for name in present))
    assert method.memory.bank.shape[0] == (2 if weights["cluster"] or weights["intra_modal"] else 1)


def test_instance_contrast_and_both_distillations_are_the_formulas(corpora):
    recipe = small()
    method, (first, second, clip) = method_of(recipe), batch_of(recipe, corpora)
    (q, u), (k, v) = projections(method, first, second)
    instance, cluster = method.memory.bank.double()
    out = clip[:, None] == method.memory.clip
    assert (out.sum(dim=1) == 1).all()
    got = method(first, second, clip)
    count = recipe.method.neighbours
    for a in range(3):
        assert got["instance"][a].item() == pytest.approx(naive_info_nce(q[a], k[a], instance[a], out), rel=1e-4)
        for b in range(3):
            expected = 0.0 if a == b else naive_distillation(k[a], instance[a], q[b], instance[b], count, out)
            assert got["cross_modal"][a, b].item() == pytest.approx(expected, rel=1e-3)
        taught = naive_distillation(k[a], instance[a], u[a], cluster[a], count, out)
        teaching = naive_distillation(v[a], cluster[a], q[a], instance[a], count, out)
        assert got["intra_modal"][:, a].tolist() == pytest.approx([taught, teaching], rel=1e-3)


@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("losses", LOSSES)
def test_the_fused_losses_are_the_functions(losses, negatives, corpora):
    recipe = small()
    weights = dict.fromkeys(NAMES, 1.0) | LOSSES[losses]
    weights = {name: weight * factor for (name, weight), factor in zip(weights.items(), (1, 2, 3, 5))}
    method = method_of(recipe, neighbours_are_negatives=negatives, **weights)
    batch, _ = method.batch(*batch_of(recipe, corpora))
    total, parts = fused(batch)
    functions = {name: i2md.LOSSES[name](batch) for name, weight in weights.items() if weight}
    expected = sum(weights[name] * parts.sum() for name, parts in functions.items())
    assert set(parts) == set(functions)
    for name, loss in functions.items():
        torch.testing.assert_close(parts[name], loss.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(loss, batch.query, retain_graph=True)[0] for loss in (total, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def uniformity(batch: Batch) -> Tensor:
    """How evenly queries spread over the sphere (Wang and Isola, ICML 2020, arXiv 2005.10242): a loss from outside."""
    squared = 2 - 2 * batch.query @ batch.query.mT
    return squared.mul(-2).exp().mean(dim=(-2, -1)).log()


def test_a_further_loss_is_a_function_and_a_weight(corpora):
    recipe, views = small(), batch_of(small(), corpora)
    plain = method_of(recipe)
    torch.manual_seed(0)
    method = Method(Encoder(recipe.encoder), recipe.method, losses={"uniformity": (uniformity, 0.5)}).train()
    method.load_state_dict(plain.state_dict())
    before, got = plain(*views), method(*views)
    assert set(got) == {*before, "uniformity"} and got["uniformity"].shape == (2, 3)
    torch.testing.assert_close(got["total"], before["total"] + 0.5 * got["uniformity"].sum())
    losses = (before["total"], got["total"])
    entry, other = (
        torch.autograd.grad(loss, [of.encoder.streams["joint"].entry.weight])[0]  # type: ignore[union-attr]
        for loss, of in zip(losses, (plain, method))
    )
    assert not torch.allclose(entry, other)
    for name in ("instance", "total"):
        with pytest.raises(ValueError, match=name):
            Method(Encoder(recipe.encoder), recipe.method, losses={name: (uniformity, 1.0)})


@pytest.mark.parametrize("enqueue", ["key", "centre"])
@pytest.mark.parametrize("negatives", [False, True])
@pytest.mark.parametrize("progress", [0.0, 0.49, 0.5, 1.0])
def test_clusters_include_neighbours_only_after_start(enqueue, negatives, progress, corpora):
    recipe = small()
    method = method_of(recipe, enqueue=enqueue, neighbours_are_negatives=negatives)
    first, second, clip = batch_of(recipe, corpora)
    (_, u), (k, v) = projections(method, first, second)
    bank, out = method.memory.bank[1].double(), clip[:, None] == method.memory.clip
    got = method(first, second, clip, progress)
    method.after_step()
    centres = v.clone()
    for s in range(3):
        negative = out.clone()
        if progress >= 0.5:
            for b in range(6):
                allowed = [j for j in range(24) if not out[b, j]]
                near = sorted(allowed, key=lambda j: -(v[s, b] @ bank[s, j]).item())[:4]
                a = torch.tensor([1.0, *(v[s, b] @ bank[s, j] for j in near)]).double().div(0.1).softmax(dim=0)
                mixed = a[0] * v[s, b] + sum(weight * bank[s, j] for weight, j in zip(a[1:], near))
                centres[s, b] = mixed / mixed.norm()
                negative[b, near] = not negatives
        expected = naive_info_nce(u[s], centres[s], bank[s], negative)
        assert got["cluster"][s].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    kept = torch.stack([k, centres if enqueue == "centre" else v])
    torch.testing.assert_close(method.memory.bank[:, :, :6].double(), kept, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "names"),
    [*((small, [name]) for name in NAMES), (small_paper, NAMES)],
    ids=[*(f"convolution-{name}" for name in NAMES), "recurrent-all"],
)
def test_steps_on_one_batch_lower_its_losses(make, names, corpora):
    recipe = make(augment=AugmentConfig(mirror=0))
    method = method_of(recipe, **{name: float(name in names) for name in NAMES})
    views = batch_of(recipe, corpora)
    optimizer = torch.optim.AdamW(_trained(method), lr=1e-2)
    history = []
    for _ in range(40):
        losses = method(*views)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        history.append(losses["total"].item())
    # Keys and banks do not change, so the queries can approach their targets without limit.
    assert history[-1] < 0.5 * history[0]


@BACKBONES
def test_absent_persons_do_not_change_the_losses(make, corpora):
    recipe = make()
    torch.manual_seed(1)
    first, second = torch.randn(2, 6, 2, recipe.encoder.preprocess.frames, len(recipe.encoder.skeleton), 3)
    first[:, 1], second[:, 1] = 0, 0
    clip = torch.arange(6)
    absent = method_of(recipe)(first, second, clip)["total"]
    if make is small:  # persons are encoded alone: the same as a batch without second persons
        alone = method_of(recipe)(first[:, :1], second[:, :1], clip)["total"]
        torch.testing.assert_close(absent, alone)
    first[2:, 1] = torch.randn_like(first[2:, 1])
    method = method_of(recipe)
    both = method(first, second, clip)["total"]
    assert not torch.allclose(both, absent)
    both.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in _trained(method))


def test_defaults_are_those_of_the_public_code():
    config = MethodConfig()
    assert (config.projection, config.slots, config.neighbours, config.momentum) == (128, 16384, 8192, 0.999)
    assert (config.temperature, config.teacher_temperature, config.student_temperature) == (0.07, 0.05, 0.1)


# -- no synchronisation with the device -------------------------------------------------------------------------------

# A meta tensor has a shape but no values, and is not on the CPU: code that needs one of its numbers, or the number of
# ones in a mask, would synchronise with a GPU. Operations that synchronise but work on meta tensors are refused below.

ASKING = {
    *("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "nonzero_static", "masked_select"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
}


class Waits(Exception):
    """The host would synchronise with the accelerator."""


def _far(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.device.type == "meta"


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in ASKING and _far(args[0]):
            raise Waits(name)
        if name.startswith(("index", "_index_put", "_unsafe_index")) and isinstance(args[1], (list, tuple)):
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                raise Waits(f"{name} by a mask")
            if _far(args[0]) and not all(map(_far, indices)):
                raise Waits(f"{name} by what lies on the host")
        if name == "repeat_interleave":
            raise Waits(f"{name} by a tensor")
        if name == "_to_copy":
            target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else args[0].device.type
            if (target == "meta") is not _far(args[0]) and not (target == "meta" and kwargs.get("non_blocking")):
                raise Waits("copy to or from the host")
        if name == "copy_" and _far(args[0]) is not _far(args[1]) and args[1].ndim:
            raise Waits("copy to or from the host")
        return func(*args, **kwargs)


class _Functions(TorchFunctionMode):
    """What reaches the operators too late: Python's numbers and lists that torch itself copies to the device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ("__getitem__", "__setitem__") and _far(args[0]):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, (list, tuple, range)) or hasattr(part, "__array_interface__") for part in index):
                raise Waits("index by a list")
        result = func(*args, **(kwargs or {}))
        if name in ("tensor", "as_tensor", "asarray", "new_tensor") and _far(result):
            raise Waits(f"{name} from Python's numbers")
        return result


def step(method: Method, recipe: Recipe, corpus: Corpus, optimizer: torch.optim.Optimizer) -> None:
    first, second, clip = _views(recipe, corpus, 0)
    losses = method(first, second, clip, 1.0)
    optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()
    nn.utils.clip_grad_norm_(_trained(method), 1.0)
    optimizer.step()
    method.after_step()


def moved(corpus: Corpus, device: str) -> Corpus:
    """A corpus whose rows are on a device, as `Corpus.load` puts them there if they fit."""
    tensors = {
        field.name: value.to(device)
        for field in dataclasses.fields(corpus)
        if isinstance(value := getattr(corpus, field.name), Tensor)
    }
    return dataclasses.replace(corpus, **tensors, device=torch.device(device))


EVERYTHING = [
    pytest.param(make, augment, changes, id=f"{make.__name__}-{type(augment).__name__}")
    for make in (small, small_paper)
    for augment, changes in (
        (AugmentConfig(), {}),
        (CMDAugmentConfig(), {"enqueue": "centre", "neighbours": METHOD.slots}),
    )
]


@pytest.mark.parametrize(("make", "augment", "changes"), EVERYTHING)
def test_a_step_never_synchronises(make, augment, changes, corpora, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no meta device
    recipe = make(augment=augment)
    method, corpus = method_of(recipe, **changes).to("meta"), moved(corpora[make], "meta")
    optimizer = _optimizer(method, recipe)
    with _Functions(), _Operators():
        step(method, recipe, corpus, optimizer)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0, 0]),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.__setitem__(x > 0, 0.0),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x.masked_select(x > 0),
        lambda x: x[:, [0, 1]],
        lambda x: x[..., (0, 1), :],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: torch.ones(3).to(x.device),
        lambda x: x.cpu(),
        lambda x: x.repeat_interleave(torch.ones(4, dtype=torch.long, device=x.device), dim=0),
    ],
)
def test_the_guard_detects_synchronisation(ask):
    x = torch.zeros(4, 3, device="meta")
    with pytest.raises(Waits), _Functions(), _Operators():
        ask(x)


def test_the_guard_accepts_steps_without_synchronisation():
    x = torch.zeros(4, 3, device="meta")
    with _Functions(), _Operators():
        x[0, 1:] = 2.0
        torch.where(x > 0, x, 0.0).masked_fill(x > 1, 1.0)
        torch.ones(3).to(x.device, non_blocking=True)
        x[torch.arange(2, device="meta")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("make", "augment", "changes"), EVERYTHING)
def test_a_step_never_synchronises_on_a_gpu(make, augment, changes, corpora):
    recipe = make(augment=augment)
    method, corpus = method_of(recipe, **changes).cuda(), moved(corpora[make], "cuda")
    optimizer = _optimizer(method, recipe)
    step(method, recipe, corpus, optimizer)  # the first one sets libraries up, and the optimiser's state
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(method, recipe, corpus, optimizer)
        with pytest.raises(RuntimeError, match="synchroniz"):
            method.memory.cursor.item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
