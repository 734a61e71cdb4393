"""Readers: which one reads a file, and how another package adds one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skelrep import read
from skelrep.io import READERS, readers

PACKAGE = """
import numpy as np
from skelrep import Poses
from skelrep.io import Reader

def read_steps(path, options):
    array = np.loadtxt(path, ndmin=2).reshape(-1, 17, 3)
    return Poses.from_array(array, skeleton=options.skeleton or "h36m-17", ids=[path.stem])

def sniff_marked(path):
    return path.read_text().startswith('{"steps"')

def read_marked(path, options):
    return Poses.from_array(np.ones((2, 17, 3)), skeleton="h36m-17", ids=["marked"])

READERS = [Reader("steps", (".steps",), read_steps), Reader("marked", (".json",), read_marked, sniff_marked)]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Writes a package with readers as pip would install it; returns a function of its entry points."""
    site = tmp_path / "site"

    def install(module: str, code: str, *entries: str) -> None:
        about = site / f"{module}-1.0.dist-info"
        about.mkdir(parents=True)
        (site / f"{module}.py").write_text(code)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[skelrep.readers]\n" + "\n".join(entries) + "\n")
        readers.cache_clear()

    monkeypatch.syspath_prepend(str(site))
    yield install
    for name in [name for name in sys.modules if name.startswith("readers_of_")]:
        del sys.modules[name]
    readers.cache_clear()


def test_another_package_adds_readers(installed, tmp_path):
    installed("readers_of_steps", PACKAGE, "all = readers_of_steps:READERS")
    folder = tmp_path / "data"
    (folder / "walk").mkdir(parents=True)
    np.savetxt(folder / "walk" / "a.steps", np.arange(4 * 51.0).reshape(4, 51))
    (folder / "b.json").write_text('{"steps": []}')
    poses = read(folder)
    assert poses.ids == ["b/marked", "walk/a"]
    assert poses.clips[1].shape == (1, 4, 17, 3)
    assert poses.clips[1][0, 3, 16, 2] == 4 * 51 - 1
    assert [reader.name for reader in readers()[len(READERS) :]] == ["steps", "marked"]
    assert len(read(folder, format="steps")) == 1


def test_a_package_whose_readers_cannot_be_loaded_does_not_stop_others(installed, tmp_path):
    installed("readers_of_nothing", "raise RuntimeError('no licence')", "all = readers_of_nothing:READERS")
    np.save(tmp_path / "a.npy", np.ones((2, 17, 3)))
    with pytest.warns(UserWarning, match="readers_of_nothing:READERS .*RuntimeError: no licence"):
        assert len(read(tmp_path / "a.npy", skeleton="h36m-17")) == 1


def test_no_package_replaces_a_reader(installed):
    code = "from skelrep.io import Reader\nNPY = Reader('npy', ('.npy',), print)\nOTHER = 5"
    installed("readers_of_twins", code, "npy = readers_of_twins:NPY", "other = readers_of_twins:OTHER")
    with pytest.warns(UserWarning) as record:
        assert readers() == READERS
    assert any("'npy'" in str(warning.message) for warning in record)
    assert any("readers_of_twins:OTHER" in str(warning.message) for warning in record)


def test_names_are_unique_and_suffixes_have_a_dot():
    names = [reader.name for reader in READERS]
    assert len(set(names)) == len(names)
    assert all(suffix[0] == "." and suffix == suffix.lower() for reader in READERS for suffix in reader.suffixes)
    assert all((reader.collect is None) == (reader.read_many is None) for reader in READERS)
