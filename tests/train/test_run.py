"""From files to a published encoder, through the commands: prepare, pretrain, export, protocols."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from skelrep import embed, load_pretrained
from skelrep.cli import main
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.io import read
from skelrep.train import loop
from skelrep.train.recipes import RECIPES
from skelrep.train.run import changed
from tests.corpus_data import TIMES, recordings
from tests.pose_files import FIXTURES, moving, real_files, skeleton_text

SMALL = ["encoder.backbone.width=8", "encoder.backbone.blocks=1", "method.slots=32", "method.neighbours=16",
         "method.projection=8", "batch=8", "steps=4"]  # fmt: skip
PAPER = ["encoder.backbone.hidden=4", "encoder.backbone.layers=1", "encoder.preprocess.frames=16", "method.slots=64",
         "method.neighbours=32", "method.aggregated=8", "batch=4", "epochs=2"]  # fmt: skip


# -- changes ----------------------------------------------------------------------------------------------------------


def test_changes_of_a_recipe():
    recipe = RECIPES["i2md"]()
    assert changed(recipe, "batch=32") == dataclasses.replace(recipe, batch=32)
    assert changed(recipe, "learning_rate=1").learning_rate == 1
    assert changed(recipe, "method.slots=2048").method == dataclasses.replace(recipe.method, slots=2048)
    assert changed(recipe, "method.enqueue=centre").method.enqueue == "centre"
    assert changed(recipe, "encoder.backbone.hidden=16").encoder.backbone == RecurrentConfig(16, 3)
    assert changed(recipe, "encoder.modalities=('joint', 'bone')").encoder.modalities == ("joint", "bone")
    assert changed(recipe, "augment.shear=0.5").augment.shear == 0.5
    assert changed(recipe, "window=[1, 2.5]").window == (1, 2.5)
    assert changed(changed(recipe, "window=(1, 2)"), "window=None").window is None
    assert changed(recipe, "drop=None").drop is None
    assert changed(recipe, "compile=True").compile is True


def test_setting_steps_resets_epochs_and_the_reverse():
    by_steps = changed(RECIPES["i2md"](), "steps=10")
    assert (by_steps.steps, by_steps.epochs) == (10, 0)
    by_epochs = changed(by_steps, "epochs=3")
    assert (by_epochs.steps, by_epochs.epochs) == (0, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("steps", "a change of the recipe is written FIELD=VALUE, got 'steps'"),
        ("stebs=3", "no 'stebs'; did you mean 'steps'.; valid fields: encoder, averages, std_weight, method"),
        ("method.slot=3", "no 'method.slot'; did you mean 'slots'.; valid fields: projection, slots"),
        ("batch.size=3", "no 'batch.size'; valid fields: none"),
        ("batch=many", "batch must be of type int, got 'many'"),
        ("augment=None", "augment must be .*got None"),
        ("batch=2.5", "batch must be of type int, got 2.5"),
        ("compile=1", "compile must be of type bool, got 1"),
        ("seed=True", "seed must be of type int, got True"),
        ("optimizer=adam", "optimizer must be one of adamw, sgd, got 'adam'"),
        ("window=(1,)", r"window must have 2 items, got \(1,\)"),
        ("method.temperature=None", "method.temperature must be of type float, got None"),
        ("steps=0", "steps or epochs, not both; got steps=0, epochs=0"),
        ("encoder.backbone.hidden=0", "hidden must be .*got 0"),
    ],
)
def test_invalid_changes_of_a_recipe_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        changed(RECIPES["cmd"](), change).check()


def test_changes_may_come_in_any_order():
    recipe = RECIPES["i2md"]()
    for change in ("method.slots=16", "method.neighbours=8", "method.aggregated=4"):
        recipe = changed(recipe, change)
    recipe.check()


# -- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Poses for training and for evaluation."""
    folder = tmp_path_factory.mktemp("files")
    recordings().save(folder / "moves.npz")
    labels = np.arange(8) % 2
    recordings(8, seed=1, labels=labels, info={"split": np.repeat(["train", "test"], 4)}).save(folder / "judged.npz")
    recordings(8, seed=1, labels=labels).save(folder / "loose.npz")
    return folder


