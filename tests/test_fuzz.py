"""Damaged inputs give a documented error or a result, never a crash, an endless loop or exhausted memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from skelrep.io import registry
from tests.fuzz.run import Worker, fuzz
from tests.fuzz.seeds import SEEDS, SLOW

NEEDS = {"c3d": "ezc3d", "pose": "pose_format"} | dict.fromkeys(("sleap", "slp", "deeplabcut_h5"), "h5py")
NEEDS |= dict.fromkeys(("parquet", "embeddings_parquet", "events_parquet"), "pyarrow")
NEEDS |= {name: "pyarrow" for name in SEEDS if name.startswith(("shards", "embedded_folder"))}
NEEDS |= {name: "av" for name in SEEDS if name.startswith("video")}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    started = Worker()
    yield started
    started.close()


def check(format: str, cases: int, seed: int, worker: Worker) -> None:
    if format in NEEDS:
        pytest.importorskip(NEEDS[format])
    report = fuzz(format, cases, seed, worker=worker)
    assert not report.faults, report.faults[:3]
    assert sum(report.counts.values()) == cases
    assert report.counts["clean"] or format == "embedded_folder_with_skips"  # else nothing was damaged


@pytest.mark.parametrize("format", SEEDS)
def test_damaged_inputs(format, worker):
    check(format, 10 if format in SLOW else 30, 0, worker)


@pytest.mark.slow
@pytest.mark.parametrize("format", SEEDS)
def test_many_damaged_inputs(format, worker):
    check(format, 30 if format in SLOW else 300, 1, worker)


def test_every_reader_has_a_seed(tmp_path):
    found: set[str] = set()
    for name, make in SEEDS.items():
        if name in NEEDS:
            pytest.importorskip(NEEDS[name])
        (tmp_path / name).mkdir()
        seed = make(tmp_path / name)
        if seed.kind in ("poses", "video"):
            files = [file for file in (tmp_path / name).rglob("*") if file.is_file()]
            found |= {reader.name for file in files if (reader := registry.recognised(file)) is not None}
    assert {reader.name for reader in registry.READERS} <= found


class Scripted(Worker):
    """A reader that accepts the seed and then behaves as the test requires."""

    def __init__(self, outcome: str, megabytes: float) -> None:
        super().__init__()
        self.answer = {"outcome": outcome, "error": "IndexError", "sentence": "", "megabytes": megabytes, "size": 0}

    def answers(self, job: dict, count: int) -> Iterator[dict]:
        asked_as_it_is = "first" not in job
        for _ in range(count):
            yield self.answer | ({"outcome": "accepted", "megabytes": 0.0} if asked_as_it_is else {})


@pytest.mark.parametrize(("outcome", "megabytes", "counted"), [("crash", 0, "crash"), ("accepted", 500, "memory")])
def test_the_harness_sees_faults(outcome, megabytes, counted):
    report = fuzz("npy", 5, worker=Scripted(outcome, megabytes))
    assert report.counts == {counted: 5}
    assert len(report.faults) == 5


class Ending(Worker):
    """A process that ends at some cases."""

    def answers(self, job: dict, count: int) -> Iterator[dict]:
        fine = {"outcome": "clean", "error": "", "sentence": "", "megabytes": 0.0, "size": 0}
        for number in range(job.get("first", 0), job.get("first", 0) + count):
            if "first" in job and number in (3, 4, 9):
                yield fine | {"outcome": "hang"}
                return
            yield fine | ({} if "first" in job else {"outcome": "accepted"})


def test_a_process_that_ended_goes_on_with_the_next_case(tmp_path):
    report = fuzz("npy", 10, keep=tmp_path, worker=Ending())
    assert report.counts == {"clean": 7, "hang": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["npy-0-3", "npy-0-4", "npy-0-9"]
    assert len({(path / "a.npy").read_bytes() for path in tmp_path.iterdir()}) == 3
