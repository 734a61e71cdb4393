"""Embeddings for commands: from files of poses, which are embedded, or from files written by `skelrep embed`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from skelrep.cli.options import embedding_options, load_encoder, read_poses

if TYPE_CHECKING:
    import numpy as np

    from skelrep.encoder import Encoder
    from skelrep.io.embeddings import Embeddings
    from skelrep.poses import Poses


def pair(
    first: str,
    second: str,
    arguments: argparse.Namespace,
    *,
    splits: tuple[str | None, str | None] = (None, None),
    labelled: bool = True,
) -> tuple[Embeddings, Embeddings]:
    """Embeddings of two files, or of two splits of one file, by one encoder; the same file is embedded once."""
    cache: dict[str, Encoder] = {}
    one = _embeddings(first, splits[0], arguments, cache, labelled)
    alike = (first, splits[0]) == (second, splits[1])
    other = one if alike else _embeddings(second, splits[1], arguments, cache, labelled)
    one.check_comparable(other)
    return one, other


def _embeddings(
    name: str, split: str | None, arguments: argparse.Namespace, cache: dict[str, Encoder], labelled: bool
) -> Embeddings:
    from skelrep.embedding import maker
    from skelrep.io.embeddings import Embeddings

    found = embeddings_or_poses(name, arguments, split, on_disk=True)
    if labelled and found.labels is None:  # an error before the work
        raise ValueError(without_labels(name))
    if isinstance(found, Embeddings):
        return found
    if "encoder" not in cache:
        cache["encoder"] = load_encoder(arguments)
    rows = cache["encoder"].embed(found, **embedding_options(arguments))
    return Embeddings.of(found, rows, maker(cache["encoder"], arguments.streams))


def embeddings_or_poses(
    name: str | list[str], arguments: argparse.Namespace, split: str | None = None, on_disk: bool = False
) -> Embeddings | Poses:
    """The content of a file, or the poses of several, with the labels and subjects that the arguments name.

    `on_disk` is that of `stored`.
    """
    from skelrep.io import members

    if isinstance(name, list) or (found := stored(name, on_disk)) is None:
        return read_poses(name, arguments, split)
    found = _relabelled(found, name, arguments)
    return found if split is None else found.take(members(found.info, split, name))


def without_labels(name: str) -> str:
    """The message about clips that need labels."""
    return f"{name} contains no labels; give --labels folder, --labels FILE.csv or --labels COLUMN"


def _relabelled(found: Embeddings, name: str, arguments: argparse.Namespace) -> Embeddings:
    """Embeddings with the labels and subjects from `--labels` and `--subjects`."""
    from dataclasses import replace

    from skelrep.io.labelling import Column
    from skelrep.io.sources import Sources

    for said, what in ((arguments.labels, "label"), (arguments.subjects, "subject")):
        if said is None:
            continue
        ids = [str(row) for row in (range(len(found.rows)) if found.ids is None else found.ids.tolist())]
        column = Column(said, what, Sources(Path(), [Path(each) for each in ids], True, name))
        files = ids if column.join is None else [each.rpartition("/")[0] or each for each in ids]  # FILE/CLIP
        if what == "label" and arguments.unlabelled == "skip":
            known = column.labelled(ids, files)
            if known.any():
                found = found.take(known)
                ids, files = ([each for each, keep in zip(some, known) if keep] for some in (ids, files))
        values = column.values(ids, files, found.info)
        column.finish()
        found = replace(found, labels=values) if what == "label" else replace(found, info=found.info | {what: values})
    return found


def stored(name: str, on_disk: bool = False) -> Embeddings | None:
    """Embeddings in a file or in a folder of shards; None if it is neither.

    Args:
        name: The file or the folder.
        on_disk: Whether the rows of a folder stay there until they are needed (see `skelrep.corpus.Rows`).
    """
    from skelrep import corpus
    from skelrep.io.embeddings import Embeddings, load

    if not corpus.is_corpus(name):
        return load(name)
    found = corpus.open(name)
    if not on_disk:
        return found.embeddings()
    return Embeddings(found.rows, found.ids, found.labels, found.info, found.model)  # type: ignore[arg-type]


def clips_and_rows(poses: Poses, name: str) -> tuple[Poses, np.ndarray]:
    """Embeddings that `skelrep embed` wrote for these poses, and their clips or windows.

    If they have ids, the ids are compared.
    """
    found = stored(name)
    if found is None:
        raise ValueError(f"{name} contains no embeddings; `skelrep embed -o FILE.npz` writes them")
    ids = None if found.ids is None else found.ids.astype(str).tolist()
    if {"source", "start", "end"} <= set(found.info) and ids != poses.ids:
        poses = _windows(poses, found, name)
    if ids is not None and ids != poses.ids:
        raise ValueError(f"the embeddings in {name} are from other clips or in another order; embed these poses again")
    return poses, found.rows


def _windows(poses: Poses, found: Embeddings, name: str) -> Poses:
    """The windows of recordings from which embeddings were computed."""
    import numpy as np

    from skelrep.poses.windows import cut

    if poses.fps is None:
        raise ValueError(f"the embeddings in {name} are of windows in seconds, so the poses need fps; pass fps=")
    position = {each: i for i, each in enumerate(poses.ids)}
    source = [position.get(each, -1) for each in found.info["source"].astype(str).tolist()]
    first, last = (np.round(found.info[key].astype(float) * poses.fps).astype(int) for key in ("start", "end"))
    lengths = np.array([clip.shape[1] for clip in poses.clips])
    if -1 in source or (last > lengths[source]).any() or (first >= last).any():
        raise ValueError(f"the embeddings in {name} are from windows of other recordings; embed these poses again")
    return cut(poses, source, first.tolist(), last.tolist())
