"""Results of the evaluations: frozen dataclasses with their protocol, as text, JSON and HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

_ONE_PER_CLIP = ("predictions", "neighbors", "indices", "similarities", "average_precision")


@dataclass(frozen=True, eq=False, repr=False)
class KNNResult:
    """The result of `knn_eval`. Dictionaries have one entry for each k.

    Attributes:
        accuracy: Fraction of the test clips classified correctly.
        interval: 95 % Wilson interval of the accuracy. It treats clips as independent; clips of one subject are not,
            so the uncertainty for new subjects is larger.
        balanced_accuracy: Mean of the per-class accuracies over the classes that have test clips.
        per_class: (n_classes,) accuracy of each class, NaN for a class without test clips.
        predictions: (Q,) predicted labels.
        confusion: (n_classes, n_classes) counts for the first k; rows are true classes, columns predicted ones.
        neighbors: (Q, max k) rows of the training set, nearest first.
        similarities: (Q, max k) float32; the cosine, or minus the Euclidean distance.
        classes: (n_classes,) sorted labels of the training and test rows together.
        protocol: Settings, sizes and the version of skelrep; callers may add a description of the embeddings.
    """

    accuracy: dict[int, float]
    interval: dict[int, tuple[float, float]]
    balanced_accuracy: dict[int, float]
    per_class: dict[int, np.ndarray]
    predictions: dict[int, np.ndarray]
    confusion: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray
    classes: np.ndarray
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """All fields as JSON values; fields with one entry per clip are included only with `rows=True`."""
        return as_dict(self, rows)

    def __str__(self) -> str:
        """Two lines: the accuracies, then what they were measured on."""
        scores = ", ".join(f"{k}-NN {percent(self.accuracy[k], self.interval[k])}" for k in self.accuracy)
        return f"kNN ({_voting(self.protocol)}): {scores}\n{_sizes(self.protocol)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(
            f"kNN, {_voting(self.protocol)}. {_sizes(self.protocol)}",
            ("k", "accuracy", "95 % interval", "balanced"),
            [(str(k), *_cells(self.accuracy[k], self.interval[k], self.balanced_accuracy[k])) for k in self.accuracy],
        )


@dataclass(frozen=True, eq=False, repr=False)
class LinearResult:
    """The result of `linear_eval`.

    Attributes:
        accuracy: Fraction of the test clips classified correctly.
        interval: 95 % Wilson interval of the accuracy, with the same limitation as in `KNNResult`.
        balanced_accuracy: Mean of the per-class accuracies over the classes that have test clips.
        per_class: (n_classes,) accuracy of each class, NaN for a class without test clips.
        predictions: (Q,) predicted labels.
        confusion: (n_classes, n_classes) counts; rows are true classes, columns predicted ones.
        classes: (n_classes,) sorted labels of the training and test rows together.
        C: The inverse regularisation strength that was used; with `leave_one_out`, where every group has its own, the
            most frequent one.
        cross_validation: How C was chosen: {"C": candidates, "mean": accuracies, "std": their standard deviations over
            the folds, "folds": number of folds}; None if C was given or could not be chosen. With `leave_one_out`,
            {"C": candidates, "chosen": the C of each held-out group, in sorted order of the groups}.
        protocol: Settings, sizes and the version of skelrep; callers may add a description of the embeddings.
    """

    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    per_class: np.ndarray
    predictions: np.ndarray
    confusion: np.ndarray
    classes: np.ndarray
    C: float
    cross_validation: dict[str, Any] | None
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """All fields as JSON values; fields with one entry per clip are included only with `rows=True`."""
        return as_dict(self, rows)

    def __str__(self) -> str:
        """Two lines: the accuracy, then what it was measured on."""
        return f"linear probe ({self._choice()}): {percent(self.accuracy, self.interval)}\n{_sizes(self.protocol)}"

    __repr__ = __str__

    def _choice(self) -> str:
        if self.cross_validation is None:
            return f"C = {self.C:g}, not chosen by cross-validation"
        if chosen := self.cross_validation.get("chosen"):
            return f"C = {min(chosen):g} to {max(chosen):g}, chosen for each group on the training rows"
        return f"C = {self.C:g}, chosen by {self.cross_validation['folds']} folds of the training rows"

    def _repr_html_(self) -> str:
        return _html_table(
            f"Linear probe, {self._choice()}. {_sizes(self.protocol)}",
            ("C", "accuracy", "95 % interval", "balanced"),
            [(f"{self.C:g}", *_cells(self.accuracy, self.interval, self.balanced_accuracy))],
        )


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalResult:
    """The result of `retrieve`.

    Attributes:
        indices: (Q, k) rows of the bank, most similar first.
        similarities: (Q, k) float32; the cosine, or minus the Euclidean distance.
        mean_average_precision: Mean of `average_precision` over the queries whose label occurs in the bank; None
            without labels.
        average_precision: (Q,) over the whole ranking of the bank, NaN where the bank has no row of the query's label;
            None without labels.
        precision: (k,) precision@j at index j - 1: the fraction of rows with the query's label among the first j,
            averaged over the same queries; None without labels.
        protocol: Settings, sizes and the version of skelrep.
    """

    indices: np.ndarray
    similarities: np.ndarray
    mean_average_precision: float | None
    average_precision: np.ndarray | None
    precision: np.ndarray | None
    protocol: dict[str, Any]

    def to_dict(self, *, rows: bool = False) -> dict[str, Any]:
        """All fields as JSON values; fields with one entry per query are included only with `rows=True`."""
        return as_dict(self, rows)

    def _scores(self) -> list[tuple[str, str]]:
        if self.mean_average_precision is None or self.precision is None:
            return []
        ks = dict.fromkeys((1, len(self.precision)))
        return [
            ("mean average precision", f"{100 * self.mean_average_precision:.1f} %"),
            *((f"precision@{k}", f"{100 * self.precision[k - 1]:.1f} %") for k in ks),
        ]

    def __str__(self) -> str:
        """Two lines: what was searched, then the scores."""
        protocol = self.protocol
        groups = f", one of {protocol['n_groups']} groups left out" if protocol["n_groups"] else ""
        searched = (
            f"retrieval ({protocol['metric']}): the first {protocol['k']} of {protocol['n_bank']} rows for "
            f"{protocol['n_query']} queries of {protocol['dim']} dimensions{groups}"
        )
        scores = ", ".join(f"{name} {value}" for name, value in self._scores())
        return f"{searched}\n{scores or 'no scores: no labels given'}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(str(self).split("\n", maxsplit=1)[0], ("measure", "value"), self._scores())


def as_dict(result: Any, rows: bool = False) -> dict[str, Any]:
    """A result's fields in a form that JSON can hold; those with one entry per clip only with `rows`."""
    names = [field.name for field in fields(result) if rows or field.name not in _ONE_PER_CLIP]
    return {name: _to_json(getattr(result, name)) for name in names}


