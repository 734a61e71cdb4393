"""Search in many embeddings: skelrep's exact search, and the recipes of docs/corpora.md for FAISS and LanceDB.

    python -m tests.benchmarks.indexes FOLDER [--rows 1000000] [--only rows exact FAISS LanceDB] [--index FACTORY ...]

The rows are made from embeddings of real motion (see tests/motion_data.py): a row is a random mixture of an embedding
and its nearest neighbours, with a little noise. They lie in clusters as real ones do, on as few directions as those
leave. FOLDER/rows is a corpus of them, which stays: 6 GB for a million, and FOLDER/rows.npy of the same size, which the
recipe with FAISS writes. Each measurement runs in a process of its own, whose processor time and largest memory without
mapped files (Linux only) are printed. The recipes are run as they stand on the page. `--index` compares other indexes
of FAISS, such as IVF1000,SQ8: how many of the ten nearest rows are among their first candidates. With fewer `--rows`
than the corpus has, they contain its first ones, which are as dense.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skelrep import corpus, load_pretrained, retrieve
from skelrep.io.embeddings import Embeddings
from tests.benchmarks.made_up_corpus import MODEL, ROWS_PER_PART, write_corpus

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
RECIPES: dict[str, str] = dict(
    re.findall(r'^```python title="not run without (\w+)"\n([\s\S]*?)^```$', _PAGE, re.MULTILINE)
)
NEIGHBOURS = 8  # that a row is mixed from
NOISE = 0.1  # length of the noise, relative to the distance to the nearest neighbour
QUERIES = 1000
CANDIDATES = (10, 100, 300, 1000)
PROBES = (1, 4, 16, 64)


def real_rows() -> np.ndarray:
    """(N, D) embeddings of the sets of the protocols."""
    from tests.motion_data import protocols

    encoder = load_pretrained("i2md-small")
    sets = {name: poses for name, (poses, _) in protocols().items() if "splits" not in name}  # each set once
    return np.concatenate([encoder.embed(poses, show_progress=False) for poses in sets.values()])


def mixtures(base: np.ndarray, near: np.ndarray, of: np.ndarray, seed: int) -> np.ndarray:
    """A row near each of the embeddings `of` (ascending), as float32; `near`, (N, k), are the neighbours of each."""
    rng = np.random.default_rng(seed)
    rows = np.empty((len(of), base.shape[1]), np.float32)
    for centre, first, many in zip(*np.unique(of, return_index=True, return_counts=True)):
        weights = rng.dirichlet(np.ones(near.shape[1]), many).astype(np.float32)
        noise = rng.standard_normal((many, base.shape[1]), dtype=np.float32)
        gap = np.linalg.norm(base[centre] - base[near[centre, 1]])
        noise *= np.float32(NOISE * gap / np.sqrt(base.shape[1]))
        rows[first : first + many] = weights @ base[near[centre]] + noise
    return rows


def make_corpus(folder: Path, base: np.ndarray, count: int) -> None:
    """Writes a corpus of `count` rows into `folder/rows`; parts that exist are kept."""
    near = retrieve(base, base, k=NEIGHBOURS).indices  # each is its own nearest neighbour

    def part_of(number: int, positions: range) -> Embeddings:
        index = np.asarray(positions)
        of = index * len(base) // count
        return Embeddings(mixtures(base, near, of, number), np.array([f"{i:08}" for i in index]), of, {}, MODEL)

    write_corpus(folder / "rows", count, base.shape[1], part_of)


def rows(folder: Path, count: int) -> dict[str, Any]:
    """Makes the rows."""
    where = folder / "base.npy"
    if not where.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(where, real_rows())
    base = np.load(where)
    make_corpus(folder, base, count)
    return {"rows": len(corpus.open(folder / "rows")), "from embeddings": len(base)}


def chosen(clips: corpus.Corpus, count: int = QUERIES) -> np.ndarray:
    """Rows that are searched for."""
    return clips.rows[np.sort(np.random.default_rng(1).permutation(len(clips))[:count])]


def exact(folder: Path, count: int) -> dict[str, Any]:
    """`retrieve` of a thousand rows among all, read part by part."""
    clips = corpus.open(folder / "rows")
    queries = chosen(clips)
    started = time.process_time()
    bank: Any = clips.rows  # read part by part
    found = retrieve(queries, bank, k=10)
    seconds = time.process_time() - started
    return {
        "queries": len(queries),
        "CPU s": seconds,
        "found itself": float((found.similarities[:, 0] > 0.999999).mean()),
    }


def nearest(folder: Path, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hundred rows of a bank, and the (100, 10) rows that are nearest to each; kept in the folder."""
    queries = bank[np.sort(np.random.default_rng(1).permutation(len(bank))[:100])]
    where = folder / f"nearest-{len(bank)}.npy"
    if not where.exists():
        np.save(where, retrieve(queries, bank, k=10).indices)
    return queries, np.load(where)


def faiss_recipe(folder: Path, count: int) -> dict[str, Any]:
    """The recipe with FAISS, and the time of searches for one row each, with the comparison of their candidates."""
    found = recipe("FAISS", folder)
    queries, search = found["queries"], found["search"]
    figures: dict[str, Any] = {
        "CPU s of the recipe": found["seconds"],
        "bytes per row": _bytes(found["index"], folder) / count,
        "recall@10": {str(probes): round(float(value), 4) for probes, value in found["recall"].items()},
    }
    for probes in found["recall"]:
        started = time.process_time()
        for query in queries:
            search(query[None], probes=probes)
        figures[f"CPU ms per query, {probes} lists"] = 1000 * (time.process_time() - started) / len(queries)
    return figures


