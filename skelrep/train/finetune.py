"""Fine-tuning: an encoder and a linear classifier trained together with labels.

The literature often evaluates every epoch on the test clips and reports the best one, as CMD's public linear evaluation
does. That is a choice based on test labels, which makes the result too optimistic. Here epochs and learning rates are
fixed beforehand, and the result is that of the last epoch.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from skelrep.encoder import Encoder, Source
from skelrep.encoder.encoder import persons_present
from skelrep.matmul import check_products
from skelrep.poses import Poses
from skelrep.train.augment import AugmentConfig, augment

BATCH_WITHOUT_GRADIENTS = 256  # clips, enough to occupy a GPU with little memory

#: A third of the distortions of pretraining or less: new bodies and viewpoints, but one known sensor. Nothing is
#: mirrored, because labels may distinguish left from right.
MILD_AUGMENTATION = AugmentConfig(
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
    """Settings of fine-tuning.

    The defaults were chosen on the training subjects of UTD-MHAD, two of whom were held out in turn; test subjects were
    not used.

    Attributes:
        epochs: Passes over the training clips; with 60, accuracy is less than a point higher, with 15, one or two
            points lower.
        batch: Largest number of clips per step; small, so that one clip per class still gives dozens of steps.
        learning_rate: AdamW's highest learning rate for the classifier; both rates decay along a half cosine to zero.
            It is large because features of length 1 have entries of a few hundredths; 0.1 costs 3 to 7 points.
        encoder_learning_rate: Learning rate for the encoder, which is already trained; 3e-4 is no better.
        weight_decay: Weight decay of matrices and kernels, as in pretraining.
        augment: Distortions of the training clips (`mirror` is not used). No distortion is as good as the mild default;
            the distortions of pretraining cost 3 to 4 points.
        precision: "float32", or "bfloat16" for the network's products, for large encoders on a GPU.
        seed: Random seed.
    """

    epochs: int = 30
    batch: int = 16
    learning_rate: float = 0.01
    encoder_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    augment: AugmentConfig = field(default_factory=lambda: MILD_AUGMENTATION)
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises a ValueError if `epochs` or `batch` is below 1."""
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs and batch must be at least 1, got {self.epochs} and {self.batch}")


class Classifier(nn.Module):
    """An encoder and a linear layer on its fused features."""

    def __init__(self, encoder: Encoder, classes: np.ndarray) -> None:
        """Takes the encoder itself, not a copy; `classes` are the sorted labels."""
        super().__init__()
        self.encoder = encoder
        self.classes = classes
        self.linear = nn.Linear(encoder.dim, len(classes), device=encoder.device)
        nn.init.zeros_(self.linear.weight)  # so that all classes have equal logits at the start
        nn.init.zeros_(self.linear.bias)

    def forward(self, prepared: Tensor) -> Tensor:
        """Logits (N, classes) of (N, M, T, V, 3) prepared clips."""
        return self.linear(self.encoder.fuse(self.encoder(prepared)))

    def predict(self, poses: Poses) -> np.ndarray:
        """The label of each clip, (N,).

        Raises:
            ValueError: if the encoder cannot take the poses.
        """
        return self.predict_prepared(self.encoder.prepare(poses))

    @torch.inference_mode()
    def predict_prepared(self, prepared: Tensor) -> np.ndarray:
        """The label of each of (N, M, T, V, 3) prepared clips, (N,)."""
        codes = torch.cat([self(part).argmax(dim=1) for part in prepared.split(BATCH_WITHOUT_GRADIENTS)])
        return self.classes[codes.cpu().numpy()]

    def accuracy(self, poses: Poses) -> float:
        """Fraction of the clips that are classified correctly.

        Raises:
            ValueError: if the poses have no labels, or a label that does not occur in training.
        """
        labels = checked_labels(poses, "test", self.classes)
        return float((self.predict(poses) == labels).mean())


def finetune(
    encoder: Encoder,
    train: Poses,
    config: FinetuneConfig = FinetuneConfig(),  # noqa: B008 - frozen
    *,
    show_progress: bool | None = None,
) -> Classifier:
    """Trains a copy of an encoder and a linear classifier together, on the encoder's device.

    BatchNorm uses the statistics of pretraining, because batch statistics cost 3 to 6 points (measured as described in
    `FinetuneConfig`). Parameters that are frozen in pretraining stay frozen.

    Args:
        encoder: The pretrained encoder; it is not changed.
        train: Clips with labels of at least two classes.
        config: Settings of the training.
        show_progress: A progress bar on stderr; by default only in a terminal or notebook.

    Returns:
        The classifier after the last epoch, in evaluation mode. Equal seeds give equal classifiers on the same device.

    Raises:
        ValueError: if labels are missing or of one class only, if the encoder cannot take the poses, or if the loss is
            not finite at the end.
    """
    labels = checked_labels(train, "training")
    return finetune_prepared(encoder, encoder.prepare(train), labels, config, show_progress=show_progress)


