"""Classifiers as ONNX files: from prepared poses to probabilities, for runtimes without PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skelrep.encoder.inference import chosen_streams
from skelrep.encoder.onnx import TOLERANCE, Graph, write_graph
from skelrep.recordings.heads import Head

if TYPE_CHECKING:
    from skelrep.recordings.classifier import Classifier


def export_onnx(classifier: Classifier, path: str | os.PathLike) -> float:
    """Writes a fitted classifier and its encoder as one file; see `Classifier.export_onnx`."""
    encoder = classifier.loaded_encoder()
    streams = chosen_streams(encoder, classifier.streams)
    return write_graph(encoder, path, streams, _HeadGraph(classifier.head_, classifier.classes_))


class _HeadGraph:
    """`Head.probabilities` and `Head.is_known` as ONNX nodes."""

    def __init__(self, head: Head, classes: np.ndarray) -> None:
        """Takes the parameters and the (K,) labels of a fitted classifier."""
        self.head = head
        self.metadata = {"classes": json.dumps(classes.tolist(), ensure_ascii=False)}

    def to_onnx(self, graph: Graph, embedding: str) -> None:
        """Adds the outputs `probabilities` and `known`."""
        head = self.head
        standardised = graph("Div", graph("Sub", embedding, head.mean), head.deviation)
        length = graph("ReduceL2", standardised, axes=[1], keepdims=1)
        smallest = np.finfo(np.float32).tiny
        cosines = graph("MatMul", graph("Div", standardised, graph("Max", length, smallest)), head.prototypes.T)
        logits = cosines
        if head.weight is not None and head.bias is not None:
            logits = graph("Add", graph("MatMul", standardised, head.weight.T), head.bias)
        probabilities = graph("Softmax", graph("Div", logits, head.temperature), axis=1)
        graph.output("probabilities", probabilities, [len(head.prototypes)], "of the classes, in their order")
        nearest = graph("ReduceMax", cosines, axes=[1], keepdims=0)
        known = graph("GreaterOrEqual", nearest, head.threshold)
        graph.output("known", known, [], "whether the clip is like any of the training clips", "BOOL")

    def difference(self, found: Sequence[np.ndarray], rows: np.ndarray) -> float:
        """The difference of the probabilities; 1 if `known` differs by more than rounding of the cosine explains."""
        probabilities, known = found
        differs = (known != self.head.is_known(rows)) & (
            np.abs(self.head.cosines(rows).max(axis=1) - self.head.threshold) > TOLERANCE
        )
        return max(float(np.abs(probabilities - self.head.probabilities(rows)).max()), float(differs.any()))
