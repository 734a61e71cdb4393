"""Judging an encoder with labels by the literature's protocols: neighbours, a linear probe, few labels, fine-tuning.

The literature commonly judges every epoch on the test clips and reports the best one (CMD's public linear evaluation
does), a choice made with test labels that flatters the figure. Here epochs and rates are set beforehand, the last epoch
counts, the probe's regularisation is chosen on training clips alone, and test labels serve to count what is right.

Transfer is the same table for an encoder that was pretrained on other data: every row names those and the labelled set.
"""

from __future__ import annotations

import copy
import html
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from skelrep.encoder import Encoder, Source
from skelrep.encoder.encoder import persons_present
from skelrep.evaluate import knn_eval, linear_eval
from skelrep.poses import Poses
from skelrep.train.augment import AugmentConfig, augment
from skelrep.version import __version__

PROTOCOLS = ("knn", "linear", "semi", "finetune")
AT_ONCE = 256  # clips in a pass without gradients: enough for a GPU, and little memory

#: A third of pretraining's distortions or less: new bodies and viewpoints, but one known sensor. Nothing is mirrored,
#: for labels may tell left from right.
MILD = AugmentConfig(
    mirror=0.0,
    yaw=15.0,
    tilt=3.0,
    shear=0.1,
    limbs=0.04,
    drift=0.03,
    jitter=0.01,
    dropped_views=0.0,
    dropped_joints=0.0,
    flat_views=0.0,
)


