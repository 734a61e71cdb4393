"""How fast is it? Every figure is measured beside a plain baseline and beside the machine's own limit, in one run.

`python -m tests.benchmarks` prints them. This file reads downwards: how time and memory are measured; the baselines,
written from the description of the public code of this line of work; the measurements, each a function of `Sizes` that
returns rows of the table.

A ratio is the median over rounds of two times of the same round, after a warm-up, so that a busy moment of the machine
meets both. The limit is the rate of the fastest matrix product of 2048 x 2048 that torch, numpy or
`skelrep.matmul.Product` reaches, in the same rounds; what a case needs is counted by formula.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skelrep import embed, knn_eval, linear_eval, load_pretrained, retrieve
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.modalities import modality
from skelrep.encoder.recurrent import RecurrentStack
from skelrep.evaluate.inputs import BLOCK_BYTES
from skelrep.evaluate.linear import CANDIDATES_OF_C
from skelrep.evaluate.logistic import regularisation_path
from skelrep.matmul import PRECISIONS, Product
from skelrep.poses import as_poses
from skelrep.skeletons import SKELETONS, mapping
from skelrep.train.augment import distort
from skelrep.train.data import Corpus
from skelrep.train.i2md import Method, MethodConfig
from skelrep.train.loop import _views, pretrain
from skelrep.train.recipes import LOSSES, Recipe, i2md_small, paper
from tests.corpus_data import another_process, corpus_of, pairs, recordings

NTU = SKELETONS["ntu-25"]


@dataclass(frozen=True)
class Sizes:
    """Of everything that is measured; the goals are for the defaults.

    Attributes:
        rounds: In which times are compared; a third, but two at least, of what takes minutes.
        product: Rows and columns of the products that tell the machine's limit, on a CPU and on a GPU.
        hidden: Of the paper's GRUs in inference.
        trained_hidden: Of the paper's GRUs in training.
        batch: Clips.
        gpu_batches: Clips at once on a GPU.
        clips: Raw ones that the encoder in the box embeds.
        gallery: Rows that `knn_eval` searches.
        queries: Rows that it classifies.
        dim: Of the rows of kNN and of the linear probe.
        bank: Rows that `retrieve` searches, of 256 numbers.
        searches: Queries to the bank.
        probe: Rows that the linear probe is trained on.
        slots: Of the memory banks of the loss part; half of them are neighbours.
        steps: Of training in a round.
        gpu_steps: Of training in a round on a GPU.
    """

    rounds: int = 5
    product: tuple[int, int] = (2048, 8192)
    hidden: int = 1024
    trained_hidden: int = 1024
    batch: int = 64
    gpu_batches: tuple[int, ...] = (64, 512)
    clips: int = 10_000
    gallery: int = 40_000
    queries: int = 16_000
    dim: int = 2048
    bank: int = 1_000_000
    searches: int = 1000
    probe: int = 40_000
    slots: int = 16_384
    steps: int = 3
    gpu_steps: int = 20

    @property
    def few(self) -> int:
        """Rounds of what takes minutes."""
        return min(self.rounds, max(2, self.rounds // 3))


#: To see that everything works; its ratios are not those of the goals.
QUICK = Sizes(
    rounds=2,
    hidden=256,
    trained_hidden=64,
    clips=500,
    gallery=8000,
    queries=2000,
    bank=100_000,
    searches=200,
    probe=2000,
)
CLASSES = 60


class Row(NamedTuple):
    """One line of the table."""

    name: str
    figure: float
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None
    of_limit: float | None = None  # share of the fastest product's rate

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.figure >= self.at_least) and (
            self.at_most is None or self.figure <= self.at_most
        )


# -- time and memory --------------------------------------------------------------------------------------------------

Seconds = dict[str, np.ndarray]


def rounds(count: int, cases: dict[str, Callable[[], Any]], warm: bool = True) -> Seconds:
    """Wall-clock seconds of every case, (count,) each, in turns. A case that returns a float has timed itself."""
    if warm:
        for case in cases.values():
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(count):
        for name, case in cases.items():
            begin = time.perf_counter()
            own = case()
            seconds[name].append(own if isinstance(own, float) else time.perf_counter() - begin)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times as long the one takes as the other: the median over rounds."""
    return float(np.median(seconds[slow] / seconds[fast]))


def rate(seconds: Seconds, case: str, units: float) -> float:
    return float(units / np.median(seconds[case]))


@functools.cache
def products(side: int, device: str = "cpu") -> dict[str, dict[str, Callable[[], Any]]]:
    """Products of square matrices: for each precision by what makes them, without those that the machine has not."""
    one, other = torch.rand(2, side, side, device=device) - 0.5
    found: dict[str, dict[str, Callable[[], Any]]] = {}
    for precision in PRECISIONS if device == "cpu" else PRECISIONS[:2]:
        kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}[precision]
        a, b = ((254 * x).round().to(kind) if precision == "int8" else x.to(kind) for x in (one, other))
        product = torch._int_mm if precision == "int8" else torch.mm
        cases = {"torch": synchronised(functools.partial(product, a, b), device)}
        if device == "cpu":
            cases["skelrep"] = functools.partial(Product(other, torch.zeros(side), precision), one)
        if device == "cpu" and precision == "float32":
            cases["numpy"] = functools.partial(np.matmul, one.numpy(), other.numpy())
        for maker, case in cases.items():
            try:
                case()
            except RuntimeError:  # an operator that this torch or this machine lacks
                continue
            found.setdefault(precision, {})[maker] = case
    return found


class Peak(NamedTuple):
    """The fastest matrix product of a precision."""

    run: Callable[[], Any]
    operations: float


@functools.cache
def peaks(side: int, device: str = "cpu") -> dict[str, Peak]:
    """By precision."""
    found = {}
    for precision, makers in products(side, device).items():
        seconds = rounds(3, makers)
        fastest = min(makers, key=lambda maker: np.median(seconds[maker]))
        found[precision] = Peak(makers[fastest], 2.0 * side**3)
    return found


