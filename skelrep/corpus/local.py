"""The engine on this machine: shards in this process, or in several."""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

import torch

from skelrep.corpus.shards import Done, Job, ShardEmbedder, Task
from skelrep.encoder.device import as_device

_maker: Any = None  # in a worker process


def default_workers(device: str | None) -> int:
    """One process per core that this one may use; on a GPU at most 8, because each needs its own context there."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if as_device(device).type == "cpu" else min(8, cores)


def make_shards(job: Job, tasks: Sequence[Task], workers: int) -> Iterator[Done]:
    """Makes the shards of `corpus.embed`, as `in_processes`."""
    return in_processes(ShardEmbedder, job, tasks, workers)


def in_processes(maker: Callable[[Any], Any], job: Any, tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    """Makes shards, and yields the report of each when it is finished.

    Args:
        maker: Called with the job in each process; its `make` makes a shard.
        job: What the shards have in common.
        tasks: The shards.
        workers: Number of processes; with one, the work is done in this process.

    Raises:
        ValueError: as `make`; shards that other processes have begun are finished first.
        OSError: as above, and if a process was killed.
    """
    if workers == 1 or len(tasks) < 2:
        yield from map(maker(job).make, tasks)
        return
    workers = min(workers, len(tasks))
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, _context(maker), _start, (maker, job, threads))
    waiting = iter(tasks)
    running = {pool.submit(_make, task) for task in itertools.islice(waiting, 2 * workers)}
    try:
        while running:
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            running |= {pool.submit(_make, task) for task in itertools.islice(waiting, len(done))}
            for future in done:
                yield future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise OSError(
            "a worker process was killed, perhaps because memory was short (use fewer workers in this case); finished "
            "shards are kept, and the same call resumes"
        ) from error
    except (ValueError, OSError, ModuleNotFoundError):
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:  # Ctrl-C: do not wait for unfinished shards
        _kill(pool)
        raise


def _context(maker: Callable[[Any], Any]) -> Any:
    """How worker processes begin.

    A fork of this process would copy locks that other threads hold, and a CUDA context that cannot be used. On Linux,
    workers are forks of a new process that has imported everything once (torch takes two seconds) and computed nothing.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([maker.__module__])
    return context


def _start(maker: Callable[[Any], Any], job: Any, threads: int) -> None:
    """Prepares a worker process."""
    global _maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _maker = maker(job)


def _end_with_parent() -> None:
    """Ends this process when its parent has ended, even by SIGKILL; otherwise it would wait for tasks forever."""
    parent: Any = multiprocessing.parent_process()
    wait([parent.sentinel])
    os._exit(1)


def _make(task: Any) -> Any:
    return _maker.make(task)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):  # `kill_workers` comes with Python 3.14
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
