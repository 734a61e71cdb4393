"""Archives of numpy that are small in the file and large in memory."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import read
from skelrep.memory_budget import TIMES, MemoryBudget, bounded, counted
from skelrep.npy import opened


def test_a_compressed_archive_does_not_fill_the_memory(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((40_000, 1, 10, 15, 3), "f4"))  # 72 MB in 70 kB
    with pytest.raises(ValueError, match=r"a\.npz.*SKELREP_MAX_GIGABYTES"):
        read(tmp_path / "a.npz", skeleton="common-15")
    monkeypatch.setenv("SKELREP_MAX_GIGABYTES", "1")
    with opened(tmp_path / "a.npz") as archive:
        assert not isinstance(archive, np.ndarray)
        assert archive["x"].shape == (40_000, 1, 10, 15, 3)
    monkeypatch.setenv("SKELREP_MAX_GIGABYTES", "a few")
    with pytest.raises(ValueError, match="SKELREP_MAX_GIGABYTES"):
        read(tmp_path / "a.npz", skeleton="common-15")


def test_all_arrays_of_a_file_share_one_budget():
    def parts():
        for part in range(100):
            bounded(1000, 1000)
            yield part

    taken = []
    with pytest.raises(ValueError, match="GB of memory"):
        for part in counted(parts(), 2**20):
            taken.append(part)
    assert taken == list(range(5))  # of 16 MB each, of the 84 MB that a file of one may take


def test_the_budget_grows_with_the_file():
    assert MemoryBudget(10**9).limit - MemoryBudget(0).limit == TIMES * 10**9


def test_names_of_arrays_are_repeated_on_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", **{"one\nline": np.ones(3), "b" * 5000: np.ones(3)})
    with pytest.raises(ValueError, match=r"a\.npz holds the arrays one line, b+") as refused:
        read(tmp_path / "a.npz")
    assert len(str(refused.value)) <= 1000
