"""Speed and memory of kNN, retrieval and the linear probe."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from skelrep import knn_eval, linear_eval, retrieve
from skelrep.evaluate.inputs import BLOCK_BYTES
from skelrep.evaluate.linear import CANDIDATES_OF_C
from skelrep.evaluate.logistic import regularisation_path
from tests.benchmarks.measuring import (
    Row,
    extra_megabytes,
    of_limit,
    peaks,
    ratio,
    rounds,
    with_peaks,
)
from tests.benchmarks.workloads import CLASSES, Sizes, rows_of_classes

NEIGHBOURS = 20


BANK_DIM = 256


CHOSEN_CLASSES = 27


def scikit_learn_knn(sets: tuple[np.ndarray, ...]) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    rows, labels, queries = sets
    model = KNeighborsClassifier(NEIGHBOURS, metric="cosine", algorithm="brute")
    return np.asarray(model.fit(rows, labels).predict(queries))


def skelrep_knn(sets: tuple[np.ndarray, ...]) -> np.ndarray:
    rows, labels, queries = sets
    unused = np.zeros(len(queries), dtype=np.int64)  # only predictions are compared
    return knn_eval(rows, labels, queries, unused, k=NEIGHBOURS).predictions[NEIGHBOURS]


def knn_work(method: Callable[[tuple[np.ndarray, ...]], np.ndarray], sizes: Sizes) -> Callable[[], Any]:
    import sklearn.neighbors  # noqa: F401  # so that importing it is not measured

    gallery = rows_of_classes(sizes.gallery, sizes.dim, seed=1)
    queries, _ = rows_of_classes(sizes.queries, sizes.dim, seed=2)
    return functools.partial(method, (*gallery, queries))


def neighbours(sizes: Sizes) -> list[Row]:
    """kNN against scikit-learn's brute force."""
    limit = peaks(sizes.product[0])
    ours, theirs = (knn_work(method, sizes) for method in (skelrep_knn, scikit_learn_knn))
    same = float((ours() == theirs()).mean())
    seconds = rounds(sizes.few, with_peaks(limit, {"skelrep": ours, "scikit-learn": theirs}), warm=False)
    needed = 2.0 * sizes.gallery * sizes.queries * sizes.dim
    label = f"kNN {sizes.gallery} x {sizes.queries} x {sizes.dim}"
    fraction = of_limit(seconds, "skelrep", needed, limit)
    table = [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep"), at_least=2.5, of_limit=fraction),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s", of_limit=fraction),
        Row(
            f"{label}: scikit-learn's time",
            float(np.median(seconds["scikit-learn"])),
            "s",
            of_limit=of_limit(seconds, "scikit-learn", needed, limit),
        ),
        # scikit-learn's float32 cannot distinguish some neighbours.
        Row("the same predictions", 100 * same, "%", at_least=99.99),
    ]
    del ours, theirs
    ours, theirs = (extra_megabytes(knn_work, method, sizes) for method in (skelrep_knn, scikit_learn_knn))
    if ours is not None and theirs is not None:
        table += [
            Row("extra memory of scikit-learn", theirs, "MB"),
            Row("extra memory", ours, "MB", at_most=theirs / 2),
        ]
    return table


