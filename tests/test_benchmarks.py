"""The benchmarks at tiny sizes: every figure is reported, and every baseline computes the same as skelrep.

Nothing is asserted on time.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from skelrep import corpus, load_pretrained
from skelrep.encoder import Encoder
from skelrep.encoder.modalities import modality
from skelrep.poses import as_poses
from skelrep.preprocess_config import PreprocessConfig
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method, MethodConfig
from skelrep.train.loop import _optimizer, _views
from skelrep.train.recipes import LOSSES, i2md_small
from tests.benchmarks import __main__ as command
from tests.benchmarks import (
    corpora,
    evaluation_scale,
    gpu_run,
    indexes,
    large_files,
    made_up_corpus,
    measuring,
    performance,
    performance_training,
    second_run,
    workloads,
)
from tests.benchmarks.baselines import NaiveTraining, Stepping, naive_losses, views_one_by_one
from tests.benchmarks.measuring import Row
from tests.benchmarks.performance import MEASUREMENTS
from tests.benchmarks.performance_gpu import gpu
from tests.benchmarks.workloads import NTU, QUICK, Sizes
from tests.conftest import untrained
from tests.corpus_data import corpus_of, pairs

STREAMS = ("joint", "bone", "motion")

TINY = Sizes(
    rounds=1,
    product=(64, 64),
    hidden=8,
    trained_hidden=8,
    batch=4,
    gpu_batches=(2,),
    clips=8,
    gallery=120,
    queries=10,
    dim=16,
    bank=200,
    searches=10,
    probe=120,
    slots=32,
    steps=1,
    gpu_steps=1,
)


#: Rows in per cent that show whether the measured code gave correct results.
EXACT = {"knn": "the same predictions", "probe": "the same predictions", "retrieval": "the planted row is the first"}

MEMORY_IS_TOLD = Path("/proc/self/statm").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_returns_its_rows(name):
    rows = MEASUREMENTS[name](TINY)
    if name == "gpu" and not torch.cuda.is_available():
        assert rows == []
        rows = gpu(TINY, "cpu")
    assert rows or (name == "memory" and not MEMORY_IS_TOLD)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert math.isfinite(row.figure) and (row.of_limit is None or row.of_limit > 0), row
        assert row.figure > 0 or row.unit in ("", "MB", "points") or "beyond" in row.name, row
    found = {row.name: row.figure for row in rows}
    if name in EXACT:
        assert found[EXACT[name]] == 100


@pytest.mark.slow
def test_the_gpu_run_does_everything_on_a_cpu_at_small_size(tmp_path):
    changes = ["encoder.backbone.width=8", "method.slots=32", "method.neighbours=16", "batch=8", "steps=3"]
    gpu_run.main(["-o", str(tmp_path), "--device", "cpu", "--minutes", "9", "--set", *changes], TINY)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    parts = ["machine", "equality", "embedding", "small step", "paper step", "training"]
    assert [line["part"] for line in lines] == parts
    assert all(line["error"] is None and line["rows"] for line in lines), lines
    exact = [row for line in lines if line["part"] == "equality" for row in line["rows"]]
    assert len(exact) == 16 and all(row["met"] for row in exact), exact
    trained = {row["name"]: row["figure"] for row in lines[-1]["rows"]}
    assert trained["i2md_small: steps"] == 3
    assert load_pretrained(tmp_path / "encoder").config.backbone.width == 8
    gpu_run.main(["-o", str(tmp_path), "--device", "cpu", "--minutes", "0"], TINY)
    left_out = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()[len(lines) :]]
    assert [line["error"] for line in left_out] == ["no time was left"] * len(parts)


def test_bytes_of_a_step_are_those_of_its_layers():
    """Counted by hooks on the layers of the queries' networks."""
    for recipe in (performance_training.one_person(i2md_small()), performance_training.paper_recipe(TINY, batch=4)):
        recipe = dataclasses.replace(recipe, batch=4, precision="float32")
        method = Method(Encoder(recipe.in_training), recipe.method)
        persons, frames = recipe.encoder.preprocess.persons, recipe.encoder.preprocess.frames
        poses = torch.randn(4, persons, frames, len(recipe.encoder.skeleton), 3)
        numbers: list[int] = []

        def count(layer, _, out, numbers=numbers) -> None:
            numbers.append(7 * out[0].numel() if isinstance(layer, torch.nn.GRU) else out.numel())

        for stream in method.encoder.streams.values():
            for name, layer in stream.named_modules():
                if isinstance(layer, torch.nn.GRU) or (name != "norm" and not list(layer.children())):
                    layer.register_forward_hook(count)
            stream.per_frame(poses)  # which calls every layer
        weights = sum(p.numel() for p in method.parameters() if p.requires_grad)
        moments = 2 if recipe.optimizer == "adamw" else 1
        expected = 7 * 4 * sum(numbers) + 4 * (9 + 2 * moments) * weights + 3 * 4 * method.memory.bank.numel()
        assert workloads.step_bytes(recipe) == pytest.approx(expected, rel=0.1)