@pytest.fixture(scope="module")
def finished(files) -> Path:
    """A finished and evaluated run of a small recipe of the bundled kind."""
    assert main(["prepare", str(files / "moves.npz"), "-o", str(files / "corpus"), "--licence", "CC0-1.0", "-q"]) == 0
    arguments = ["--data", str(files / "corpus"), "-o", str(files / "run"), "--save-every", "2", "--device", "cpu"]
    options = ["--seed", "3", "--monitor", str(files / "judged.npz"), "-q", "--set", *SMALL]
    assert main(["pretrain", "i2md_small", *arguments, *options]) == 0
    return files / "run"


def refused(capsys, *command: object) -> str:
    """The one sentence of a command that ends with exit code 1."""
    assert main([str(part) for part in command]) == 1
    out, said = capsys.readouterr()
    assert out == "" and said.startswith("skelrep: error: ") and said.count("\n") == 1
    return said


def test_from_poses_to_a_published_encoder(finished, files, tmp_path, capsys):
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"dataset": "ours", "protocol": "linear", "metric": "top-1", "value": 12.5}]))
    output = tmp_path / "my-encoder"
    options = ["--licence", "cc-by-4.0", "--note", "Bad at hands.", "--json"]
    assert main(["export", str(finished), str(output), *options]) == 0
    encoder = load_pretrained(output)
    assert json.loads(capsys.readouterr().out) == {"output": str(output), "dim": encoder.dim}
    trained = torch.load(finished / "checkpoint.pt", weights_only=True)["method"]
    for name, value in encoder.state_dict().items():
        assert torch.equal(trained[f"encoder.{name}"], value), name
    assert embed(recordings(3), encoder).shape == (3, encoder.dim)

    card = (output / "README.md").read_text()
    command = f"`skelrep pretrain i2md_small --set {' '.join([*SMALL, 'seed=3'])}`"
    losses = "instance contrast, mutual distillation between the streams"
    last = json.loads((finished / "log.jsonl").read_text().splitlines()[-1])
    assert set(last) > {"knn/fused", "knn/joint", "knn/bone", "knn/motion"}
    for words in (
        *(
            "license: cc-by-4.0",
            "- name: my-encoder",
            "Bad at hands.",
            command,
            losses,
            "| moves | 6 | 0.01 | CC0-1.0 |",
        ),
        *("| batch | 8 |", "'slots': 32", "| learning_rate | 0.002 |"),
        f"| judged | the file's train and test split, all streams | 1-NN accuracy (%) | {last['knn/fused']} |",
        f"| judged | the file's train and test split, bone stream | 1-NN accuracy (%) | {last['knn/bone']} |",
    ):
        assert words in card, words
    assert main(["export", str(finished), str(tmp_path / "other"), "--results", str(results), "-q"]) == 0
    card = (tmp_path / "other" / "README.md").read_text()
    assert "| ours | linear | top-1 | 12.5 |" in card and "| judged |" not in card


def test_the_monitor_is_the_knn_of_the_frozen_encoder(finished, files, capsys):
    last = json.loads((finished / "log.jsonl").read_text().splitlines()[-1])
    judged = str(files / "judged.npz")
    command = ["knn", judged, "--splits", "train", "test", "-k", "1", "-m", str(finished / "encoder"), "--json", "-q"]
    for streams, name in (([], "fused"), (["--streams", "motion"], "motion")):
        assert main([*command, *streams]) == 0
        assert last[f"knn/{name}"] == pytest.approx(
            100 * json.loads(capsys.readouterr().out)["accuracy"]["1"], abs=0.01
        )


def test_a_monitor_without_splits_leaves_one_out(files, tmp_path, capsys):
    arguments = [
        "pretrain",
        "i2md_small",
        "--data",
        str(files / "corpus"),
        "-o",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    assert main([*arguments, "--monitor", str(files / "loose.npz"), "--json", "--set", *SMALL, "steps=1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "output": str(tmp_path / "run" / "encoder"),
        "dim": 192,
    }  # 3 streams of 8 channels, 4 spans and the deviation
    judged = ["knn", str(files / "loose.npz"), "--leave-one-out", "-k", "1", "-m", document["output"], "--json", "-q"]
    assert main(judged) == 0
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text())
    assert line["knn/fused"] == pytest.approx(100 * json.loads(capsys.readouterr().out)["accuracy"]["1"], abs=0.01)


def test_an_unfinished_run_can_be_exported(finished, files, tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("a broken disk")

    save = loop._save
    monkeypatch.setattr(loop, "_save", lambda path, *rest: save(path, *rest) if rest[-1] < 4 else broken())
    arguments = ["--data", str(files / "corpus"), "-o", str(tmp_path / "run"), "--save-every", "2", "--device", "cpu"]
    assert main(["pretrain", "i2md_small", *arguments, "-q", "--set", *SMALL]) == 1
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "model"), "-q"]) == 0
    encoder = load_pretrained(tmp_path / "model")
    trained = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert trained["step"] == 2
    for name, value in encoder.state_dict().items():
        assert torch.equal(trained["method"][f"encoder.{name}"], value), name
    card = (tmp_path / "model" / "README.md").read_text()
    assert (
        "The checkpoint after 2 steps of the run that the hyper-parameters describe." in card
        and "| batch | 8 |" in card
        and "CC0-1.0" in card
    )


