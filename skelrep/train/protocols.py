"""Evaluation of encoders by the protocols of the literature: neighbours, linear probe, few labels, fine-tuning.

No choice depends on test labels: epochs and learning rates are fixed beforehand, results are those of the last epoch,
the regularisation of the probe is chosen on training clips alone, and test labels are used only to count correct
predictions.

To measure transfer, pass an encoder that was pretrained on other data: every row names the data of pretraining and the
labelled data set.
"""

from __future__ import annotations

import copy
import html
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from skelrep.encoder import Encoder
from skelrep.evaluate import knn_eval, linear_eval
from skelrep.poses import Poses
from skelrep.train.few_labels import subset
from skelrep.train.finetune import BATCH_WITHOUT_GRADIENTS, FinetuneConfig, checked_labels, finetune_prepared
from skelrep.version import __version__

PROTOCOLS = ("knn", "linear", "semi", "finetune")


@dataclass(frozen=True)
class ProtocolRow:
    """One result of a `ProtocolTable`.

    Attributes:
        protocol: One of `PROTOCOLS`.
        setting: "1-NN", "5-NN", "linear probe", "fine-tuned" or "from scratch".
        streams: The encoder's streams that were used.
        fraction: The requested fraction of the training labels.
        clips: Number of training clips whose labels were used.
        accuracy: Fraction of the test clips classified correctly, mean over the seeds.
        std: Sample standard deviation of the accuracy over the seeds; None for a single seed.
        seeds: Number of seeds.
        pretraining: The data that the encoder was pretrained on, according to its config.
        dataset: Name of the labelled data set.
    """

    protocol: str
    setting: str
    streams: str
    fraction: float
    clips: int
    accuracy: float
    std: float | None
    seeds: int
    pretraining: str
    dataset: str