def bank_of(path: Path, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """A memory map of random rows, written if it is not there, and queries that each lie near one of them."""
    if not path.exists():
        rng = np.random.default_rng(0)
        bank = np.lib.format.open_memmap(path, "w+", np.float32, (sizes.bank, BANK_DIM))
        for begin in range(0, sizes.bank, 2**16):
            bank[begin : begin + 2**16] = rng.standard_normal(bank[begin : begin + 2**16].shape, dtype=np.float32)
    bank = np.load(path, mmap_mode="r")
    noise = np.random.default_rng(1).standard_normal((sizes.searches, BANK_DIM), dtype=np.float32)
    return bank, bank[planted(sizes)] + 0.5 * noise


def planted(sizes: Sizes) -> np.ndarray:
    return np.arange(sizes.searches) * (sizes.bank // sizes.searches)


def retrieval_work(path: Path, sizes: Sizes) -> Callable[[], Any]:
    bank, queries = bank_of(path, sizes)
    return functools.partial(retrieve, queries, bank)


def retrieval(sizes: Sizes) -> list[Row]:
    """In blocks of a memory map."""
    limit = peaks(sizes.product[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.npy"
        work = retrieval_work(path, sizes)
        found = work().indices[:, 0]
        seconds = rounds(sizes.few, with_peaks(limit, {"retrieve": work}), warm=False)
        extra = extra_megabytes(retrieval_work, path, sizes)
    needed = 2.0 * sizes.bank * sizes.searches * BANK_DIM
    table = [
        Row(
            f"retrieve {sizes.searches} of {sizes.bank} x {BANK_DIM}",
            float(np.median(seconds["retrieve"])),
            "s",
            of_limit=of_limit(seconds, "retrieve", needed, limit),
        ),
        Row("the planted row is the first", 100 * float((found == planted(sizes)).mean()), "%", at_least=100),
    ]
    if extra is not None:  # the bound of the blocks, and the buffers of the libraries that skelrep.evaluate documents
        table.append(Row("extra memory", extra, "MB", at_most=(BLOCK_BYTES + 180 * 2**20) / 1e6))
    return table


def penalised_loss(rows: np.ndarray, labels: np.ndarray, C: float, weights: np.ndarray, intercept: np.ndarray) -> float:
    """What scikit-learn's logistic regression minimises, for more than two classes, in float64."""
    scores = torch.from_numpy(rows @ weights.T + intercept).double()
    loss = functional.cross_entropy(scores, torch.from_numpy(labels)).item()
    return loss + float(np.square(weights, dtype=np.float64).sum()) / (2 * C * len(rows))


def probe(sizes: Sizes) -> list[Row]:
    """The linear probe against scikit-learn's logistic regression on the same standardised rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, labels = rows_of_classes(sizes.probe, sizes.dim, seed=1, strength=0.1)
    test, test_labels = rows_of_classes(sizes.probe // 4, sizes.dim, seed=2, strength=0.1)
    C = 1e-3
    scaler, classifier = StandardScaler(), LogisticRegression(C=C, max_iter=1000)
    model = make_pipeline(scaler, classifier)

    def ours() -> np.ndarray:
        return linear_eval(train, labels, test, test_labels, C=C).predictions

    def theirs() -> np.ndarray:
        return np.asarray(model.fit(train, labels).predict(test))

    one, other = ours(), theirs()
    seconds = rounds(sizes.few, {"skelrep": ours, "scikit-learn": theirs}, warm=False)
    difference = float((one == test_labels).mean() - (other == test_labels).mean())
    rows = np.asarray(scaler.transform(train))
    [(weights, intercept, _)] = regularisation_path(torch.from_numpy(rows.copy()), torch.from_numpy(labels), [C], 1000)
    losses = [
        penalised_loss(rows, labels, C, *fit)
        for fit in ((weights.numpy(), intercept.numpy()), (classifier.coef_, np.asarray(classifier.intercept_)))
    ]
    label = f"linear probe {sizes.probe} x {sizes.dim} x {CLASSES}"
    return [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep"), at_least=1.5),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s"),
        Row("the same predictions", 100 * float((one == other).mean()), "%"),
        Row("difference in accuracy", 100 * abs(difference), "points", at_most=0.1),
        Row("relative difference in the objective", losses[0] / losses[1] - 1, "", at_most=1e-3),
        *probe_with_chosen_c(max(sizes.probe // 10, 120), 3 * sizes.dim // 4, sizes.few),
    ]


def probe_with_chosen_c(count: int, dim: int, times: int) -> list[Row]:
    """The default call of the probe against a grid search of scikit-learn over the same folds and values of C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def some_classes(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rows, labels = rows_of_classes(size * CLASSES // CHOSEN_CLASSES, dim, seed, strength=0.1)
        return rows[labels < CHOSEN_CLASSES], labels[labels < CHOSEN_CLASSES]

    train, labels = some_classes(count, seed=1)
    test, test_labels = some_classes(count, seed=2)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(min(5, int(np.bincount(labels).min())), shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, {"logisticregression__C": CANDIDATES_OF_C}, cv=folds)
    accuracy: dict[str, float] = {}

    def ours() -> None:
        accuracy["skelrep"] = linear_eval(train, labels, test, test_labels).accuracy

    def theirs() -> None:
        search.fit(train, labels)
        accuracy["scikit-learn"] = float((np.asarray(search.predict(test)) == test_labels).mean())

    seconds = rounds(times, {"skelrep": ours, "scikit-learn": theirs}, warm=False)
    difference = accuracy["skelrep"] - accuracy["scikit-learn"]
    label = f"linear probe {len(train)} x {dim} x {CHOSEN_CLASSES}, C chosen"
    return [
        Row(f"{label}: x scikit-learn", ratio(seconds, "scikit-learn", "skelrep")),
        Row(f"{label}: time", float(np.median(seconds["skelrep"])), "s"),
        Row("with C chosen, difference in accuracy", 100 * abs(difference), "points"),
    ]