@dataclass(frozen=True)
class FinetuneConfig:
    """How an encoder is trained with labels.

    Set on the training subjects of UTD-MHAD, two of them judged by the other two, and never on a test subject.

    Attributes:
        epochs: Over the training clips; 60 gain less than a point, 15 lose one or two.
        batch: Most clips a step; small, so that one clip of each class still makes dozens of steps.
        learning_rate: AdamW's highest for the classifier; both rates fall as a half cosine to zero. Large, because
            features of length 1 have entries of a few hundredths; 0.1 costs 3 to 7 points.
        encoder_learning_rate: For the encoder, whose weights are good already; 3e-4 is no better.
        weight_decay: On matrices and kernels, as in pretraining.
        augment: Distortions of the training clips (`mirror` is not used). None at all does as well as the mild ones,
            pretraining's cost 3 to 4 points.
        precision: "float32", or "bfloat16" for the network's products, for large encoders on a GPU.
        seed: Of everything random.
    """

    epochs: int = 30
    batch: int = 16
    learning_rate: float = 0.01
    encoder_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    augment: AugmentConfig = field(default_factory=lambda: MILD)
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a training of nothing."""
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs and batch must be at least 1, got {self.epochs} and {self.batch}")


class Classifier(nn.Module):
    """An encoder and a linear layer over its fused features."""

    def __init__(self, encoder: Encoder, classes: np.ndarray) -> None:
        """Takes the encoder itself, not a copy; `classes` are the sorted labels."""
        super().__init__()
        self.encoder = encoder
        self.classes = classes
        self.linear = nn.Linear(encoder.dim, len(classes), device=encoder.device)
        nn.init.zeros_(self.linear.weight)  # says nothing of any class, where random weights would
        nn.init.zeros_(self.linear.bias)

    def forward(self, prepared: Tensor) -> Tensor:
        """Logits (N, classes) of (N, M, T, V, 3) prepared clips."""
        return self.linear(self.encoder.fuse(self.encoder(prepared)))

    def predict(self, poses: Poses) -> np.ndarray:
        """The label of each clip, (N,).

        Raises:
            ValueError: if the encoder cannot take the poses.
        """
        return _predict(self, self.encoder.prepare(poses))

    def accuracy(self, poses: Poses) -> float:
        """Share of the clips that are classified right.

        Raises:
            ValueError: if the poses have no labels, or one that was not trained on.
        """
        labels = _labels(poses, "test", self.classes)
        return float((self.predict(poses) == labels).mean())


def finetune(
    encoder: Encoder,
    train: Poses,
    config: FinetuneConfig = FinetuneConfig(),  # noqa: B008 - frozen
    *,
    show_progress: bool | None = None,
) -> Classifier:
    """Trains a copy of an encoder and a linear classifier together, on the encoder's device.

    BatchNorm keeps the statistics of pretraining: those of each batch cost 3 to 6 points (measured as in
    `FinetuneConfig`). Weights that pretraining leaves alone are left alone here too.

    Args:
        encoder: Where to start from; it is not changed.
        train: Clips with labels of two classes at least.
        config: How to train.
        show_progress: A bar on stderr; by default only in a terminal or notebook.

    Returns:
        The classifier after the last epoch, in evaluation mode. Equal seeds give equal ones on the same device.

    Raises:
        ValueError: if there are no labels, or of one class only, the encoder cannot take the poses, or the loss is not
            finite at the end.
    """
    labels = _labels(train, "training")
    return _fit(encoder, encoder.prepare(train), labels, config, show_progress=show_progress)


def _fit(
    encoder: Encoder,
    prepared: Tensor,
    labels: np.ndarray,
    config: FinetuneConfig,
    *,
    scratch: bool = False,
    show_progress: bool | None = None,
) -> Classifier:
    """`finetune` on (N, M, T, V, 3) prepared clips; from `scratch`, of the same network with random weights."""
    classes, codes = np.unique(labels, return_inverse=True)
    targets = torch.from_numpy(codes).to(prepared.device)
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(config.seed)
        encoder = Encoder(encoder.config).to(prepared.device) if scratch else copy.deepcopy(encoder)
        encoder.source = Source(f"{encoder.source.name}, fine-tuned", encoder.source.commit)
        model = Classifier(encoder, classes).train()
        if not scratch:  # random weights have no statistics to keep
            for module in encoder.modules():
                if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    module.eval()
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in part.parameters() if p.requires_grad and (p.ndim > 1) == decayed],
                    "lr": rate,
                    "weight_decay": config.weight_decay * decayed,
                }
                for part, rate in ((encoder, config.encoder_learning_rate), (model.linear, config.learning_rate))
                for decayed in (True, False)
            ]
        )
        batches = math.ceil(len(prepared) / config.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * batches)
        loss = torch.zeros(())
        for _ in tqdm(
            range(config.epochs),
            desc="finetune",
            unit="epoch",
            disable=None if show_progress is None else not show_progress,
        ):
            for rows in torch.randperm(len(prepared)).tensor_split(batches):  # of equal size, but for one
                clips = _distorted(prepared[rows], encoder, config.augment)
                with torch.autocast(clips.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                    loss = nn.functional.cross_entropy(model(clips), targets[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
    if not torch.isfinite(loss):
        raise ValueError(f"the loss is {loss.item()} after {config.epochs} epochs; take lower learning rates")
    return model.eval()


def _distorted(clips: Tensor, encoder: Encoder, config: AugmentConfig) -> Tensor:
    """Augmented (B, M, T, V, 3) clips: all persons of a clip alike, for one sensor sees them; absent ones stay zero."""
    present = persons_present(clips)[:, :, None, None, None]
    return augment(clips.flatten(1, 2), encoder.skeleton, config).view_as(clips) * present


@torch.inference_mode()
def _predict(model: Classifier, prepared: Tensor) -> np.ndarray:
    codes = torch.cat([model(part).argmax(dim=1) for part in prepared.split(AT_ONCE)])
    return model.classes[codes.cpu().numpy()]


@torch.no_grad()
def _features(encoder: Encoder, prepared: Tensor) -> dict[str, Tensor]:
    """The frozen features of every stream, (N, D of a stream)."""
    parts = [encoder(part) for part in prepared.split(AT_ONCE)]
    return {name: torch.cat([part[name] for part in parts]) for name in encoder.config.modalities}


def _labels(poses: Poses, name: str, classes: np.ndarray | None = None) -> np.ndarray:
    """The labels, checked: of two classes at least, or all of them known ones."""
    if poses.labels is None or not len(poses):
        raise ValueError(f"the {name} poses have {'no labels' if len(poses) else 'no clips'}; give one label a clip")
    found = np.unique(poses.labels)
    if classes is None and len(found) < 2:
        raise ValueError(f"the {name} clips are all of class {found[0]}; a classifier needs at least two classes")
    if classes is not None and len(unseen := np.setdiff1d(found, classes)):
        raise ValueError(
            f"no training clip has the label {', '.join(map(str, unseen[:5]))}{', ...' if len(unseen) > 5 else ''}, "
            f"which {np.isin(poses.labels, unseen).sum()} test clips have; leave them out"
        )
    return poses.labels


# -- few labels -------------------------------------------------------------------------------------------------------


def subset(labels: Any, share: float, seed: int, groups: Any = None) -> np.ndarray:
    """Draws a share of the clips at random, equally many of each class.

    The numbers of two classes differ by one at most where the classes are large enough, and every class has at least
    one clip, so that small shares of small sets are larger than asked for. The subsets of one seed are nested.

    Args:
        labels: (N,) of any kind that sorts.
        share: Of the N clips, above 0 and at most 1.
        seed: Of the draw.
        groups: (N,) subjects, recordings or the like; a class's clips are then drawn from as many of them as possible.

    Returns:
        Sorted indices.

    Raises:
        ValueError: if the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share!r} must be above 0 and at most 1; 0.05 is 5 % of the labels")
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(codes))
    if groups is not None:
        places = np.unique(np.asarray(groups), return_inverse=True)[1]
        order = order[np.argsort(_turns((codes * len(places) + places)[order]), kind="stable")]
    order = order[np.argsort(_turns(codes[order]), kind="stable")]
    return np.sort(order[: max(round(share * len(codes)), codes.max() + 1)])