def test_training_goes_on_from_an_encoder(finished, files, tmp_path, capsys):
    model, run = tmp_path / "model", tmp_path / "run"
    assert main(["export", str(finished), str(model), "--licence", "cc-by-nc-4.0", "-q"]) == 0
    start = load_pretrained(model, device="cpu")
    command = [
        "pretrain",
        "i2md_small",
        "--data",
        files / "corpus",
        "-o",
        run,
        "--device",
        "cpu",
        "--from",
        model,
        "-q",
    ]
    # Without any change of the weights, the result is the encoder itself, also of another recipe's sizes.
    still = [*map(str, command), "--set", "steps=2", "--set", "batch=8", *SMALL[1:], "learning_rate=1e-30"]
    sizes = [change for change in still if not change.startswith("encoder.")]
    assert main(sizes) == 0
    encoder = load_pretrained(run / "encoder", device="cpu")
    assert encoder.config.numerical() == start.config.numerical()
    weights = dict(encoder.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in start.named_parameters())

    about = json.loads((run / "start.json").read_text())
    assert about["fingerprint"] == start.fingerprint() and about["license"] == "cc-by-nc-4.0"
    card = (run / "encoder" / "README.md").read_text()
    assert f"starting from the weights of {model}: `skelrep pretrain i2md_small --from {model} --set steps=2" in card
    assert "license: cc-by-nc-4.0" in card and card.count("| moves |") == 2

    # The same command is a finished run; without --from, or from other weights, it is another one.
    assert main(sizes) == 0
    from_option = sizes.index("--from")
    without = sizes[:from_option] + sizes[from_option + 2 :]
    assert "started from the weights of an encoder" in refused(capsys, *without, "--set", *SMALL)
    other = [str(run / "encoder") if word == str(model) else word for word in sizes]
    assert "has a run with another start" in refused(capsys, *other)
    assert "started from random weights" in refused(
        capsys, *(str(finished) if word == str(run) else word for word in sizes)
    )
    wider = [*sizes, "encoder.backbone.width=12"]
    assert "do not fit the recipe's encoder" in refused(
        capsys, *(str(tmp_path / "new") if word == str(run) else word for word in wider)
    )
    assert not (tmp_path / "new").exists()


def test_errors_of_pretrain_are_one_sentence(finished, files, tmp_path, capsys):
    def said(recipe: str, *options: object, data: Path = files / "corpus", run: Path = tmp_path / "run") -> str:
        return refused(capsys, "pretrain", recipe, "--data", data, "-o", run, *options)

    assert "contains no training corpus (no corpus.json)" in said("cmd", data=files)
    assert "the recipe has no 'stebs'" in said("cmd", "--set", "stebs=3")
    assert "there is no device 'abacus'" in said("cmd", "--device", "abacus")
    assert "moves.npz contains no labels to evaluate with" in said("i2md_small", "--monitor", files / "moves.npz")
    read(files / "judged.npz")[:1].save(files / "single.npz")
    assert "single.npz contains 1 clip" in said("i2md_small", "--monitor", files / "single.npz")
    assert not (tmp_path / "run").exists()
    assert "has a run with another recipe" in said("i2md_small", "--set", *SMALL, "steps=5", run=finished)


def test_errors_of_export_are_one_sentence(finished, files, tmp_path, capsys):
    model = tmp_path / "model"
    (tmp_path / "words.json").write_text("not JSON")
    (tmp_path / "list.json").write_text('[{"dataset": "ours"}]')
    for results, words in {
        "words.json": "words.json is not JSON",
        "list.json": "must be a list of objects that have dataset, protocol",
        "gone.json": "gone.json: No such file",
    }.items():
        assert words in refused(capsys, "export", finished, model, "--results", tmp_path / results)
    assert not model.exists()
    assert "has no run with a checkpoint" in refused(capsys, "export", files / "corpus", model)
    for taken in (files / "corpus", tmp_path / "words.json"):
        assert "exists and is not an empty folder" in refused(capsys, "export", finished, taken)


