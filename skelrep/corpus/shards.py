"""Makes one shard from its inputs; every engine runs this code, in this process or in another."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from skelrep.corpus.clips import embedded, merged
from skelrep.corpus.folder import folder_at
from skelrep.corpus.manifest import Shard
from skelrep.corpus.parts import read_end, write_part
from skelrep.corpus.plan import as_pieces
from skelrep.encoder import Encoder
from skelrep.encoder.device import as_device
from skelrep.io.labelling import Column
from skelrep.io.reading import Declared, read_pieces
from skelrep.io.report import ReadReport, Skipped
from skelrep.io.sources import Sources
from skelrep.poses import Poses


class Task(NamedTuple):
    """A shard to make."""

    number: int
    digest: str
    shard: Shard


class Done(NamedTuple):
    """A finished shard.

    Attributes:
        number: The number of the shard.
        inputs: Number of its inputs.
        rows: Number of rows of its part.
        skipped: What was left out.
        seconds: Time that it took.
        warnings: The warnings about its inputs, each once.
    """

    number: int
    inputs: int
    rows: int
    skipped: list[Skipped]
    seconds: float
    warnings: list[str]


@dataclass(frozen=True)
class Job:
    """The common settings of all shards of a run, which are sent to every process.

    Attributes:
        encoder: The encoder, on the CPU.
        device: The device for embedding; None for the best one of each machine.
        folder: Path or URL of the output.
        found: The inputs, without the list of files.
        declared: The options that describe the poses.
        columns: Labels and subjects that are not in the files, by their kind: "label", "subject".
        window: Seconds and stride of windows, or None.
        options: Options of `Encoder.embed`.
        made_by: The name of the encoder that is stored with the embeddings.
        skip: Whether clips and files that cannot be embedded are left out.
    """

    encoder: Encoder
    device: str | None
    folder: str
    found: Sources
    declared: Declared
    columns: dict[str, Column]
    window: tuple[float, float | None] | None
    options: dict[str, Any]
    made_by: str
    skip: bool


class ShardEmbedder:
    """Makes shards, one after the other."""

    def __init__(self, job: Job) -> None:
        """Puts the encoder on its device and opens the folder."""
        self.job = job
        self.folder = folder_at(job.folder)
        self.device = as_device(job.device)
        self.encoder = job.encoder.to(self.device)

    def make(self, task: Task) -> Done:
        """Makes a shard, unless another process has already made it.

        Raises:
            ValueError: if an input cannot be read or embedded and is not skipped; nothing is written then.
            OSError: as above, and if the part cannot be written.
        """
        started = time.monotonic()
        inputs = len(task.shard.inputs)
        if (end := read_end(self.folder, task.number, task.digest)) is not None:
            return Done(task.number, inputs, end.rows, end.skipped, time.monotonic() - started, [])
        job, report = self.job, ReadReport()
        skip = report.skip if job.skip else None
        some, ids = as_pieces(task.shard, job.found.root)
        found = job.found._replace(files=list(ids), ids=ids)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches = []
            for poses in merged(read_pieces(found, some, job.declared, list(job.columns.values()), skip)):
                poses = _with_text(poses, job.columns)
                if job.window is not None:
                    poses = poses.windows(*job.window)
                batches += embedded(poses, self.encoder, job.made_by, skip, show_progress=False, **job.options)
        rows = write_part(
            self.folder,
            task.number,
            task.digest,
            batches,
            report.skipped,
            dim=job.encoder.dim,
            model=job.made_by,
        )
        said = list(dict.fromkeys(str(each.message) for each in caught))
        return Done(task.number, inputs, rows, report.skipped, time.monotonic() - started, said)


def _with_text(poses: Poses, columns: dict[str, Column]) -> Poses:
    """Keeps names of folders as text in every shard, even if those in one shard all look like numbers."""
    if "label" in columns and columns["label"].level is not None and poses.labels is not None:
        poses = replace(poses, labels=poses.labels.astype(str))
    if "subject" in columns and columns["subject"].level is not None:
        poses = poses.with_info(subject=poses.info["subject"].astype(str))
    return poses
