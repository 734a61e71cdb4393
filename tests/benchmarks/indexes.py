"""Search in many embeddings: skelrep's exact search, and the recipes of docs/corpora.md for FAISS and LanceDB.

    python -m tests.benchmarks.indexes FOLDER [--rows 1000000] [--only rows exact FAISS LanceDB]

The rows are made from embeddings of real motion (see tests/motion_data.py): a row is a random mixture of an embedding
and its nearest neighbours, with a little noise. They lie in clusters as real ones do, on as few directions as those
leave. FOLDER/rows is a corpus of them, which stays: 6 GB for a million. Each measurement runs in a process of its own,
which reports its processor time and its largest memory; memory-mapped files are part of it. The recipes are run as they
stand on the page.
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
from pathlib import Path
from typing import Any

import numpy as np

from skelrep import corpus, load_pretrained, retrieve
from skelrep.corpus.folder import folder_at
from skelrep.corpus.manifest import Input, Manifest, Shard
from skelrep.corpus.parts import finished, write_part
from skelrep.io.embeddings import Embeddings

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
RECIPES: dict[str, str] = dict(
    re.findall(r'^```python title="not run without (\w+)"\n([\s\S]*?)^```$', _PAGE, re.MULTILINE)
)
NEIGHBOURS = 8  # that a row is mixed from
NOISE = 0.1  # length of the noise, relative to the distance to the nearest neighbour
ROWS_PER_PART = 10_000
MODEL = "made-up"
QUERIES = 1000


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
    target = folder_at(folder / "rows")
    starts = range(0, count, ROWS_PER_PART)
    shards = tuple(Shard((Input(f"{number:05}.npz", 0, 0, ""),)) for number in range(len(starts)))
    encoder = {"name": MODEL, "commit": None, "fingerprint": MODEL, "dim": base.shape[1], "made_by": MODEL}
    manifest = Manifest(encoder, {}, str(folder), False, shards)
    manifest.write(target)
    there = finished(target, manifest)
    near = retrieve(base, base, k=NEIGHBOURS).indices  # each is its own nearest neighbour
    for number, start in enumerate(starts):
        if number in there:
            continue
        index = np.arange(start, min(start + ROWS_PER_PART, count))
        of = index * len(base) // count
        part = Embeddings(mixtures(base, near, of, number), np.array([f"{i:08}" for i in index]), of, {}, MODEL)
        write_part(target, number, manifest.digest(number), [part], [], dim=base.shape[1], model=MODEL)


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


def faiss_recipe(folder: Path, count: int) -> dict[str, Any]:
    """The recipe with FAISS, and the time of each search by its index."""
    import faiss

    found = recipe("FAISS", folder)
    index, queries = found["index"], found["queries"]
    figures: dict[str, Any] = {
        "CPU s of the recipe": found["seconds"],
        "bytes per row": len(faiss.serialize_index(index)) / count,
        "recall@10": {str(probes): round(float(value), 4) for probes, value in found["recall"].items()},
    }
    for probes in found["recall"]:
        index.nprobe = probes
        started = time.process_time()
        for query in queries:
            index.search(query[None], 100)
        figures[f"CPU ms per query, {probes} lists"] = 1000 * (time.process_time() - started) / len(queries)
    return figures


def lancedb_recipe(folder: Path, count: int) -> dict[str, Any]:
    """The recipe with LanceDB, and time and recall of searches as it does them."""
    found = recipe("LanceDB", folder)
    table, clips = found["table"], corpus.open(folder / "rows")
    queries = chosen(clips, 100)
    bank: Any = clips.rows
    nearest = clips.ids[retrieve(queries, bank, k=10).indices]
    figures: dict[str, Any] = {"CPU s of the recipe": found["seconds"]}
    files = [path for path in (folder / "bank.lancedb").rglob("*") if path.is_file()]
    figures["bytes on disk per row"] = sum(path.stat().st_size for path in files) / count
    for probes in (1, 4, 16, 64):
        recalls, started = [], time.process_time()
        for query, wanted in zip(queries, nearest):
            search = table.search(query, vector_column_name="embedding").nprobes(probes).refine_factor(10)
            got = [row["id"] for row in search.select(["id", "_distance"]).limit(10).to_list()]
            recalls.append(float(np.isin(wanted, got).mean()))
        figures[f"CPU ms per query, {probes} lists"] = 1000 * (time.process_time() - started) / len(queries)
        figures[f"recall@10, {probes} lists"] = float(np.mean(recalls))
    return figures


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


def in_a_process(stage: str, folder: Path, count: int) -> dict[str, Any]:
    """The figures of a stage, with the processor time and the memory of its process."""
    command = [sys.executable, "-m", "tests.benchmarks.indexes", str(folder), "--rows", str(count), "--stage", stage]
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} ended with {os.waitstatus_to_exitcode(status)}")
    figures = json.loads(said.splitlines()[-1])
    whole = {"process, CPU s": used.ru_utime + used.ru_stime, "elapsed s": time.monotonic() - started}
    return figures | whole | {"memory MB": used.ru_maxrss * 1024 / 1e6}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.indexes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)  # in this process
    arguments = parser.parse_args(words)
    folder = arguments.folder.absolute()
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](folder, arguments.rows)))
        return
    for stage in arguments.only:
        print(f"\n{stage}")
        for name, value in in_a_process(stage, folder, arguments.rows).items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
