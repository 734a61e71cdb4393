"""The engine on a cluster: one Ray actor per GPU or core, each with the encoder loaded once.

Only the encoder (once) and the names of inputs are sent. Poses are read and parts are written where the actor runs, so
inputs and output must have the same paths on every machine. Actors are used instead of Ray Data, because each row would
be a shard, and the part files already record what is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from skelrep.corpus.shards import Done, Job, ShardEmbedder, Task
from skelrep.messages import optional

_RETRIES = 3  # of a shard whose actor dies; if it dies more often, the shard is the cause


def make_shards(job: Job, tasks: Sequence[Task], workers: int | None, address: str | None) -> Iterator[Done]:
    """Makes shards, and yields each of them when it is finished.

    Args:
        job: What the shards have in common.
        tasks: The shards.
        workers: Number of actors; None: one per GPU of the cluster, or per core if it has none.
        address: The address of the cluster; by default that in `RAY_ADDRESS`, else one is started on this machine.

    Raises:
        ValueError: as `ShardEmbedder.make`.
        OSError: as above; and if there is no cluster at the address, or the actors of a shard died several times.
        ModuleNotFoundError: without Ray (the extra `ray`).
    """
    if not tasks:
        return
    ray = optional("ray", "ray")
    begun = not ray.is_initialized()
    if begun:
        # With a mistyped address, no new cluster must be started.
        local = {} if address else {"include_dashboard": False}
        try:
            ray.init(address=address, logging_level="error", log_to_driver=False, **local)
        except Exception as error:  # if it takes too long, Ray raises an Exception of no other kind
            raise ConnectionError(f"Ray cannot be reached or started ({' '.join(str(error).split())[:300]})") from error
    actors = []
    try:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if job.device != "cpu" else 0
        count = min(workers or gpus or int(resources.get("CPU", 1)), len(tasks))
        remote = ray.remote(ShardEmbedder).options(
            num_cpus=1, num_gpus=min(1, gpus / count), max_restarts=-1, max_task_retries=_RETRIES
        )
        shared = ray.put(job)
        actors = [remote.remote(shared) for _ in range(count)]
        waiting = iter(tasks)
        running = {actor.make.remote(task): actor for actor, task in zip(actors, waiting)}
        while running:
            [ready], _ = ray.wait(list(running))
            actor = running.pop(ready)
            done = _result(ray, ready)
            if (task := next(waiting, None)) is not None:
                running[actor.make.remote(task)] = actor
            yield done
    finally:
        for actor in actors:
            ray.kill(actor)
        if begun:
            ray.shutdown()


def _result(ray: Any, ready: Any) -> Done:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (ValueError, OSError, ModuleNotFoundError)):  # as raised by the actor
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise OSError(
            f"the actors of a shard died {_RETRIES + 1} times, perhaps because memory was short (use fewer workers in "
            "this case); finished shards are kept, and the same call resumes"
        ) from error