def with_peaks(limits: dict[str, Peak], cases: dict[str, Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
    return {**cases, **{f"peak {precision}": peak.run for precision, peak in limits.items()}}


def of_limit(
    seconds: Seconds, case: str, operations: float, limits: dict[str, Peak], precision: str = "float32"
) -> float:
    """Share of the fastest product's rate that a case of so many operations reaches: the median over rounds."""
    return ratio(seconds, f"peak {precision}", case) * operations / limits[precision].operations


def synchronised(case: Callable[[], Any], device: str) -> Callable[[], Any]:
    """On a GPU a case ends when its last kernel does."""
    if device == "cpu":
        return case

    def run() -> Any:
        torch.cuda.synchronize()
        result = case()
        torch.cuda.synchronize()
        return result

    return run


def _own_bytes() -> int:
    """Resident memory of this process that is no file's: a memory map costs none."""
    resident, shared = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * 4096


def _report_peak(sender: Any, make: Callable[..., Callable[[], Any]], arguments: tuple) -> None:
    work = make(*arguments)
    before, most, over = _own_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, _own_bytes())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    over.set()
    watcher.join()
    sender.send(most - before)


def extra_megabytes(make: Callable[..., Callable[[], Any]], *arguments: Any) -> float | None:
    """The most memory that `make(*arguments)()` has beyond what it was made with, in a process with a fresh heap.

    None where the system does not tell (other than Linux).
    """
    if not Path("/proc/self/statm").exists():
        return None
    receiver, sender = Pipe(duplex=False)
    process = another_process(_report_peak, sender, make, arguments)
    process.start()
    sender.close()
    most = receiver.recv()  # EOFError if the process died
    process.join()
    return most / 1e6


# -- baselines --------------------------------------------------------------------------------------------------------


class Stepping(nn.Module):
    """The paper's GRUs as the public code runs them: a bidirectional GRU is called frame by frame."""

    def __init__(self, stack: RecurrentStack) -> None:
        """With a copy of the weights of a stack."""
        super().__init__()
        self.norm = copy.deepcopy(stack.norm)
        layers: Any = stack.layers
        self.gru = nn.GRU(
            stack.norm.num_features, stack.dim // 2, len(layers), batch_first=True, bidirectional=True
        ).to(stack.norm.weight.device)
        weights = {}
        for layer, pair in enumerate(layers):
            for gru, side in zip(pair, ("", "_reverse")):
                weights |= {key.replace("_l0", f"_l{layer}{side}"): value for key, value in gru.state_dict().items()}
        self.gru.load_state_dict(weights)
        self.train(stack.training)

    def forward(self, poses: Tensor) -> Tensor:
        """(N, M, T, V, 3) to (N, dim)."""
        x = poses.permute(0, 2, 3, 4, 1).flatten(2)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        out, state = x, None
        for frame in range(x.shape[1]):
            out, state = self.gru(x[:, frame : frame + 1], state)
        return out[:, 0]


def views_one_by_one(clips: Sequence[np.ndarray], encoder: Encoder, skeleton: Any = NTU) -> dict[str, np.ndarray]:
    """`Encoder.prepare` of the encoder in the box and the three modalities, a clip and a person at a time.

    Args:
        clips: N arrays (M, T, V, 3) without gaps, of at most two persons.
        encoder: With the default preprocessing.
        skeleton: Of the clips.

    Returns:
        For each modality (N, 2, 64, W, 3).
    """
    own = encoder.skeleton
    matrix = mapping(skeleton, own)

    def place(pose: np.ndarray, *joints: str) -> np.ndarray:
        return np.mean([pose[:, own.joints.index(joint)] for joint in joints], axis=0)

    views: dict[str, list[np.ndarray]] = {"joint": [], "bone": [], "motion": []}
    for clip in clips:
        joint = np.zeros((2, 64, len(own), 3), dtype=np.float32)
        for person, track in enumerate(clip):
            rows = torch.from_numpy(track.reshape(len(track), -1).T[None])
            rows = functional.interpolate(rows, size=64, mode="linear", align_corners=False)[0].numpy().T
            pose = np.stack([matrix @ frame for frame in rows.reshape(64, -1, 3)])
            hips, shoulders = place(pose, "mid_hips"), place(pose, "mid_shoulders")
            legs = place(pose, "mid_hips", "left_knee", "right_knee", "left_ankle", "right_ankle")
            up = (shoulders - legs).mean(axis=0)
            up /= np.linalg.norm(up)
            right = (place(pose, "right_shoulder") - place(pose, "left_shoulder")).mean(axis=0)
            right -= (right @ up) * up
            right /= np.linalg.norm(right)
            turn = np.stack([right, np.cross(up, right), up])
            size = np.linalg.norm(shoulders - hips, axis=1).mean()
            origin = (hips + shoulders) / 2
            joint[person] = np.stack([(frame - middle) @ turn.T / size for frame, middle in zip(pose, origin)])
        bone, motion = np.zeros_like(joint), np.zeros_like(joint)
        for child, parent in enumerate(own.parents):
            bone[:, :, child] = joint[:, :, child] - joint[:, :, parent]
        for frame in range(63):
            motion[:, frame] = joint[:, frame + 1] - joint[:, frame]
        for name, view in (("joint", joint), ("bone", bone), ("motion", motion)):
            views[name].append(view)
    return {name: np.stack(parts) for name, parts in views.items()}


def naive_losses(
    query: Sequence[Tensor], key: Sequence[Tensor], banks: Sequence[Tensor], config: MethodConfig
) -> Tensor:
    """CMD's losses of unit vectors (B, P) and banks (K, P), one a stream, as their formulas are first written down.

    Positive and negative logits are concatenated for a cross entropy, and each teacher's neighbours are sorted and
    gathered.
    """
    total = torch.zeros((), device=query[0].device)
    negatives = [q @ bank.T for q, bank in zip(query, banks)]
    for q, k, negative in zip(query, key, negatives):
        logits = torch.cat([(q * k).sum(dim=1, keepdim=True), negative], dim=1) / config.temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        total = total + functional.cross_entropy(logits, target)
    for teacher, (k, bank) in enumerate(zip(key, banks)):
        similar, chosen = (k @ bank.T).topk(config.neighbours, dim=1, sorted=True)
        target = (similar / config.teacher_temperature).softmax(dim=1)
        for student, negative in enumerate(negatives):
            if student != teacher:
                logits = negative.gather(1, chosen) / config.student_temperature
                total = total + functional.kl_div(logits.log_softmax(dim=1), target, reduction="batchmean")
    return total


class NaiveTraining(nn.Module):
    """A step of CMD's training in its plain form: GRUs stepped frame by frame, `naive_losses`, a stream at a time."""

    def __init__(self, method: Method, recipe: Recipe) -> None:
        """With copies of the weights and banks of a method with CMD's losses; recipe: its SGD is taken."""
        super().__init__()
        self.config, self.parents = method.config, method.encoder.skeleton.parents

        def encoders(streams: Any, heads: Any) -> nn.ModuleDict:
            return nn.ModuleDict(
                {name: nn.Sequential(Stepping(streams[name]), copy.deepcopy(heads[name][0])) for name in streams}
            )

        self.query = encoders(method.encoder.streams, method.heads)
        self.key = encoders(method.key["streams"], method.key["heads"])
        self.banks = list(method.memory.bank[0].clone())
        self.cursor = 0
        self.optimizer = torch.optim.SGD(
            self.query.parameters(), lr=recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
        )

    def step(self, first: Tensor, second: Tensor) -> Tensor:
        """One step on two views (B, M, T, V, 3); the loss before it."""
        query = [self._project(encoder, name, first) for name, encoder in self.query.items()]
        with torch.no_grad():
            key = [self._project(encoder, name, second) for name, encoder in self.key.items()]
        loss = naive_losses(query, key, self.banks, self.config)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.key.parameters(), self.query.parameters()):
                slow.data = slow.data * self.config.momentum + fast.data * (1 - self.config.momentum)
        for bank, k in zip(self.banks, key):
            bank[self.cursor : self.cursor + len(k)] = k
        self.cursor = (self.cursor + len(first)) % self.config.slots
        return loss.detach()

    def _project(self, encoder: nn.Module, name: str, view: Tensor) -> Tensor:
        return functional.normalize(encoder(modality(name, view, self.parents)), dim=1)


