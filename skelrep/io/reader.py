"""The interface of readers of file formats, and their options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skelrep.poses import Poses
from skelrep.skeletons import Skeleton

if TYPE_CHECKING:
    from skelrep.io.video.estimator import PoseEstimator

#: The position channels of a BVH root are added to its OFFSET, or replace it.
RootOffset = Literal["added", "replaced"]


@dataclass(frozen=True)
class ReadOptions:
    """Options of `skelrep.read` that describe the poses; a reader uses those that its format does not determine.

    Attributes:
        layout: The order of the axes of a bare array, such as "NCTVM".
        skeleton: The joints, as `skelrep.skeletons.resolve` takes them; None if the file names them.
        splits: Keep the clips that are members of all of these splits. A reader may leave out other clips, to save
            work; `skelrep.read` does so in any case.
        fps: Frames per second. `skelrep.read` sets it on what a reader returns; a reader needs it only to turn frame
            numbers or times into frames.
        scale: Factor of all coordinates, or one per axis. `skelrep.read` applies it; a reader only needs to know
            whether coordinates will be scaled, before it warns about their unit.
        skip: A reader of many files calls it with a file that cannot be read and the error, and continues; None: the
            error is raised.
        body_model: The body model, a file or a folder of such files, for formats with rotations of SMPL's joints.
        channels: The meaning of the numbers of a joint in formats without names (see `skelrep.channels`).
        root_offset: Whether the position channels of a BVH root are added to its OFFSET or replace it; None to decide
            by the height of the feet.
        pose_model: The model that detects persons in videos: a MediaPipe bundle, or a pose estimator.
        clips: First and last clip (exclusive) to read, only for readers with `count`.
        frames: First and last frame (exclusive) of a single clip to read, only for skelrep's own `.npz`.
        ids: The ids that `read_many` gives to the clips of each file, if already known; None: the reader decides.
    """

    layout: str | None = None
    skeleton: Skeleton | str | Sequence[str] | None = None
    splits: tuple[str, ...] = ()
    fps: float | None = None
    scale: float | Sequence[float] | None = None
    skip: Callable[[Path, Exception], None] | None = None
    body_model: str | PathLike[str] | None = None
    channels: str | None = None
    root_offset: RootOffset | None = None
    pose_model: str | PathLike[str] | PoseEstimator | None = None
    clips: tuple[int, int] | None = None
    frames: tuple[int, int] | None = None
    ids: Mapping[Path, str] | None = None

    @property
    def split(self) -> str | None:
        """The first of the splits."""
        return self.splits[0] if self.splits else None


@dataclass(frozen=True)
class Reader:
    """One file format.

    Attributes:
        name: The name for `skelrep.read(format=...)`.
        suffixes: Suffixes of its files in lower case, each with its dot.
        read: Reads one file: returns `Poses`, or yields them in parts if a file may not fit into memory. The id of a
            single clip is the file's stem. Raises ValueError for a file that is not of this format or is damaged.
        sniff: Decides by the content (or the name) whether a file with one of the suffixes has this format. None: every
            file with one of the suffixes has it, unless another reader recognises the file. A file of a folder that no
            reader recognises is left out.
        collect: For formats in which several files belong together: from all files below one folder, those of this
            format. They are read by one call of `read_many`.
        read_many: Reads the files that `collect` chose: (the folder, its files, options).
        last_resort: Whether its files in a folder are read only if no other reader recognises any file there. The poses
            in a folder usually come from the videos in it.
        divide: Divides these files into the smallest lists that `read_many` can read separately, in order; each list
            begins with the file of the clips. None: all files belong together.
        count: Number of clips in a file, if some of them can be read (`ReadOptions.clips`) without reading the others,
            else None.

    Examples:
        >>> from skelrep.io import Reader
        >>> def read_steps(path, options):
        ...     return Poses.from_array(np.loadtxt(path).reshape(-1, 17, 3), skeleton=options.skeleton or "h36m-17")
        >>> READER = Reader("steps", (".steps",), read_steps)
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Poses | Iterator[Poses]]
    sniff: Callable[[Path], bool] | None = None
    collect: Callable[[Sequence[Path]], list[Path]] | None = None
    read_many: Callable[[Path, Sequence[Path], ReadOptions], Iterator[Poses]] | None = None
    last_resort: bool = False
    divide: Callable[[Sequence[Path]], Iterable[Sequence[Path]]] | None = None
    count: Callable[[Path, ReadOptions], int | None] | None = None
