"""Evaluation of embeddings: nearest neighbours, a linear classifier, retrieval.

All functions take (N, D) arrays or tensors with one row per clip, from skelrep or from elsewhere, and return a frozen
dataclass that includes the protocol.
"""

from __future__ import annotations

from skelrep.evaluate.inputs import Rows as Rows
from skelrep.evaluate.knn import knn_eval as knn_eval
from skelrep.evaluate.linear import linear_eval as linear_eval
from skelrep.evaluate.results import KNNResult as KNNResult
from skelrep.evaluate.results import LinearResult as LinearResult
from skelrep.evaluate.results import RetrievalResult as RetrievalResult
from skelrep.evaluate.retrieval import retrieve as retrieve
from skelrep.evaluate.scores import wilson_interval as wilson_interval