# -- what is counted --------------------------------------------------------------------------------------------------


def operations(config: EncoderConfig, method: MethodConfig | None = None) -> float:
    """Additions and multiplications that the products of an encoder, and of a method's heads, need for one clip."""
    persons, frames, pose = config.preprocess.persons, config.preprocess.frames, 3 * len(config.skeleton)
    backbone = config.backbone
    if isinstance(backbone, ConvolutionConfig):
        width, kernel = backbone.width, backbone.kernel
        block = 2 * width * 2 * width + width * kernel
        entry, spans = kernel * pose * width, backbone.spans * width
        stream = persons * (frames // backbone.stride) * (entry + backbone.blocks * block + spans)
        dim = width * (backbone.spans + (backbone.spread > 0))
    else:
        hidden = backbone.hidden
        widths = [pose * persons] + [2 * hidden] * (backbone.layers - 1)
        stream = frames * sum(2 * 3 * hidden * (width + hidden) for width in widths)
        dim = 2 * hidden
    stream += 0 if method is None else method.branches * dim * (dim + method.projection)
    return 2.0 * len(config.modalities) * stream


def step_operations(recipe: Recipe) -> float:
    """Of the networks in a training step: the query forwards and twice as much back, the key forwards."""
    return 4 * recipe.batch * operations(recipe.encoder, recipe.method)


# -- inputs -----------------------------------------------------------------------------------------------------------


def raw_clips(count: int, gaps: float = 0.0) -> list[np.ndarray]:
    """Two persons, 25 joints, about 100 frames; a share of the clips lacks one joint in a tenth of the frames."""
    rng = np.random.default_rng(0)
    clips = []
    for frames in rng.integers(50, 151, size=count):
        clip = rng.standard_normal((2, frames, 25, 3), dtype=np.float32)
        if rng.random() < gaps:
            clip[0, rng.random(frames) < 0.1, 3] = np.nan
        clips.append(clip)
    return clips


def rows_of_classes(count: int, dim: int, seed: int, strength: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """(count, dim) rows scattered about the middles of 60 classes, and their labels."""
    middles = np.random.default_rng(0).standard_normal((CLASSES, dim), dtype=np.float32)
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    return strength * middles[labels] + rng.standard_normal((count, dim), dtype=np.float32), labels


def paper_encoder(hidden: int) -> EncoderConfig:
    config = paper("cmd").encoder
    return dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, hidden=hidden))


# -- measurements: embedding ------------------------------------------------------------------------------------------


def limits(sizes: Sizes) -> list[Row]:
    """What the machine itself does."""
    side, table = sizes.product[0], []
    for precision, makers in products(side).items():
        seconds = rounds(2 * sizes.rounds, makers)
        table += [
            Row(f"{precision} product of {side} x {side}, {maker}", rate(seconds, maker, 2e-9 * side**3), "GFLOP/s")
            for maker in makers
        ]
    return table


# At paper size, by precision: ratio to the per-frame loop, and cosine to float32.
EMBEDDING_GOALS = {"float32": (3.0, None), "bfloat16": (5.5, 0.9999), "int8": (7.5, 0.999)}


