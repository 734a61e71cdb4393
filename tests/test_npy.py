"""NumPy archives that are small on disk and large in memory."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import read
from skelrep.memory_budget import TIMES, MemoryBudget, bounded, budget_of, counted
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


@pytest.mark.parametrize("filled", [True, False])
def test_padding_counts_once(filled, tmp_path):
    """Clips of 25 frames padded to 300 compress to a fifteenth; they are read, and their padding is not kept."""
    array = np.full((150, 1, 300, 25, 3), float(filled), np.float32)
    array[:, :, :25] = np.random.default_rng(0).normal(size=(150, 1, 25, 25, 3))
    np.savez_compressed(tmp_path / "a.npz", x=np.concatenate([array] * 2))
    if filled:  # what stands there instead of zeros is poses
        with pytest.raises(ValueError, match=r"a\.npz.*SKELREP_MAX_GIGABYTES"):
            read(tmp_path / "a.npz", skeleton="ntu-25")
        return
    poses = read(tmp_path / "a.npz", skeleton="ntu-25")
    assert len(poses) == 300 and {clip.shape for clip in poses.clips} == {(1, 25, 25, 3)}
    assert all(clip.base is None or clip.base.size == clip.size for clip in poses.clips)


def test_each_file_has_a_separate_memory_budget(tmp_path):
    """A body model is larger than the motion that is read with it."""
    (tmp_path / "a.npz").write_bytes(b"x")

    def parts():
        yield budget_of(tmp_path / "a.npz"), budget_of(tmp_path / "b.npz"), budget_of(tmp_path / "a.npz")

    (tmp_path / "b.npz").write_bytes(bytes(10**6))
    [(one, other, again)] = counted(parts(), 1, tmp_path / "a.npz")
    assert one is again is not other and other.limit > one.limit


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
    with pytest.raises(ValueError, match=r"a\.npz contains one line, b+") as refused:
        read(tmp_path / "a.npz")
    assert len(str(refused.value)) <= 1000