def _turns(keys: np.ndarray) -> np.ndarray:
    """How many equal ones stand before each of (N,) keys."""
    order = np.argsort(keys, kind="stable")
    turns = np.empty(len(keys), dtype=np.int64)
    turns[order] = np.arange(len(keys)) - np.searchsorted(keys[order], keys[order])
    return turns


# -- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProtocolRow:
    """One figure of a `ProtocolTable`.

    Attributes:
        protocol: One of `PROTOCOLS`.
        setting: "1-NN", "5-NN", "linear probe", "fine-tuned" or "from scratch".
        streams: The encoder's streams that were used.
        share: The share of the training labels that was asked for.
        clips: The training clips whose labels were used.
        accuracy: Share of the test clips classified right, mean over the seeds.
        sd: Its standard deviation over the seeds (of a sample); None for a single figure.
        seeds: How many.
        pretraining: The data that the encoder was pretrained on, as its config tells.
        labelled: The labelled set.
    """

    protocol: str
    setting: str
    streams: str
    share: float
    clips: int
    accuracy: float
    sd: float | None
    seeds: int
    pretraining: str
    labelled: str


@dataclass(frozen=True, eq=False, repr=False)
class ProtocolTable:
    """What `protocols` found.

    Attributes:
        rows: One a figure.
        protocol: How it was done, down to the version of skelrep.
    """

    rows: tuple[ProtocolRow, ...]
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {"rows": [asdict(row) for row in self.rows], "protocol": self.protocol}

    def __str__(self) -> str:
        """An aligned table under a line that says what was judged."""
        cells = [("protocol", "setting", "streams", "labels", "clips", "accuracy", "")]
        for row in self.rows:
            spread = "" if row.sd is None else f"± {100 * row.sd:.1f} ({row.seeds} seeds)"
            figures = f"{100 * row.share:g} %", str(row.clips), f"{100 * row.accuracy:.1f} %", spread
            cells.append((row.protocol, row.setting, row.streams, *figures))
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = [
            "  ".join(c.rjust(w) if 3 <= i <= 5 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip()
            for line in cells
        ]
        return "\n".join([f"{self.protocol['encoder']} on {self.protocol['labelled']}", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def protocols(
    encoder: Encoder,
    train: Poses,
    test: Poses,
    *,
    which: Sequence[str] = PROTOCOLS,
    shares: Sequence[float] = (0.01, 0.05, 0.1, 0.2),
    seeds: int = 5,
    scratch: bool = False,
    groups: Any = None,
    config: FinetuneConfig = FinetuneConfig(),  # noqa: B008 - frozen
    labelled: str | None = None,
    show_progress: bool | None = None,
) -> ProtocolTable:
    """Judges an encoder by the literature's protocols.

    - "knn": 1 and 5 nearest neighbours by cosine among frozen features, fused and of each stream alone.
    - "linear": a linear probe on frozen fused features, see `linear_eval`.
    - "semi": for each share of the labels and each seed a `subset`; on it a linear probe on frozen features, and
      fine-tuning. Where a class has a single clip the probe's C is 1.
    - "finetune": fine-tuning with all labels.

    Args:
        encoder: It is not changed.
        train: Clips with labels.
        test: Clips with labels that occur in training.
        which: Some of `PROTOCOLS`.
        shares: Of the labels, for "semi".
        seeds: Repetitions of "semi" and "finetune", with the seeds from `config.seed` on.
        scratch: Also train the same network from random weights wherever the encoder is fine-tuned.
        groups: Subjects, recordings or the like of the training clips; no group is then on both sides of a probe's
            fold, and subsets spread over the groups.
        config: Of the fine-tuning.
        labelled: What to call the labelled set; by default its sizes.
        show_progress: A bar on stderr; by default only in a terminal or notebook.

    Raises:
        ValueError: for an unknown protocol; if labels are missing, of one class, or not seen in training; if a share
            or the number of seeds is out of range, or the encoder cannot take the poses.
    """
    if unknown := [name for name in which if name not in PROTOCOLS]:
        raise ValueError(f"no protocol is called {unknown[0]!r}; there are {', '.join(PROTOCOLS)}")
    if seeds < 1:
        raise ValueError(f"seeds={seeds!r} must be at least 1; it is how often fine-tuning is repeated")
    labels = _labels(train, "training")
    classes = np.unique(labels)
    truth = _labels(test, "test", classes)
    groups = None if groups is None else np.asarray(groups)
    if groups is not None and groups.shape != (len(train),):
        raise ValueError(f"groups has shape {groups.shape} for {len(train)} training clips; give one for each")
    trainings = [("semi", share) for share in shares if "semi" in which]
    trainings += [("finetune", 1.0)] * ("finetune" in which)
    repeats = range(config.seed, config.seed + seeds)
    draws = [[subset(labels, share, seed, groups) for seed in repeats] for _, share in trainings]

    labelled = labelled or f"{len(train)} training and {len(test)} test clips, {len(classes)} classes"
    pretraining = _pretraining(encoder)
    frozen = copy.deepcopy(encoder).eval()
    prepared, prepared_test = frozen.prepare(train), frozen.prepare(test)
    features, features_test = _features(frozen, prepared), _features(frozen, prepared_test)
    fused, fused_test = frozen.fuse(features), frozen.fuse(features_test)
    every = "+".join(frozen.config.modalities)
    rows: list[ProtocolRow] = []

    def add(protocol: str, setting: str, scores: list[float], streams: str, share: float, clips: int) -> None:
        sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
        origin = "none" if setting == "from scratch" else pretraining
        found = share, clips, float(np.mean(scores)), sd, len(scores)
        rows.append(ProtocolRow(protocol, setting, streams, *found, origin, labelled))

    def probe(chosen: np.ndarray, C: float | None = None) -> float:
        within = None if groups is None else groups[chosen]
        with warnings.catch_warnings():  # one clip a class is what was asked for
            warnings.filterwarnings("ignore", "The number of unique classes")
            return linear_eval(fused[chosen], labels[chosen], fused_test, truth, groups=within, C=C).accuracy

    def tuned(chosen: np.ndarray, seed: int, scratch: bool = False) -> float:
        seeded = replace(config, seed=seed)
        model = _fit(frozen, prepared[chosen], labels[chosen], seeded, scratch=scratch, show_progress=False)
        return float((_predict(model, prepared_test) == truth).mean())

    if "knn" in which:
        for streams in dict.fromkeys([frozen.config.modalities, *((name,) for name in frozen.config.modalities)]):
            part, part_test = (frozen.fuse({name: f[name] for name in streams}) for f in (features, features_test))
            for k, accuracy in knn_eval(part, labels, part_test, truth, k=(1, 5)).accuracy.items():
                add("knn", f"{k}-NN", [accuracy], "+".join(streams), 1.0, len(train))
    if "linear" in which:
        add("linear", "linear probe", [probe(np.arange(len(train)))], every, 1.0, len(train))

    with tqdm(
        total=len(trainings) * seeds,
        desc="protocols",
        unit="training",
        disable=None if show_progress is None else not show_progress,
    ) as bar:
        for (protocol, share), subsets in zip(trainings, draws):
            scores: dict[str, list[float]] = {}
            for seed, chosen in zip(repeats, subsets):
                if protocol == "semi":
                    # A class with one clip is missing from one side of every fold, and C would be chosen by chance.
                    single = np.unique(labels[chosen], return_counts=True)[1].min() == 1
                    scores.setdefault("linear probe", []).append(probe(chosen, 1.0 if single else None))
                scores.setdefault("fine-tuned", []).append(tuned(chosen, seed))
                if scratch:
                    scores.setdefault("from scratch", []).append(tuned(chosen, seed, scratch=True))
                bar.update()
            for setting, accuracies in scores.items():
                add(protocol, setting, accuracies, every, share, len(subsets[0]))
    about = {
        "encoder": "@".join(filter(None, encoder.source)),
        "pretraining": pretraining,
        "labelled": labelled,
        "n_train": len(train),
        "n_test": len(test),
        "n_classes": len(classes),
        "n_groups": None if groups is None else len(np.unique(groups)),
        "finetune": asdict(config),
        "skelrep": __version__,
    }
    return ProtocolTable(tuple(rows), about)


def _pretraining(encoder: Encoder) -> str:
    """The names of the data that the weights come from, as far as the config's free-form `training` tells."""
    data = encoder.config.training.get("data")
    if not isinstance(data, list):
        return str(data or ("none" if encoder.source.name == "untrained" else "unknown"))
    return ", ".join(str(entry.get("name", entry) if isinstance(entry, dict) else entry) for entry in data)