def settled(config: EncoderConfig, count: int) -> tuple[Encoder, Tensor]:
    """An encoder of the paper line with random weights, and prepared clips, whose statistics its BatchNorms hold.

    So inputs that never vary, as the joint in the origin, are divided by next to nothing, as in trained encoders.
    """
    torch.manual_seed(0)
    encoder = Encoder(config)
    poses = encoder.prepare(pairs(max(count, 16)))
    for name, stack in encoder.streams.items():
        stack.norm.momentum = 1.0  # type: ignore[union-attr]
        flat = modality(name, poses, encoder.skeleton.parents).permute(0, 2, 3, 4, 1).flatten(2)
        stack.norm.train()(flat.transpose(1, 2))  # type: ignore[union-attr,operator]
    return encoder.eval(), poses[:count]


@torch.inference_mode()
def embedding(sizes: Sizes) -> list[Row]:
    """Networks at paper size against the per-frame loop."""
    limit = peaks(sizes.product[0])
    with torch.inference_mode(False):
        encoder, prepared = settled(paper_encoder(sizes.hidden), sizes.batch)
        stepping = {name: Stepping(stack) for name, stack in encoder.streams.items()}  # type: ignore[arg-type]
    parents, table = encoder.skeleton.parents, []
    # A CPU without units for bfloat16 owes nothing there.
    has_bfloat16 = ratio(rounds(3, with_peaks(limit, {})), "peak float32", "peak bfloat16") > 1.3

    def loop(streams: Sequence[str], poses: Tensor) -> dict[str, Tensor]:
        return {name: stepping[name](modality(name, poses, parents)) for name in streams}

    joint, everything = ("joint",), encoder.config.modalities
    for streams, batch in ((joint, sizes.batch), (everything, sizes.batch), (joint, 8), (joint, 1)):
        poses = prepared[:batch]
        cases: dict[str, Callable[[], Any]] = {"loop": functools.partial(loop, streams, poses)}
        for precision in PRECISIONS:
            cases[precision] = functools.partial(encoder.features, poses, streams, precision)
        seconds = rounds(sizes.rounds, with_peaks(limit, cases))
        label = f"hidden {sizes.hidden}, {len(streams)} stream{'s' * (len(streams) > 1)}, batch {batch}"
        needed = batch * operations(encoder.config) * len(streams) / len(everything)
        share = of_limit(seconds, "loop", needed, limit)
        table.append(Row(f"{label}, per-frame loop", rate(seconds, "loop", batch), "clips/s", of_limit=share))
        for precision in PRECISIONS:
            goal = EMBEDDING_GOALS[precision][0] if batch == sizes.batch else None
            goal = None if precision == "bfloat16" and not has_bfloat16 else goal
            share = of_limit(seconds, precision, needed, limit, precision)
            row = Row(f"{label}, {precision}: x the loop", ratio(seconds, "loop", precision), at_least=goal)
            table.append(row._replace(of_limit=share))
            if precision == "float32" and goal:
                table.append(Row(f"{label}, {precision}: share of the peak", 100 * share, "%", at_least=85))
        if batch == 1:
            table += [
                Row(f"{label}, {precision}: time", 1e3 * float(np.median(seconds[precision])), "ms")
                for precision in PRECISIONS
            ]
        if streams == everything:
            exact, *others = (encoder.features(poses, streams, precision) for precision in PRECISIONS)
            for precision, features in zip(PRECISIONS[1:], others):
                least = min(functional.cosine_similarity(exact[name], features[name]).min().item() for name in streams)
                goal = EMBEDDING_GOALS[precision][1]
                table.append(Row(f"{label}, {precision}: least cosine to float32", least, "", at_least=goal))
    return table


FRAME = 33  # milliseconds from one frame of a camera to the next


