"""Seeds of what skelrep itself keeps: embeddings, models, corpora, runs, and the checkpoints of CMD."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from skelrep.io import embeddings
from skelrep.skeletons import SKELETONS
from tests.corpus_data import recordings, small
from tests.fuzz.seeds.documents import json_lines
from tests.fuzz.seeds.seed import Seed, body, single

RECIPE = small(steps=2, batch=3)


def _rows() -> embeddings.Embeddings:
    return embeddings.Embeddings.of(
        body("kinect-20"), np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32), "m"
    )


def embeddings_npz(folder: Path) -> Seed:
    embeddings.save(_rows(), folder / "a.npz")
    return single(folder / "a.npz", kind="embeddings")


def embeddings_parquet(folder: Path) -> Seed:
    embeddings.save(_rows(), folder / "a.parquet")
    return single(folder / "a.parquet", kind="embeddings")


def model(folder: Path) -> Seed:
    import torch

    from skelrep import Encoder, EncoderConfig, save_pretrained
    from skelrep.encoder.convolution import ConvolutionConfig

    torch.manual_seed(0)
    save_pretrained(Encoder(EncoderConfig(backbone=ConvolutionConfig(width=8, blocks=1))), folder / "model")
    files = folder / "model" / "config.json", folder / "model" / "model.safetensors"
    return Seed("model", folder / "model", files, {})


def corpus(folder: Path) -> Seed:
    from skelrep.train.prepare import prepare

    body("kinect-20").save(folder / "poses.npz")
    prepare([str(folder / "poses.npz")], str(folder / "corpus"), skeleton="common-15")
    return Seed("training_corpus", folder / "corpus", tuple(sorted((folder / "corpus").iterdir())), {})


def corpus_poses(folder: Path) -> Seed:
    return dataclasses.replace(corpus(folder), kind="poses")


def corpus_pieces(folder: Path) -> Seed:
    return dataclasses.replace(corpus(folder), kind="pieces")


def cmd_checkpoint(folder: Path) -> Seed:
    import torch

    from skelrep import Encoder, EncoderConfig
    from skelrep.encoder.recurrent import RecurrentConfig
    from skelrep.hub.cmd_checkpoint import _cmd_name
    from skelrep.preprocess_config import CMD_LINE

    config = EncoderConfig(
        SKELETONS["ntu-25"], ("joint",), CMD_LINE, RecurrentConfig(hidden=4, layers=1), fusion="mean"
    )
    state = {_cmd_name(name): tensor for name, tensor in Encoder(config).state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "a.pth.tar")
    return single(folder / "a.pth.tar", kind="checkpoint")


def embeddings_npy(folder: Path) -> Seed:
    embeddings.save(_rows(), folder / "a.npy")
    return single(folder / "a.npy", kind="embeddings")


def run(folder: Path) -> Seed:
    """A run that is over, with the encoder that it wrote; read by `export`, and when it is resumed."""
    from skelrep.train.data import Corpus
    from skelrep.train.loop import pretrain
    from skelrep.train.prepare import prepare

    recordings(3, 40).save(folder / "poses.npz")
    prepare([str(folder / "poses.npz")], str(folder / "corpus"), skeleton="common-15")
    corpus = Corpus.load(folder / "corpus", RECIPE.encoder)
    pretrain(RECIPE, corpus, folder / "run", save_every=1, show_progress=False)
    files = tuple(folder / "run" / name for name in ("checkpoint.pt", "recipe.json", "corpus.json", "log.jsonl"))
    return Seed("run", folder / "run", files, {"corpus": str(folder / "corpus")})


def run_info(folder: Path) -> Seed:
    return _command(run(folder), "info", "PATH")


def runs_listed(folder: Path) -> Seed:
    return _command(run(folder), "runs", "PATH")


def corpus_info(folder: Path) -> Seed:
    return _command(corpus(folder), "info", "PATH")


def model_info(folder: Path) -> Seed:
    return _command(model(folder), "info", "PATH")


def classifier_info(folder: Path) -> Seed:
    return _command(classifier(folder), "info", "PATH")


def embeddings_info(folder: Path) -> Seed:
    return _command(embeddings_npz(folder), "info", "PATH")


def embeddings_searched(folder: Path) -> Seed:
    return _command(embeddings_npz(folder), "search", "PATH", "PATH", "-k", "1")


def poses_checked(folder: Path) -> Seed:
    return _command(json_lines(folder), "info", "--check", "PATH")


def _command(seed: Seed, *words: str) -> Seed:
    """The same input, given to a command."""
    return dataclasses.replace(seed, kind="command", options={"words": words})


def results(folder: Path) -> Seed:
    """Measured results for a model card, which `export` takes."""
    made = run(folder)
    entries = [{"dataset": "d", "protocol": "1-NN", "metric": "accuracy (%)", "value": 61.5, "sd": 0.4}]
    (folder / "results.json").write_text(json.dumps(entries))
    return Seed("run", made.path, (folder / "results.json",), {"results": str(folder / "results.json")})


def classifier(folder: Path) -> Seed:
    import torch

    from skelrep import Encoder
    from skelrep.recordings import Classifier

    torch.manual_seed(0)
    encoder = Encoder(RECIPE.encoder)
    rows = np.random.default_rng(0).normal(size=(8, encoder.dim)).astype(np.float32)
    Classifier(encoder).fit(rows, np.arange(8) % 2).save(folder / "head")
    files = tuple(file for file in sorted((folder / "head").iterdir()) if file.suffix in (".json", ".safetensors"))
    return Seed("classifier", folder / "head", files, {})


def events_csv(folder: Path) -> Seed:
    return _events(folder / "a.csv")


def events_json(folder: Path) -> Seed:
    return _events(folder / "a.json")


def events_lines(folder: Path) -> Seed:
    return _events(folder / "a.jsonl")


def events_parquet(folder: Path) -> Seed:
    return _events(folder / "a.parquet")


def _events(path: Path) -> Seed:
    from skelrep.recordings import Event, Events

    Events.of([Event("a", i, i + 0.5, f"action {i}", 0.9, "Anna") for i in range(4)]).save(path)
    return single(path, kind="events")
