"""Conversion of poses from and to xarray, in the schema of the movement package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skelrep.messages import optional

if TYPE_CHECKING:
    from skelrep.poses.poses import Poses

_AXES = ("x", "y", "z")


def from_xarray(data: Any) -> dict[str, Any]:
    """One clip from a DataArray, or from a Dataset as movement loads it, as arguments of `Poses`.

    Dimensions may have the names of movement 0.17 ("individual", "keypoint") or of earlier versions ("individuals",
    "keypoints").

    Raises:
        ValueError: if a variable or a dimension is missing.
    """
    whole = hasattr(data, "data_vars")
    if whole and "position" not in data:
        raise ValueError(
            f"a data set needs the variable position, but this one has {', '.join(map(str, data.data_vars))}"
        )
    position = data["position"] if whole else data
    names = {str(dim).rstrip("s"): dim for dim in position.dims}
    if set(names) - {"individual"} != {"time", "space", "keypoint"}:
        raise ValueError(
            "an xarray of poses has the dimensions time, space, keypoints and optionally individuals, got "
            f"{', '.join(map(str, position.dims))}"
        )
    order = [names[axis] for axis in ("individual", "time", "keypoint", "space") if axis in names]
    several = "individual" in names
    clip = np.asarray(position.transpose(*order).values, dtype=np.float32)
    scores = None
    if whole and "confidence" in data:
        scores = np.asarray(data["confidence"].transpose(*order[:-1]).values, dtype=np.float32)
        scores = [scores if several else scores[None]]
    persons = None
    if several and names["individual"] in position.coords:
        persons = [tuple(map(str, position.coords[names["individual"]].values))]
    return {
        "clips": [clip if several else clip[None]],
        "skeleton": [str(name) for name in position.coords[names["keypoint"]].values],
        "fps": data.attrs.get("fps"),
        "scores": scores,
        "person_ids": persons,
    }


def to_xarray(poses: Poses) -> Any:
    """One clip as a Dataset in the schema of movement; see `Poses.to_xarray`."""
    xarray = optional("xarray", "xarray")
    if len(poses) != 1:
        raise ValueError(
            f"an xarray Dataset contains one clip, but these are {len(poses)}; use [clip.to_xarray() for clip in poses]"
        )
    clip = poses.clips[0]
    persons = poses.person_ids[0] if poses.person_ids is not None else (None,) * len(clip)
    time = np.arange(clip.shape[1]) / (poses.fps or 1)
    coords = {
        "time": time if poses.fps else np.arange(clip.shape[1]),
        "space": list(_AXES[: clip.shape[3]]),
        "keypoint": list(poses.skeleton.joints),
        "individual": [name or f"id_{i}" for i, name in enumerate(persons)],
    }
    scores = np.full(clip.shape[:3], np.nan, np.float32) if poses.scores is None else poses.scores[0]
    return xarray.Dataset(
        {
            "position": (("time", "space", "keypoint", "individual"), clip.transpose(1, 3, 2, 0)),
            "confidence": (("time", "keypoint", "individual"), scores.transpose(1, 2, 0)),
        },
        coords=coords,
        attrs={"ds_type": "poses", "time_unit": "seconds" if poses.fps else "frames", "source_software": "skelrep"}
        | ({"fps": poses.fps} if poses.fps else {})
        | {"id": poses.ids[0]}
        | ({} if poses.labels is None else {"label": poses.labels[0].item()}),
    )
