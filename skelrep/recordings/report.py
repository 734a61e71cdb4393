"""How well a classifier does on training clips that it was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skelrep.evaluate.results import as_dict, percent
from skelrep.evaluate.scores import confusion_counts, score
from skelrep.messages import one_line
from skelrep.recordings.heads import HeldOut

_BINS = 10  # of the calibration error; Guo et al. (ICML 2017) use 15 for larger data sets


@dataclass(frozen=True, eq=False, repr=False)
class FitReport:
    """Results of cross-validation: every clip is classified by a classifier that was fitted without it.

    They are slightly optimistic if C was chosen on the same folds.

    Attributes:
        accuracy: Fraction of the held-out clips classified correctly.
        interval: 95 % Wilson interval of the accuracy.
        balanced_accuracy: Mean of the per-class accuracies.
        per_class: (n_classes,) accuracies, NaN for a class that was never held out.
        confusion: (n_classes, n_classes) counts; rows are true classes, columns predicted ones.
        calibration_error: Mean distance between probability and accuracy over ten bins of the probability, weighted by
            their clips (expected calibration error; Guo et al., ICML 2017).
        known_kept: Fraction of the held-out clips that the reject threshold keeps.
        unknown_rejected: Fraction of the held-out clips that it would reject if their class had not been trained.
        classes: (n_classes,) labels.
        protocol: Settings and sizes.
    """

    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    per_class: np.ndarray
    confusion: np.ndarray
    calibration_error: float
    known_kept: float
    unknown_rejected: float
    classes: np.ndarray
    protocol: dict[str, Any]

    @classmethod
    def of(cls, held_out: HeldOut, threshold: float, classes: np.ndarray, protocol: dict[str, Any]) -> FitReport:
        """From the held-out rows of all folds."""
        predicted = held_out.probabilities.argmax(axis=1)
        return cls(
            **score(held_out.codes, predicted, len(classes))._asdict(),
            confusion=confusion_counts(held_out.codes, predicted, len(classes)),
            calibration_error=_calibration_error(held_out.probabilities, held_out.codes),
            known_kept=float((held_out.nearest >= threshold).mean()),
            unknown_rejected=float((held_out.foreign < threshold).mean()),
            classes=classes,
            protocol=protocol,
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields in a form that JSON can hold."""
        return as_dict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any], where: str) -> FitReport:
        """From `to_dict`.

        Raises:
            ValueError: if it is not of this form; the message names the file, `where`.
        """
        try:
            numbers: dict[str, Any] = {key: float("nan") if value is None else value for key, value in plain.items()}
            arrays = {
                "per_class": np.array(plain["per_class"], dtype=float),  # None becomes NaN
                "confusion": np.array(plain["confusion"], dtype=np.int64),
                "classes": np.array(plain["classes"]),
                "interval": tuple(map(float, plain["interval"])),
            }
            report = cls(**numbers | arrays)
            str(report)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"{where}: the figures are not those of a fit ({one_line(error)})") from error
        return report

    def __str__(self) -> str:
        """The accuracy, the classes that are hardest, calibration, and how well unknown classes are rejected."""
        protocol = self.protocol
        by = f" of {protocol['n_groups']} groups" if protocol["n_groups"] else ""
        lines = [
            f"{percent(self.accuracy, self.interval)} of {int(self.confusion.sum())} held-out clips correct "
            f"({protocol['folds']} folds{by}, {_kind(protocol)}), {100 * self.balanced_accuracy:.1f} % over classes"
        ]
        if worst := [f"{name} {100 * value:.0f} %{other}" for name, value, other in self._hardest()]:
            lines.append(f"hardest: {', '.join(worst)}")
        lines.append(
            f"probabilities are off by {100 * self.calibration_error:.1f} % on average; the reject threshold keeps "
            f"{100 * self.known_kept:.0f} % of these clips, and would reject {100 * self.unknown_rejected:.0f} % if "
            "their class were unknown"
        )
        return "\n".join(lines)

    __repr__ = __str__

    def _hardest(self) -> list[tuple[str, float, str]]:
        """At most three classes below 100 %, each with the class that is most often predicted instead."""
        found = []
        for at in np.argsort(np.nan_to_num(self.per_class, nan=1.0), kind="stable")[:3]:
            if self.per_class[at] < 1:
                others = np.where(np.arange(len(self.classes)) == at, 0, self.confusion[at])
                found.append((str(self.classes[at]), self.per_class[at], f" (as {self.classes[others.argmax()]})"))
        return found


def _kind(protocol: dict[str, Any]) -> str:
    return "prototypes" if protocol["C"] is None else f"C = {protocol['C']:g}"


def _calibration_error(probabilities: np.ndarray, codes: np.ndarray) -> float:
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == codes
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, sure - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(codes))