def test_stepping_baseline_equals_the_recurrent_stack():
    encoder = untrained(workloads.paper_encoder(8))
    poses = torch.randn(3, 2, 64, 25, 3)
    for name, features in encoder(poses).items():
        stepping = Stepping(encoder.streams[name])
        view = modality(name, poses, encoder.skeleton.parents)
        torch.testing.assert_close(stepping(view), features, rtol=0, atol=1e-5)


def test_one_by_one_preprocessing_equals_the_encoder():
    encoder = load_pretrained("i2md-small")
    encoder.config = dataclasses.replace(
        encoder.config, preprocess=PreprocessConfig(keep="movement")
    )  # without repairs
    clips = workloads.raw_clips(5)
    views = views_one_by_one(clips, encoder)
    prepared = encoder.prepare(as_poses(clips, skeleton=NTU))
    for name in STREAMS:
        expected = modality(name, prepared, encoder.skeleton.parents).numpy()
        # Random poses have short trunks, by which they are divided.
        np.testing.assert_allclose(views[name], expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_naive_losses_and_gradients_equal_the_package():
    config = MethodConfig(slots=96, neighbours=40, projection=16, **LOSSES["cmd"])
    total, query, key, bank = performance_training.loss_part(config, batch=6)
    naive, fast = naive_losses(query[0], key[0], bank[0], config), total()
    torch.testing.assert_close(naive, fast, rtol=1e-5, atol=0)
    one, other = (torch.autograd.grad(loss, query)[0] for loss in (naive, fast))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_naive_training_step_equals_the_package(tmp_path):
    recipe = performance_training.paper_recipe(TINY, batch=6)
    corpus = Corpus.load(corpus_of(pairs(12), tmp_path / "corpus"), recipe.encoder)
    torch.manual_seed(0)
    method = Method(Encoder(recipe.encoder), recipe.method).train()
    naive = NaiveTraining(copy.deepcopy(method), recipe)
    optimizer = _optimizer(method, recipe)
    for number in range(3):
        first, second, clip = _views(recipe, corpus, number)
        clip = torch.arange(6) + 6 * number  # the naive losses leave a clip's own slots in
        method.train()
        losses = method(first, second, clip)
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        optimizer.step()
        method.after_step()
        torch.testing.assert_close(naive.step(first, second), losses["total"].detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(torch.stack(naive.banks), method.memory.bank[0], rtol=0, atol=1e-4)
    for encoders, streams in ((naive.query, method.encoder.streams), (naive.key, method.key["streams"])):
        for name in STREAMS:
            expected = Stepping(streams[name]).state_dict()
            for key, value in encoders[name][0].state_dict().items():
                torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [None, MethodConfig(slots=8, projection=16)])
def test_counted_operations_equal_those_of_torch(config):
    for encoder in (load_pretrained("i2md-small"), untrained(workloads.paper_encoder(16))):
        poses = torch.randn(2, 2, 64, len(encoder.skeleton), 3)
        method = None if config is None else Method(encoder, config)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            if method is None:
                encoder(poses)
            else:
                method._project(encoder.streams, method.heads, poses)
        counted = 2 * workloads.operations(encoder.config, config)
        assert counter.get_total_flops() == pytest.approx(counted, rel=0.02)


def test_rounds_time_cases_in_turns_or_take_their_own_time():
    calls = []
    cases = {"one": lambda: calls.append("one"), "other": lambda: calls.append("other") or 2.5}
    seconds = measuring.rounds(2, cases)
    assert calls == ["one", "other"] * 3  # the first round warms up
    assert seconds["one"].shape == (2,) and seconds["other"].tolist() == [2.5, 2.5]
    assert measuring.ratio({"a": np.array([4.0, 9.0, 2.0]), "b": np.array([2.0, 3.0, 2.0])}, "a", "b") == 2


@pytest.mark.skipif(not MEMORY_IS_TOLD, reason="this system does not tell the memory of a process")
def test_extra_memory_is_the_peak_of_a_process():
    extra = measuring.extra_megabytes(allocating, 50)
    assert extra is not None and 50 <= extra < 80


def allocating(megabytes):
    def work():
        np.ones(megabytes * 10**6, dtype=np.uint8).sum()

    return work


def test_command_prints_a_table_or_one_json_document(monkeypatch, capsys):
    shown = [Row("fast", 3.0, at_least=2, of_limit=0.5), Row("slow", 1.0, "s", at_most=0.5), Row("plain", 0.999, "")]
    monkeypatch.setattr(performance, "MEASUREMENTS", {"some": lambda sizes: shown, "none": lambda sizes: []})
    command.main(["--quick"])
    out = capsys.readouterr().out
    fast, slow, plain = (
        next(line for line in out.splitlines() if f"  {name} " in line) for name in ("fast", "slow", "plain")
    )
    assert ">= 2" in fast and "50 %" in fast and "MISSED" not in fast
    assert "<= 0.5" in slow and slow.endswith("MISSED") and "0.999000" in plain
    assert "1 goals missed" in out and "none (0 s): nothing to measure here" in out
    command.main(["--json", "--only", "some"])
    document = json.loads(capsys.readouterr().out)
    assert [row["met"] for row in document["measurements"]["some"]] == [True, False, None]
    with pytest.raises(SystemExit):
        command.main(["--only", "nothing"])
    assert "there are some, none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not MEMORY_IS_TOLD, reason="this system does not tell the memory of a process")
def test_a_corpus_has_a_curve_of_time_and_memory(tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    corpora.main(["--clips", "2500", "--folder", str(tmp_path), "--picture", str(tmp_path / "curve.png")])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert lines[0][0] == "embedded" and [line[0] for line in lines[2:]] == ["2000", "2500"]
    found = corpus.open(tmp_path / "rows")
    assert len(found) == 2500 and found.ids[:2].tolist() == ["00000/000", "00000/001"]
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_made_up_rows_are_a_corpus_around_real_ones(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    monkeypatch.setattr(made_up_corpus, "ROWS_PER_PART", 40)
    base = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    indexes.make_corpus(tmp_path, base, 100)
    clips = corpus.open(tmp_path / "rows")
    assert clips.rows.counts == {0: 40, 1: 40, 2: 20} and clips.labels is not None
    assert clips.labels.tolist() == [i // 5 for i in range(100)]
    assert indexes.exact(tmp_path, 100) == {"queries": 100, "CPU s": pytest.approx(0, abs=60), "found itself": 1.0}


def test_evaluation_at_scale_reports_every_figure(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    monkeypatch.setattr(evaluation_scale, "CLASSES", 4)
    monkeypatch.setattr(made_up_corpus, "ROWS_PER_PART", 120)
    sizes = tmp_path, 300, 70
    found = evaluation_scale.probe(*sizes)
    assert 0.5 < found["accuracy"] <= 1 and found["C"] > 0 and len(found["of each C"]) == 7
    found = evaluation_scale.copies(*sizes)
    assert found["copies, 1-NN"] < 0.4 < found["none, 1-NN"]  # the labels of copies are by chance
    assert evaluation_scale.make(*sizes) == {"rows": 300}
    for stage in (evaluation_scale.neighbours, evaluation_scale.groups):
        assert stage(*sizes) == {"matrix MB": 0.084}
        assert "300 clips" in capsys.readouterr().out


@pytest.mark.slow
def test_another_index_of_faiss_is_compared_with_the_exact_search(tmp_path):
    pytest.importorskip("faiss", reason="needs FAISS")
    base = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    indexes.make_corpus(tmp_path, base, 400)
    figures = indexes.other_index("PCA8,IVF4,SQ8", tmp_path, 300)  # of the first 300 rows
    assert figures["recall@10, 4 lists"][10] < figures["recall@10, 4 lists"][300] == 1.0
    assert figures["recall@10, 1 lists"][300] < 1.0 and 16 < figures["bytes per row"] < 30


@pytest.mark.slow
def test_a_second_run_is_compared_with_the_network(tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
    corpora.make_clips(tmp_path, 200)
    second_run.main([str(tmp_path / "00000.npz"), "--clips", "150", "--rounds", "1"])
    rates = {line.split(":")[0]: float(line.split(": ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()}
    assert list(rates)[0] == "the network alone" and len(rates) == 5 and min(rates.values()) > 0


@pytest.mark.slow
@pytest.mark.skipif(not MEMORY_IS_TOLD, reason="only Linux counts the data of a process")
@pytest.mark.parametrize("kind", large_files.KINDS)
def test_files_larger_than_memory_are_read(kind, tmp_path):
    text = kind in ("csv", "jsonl", "parquet")  # whose rows take long to read
    limit = 2**20 * (400 if kind == "parquet" else 150)
    make, options = large_files.KINDS[kind]
    count = large_files.count_for(kind, 2**20 * (8 if text else 160))
    found = large_files.read_within(make(tmp_path, count), limit, options, piece_bytes=2**20)
    assert isinstance(found, large_files.Found), found.stderr
    assert found.clips == count
    if not text:
        expected = sum(float(part[:, 0, 0, 0].sum()) for part in large_files.parts(count))
        assert found.total == pytest.approx(expected, rel=1e-4)


def test_quick_sizes_are_at_most_the_full_ones():
    full, quick = (dataclasses.asdict(sizes) for sizes in (Sizes(), QUICK))
    assert all(quick[name] <= full[name] for name in full) and quick != full
