"""`fit`: from files, labels and annotations to a fitted classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from skelrep.encoder import Encoder
from skelrep.io import read
from skelrep.io.embeddings import load as load_embeddings
from skelrep.messages import nearest
from skelrep.poses import as_poses
from skelrep.recordings.annotations import annotated, groups_of
from skelrep.recordings.classifier import Classifier
from skelrep.recordings.events import Events


def fit(
    train: Any,
    encoder: Encoder | str | os.PathLike = "i2md-small",
    *,
    labels: Any = None,
    groups: Any = None,
    events: Events | str | os.PathLike | None = None,
    window: float | None = None,
    stride: float | None = None,
    **options: Any,
) -> Classifier:
    """Fits a classifier to labelled clips, or to annotated recordings, on the embeddings of a frozen encoder.

    Args:
        train: `Poses`, a file or folder that `skelrep.read` knows, a list of arrays, or embeddings.
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`.
        labels: One label per clip; for files also "folder", the path of a table or the name of a column, as in
            `skelrep.read`; by default the labels of the clips.
        groups: One group per clip, or the name of a column of `info`, such as "subject"; no group is on both sides of a
            fold of the cross-validation. With `events`, the default is the subjects (if `info` has this column), the
            recordings, or blocks of time of a single recording.
        events: Annotations of recordings, instead of labels: `Events` or a file of them. The training clips are then
            cut out of the recordings (see `skelrep.recordings.annotations.annotated`).
        window: With `events`: seconds of the windows that recordings are cut into; by default each event is one clip.
        stride: Seconds from one window to the next; by default a quarter of the window.
        **options: Options of `Classifier`.

    Returns:
        The fitted classifier; its `report_` contains the results on held-out training clips.

    Raises:
        ValueError: as `Classifier.fit`, `annotated` and `skelrep.read`.
        OSError: if a file or the model cannot be read.

    Examples:
        >>> classifier = fit("recordings", labels="folder")
        >>> print(classifier.report_)
        >>> classifier.save("head")
    """
    classifier = Classifier(encoder, **options)
    how = {"layout": classifier.layout, "skeleton": classifier.skeleton, "fps": classifier.fps}
    if isinstance(train, (str, os.PathLike)):
        found = load_embeddings(train)
        if found is None:
            said = labels if isinstance(labels, (str, os.PathLike, Mapping)) else None
            train, labels = read(train, labels=said, **how), None if said is not None else labels
        else:
            train = found
    if events is not None:
        if labels is not None:
            raise ValueError("events= already contains the labels; leave out labels=")
        events = events if isinstance(events, Events) else Events.load(events)
        train = annotated(as_poses(train, **how), events, window, stride)
        if groups is None:
            groups = (groups_of(train) or (None, None))[1]
    elif window is not None or stride is not None:
        raise ValueError("window= and stride= cut annotated recordings; they need events=")
    labels, groups = (_column(train, said) if isinstance(said, str) else said for said in (labels, groups))
    return classifier.fit(train, labels, groups)


def _column(clips: Any, name: str) -> np.ndarray:
    """A column of `info` of poses or embeddings."""
    known = getattr(clips, "info", {})
    if name not in known:
        raise ValueError(
            f"there is no column {name!r}{nearest(name, known)} (the clips have: {', '.join(known) or 'none'})"
        )
    return known[name]