def other_index(factory: str, folder: Path, count: int) -> dict[str, Any]:
    """An index of FAISS in the place of the recipe's: time, size, and recall among the first candidates."""
    import faiss

    def scaled(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    where = folder / "rows.npy"
    if not where.exists():
        corpus.open(folder / "rows").rows.save(where)
    bank = np.load(where, mmap_mode="r")[:count]
    queries, wanted = nearest(folder, bank)
    started = time.process_time()
    index = faiss.index_factory(bank.shape[1], factory)
    lists = faiss.extract_index_ivf(index)
    index.train(scaled(bank[np.sort(np.random.default_rng(0).permutation(count)[: 64 * lists.nlist])]))
    trained = time.process_time()
    for start in range(0, count, ROWS_PER_PART):
        index.add(scaled(bank[start : start + ROWS_PER_PART]))
    figures: dict[str, Any] = {
        "CPU s to train": trained - started,
        "CPU s to add rows": time.process_time() - trained,
        "bytes per row": _bytes(index, folder) / count,
    }
    for probes in PROBES:
        lists.nprobe = probes
        started = time.process_time()
        found = np.concatenate([index.search(scaled(query[None]), max(CANDIDATES))[1] for query in queries])
        figures[f"CPU ms per query, {probes} lists"] = 1000 * (time.process_time() - started) / len(queries)
        figures[f"recall@10, {probes} lists"] = {most: _recall(found[:, :most], wanted) for most in CANDIDATES}
    return figures


def lancedb_recipe(folder: Path, count: int) -> dict[str, Any]:
    """The recipe with LanceDB, and time and recall of searches as it does them."""
    found = recipe("LanceDB", folder)
    table, clips = found["table"], corpus.open(folder / "rows")
    bank: Any = clips.rows
    queries, wanted = nearest(folder, bank)
    figures: dict[str, Any] = {"CPU s of the recipe": found["seconds"]}
    files = [path for path in (folder / "bank.lancedb").rglob("*") if path.is_file()]
    figures["bytes on disk per row"] = sum(path.stat().st_size for path in files) / count
    for probes in PROBES:
        for refine in (10, 100):
            got, started = [], time.process_time()
            for query in queries:
                search = table.search(query, vector_column_name="embedding").nprobes(probes).refine_factor(refine)
                got.append([row["id"] for row in search.select(["id", "_distance"]).limit(10).to_list()])
            setting = f"{probes} lists, refine_factor {refine}"
            figures[f"CPU ms per query, {setting}"] = 1000 * (time.process_time() - started) / len(queries)
            figures[f"recall@10, {setting}"] = _recall(np.array(got), clips.ids[wanted])
    return figures


def _bytes(index: Any, folder: Path) -> int:
    """The size of an index of FAISS, written to a file: in memory, that would take a second copy."""
    import faiss

    where = folder / "index.faiss"
    faiss.write_index(index, str(where))
    size = where.stat().st_size
    where.unlink()
    return size


def _recall(found: np.ndarray, wanted: np.ndarray) -> float:
    """The mean fraction of the (Q, k) wanted entries that are among the (Q, n) found ones."""
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(wanted, found)]))


def recipe(library: str, folder: Path) -> dict[str, Any]:
    """Runs the code of the page in the folder: its variables, and its processor time as `seconds`."""
    os.chdir(folder)
    found: dict[str, Any] = {}
    started = time.process_time()
    exec(compile(RECIPES[library], f"docs/corpora.md: {library}", "exec"), found)  # noqa: S102
    return found | {"seconds": time.process_time() - started}


STAGES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "rows": rows,
    "exact": exact,
    "FAISS": faiss_recipe,
    "LanceDB": lancedb_recipe,
}


def own_bytes(process: int) -> int:
    """The memory of a process without mapped files; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def in_a_process(stage: str, folder: Path, count: int) -> dict[str, Any]:
    """The figures of a stage, with the processor time and the memory of its process."""
    command = [sys.executable, "-m", "tests.benchmarks.indexes", str(folder), "--rows", str(count), "--stage", stage]
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    peak = 0
    ended, status, used = os.wait4(process.pid, os.WNOHANG)
    while not ended:  # what a stage prints fits into a pipe
        time.sleep(0.05)
        peak = max(peak, own_bytes(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    said = process.stdout.read()
    if status:
        raise SystemExit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
    figures = json.loads(said.splitlines()[-1])
    whole = {"process, CPU s": used.ru_utime + used.ru_stime, "elapsed s": time.monotonic() - started}
    return figures | whole | {"memory MB": peak / 1e6}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.indexes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--only", nargs="*", choices=STAGES, default=list(STAGES), help="default: all")
    parser.add_argument("--index", nargs="+", metavar="FACTORY", default=[], help="more indexes of FAISS")
    parser.add_argument("--stage", help=argparse.SUPPRESS)  # in this process: one of the stages, or a FACTORY
    arguments = parser.parse_args(words)
    folder = arguments.folder.absolute()
    if arguments.stage:
        measure = STAGES.get(arguments.stage) or partial(other_index, arguments.stage)
        print(json.dumps(measure(folder, arguments.rows)))
        return
    for stage in [*arguments.only, *arguments.index]:
        print(f"\n{stage}")
        for name, value in in_a_process(stage, folder, arguments.rows).items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