def box(sizes: Sizes) -> list[Row]:
    """The encoder in the box on raw clips, against the per-frame loop at paper size over three streams."""
    limit = peaks(sizes.product[0])
    encoder, batch, count = load_pretrained("i2md-small"), sizes.batch, sizes.clips
    clips, names, parents = raw_clips(count), encoder.config.modalities, encoder.skeleton.parents
    torch.manual_seed(0)
    large = Encoder(paper_encoder(sizes.hidden))
    stepping = {name: Stepping(stack) for name, stack in large.streams.items()}  # type: ignore[arg-type]
    normal = torch.randn(batch, 2, 64, 25, 3)
    some = as_poses(clips[:batch], skeleton=NTU)
    with_gaps = as_poses(raw_clips(batch, gaps=0.1), skeleton=NTU)

    def whole(out: np.ndarray | None = None, precision: str = "float32") -> None:
        embed(clips, encoder, skeleton=NTU, out=out, precision=precision, show_progress=False)

    def prepare() -> None:
        poses = as_poses(clips, skeleton=NTU)
        for begin in range(0, count, batch):
            encoder.prepare(poses[begin : begin + batch])

    def views() -> dict[str, Tensor]:
        prepared = encoder.prepare(some)
        return {name: modality(name, prepared, parents) for name in names}

    def frame_of_stream(precision: str) -> float:
        stream = large.stream(precision=precision)
        for frame in some.clips[0].swapaxes(0, 1)[:10]:
            begin = time.perf_counter()
            stream.step(frame)
            last = time.perf_counter() - begin
        return last

    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        out = np.lib.format.open_memmap(Path(folder) / "rows.npy", "w+", np.float32, (count, encoder.dim))
        cases: dict[str, Callable[[], Any]] = {
            "whole": whole,
            "memory map": functools.partial(whole, out),
            "bfloat16": functools.partial(whole, precision="bfloat16"),
            "prepare": prepare,
            "loop": lambda: [stepping[n](modality(n, normal, large.skeleton.parents)) for n in names],
        }
        seconds = rounds(sizes.few, with_peaks(limit, cases))
        del out
        prepared = encoder.prepare(some)
        cases = {
            "prepare": functools.partial(encoder.prepare, some),
            "with gaps": functools.partial(encoder.prepare, with_gaps),
            "views": views,
            "one by one": lambda: views_one_by_one(some.clips, encoder),
            "one clip": functools.partial(embed, clips[0], encoder, skeleton=NTU),
        }
        cases |= {f"frame, {name}": functools.partial(frame_of_stream, name) for name in PRECISIONS}
        cases |= {name: functools.partial(encoder.features, prepared, names, name) for name in PRECISIONS}
        parts = rounds(4 * sizes.rounds, with_peaks(limit, cases))
    needed = operations(encoder.config)
    share = of_limit(seconds, "whole", count * needed, limit)
    table = [
        Row(f"embed {count} raw clips, float32", rate(seconds, "whole", count), "clips/s", of_limit=share),
        Row(
            f"the same: x the per-frame loop, hidden {sizes.hidden}, 3 streams",
            ratio(seconds, "loop", "whole") * count / batch,
            at_least=200,
        ),
        Row("the same, bfloat16", rate(seconds, "bfloat16", count), "clips/s"),
        Row("the same, float32, out= a memory map: x the time without", ratio(seconds, "memory map", "whole")),
        Row("share of preprocessing", 100 * ratio(seconds, "prepare", "whole"), "%", at_most=15),
        Row(f"preprocessing alone, batch {batch}", rate(parts, "prepare", batch), "clips/s"),
        Row("preprocessing, one clip in ten with gaps: x the time without", ratio(parts, "with gaps", "prepare")),
        Row("preprocessing and modalities: x one by one", ratio(parts, "one by one", "views")),
    ]
    for precision in PRECISIONS:
        label, share = (
            f"network alone, batch {batch}, {precision}",
            of_limit(parts, precision, batch * needed, limit, precision),
        )
        table.append(Row(label, rate(parts, precision, batch), "clips/s", of_limit=share))
        if precision == "float32":
            table.append(Row(f"{label}: share of the peak", 100 * share, "%", at_least=60))
    table.append(Row("embed one raw clip", 1e3 * float(np.median(parts["one clip"])), "ms", at_most=FRAME))
    for precision in PRECISIONS:
        label = f"one frame of a stream, hidden {sizes.hidden}, 3 streams, {precision}"
        table.append(Row(label, 1e3 * float(np.median(parts[f"frame, {precision}"])), "ms", at_most=FRAME))
    return table


def embedding_work(count: int) -> Callable[[], Any]:
    clips, encoder = raw_clips(count), load_pretrained("i2md-small")
    folder = tempfile.TemporaryDirectory()

    def work() -> None:
        with folder:
            out = np.lib.format.open_memmap(Path(folder.name) / "rows.npy", "w+", np.float32, (count, encoder.dim))
            embed(clips, encoder, skeleton=NTU, out=out, show_progress=False)

    return work


