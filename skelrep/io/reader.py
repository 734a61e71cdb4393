"""What a reader of a file format is, and what one may be asked for."""

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

#: A BVH root's position channels are added to its OFFSET, or it is replaced by them.
RootOffset = Literal["added", "replaced"]


@dataclass(frozen=True)
class ReadOptions:
    """What the caller of `skelrep.read` says about the poses; a reader uses what its format leaves open.

    Attributes:
        layout: The axes of a bare array in its own order, such as "NCTVM".
        skeleton: What the joints are, as `skelrep.skeletons.resolve` takes it; None if the file says it.
        split: A split that a reader may select while it reads, to save work; `skelrep.read` selects it in any case.
        fps: Frames per second. `skelrep.read` sets it on what a reader returns; a reader needs it only to turn frame
            numbers or times into frames.
        scale: Factor of all coordinates, or one per axis. `skelrep.read` applies it; a reader only needs to know
            whether coordinates will be scaled, before it warns about their unit.
        skip: A reader of many files calls it for one that cannot be read, with the error, and goes on; None: it raises.
        body_model: The body model, a file or a folder of them, of formats that hold rotations of SMPL's joints.
        channels: The meaning of the numbers of a joint in formats without names (see `skelrep.channels`).
        root_offset: What the position channels of a BVH root do to its OFFSET; None to judge by the height of the feet.
        pose_model: What detects persons in videos: a MediaPipe bundle, or a pose estimator.
        clips: First and last clip (exclusive) to read, only for readers with `count`.
        ids: What `read_many` calls the clips of a file, where it was decided before; None: the reader decides.
    """

    layout: str | None = None
    skeleton: Skeleton | str | Sequence[str] | None = None
    split: str | None = None
    fps: float | None = None
    scale: float | Sequence[float] | None = None
    skip: Callable[[Path, Exception], None] | None = None
    body_model: str | PathLike[str] | None = None
    channels: str | None = None
    root_offset: RootOffset | None = None
    pose_model: str | PathLike[str] | PoseEstimator | None = None
    clips: tuple[int, int] | None = None
    ids: Mapping[Path, str] | None = None


@dataclass(frozen=True)
class Reader:
    """One file format.

    Attributes:
        name: What `skelrep.read(format=...)` calls it.
        suffixes: Suffixes of its files in lower case, each with its dot.
        read: Reads one file: returns `Poses`, or yields them in parts where a file may not fit into memory. A single
            clip is called by the file's stem. Raises ValueError for a file that is not of this format or is damaged.
        sniff: Says by the content (or the name) whether a file with one of the suffixes is of this format. None: every
            file with one of the suffixes is, unless another reader recognises it. A file of a folder that no reader
            takes is left out.
        collect: For formats in which several files belong together: which of these files, all those below one folder,
            are of this format. They are read by one call of `read_many`.
        read_many: Reads the files that `collect` chose: (the folder, its files, options).
        last_resort: Whether its files in a folder are read only if no other reader takes any file there. Videos beside
            files of poses are mostly what the poses were made from.
        divide: The smallest lists of these files that `read_many` can read alone, in order, the file of the clips first
            in each. None: all of them belong together.
        count: Number of clips in a file, if some of them can be read alone (`ReadOptions.clips`) without reading the
            others, else None.

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