# -- the paper line, from NTU's files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ntu(tmp_path_factory) -> Path:
    """Samples in the layout of NTU RGB+D: two actions by training subjects and others, every third with two bodies."""
    folder = tmp_path_factory.mktemp("ntu") / "nturgb+d_skeletons"
    folder.mkdir()
    subjects = (1, 2, 4, 5, 3, 6, 7, 10)  # the first four train in the cross-subject split
    for i, subject in enumerate(subjects):
        for action in (1, 2):
            first = moving(70 + 5 * i, 0.02 * action, seed=i)
            second = moving(70 + 5 * i, 0.01, seed=100 + i)
            frames = [{"1": a} | ({"2": b} if i % 3 == 0 else {}) for a, b in zip(first, second)]
            (folder / f"S001C001P{subject:03}R001A{action:03}.skeleton").write_text(skeleton_text(frames))
    return folder


@pytest.fixture(scope="module")
def ntu_corpus(ntu, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "ntu60"
    assert main(["prepare", str(ntu), "-o", str(folder), "--splits", "ntu60", "xsub_train", "-q"]) == 0
    return folder


@pytest.mark.parametrize("recipe", ["moco", "cmd", "i2md"])
@pytest.mark.slow
def test_the_paper_line_end_to_end(recipe, ntu, ntu_corpus, tmp_path, capsys):
    with np.load(ntu_corpus / "tracks.npz") as tracks:
        assert {name[8:12] for name in tracks["ids"].tolist()} == {"P001", "P002", "P004", "P005"}
        assert len(tracks["ids"]) == 8
    arguments = ["--data", str(ntu_corpus), "-o", str(tmp_path / "run"), "--device", "cpu", "--save-every", "2"]
    assert main(["pretrain", recipe, *arguments, "-q", "--set", *PAPER]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]  # eight clips twice, four a step
    losses = {"moco": {"instance"}, "cmd": {"instance", "cross_modal"}}.get(
        recipe, {"instance", "cross_modal", "cluster", "intra_modal"}
    )
    assert set(lines[-1]) == losses | {"step", "total", "epoch", "learning_rate", *TIMES}
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "model"), "-q"]) == 0
    command = [
        "knn",
        str(ntu),
        "--splits",
        "xsub_train",
        "xsub_val",
        "-m",
        str(tmp_path / "model"),
        "-k",
        "1",
        "--json",
    ]
    assert main([*command, "-q"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert 0 <= judged["accuracy"]["1"] <= 1
    encoder = load_pretrained(tmp_path / "model")
    assert (encoder.dim, encoder.config.fusion, encoder.skeleton.name) == (8, "mean", "ntu-25")
    assert np.isfinite(embed(read(ntu), encoder)).all()
    if recipe == "i2md":
        table = ["protocols", str(tmp_path / "model"), str(ntu), "--splits", "xsub_train", "xsub_val", "--seeds", "2"]
        options = ["--which", "knn", "linear", "semi", "--fractions", "0.5", "-q", "--device", "cpu"]
        assert main([*table, *options]) == 0
        words = capsys.readouterr().out
        assert main([*table, *options, "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert {row["protocol"] for row in rows["rows"]} >= {"linear"}
        assert "linear" in words and "50" in words


@real_files
def test_real_ntu_files(tmp_path, capsys):
    folder = FIXTURES / "ntu"
    assert main(["prepare", str(folder), "-o", str(tmp_path / "corpus"), "-q"]) == 0
    arguments = ["--data", str(tmp_path / "corpus"), "-o", str(tmp_path / "run"), "--device", "cpu", "-q"]
    assert main(["pretrain", "i2md", *arguments, "--set", *PAPER, "encoder.backbone.hidden=16"]) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "model"), "-q"]) == 0
    rows = tmp_path / "rows.npz"
    assert main(["embed", str(folder), "-m", str(tmp_path / "model"), "-o", str(rows), "-q"]) == 0
    with np.load(rows) as stored:
        assert stored["embeddings"].shape == (5, 32) and np.isfinite(stored["embeddings"]).all()
        assert stored["labels"].tolist() == [0, 1, 2, 3, 4]
    assert main(["knn", str(rows), str(rows), "-k", "1", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["1"] == 1.0  # every clip is its own nearest neighbour
