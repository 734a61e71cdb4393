"""The last step of pretraining: evening out the features' variances, without labels."""

from __future__ import annotations

import torch

from skelrep.encoder import Encoder
from skelrep.train.data import Corpus

POWER = 0.5  # of the covariance's inverse square root: 0 leaves it, 1 equalises all directions, noise too
SMALLEST = 1e-4  # of the largest variance: directions below it are taken for noise and not raised further


@torch.no_grad()
def whiten(
    encoder: Encoder, corpus: Corpus, window: tuple[float, float], crop: tuple[float, float], clips: int
) -> None:
    """Fits the whitening of every stream, in place, on random views of the corpus.

    A contrastive head may ignore directions in which all clips differ much (the viewpoint, the body's size); the
    features before it keep them, and there they rule cosines. So every stream's feature x becomes C^(-p/2) (x - m),
    with mean m and covariance C over views. Full whitening (p = 1) is common in image retrieval (Jégou and Chum, ECCV
    2012); half of it is our choice.

    Args:
        encoder: Of the convolution backbone, its whitening still the identity; in evaluation mode.
        corpus: What it was trained on.
        window: Seconds of a clip, from and to.
        crop: Share of it that is one view, from and to.
        clips: How many to draw; several times the features' width.

    Raises:
        ValueError: if the backbone has no whitening, or it was fitted before.
    """
    views = torch.cat([corpus.views(256, window, crop, encoder.config)[0][:, None] for _ in range(-(-clips // 256))])
    for name, features in encoder(views).items():
        layer = encoder.streams[name].whiten
        if not torch.equal(layer.weight, torch.eye(len(layer.weight), device=layer.weight.device)):  # type: ignore[arg-type]
            raise ValueError(f"the {name} stream is whitened already")
        features = features.double()  # eigenvalues span seven decades
        variances, axes = torch.linalg.eigh(torch.cov(features.T))
        gains = variances.clamp(min=variances.max() * SMALLEST) ** (-POWER / 2)
        gains = gains / gains.mean()  # cosines do not see a common factor; this one keeps magnitudes as they were
        matrix = (axes * gains) @ axes.mT
        layer.weight.copy_(matrix)  # type: ignore[operator]
        layer.bias.copy_(-matrix @ features.mean(dim=0))  # type: ignore[operator]
