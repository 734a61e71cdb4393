"""Rows, a search by plain loops, and the measure of memory for the tests of evaluations."""

from __future__ import annotations

import weakref
from collections import Counter

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TINY = 20_000  # bytes: blocks of about ten rows on either side


def naive(query, bank, k, metric, allowed=lambda i, j: True):
    """Neighbours of each query by a loop over pairs in float64 and a stable sort."""
    rows = []
    for i, q in enumerate(query.astype(np.float64)):
        similarities = []
        for j, b in enumerate(bank.astype(np.float64)):
            lengths = np.linalg.norm(q) * np.linalg.norm(b)
            value = -np.linalg.norm(q - b) if metric == "euclidean" else q @ b / lengths if lengths else 0.0
            if allowed(i, j):
                similarities.append((-value, j))
        rows.append(sorted(similarities)[:k])
    return np.array([[j for _, j in row] for row in rows]), -np.array([[value for value, _ in row] for row in rows])


class Held(TorchDispatchMode):
    """The most bytes in tensors alive at once, of those made inside."""

    def __init__(self):
        super().__init__()
        self.alive, self.now, self.peak = Counter(), 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                storage = tensor.untyped_storage()
                place, size = storage.data_ptr(), storage.nbytes()
                self.now += size * (self.alive[place] == 0)
                self.alive[place] += 1
                self.peak = max(self.peak, self.now)
                weakref.finalize(tensor, self._gone, place, size)
        return result

    def _gone(self, place, size):
        self.alive[place] -= 1
        self.now -= size * (self.alive[place] == 0)
