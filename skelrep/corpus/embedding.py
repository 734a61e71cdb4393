"""`embed`: embeds a corpus into a folder of shards."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skelrep.corpus import local
from skelrep.corpus.folder import Folder, LocalFolder, folder_at
from skelrep.corpus.manifest import NAME, Manifest, part_name
from skelrep.corpus.options import described
from skelrep.corpus.parts import finished, write_errors
from skelrep.corpus.plan import SHARD_FILES, planned
from skelrep.corpus.shards import Done, Job, Task
from skelrep.embedding import maker
from skelrep.encoder import Encoder
from skelrep.encoder.inference import check_precision, chosen_streams
from skelrep.hub import load_pretrained
from skelrep.io.labelling import Column
from skelrep.io.reading import Declared
from skelrep.io.report import Skipped
from skelrep.io.sources import Sources, sources
from skelrep.messages import optional


@dataclass(frozen=True)
class Summary:
    """The result of a run.

    Attributes:
        folder: Path or URL of the output.
        model: Name of the encoder.
        commit: The commit of the encoder on the Hub, or None.
        dim: D of the embeddings.
        inputs: Number of files of the corpus.
        shards: Number of shards of the corpus.
        finished: Number of shards that are finished.
        made: Number of shards that this run has made.
        rows: Rows of all finished shards.
        rows_made: Rows that this run has made.
        skipped: The inputs and clips that all finished shards leave out.
        seconds: Time of the run, without loading the encoder.
    """

    folder: str
    model: str
    commit: str | None
    dim: int
    inputs: int
    shards: int
    finished: int
    made: int
    rows: int
    rows_made: int
    skipped: list[Skipped]
    seconds: float


@dataclass(frozen=True)
class Progress:
    """The progress of a run, after each of its shards.

    Attributes:
        done: The shard that was just made.
        made: Number of shards that this run has made.
        to_make: Number of shards that it makes in total.
        rows: Rows that it has made.
        skipped: Number of inputs and clips that it has left out.
        fraction: Fraction of its inputs that it has read.
        seconds: Time since it began.
    """

    done: Done
    made: int
    to_make: int
    rows: int
    skipped: int
    fraction: float
    seconds: float


def embed(
    inputs: str | os.PathLike | Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    model: Encoder | str | os.PathLike = "i2md-small",
    *,
    streams: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str = "float32",
    normalize: bool = False,
    window: float | None = None,
    stride: float | None = None,
    labels: str | None = None,
    subjects: str | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    refresh: bool = False,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = 1,
    address: str | None = None,
    shard: tuple[int, int] | None = None,
    shard_size: int = SHARD_FILES,
    on_shard: Callable[[Progress], object] | None = None,
    **declared: Any,
) -> Summary:
    """Embeds a corpus of any size into a folder of shards; the same call resumes after any stop.

    Memory contains at most one shard per worker, whatever the size of the corpus. A shard is finished if its part file
    exists and is complete, so a run may be killed at any moment, and several runs may work on one folder, one after the
    other or at the same time. Inputs that are new since the last run become new shards.

    Args:
        inputs: What `skelrep.read` takes as `path`.
        folder: The output: a folder, new or of the same corpus, on a disk or at a URL that fsspec supports, such as
            `s3://bucket/name`. It must not lie within the inputs.
        model: An `Encoder`, or what `load_pretrained` takes.
        streams: As in `skelrep.embed`.
        batch_size: As in `skelrep.embed`.
        device: Name of the device; by default the best one of each machine.
        precision: As in `skelrep.embed`.
        normalize: As in `skelrep.embed`.
        window: As in `skelrep.embed`; the columns `start` and `end` contain the times.
        stride: As in `skelrep.embed`.
        labels: As in `skelrep.read`, except a dict. Names of folders remain text.
        subjects: Likewise.
        on_error: "stop" at the first input that cannot be read or embedded, or "skip" it; what is skipped is listed in
            `errors.parquet`.
        refresh: Whether to make shards again if their inputs have changed, and all shards if the encoder or the options
            have changed; without it, a change is an error.
        engine: "local", or "ray" (the extra `ray`).
        workers: Number of processes on this machine, or of Ray actors; None: one per core, or one per GPU of a Ray
            cluster that has any. A script that starts processes must guard its start by `if __name__ == "__main__":`.
        address: The address of a Ray cluster; by default that in `RAY_ADDRESS`, else one is started on this machine.
        shard: (I, N): make only the shards whose number is I modulo N, for tasks of a job array.
        shard_size: Number of clips of new shards; a file whose clips cannot be counted without reading it, or that is
            smaller than 1 MB, counts as one.
        on_shard: Called after each shard.
        **declared: The options that describe the poses: `format`, `layout`, `skeleton`, `split`, `fps`, `scale`,
            `min_score`, `zeros`, `body_model`, `channels`, `root_offset` and `pose_model`, as in `skelrep.read`.

    Returns:
        A summary.

    Raises:
        ValueError: if the folder contains embeddings of another encoder, with other options or of inputs that have
            changed (the message says what differs), or other files; and as `skelrep.read` and `skelrep.embed`. Finished
            shards are kept.
        OSError: if an input cannot be read or the output cannot be written, or a worker process was killed.
        ModuleNotFoundError: without pyarrow (the extra `parquet`), or what the engine or the URL needs.

    Examples:
        >>> from skelrep import corpus
        >>> corpus.embed("recordings", "embeddings", workers=8).rows
        56578
    """
    optional("pyarrow", "parquet")
    if engine not in ("local", "ray"):
        raise ValueError(f"engine must be 'local' or 'ray', got {engine!r}")
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error must be 'stop' or 'skip', got {on_error!r}")
    if stride is not None and window is None:
        raise ValueError("stride needs window: the seconds that one row covers")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise ValueError(f"shard must be (I, N) with 0 <= I < N, got {shard}")
    target = folder_at(folder)
    encoder = model if isinstance(model, Encoder) else load_pretrained(model, device="cpu")
    names = None if streams is None else chosen_streams(encoder, streams)
    check_precision(precision)
    started = time.monotonic()
    made_by = maker(encoder, names)
    found = _inputs(inputs, target)
    about = Declared(**declared)
    columns = {what: Column(each, what, found) for each, what in ((labels, "label"), (subjects, "subject")) if each}
    options = described(
        about,
        columns,
        labels=labels,
        subjects=subjects,
        streams=names,
        precision=precision,
        normalize=normalize or None,
        window=window,
        stride=stride,
    )
    identity = {
        "name": encoder.source.name,
        "commit": encoder.source.commit,
        "fingerprint": encoder.fingerprint(),
        "dim": _dim(encoder, names),
        "made_by": made_by,
    }
    old = Manifest.read(target) if NAME in _names(target) else None
    manifest = planned(
        found, old, identity, options, about.options(None), most=shard_size, refresh=refresh, where=str(target)
    )
    if manifest != old:
        manifest.write(target)
    before = finished(target, manifest)
    for number, each in enumerate(manifest.shards):
        if not each.inputs:
            target.remove(part_name(number))
    tasks = [
        Task(number, manifest.digest(number), each)
        for number, each in enumerate(manifest.shards)
        if each.inputs and number not in before and (shard is None or number % shard[1] == shard[0])
    ]
    job = Job(
        encoder=copy.deepcopy(encoder).cpu(),  # the caller's encoder stays on its device
        device=device,
        folder=str(target),
        found=found._replace(root=Path(manifest.root), files=[], named=manifest.named),
        declared=about,
        columns=columns,
        window=None if window is None else (window, stride),
        options={"streams": names, "batch_size": batch_size, "precision": precision, "normalize": normalize},
        made_by=made_by,
        skip=on_error == "skip",
    )
    made = rows = skipped = read = 0
    total = sum(len(task.shard.inputs) for task in tasks)
    for done in _engine(engine, job, tasks, workers, address):
        made, rows, skipped = made + 1, rows + done.rows, skipped + len(done.skipped)
        read += done.inputs
        if on_shard is not None:
            on_shard(Progress(done, made, len(tasks), rows, skipped, read / total, time.monotonic() - started))
    parts = finished(target, manifest)
    return Summary(
        folder=str(target),
        model=encoder.source.name,
        commit=encoder.source.commit,
        dim=identity["dim"],
        inputs=len({item.path for each in manifest.shards for item in each.inputs}),
        shards=sum(bool(each.inputs) for each in manifest.shards),
        finished=len(parts),
        made=made,
        rows=sum(part.rows for part in parts.values()),
        rows_made=rows,
        skipped=write_errors(target, parts),
        seconds=time.monotonic() - started,
    )


def _engine(engine: str, job: Job, tasks: Sequence[Task], workers: int | None, address: str | None) -> Iterator[Done]:
    if engine == "ray":
        from skelrep.corpus import ray

        return ray.make_shards(job, tasks, workers, address)
    return local.make_shards(job, tasks, local.default_workers(job.device) if workers is None else workers)


def _inputs(inputs: str | os.PathLike | Sequence[str | os.PathLike], target: Folder) -> Sources:
    """The inputs by absolute paths, none of which is below the output."""
    found = sources(inputs)
    found = found._replace(root=found.root.absolute(), files=[file.absolute() for file in found.files])
    if isinstance(target, LocalFolder):
        output = target.path.absolute()
        if any(file.is_relative_to(output) for file in found.files) or output == found.root:
            raise ValueError(
                f"the output {target} contains inputs, or files that would be read as inputs: give another"
            )
    return found


def _names(target: Folder) -> set[str]:
    """The files in the output; raises a ValueError if they do not belong to a corpus."""
    names = {name for name in target.names() if not name.startswith(".")}
    if names and NAME not in names:
        shown = ", ".join(sorted(names)[:3])
        raise ValueError(f"{target} contains other files ({shown}) and no {NAME}; give a new or an empty folder")
    return names


def _dim(encoder: Encoder, names: Sequence[str] | None) -> int:
    """Length of a row of these streams."""
    sizes = [encoder.network(name).dim for name in names or encoder.config.modalities]
    return sum(sizes) if encoder.config.fusion == "concatenate" else sizes[0]
