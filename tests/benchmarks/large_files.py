"""Files larger than the memory that a process may use, read clip by clip: one of each format that holds several clips.

    python -m tests.benchmarks.large_files [KIND ...] [--megabytes 2048] [--limit 1024] [--folder FOLDER]

For each kind, writes a file of so many megabytes, and reads it by `skelrep.io.read_parts` in a process whose data may
not exceed the limit (RLIMIT_DATA, which memory-mapped files do not count against: their pages are the system's).
Prints the clips read, the processor time, the largest memory of the process without mapped files (Linux only), and
whether `skelrep.io.read`, which reads all of a file, fits into the limit.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.io import write
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS

ROOT = Path(__file__).parents[2]
NTU = SKELETONS["ntu-25"]
FRAMES = 60
CLIP_BYTES = FRAMES * len(NTU) * 3 * 4

# What the process that reads runs: the path, the limit in bytes (0 for none), the options of `read_parts`, and the
# size above which files are divided.
_READ = """
import json, resource, sys, time
path, limit, options, piece_bytes = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
from skelrep.io import pieces, read, read_parts
pieces.PIECE_BYTES = piece_bytes
whole = options.pop("whole", False)
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
def own_bytes():
    try:
        lines = open("/proc/self/status").read().splitlines()
    except OSError:
        return 0
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
clips, total, peak = 0, 0.0, 0
for poses in [read(path, **options)] if whole else read_parts(path, **options):
    clips += len(poses)
    total += sum(float(clip[0, 0, 0, 0]) for clip in poses.clips)
    peak = max(peak, own_bytes())
print(json.dumps({"clips": clips, "total": total, "seconds": time.process_time(), "peak": peak}))
"""


class Found(NamedTuple):
    """What a process has read.

    Attributes:
        clips: Number of clips.
        total: Sum of the first coordinate of each.
        seconds: Processor time that it took.
        peak: The largest number of bytes that it held after a part, without mapped files.
    """

    clips: int
    total: float
    seconds: float
    peak: int


def clips_of(number: int, count: int) -> np.ndarray:
    """A part of the made-up clips: (count, T, V, 3), each of its own numbers."""
    rng = np.random.default_rng(number)
    place = rng.normal(size=(count, 1, len(NTU), 3)).astype(np.float32)
    return place + np.float32(0.01) * rng.standard_normal((count, FRAMES, len(NTU), 3), dtype=np.float32)


def parts(count: int, most: int = 1000) -> Iterator[np.ndarray]:
    """All made-up clips, `most` at a time."""
    for number, first in enumerate(range(0, count, most)):
        yield clips_of(number, min(most, count - first))


def own_npz(folder: Path, count: int, compression: int = zipfile.ZIP_STORED) -> Path:
    """skelrep's `.npz`, written as `Poses.save` writes it, but in parts."""
    path = folder / "own.npz"
    small = {
        "format_version": 1,
        "persons": np.ones(count, dtype=int),
        "frames": np.full(count, FRAMES),
        "skeleton": NTU.name,
        "joints": NTU.joints,
        "parents": NTU.parents,
        "ids": [f"clip {i}" for i in range(count)],
        "labels": np.arange(count) % 60,
        "fps": 30.0,
    }
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        for name, value in small.items():
            _add(archive, name, np.asarray(value))
        with archive.open("poses.npy", "w", force_zip64=True) as file:
            _header(file, (count * FRAMES, len(NTU), 3))
            for part in parts(count):
                file.write(part.data)
    return path


def compressed_npz(folder: Path, count: int) -> Path:
    """The same, compressed."""
    return own_npz(folder, count, zipfile.ZIP_DEFLATED)


def named_npz(folder: Path, count: int) -> Path:
    """A `.npz` with an array for each clip."""
    path = folder / "named.npz"
    with zipfile.ZipFile(path, "w") as archive:
        numbers = iter(range(count))
        for part in parts(count):
            for clip in part:
                _add(archive, f"clip {next(numbers)}", clip)
    return path


def array(folder: Path, count: int) -> Path:
    """A `.npy` (N, M, T, V, C)."""
    path = folder / "batch.npy"
    with path.open("wb") as file:
        _header(file, (count, 1, FRAMES, len(NTU), 3))
        for part in parts(count):
            file.write(part.data)
    return path


def ctrgcn(folder: Path, count: int) -> Path:
    """CTR-GCN's `.npz`."""
    path = folder / "ctrgcn.npz"
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "y_train", np.arange(count) % 60)
        with archive.open("x_train.npy", "w", force_zip64=True) as file:
            _header(file, (count, FRAMES, len(NTU) * 3))
            for part in parts(count):
                file.write(part.data)
    return path


def agcn(folder: Path, count: int) -> Path:
    """AGCN's `train_data_joint.npy` with its labels."""
    path = folder / "train_data_joint.npy"
    with path.open("wb") as file:
        _header(file, (count, 3, FRAMES, len(NTU), 1))
        for part in parts(count):
            file.write(np.ascontiguousarray(part.transpose(0, 3, 1, 2)).data)
    names = [f"S001C001P001R001A001-{i}" for i in range(count)]
    (folder / "train_label.pkl").write_bytes(pickle.dumps((names, [0] * count)))
    return path


