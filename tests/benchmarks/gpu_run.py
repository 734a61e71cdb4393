"""Everything that a GPU is needed for, in one run of limited time: equality, speed, and training of `i2md_small`.

    python -m tests.benchmarks.gpu_run -o OUT [--minutes 9] [--data CORPUS] [--device cuda] [--quick]

Every result is a line of OUT/results.jsonl as soon as it is known, so that a run that is cut off leaves what it has
measured; a part that fails leaves its error and the next one begins. In the time that is left, `i2md_small` is trained
on CORPUS (a folder of `skelrep prepare`; without one, on made-up recordings) in OUT/run, which the same command
resumes; its last checkpoint is exported to OUT/encoder.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skelrep import load_pretrained
from skelrep.encoder import Encoder
from skelrep.poses import as_poses
from skelrep.train.accumulation import losses_with_gradients
from skelrep.train.data import Corpus
from skelrep.train.i2md import LOSSES, Method
from skelrep.train.loop import Stopped, _views, pretrain
from skelrep.train.recipes import Recipe, i2md_small, paper
from skelrep.train.run import export, run
from tests.benchmarks import performance_gpu
from tests.benchmarks.measuring import Row, bandwidth, peaks
from tests.benchmarks.workloads import NTU, QUICK, Sizes, paper_encoder, raw_clips
from tests.corpus_data import corpus_of, pairs, recordings

LEFT_FOR_EXPORT = 15.0  # seconds


def main(words: Sequence[str] | None = None, sizes: Sizes | None = None) -> None:
    """Runs all parts; `sizes` replaces those of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument("--minutes", type=float, default=9.0, help="of all parts together (default: %(default)s)")
    parser.add_argument("--data", type=Path, metavar="CORPUS", help="what i2md_small is trained on")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="changes of i2md_small's recipe")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args(words)
    end, device = time.time() + 60 * arguments.minutes, arguments.device
    sizes = sizes or (QUICK if arguments.quick else Sizes())
    arguments.output.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], Any]] = {
        "machine": lambda: machine(sizes, device),
        "equality": lambda: equality(sizes, device),
        "embedding": lambda: performance_gpu.gpu_embedding(sizes, device),
        "small step": lambda: performance_gpu.gpu_small_step(sizes, device),
        "paper step": lambda: performance_gpu.gpu_paper_step(sizes, device),
        "training": lambda: training(arguments, end),
    }
    for name, part in parts.items():
        begin, found, error = time.time(), [], None
        if begin >= end:
            error = "no time was left"
        else:
            try:
                found = part()
            except Exception:  # the parts after it are worth their time
                error = traceback.format_exc()
        line = {"part": name, "seconds": round(time.time() - begin, 1), "error": error}
        line["rows"] = [row._asdict() | {"met": row.met} for row in found]
        with (arguments.output / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name}: {line['seconds']} s{'' if error is None else f', {error}'}", flush=True)
        for row in found:
            mark = "  MISSED" if row.met is False else ""
            share = "" if row.of_limit is None else f"  {100 * row.of_limit:.0f} % of the limit"
            print(f"  {row.name}: {row.figure:.6g} {row.unit}{share}{mark}", flush=True)


def machine(sizes: Sizes, device: str) -> list[Row]:
    """The limits: rates of products and of copies."""
    name = torch.cuda.get_device_name() if device == "cuda" else device
    table = [Row(f"{name}, copies", bandwidth(device) / 1e9, "GB/s")]
    for precision, peak in peaks(sizes.product[1], device).items():
        peak.run()
        begin = time.perf_counter()
        for _ in range(5):
            peak.run()
        table.append(Row(f"{name}, {precision}", 5e-12 * peak.operations / (time.perf_counter() - begin), "TFLOP/s"))
    return table


def equality(sizes: Sizes, device: str) -> list[Row]:
    """Results on the device against those of the CPU, and of readable forms, in float32."""
    with full_precision():
        return [
            *_equal_embeddings(sizes, device),
            *_equal_losses(device),
            *_equal_accumulation(device),
            _equal_resumption(device),
        ]


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Products in float32 without TF32, which cuDNN's GRUs use by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _equal_embeddings(sizes: Sizes, device: str) -> list[Row]:
    torch.manual_seed(0)
    clips = as_poses(raw_clips(min(64, sizes.clips), gaps=0.2), skeleton=NTU, fps=30.0)
    table = []
    for name, encoder in (
        ("i2md-small", load_pretrained("i2md-small", device="cpu")),
        (f"paper's, hidden {sizes.hidden}", Encoder(paper_encoder(sizes.hidden)).eval()),
    ):
        expected = encoder.embed(clips, show_progress=False)
        encoder = encoder.to(device)
        for precision, least in (("float32", 0.99999), ("bfloat16", 0.999)):
            got = encoder.embed(clips, show_progress=False, precision=precision)
            cosine = (got * expected).sum(axis=1) / (np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1))
            label = f"{name}: lowest cosine of an embedding in {precision} to the CPU's"
            table.append(Row(label, float(cosine.min()), "", at_least=least))
    return table


