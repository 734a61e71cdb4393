"""MATLAB files: arrays as SciPy writes and reads them, and damaged files, which raise only documented errors."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep.io.matlab import read_mat_array

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "i4"])
@pytest.mark.parametrize("shape", [(20, 3, 7), (1, 1), (2, 3)])
def test_as_scipy_reads_it(tmp_path, compressed, dtype, shape):
    io = pytest.importorskip("scipy.io")
    array = (100 * RNG.uniform(size=shape)).astype(dtype)
    content = {"about": "words", "other": np.eye(3), "d_skel": array, "more": {"a": 1}}
    io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
    theirs = io.loadmat(tmp_path / "a.mat")["d_skel"]
    np.testing.assert_array_equal(read_mat_array(tmp_path / "a.mat", "d_skel"), theirs)


def test_other_versions_and_contents(tmp_path):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"d_skel": np.eye(3)}, format="4")
    with pytest.raises(ValueError, match=r"a\.mat is damaged or not a .mat file of numbers .*version 5 to 7"):
        read_mat_array(tmp_path / "a.mat", "d_skel")
    io.savemat(tmp_path / "a.mat", {"d_skel": "words"})
    with pytest.raises(ValueError, match="d_skel is not an array of real numbers"):
        read_mat_array(tmp_path / "a.mat", "d_skel")
    io.savemat(tmp_path / "a.mat", {"d_skel": np.eye(3) * 1j})
    with pytest.raises(ValueError, match="d_skel is not an array of real numbers"):
        read_mat_array(tmp_path / "a.mat", "d_skel")


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_raise_only_documented_errors(tmp_path, compressed):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"d_skel": RNG.normal(size=(20, 3, 7))}, do_compression=compressed)
    sound = (tmp_path / "a.mat").read_bytes()
    refused = 0
    for _ in range(1000):
        data = bytearray(sound[: RNG.integers(1, len(sound))] if RNG.random() < 0.2 else sound)
        for _ in range(RNG.integers(1, 5)):
            data[RNG.integers(0, min(len(data), 250))] = RNG.integers(0, 256)
        (tmp_path / "b.mat").write_bytes(data)
        try:
            read_mat_array(tmp_path / "b.mat", "d_skel")
        except ValueError:
            refused += 1
    assert 100 < refused < 1000
