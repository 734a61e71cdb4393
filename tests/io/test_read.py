"""`read` for files and folders of any format."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from skelrep.io import READERS, read, write
from skelrep.poses import Poses
from skelrep.skeletons import Skeleton
from tests.pose_files import (
    THREE,
    save,
)


def test_folder_of_single_clips(tmp_path):
    for name, frames in (("b", 3), ("a", 5)):
        save(tmp_path / f"{name}.npy", np.ones((frames, 3, 3)))
    write(Poses([np.ones((2, 4, 3, 3))], THREE, ["c"]), tmp_path / "c.npz")
    (tmp_path / "notes.txt").write_text("not poses")
    (tmp_path / ".hidden.npy").write_text("not poses")
    save(tmp_path / "a.embeddings.npy", np.ones((1, 9)))
    with pytest.warns(UserWarning, match=r"1 of 4 files that no reader recognises as poses \(notes.txt\)"):
        poses = read(tmp_path, skeleton=THREE, fps=50)
    assert (poses.ids, [clip.shape[1] for clip in poses.clips], poses.fps) == (["a", "b", "c"], [5, 3, 4], 50)
    assert read(tmp_path, skeleton=THREE, format="npy").ids == ["a", "b"]


def test_folder_of_batches_prefixes_ids(tmp_path):
    for name in ("one", "two"):
        save(tmp_path / f"{name}.npy", np.ones((2, 1, 4, 3, 3)))
    assert read(tmp_path, skeleton=THREE).ids == ["one/0", "one/1", "two/0", "two/1"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder .*gone.npy"):
        read(tmp_path / "gone.npy")
    with pytest.raises(ValueError, match="contains no file that can be read"):
        read(tmp_path)
    with pytest.raises(ValueError, match="contains no file that can be read as ntu"):
        read(tmp_path, format="ntu")
    (tmp_path / "a.skeletn").write_text("1")
    with pytest.raises(ValueError, match=r"'.skeletn'; did you mean '.skeleton'\? \(known: .*.npy, .*.npz"):
        read(tmp_path / "a.skeletn")
    (tmp_path / "plain").write_text("1")
    with pytest.raises(ValueError, match=r"has no suffix.*pass format= .*npy"):
        read(tmp_path / "plain")
    with pytest.raises(ValueError, match=r"there is no format 'piskl'; did you mean 'pyskl'\? \(known: .*npy, npz"):
        read(tmp_path / "plain", format="piskl")
    for format in (reader.name for reader in READERS):
        with pytest.raises((ValueError, ModuleNotFoundError), match="plain|pip install"):
            read(tmp_path / "plain", format=format)


def test_skeleton_can_be_given(tmp_path):
    write(Poses([np.ones((1, 2, 3, 3))], THREE), tmp_path / "a.npz")
    other = Skeleton("other", ("a", "b", "c"), (0, 0, 0))
    assert read(tmp_path / "a.npz", skeleton=other).skeleton == other
    with pytest.raises(ValueError, match="has 25 joints but the array has 3"):
        read(tmp_path / "a.npz", skeleton="ntu-25")


def test_reading_needs_no_torch():
    code = "import skelrep.io, sys; assert not {'torch', 'pandas', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, (",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 20, 3), }",
    ],
)
def test_a_changed_header_is_one_sentence(tmp_path, header):
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("poses.npy", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)
