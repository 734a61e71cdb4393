"""Poses: a set of clips on one skeleton, and the one door through which arrays become it."""

from __future__ import annotations

import copy
import os
import zipfile
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skelrep.files import replacing
from skelrep.layouts import clips_from_array, is_certainly_finite
from skelrep.skeletons import Skeleton, resolve

FORMAT_VERSION = 1  # of the .npz files; raised only when the meaning of a stored array changes


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """Clips of one skeleton with what is known about them.

    Attributes:
        clips: N float32 arrays (M, T, V, C): persons, frames, joints, channels (x, y, z in metres where the source
            says so, or x, y). M and T may differ from clip to clip. NaN marks what was not seen.
        skeleton: The meaning of the joint axis.
        ids: N names, for messages and for output files.
        labels: (N,) integers or strings, or None.
        fps: Frames a second of all clips, or None if unknown.
        scores: N float32 arrays (M, T, V) of the estimator's confidence, or None.
        info: Further columns, each (N,): subject, camera, membership of a split, start and end of a window ...
    """

    clips: list[np.ndarray]
    skeleton: Skeleton
    ids: list[str] = field(default_factory=list)
    labels: np.ndarray | None = None
    fps: float | None = None
    scores: list[np.ndarray] | None = None
    info: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Brings the parts to their types and checks them against each other."""
        clips = [np.asarray(clip, dtype=np.float32) for clip in self.clips]
        ids = [str(name) for name in self.ids] or [str(i) for i in range(len(clips))]
        for name, clip in zip(ids, clips):
            if clip.ndim != 4 or clip.shape[2] != len(self.skeleton) or clip.shape[3] not in (2, 3):
                raise ValueError(
                    f"clip {name!r} has shape {clip.shape}; expected (persons, frames, {len(self.skeleton)} joints of "
                    f"{self.skeleton.name!r}, 2 or 3 channels)"
                )
            if 0 in clip.shape:
                raise ValueError(f"clip {name!r} has shape {clip.shape}: it holds no pose")
            if not is_certainly_finite(clip) and np.isinf(clip).any():
                raise ValueError(f"clip {name!r} holds infinite coordinates; use NaN for joints that were not seen")
        if len({clip.shape[3] for clip in clips}) > 1:
            raise ValueError("some clips are 2-D and some 3-D; keep them in two sets of poses and embed them apart")
        set_ = object.__setattr__
        set_(self, "clips", clips)
        set_(self, "ids", ids)
        set_(self, "info", {key: np.asarray(column) for key, column in self.info.items()})
        if self.labels is not None:
            set_(self, "labels", np.asarray(self.labels))
        if self.fps is not None:
            if not np.isfinite(self.fps) or self.fps <= 0:
                raise ValueError(f"fps must be a positive number, got {self.fps}")
            set_(self, "fps", float(self.fps))
        columns = {"ids": self.ids, "labels": self.labels, "scores": self.scores, **self.info}
        for key, column in columns.items():
            if isinstance(column, np.ndarray) and column.ndim == 0:
                raise ValueError(f"{key} is the single value {column.item()!r}; give one for each clip")
            if column is not None and len(column) != len(clips):
                raise ValueError(f"{len(clips)} clips but {len(column)} {key}; give one for each clip")
        if self.scores is not None:
            set_(self, "scores", [np.asarray(score, dtype=np.float32) for score in self.scores])
            for name, clip, score in zip(self.ids, self.clips, self.scores):
                if score.shape != clip.shape[:3]:
                    raise ValueError(f"scores of clip {name!r} have shape {score.shape}; expected {clip.shape[:3]}")

    # -- looking ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __iter__(self) -> Iterator[Poses]:
        """Clip by clip, each a `Poses` of one, so that skeleton and labels come along."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        """Counts, sizes and what is known, on one line."""
        if not self.clips:
            return f"Poses(0 clips, {self.skeleton.name})"
        frames = [clip.shape[1] for clip in self.clips]
        persons = [clip.shape[0] for clip in self.clips]
        spread = lambda values: f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"  # noqa: E731
        parts = [
            f"{len(self)} clip{'s' * (len(self) != 1)}",
            f"{spread(persons)} person{'s' * (max(persons) != 1)}",
            f"{spread(frames)} frames",
            f"{self.skeleton.name} in {self.channels}-D",
        ]
        if self.fps is not None:
            parts.append(f"{self.fps:g} fps")
        if self.labels is not None:
            parts.append(f"{len(set(self.labels.tolist()))} labels")
        if self.info:
            parts.append("info: " + ", ".join(self.info))
        return f"Poses({', '.join(parts)})"

    @property
    def channels(self) -> int:
        """2 or 3."""
        return self.clips[0].shape[3] if self.clips else 3

    # -- choosing -----------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Poses:
        """The clips at an integer, a slice, an integer or a boolean array, as `Poses`."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        chosen = copy.copy(self)  # by parts that were checked when this was made
        changes = dict(
            clips=[self.clips[i] for i in rows],
            ids=[self.ids[i] for i in rows],
            labels=None if self.labels is None else self.labels[rows],
            scores=None if self.scores is None else [self.scores[i] for i in rows],
            info={key: column[rows] for key, column in self.info.items()},
        )
        vars(chosen).update(changes)
        return chosen

    def select(self, **columns: Any) -> Poses:
        """The clips whose columns have the given values.

        Args:
            **columns: For each column (`ids`, `labels` or a key of `info`) a value or a collection of values to keep:
                `poses.select(subject=[1, 3, 5], camera=1)`. `split="xsub_train"` keeps the members of a named split
                (a boolean column of `info`, as the pyskl reader makes them).

        Raises:
            ValueError: if there is no such column (the existing ones are listed).
        """
        keep = np.ones(len(self), dtype=bool)
        known = {"ids": np.asarray(self.ids), **self.info} | ({} if self.labels is None else {"labels": self.labels})
        for key, wanted in columns.items():
            if key == "split" and "split" not in known:
                key, wanted = str(wanted), True
            if key not in known:
                raise ValueError(f"no column {key!r} to select by; these poses have {', '.join(known)}")
            keep &= np.isin(known[key], list(wanted) if isinstance(wanted, (list, tuple, Set, range)) else wanted)
        return self[keep]

    def windows(self, window: float, stride: float | None = None) -> Poses:
        """Cuts long recordings into windows of equal duration.

        Windows in which nobody is seen are left out; the times tell.

        Args:
            window: Seconds of a window.
            stride: Seconds from one window's start to the next; by default `window`, so that they do not overlap.

        Returns:
            One clip a window, in order of time within each recording, with the columns `source` (the recording's id),
            `start` and `end` (seconds) in `info`. A recording shorter than a window gives one row, the whole of it;
            what is left over at an end that is not a whole window is covered by one more window that ends there.

        Raises:
            ValueError: without fps, or for a window or stride that is not positive.
        """
        stride = window if stride is None else stride
        if self.fps is None:
            raise ValueError("windows are in seconds, so the poses need fps; pass fps=")
        if not (0 < window < np.inf and 0 < stride < np.inf):
            raise ValueError(f"window and stride must be positive seconds, got {window} and {stride}")
        length, step = max(1, round(window * self.fps)), max(1, round(stride * self.fps))
        source, starts, ends = [], [], []
        for i, clip in enumerate(self.clips):
            last = max(clip.shape[1] - length, 0)
            begins = list(range(0, last + 1, step))
            if begins[-1] != last:
                begins.append(last)
            seen = np.logical_not(np.isnan(clip).all(axis=(0, 2, 3)))
            # Of a recording that shows nobody one window stays, for embedding to refuse by its name.
            begins = [begin for begin in begins if seen[begin : begin + length].any()] or begins[:1]
            source += [i] * len(begins)
            starts += begins
            ends += [min(begin + length, clip.shape[1]) for begin in begins]
        picked = self[np.asarray(source, dtype=int)]
        seconds = np.asarray(starts) / self.fps, np.asarray(ends) / self.fps
        return replace(
            picked,
            clips=[clip[:, a:b] for clip, a, b in zip(picked.clips, starts, ends)],
            ids=[f"{name}@{a:.2f}-{b:.2f}" for name, a, b in zip(picked.ids, *seconds)],
            scores=None if picked.scores is None else [s[:, a:b] for s, a, b in zip(picked.scores, starts, ends)],
            info=picked.info | {"source": np.asarray(picked.ids), "start": seconds[0], "end": seconds[1]},
        )

    @staticmethod
    def concatenate(parts: Sequence[Poses]) -> Poses:
        """One set out of several on the same skeleton; columns that not all of them have are left out.

        Raises:
            ValueError: if there are none, or if the skeletons differ.
        """
        if not parts:
            raise ValueError("no poses to concatenate")
        parts = [part for part in parts if len(part)] or parts[:1]  # a selection of nothing has no channels to compare
        first = parts[0]
        for part in parts:
            if (part.skeleton.joints, part.channels) != (first.skeleton.joints, first.channels):
                raise ValueError(
                    f"cannot put {part.skeleton.name!r} ({part.channels}-D) and {first.skeleton.name!r} "
                    f"({first.channels}-D) into one set of poses; embed them apart"
                )
        labelled = all(part.labels is not None for part in parts)
        scored = all(part.scores is not None for part in parts)
        return Poses(
            clips=[clip for part in parts for clip in part.clips],
            skeleton=first.skeleton,
            ids=[name for part in parts for name in part.ids],
            labels=np.concatenate([part.labels for part in parts]) if labelled else None,  # type: ignore[misc]
            fps=first.fps if all(part.fps == first.fps for part in parts) else None,
            scores=[score for part in parts for score in part.scores] if scored else None,  # type: ignore[union-attr]
            info={
                key: np.concatenate([part.info[key] for part in parts])
                for key in first.info
                if all(key in part.info for part in parts)
            },
        )

    # -- making and keeping ---------------------------------------------------------------------------------------

    @classmethod
    def from_array(
        cls,
        array: Any,
        *,
        skeleton: Skeleton | str | Sequence[str] | None = None,
        layout: str | None = None,
        ids: Sequence[str] | None = None,
        labels: Any = None,
        fps: float | None = None,
    ) -> Poses:
        """Poses from one array.

        Args:
            array: (T, V, C) or (M, T, V, C): one clip; (N, M, T, V, C): a batch; anything else with `layout`.
            skeleton: A `Skeleton`, the name of one, or V joint names; by default told by V where only one fits.
            layout: The array's axes in its own order out of N, M, T, V, C (clips, persons, frames, joints, channels),
                for example "NCTVM" or "NTVC". N and M may be absent; where either is, it counts one.
            ids: N names; by default the positions.
            labels: (N,) labels.
            fps: Frames a second.

        A person's frame in which every coordinate is exactly zero was not seen and becomes NaN; frames at a batch
        clip's end in which nobody was seen are padding and are cut off. float32 clips in which nothing becomes NaN
        share the array's memory, so that a large array is not held twice.

        Raises:
            ValueError: for a shape that does not fit, with the ways to say what it is.
        """
        clips = clips_from_array(array, layout)
        return cls(clips, resolve(skeleton, clips[0].shape[2]), [] if ids is None else list(ids), labels, fps)

    def save(self, path: str | os.PathLike) -> None:
        """Writes everything into one `.npz` that needs no pickle; `skelrep.read` reads it back.

        The arrays are `format_version` (1), `poses` (R, V, C) with R the sum of M x T, clip after clip and person
        after person, `persons` (N,), `frames` (N,), `skeleton`, `joints` (V,), `parents` (V,), `ids` (N,), and where
        known `labels` (N,), `fps`, `scores` (R, V), `info_<column>` (N,).

        Raises:
            ValueError: if there is no clip, or labels are objects that cannot be stored without a pickle.
        """
        if not self.clips:
            raise ValueError("there is no clip to save")
        arrays: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "poses": np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in self.clips]),
            "persons": [clip.shape[0] for clip in self.clips],
            "frames": [clip.shape[1] for clip in self.clips],
            "skeleton": self.skeleton.name,
            "joints": self.skeleton.joints,
            "parents": self.skeleton.parents,
            "ids": self.ids,
        }
        if self.labels is not None:
            arrays["labels"] = self.labels
        if self.fps is not None:
            arrays["fps"] = self.fps
        if self.scores is not None:
            arrays["scores"] = np.concatenate([score.reshape(-1, score.shape[2]) for score in self.scores])
        arrays |= {f"info_{key}": column for key, column in self.info.items()}
        arrays = {key: np.asarray(array) for key, array in arrays.items()}
        for key, array in arrays.items():
            if array.dtype.hasobject:
                raise ValueError(f"{key} holds Python objects; make them integers or strings to save them")
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Poses:
        """Reads what `save` wrote.

        Raises:
            ValueError: if the file is not of this format, of a newer version, or inconsistent.
        """
        try:
            file = np.load(path, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is a single array; skelrep.read takes it")
            with file:
                arrays = {key: file[key] for key in file.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no skelrep .npz, or damaged ({error})") from error
        if (version := int(arrays.get("format_version", 0))) > FORMAT_VERSION:
            raise ValueError(
                f"{path} has format version {version}, this skelrep reads up to {FORMAT_VERSION}: update it"
            )
        needed = {"format_version", "poses", "persons", "frames", "skeleton", "joints", "parents", "ids"}
        if missing := sorted(needed - set(arrays)):
            raise ValueError(f"{path} is no skelrep .npz: it lacks {', '.join(missing)}")
        skeleton = Skeleton(
            str(arrays["skeleton"]), tuple(map(str, arrays["joints"])), tuple(int(p) for p in arrays["parents"])
        )
        shapes = np.stack([arrays["persons"], arrays["frames"]], axis=1).astype(np.int64)
        if shapes.min(initial=1) < 1 or shapes.prod(axis=1).sum() != len(arrays["poses"]):
            raise ValueError(
                f"{path} is damaged: its persons and frames do not add up to its {len(arrays['poses'])} poses"
            )
        bounds = np.cumsum(shapes.prod(axis=1))[:-1]

        def ragged(rows: np.ndarray) -> list[np.ndarray]:
            return [part.reshape(*shape, *rows.shape[1:]) for shape, part in zip(shapes, np.split(rows, bounds))]

        return cls(
            clips=ragged(arrays["poses"]),
            skeleton=skeleton,
            ids=arrays["ids"].tolist(),
            labels=arrays.get("labels"),
            fps=float(arrays["fps"]) if "fps" in arrays else None,
            scores=ragged(arrays["scores"]) if "scores" in arrays else None,
            info={key.removeprefix("info_"): column for key, column in arrays.items() if key.startswith("info_")},
        )


def as_poses(
    poses: Any,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    layout: str | None = None,
    fps: float | None = None,
) -> Poses:
    """The one door: whatever holds poses in memory becomes `Poses`.

    Args:
        poses: `Poses`; an array or tensor as `Poses.from_array` takes it; an xarray of the dimensions time, space,
            keypoints and perhaps individuals, or a data set of `position` and perhaps `confidence`, as movement has
            them; or a list of clips, each (T, V, C), (M, T, V, C) or one of these, of any lengths.
        skeleton: As in `Poses.from_array`; for `Poses`, only to contradict what they say of themselves.
        layout: The axes of the array, or of each array in the list.
        fps: Frames a second; overrides what `Poses` say.

    Raises:
        ValueError: if it is empty, or a shape does not fit; the message says what was expected.
        TypeError: if it is something else.
    """
    if isinstance(poses, Poses):
        if skeleton is not None:
            poses = replace(poses, skeleton=resolve(skeleton, len(poses.skeleton)))
        if not len(poses):
            raise ValueError("there is no clip in these poses")
        return poses if fps is None else replace(poses, fps=fps)
    if hasattr(poses, "dims") and hasattr(poses, "coords"):  # an xarray, without importing xarray to say so
        return as_poses(_from_xarray(poses), skeleton=skeleton, fps=fps)
    array = _as_array(poses)
    if array is not None:
        return Poses.from_array(array, skeleton=skeleton, layout=layout, fps=fps)
    if isinstance(poses, (list, tuple, np.ndarray)):
        if not len(poses):
            raise ValueError("the list of clips is empty")
        arrays = [_as_array(clip) for clip in poses]
        if any(clip is None for clip in arrays):
            return Poses.concatenate([as_poses(clip, skeleton=skeleton, layout=layout, fps=fps) for clip in poses])
        parts = [clips_from_array(clip, layout) for clip in arrays]
        ids = [f"{i}" if len(part) == 1 else f"{place}" for i, part in enumerate(parts) for place in range(len(part))]
        clips = [clip for part in parts for clip in part]
        return Poses(clips, resolve(skeleton, clips[0].shape[2]), ids, fps=fps)
    raise TypeError(f"poses must be Poses, an array, a tensor or a list of clips, got {type(poses).__name__}")


def _as_array(poses: Any) -> np.ndarray | None:
    """An array or a tensor of numbers as an array; None for everything else."""
    if hasattr(poses, "detach"):  # a torch tensor, without importing torch to say so
        poses = poses.detach().cpu().float().numpy()  # numpy knows no bfloat16
    return poses if isinstance(poses, np.ndarray) and poses.dtype != object else None


def _from_xarray(data: Any) -> Poses:
    """One clip of a data array or of a data set in movement's terms, singular (from 0.17) or plural."""
    whole = hasattr(data, "data_vars")
    if whole and "position" not in data:
        raise ValueError(
            f"a data set needs the variable position, but this one has {', '.join(map(str, data.data_vars))}"
        )
    position = data["position"] if whole else data
    names = {str(dim).rstrip("s"): dim for dim in position.dims}
    if set(names) - {"individual"} != {"time", "space", "keypoint"}:
        raise ValueError(
            "an xarray of poses has the dimensions time, space, keypoints and perhaps individuals, got "
            f"{', '.join(map(str, position.dims))}"
        )
    order = [names[axis] for axis in ("individual", "time", "keypoint", "space") if axis in names]
    clip = np.asarray(position.transpose(*order).values, dtype=np.float32)
    scores = None
    if whole and "confidence" in data:
        scores = np.asarray(data["confidence"].transpose(*order[:-1]).values, dtype=np.float32)
        scores = [scores if "individual" in names else scores[None]]
    return Poses(
        [clip if "individual" in names else clip[None]],
        resolve([str(name) for name in position.coords[names["keypoint"]].values]),
        fps=data.attrs.get("fps"),
        scores=scores,
    )