def finetune_prepared(
    encoder: Encoder,
    prepared: Tensor,
    labels: np.ndarray,
    config: FinetuneConfig,
    *,
    from_scratch: bool = False,
    show_progress: bool | None = None,
) -> Classifier:
    """`finetune` for clips from `encoder.prepare`.

    Args:
        encoder: The pretrained encoder; it is not changed.
        prepared: (N, M, T, V, 3).
        labels: (N,) labels of at least two classes.
        config: Settings of the training.
        from_scratch: Whether the network starts from random weights instead of those of the encoder.
        show_progress: As in `finetune`.

    Returns:
        As `finetune`.

    Raises:
        ValueError: if the loss is not finite at the end.
    """
    if config.precision == "bfloat16" and prepared.device.type == "cpu":
        check_products()
    classes, codes = np.unique(labels, return_inverse=True)
    targets = torch.from_numpy(codes).to(prepared.device)
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(config.seed)
        encoder = Encoder(encoder.config).to(prepared.device) if from_scratch else copy.deepcopy(encoder)
        encoder.source = Source(f"{encoder.source.name}, fine-tuned", encoder.source.commit)
        model = Classifier(encoder, classes).train()
        if not from_scratch:  # random weights have no statistics to keep
            for module in encoder.modules():
                if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    module.eval()
        optimizer = torch.optim.AdamW(_parameter_groups(model, config))
        batches = math.ceil(len(prepared) / config.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * batches)
        loss = torch.zeros(())
        for _ in tqdm(
            range(config.epochs),
            desc="finetune",
            unit="epoch",
            disable=None if show_progress is None else not show_progress,
        ):
            for rows in torch.randperm(len(prepared)).tensor_split(batches):  # sizes differ by at most one
                clips = _distorted(prepared[rows], encoder, config.augment)
                with torch.autocast(clips.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                    loss = nn.functional.cross_entropy(model(clips), targets[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
    if not torch.isfinite(loss):
        raise ValueError(f"the loss is {loss.item()} after {config.epochs} epochs; use lower learning rates")
    return model.eval()


def checked_labels(poses: Poses, name: str, classes: np.ndarray | None = None) -> np.ndarray:
    """The (N,) labels of poses, which must be of at least two classes or, if `classes` is given, only of these.

    Raises:
        ValueError: if they are not; the message uses `name` for the poses.
    """
    if poses.labels is None or not len(poses):
        raise ValueError(f"the {name} poses have {'no labels' if len(poses) else 'no clips'}; give one label per clip")
    found = np.unique(poses.labels)
    if classes is None and len(found) < 2:
        raise ValueError(f"the {name} clips are all of class {found[0]}; a classifier needs at least two classes")
    if classes is not None and len(unseen := np.setdiff1d(found, classes)):
        raise ValueError(
            f"no training clip has the label {', '.join(map(str, unseen[:5]))}{', ...' if len(unseen) > 5 else ''}, "
            f"which {np.isin(poses.labels, unseen).sum()} test clips have; remove these clips"
        )
    return poses.labels


def _parameter_groups(model: Classifier, config: FinetuneConfig) -> list[dict]:
    """Parameter groups: weight decay only for matrices and kernels, and a separate learning rate for the encoder."""
    return [
        {
            "params": [p for p in part.parameters() if p.requires_grad and (p.ndim > 1) == decayed],
            "lr": rate,
            "weight_decay": config.weight_decay * decayed,
        }
        for part, rate in ((model.encoder, config.encoder_learning_rate), (model.linear, config.learning_rate))
        for decayed in (True, False)
    ]


def _distorted(clips: Tensor, encoder: Encoder, config: AugmentConfig) -> Tensor:
    """Augments (B, M, T, V, 3) clips, all persons of a clip in the same way; absent persons stay zero."""
    present = persons_present(clips)[:, :, None, None, None]
    return augment(clips.flatten(1, 2), encoder.skeleton, config).view_as(clips) * present
