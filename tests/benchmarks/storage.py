"""What float16 and int8 cost as storage of real embeddings: nearest neighbours and 1-NN accuracy.

    python -m tests.benchmarks.storage [--model i2md-small] [--only utd_mhad ...]

- cosine: the smallest cosine of an embedding and its stored form.
- recall: fraction of the ten nearest neighbours, of each clip among all others of the set, that are kept.
- 1-NN: accuracy of the protocol in per cent, for float32 and for both stored forms.

Needs the motion data (see tests/motion_data.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from skelrep import load_pretrained, retrieve
from tests.benchmarks.accuracy import nearest, over_folds
from tests.motion_data import protocols

NEIGHBOURS = 10


def as_float16(rows: np.ndarray) -> np.ndarray:
    """Rows after they were stored as float16."""
    return rows.astype(np.float16).astype(np.float32)


def as_int8(rows: np.ndarray) -> np.ndarray:
    """Rows after they were stored as int8 with a scale for each row."""
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.round(rows / scale).astype(np.int8).astype(np.float32) * scale


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"float16": as_float16, "int8": as_int8}


def least_cosine(rows: np.ndarray, stored: np.ndarray) -> float:
    one, other = (each / np.linalg.norm(each.astype(np.float64), axis=1, keepdims=True) for each in (rows, stored))
    return float((one * other).sum(axis=1).min())


def recall(rows: np.ndarray, stored: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Fraction of each row's k nearest neighbours that the stored rows have as theirs."""
    k = min(k, len(rows) - 1)
    before, after = (retrieve(each, each, k=k, leave_one_out=True).indices for each in (rows, stored))
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(before, after)]))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.storage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="i2md-small")
    parser.add_argument("--only", nargs="+", metavar="PROTOCOL", help="some of the protocols")
    arguments = parser.parse_args(words)
    encoder = load_pretrained(arguments.model)
    print("| set | clips | 1 - cosine, float16 | int8 | recall, float16 | int8 | 1-NN, float32 | float16 | int8 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (poses, folds) in protocols().items():
        if arguments.only and name not in arguments.only:
            continue
        rows, labels = encoder.embed(poses), poses.labels
        assert labels is not None
        forms = [form(rows) for form in FORMS.values()]
        cells = [f"{1 - least_cosine(rows, stored):.0e}" for stored in forms]
        cells += [f"{100 * recall(rows, stored):.2f} %" for stored in forms]
        cells += [f"{over_folds(each, labels, folds, nearest)[0]:.2f}" for each in (rows, *forms)]
        print(f"| {name} | {len(poses)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
