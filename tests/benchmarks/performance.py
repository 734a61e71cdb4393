"""All measurements of speed and memory by name, as `python -m tests.benchmarks` takes them.

`measuring` says how time and memory are measured, `baselines` holds the plain forms that skelrep is compared with,
`workloads` the sizes and the inputs. Each `performance_...` holds the measurements of one part: functions of `Sizes`
that return rows of the table.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks import (
    performance_embedding,
    performance_evaluation,
    performance_gpu,
    performance_neighbour,
    performance_startup,
    performance_training,
)
from tests.benchmarks.measuring import Row
from tests.benchmarks.workloads import Sizes

MEASUREMENTS: dict[str, Callable[[Sizes], list[Row]]] = {
    "limits": performance_embedding.limits,
    "embedding": performance_embedding.embedding,
    "bundled": performance_embedding.bundled,
    "memory": performance_embedding.memory,
    "neighbour": performance_neighbour.neighbour,
    "knn": performance_evaluation.neighbours,
    "retrieval": performance_evaluation.retrieval,
    "probe": performance_evaluation.probe,
    "losses": performance_training.losses,
    "step": performance_training.step,
    "bundled-step": performance_training.bundled_step,
    "startup": performance_startup.startup,
    "gpu": performance_gpu.gpu,
}
