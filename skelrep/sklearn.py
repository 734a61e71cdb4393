"""SkeletonEmbedder: an encoder as a scikit-learn transformer from poses to embeddings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skelrep.embedding import embed
from skelrep.encoder import Encoder
from skelrep.hub import load_pretrained
from skelrep.missing import Zeros
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    import torch
    from sklearn.utils import Tags


class SkeletonEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A scikit-learn transformer from clips to (N, D) float32 embeddings by a frozen encoder.

    `fit` learns nothing, so neither labels nor test clips can leak into cross-validation. The input has one clip per
    entry, as `embed` takes it: a list of clips of any lengths, (T, V, C) or (M, T, V, C), an object array of them,
    `Poses`, or a dense (N, M, T, V, C) array.

    A grid search embeds the same clips again for every candidate and fold. If only later steps vary, embed the clips
    once beforehand, or pass `memory=` to the pipeline.

    Examples:
        >>> make_pipeline(SkeletonEmbedder(), StandardScaler(), LogisticRegression()).fit(clips, labels)

    Args:
        model: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`. A named encoder is loaded
            when it is first needed, and kept; clones share it.
        skeleton: The clips' skeleton, its name or its joint names; not needed for `Poses`.
        layout: The order of the clips' axes, if it is another one; see `embed`.
        fps: Frames per second of the clips.
        zeros: What coordinates of exactly zero mean; see `embed`.
        scale: Factor of all coordinates, or one for each axis; see `embed`.
        channels: The meaning of the channels of arrays, such as "xys"; see `embed`.
        streams: Which of the encoder's streams to use; by default all of them.
        batch_size: Number of clips per batch; does not change the result.
        device: Where to compute; by default the device of the encoder.
        precision: Precision of the matrix products: "float32", "bfloat16" or "int8"; see `embed`.
        normalize: Whether to scale every embedding to length 1.
    """

    def __init__(
        self,
        model: Encoder | str | os.PathLike = "i2md-small",
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        fps: float | None = None,
        zeros: Zeros | None = None,
        scale: float | Sequence[float] | None = None,
        channels: str | None = None,
        streams: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        precision: str = "float32",
        normalize: bool = False,
    ) -> None:
        """Stores the parameters unchanged, as scikit-learn requires."""
        self.model = model
        self.skeleton = skeleton
        self.layout = layout
        self.fps = fps
        self.zeros: Zeros | None = zeros
        self.scale = scale
        self.channels = channels
        self.streams = streams
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.normalize = normalize

    def fit(self, X: Any, y: Any = None) -> SkeletonEmbedder:
        """Does nothing, as the encoder is already trained.

        Args:
            X: N clips; not used.
            y: Not used.
        """
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embeddings of N clips, (N, D) float32, in the order of the input.

        Raises:
            ValueError: if X does not have one clip per entry, and as `embed`.
        """
        embeddings = embed(
            X,
            self._encoder(),
            skeleton=self.skeleton,
            layout=self.layout,
            fps=self.fps,
            zeros=self.zeros,
            scale=self.scale,
            channels=self.channels,
            streams=self.streams,
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            normalize=self.normalize,
        )
        if len(embeddings) != len(X):  # a single clip: its persons or frames would count as samples
            raise ValueError(
                f"X has {len(X)} entries but contains {len(embeddings)} clips; pass a list of clips, Poses, a dense "
                '(N, M, T, V, C) array, or give layout="NTVC"'
            )
        return embeddings

    def _encoder(self) -> Encoder:
        if isinstance(self.model, Encoder):
            return self.model
        name, encoder = getattr(self, "_loaded", (None, None))
        if encoder is None or name != self.model:
            encoder = load_pretrained(self.model)
            self._loaded = (self.model, encoder)
        return encoder

    @property
    def _n_features_out(self) -> int:
        """D, from which `get_feature_names_out` makes the names skeletonembedder0, skeletonembedder1 ..."""
        encoder = self._encoder()
        chosen = encoder.config.modalities if self.streams is None else np.atleast_1d(self.streams)
        sizes: list[Any] = [stream.dim for name, stream in encoder.streams.items() if name in chosen]
        return sum(sizes) if encoder.config.fusion == "concatenate" else sizes[0]

    def __sklearn_clone__(self) -> SkeletonEmbedder:
        """A copy that shares the encoder: it has no fitted state, and a copy for every fold would waste memory."""
        clone = type(self).__new__(type(self))
        clone.__dict__.update(
            {name: dict(value) if isinstance(value, dict) else value for name, value in self.__dict__.items()}
        )
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """The state to pickle: an encoder given by name is loaded again and not written into the file."""
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn: no fitting required, no two-dimensional input, NaN allowed."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True  # embed does it
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags
