"""One self-contained HTML page to look through embeddings: a map of the clips, each of which plays, and its neighbours.

The page is `explorer.html`, with two blocks of data put in: a JSON document, and the poses as base64.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.evaluate import Rows, retrieve
from skelrep.plot.drawing import FACE, USUAL_FPS, bones, drawable, ground, head, oriented, sides, tips, trunk
from skelrep.poses import Poses

MAPS = {"pca": "principal components", "umap": "UMAP"}
NEIGHBOURS = 10
MOST_FRAMES = 64  # of a clip; what lies between two is interpolated
MOST_BYTES = 38_000_000  # of all poses in the page: frames become fewer where clips are many
MISSING = -32768  # stands for NaN; coordinates are within -32767..32767


def page(poses: Poses, rows: Rows, *, labels: Any = None, map: str = "pca", title: str = "skelrep explorer") -> str:
    """The page, to be written to a file that any browser of the last years opens without a network.

    Points are coloured by label; without labels by cluster: k-means on the rows of length 1, with k the root of half
    the number of clips, between 2 and 12. Neighbours are the ten most similar clips by cosine.

    Args:
        poses: N clips.
        rows: (N, D) embeddings of them.
        labels: N labels; by default those of the poses.
        map: "pca", or "umap" where umap-learn is installed.
        title: Of the page.

    Raises:
        ValueError: if rows or labels are not one a clip, there are fewer than 3 clips, or `map` is unknown.
        ModuleNotFoundError: for "umap" without umap-learn.
    """
    matrix = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float32)  # type: ignore[union-attr]
    if len(matrix) != len(poses):
        raise ValueError(f"{len(poses)} clips but {len(matrix)} embeddings; give one row for each clip")
    if map not in MAPS:
        raise ValueError(f"map={map!r} must be one of {', '.join(MAPS)}")
    if len(poses) < 3:
        raise ValueError(f"a map needs at least 3 clips, got {len(poses)}")
    labels = poses.labels if labels is None else np.asarray(labels)
    if labels is not None and labels.shape != (len(poses),):
        raise ValueError(f"{len(poses)} clips but labels of shape {labels.shape}; give one for each clip")
    found = retrieve(matrix, matrix, k=min(NEIGHBOURS, len(poses) - 1), leave_one_out=True)  # checks them, too
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
        "faces": [i for i, joint in enumerate(skeleton.joints) if joint in FACE],
    }
    text = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")  # nothing ends the script but its end
    # Split before anything is put in, so that no data can be taken for a place to put data.
    before, rest = _template().split("@DOCUMENT@")
    between, after = rest.split("@POSES@")
    return "".join((before, text, between, encoded, after))


def _coordinates(rows: np.ndarray, map: str) -> np.ndarray:
    """Where (N, D) embeddings stand on a map: (N, 2) float32 within -1..1."""
    if map == "umap":
        try:
            from umap import UMAP  # type: ignore[import-not-found]
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("--map umap needs umap-learn: pip install umap-learn", name="umap") from error
        plane = UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(rows)
    else:
        centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # the same on all machines
        plane = np.zeros((len(rows), 2))
        plane[:, : axes.shape[1]] = centred @ axes
    plane = np.asarray(plane, dtype=np.float32)
    plane = plane - (plane.max(axis=0) + plane.min(axis=0)) / 2
    return plane / (np.abs(plane).max() or 1.0)


def _clusters(rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    from sklearn.cluster import KMeans

    k = int(np.clip(round(np.sqrt(len(rows) / 2)), 2, 12))  # 12: as many colours as eyes keep apart
    codes = KMeans(k, n_init="auto", random_state=0).fit_predict(rows)
    order = np.argsort(-np.bincount(codes, minlength=k))  # the largest is the first
    return [f"cluster {i + 1}" for i in range(k)], np.argsort(order)[codes]


def _moving(poses: Poses) -> tuple[list[list[float | None]], str]:
    """The clips as the page plays them.

    Returns:
        For each clip its persons, its frames, its seconds, the length that 32767 stands for, and in parts of it the
        trunk's length and the floor's height (None where no feet are seen). And the base64 of all clips, one after the
        other, each (frames, persons, joints, channels) of little-endian int16, `MISSING` where a joint was not seen.
    """
    poses = drawable(poses)
    persons = [max(1, int((~np.isnan(clip).all(axis=(1, 2, 3))).sum())) for clip in poses.clips]
    bytes_a_frame = sum(persons) * len(poses.skeleton) * poses.channels * 2 * 4 / 3
    most = int(np.clip(MOST_BYTES / bytes_a_frame, 2, MOST_FRAMES))
    clips, parts = [], []
    for clip in poses.clips:
        seen = ~np.isnan(clip).all(axis=(1, 2, 3))
        turned = oriented(clip[seen] if seen.any() else clip[:1], poses.skeleton)
        count = turned.shape[1]
        frames = np.linspace(0, count - 1, min(count, most)).round().astype(int)
        # Turned about the upright axis a clip is as wide as it is far from that axis.
        reach = np.fmax(np.hypot(turned[..., 0], turned[..., 2]), np.abs(turned[..., 1]))
        scale = float(np.fmax.reduce(reach, axis=None, initial=0.0)) or 1.0
        floor = ground(turned, poses.skeleton)
        quantised = np.round(turned[:, frames, :, : poses.channels].swapaxes(0, 1) * (32767 / scale))
        quantised[np.isnan(quantised)] = MISSING
        parts.append(base64.b64encode(quantised.astype("<i2").tobytes()).decode())
        seconds = count / (poses.fps or USUAL_FPS)
        relative = [round(trunk(turned, poses.skeleton) / scale, 4), floor and round(floor / scale, 4)]
        clips.append([len(turned), len(frames), round(seconds, 3), scale, *relative])
    return clips, "".join(parts)


def _template() -> str:
    return (Path(__file__).parent / "explorer.html").read_text(encoding="utf-8")
