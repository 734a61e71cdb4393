"""Which persons a clip keeps."""

from __future__ import annotations

import numpy as np


def motion_energy(clip: np.ndarray) -> np.ndarray:
    """How much each person of a (M, T, V, C) clip moves: the sum over axes of the coordinates' standard deviation.

    As in 2s-AGCN's NTU reader (Shi et al., CVPR 2019): over all seen frames and joints at once; (M,).
    """
    energy = np.zeros(len(clip))
    for person, track in enumerate(clip):
        points = track[~np.isnan(track).any(axis=-1)]
        energy[person] = points.std(axis=0).sum() if len(points) else -1.0
    return energy