def _small() -> tuple[Recipe, Recipe]:
    """Recipes with both backbones and all losses, of sizes that need no time."""
    one = i2md_small()
    backbone = dataclasses.replace(one.encoder.backbone, width=32)
    encoder = dataclasses.replace(one.encoder, backbone=backbone)
    method = dataclasses.replace(one.method, slots=256, neighbours=128)
    one = dataclasses.replace(one, encoder=encoder, method=method, batch=32, steps=6, precision="float32")
    two = paper("i2md")
    encoder = dataclasses.replace(two.encoder, backbone=dataclasses.replace(two.encoder.backbone, hidden=32))
    return one, dataclasses.replace(two, encoder=encoder, method=method, batch=32, steps=6, epochs=0)


def _method(recipe: Recipe, device: str) -> Method:
    torch.manual_seed(0)
    method = Method(Encoder(recipe.in_training), recipe.method)  # on the CPU, whose random numbers are the same
    method.memory.clip.copy_(torch.arange(len(method.memory.clip)))
    return method.to(device).train()


def _fixed_views(recipe: Recipe, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        poses = recordings(40, frames=200) if recipe.window else pairs(40)
        corpus = Corpus.load(corpus_of(poses, Path(folder) / "corpus"), recipe.encoder)
        torch.manual_seed(1)
        first, second, clip = _views(recipe, corpus, 0)
    return first.to(device), second.to(device), clip.to(device)


def _gradients(method: Method) -> torch.Tensor:
    return torch.cat([p.grad.flatten().cpu() for p in method.parameters() if p.grad is not None])


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _equal_losses(device: str) -> list[Row]:
    """Losses and gradients of a batch: on the device, on the CPU, and in the readable form on the device."""
    table = []
    for recipe in _small():
        name = type(recipe.encoder.backbone).__name__
        found = {}
        for where in dict.fromkeys(("cpu", device)):
            method = _method(recipe, where)
            losses = method(*_fixed_views(recipe, where))
            losses["total"].backward()
            found[where] = losses["total"].detach().cpu(), _gradients(method)
        method = _method(recipe, device)
        batch, _ = method.batch(*_fixed_views(recipe, device))
        total = sum(getattr(recipe.method, loss) * part(batch).sum() for loss, part in LOSSES.items())
        total.backward()  # type: ignore[union-attr]
        readable = total.detach().cpu(), _gradients(method)  # type: ignore[union-attr]
        for what, other in (("the CPU's", found["cpu"]), ("the readable losses'", readable)):
            loss, gradient = (_difference(a, b) for a, b in zip(found[device], other))
            table.append(Row(f"{name}: relative difference of the loss to {what}", loss, "", at_most=1e-4))
            table.append(Row(f"{name}: relative difference of the gradient to {what}", gradient, "", at_most=1e-2))
    return table


def _equal_accumulation(device: str) -> list[Row]:
    """The recurrent step in four parts against the step on the whole batch."""
    recipe, found = _small()[1], []
    for parts in (1, 4):
        method = _method(recipe, device)
        losses_with_gradients(method, method, method, _fixed_views(recipe, device), parts)
        method.after_step()
        stack: Any = method.encoder.network("joint")
        found.append((_gradients(method), method.memory.bank.cpu(), stack.norm.running_var.cpu()))
    return [
        Row(f"accumulate=4: relative difference of the {what} to the whole batch", _difference(b, a), "", at_most=1e-3)
        for what, a, b in zip(("gradient", "banks", "statistics"), *found)
    ]


def _equal_resumption(device: str) -> Row:
    """Whether a stopped run ends with the same weights as another one; atomic additions of a GPU may differ."""
    recipe = _small()[0]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.load(corpus_of(recordings(40, frames=200), Path(folder) / "corpus"), recipe.encoder, device)
        whole = pretrain(recipe, corpus, Path(folder) / "whole", save_every=3, show_progress=False)
        with contextlib.suppress(Stopped):
            pretrain(recipe, corpus, Path(folder) / "run", save_every=3, show_progress=False, until=0.0)
        resumed = pretrain(recipe, corpus, Path(folder) / "run", save_every=3, show_progress=False)
    same = [torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values())]
    return Row("tensors of a resumed run that are bit-identical", 100 * float(np.mean(same)), "%", at_least=100)


def training(arguments: argparse.Namespace, end: float) -> list[Row]:
    """Trains `i2md_small` until the end, and exports its last checkpoint."""
    output = arguments.output
    data = arguments.data
    if data is None:
        data = output / "corpus"
        if not data.exists():
            corpus_of(recordings(100, frames=600), data)
    lines: list[dict[str, float]] = []
    until = max(time.time() + 1, end - LEFT_FOR_EXPORT)
    train = partial(run, "i2md_small", data, output / "run", changes=arguments.set, device=arguments.device)
    with contextlib.suppress(Stopped):
        train(until=until, on_line=lambda line, *_: lines.append(line), show_progress=False)
    shutil.rmtree(output / "encoder", ignore_errors=True)
    export(output / "run", output / "encoder")
    last = lines[-1] if lines else {}
    return [
        Row("i2md_small: steps", last.get("step", 0), "steps"),
        Row("i2md_small: loss", last.get("total", 0), "nats"),
        Row("i2md_small: rate", last.get("clips_per_second", 0), "clips/s"),
    ]


if __name__ == "__main__":
    main()
