"""Training runs: schedules, and the same result however a run is interrupted."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from skelrep.cli import main
from skelrep.encoder import Encoder
from skelrep.hub import load_pretrained
from skelrep.train import loop
from skelrep.train.data import Corpus
from skelrep.train.i2md import Batch, Method
from skelrep.train.loop import Stopped, _schedule, load_checkpoint, pretrain
from skelrep.train.recipes import RECIPES, Recipe
from tests.corpus_data import (
    ENVIRONMENT,
    METHOD,
    PYTHON,
    TIMES,
    another_process,
    corpus_of,
    pairs,
    recordings,
    small,
    small_paper,
)


def small_sgd() -> Recipe:
    """Whole clips by epochs, with SGD."""
    return small(window=None, steps=0, epochs=12, optimizer="sgd", learning_rate=0.01, drop=0.5, batch=5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    corpus_of(recordings(), folder / "one")
    corpus_of(pairs(), folder / "two")
    return folder


@pytest.fixture
def corpus(folders) -> Corpus:
    return Corpus.load(folders / "one", small().encoder)


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


# -- the course of a run ----------------------------------------------------------------------------------------------


def test_a_run_leaves_its_recipe_its_log_and_a_checkpoint(corpus, tmp_path):
    recipe = small()
    encoder = pretrain(recipe, corpus, tmp_path / "run", save_every=3, monitor=lambda encoder: {"seven": 7.0})
    assert not encoder.training
    lines = log_of(tmp_path / "run")
    assert [line["step"] for line in lines] == [3, 6, 8]
    names = {"step", "instance", "cross_modal", "cluster", "intra_modal", "total", "epoch", "learning_rate", "seven"}
    names |= TIMES.keys()
    assert all(set(line) == names and line["seven"] == 7 for line in lines)
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 8
    assert torch.equal(state["method"]["encoder.streams.joint.entry.weight"], encoder.streams["joint"].entry.weight)  # type: ignore[union-attr]
    stored = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert stored["method"]["slots"] == 24 and stored["encoder"] == json.loads(json.dumps(recipe.encoder.to_dict()))
    files = {file.name.split(".")[0] for file in (tmp_path / "run").iterdir() if file.name != ".lock"}
    assert files == {"recipe", "corpus", "log", "checkpoint"} | (
        {"events"} if importlib.util.find_spec("tensorboard") is not None else set()
    )


def test_the_log_holds_means_over_its_interval(corpus, tmp_path):
    pretrain(small(), corpus, tmp_path / "each", save_every=1)
    pretrain(small(), corpus, tmp_path / "some", save_every=4)
    each = [line["total"] for line in log_of(tmp_path / "each")]
    assert [line["total"] for line in log_of(tmp_path / "some")] == pytest.approx(
        [sum(each[:4]) / 4, sum(each[4:]) / 4], rel=1e-5
    )


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs TensorBoard")
def test_losses_are_written_for_tensorboard(corpus, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pretrain(small(), corpus, tmp_path, save_every=4)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    told = [(event.step, event.value) for event in events.Scalars("total")]
    assert told == [(line["step"], pytest.approx(line["total"])) for line in log_of(tmp_path)]


def test_runs_differ_only_by_their_seed(corpus, tmp_path):
    torch.manual_seed(1)
    one = pretrain(small(), corpus, tmp_path / "one")
    torch.manual_seed(2)
    assert_same(
        one, pretrain(small(), corpus, tmp_path / "two", save_every=3, monitor=lambda _: {"r": float(torch.rand(1))})
    )
    other = pretrain(small(seed=1), corpus, tmp_path / "three")
    assert not torch.equal(one.streams["joint"].entry.weight, other.streams["joint"].entry.weight)  # type: ignore[union-attr]


def test_learning_rates():
    assert [_schedule(step, 10, small(warmup=4)) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    cosine = [_schedule(step, 12, small(warmup=2)) for step in range(2, 12)]
    assert cosine == pytest.approx([(1 + np.cos(np.pi * i / 10)) / 2 for i in range(10)])
    held = [_schedule(step, 12, small(warmup=2, decay=0.5)) for step in range(12)]
    assert held[:7] == [0.5, *[1.0] * 6]
    torch.testing.assert_close(torch.tensor(held[6:]), (1 + (torch.arange(6) * np.pi / 6).cos()) / 2)
    dropped = [_schedule(step, 451, small(warmup=0, drop=351 / 451)) for step in (0, 350, 351, 450)]
    assert dropped == [1.0, 1.0, 0.1, 0.1]


def test_the_optimiser_follows_the_schedule(corpus, tmp_path, monkeypatch):
    rates, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self: (rates.append([g["lr"] for g in self.param_groups]), step(self))
    )
    recipe = small()
    pretrain(recipe, corpus, tmp_path)
    assert rates == [[2e-3 * _schedule(step, 8, recipe)] * 2 for step in range(8)]


def test_norms_and_biases_have_no_weight_decay():
    method = loop.Method(Encoder(small().encoder), small().method)
    decayed, spared = loop._optimizer(method, small()).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
    assert {p.ndim for p in spared["params"]} == {1} and min(p.ndim for p in decayed["params"]) == 2
    (group,) = loop._optimizer(method, small_sgd()).param_groups
    assert (group["momentum"], group["weight_decay"]) == (0.9, 0.05)
    ids = {id(p) for p in method.key.parameters()}
    assert not any(id(p) in ids for p in group["params"])


def test_gradients_are_clipped(corpus, tmp_path, monkeypatch):
    lengths, step = [], torch.optim.AdamW.step

    def spy(self):
        gradients = [p.grad.norm() for group in self.param_groups for p in group["params"]]
        lengths.append(torch.stack(gradients).norm().item())
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    pretrain(small(steps=3), corpus, tmp_path / "free")
    free = lengths.copy()
    lengths.clear()
    pretrain(small(steps=3, clip_gradient=0.01), corpus, tmp_path / "clipped")
    assert min(free) > 0.02
    assert lengths == pytest.approx([0.01] * 3, rel=1e-3)


def test_bfloat16_is_for_products_only(corpus, tmp_path):
    single = pretrain(small(steps=4), corpus, tmp_path / "single")
    half = pretrain(small(steps=4, precision="bfloat16"), corpus, tmp_path / "half")
    a, b = (log_of(tmp_path / name)[0]["total"] for name in ("single", "half"))
    assert a != b and b == pytest.approx(a, rel=0.05)
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert not torch.equal(single.streams["joint"].entry.weight, half.streams["joint"].entry.weight)  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_numbers(corpus, tmp_path, monkeypatch):
    """With the graph run as it was traced: translating it into C++ takes a minute and is torch's own business."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    encoder = dataclasses.replace(small().encoder, modalities=("joint", "motion"))
    recipe = small(steps=3, encoder=encoder, method=dataclasses.replace(small().method, start=0.0))
    pretrain(recipe, corpus, tmp_path / "eager", save_every=1)
    pretrain(dataclasses.replace(recipe, compile=True), corpus, tmp_path / "translated", save_every=1)
    for eager, translated in zip(log_of(tmp_path / "eager"), log_of(tmp_path / "translated")):
        for name in ("instance", "cross_modal", "cluster", "intra_modal", "total"):
            assert translated[name] == pytest.approx(eager[name], rel=1e-4)