def json_lines(folder: Path, count: int) -> Path:
    """JSON lines: one line of text for each clip, with the numbers of a few clips over and over."""
    few = _few()
    path = folder / "lines.jsonl"
    write(few, path)
    lines = path.read_text().splitlines()
    with path.open("w") as file:
        for i in range(count):
            file.write(lines[i % len(lines)].replace(f'"id": "{i % len(lines)}"', f'"id": "clip {i}"', 1) + "\n")
    return path


def annotations(folder: Path, count: int) -> Path:
    """pyskl's pickle."""
    path = folder / "annotations.pkl"
    found = []
    for part in parts(count):
        for clip in part:
            name = f"S001C001P001R001A{len(found) % 60 + 1:03}-{len(found)}"
            found.append(
                {"frame_dir": name, "label": len(found) % 60, "total_frames": FRAMES, "keypoint": clip[None].copy()}
            )
    split = {"train": [one["frame_dir"] for one in found[::2]]}
    with path.open("wb") as file:
        pickle.dump({"split": split, "annotations": found}, file)
    return path


def table(folder: Path, count: int) -> Path:
    """Parquet, as `skelrep convert` writes it, but in parts."""
    import pyarrow
    from pyarrow import parquet

    path, writer, first = folder / "table.parquet", None, 0
    for part in parts(count):
        ids = [f"clip {first + i}" for i in range(len(part))]
        write(Poses(list(part[:, None]), NTU, ids, np.arange(len(part)) % 60, 30.0), folder / "part.parquet")
        rows = parquet.read_table(folder / "part.parquet")
        writer = writer or parquet.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
        first += len(part)
    assert isinstance(writer, parquet.ParquetWriter) and pyarrow
    writer.close()
    (folder / "part.parquet").unlink()
    return path


def text_table(folder: Path, count: int) -> Path:
    """CSV, with the numbers of a few clips over and over."""
    few = _few()
    path = folder / "table.csv"
    write(few, path)
    header, *lines = path.read_text().splitlines()
    with path.open("w") as file:
        file.write(header + "\n")
        for i in range(count):
            rows = lines[i % len(few) * FRAMES :][:FRAMES]
            file.writelines(f"clip {i}{row[row.index(',') :]}\n" for row in rows)
    return path


KINDS: dict[str, tuple[Callable[[Path, int], Path], dict[str, Any]]] = {
    "npz": (own_npz, {}),
    "npz-compressed": (compressed_npz, {}),
    "npz-named": (named_npz, {"skeleton": "ntu-25"}),
    "npy": (array, {"skeleton": "ntu-25"}),
    "ctrgcn": (ctrgcn, {}),
    "agcn": (agcn, {}),
    "jsonl": (json_lines, {}),
    "pyskl": (annotations, {}),
    "parquet": (table, {}),
    "csv": (text_table, {}),
}
#: Bytes of a clip in the formats of text, relative to those in the others.
_TEXT = {"jsonl": 3.2, "csv": 3.3}


def count_for(kind: str, size: int) -> int:
    """Number of clips in a file of about this size in bytes."""
    return int(size / CLIP_BYTES / _TEXT.get(kind, 1.0))


def read_within(
    path: Path, limit: int, options: dict[str, Any], piece_bytes: int = 2**26
) -> Found | subprocess.CompletedProcess[str]:
    """What a process reads whose data may not exceed a limit in bytes (0: none); the process itself if it failed."""
    command = [sys.executable, "-c", _READ, str(path), str(limit), json.dumps(options), str(piece_bytes)]
    # Arrow's own allocator reserves more than it uses.
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        return done
    return Found(**json.loads(done.stdout))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.large_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"by default all: {', '.join(KINDS)}")
    parser.add_argument("--megabytes", type=int, default=2048, help="of each file (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=1024, help="megabytes of data (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    arguments = parser.parse_args(words)
    print("| kind | file | clips | read within | memory | CPU seconds | as a whole |\n|---|---|---|---|---|---|---|")
    for kind in arguments.kinds or KINDS:
        make, options = KINDS[kind]
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            count = count_for(kind, arguments.megabytes * 2**20)
            path = make(Path(folder), count)
            limit = arguments.limit * 2**20
            found = read_within(path, limit, options)
            if not isinstance(found, Found):
                raise SystemExit(f"{kind}: {found.stderr}")
            assert found.clips == count, (kind, found, count)
            whole = read_within(path, limit, options | {"whole": True})
            size, peak = f"{path.stat().st_size / 2**20:.0f} MB", f"{found.peak / 2**20:.0f} MB"
            cells = (kind, size, count, f"{arguments.limit} MB", peak, f"{found.seconds:.0f}")
            fails = "fits" if isinstance(whole, Found) else "does not fit"
            print(f"| {' | '.join(map(str, cells))} | {fails} |", flush=True)


def _few() -> Poses:
    few = clips_of(0, 4)
    return Poses(list(few[:, None]), NTU, [str(i) for i in range(len(few))], np.arange(len(few)), 30.0)


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, array)
    archive.writestr(f"{name}.npy", content.getvalue())


def _header(file: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


if __name__ == "__main__":
    main()
