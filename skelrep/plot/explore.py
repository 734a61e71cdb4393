"""The explorer: a self-contained HTML page with a map of the embeddings, the clips, and the neighbours of each clip.

The page is assembled from the files in `explorer/` and two blocks of data: a JSON document, and the poses as base64.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.evaluate import Rows, retrieve
from skelrep.plot.body import DEFAULT_FPS, bones, head, is_face, sides, tips
from skelrep.plot.colours import DARK, LIGHT
from skelrep.plot.sequences import Sequences, sequences_of
from skelrep.poses import Poses
from skelrep.recordings.annotations import label_at
from skelrep.recordings.events import Events
from skelrep.recordings.segments import BACKGROUND

MAPS = {"pca": "principal components", "umap": "UMAP"}
NEIGHBOURS = 10

_LEAST_CLIPS = 3  # a map of two points shows nothing
MOST_CLIPS = 20_000  # a browser needs seconds for more, and the neighbours of all clips take minutes
_CLUSTERS = (2, 12)  # smallest and largest number; more colours cannot be distinguished
_MOST_CLASSES = 64  # of an info column that points can be coloured by
_FOLDER = Path(__file__).parent / "explorer"
#: One script, in this order: each file uses what those before it define.
_SCRIPTS = ("data", "colours", "map", "skeleton", "clip", "selection", "timeline", "lists", "keys", "start")


def page(
    poses: Poses,
    rows: Rows,
    *,
    labels: Any = None,
    map: str = "pca",
    events: Events | Mapping[str, Events] | None = None,
    title: str = "skelrep explorer",
) -> str:
    """The page as a string, for a file that a browser opens without a network.

    Points are coloured by label, or without labels by event, or else by cluster: k-means on the rows scaled to length
    1, where k is the square root of half the number of clips, between 2 and 12. Columns of `info` with 2 to 64 values
    can be chosen on the page. Neighbours are the ten most similar clips by cosine; windows that share frames are not
    neighbours.

    Examples:
        >>> pathlib.Path("explorer.html").write_text(page(poses, embed(poses)), encoding="utf-8")
        >>> windows = session.windows(2, 0.5)
        >>> text = page(windows, embed(windows), events=Events.load("predictions.csv"))

    Args:
        poses: N clips, or windows of recordings (`Poses.windows`), which the page shows on a timeline; with the column
            `person`, windows of single persons.
        rows: (N, D) embeddings of them.
        labels: N labels; by default those of the poses.
        map: "pca", or "umap" if umap-learn is installed.
        events: Events of the recordings or clips, which the timeline shows; a dict for several tables, by their names.
            A point has the label of the event at its middle.
        title: The title of the page.

    Raises:
        ValueError: if rows or labels are not one per clip, there are fewer than 3 clips, `map` is unknown, or all
            events are of other recordings.
        ModuleNotFoundError: for "umap" without umap-learn.
    """
    matrix = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float32)  # type: ignore[union-attr]
    if len(matrix) != len(poses):
        raise ValueError(f"{len(poses)} clips but {len(matrix)} embeddings; give one row for each clip")
    if map not in MAPS:
        raise ValueError(f"map={map!r} must be one of {', '.join(MAPS)}")
    check_count(len(poses))
    umap = _umap() if map == "umap" else None
    labels = poses.labels if labels is None else np.asarray(labels)
    if labels is not None and labels.shape != (len(poses),):
        raise ValueError(f"{len(poses)} clips but labels of shape {labels.shape}; give one label for each clip")
    sequences, drawn = sequences_of(poses)
    tables = _tables(events)
    parts = {name: sequences.events(table) for name, table in tables.items()}
    neighbours, similarities = _neighbours(matrix, sequences)  # also checks the rows
    matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    points = _coordinates(matrix, umap)
    columns = {} if labels is None else {"label": labels}
    columns |= {_unused(name, columns): column for name, column in _event_labels(parts, sequences, poses.fps).items()}
    if not columns:
        columns["cluster"] = _clusters(matrix)
    for name, column in _few_values(poses).items():
        columns[_unused("recording" if name == "source" else name, columns)] = column
    moving, encoded = sequences.encoded(drawn.skeleton, poses.fps, poses.channels)
    skeleton = drawn.skeleton
    document = {
        "title": title,
        "map": MAPS[map],
        "colourings": [_colouring(name, column) for name, column in columns.items()],
        "palette": {"light": LIGHT, "dark": DARK},
        "none": BACKGROUND,
        "ids": poses.ids,
        "points": np.round(points.astype(float), 4).ravel().tolist(),
        "neighbours": neighbours,
        "similarities": similarities,
        "names": sequences.names,
        "people": sequences.persons,
        "times": None if sequences.times is None else sequences.times.round(6).ravel().tolist(),
        "events": _events(parts, sequences),
        **moving,
        "channels": poses.channels,
        "joints": len(skeleton),
        "bones": bones(skeleton),
        "sides": sides(skeleton),
        "head": head(skeleton),
        "tips": tips(skeleton),
        "faces": [i for i, joint in enumerate(skeleton.joints) if is_face(joint)],
    }
    # Without "<", no text can end the script element.
    text = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    # Split before anything is inserted, so that no data can contain a marker.
    before, rest = _template().split("@DOCUMENT@")
    between, after = rest.split("@POSES@")
    return "".join((before, text, between, encoded, after))


def check_count(count: int) -> None:
    """Raises a ValueError if a page cannot show so many clips."""
    if count < _LEAST_CLIPS:
        raise ValueError(f"a map needs at least {_LEAST_CLIPS} clips, got {count}")
    if count > MOST_CLIPS:
        raise ValueError(
            f"a page shows at most {MOST_CLIPS} clips, got {count}; give fewer files, or one split of them"
        )


def check(poses: Poses, map: str, events: Events | Mapping[str, Events] | None) -> None:
    """Raises the errors of `page` that do not depend on the embeddings, for callers who compute these first.

    Raises:
        ValueError: as `page`.
        ModuleNotFoundError: as `page`.
    """
    check_count(len(poses))
    if map == "umap":
        _umap()
    sequences, _ = sequences_of(poses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `page` warns of events that are left out
        for table in _tables(events).values():
            sequences.events(table)


def _tables(events: Events | Mapping[str, Events] | None) -> dict[str, Events]:
    """Tables of events by their names."""
    return {} if events is None else {"event": events} if isinstance(events, Events) else dict(events)


def _umap() -> Any:
    try:
        from umap import UMAP  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--map umap needs umap-learn: pip install umap-learn", name="umap") from error
    return UMAP(metric="cosine", random_state=0, n_jobs=1)


def _template() -> str:
    """The page without data."""
    files = [_FOLDER / "page.html", _FOLDER / "page.css", *(_FOLDER / f"{name}.js" for name in _SCRIPTS)]
    html, css, *scripts = (file.read_text(encoding="utf-8") for file in files)
    return html.replace("@STYLE@", css).replace("@SCRIPT@", "\n".join(scripts))


def _neighbours(rows: np.ndarray, sequences: Sequences) -> tuple[list[list[int]], list[list[float]]]:
    """For each point the most similar others that share no frames with it, and their cosines."""
    k = min(NEIGHBOURS + sequences.overlaps(), len(rows) - 1)
    found = retrieve(rows, rows, k=k, leave_one_out=True)
    apart = ~sequences.share_frames(np.arange(len(rows))[:, None], found.indices)
    neighbours, similarities = [], []
    for keep, indices, cosines in zip(apart, found.indices, np.round(found.similarities, 3).astype(float)):
        neighbours.append(indices[keep][:NEIGHBOURS].tolist())
        similarities.append(cosines[keep][:NEIGHBOURS].tolist())
    return neighbours, similarities


def _coordinates(rows: np.ndarray, umap: Any) -> np.ndarray:
    """Positions of (N, D) embeddings on a map: (N, 2) float32 within -1..1; by principal components without `umap`."""
    if umap is not None:
        plane = umap.fit_transform(rows)
    else:
        centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
        # The sign of an eigenvector is arbitrary; this makes it the same on all machines.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        plane = np.zeros((len(rows), 2))
        plane[:, : axes.shape[1]] = centred @ axes
    plane = np.asarray(plane, dtype=np.float32)
    plane = plane - (plane.max(axis=0) + plane.min(axis=0)) / 2
    return plane / (np.abs(plane).max() or 1.0)


def _clusters(rows: np.ndarray) -> np.ndarray:
    """The number of each row's cluster, 1 for the largest."""
    from sklearn.cluster import KMeans

    k = int(np.clip(round(np.sqrt(len(rows) / 2)), *_CLUSTERS))
    codes = KMeans(k, n_init="auto", random_state=0).fit_predict(rows)
    order = np.argsort(-np.bincount(codes, minlength=k))
    return np.argsort(order)[codes] + 1


