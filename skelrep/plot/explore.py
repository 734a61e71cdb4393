"""The explorer: a self-contained HTML page with a map of the embeddings, the clips, and the neighbours of each clip.

The page is the template `explorer.html` with two blocks of data: a JSON document, and the poses as base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.evaluate import Rows, retrieve
from skelrep.plot.body import (
    DEFAULT_FPS,
    bones,
    drawable,
    ground,
    head,
    is_face,
    oriented,
    sides,
    tips,
    trunk_length,
)
from skelrep.poses import Poses

MAPS = {"pca": "principal components", "umap": "UMAP"}
NEIGHBOURS = 10
MOST_FRAMES = 64  # per clip; the page interpolates between them
MOST_POSE_BYTES = 38_000_000  # of all poses in the page; if there are many clips, each has fewer frames
LARGEST = 32767  # largest coordinate in 16 bits
MISSING = -32768  # represents NaN

_LEAST_CLIPS = 3  # a map of two points shows nothing
_CLUSTERS = (2, 12)  # smallest and largest number; more colours cannot be distinguished


def page(poses: Poses, rows: Rows, *, labels: Any = None, map: str = "pca", title: str = "skelrep explorer") -> str:
    """The page as a string, for a file that a browser opens without a network.

    Points are coloured by label, or without labels by cluster: k-means on the rows scaled to length 1, where k is the
    square root of half the number of clips, between 2 and 12. Neighbours are the ten most similar clips by cosine.

    Examples:
        >>> pathlib.Path("explorer.html").write_text(page(poses, embed(poses)), encoding="utf-8")

    Args:
        poses: N clips.
        rows: (N, D) embeddings of them.
        labels: N labels; by default those of the poses.
        map: "pca", or "umap" if umap-learn is installed.
        title: The title of the page.

    Raises:
        ValueError: if rows or labels are not one per clip, there are fewer than 3 clips, or `map` is unknown.
        ModuleNotFoundError: for "umap" without umap-learn.
    """
    matrix = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float32)  # type: ignore[union-attr]
    if len(matrix) != len(poses):
        raise ValueError(f"{len(poses)} clips but {len(matrix)} embeddings; give one row for each clip")
    if map not in MAPS:
        raise ValueError(f"map={map!r} must be one of {', '.join(MAPS)}")
    if len(poses) < _LEAST_CLIPS:
        raise ValueError(f"a map needs at least {_LEAST_CLIPS} clips, got {len(poses)}")
    labels = poses.labels if labels is None else np.asarray(labels)
    if labels is not None and labels.shape != (len(poses),):
        raise ValueError(f"{len(poses)} clips but labels of shape {labels.shape}; give one label for each clip")
    found = retrieve(matrix, matrix, k=min(NEIGHBOURS, len(poses) - 1), leave_one_out=True)  # also checks the rows
    matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    points = _coordinates(matrix, map)
    if labels is None:
        classes, codes = _clusters(matrix)
    else:
        names, codes = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)
        classes = [str(name) for name in names]
    clips, encoded = _moving(poses)
    skeleton = drawable(poses[:1]).skeleton
    document = {
        "title": title,
        "map": MAPS[map],
        "coloured": "cluster" if labels is None else "label",
        "classes": classes,
        "codes": codes.tolist(),
        "ids": poses.ids,
        "points": np.round(points.astype(float), 4).tolist(),
        "neighbours": found.indices.tolist(),
        "similarities": np.round(found.similarities, 3).astype(float).tolist(),
        "clips": clips,
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


def _coordinates(rows: np.ndarray, map: str) -> np.ndarray:
    """Positions of (N, D) embeddings on a map: (N, 2) float32 within -1..1."""
    if map == "umap":
        try:
            from umap import UMAP  # type: ignore[import-not-found]
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("--map umap needs umap-learn: pip install umap-learn", name="umap") from error
        plane = UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(rows)
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


def _clusters(rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    from sklearn.cluster import KMeans

    k = int(np.clip(round(np.sqrt(len(rows) / 2)), *_CLUSTERS))
    codes = KMeans(k, n_init="auto", random_state=0).fit_predict(rows)
    order = np.argsort(-np.bincount(codes, minlength=k))  # the largest comes first
    return [f"cluster {i + 1}" for i in range(k)], np.argsort(order)[codes]


def _moving(poses: Poses) -> tuple[list[list[float | None]], str]:
    """The clips in the form that the page plays.

    Returns:
        For each clip the number of persons, the number of frames, the duration in seconds, the length that `LARGEST`
        stands for, and, relative to that length, the length of the trunk and the height of the floor (None if no feet
        are seen); and all clips, concatenated as base64, each (frames, persons, joints, channels) of little-endian
        int16, `MISSING` for a joint that was not seen.
    """
    poses = drawable(poses)
    persons = [max(1, int((~np.isnan(clip).all(axis=(1, 2, 3))).sum())) for clip in poses.clips]
    frame_bytes = sum(persons) * len(poses.skeleton) * poses.channels * 2 * 4 / 3  # int16, as base64
    most = int(np.clip(MOST_POSE_BYTES / frame_bytes, 2, MOST_FRAMES))
    clips, parts = [], []
    for clip in poses.clips:
        seen = ~np.isnan(clip).all(axis=(1, 2, 3))
        turned = oriented(clip[seen] if seen.any() else clip[:1], poses.skeleton)
        count = turned.shape[1]
        frames = np.linspace(0, count - 1, min(count, most)).round().astype(int)
        # The page rotates clips about the vertical axis, so their width is twice the distance from it.
        reach = np.fmax(np.hypot(turned[..., 0], turned[..., 2]), np.abs(turned[..., 1]))
        scale = float(np.fmax.reduce(reach, axis=None, initial=0.0)) or 1.0
        floor = ground(turned, poses.skeleton)
        quantised = np.round(turned[:, frames, :, : poses.channels].swapaxes(0, 1) * (LARGEST / scale))
        quantised[np.isnan(quantised)] = MISSING
        parts.append(base64.b64encode(quantised.astype("<i2").tobytes()).decode())
        seconds = count / (poses.fps or DEFAULT_FPS)
        relative = [round(trunk_length(turned, poses.skeleton) / scale, 4), floor and round(floor / scale, 4)]
        clips.append([len(turned), len(frames), round(seconds, 3), scale, *relative])
    return clips, "".join(parts)


def _template() -> str:
    return (Path(__file__).parent / "explorer.html").read_text(encoding="utf-8")