def memory(sizes: Sizes) -> list[Row]:
    """Of `embed` into a memory map, for a quarter of the clips and for all."""
    few, many = (extra_megabytes(embedding_work, count) for count in (sizes.clips // 4, sizes.clips))
    if few is None or many is None:
        return []
    return [
        Row(f"embed {sizes.clips // 4} raw clips: extra memory", few, "MB"),
        # Names and columns of the clips take a little; poses would take sixteen times as much.
        Row(f"embed {sizes.clips} raw clips: extra memory", many, "MB", at_most=1.5 * few),
    ]


# -- measurements: evaluation -----------------------------------------------------------------------------------------

NEIGHBOURS = 20


def scikit_learn_knn(sets: tuple[np.ndarray, ...]) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    rows, labels, queries = sets
    model = KNeighborsClassifier(NEIGHBOURS, metric="cosine", algorithm="brute")
    return np.asarray(model.fit(rows, labels).predict(queries))


def skelrep_knn(sets: tuple[np.ndarray, ...]) -> np.ndarray:
    rows, labels, queries = sets
    nobody_knows = np.zeros(len(queries), dtype=np.int64)
    return knn_eval(rows, labels, queries, nobody_knows, k=NEIGHBOURS).predictions[NEIGHBOURS]


def knn_work(method: Callable[[tuple[np.ndarray, ...]], np.ndarray], sizes: Sizes) -> Callable[[], Any]:
    import sklearn.neighbors  # noqa: F401  # so that it is no part of what is measured

    gallery = rows_of_classes(sizes.gallery, sizes.dim, seed=1)
    queries, _ = rows_of_classes(sizes.queries, sizes.dim, seed=2)
    return functools.partial(method, (*gallery, queries))


def neighbours(sizes: Sizes) -> list[Row]:
    """kNN against scikit-learn's brute force."""
    limit = peaks(sizes.product[0])
    ours, theirs = (knn_work(method, sizes) for method in (skelrep_knn, scikit_learn_knn))
    same = float((ours() == theirs()).mean())
    seconds = rounds(sizes.few, with_peaks(limit, {"skelrep": ours, "scikit-learn": theirs}), warm=False)
    needed = 2.0 * sizes.gallery * sizes.queries * sizes.dim
    label = f"kNN {sizes.gallery} x {sizes.queries} x {sizes.dim}"
    share = of_limit(seconds, "skelrep", needed, limit)
    table = [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep"), at_least=2.5, of_limit=share),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s", of_limit=share),
        Row(
            f"{label}: scikit-learn's time",
            float(np.median(seconds["scikit-learn"])),
            "s",
            of_limit=of_limit(seconds, "scikit-learn", needed, limit),
        ),
        # scikit-learn's float32 cannot tell some neighbours apart.
        Row("the same predictions", 100 * same, "%", at_least=99.99),
    ]
    del ours, theirs
    ours, theirs = (extra_megabytes(knn_work, method, sizes) for method in (skelrep_knn, scikit_learn_knn))
    if ours is not None and theirs is not None:
        table += [
            Row("extra memory of scikit-learn", theirs, "MB"),
            Row("extra memory", ours, "MB", at_most=theirs / 2),
        ]
    return table


BANK_DIM = 256


def bank_of(path: Path, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """A memory map of random rows, written if it is not there, and queries that each lie near one of them."""
    if not path.exists():
        rng = np.random.default_rng(0)
        bank = np.lib.format.open_memmap(path, "w+", np.float32, (sizes.bank, BANK_DIM))
        for begin in range(0, sizes.bank, 2**16):
            bank[begin : begin + 2**16] = rng.standard_normal(bank[begin : begin + 2**16].shape, dtype=np.float32)
    bank = np.load(path, mmap_mode="r")
    noise = np.random.default_rng(1).standard_normal((sizes.searches, BANK_DIM), dtype=np.float32)
    return bank, bank[planted(sizes)] + 0.5 * noise


def planted(sizes: Sizes) -> np.ndarray:
    return np.arange(sizes.searches) * (sizes.bank // sizes.searches)


def retrieval_work(path: Path, sizes: Sizes) -> Callable[[], Any]:
    bank, queries = bank_of(path, sizes)
    return functools.partial(retrieve, queries, bank)


def retrieval(sizes: Sizes) -> list[Row]:
    """In blocks of a memory map."""
    limit = peaks(sizes.product[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.npy"
        work = retrieval_work(path, sizes)
        found = work().indices[:, 0]
        seconds = rounds(sizes.few, with_peaks(limit, {"retrieve": work}), warm=False)
        extra = extra_megabytes(retrieval_work, path, sizes)
    needed = 2.0 * sizes.bank * sizes.searches * BANK_DIM
    table = [
        Row(
            f"retrieve {sizes.searches} of {sizes.bank} x {BANK_DIM}",
            float(np.median(seconds["retrieve"])),
            "s",
            of_limit=of_limit(seconds, "retrieve", needed, limit),
        ),
        Row("the planted row is the first", 100 * float((found == planted(sizes)).mean()), "%", at_least=100),
    ]
    if extra is not None:  # the blocks' bound, and what skelrep.evaluate says of the libraries' own buffers
        table.append(Row("extra memory", extra, "MB", at_most=(BLOCK_BYTES + 180 * 2**20) / 1e6))
    return table


CHOSEN_CLASSES = 27


def penalised_loss(rows: np.ndarray, labels: np.ndarray, C: float, weights: np.ndarray, intercept: np.ndarray) -> float:
    """What scikit-learn's logistic regression minimises, for more than two classes, in float64."""
    scores = torch.from_numpy(rows @ weights.T + intercept).double()
    loss = functional.cross_entropy(scores, torch.from_numpy(labels)).item()
    return loss + float(np.square(weights, dtype=np.float64).sum()) / (2 * C * len(rows))


def probe(sizes: Sizes) -> list[Row]:
    """The linear probe against scikit-learn's logistic regression on the same standardised rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, labels = rows_of_classes(sizes.probe, sizes.dim, seed=1, strength=0.1)
    test, test_labels = rows_of_classes(sizes.probe // 4, sizes.dim, seed=2, strength=0.1)
    C = 1e-3
    scaler, classifier = StandardScaler(), LogisticRegression(C=C, max_iter=1000)
    model = make_pipeline(scaler, classifier)

    def ours() -> np.ndarray:
        return linear_eval(train, labels, test, test_labels, C=C).predictions

    def theirs() -> np.ndarray:
        return np.asarray(model.fit(train, labels).predict(test))

    one, other = ours(), theirs()
    seconds = rounds(sizes.few, {"skelrep": ours, "scikit-learn": theirs}, warm=False)
    difference = float((one == test_labels).mean() - (other == test_labels).mean())
    rows = np.asarray(scaler.transform(train))
    [(weights, intercept, _)] = regularisation_path(torch.from_numpy(rows), torch.from_numpy(labels), [C], 1000)
    losses = [
        penalised_loss(rows, labels, C, *fit)
        for fit in ((weights.numpy(), intercept.numpy()), (classifier.coef_, np.asarray(classifier.intercept_)))
    ]
    label = f"linear probe {sizes.probe} x {sizes.dim} x {CLASSES}"
    return [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep"), at_least=1.5),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s"),
        Row("the same predictions", 100 * float((one == other).mean()), "%"),
        Row("difference in accuracy", 100 * abs(difference), "points", at_most=0.1),
        Row("relative difference in the objective", losses[0] / losses[1] - 1, "", at_most=1e-3),
        *probe_with_chosen_c(max(sizes.probe // 10, 120), 3 * sizes.dim // 4, sizes.few),
    ]


def probe_with_chosen_c(count: int, dim: int, times: int) -> list[Row]:
    """The default call of the probe against a grid search of scikit-learn over the same folds and values of C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def some_classes(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rows, labels = rows_of_classes(size * CLASSES // CHOSEN_CLASSES, dim, seed, strength=0.1)
        return rows[labels < CHOSEN_CLASSES], labels[labels < CHOSEN_CLASSES]

    train, labels = some_classes(count, seed=1)
    test, test_labels = some_classes(count, seed=2)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(min(5, int(np.bincount(labels).min())), shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, {"logisticregression__C": CANDIDATES_OF_C}, cv=folds)
    accuracy: dict[str, float] = {}

    def ours() -> None:
        accuracy["skelrep"] = linear_eval(train, labels, test, test_labels).accuracy

    def theirs() -> None:
        search.fit(train, labels)
        accuracy["scikit-learn"] = float((np.asarray(search.predict(test)) == test_labels).mean())

    seconds = rounds(times, {"skelrep": ours, "scikit-learn": theirs}, warm=False)
    difference = accuracy["skelrep"] - accuracy["scikit-learn"]
    label = f"linear probe {len(train)} x {dim} x {CHOSEN_CLASSES}, C chosen"
    return [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep")),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s"),
        Row("with C chosen, difference in accuracy", 100 * abs(difference), "points"),
    ]


# -- measurements: training -------------------------------------------------------------------------------------------


def loss_part(config: MethodConfig, batch: int) -> tuple[Callable[[], Tensor], Tensor, Tensor, Tensor]:
    """What `Method` computes behind its networks.

    Returns:
        The total loss as a function, the unit queries (H, S, B, P), which ask for a gradient, the keys, and the banks
        (H, S, K, P). No slot holds one of the clips.
    """
    torch.manual_seed(0)
    method = Method(Encoder(EncoderConfig()), config)
    method._project = lambda streams, heads, view: view  # type: ignore[method-assign]
    key = functional.normalize(torch.randn(config.branches, 3, batch, config.projection), dim=-1)
    query = functional.normalize(key + 0.05 * torch.randn_like(key), dim=-1).requires_grad_()
    return lambda: method(query, key, torch.arange(batch))["total"], query, key, method.memory.bank


def losses(sizes: Sizes) -> list[Row]:
    """CMD's losses and their gradient against their naive form."""
    limit = peaks(sizes.product[0])
    config = MethodConfig(slots=sizes.slots, neighbours=sizes.slots // 2, **LOSSES["cmd"])
    total, query, key, bank = loss_part(config, sizes.batch)
    cases = {
        "naive": lambda: torch.autograd.grad(naive_losses(query[0], key[0], bank[0], config), query),
        "skelrep": lambda: torch.autograd.grad(total(), query),
    }
    seconds = rounds(2 * sizes.rounds, with_peaks(limit, cases))
    needed = 3 * 2.0 * query.numel() * config.slots  # cosines of keys and of queries, the gradient of the latter
    label = f"losses, batch {sizes.batch}, {config.slots} slots, {config.neighbours} neighbours"
    table = [Row(f"{label}: x naive", ratio(seconds, "naive", "skelrep"), at_least=3)]
    for name in cases:
        share = of_limit(seconds, name, needed, limit)
        table.append(Row(f"{label}: {name}", 1e3 * float(np.median(seconds[name])), "ms", of_limit=share))
    return table


def trained(recipe: Recipe, corpus: Corpus, steps: int) -> float:
    """Seconds that a step of `pretrain` takes, by its own log, after as many that are not counted."""
    recipe = dataclasses.replace(recipe, steps=2 * steps, epochs=0)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(recipe, corpus, Path(folder), save_every=steps, show_progress=False)
        line = (Path(folder) / "log.jsonl").read_text().splitlines()[-1]
    return recipe.batch / json.loads(line)["clips_per_second"]


def paper_recipe(sizes: Sizes, batch: int) -> Recipe:
    """CMD's run at paper size."""
    recipe = paper("cmd")
    method = dataclasses.replace(recipe.method, slots=sizes.slots, neighbours=sizes.slots // 2)
    encoder = paper_encoder(sizes.trained_hidden)
    return dataclasses.replace(recipe, encoder=encoder, method=method, batch=batch, steps=1, epochs=0)


def naive_training(recipe: Recipe, corpus: Corpus) -> NaiveTraining:
    torch.manual_seed(0)
    return NaiveTraining(Method(Encoder(recipe.encoder), recipe.method).to(corpus.device).train(), recipe)


def step(sizes: Sizes) -> list[Row]:
    """The whole training step at paper size."""
    limit = peaks(sizes.product[0])
    recipe = paper_recipe(sizes, sizes.batch)
    low = dataclasses.replace(recipe, precision="bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.load(corpus_of(pairs(2 * sizes.batch), Path(folder) / "corpus"), recipe.encoder)
        naive = naive_training(recipe, corpus)
        naive.step(*_views(recipe, corpus, 0)[:2])  # a warm-up; `trained` has its own
        cases = {
            "loop": lambda: naive.step(*_views(recipe, corpus, 0)[:2]),
            "float32": lambda: trained(recipe, corpus, sizes.steps),
            "bfloat16": lambda: trained(low, corpus, sizes.steps),
            "views": lambda: _views(recipe, corpus, 0),
        }
        seconds = rounds(sizes.few, with_peaks(limit, cases), warm=False)
    label = f"training step, hidden {sizes.trained_hidden}, batch {recipe.batch}"
    share = of_limit(seconds, "loop", step_operations(recipe), limit)
    table = [Row(f"{label}, per-frame loop", rate(seconds, "loop", recipe.batch), "clips/s", of_limit=share)]
    for precision, goal in (("float32", 2), ("bfloat16", 3.5)):
        share = of_limit(seconds, precision, step_operations(recipe), limit, precision)
        table += [
            Row(f"{label}, {precision}", rate(seconds, precision, recipe.batch), "clips/s", of_limit=share),
            Row(f"{label}, {precision}: x the loop", ratio(seconds, "loop", precision), at_least=goal),
            # Not the longer half of a step: never the bottleneck.
            Row(f"views and augmentation, {precision}", 100 * ratio(seconds, "views", precision), "%", at_most=50),
        ]
    return table


def step_of_the_box(sizes: Sizes) -> list[Row]:
    """The step that trains the encoder in the box."""
    limit = peaks(sizes.product[0])
    recipe = dataclasses.replace(i2md_small(), steps=1)
    if sizes.batch < 64:
        recipe = dataclasses.replace(recipe, batch=sizes.batch)
    total, query, _, _ = loss_part(recipe.method, recipe.batch)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.load(corpus_of(recordings(100, frames=600), Path(folder) / "corpus"), recipe.encoder)
        first, second, _ = _views(recipe, corpus, 0)
        full = dataclasses.replace(recipe, precision="float32")
        cases = {
            "bfloat16": lambda: trained(recipe, corpus, sizes.steps),
            "float32": lambda: trained(full, corpus, sizes.steps),
            "views": lambda: _views(recipe, corpus, 0),
            "augmentation": lambda: distort(first, second, recipe.encoder.skeleton, recipe.augment),
            "losses": lambda: torch.autograd.grad(total(), query),
        }
        seconds = rounds(sizes.rounds, with_peaks(limit, cases))
    # Clips of the corpus have one person each.
    alone = dataclasses.replace(recipe.encoder.preprocess, persons=1)
    needed = step_operations(dataclasses.replace(recipe, encoder=dataclasses.replace(recipe.encoder, preprocess=alone)))
    for precision in ("bfloat16", "float32"):
        share = of_limit(seconds, precision, needed, limit, precision)
        label = f"i2md_small, batch {recipe.batch}, {precision}"
        table += [
            Row(label, rate(seconds, precision, recipe.batch), "clips/s", of_limit=share),
            Row(f"{label}: views and augmentation", 100 * ratio(seconds, "views", precision), "%", at_most=50),
            Row(f"{label}: augmentation alone", 100 * ratio(seconds, "augmentation", precision), "%"),
            Row(f"{label}: losses", 100 * ratio(seconds, "losses", precision), "%"),
        ]
    return table


# -- measurements: start-up and GPU -----------------------------------------------------------------------------------

COMMANDS = {
    "python": ["-c", "pass"],
    "import skelrep": ["-c", "import skelrep"],
    "skelrep --help": ["-m", "skelrep", "--help"],
    "import torch": ["-c", "import torch"],
    "skelrep embed": ["-m", "skelrep", "embed", "clip.npy", "--skeleton", "kinect-20", "-q"],
}


def startup(sizes: Sizes) -> list[Row]:
    """Whole processes, beside a bare interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "clip.npy", np.random.default_rng(0).normal(size=(90, 20, 3)))

        def start(arguments: list[str]) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder)

        cases = {name: functools.partial(start, arguments) for name, arguments in COMMANDS.items()}
        seconds = rounds(sizes.rounds, cases, warm=sizes.rounds > 1)
    median = {name: float(np.median(times)) for name, times in seconds.items()}
    imported = float(np.median(seconds["import skelrep"] - seconds["python"]))
    return [
        Row("a bare interpreter", median["python"], "s"),
        Row("import skelrep, beyond that", imported, "s", at_most=0.05),
        Row("skelrep --help", median["skelrep --help"], "s", at_most=0.1),
        Row("skelrep embed of one clip", median["skelrep embed"], "s"),
        Row("of that, importing torch", 100 * ratio(seconds, "import torch", "skelrep embed"), "%", at_least=50),
    ]


def gpu(sizes: Sizes, device: str = "cuda") -> list[Row]:
    """Embedding and training at paper size on a GPU, if there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        return []
    limit = peaks(sizes.product[1], device)
    torch.manual_seed(0)
    encoder = Encoder(paper_encoder(sizes.hidden)).to(device)
    stepping = {name: Stepping(stack) for name, stack in encoder.streams.items()}  # type: ignore[arg-type]
    parents, names, table = encoder.skeleton.parents, encoder.config.modalities, []
    for batch in sizes.gpu_batches:
        poses = torch.randn(batch, 2, 64, 25, 3, device=device)
        cases = {
            "loop": lambda poses=poses: [stepping[name](modality(name, poses, parents)) for name in names],
            "float32": functools.partial(encoder.features, poses, names, "float32"),
            "bfloat16": functools.partial(encoder.features, poses, names, "bfloat16"),
        }
        with torch.inference_mode():
            seconds = rounds(
                sizes.rounds, with_peaks(limit, {name: synchronised(case, device) for name, case in cases.items()})
            )
        label = f"{device}, hidden {sizes.hidden}, 3 streams, batch {batch}"
        needed = batch * operations(encoder.config)
        for precision in ("float32", "bfloat16"):
            share = of_limit(seconds, precision, needed, limit, precision)
            table += [
                Row(f"{label}, {precision}", rate(seconds, precision, batch), "clips/s", of_limit=share),
                Row(f"{label}, {precision}: x the loop in float32", ratio(seconds, "loop", precision)),
            ]
    large = dataclasses.replace(sizes, trained_hidden=sizes.hidden)
    for batch in sizes.gpu_batches:
        recipe = paper_recipe(large, batch)
        with tempfile.TemporaryDirectory() as folder:
            corpus = Corpus.load(corpus_of(pairs(batch), Path(folder) / "corpus"), recipe.encoder, device)
            naive = naive_training(recipe, corpus)
            naive.step(*_views(recipe, corpus, 0)[:2])
            cases = {
                "loop": synchronised(lambda: naive.step(*_views(recipe, corpus, 0)[:2]), device),  # noqa: B023
                "float32": functools.partial(trained, recipe, corpus, sizes.gpu_steps),
                "bfloat16": functools.partial(
                    trained, dataclasses.replace(recipe, precision="bfloat16"), corpus, sizes.gpu_steps
                ),
            }
            seconds = rounds(sizes.few, with_peaks(limit, cases), warm=False)
        label = f"{device}, training step, hidden {sizes.hidden}, batch {batch}"
        for precision in ("float32", "bfloat16"):
            share = of_limit(seconds, precision, step_operations(recipe), limit, precision)
            times = ratio(seconds, "loop", precision)
            table += [
                Row(f"{label}, {precision}", rate(seconds, precision, batch), "clips/s", of_limit=share),
                Row(f"{label}, {precision}: x the loop in float32", times, at_least=10),
            ]
    return table


MEASUREMENTS: dict[str, Callable[[Sizes], list[Row]]] = {
    "limits": limits,
    "embedding": embedding,
    "box": box,
    "memory": memory,
    "knn": neighbours,
    "retrieval": retrieval,
    "probe": probe,
    "losses": losses,
    "step": step,
    "box-step": step_of_the_box,
    "startup": startup,
    "gpu": gpu,
}
