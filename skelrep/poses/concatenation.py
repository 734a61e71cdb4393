"""Several sets of poses as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skelrep.messages import warn
from skelrep.poses.columns import stacked

if TYPE_CHECKING:
    from skelrep.poses.poses import Poses


def concatenated(parts: Sequence[Poses]) -> dict[str, Any]:
    """The fields of `Poses` with the clips of all parts; see `Poses.concatenate`."""
    if not parts:
        raise ValueError("no poses to concatenate")
    parts = [part for part in parts if len(part)] or parts[:1]  # a selection of nothing has no channels to compare
    first = parts[0]
    for part in parts:
        if (part.skeleton.joints, part.channels) != (first.skeleton.joints, first.channels):
            raise ValueError(
                f"cannot combine {part.skeleton.name!r} ({part.channels}-D) and {first.skeleton.name!r} "
                f"({first.channels}-D) in one set of poses; embed them separately"
            )
    ids = [part.ids for part in parts]
    if len({name for names in ids for name in set(names)}) < sum(len(set(names)) for names in ids):
        ids = [[f"{i}/{name}" for name in names] for i, names in enumerate(ids)]
    left_out = _columns_of_some(parts)
    rates = list(dict.fromkeys(part.fps for part in parts))
    if len(rates) > 1:
        said = " and ".join("unknown" if rate is None else f"{rate:g}" for rate in rates[:4])
        left_out.append(f"frames per second ({said}; pass fps= to give one)")
    if left_out:
        warn(f"{len(parts)} sets of poses are combined; left out: {', '.join(left_out)}")
    columns = [key for key in first.info if all(key in part.info for part in parts)]
    every = lambda field: all(getattr(part, field) is not None for part in parts)  # noqa: E731
    return {
        "clips": [clip for part in parts for clip in part.clips],
        "skeleton": first.skeleton,
        "ids": [name for names in ids for name in names],
        "labels": stacked([part.labels for part in parts]) if every("labels") else None,  # type: ignore[misc]
        "fps": first.fps if len(rates) == 1 else None,
        "scores": [score for part in parts for score in part.scores or ()] if every("scores") else None,
        "info": {key: stacked([part.info[key] for part in parts]) for key in columns},
        "person_ids": [names for part in parts for names in part.person_ids or ()] if every("person_ids") else None,
        # Missing values are already marked in each part.
        "zeros": "coordinates" if any(part.zeros == "coordinates" for part in parts) else first.zeros,
        "unit_is_checked": all(part.unit_is_checked for part in parts),
    }


def _columns_of_some(parts: Sequence[Poses]) -> list[str]:
    """Columns that some parts have and others lack, each with the first clip that lacks it."""
    found = []
    fields = {"labels": "labels", "scores": "scores", "person_ids": "ids of persons"}
    names = dict.fromkeys([*fields, *(key for part in parts for key in part.info)])
    for name in names:
        has = [getattr(part, name) is not None if name in fields else name in part.info for part in parts]
        if any(has) and not all(has):
            found.append(f"{fields.get(name, repr(name))} (unknown for {parts[has.index(False)].ids[0]!r})")
    return found
