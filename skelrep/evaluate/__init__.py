"""How good embeddings are: nearest neighbours, linear probes, retrieval."""

from __future__ import annotations

from skelrep.evaluate.knn import KNNResult as KNNResult
from skelrep.evaluate.knn import LinearResult as LinearResult
from skelrep.evaluate.knn import RetrievalResult as RetrievalResult
from skelrep.evaluate.knn import knn_eval as knn_eval
from skelrep.evaluate.knn import linear_eval as linear_eval
from skelrep.evaluate.knn import retrieve as retrieve
from skelrep.evaluate.knn import wilson_interval as wilson_interval
