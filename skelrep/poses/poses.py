"""The class `Poses`: a set of clips of one skeleton, with labels and other columns."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skelrep.fractions import check_unit
from skelrep.layouts import as_array, channels_of_all, clips_from_array, is_certainly_finite
from skelrep.messages import nearest, warn
from skelrep.missing import Zeros, unscored_as_nan, zeros_as_nan
from skelrep.persons import are_together
from skelrep.poses import npz, xarrays
from skelrep.poses.columns import check_text, plain_column
from skelrep.poses.concatenation import concatenated
from skelrep.poses.joining import joined
from skelrep.poses.windows import windows
from skelrep.skeleton_guess import skeleton_of
from skelrep.skeletons import Skeleton, resolve
from skelrep.splits import in_split, split_names


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """Clips of one skeleton, with ids, labels and other columns.

    Attributes:
        clips: N float32 arrays (M, T, V, C): persons, frames, joints, channels (x, y, z, in metres if the source gives
            a unit; or x, y). M and T may differ from clip to clip. NaN marks what was not seen.
        skeleton: The meaning of the joint axis; a known skeleton's name or V joint names may be given.
        ids: N names, for messages and for output files.
        labels: (N,) integers or strings, or None.
        fps: Frames per second of all clips, or None if unknown.
        scores: N float32 arrays (M, T, V) of the estimator's confidence, or None. A joint of score 0 was not seen and
            becomes NaN, unless all scores are 0.
        info: Further columns, each (N,): subject, camera, membership of a split, start and end of a window ...
        person_ids: For each clip a tuple of M names, such as a tracker's ids, with None for a person without a name; or
            None.
        zeros: What coordinates of exactly zero in all axes mean: "missing", "coordinates", or None to decide from the
            data (see `skelrep.missing`): a person's frame of zeros was not seen, and neither was a joint at zero
            outside the body.
        unit_is_checked: Whether a warning about fractions of a picture's width and height was given or is not needed.

    Examples:
        >>> poses = Poses([np.zeros((1, 40, 17, 3)) + 1], "coco-17", ids=["wave"], labels=["wave"], fps=30)
    """

    clips: list[np.ndarray]
    skeleton: Skeleton
    ids: list[str] = field(default_factory=list)
    labels: np.ndarray | None = None
    fps: float | None = None
    scores: list[np.ndarray] | None = None
    info: dict[str, np.ndarray] = field(default_factory=dict)
    person_ids: list[tuple[str | None, ...]] | None = None
    zeros: Zeros | None = None
    unit_is_checked: bool = False

    def __post_init__(self) -> None:
        """Converts the parts to their types and checks that they fit each other."""
        set_ = object.__setattr__
        if not isinstance(self.skeleton, Skeleton):
            set_(self, "skeleton", resolve(self.skeleton))
        if self.zeros not in (None, "missing", "coordinates"):
            raise ValueError(f"zeros must be 'missing', 'coordinates' or None, got {self.zeros!r}")
        clips = [np.asarray(clip, dtype=np.float32) for clip in self.clips]
        ids = [str(name) for name in self.ids] or [str(i) for i in range(len(clips))]
        check_text(ids)
        marked = []
        for name, clip in zip(ids, clips):
            if clip.ndim != 4 or clip.shape[2] != len(self.skeleton) or clip.shape[3] not in (2, 3):
                raise ValueError(
                    f"clip {name!r} has shape {clip.shape}; expected (persons, frames, {len(self.skeleton)} joints of "
                    f"{self.skeleton.name!r}, 2 or 3 channels)"
                )
            if 0 in clip.shape:
                raise ValueError(f"clip {name!r} has shape {clip.shape}: it contains no pose")
            if not is_certainly_finite(clip) and np.isinf(clip).any():
                raise ValueError(f"clip {name!r} contains infinite coordinates; use NaN for joints that were not seen")
            marked.append(zeros_as_nan(clip, self.skeleton, self.zeros))  # here, while the clip is in the cache
        if len({clip.shape[3] for clip in clips}) > 1:
            raise ValueError("some clips are 2-D and some 3-D; put them into two sets of poses and embed each of them")
        set_(self, "clips", [clip for clip, _ in marked])
        if found := {value for _, by_rule in marked for value in by_rule}:
            numbers = " or ".join(", ".join([str(value)] * self.channels) for value in sorted(found, reverse=True))
            warn(
                f"joints of {self.skeleton.name!r} at exactly {numbers} count as not seen; zeros='coordinates' keeps "
                "them, zeros='missing' confirms this"
            )
        set_(self, "ids", ids)
        set_(self, "info", {key: plain_column(column, key) for key, column in self.info.items()})
        if self.labels is not None:
            set_(self, "labels", plain_column(self.labels, "labels"))
        if self.fps is not None:
            if not np.isfinite(self.fps) or self.fps <= 0:
                raise ValueError(f"fps must be a positive number, got {self.fps}")
            set_(self, "fps", float(self.fps))
        columns = {"ids": self.ids, "labels": self.labels, "scores": self.scores, "person_ids": self.person_ids}
        columns |= self.info
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
            set_(self, "clips", unscored_as_nan(self.clips, self.scores))
        if self.person_ids is not None:
            names = [tuple(None if one is None else str(one) for one in persons) for persons in self.person_ids]
            set_(self, "person_ids", names)
            for name, clip, persons in zip(self.ids, self.clips, names):
                if len(persons) != len(clip):
                    raise ValueError(f"clip {name!r} has {len(clip)} persons but {len(persons)} person_ids")

    # -- inspection ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __iter__(self) -> Iterator[Poses]:
        """Clip by clip, each a `Poses` of one, with its skeleton and label."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        """Counts, sizes and what is known, on one line."""
        if not self.clips:
            return f"Poses(0 clips, {self.skeleton.name})"
        frames = [clip.shape[1] for clip in self.clips]
        persons = [clip.shape[0] for clip in self.clips]
        extremes = lambda values: f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"  # noqa: E731
        parts = [
            f"{len(self)} clip{'s' * (len(self) != 1)}",
            f"{extremes(persons)} person{'s' * (max(persons) != 1)}",
            f"{extremes(frames)} frames",
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

    def person_names(self, clip: int) -> list[str]:
        """The names of the persons of a clip: those of `person_ids`, or the person's index where there is none."""
        names = (None,) * len(self.clips[clip]) if self.person_ids is None else self.person_ids[clip]
        return [str(i) if name is None else name for i, name in enumerate(names)]

    # -- selection ----------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Poses:
        """The clips at an integer, a slice, an integer or a boolean array, an id or a list of ids, as `Poses`.

        Raises:
            KeyError: for an id that no clip has; the message suggests the nearest one.
        """
        if isinstance(index, str) or (isinstance(index, (list, tuple)) and index and isinstance(index[0], str)):
            index = self._rows_of([index] if isinstance(index, str) else index)
        rows = np.atleast_1d(np.arange(len(self))[index])
        chosen = copy.copy(self)  # its parts are already checked
        changes = dict(
            clips=[self.clips[i] for i in rows],
            ids=[self.ids[i] for i in rows],
            labels=None if self.labels is None else self.labels[rows],
            scores=None if self.scores is None else [self.scores[i] for i in rows],
            info={key: column[rows] for key, column in self.info.items()},
            person_ids=None if self.person_ids is None else [self.person_ids[i] for i in rows],
        )
        vars(chosen).update(changes)
        return chosen

    def _rows_of(self, names: Sequence[str]) -> list[int]:
        rows = []
        for name in names:
            found = [i for i, known in enumerate(self.ids) if known == name]
            if not found:
                raise KeyError(f"none of these {len(self)} clips is called {name!r}{nearest(name, self.ids)}")
            rows += found
        return rows

    def __add__(self, other: Poses) -> Poses:
        """Both sets as one; see `concatenate`."""
        return Poses.concatenate([self, other]) if isinstance(other, Poses) else NotImplemented

    def select(self, **columns: Any) -> Poses:
        """The clips whose columns have the given values.

        Args:
            **columns: For each column (`ids`, `labels` or a key of `info`), a value or a collection of values to keep:
                `poses.select(subject=[1, 3, 5], camera=1)`. `split="xsub_train"` keeps the members of a named split: a
                boolean column of `info`, or a value of its column `split`. With several names, members of any of these
                splits are kept.

        Raises:
            ValueError: if there is no such column or split (the existing ones are listed).
        """
        keep = np.ones(len(self), dtype=bool)
        known = {"ids": np.asarray(self.ids), **self.info} | ({} if self.labels is None else {"labels": self.labels})
        for key, wanted in columns.items():
            several = list(wanted) if isinstance(wanted, (list, tuple, Set, range, np.ndarray)) else [wanted]
            if key == "split" and split_names(self.info):
                keep &= np.any([in_split(self.info, str(name), "this set of poses") for name in several], axis=0)
                continue
            if key == "split":
                raise ValueError(
                    f"no split {several[0]!r} to select by; these poses have no splits, but {', '.join(known)}"
                )
            if key not in known:
                raise ValueError(f"no column {key!r} to select by; these poses have {', '.join(known)}")
            keep &= np.isin(known[key], several)
        return self[keep]

    def with_labels(self, labels: Any) -> Poses:
        """The same clips with other labels.

        Args:
            labels: N labels in the order of the clips; a dict of labels by clip id; or the name of a column of `info`.
                The ids of a dict may have a file's suffix, or lack its folders if the rest is unique.

        Raises:
            ValueError: if there is not one label for each clip; the message names clips without one.

        Examples:
            >>> poses = poses.with_labels({"wave_01": "wave", "jump_01": "jump"})
        """
        return replace(self, labels=self._column(labels, "label"))

    def scaled(self, scale: float | Sequence[float]) -> Poses:
        """The same clips with coordinates multiplied by a factor, or each axis by its own.

        Args:
            scale: 0.001 for millimetres, (1920, 1080) for fractions of a picture, (-1, 1, 1) for mirrored axes.

        Raises:
            ValueError: if it is not a finite number, or does not have one for each axis.
        """
        factors = np.asarray(scale, dtype=np.float32)
        if factors.shape not in ((), (1,), (self.channels,)) or not np.isfinite(factors).all() or not factors.any():
            raise ValueError(f"scale must be a number, or one for each of the {self.channels} axes, got {scale}")
        return replace(self, clips=[clip * factors for clip in self.clips], unit_is_checked=True)

    def with_info(self, **columns: Any) -> Poses:
        """The same clips with added or replaced columns of `info`, each in the form that `with_labels` takes.

        Raises:
            ValueError: if a column does not have one value for each clip.
        """
        return replace(self, info=self.info | {key: self._column(value, key) for key, value in columns.items()})

    def _column(self, values: Any, what: str) -> np.ndarray:
        if isinstance(values, str):
            if values not in self.info:
                raise ValueError(
                    f"there is no column {values!r} to take as {what}{nearest(values, self.info)} (these poses have: "
                    f"{', '.join(self.info) or 'none'})"
                )
            return self.info[values]
        if isinstance(values, Mapping):
            return joined(self.ids, values, what)
        column = np.asarray(values)
        if column.shape != (len(self),):
            raise ValueError(f"{len(self)} clips but {what}s of shape {column.shape}; give one for each clip")
        return column

    def windows(self, window: float, stride: float | None = None) -> Poses:
        """Cuts long recordings into windows of equal duration.

        Windows in which nobody is seen are left out.

        Args:
            window: Length of a window in seconds.
            stride: Seconds between the starts of windows; by default `window`, so that they do not overlap.

        Returns:
            One clip per window, in order of time within each recording, with the columns `source` (the id of the
            recording), `start` and `end` (seconds) in `info`. A recording that is shorter than a window gives one clip,
            the whole recording. If windows do not end with the recording, one more window does.

        Raises:
            ValueError: if the poses have no fps, or the window or stride is not positive.
        """
        return windows(self, window, stride)

    @staticmethod
    def concatenate(parts: Sequence[Poses]) -> Poses:
        """One set from several with the same skeleton.

        Columns that some of them lack are left out, and so are different frame rates, with a warning that names them.
        If two sets share an id, every id is preceded by the number of its set, so that ids stay unique.

        Raises:
            ValueError: if there are none, or if the skeletons differ.
        """
        return parts[0] if len(parts) == 1 else Poses(**concatenated(parts))

    # -- construction and storage -----------------------------------------------------------------------------------

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
        zeros: Zeros | None = None,
        channels: str | None = None,
    ) -> Poses:
        """Poses from one array.

        Args:
            array: (T, V, C) or (M, T, V, C): one clip; (N, M, T, V, C): a batch; anything else with `layout`. C is 2 or
                3, or one more if a channel is a confidence (x, y, score), which becomes `scores`. Masked values and
                None are missing.
            skeleton: A `Skeleton`, the name of one, or V joint names; by default the known skeleton of V joints that
                alone fits the geometry (see `skelrep.skeleton_guess`), with a warning that names it.
            layout: The letters of the array's axes in their order, from N, M, T, V, C (clips, persons, frames, joints,
                channels), for example "NCTVM" or "NTVC". N and M may be absent and then count as one.
            ids: N names; by default the positions.
            labels: (N,) labels.
            fps: Frames per second.
            zeros: What exact zeros mean (see `Poses`).
            channels: A letter for each channel: x, y, z, s for a score, _ for an unused channel ("xys", "xyzs", "yxs").
                By default decided from the numbers, with a warning if there is a score (see `skelrep.channels`).

        Frames at the end of a batch's clip in which nobody was seen are padding and are cut off. float32 clips in which
        nothing becomes NaN share the array's memory, so that a large array is not stored twice.

        Raises:
            ValueError: for a shape that does not fit, or if the geometry does not identify the skeleton; the message
                says what to pass.

        Examples:
            >>> poses = Poses.from_array(np.load("walk.npy"), skeleton="coco-17", fps=30)  # (T, 17, 2)
        """
        known = None if skeleton is None else resolve(skeleton)
        clips, scores = clips_from_array(array, layout, zeros, channels=channels, known=known)
        seen = clips if scores is None else unscored_as_nan(clips, scores)
        table = known or skeleton_of(None, seen, zeros)
        if layout is None and len(clips) == 1 and len(clips[0]) == 2 and not are_together(clips[0], table):
            shape = (2, *clips[0].shape[1:])
            warn(
                f"the array {shape} is interpreted as one clip of 2 persons (persons, frames, joints, channels); pass "
                'layout="NTVC" if it is 2 clips of one person, or layout="MTVC" to say that it is not'
            )
        made = cls(clips, table, [] if ids is None else list(ids), labels, fps, scores, zeros=zeros)
        check_unit(made)
        return made

    @classmethod
    def from_clips(
        cls,
        clips: Sequence[Any],
        skeleton: Skeleton | str | Sequence[str] | None = None,
        *,
        layout: str | None = None,
        ids: Sequence[str] | None = None,
        labels: Any = None,
        fps: float | None = None,
        zeros: Zeros | None = None,
        channels: str | None = None,
    ) -> Poses:
        """Poses from a list of clips of any lengths.

        Args:
            clips: Arrays (T, V, C) or (M, T, V, C), or batches (N, M, T, V, C).
            skeleton: As in `from_array`.
            layout: The axes of each array, if in another order.
            ids: N names; by default the positions.
            labels: N labels, or a dict of labels by id.
            fps: Frames per second.
            zeros: What exact zeros mean (see `Poses`).
            channels: As in `from_array`.

        Raises:
            ValueError: for an empty list, a clip of another shape, or a wrong number of labels.

        Examples:
            >>> poses = Poses.from_clips([walk, jump], "coco-17", labels=["walk", "jump"], fps=30)
        """
        arrays = [as_array(clip) for clip in clips]
        if not arrays:
            raise ValueError("the list of clips is empty")
        known = None if skeleton is None else resolve(skeleton)
        if channels is None and layout is None:
            channels = channels_of_all(arrays)
        parts = []
        for i, array in enumerate(arrays):
            if array is None:
                raise ValueError(f"clip {i} is a {type(clips[i]).__name__}, not an array (T, V, C) or (M, T, V, C)")
            parts.append(clips_from_array(array, layout, zeros, channels=channels, known=known))
        found = [clip for part, _ in parts for clip in part]
        if ids is None:
            sizes = [len(part) for part, _ in parts]
            ids = [f"{i}" if size == 1 else f"{i}/{at}" for i, size in enumerate(sizes) for at in range(size)]
        scores = [score for _, part in parts for score in part or ()]
        kept = scores if len(scores) == len(found) else None
        table = known or skeleton_of(None, found if kept is None else unscored_as_nan(found, kept), zeros)
        made = cls(found, table, list(ids), None, fps, kept, zeros=zeros)
        check_unit(made)
        return made if labels is None else made.with_labels(labels)

    def to_xarray(self) -> Any:
        """One clip as an xarray Dataset in the schema of the movement package (needs the extra `xarray`).

        Returns:
            A `Dataset` with `position` (time, space, keypoint, individual) and `confidence` (time, keypoint,
            individual); time in seconds if fps is known, else in frames.

        Raises:
            ValueError: unless there is exactly one clip.
            ModuleNotFoundError: without xarray.
        """
        return xarrays.to_xarray(self)

    def save(self, path: str | os.PathLike) -> None:
        """Writes everything into one `.npz` that needs no pickle (see `skelrep.poses.npz`); `skelrep.read` reads it.

        Raises:
            ValueError: if there is no clip, or a column contains Python objects, which only a pickle could store.
        """
        npz.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Poses:
        """Reads what `save` wrote.

        Raises:
            ValueError: if the file is not of this format, of a newer version, or inconsistent.
        """
        return cls(**npz.load(path))