def _few_values(poses: Poses) -> dict[str, np.ndarray]:
    """The columns of `info` that points can be coloured by."""
    found = {}
    for name, column in poses.info.items():
        if column.dtype.kind in "biuUO" and 2 <= len(np.unique(column.astype(str))) <= min(
            _MOST_CLASSES, len(poses) - 1
        ):
            found[name] = column
    return found


def _unused(name: str, names: Collection[str]) -> str:
    """A name that does not occur among others."""
    return name if name not in names else _unused(f"{name} (2)", names)


def _colouring(name: str, column: np.ndarray) -> dict[str, Any]:
    values, codes = np.unique(column.astype(str) if column.dtype == object else column, return_inverse=True)
    classes = [f"cluster {value}" if name == "cluster" else str(value) for value in values.tolist()]
    return {"name": name, "classes": classes, "codes": codes.tolist()}


def _event_labels(parts: Mapping[str, list[Events]], sequences: Sequences, fps: float | None) -> dict[str, np.ndarray]:
    """For each table of events, the label at the middle of each point; tables without any such label are left out."""
    found = {}
    middles = (sequences.first + sequences.last) / 2 / (fps or DEFAULT_FPS)
    for name, tables in parts.items():
        column = np.full(len(middles), BACKGROUND, dtype=object)
        for i, events in enumerate(tables):
            column[sequences.of == i] = label_at(middles[sequences.of == i], events)
        if (column != BACKGROUND).any():
            found[name] = column.astype(str)
    return found


def _events(parts: Mapping[str, list[Events]], sequences: Sequences) -> dict[str, Any] | None:
    """The events by recording: table, person, label, start, end (None for the whole recording) and score."""
    every = [event for tables in parts.values() for events in tables for event in events]
    if not every:
        return None
    persons, labels = (sorted({getattr(event, name) for event in every}) for name in ("person", "label"))
    rows = []
    for table, tables in enumerate(parts.values()):
        for sequence, events in enumerate(tables):
            for event in events.to_dicts():
                codes = [sequence, table, persons.index(event["person"]), labels.index(event["label"])]
                rows.append([*codes, event["start"], event["end"], event["score"]])
    return {"tables": list(parts), "persons": persons, "labels": labels, "rows": rows}
