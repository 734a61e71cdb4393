"""`Classifier`: a classifier of clips on frozen embeddings that can be saved, loaded and shared."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skelrep.embedding import embed, maker
from skelrep.encoder import Encoder
from skelrep.evaluate.folds import folds_of_clips
from skelrep.evaluate.inputs import check_rows, encode, is_whole
from skelrep.evaluate.linear import CANDIDATES_OF_C
from skelrep.hub import load_pretrained
from skelrep.hub.publish import upload
from skelrep.io import read, read_parts
from skelrep.io.embeddings import Embeddings
from skelrep.poses import Poses, as_poses
from skelrep.recordings.events import Events
from skelrep.recordings.heads import Fold, fit_head
from skelrep.recordings.onnx import export_onnx
from skelrep.recordings.prediction import Per, segment_events
from skelrep.recordings.report import FitReport
from skelrep.recordings.saved import load, save
from skelrep.recordings.segments import SegmentRules
from skelrep.skeletons import Skeleton
from skelrep.version import __version__

if TYPE_CHECKING:
    import torch
    from sklearn.utils import Tags


class Classifier(ClassifierMixin, BaseEstimator):
    """A classifier of clips on the embeddings of a frozen encoder; an estimator of scikit-learn.

    `fit` standardises the embeddings and fits multinomial logistic regression to them, with C chosen by
    cross-validation; if a class has fewer than three clips, it compares embeddings with the mean directions of the
    classes instead. Held-out training clips determine the temperature that calibrates the probabilities (Guo et al.,
    ICML 2017) and the threshold below which a clip belongs to no known class.

    Clips are what `skelrep.embed` takes: `Poses`, a list of arrays, a file; or their embeddings, an (N, D) array or
    `skelrep.io.embeddings.Embeddings`.

    Examples:
        >>> classifier = Classifier().fit(train)  # Poses with labels
        >>> classifier.predict(test), classifier.predict_proba(test)
        >>> classifier.save("head")
        >>> Classifier.load("head").segments(recording, window=2.0, stride=0.5)

    Args:
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`; clones share it.
        skeleton: The skeleton of clips that are arrays.
        layout: The axes of clips that are arrays; see `embed`.
        fps: Frames per second of clips that are arrays.
        streams: Some of the encoder's streams; by default all.
        C: Inverse regularisation strength, or several values to choose from; by default 1e-4, 1e-3 ... 1e2.
        folds: Number of folds of the cross-validation; fewer if the smallest class has fewer clips (or groups).
        keep: Fraction of held-out training clips that the reject threshold keeps.
        seed: Shuffles the clips into folds.
        batch_size: Clips per batch; the result does not depend on it.
        device: Where to embed; by default the device of the encoder.
        precision: Precision of the encoder's matrix products; see `embed`.

    Attributes:
        classes_: (K,) sorted labels.
        head_: The parameters; see `skelrep.recordings.heads.Head`.
        report_: Results on held-out training clips, or None if no class has two clips (or groups).
        protocol_: Settings and sizes of the fit.
        n_features_in_: D of the embeddings.
    """

    def __init__(
        self,
        encoder: Encoder | str | os.PathLike = "i2md-small",
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        fps: float | None = None,
        streams: str | Sequence[str] | None = None,
        C: float | Iterable[float] | None = None,
        folds: int = 5,
        keep: float = 0.95,
        seed: int = 0,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        precision: str = "float32",
    ) -> None:
        """Stores the parameters unchanged, as scikit-learn requires."""
        self.encoder = encoder
        self.skeleton = skeleton
        self.layout = layout
        self.fps = fps
        self.streams = streams
        self.C = C
        self.folds = folds
        self.keep = keep
        self.seed = seed
        self.batch_size = batch_size
        self.device = device
        self.precision = precision

    # -- fitting --------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Iterable[Any] | None = None, groups: Iterable[Any] | None = None) -> Classifier:
        """Fits the head to labelled clips.

        Args:
            X: N clips or their embeddings.
            y: N labels, strings or whole numbers; by default those of X.
            groups: N groups, such as subjects or recordings; cross-validation keeps a group in one fold. It does not
                train on windows that overlap held-out ones (by the columns `source`, `start` and `end`).

        Raises:
            ValueError: for labels or groups that are missing or not one per clip, a single class, or a parameter out of
                range; and as `embed`.
        """
        X = self._read(X)
        labels = getattr(X, "labels", None) if y is None else y
        if labels is None:
            raise ValueError("the training clips have no labels; give y, one label per clip")
        self._check_parameters()
        rows = None if isinstance(X, Poses) else self._rows(X)  # labels are checked before poses are embedded
        count = len(X) if rows is None else len(rows)
        classes, (codes,) = encode(train=(labels, count))
        check_classes(classes)
        group_codes = None if groups is None else encode(groups=(groups, count))[1][0]
        rows = self._rows(X) if rows is None else rows
        splits = folds_of_clips(getattr(X, "info", {}), codes, group_codes, self.folds, self.seed)
        folds = [Fold(rows[kept], codes[kept], rows[out], codes[out]) for kept, out in splits]
        n_groups = None if group_codes is None else int(group_codes.max()) + 1
        self.fit_folds(rows, classes[codes], folds, n_groups=n_groups)
        self.protocol_["seconds"] = _median_seconds(X, self.fps)
        return self

    def fit_folds(
        self, rows: np.ndarray, labels: np.ndarray, folds: Sequence[Fold], *, n_groups: int | None = None
    ) -> Classifier:
        """Fits the head to embeddings with given folds, such as those of encoders trained without the held-out clips.

        Args:
            rows: (N, D).
            labels: (N,).
            folds: Training and held-out rows; their codes are indices into the sorted labels.
            n_groups: Number of groups that the folds keep apart, for the report.

        Raises:
            ValueError: for a single class, or a parameter out of range.
        """
        candidates = self._check_parameters()
        classes, codes = np.unique(labels, return_inverse=True)
        check_classes(classes)
        head, C, held_out = fit_head(rows, codes, folds, candidates, self.keep)
        self.classes_, self.head_, self.n_features_in_ = classes, head, rows.shape[1]
        self.protocol_ = {
            "C": C,
            "C_candidates": candidates if C is not None and held_out is not None else None,
            "C_accuracy": None if C is None or held_out is None else held_out.accuracy.tolist(),
            "folds": len(folds),
            "n_groups": n_groups,
            "keep": self.keep,
            "seed": self.seed,
            "n_train": len(rows),
            "clips_per_class": np.bincount(codes).tolist(),
            "dim": rows.shape[1],
            "seconds": None,
            "skelrep": __version__,
        }
        self.report_ = None
        if held_out is not None:
            self.report_ = FitReport.of(held_out, head.threshold, classes, self.protocol_)
        return self

    def _check_parameters(self) -> list[float]:
        """The candidates for C."""
        given = CANDIDATES_OF_C if self.C is None else self.C if isinstance(self.C, Iterable) else [self.C]
        candidates = sorted({float(C) for C in given})
        if not candidates or not all(0 < C < math.inf for C in candidates):
            raise ValueError(f"C={self.C!r} must be a positive number or several; leave it out to try 1e-4 ... 1e2")
        if not is_whole(self.folds) or self.folds < 2:
            raise ValueError(f"folds={self.folds!r} must be a whole number of at least 2")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep!r} must be a fraction above 0, at most 1")
        return candidates

    # -- predicting -----------------------------------------------------------------------------------------------

    def predict(self, X: Any, *, unknown: Any = None) -> np.ndarray:
        """The most probable class of each clip, (N,).

        Args:
            X: N clips or their embeddings.
            unknown: The label of clips that are like none of the training clips; by default every clip gets a class.

        Raises:
            ValueError: as `embed`, or for embeddings of another encoder.
        """
        rows = self._rows_to_classify(X)
        predicted = self.classes_[self.head_.logits(rows).argmax(axis=1)]
        return predicted if unknown is None else np.where(self.head_.is_known(rows), predicted, unknown)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (N, K) float64, for clips of a known class.

        Raises:
            ValueError: as `predict`.
        """
        return self.head_.probabilities(self._rows_to_classify(X))

    def is_known(self, X: Any) -> np.ndarray:
        """Whether each clip is like a class of the training clips, (N,) bool, by its cosine to the prototypes.

        Raises:
            ValueError: as `predict`.
        """
        return self.head_.is_known(self._rows_to_classify(X))

    def nearest(self, X: Any) -> np.ndarray:
        """The cosine of each clip to the nearest prototype, (N,); `head_.threshold` is the least of a known class.

        Raises:
            ValueError: as `predict`.
        """
        return self.head_.nearest(self._rows_to_classify(X))

    def segments(
        self,
        X: Any,
        window: float | None = None,
        stride: float | None = None,
        *,
        per: Per = "clip",
        rules: SegmentRules | None = None,
        reject: bool = True,
    ) -> Events:
        """The segments of recordings: a table with start, end, label, probability and person.

        Windows are classified one after the other, so memory does not grow with the duration of a recording, beyond its
        poses; recordings above 8 MB in a skelrep `.npz` are read in parts.

        Args:
            X: Recordings, with fps: `Poses`, a file, a list of arrays.
            window: Seconds of a window; by default the median duration of the training clips.
            stride: Seconds from one window to the next; by default a quarter of the window.
            per: "clip" for all persons of a recording together, "person" for separate segments of each person.
            rules: Smoothing, hysteresis and shortest duration; by default probabilities are averaged over half a
                window, and segments last at least as long.
            reject: Whether windows that are like none of the training clips get no class.

        Raises:
            ValueError: without fps, for a window or stride that is not positive, and as `embed`.
        """
        check_is_fitted(self, "head_")
        how = {"skeleton": self.skeleton, "layout": self.layout, "fps": self.fps}
        is_file = isinstance(X, (str, os.PathLike))
        poses = read_parts(X, in_stretches=True, **how) if is_file else as_poses(X, **how)
        return Events.of(segment_events(self, poses, window, stride, per=per, rules=rules, reject=reject))

    # -- embeddings -----------------------------------------------------------------------------------------------

    def loaded_encoder(self) -> Encoder:
        """The encoder; one that is given by name is loaded when it is first needed, and kept."""
        if isinstance(self.encoder, Encoder):
            return self.encoder
        name, encoder = getattr(self, "_loaded", (None, None))
        if encoder is None or name != self.encoder:
            encoder = load_pretrained(self.encoder)
            self._loaded = (self.encoder, encoder)
        return encoder

    def embedding_options(self) -> dict[str, Any]:
        """Arguments for `Encoder.embed`."""
        return {
            "streams": self.streams,
            "batch_size": self.batch_size,
            "device": self.device,
            "precision": self.precision,
        }

    def _read(self, X: Any) -> Any:
        """X, or the poses in a file."""
        if isinstance(X, (str, os.PathLike)):
            return read(X, layout=self.layout, skeleton=self.skeleton, fps=self.fps)
        return X

    def _rows(self, X: Any) -> np.ndarray:
        """Embeddings (N, D) of clips; embeddings are returned unchanged."""
        if isinstance(X, Embeddings):
            made_by = maker(self.loaded_encoder(), None if self.streams is None else list(np.atleast_1d(self.streams)))
            if X.model not in (None, made_by):
                raise ValueError(
                    f"the embeddings are of {X.model}, but this classifier was fitted to those of {made_by}"
                )
            X = X.rows
        if isinstance(X, np.ndarray) and X.ndim == 2:
            rows = np.asarray(check_rows(X, "X"))
            rows = rows if rows.dtype == np.float64 else rows.astype(np.float32, copy=False)
        else:
            shape = {"skeleton": self.skeleton, "layout": self.layout, "fps": self.fps}
            rows = embed(X, self.loaded_encoder(), **shape, **self.embedding_options())
            if not isinstance(X, (str, os.PathLike)) and len(rows) != len(X):
                raise ValueError(
                    f"X has {len(X)} entries but contains {len(rows)} clips; pass a list of clips, Poses, a dense "
                    '(N, M, T, V, C) array, or give layout="NTVC"'
                )
        return rows

    def _rows_to_classify(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "head_")
        rows = self._rows(X)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has rows of {rows.shape[1]} numbers; this classifier was fitted to {self.n_features_in_}"
            )
        return rows

    # -- saving ---------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike, *, with_encoder: bool | None = None) -> Path:
        """Writes a folder with head.safetensors (the parameters), head.json (all else) and README.md.

        Args:
            folder: Where; created if it does not exist.
            with_encoder: Whether the encoder is written into the folder `encoder` within it; by default if it is
                neither bundled nor from the Hub.

        Returns:
            The folder.

        Raises:
            OSError: if it cannot be written.
            sklearn.exceptions.NotFittedError: before `fit`.
        """
        check_is_fitted(self, "head_")
        return save(self, folder, with_encoder)

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike,
        *,
        encoder: Encoder | None = None,
        revision: str | None = None,
        device: str | torch.device | None = None,
        token: str | bool | None = None,
    ) -> Classifier:
        """Reads what `save` wrote, with its encoder.

        Args:
            name_or_path: A folder, or "organisation/name" on the Hugging Face Hub.
            encoder: The encoder, if it is already loaded or was moved; its weights and preprocessing must be the same.
            revision: Branch, tag or commit on the Hub.
            device: Where to put the encoder; by default as `load_pretrained`.
            token: Access token for a private repository.

        Raises:
            ValueError: if the files are not exactly what this version of skelrep writes, or the encoder is another.
            OSError: if they, or the encoder, cannot be found.
        """
        return load(cls, name_or_path, encoder=encoder, revision=revision, device=device, token=token)

    def push_to_hub(self, repo_id: str, *, with_encoder: bool | None = None, **options: Any) -> str:
        """Uploads what `save` writes in one commit; the result and errors are those of `skelrep.push_to_hub`.

        Args:
            repo_id: "organisation/name".
            with_encoder: As in `save`.
            **options: Options of `skelrep.push_to_hub`: `private`, `revision`, `create_pr`, `commit_message`, `token`
                and `replace_card`.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.save(temporary, with_encoder=with_encoder)
            names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
            return upload(folder, names, repo_id, what="head", **options)

    def export_onnx(self, path: str | os.PathLike) -> float:
        """Writes encoder and head as one ONNX file, which computes what `predict_proba` and `is_known` return.

        Its inputs are those of `skelrep.encoder.onnx.export_onnx`: what `loaded_encoder().prepare_weighted` returns.
        Its outputs are `probabilities`, float32 (clips, K), by the fitted temperature; `known`, bool (clips,), by the
        reject threshold; and `embedding`, float32 (clips, D). The metadata also have `classes`, a JSON list of labels.

        Args:
            path: OUT.onnx; replaced if it exists.

        Returns:
            The largest difference from PyTorch that was found: of a probability, or relative of an embedding.

        Raises:
            sklearn.exceptions.NotFittedError: before `fit`.
            ModuleNotFoundError: without onnx or onnxruntime (the extra `onnx`).
            ValueError: as `skelrep.encoder.onnx.export_onnx`; nothing is written then.
        """
        check_is_fitted(self, "head_")
        return export_onnx(self, path)

    def __sklearn_clone__(self) -> Classifier:
        """An unfitted copy that shares the encoder: a copy for every fold would waste memory."""
        clone = type(self)(**self.get_params(deep=False))
        if hasattr(self, "_loaded"):
            clone._loaded = self._loaded
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """The state to pickle: an encoder given by name is loaded again and not written into the file."""
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def __sklearn_tags__(self) -> Tags:
        """For scikit-learn: takes no tables, allows NaN."""
        tags = super().__sklearn_tags__()
        tags.no_validation = True  # embed does it
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags


def check_classes(classes: np.ndarray) -> None:
    """Raises an error for sorted labels (K,) that no classifier can be fitted to.

    Raises:
        ValueError: for a single class, or labels of another type than strings and whole numbers.
    """
    if len(classes) < 2:
        raise ValueError(f"the training clips are all of class {str(classes[0])!r}; a classifier needs at least two")
    if classes.dtype.kind not in "iuU":
        raise ValueError(f"labels must be strings or whole numbers, got {classes.dtype}")


def _median_seconds(clips: Any, fps: float | None) -> float | None:
    """The median duration of clips; None if it is unknown, as for embeddings."""
    fps = getattr(clips, "fps", fps)
    arrays = getattr(clips, "clips", clips)
    if fps is None or isinstance(clips, Embeddings) or getattr(clips, "ndim", 0) == 2:
        return None
    return float(np.median([np.shape(clip)[-3] for clip in arrays])) / fps