def test_training_may_pool_features_differently(corpus, tmp_path):
    monitored = []
    recipe = small(steps=2, averages=1)
    encoder = pretrain(recipe, corpus, tmp_path, save_every=1, monitor=lambda e: monitored.append(e.config) or {})
    assert encoder.config == recipe.encoder and monitored == [recipe.encoder] * 2 and not encoder.training
    state = load_checkpoint(tmp_path / "checkpoint.pt")["method"]
    torch.testing.assert_close(state["encoder.streams.joint.entry.weight"], encoder.streams["joint"].entry.weight)  # type: ignore[union-attr]
    assert state["heads.joint.0.0.weight"].shape == (8, 8)  # one average of eight channels
    assert small_paper(averages=2).in_training == small_paper().encoder  # which pools nothing


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_builds(name):
    recipe = RECIPES[name]()
    assert recipe.length(40091) == (recipe.steps or -(-recipe.epochs * 40091 // recipe.batch))


def test_invalid_recipes_are_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match="steps or epochs, not both; got steps=8, epochs=2"):
        small(epochs=2).check()
    with pytest.raises(ValueError, match="batch of at least 2, got 1"):
        small(batch=1).check()
    with pytest.raises(ValueError, match=r"aggregated 1 to slots \(24\), got 12 and 25"):
        small(method=dataclasses.replace(small().method, aggregated=25)).check()
    with pytest.raises(ValueError, match=r"crop is two fractions .* got \(0.5, 2.0\)"):
        small(crop=(0.5, 2.0)).check()
    with pytest.raises(ValueError, match=r"window is two durations .* got \(3.0, 1.0\)"):
        small(window=(3.0, 1.0)).check()
    with pytest.raises(ValueError, match="warmup must not be negative and learning_rate above 0, got -1 and"):
        small(warmup=-1).check()
    with pytest.raises(ValueError, match="a batch of 25 does not fit into banks of 24 slots"):
        pretrain(small(batch=25), corpus, tmp_path)
    with pytest.raises(ValueError, match="save_every must be at least 1 step, got 0"):
        pretrain(small(), corpus, tmp_path, save_every=0)
    frames = dataclasses.replace(small().encoder.preprocess, frames=3)
    with pytest.raises(ValueError, match="multiple of the stride"):
        pretrain(small(encoder=dataclasses.replace(small().encoder, preprocess=frames)), corpus, tmp_path / "run")
    assert not list(tmp_path.iterdir())  # no recipe claims a folder that the mended one would want


def test_another_corpus_and_a_damaged_checkpoint_are_refused(corpus, tmp_path):
    pretrain(small(steps=2), corpus, tmp_path)
    with pytest.raises(ValueError, match="has a run with another corpus"):
        pretrain(small(steps=2), dataclasses.replace(corpus, about={"sources": []}), tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes((tmp_path / "checkpoint.pt").read_bytes()[:1000])
    with pytest.raises(ValueError, match="checkpoint.pt is damaged; remove it"):
        pretrain(small(steps=2), corpus, tmp_path)


# -- stops ------------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("make", [small, small_sgd, small_paper])
def test_an_interrupted_run_resumes_bit_exactly(make, folders, tmp_path):
    recipe = make()
    corpus = Corpus.load(folders / ("two" if make is small_paper else "one"), recipe.encoder)
    whole = pretrain(recipe, corpus, tmp_path / "whole", save_every=2)
    calls = []

    def stop(encoder):
        calls.append(encoder)
        if len(calls) == 2:
            raise Interrupted
        return {}

    with pytest.raises(Interrupted):  # after the checkpoint of step 2, before that of step 4
        pretrain(recipe, corpus, tmp_path / "parts", save_every=2, monitor=stop)
    assert torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)["step"] == 2
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "total": 0}\n{"step": 6, "tot')  # as if killed between the log and the checkpoint
    assert_same(whole, pretrain(recipe, corpus, tmp_path / "parts", save_every=2))
    one, two = log_of(tmp_path / "whole"), log_of(tmp_path / "parts")
    assert [line | TIMES for line in one] == [line | TIMES for line in two]
    before = (tmp_path / "parts" / "checkpoint.pt").read_bytes()
    assert_same(whole, pretrain(recipe, corpus, tmp_path / "parts", save_every=2))  # nothing is left to do
    assert (tmp_path / "parts" / "checkpoint.pt").read_bytes() == before and log_of(tmp_path / "parts") == two


def long() -> Recipe:
    return small(steps=16)


def work(make, corpus: str, folder: str) -> None:
    """A run in a separate process."""
    torch.set_num_threads(1)
    recipe = make()
    encoder = pretrain(recipe, Corpus.load(corpus, recipe.encoder), Path(folder), save_every=1)
    torch.save(encoder.state_dict(), Path(folder, "done.pt"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("make", [long, small_sgd])
def test_a_killed_run_resumes_bit_exactly(make, folders, tmp_path):
    recipe = make()
    whole = pretrain(recipe, Corpus.load(folders / "one", recipe.encoder), tmp_path / "whole", save_every=1)
    moments, kills, log = random.Random(0), 0, tmp_path / "run" / "log.jsonl"
    while not (tmp_path / "run" / "done.pt").exists():
        process = another_process(work, make, str(folders / "one"), str(tmp_path / "run"))
        process.start()
        if kills < 3:  # then it may finish
            begun = len(log.read_text().splitlines()) if log.exists() else 0
            while process.is_alive() and not (log.exists() and len(log.read_text().splitlines()) > begun):
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
        process.join()
        kills += process.exitcode != 0
        assert process.exitcode in (0, -signal.SIGKILL)
    assert kills >= 2
    final = torch.load(tmp_path / "run" / "done.pt", weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(final[name], value), name
    steps = recipe.length(6)
    assert [line["step"] for line in log_of(tmp_path / "run")] == list(range(1, steps + 1))
    one, two = log_of(tmp_path / "whole"), log_of(tmp_path / "run")
    assert [line["total"] for line in one] == [line["total"] for line in two]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_saves_a_checkpoint_and_raises_stopped(name, corpus, tmp_path):
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    number = getattr(signal, name)
    recipe = small()
    whole = pretrain(recipe, corpus, tmp_path / "whole")
    before = signal.getsignal(number)
    calls = []

    def ask(encoder):
        calls.append(encoder)
        signal.raise_signal(number)
        return {}

    with pytest.raises(Stopped, match="stopped at step 4 of 8; the same command resumes it from"):
        pretrain(recipe, corpus, tmp_path / "run", save_every=3, monitor=ask)
    assert signal.getsignal(number) is before
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 4
    assert_same(whole, pretrain(recipe, corpus, tmp_path / "run"))
    assert [line["step"] for line in log_of(tmp_path / "run")] == [3, 4, 8]


def test_a_run_stops_at_a_time_and_reports_its_progress(corpus, tmp_path):
    lines = []
    with pytest.raises(Stopped, match="stopped at step 1 of 8"):
        pretrain(small(), corpus, tmp_path / "run", until=0.0)
    pretrain(small(), corpus, tmp_path / "run", save_every=4, on_line=lambda *each: lines.append(each))
    assert [(line["step"], steps) for line, steps, _ in lines] == [(4, 8), (8, 8)]
    assert [left > 0 for *_, left in lines] == [True, False]
    assert [line["epoch"] for line in log_of(tmp_path / "run")] == [
        round(step * 6 / len(corpus), 3) for step in (1, 4, 8)
    ]
    assert all(0 <= line["data_fraction"] <= 1 for line in log_of(tmp_path / "run"))


def test_slow_steps_are_told_between_checkpoints(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LINE_EVERY", 0.0)
    told = []
    pretrain(small(), corpus, tmp_path, save_every=4, on_line=lambda line, *_: told.append(line))
    assert [line["step"] for line in told] == list(range(1, 9))
    logged = log_of(tmp_path)
    assert logged == [told[3], told[7]]  # means over all steps since the last checkpoint
    pretrain(small(), corpus, tmp_path / "quiet", save_every=4)
    assert [line | TIMES for line in log_of(tmp_path / "quiet")] == [line | TIMES for line in logged]


def test_a_folder_is_locked_and_temporary_files_of_killed_runs_are_removed(corpus, tmp_path):
    (tmp_path / ".checkpoint.pt.part").write_bytes(b"half a checkpoint")
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="another process is training in"):
        pretrain(small(), corpus, tmp_path)
    assert not (tmp_path / "recipe.json").exists()
    pretrain(small(), corpus, tmp_path)
    assert not list(tmp_path.glob(".*.part")) and log_of(tmp_path)[-1]["step"] == 8


def test_signal_handlers_are_not_set_outside_the_main_thread(corpus, tmp_path):
    thread = threading.Thread(target=pretrain, args=(small(steps=1), corpus, tmp_path))
    thread.start()
    thread.join()
    assert (tmp_path / "checkpoint.pt").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGTERM")
def test_the_command_stops_on_sigterm_and_resumes(folders, tmp_path):
    changes = ["encoder.backbone.width=8", "encoder.backbone.blocks=1", "method.slots=32", "method.neighbours=16",
               "method.projection=8", "batch=8", "steps=40"]  # fmt: skip
    command = ["pretrain", "i2md_small", "--data", str(folders / "one"), "--device", "cpu", "--save-every", "5"]
    assert main([*command, "-q", "-o", str(tmp_path / "whole"), "--set", *changes]) == 0
    command += ["-o", str(tmp_path / "run"), "--set", *changes]
    process = subprocess.Popen(
        [PYTHON, "-m", "skelrep", *command], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.005)
    process.terminate()
    out, said = process.communicate()
    assert (process.returncode, out) == (143, ""), said
    step = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"]
    assert 5 <= step < 40
    assert f"skelrep: stopped at step {step} of 40; the same command resumes it from {tmp_path / 'run'}" in said
    assert main([*command, "-q"]) == 0
    assert_same(load_pretrained(tmp_path / "whole" / "encoder"), load_pretrained(tmp_path / "run" / "encoder"))


@pytest.mark.parametrize("poison", ["rate", "weight"])
def test_a_nan_loss_is_refused_and_not_saved(poison, corpus, tmp_path, monkeypatch):
    recipe = small(learning_rate=1e30, warmup=0, steps=20) if poison == "rate" else small()
    before, step, calls = [b""], torch.optim.AdamW.step, []

    def spoil(self):
        calls.append(self)
        before[0] = (tmp_path / "checkpoint.pt").read_bytes() if len(calls) > 1 else b""
        result = step(self)
        if len(calls) == 3 and poison == "weight":
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[0] = torch.nan
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    said = r"no longer finite at step (\d+); the last good checkpoint is kept in .*Lower the learning rate, or clip"
    with pytest.raises(ValueError, match=said) as caught:
        pretrain(recipe, corpus, tmp_path, save_every=1)
    assert len(calls) == 3 or poison == "rate"
    assert f"at step {len(calls)};" in str(caught.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before[0]
    assert [line["step"] for line in log_of(tmp_path)] == list(range(1, len(calls)))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(value.isfinite().all() for value in state["method"].values())


def test_a_folder_belongs_to_one_recipe(corpus, tmp_path):
    pretrain(small(steps=1), corpus, tmp_path)
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="has a run with another recipe"):
        pretrain(small(steps=2), corpus, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


class Mirrored(Method):
    """A method from outside: each view is once the query and once the key."""

    def forward(self, first: torch.Tensor, second: torch.Tensor, clip: torch.Tensor, progress: float = 1.0) -> dict:
        one, other = super().forward(second, first, clip, progress), super().forward(first, second, clip, progress)
        return {name: (one[name] + other[name]) / 2 for name in one}


def test_a_method_from_outside(corpus, tmp_path):
    own = pretrain(small(steps=3), corpus, tmp_path / "own", method=Mirrored)
    plain = pretrain(small(steps=3), corpus, tmp_path / "plain")
    assert not torch.equal(own.streams["joint"].entry.weight, plain.streams["joint"].entry.weight)  # type: ignore[union-attr]

    def steadiness(batch: Batch) -> torch.Tensor:
        return 1 - (batch.query * batch.key).sum(dim=-1)

    further = functools.partial(Method, losses={"steadiness": (steadiness, 0.1)})
    pretrain(small(steps=3), corpus, tmp_path / "further", method=further)
    line = json.loads((tmp_path / "further" / "log.jsonl").read_text().splitlines()[-1])
    assert {"instance", "steadiness", "total"} <= set(line)


def test_a_checkpoint_is_finished_by_a_shorter_run(corpus, tmp_path):
    """A run that holds its rate may be left at any time: its checkpoint begins the last part of a shorter one."""
    method = dataclasses.replace(METHOD, start=0.0)  # else the runs would not aggregate from the same step on
    long, short = (small(steps=steps, decay=0.25, method=method) for steps in (40, 8))

    def ask(encoder):
        signal.raise_signal(signal.SIGTERM)
        return {}

    with pytest.raises(Stopped, match="step 4 of 40"):
        pretrain(long, corpus, tmp_path / "long", save_every=3, monitor=ask)
    (tmp_path / "short").mkdir()
    shutil.copy(tmp_path / "long" / "checkpoint.pt", tmp_path / "short")
    assert_same(pretrain(short, corpus, tmp_path / "short"), pretrain(short, corpus, tmp_path / "whole"))