@dataclass(frozen=True, eq=False, repr=False)
class ProtocolTable:
    """The result of `protocols`.

    Attributes:
        rows: One row per result.
        protocol: Settings, sizes and the version of skelrep.
    """

    rows: tuple[ProtocolRow, ...]
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {"rows": [asdict(row) for row in self.rows], "protocol": self.protocol}

    def __str__(self) -> str:
        """A line with the encoder and the data set, and an aligned table."""
        cells = [("protocol", "setting", "streams", "labels", "clips", "accuracy", "")]
        for row in self.rows:
            deviation = "" if row.std is None else f"± {100 * row.std:.1f} ({row.seeds} seeds)"
            numbers = f"{100 * row.fraction:g} %", str(row.clips), f"{100 * row.accuracy:.1f} %", deviation
            cells.append((row.protocol, row.setting, row.streams, *numbers))
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = [
            "  ".join(c.rjust(w) if 3 <= i <= 5 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip()
            for line in cells
        ]
        return "\n".join([f"{self.protocol['encoder']} on {self.protocol['dataset']}", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def protocols(
    encoder: Encoder,
    train: Poses,
    test: Poses,
    *,
    which: Sequence[str] = PROTOCOLS,
    fractions: Sequence[float] = (0.01, 0.05, 0.1, 0.2),
    seeds: int = 5,
    from_scratch: bool = False,
    groups: Any = None,
    config: FinetuneConfig = FinetuneConfig(),  # noqa: B008 - frozen
    dataset: str | None = None,
    show_progress: bool | None = None,
) -> ProtocolTable:
    """Evaluates an encoder by the protocols of the literature.

    - "knn": 1 and 5 nearest neighbours by cosine of frozen features, fused and of each stream alone.
    - "linear": a linear probe on frozen fused features; see `linear_eval`.
    - "semi": for each fraction of the labels and each seed, a linear probe and fine-tuning on a `subset` of the
      training clips. If a class has a single clip, the probe's C is 1.
    - "finetune": fine-tuning with all labels.

    Args:
        encoder: The encoder; it is not changed.
        train: Clips with labels.
        test: Clips with labels that occur in training.
        which: Some of `PROTOCOLS`.
        fractions: Fractions of the labels for "semi".
        seeds: Number of repetitions of "semi" and "finetune", with seeds from `config.seed` on.
        from_scratch: Also train the same network from random weights wherever the encoder is fine-tuned.
        groups: Groups of the training clips, such as subjects or recordings. Cross-validation of the probe keeps a
            group in one fold, and subsets include as many groups as possible.
        config: Settings of fine-tuning.
        dataset: Name of the labelled data set; by default its sizes.
        show_progress: A progress bar on stderr; by default only in a terminal or notebook.

    Returns:
        One row per protocol, setting and fraction.

    Raises:
        ValueError: for an unknown protocol; if labels are missing, of one class, or not seen in training; if a fraction
            or the number of seeds is out of range, or the encoder cannot take the poses.
    """
    if unknown := [name for name in which if name not in PROTOCOLS]:
        raise ValueError(f"there is no protocol {unknown[0]!r}; known protocols: {', '.join(PROTOCOLS)}")
    if seeds < 1:
        raise ValueError(f"seeds={seeds!r} must be at least 1, the number of repetitions")
    labels = checked_labels(train, "training")
    classes = np.unique(labels)
    test_labels = checked_labels(test, "test", classes)
    groups = None if groups is None else np.asarray(groups)
    if groups is not None and groups.shape != (len(train),):
        raise ValueError(f"groups has shape {groups.shape} for {len(train)} training clips; give one group for each")
    trainings = [("semi", fraction) for fraction in fractions if "semi" in which]
    trainings += [("finetune", 1.0)] * ("finetune" in which)
    all_seeds = range(config.seed, config.seed + seeds)
    subsets = [[subset(labels, fraction, seed, groups) for seed in all_seeds] for _, fraction in trainings]

    frozen = copy.deepcopy(encoder).eval()
    data = _Data(frozen, train, labels, test, test_labels, groups, keep=bool(trainings))
    dataset = dataset or f"{len(train)} training and {len(test)} test clips, {len(classes)} classes"
    table = _Table("+".join(frozen.config.modalities), _pretraining_data(encoder), dataset)
    if "knn" in which:
        for streams, k, accuracy in _neighbours(data):
            table.add("knn", f"{k}-NN", [accuracy], 1.0, len(train), streams)
    if "linear" in which:
        table.add("linear", "linear probe", [_probe(data, np.arange(len(train)))], 1.0, len(train))

    with tqdm(
        total=len(trainings) * seeds,
        desc="protocols",
        unit="training",
        disable=None if show_progress is None else not show_progress,
    ) as bar:
        for (protocol, fraction), chosen_by_seed in zip(trainings, subsets):
            accuracies: dict[str, list[float]] = {}
            for seed, chosen in zip(all_seeds, chosen_by_seed):
                seeded = replace(config, seed=seed)
                if protocol == "semi":
                    # A class with one clip is missing from one side of every fold, so the choice of C would be random.
                    single = np.unique(labels[chosen], return_counts=True)[1].min() == 1
                    accuracies.setdefault("linear probe", []).append(_probe(data, chosen, 1.0 if single else None))
                accuracies.setdefault("fine-tuned", []).append(_finetuned(data, chosen, seeded))
                if from_scratch:
                    accuracies.setdefault("from scratch", []).append(_finetuned(data, chosen, seeded, True))
                bar.update()
            for setting, found in accuracies.items():
                table.add(protocol, setting, found, fraction, len(chosen_by_seed[0]))
    protocol = {
        "encoder": "@".join(filter(None, encoder.source)),
        "pretraining": table.pretraining,
        "dataset": dataset,
        "n_train": len(train),
        "n_test": len(test),
        "n_classes": len(classes),
        "n_groups": None if groups is None else len(np.unique(groups)),
        "finetune": asdict(config),
        "skelrep": __version__,
    }
    return ProtocolTable(tuple(table.rows), protocol)


@dataclass
class _Table:
    """Collects the rows of a table."""

    all_streams: str
    pretraining: str
    dataset: str
    rows: list[ProtocolRow] = field(default_factory=list)

    def add(
        self,
        protocol: str,
        setting: str,
        accuracies: list[float],
        fraction: float,
        clips: int,
        streams: str | None = None,
    ) -> None:
        """Adds a row for the accuracies of several seeds."""
        self.rows.append(
            ProtocolRow(
                protocol,
                setting,
                streams or self.all_streams,
                fraction,
                clips,
                accuracy=float(np.mean(accuracies)),
                std=float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
                seeds=len(accuracies),
                pretraining="none" if setting == "from scratch" else self.pretraining,
                dataset=self.dataset,
            )
        )


class _Data:
    """The clips, their labels and their features by a frozen encoder, computed once for all protocols."""

    def __init__(
        self,
        encoder: Encoder,
        train: Poses,
        labels: np.ndarray,
        test: Poses,
        test_labels: np.ndarray,
        groups: np.ndarray | None,
        keep: bool,
    ) -> None:
        """Prepares the clips, and computes their features; `keep`: the prepared clips are needed again."""
        self.encoder, self.groups = encoder, groups
        self.labels, self.test_labels = labels, test_labels
        self.train, self.features = _prepared(encoder, train, keep)
        self.test, self.test_features = _prepared(encoder, test, keep)
        self.fused, self.test_fused = encoder.fuse(self.features), encoder.fuse(self.test_features)


@torch.no_grad()
def _prepared(encoder: Encoder, poses: Poses, keep: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Prepared clips (N, M, T, V, 3), or none of them unless `keep`, and the features of every stream, (N, D).

    Batch by batch, because preprocessing needs several times the memory of its result.
    """
    parts: list[dict[str, Tensor]] = []
    prepared = torch.empty(0)
    for begin in range(0, len(poses), BATCH_WITHOUT_GRADIENTS):
        part = encoder.prepare(poses[begin : begin + BATCH_WITHOUT_GRADIENTS])
        parts.append(encoder(part))
        if keep:
            prepared = prepared if begin else part.new_empty(len(poses), *part.shape[1:])
            prepared[begin : begin + len(part)] = part
    return prepared, {name: torch.cat([part[name] for part in parts]) for name in encoder.config.modalities}


def _neighbours(data: _Data) -> Iterator[tuple[str, int, float]]:
    """Yields streams, k and accuracy, for all streams together and for each of them."""
    fuse, names = data.encoder.fuse, data.encoder.config.modalities
    for streams in dict.fromkeys([names, *((name,) for name in names)]):
        train, test = (fuse({name: one[name] for name in streams}) for one in (data.features, data.test_features))
        for k, accuracy in knn_eval(train, data.labels, test, data.test_labels, k=(1, 5)).accuracy.items():
            yield "+".join(streams), k, accuracy


def _probe(data: _Data, chosen: np.ndarray, C: float | None = None) -> float:
    """Accuracy of a linear probe on the fused features of the chosen training clips."""
    groups = None if data.groups is None else data.groups[chosen]
    with warnings.catch_warnings():  # a subset may have one clip per class
        warnings.filterwarnings("ignore", "The number of unique classes")
        result = linear_eval(
            data.fused[chosen], data.labels[chosen], data.test_fused, data.test_labels, groups=groups, C=C
        )
    return result.accuracy


def _finetuned(data: _Data, chosen: np.ndarray, config: FinetuneConfig, from_scratch: bool = False) -> float:
    """Accuracy of a network that was fine-tuned on the chosen training clips."""
    model = finetune_prepared(
        data.encoder, data.train[chosen], data.labels[chosen], config, from_scratch=from_scratch, show_progress=False
    )
    return float((model.predict_prepared(data.test) == data.test_labels).mean())


def _pretraining_data(encoder: Encoder) -> str:
    """The names of the pretraining data, if the config's free-form `training` has them."""
    data = encoder.config.training.get("data")
    if not isinstance(data, list):
        return str(data or ("none" if encoder.source.name == "untrained" else "unknown"))
    return ", ".join(str(entry.get("name", entry) if isinstance(entry, dict) else entry) for entry in data)