def _to_json(value: Any) -> Any:
    """The value as numbers, strings, lists and dictionaries; NaN, which JSON lacks, becomes None."""
    if isinstance(value, dict):
        return {str(key): _to_json(entry) for key, entry in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _to_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_to_json(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def percent(accuracy: float, interval: tuple[float, float]) -> str:
    """An accuracy with its interval: "87.5 % [80.1, 92.3]"."""
    return f"{100 * accuracy:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _cells(accuracy: float, interval: tuple[float, float], balanced: float) -> tuple[str, str, str]:
    return (
        f"{100 * accuracy:.1f} %",
        f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %",
        f"{100 * balanced:.1f} %",
    )


def _voting(protocol: dict[str, Any]) -> str:
    temperature = protocol["temperature"]
    return f"{protocol['metric']}, {protocol['weights']} votes" + (f" at {temperature:g}" if temperature else "")


def _sizes(protocol: dict[str, Any]) -> str:
    if protocol.get("leave_one_out"):
        left_out = "one left out" if protocol["n_groups"] is None else f"one of {protocol['n_groups']} groups left out"
        clips = f"{protocol['n_train']} clips, {left_out}"
    else:
        clips = f"{protocol['n_test']} test clips against {protocol['n_train']}"
    return f"{clips}; {protocol['n_classes']} classes, {protocol['dim']} dimensions, skelrep {protocol['skelrep']}"


def _html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", cells) for cells in rows)
    return f"<table><caption>{html.escape(caption)}</caption>{line('th', head)}{body}</table>"
