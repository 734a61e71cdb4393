"""Groups of clips that are copies of each other: exact, or trimmed, noisy, resampled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skelrep.encoder import Encoder
from skelrep.evaluate.close_pairs import ClosePairs, close_pairs
from skelrep.evaluate.inputs import BLOCK_BYTES
from skelrep.io.records import Records
from skelrep.libraries.adaptation import Adaptation, unit
from skelrep.libraries.background import LEAST, Background
from skelrep.libraries.copies import QUARTER
from skelrep.libraries.library import Library
from skelrep.messages import warn
from skelrep.version import __version__

# The rate is an upper bound for recordings of different movements; most false duplicates are other takes of the same
# movement. At 0.01, half of the noisy copies in UTD-MHAD are missed.
FALSE_RATE = 0.05
_LEAST_COPIED = 20  # clips whose copies are enough to learn an adaptation
_MEASURED = "0 to 15 %"  # the false rate of four libraries (docs/libraries.md)
_FEW = 0.95  # threshold for libraries that are too small to have a background
_SAME = 1 - 1e-6  # cosine of stored embeddings of the same poses, which are equal up to rounding


@dataclass(frozen=True, eq=False, repr=False)
class Duplicates(Records):
    """The K clips of a library that have duplicates, group by group; in each group, the clip to keep is first.

    Attributes:
        group: (K,) from 1, the largest group first.
        id: (K,) names of the clips.
        cosine: (K,) cosine to the clip of the group that is kept.
        kind: (K,) "kept"; "exact": the same poses as an earlier clip of the group; "near": another clip whose cosine is
            above the threshold; "mirrored": the same for its mirror image; "trimmed": the same for a part of it, or
            of the clip that is kept.
        keep: (K,) whether the clip is kept; one per group.
        rows: (K,) positions in the library.
        protocol: The threshold, its false rates, the fraction of generated copies that it finds, settings and sizes.

    Examples:
        >>> found = duplicates(poses)
        >>> print(found)
        >>> poses = poses[found.kept_rows]  # without duplicates
    """

    COLUMNS = ("group", "id", "cosine", "kind", "keep")
    CONTENT = "duplicates"

    group: np.ndarray
    id: np.ndarray
    cosine: np.ndarray
    kind: np.ndarray
    keep: np.ndarray
    rows: np.ndarray
    protocol: dict[str, Any]

    @property
    def kept_rows(self) -> np.ndarray:
        """Positions of the clips of the library that remain, in order."""
        kept = np.ones(self.protocol["n_clips"], dtype=bool)
        kept[self.rows[~self.keep]] = False
        return np.flatnonzero(kept)

    def to_dict(self) -> dict[str, Any]:
        """The protocol and the groups, in a form that JSON can hold."""
        return {"protocol": self.protocol, "duplicates": self.to_dicts()}

    def __str__(self) -> str:
        """The numbers of duplicates, and what the threshold means."""
        said, count = self.protocol, self.protocol["n_clips"]
        shown = ["exact", "near", *["mirrored"] * said["mirrored"], *["trimmed"] * said["trimmed"]]
        kinds = [f"{int((self.kind == kind).sum())} {kind}" for kind in shown]
        lines = [
            f"{count} clips: {said['n_groups']} groups with {int((~self.keep).sum())} duplicates ("
            + ", ".join(kinds)
            + ")",
            f"threshold: cosine {said['threshold']:.4f}{' of adapted embeddings' * said['adapted']}, {said['chosen']}",
        ]
        if said["pair_rate"] is not None:
            lines.append(
                f"false: {said['pair_rate']:.1e} of the pairs of different recordings are expected to reach it, which "
                f"puts {100 * said['clip_rate']:.2g} % of the clips beside another recording, mostly another take"
            )
            if said["false_rate"] is not None:
                lines.append(
                    f"this is extrapolated: in libraries whose copies were known, a stated 5 % was {_MEASURED}; here "
                    f"it is at most {100 * said['near_rate']:.2g} %, which is all that are not exact"
                )
        if said["found"]:
            found = ", ".join(f"{kind} {100 * value:.0f} %" for kind, value in said["found"].items())
            more = "" if said["trimmed"] else " (more with --trimmed, in Python trimmed=True)"
            lines.append(f"generated copies of {said['n_copied']} clips that reach it: {found}{more}")
        return "\n".join(lines)

    __repr__ = __str__


def duplicates(
    library: Any,
    encoder: Encoder | str | os.PathLike = "i2md-small",
    *,
    threshold: float | None = None,
    false_rate: float = FALSE_RATE,
    mirrors: bool = False,
    trimmed: bool = False,
    block_bytes: int = BLOCK_BYTES,
    **options: Any,
) -> Duplicates:
    """Finds groups of clips that are copies of each other.

    Clips with the same poses are exact copies. Others are near copies if the cosine of their embeddings reaches a
    threshold. The clip with the most other clips above the threshold is kept (among several such clips, the one with
    the most visible joints), and these other clips are its group. This is repeated with the remaining clips. Each clip
    that is not kept therefore has a cosine above the threshold to a kept clip, and no two kept clips do.

    Up to 200 clips of the library are copied: trimmed by a tenth, with noise of a hundredth of the body's size, at half
    to twice the frame rate. Half of these copies are used to adapt the embeddings, which reduces the differences
    between copies (see `skelrep.libraries.adaptation.Adaptation`).

    The threshold is chosen from the density of the library around its clips (see
    `skelrep.libraries.background.Background`): a fraction `false_rate` of the clips is expected to have a clip of
    another recording above the threshold. Most of these are other takes of the same movement. The threshold is not
    lower than needed to find all generated copies.

    Args:
        library: `Poses`; a file or folder of poses, of stored embeddings, or of a corpus; `Embeddings`, (N, D) rows or
            a `Library`. Stored embeddings are exact copies if they are equal up to rounding, and no copies can be
            generated from them.
        encoder: Name of a pretrained encoder, as `load_pretrained` takes it, or an `Encoder`; for poses.
        threshold: A cosine of the embeddings without adaptation, to use instead.
        false_rate: Expected fraction of clips with a clip of another recording above the threshold.
        mirrors: Whether a clip and the mirror image of another one can be duplicates, too.
        trimmed: Whether a clip and a part of another one can be duplicates, too, which finds copies without 15 to 40 %
            of the frames. Nine parts of each clip are embedded, so time and memory are ten times as large. These pairs
            have a threshold of their own with the same false rate; the stated rate is that of both together.
        block_bytes: Upper bound of the size of the blocks that are compared at once.
        **options: Options of `Encoder.embed`: `streams`, `batch_size`, `device`, `precision`.

    Returns:
        The groups, largest first, and what the threshold means.

    Raises:
        ValueError: for a parameter out of range; for a threshold that more than 10^7 pairs of clips reach; as `embed`.
        OSError: if a file or the encoder cannot be read.

    Examples:
        >>> found = duplicates("motions")
        >>> found.save("groups.csv")
    """
    if threshold is not None and not -1 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r} must be a cosine, from -1 to 1")
    if not 0 < false_rate < 1:
        raise ValueError(f"false_rate={false_rate!r} must be a fraction above 0 and below 1")
    library = Library.of(library, encoder, mirrors=mirrors, trimmed=trimmed, **options)
    _, first, copy_of = np.unique(library.content, return_index=True, return_inverse=True)
    order = np.argsort(first)  # distinct clips in the order of the library
    distinct, copy_of = first[order], np.argsort(order)[copy_of.ravel()]
    seen = library.seen[distinct]
    compared = _Compared.of(library, distinct, adapted=threshold is None)
    background = Background.of(compared.rows, block_bytes)
    found_by = {kind: values for kind, values in compared.copies.items() if kind != QUARTER}
    chosen, how = _threshold(threshold, false_rate, background, len(compared.rows), found_by)
    sets = {"near": [close_pairs(compared.rows, chosen, block_bytes=block_bytes)]}
    if compared.mirrored is not None:
        sets["mirrored"] = [close_pairs(compared.rows, chosen, other=compared.mirrored, block_bytes=block_bytes)]
    pair_rate, for_crops = None if background is None else background.rate(chosen), None
    if compared.crops is not None:
        around = Background.of_crops(compared.rows, compared.crops, block_bytes)
        quarter = {} if compared.parts is None else {QUARTER: compared.parts}
        for_crops, _ = _threshold(threshold, false_rate, around, len(compared.rows), quarter)
        sets["trimmed"] = [
            close_pairs(one, for_crops, other=other, block_bytes=block_bytes)
            for parts in compared.crops
            for one, other in ((compared.rows, parts), (parts, compared.rows))
        ]
        pair_rate = None if around is None or pair_rate is None else pair_rate + around.rate(for_crops)
    pairs, kinds = _merged(sets)
    group = _stars(pairs, np.bincount(copy_of), seen)
    return _table(
        library,
        distinct,
        copy_of,
        group,
        np.append(kinds, "near")[group.pair],
        {
            "threshold": chosen,
            "chosen": how,
            "false_rate": None if threshold is not None else false_rate,
            "pair_rate": pair_rate,
            "clip_rate": None if pair_rate is None else float(-np.expm1((len(distinct) - 1) * np.log1p(-pair_rate))),
            "dimension": None if background is None else background.dimension,
            "found": compared.found(chosen, for_crops),
            "trimmed": for_crops is not None,
            "trimmed_threshold": for_crops,
            "n_copied": len(library.originals),
            "adapted": compared.adapted,
            "mirrored": library.mirrored is not None,
            "n_clips": len(library),
            "model": library.model,
            "skelrep": __version__,
        },
    )


class _Compared(NamedTuple):
    """The rows of U distinct clips that are compared: their embeddings, adapted to copies or not.

    Attributes:
        rows: (U, K).
        mirrored: (U, K) rows of the clips' mirror images, or None.
        copies: For each kind of copy the cosines of some clips and their copies.
        adapted: Whether the embeddings are adapted.
        crops: (9, U, K) rows of parts of the clips, or None.
        parts: The largest cosines of parts of some clips and their copies of the kind `QUARTER`, or None.
    """

    rows: np.ndarray
    mirrored: np.ndarray | None
    copies: dict[str, np.ndarray]
    adapted: bool
    crops: np.ndarray | None
    parts: np.ndarray | None

    def found(self, threshold: float, for_crops: float | None) -> dict[str, float]:
        """For each kind of copy the fraction that is found."""
        reached = {kind: values >= threshold for kind, values in self.copies.items()}
        if self.parts is not None:
            reached[QUARTER] |= self.parts >= for_crops
        return {kind: float(each.mean()) for kind, each in reached.items()}

    @classmethod
    def of(cls, library: Library, distinct: np.ndarray, *, adapted: bool) -> _Compared:
        rows, originals, copies = library.rows[distinct], library.originals, library.copies
        mirrored = None if library.mirrored is None else library.mirrored[distinct]
        crops = None if library.crops is None else library.crops[:, distinct]
        own_crops = library.original_crops
        adapted &= len(originals) >= _LEAST_COPIED and len(rows) >= LEAST
        if adapted:
            # Half of the copied clips are for learning, the other half for measuring what is found.
            learned = [each[::2] for kind, each in copies.items() if kind != QUARTER]
            adaptation = Adaptation.of(rows, originals[::2], learned)
            rows, originals = adaptation(rows), adaptation(originals[1::2])
            copies = {kind: adaptation(each[1::2]) for kind, each in copies.items()}
            mirrored = None if mirrored is None else adaptation(mirrored)
            crops = None if crops is None else np.stack([adaptation(each) for each in crops])
            own_crops = None if own_crops is None else np.stack([adaptation(each[1::2]) for each in own_crops])
        cosines = {kind: (unit(originals) * unit(each)).sum(axis=1) for kind, each in copies.items()}
        parts = None
        if own_crops is not None:
            parts = np.max([(unit(each) * unit(copies[QUARTER])).sum(axis=1) for each in own_crops], axis=0)
        if crops is not None:
            rows, crops = unit(rows), np.stack([unit(each) for each in crops])
        return cls(rows, mirrored, cosines, adapted, crops, parts)


def _threshold(
    given: float | None, false_rate: float, background: Background | None, count: int, copies: dict[str, np.ndarray]
) -> tuple[float, str]:
    """The threshold for `count` clips and how it was chosen; it is not lower than the cosines of the copies."""
    if given is not None:
        return float(given), "as given"
    needed = min((float(values.min()) for values in copies.values()), default=-1.0)
    if background is None:
        warn(
            f"{count} different clips are too few to estimate a false rate; the threshold is {_FEW}, or what all "
            "generated copies reach, if that is higher"
        )
        return max(_FEW, needed), "for a library that is too small for a false rate"
    rate = -np.expm1(np.log1p(-false_rate) / (count - 1))
    allowed = background.threshold(float(rate))
    if needed > allowed:
        return needed, "which all generated copies reach"
    return allowed, f"by the false rate of {100 * false_rate:.2g} % of the clips"


class _Groups(NamedTuple):
    """For each of U distinct clips the one that is kept for it, and the pair of both; -1 for the kept clips."""

    centre: np.ndarray
    pair: np.ndarray
    cosine: np.ndarray


def _stars(pairs: ClosePairs, number: np.ndarray, seen: np.ndarray) -> _Groups:
    """Groups of close clips around the one with the most others (the star cover of Aslam et al., JGAA 2004).

    Args:
        pairs: Of distinct clips, each pair once.
        number: (U,) how many clips have the same poses as each distinct clip.
        seen: (U,) how many joints of it are seen; decides between clips with equally many others.
    """
    count = len(number)
    one, two = np.append(pairs.first, pairs.second), np.append(pairs.second, pairs.first)
    edge = np.tile(np.arange(len(pairs.first)), 2)
    sorting = np.argsort(one, kind="stable")
    two, edge = two[sorting], edge[sorting]
    begin = np.searchsorted(one[sorting], np.arange(count + 1))
    others = np.bincount(one, weights=number[np.append(pairs.second, pairs.first)], minlength=count) + number
    centre, pair = np.full(count, -1), np.full(count, -1)
    cosine = np.ones(count, dtype=np.float32)
    for clip in np.lexsort((np.arange(count), -seen, -others)).tolist():
        if centre[clip] >= 0:
            continue
        centre[clip] = clip
        mine = slice(begin[clip], begin[clip + 1])
        free = centre[two[mine]] < 0
        joined, by = two[mine][free], edge[mine][free]
        centre[joined], pair[joined], cosine[joined] = clip, by, pairs.cosine[by]
    return _Groups(centre, pair, cosine)


def _merged(sets: dict[str, list[ClosePairs]]) -> tuple[ClosePairs, np.ndarray]:
    """Sets of pairs as one, each pair once, and their kinds.

    A pair of several sets has the kind and the cosine of the one with the largest cosine; "trimmed" only if it is of no
    other kind.
    """
    every = [pairs for parts in sets.values() for pairs in parts]
    kinds = np.concatenate([np.full(sum(len(pairs.first) for pairs in parts), kind) for kind, parts in sets.items()])
    first, second, cosine = (np.concatenate(column) for column in zip(*every))
    rank = np.array([list(sets).index(kind) for kind in kinds], dtype=int)
    order = np.lexsort((rank, -cosine, kinds == "trimmed", second, first))
    same = (np.diff(first[order], prepend=-1) == 0) & (np.diff(second[order], prepend=-1) == 0)
    kept = order[~same]
    return ClosePairs(first[kept], second[kept], cosine[kept]), kinds[kept]


def _table(
    library: Library,
    distinct: np.ndarray,
    copy_of: np.ndarray,
    groups: _Groups,
    kinds: np.ndarray,
    protocol: dict[str, Any],
) -> Duplicates:
    """The groups of at least two clips.

    Args:
        library: N clips.
        distinct: (U,) positions of the first clip of each content.
        copy_of: (N,) which of them has the same poses as each clip.
        groups: Of the distinct clips.
        kinds: (U,) "near", "mirrored" or "trimmed": how a clip that is not kept is like the one that is.
        protocol: The number of groups is added to it.
    """
    centre = groups.centre[copy_of]
    keep = (centre == copy_of) & (distinct[copy_of] == np.arange(len(library)))
    exact = distinct[copy_of] != np.arange(len(library))
    if not library.copies:  # of stored embeddings, which are equal up to rounding
        exact |= ~keep & (groups.cosine[copy_of] >= _SAME)
    kind = np.where(keep, "kept", np.where(exact, "exact", kinds[copy_of]))
    sizes = np.bincount(centre, minlength=len(distinct))
    numbered = np.argsort(-sizes, kind="stable")  # groups of equal size in the order of their kept clips
    number = np.empty(len(distinct), dtype=np.int64)
    number[numbered] = np.arange(1, len(distinct) + 1)
    cosine = groups.cosine[copy_of]
    rows = np.flatnonzero(sizes[centre] > 1)
    rows = rows[np.lexsort((rows, -cosine[rows], ~keep[rows], number[centre[rows]]))]
    return Duplicates(
        number[centre[rows]],
        library.ids[rows],
        cosine[rows],
        kind[rows],
        keep[rows],
        rows,
        protocol
        | {
            "n_groups": int((sizes > 1).sum()),
            "n_duplicates": int((~keep[rows]).sum()),
            "near_rate": float((~keep[rows] & (kind[rows] != "exact")).sum() / len(library)),
        },
    )
