"""Damaged and hostile files of numpy's and pickles: one sentence, soon, and no memory."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from skelrep import Poses, read
from skelrep.io.pieces import Piece, pieces
from skelrep.io.reading import Declared
from skelrep.io.safe_pickle import load_pickle
from skelrep.io.sources import sources
from tests.bodies import walking


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x00" * 64


@pytest.mark.parametrize(
    "shape",
    [b"(99999999999999999999, 17, 3)", b"(-4, 17, 3)", b"(" * 3000 + b")" * 3000],
    ids=["huge", "negative", "deep"],
)
def test_headers_that_no_machine_can_read(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b", }\n"))
    with pytest.raises(ValueError, match=r"a\.npy is damaged or not a NumPy file"):
        read(tmp_path / "a.npy", skeleton="coco-17")


def changed(path, name: str, content: bytes) -> None:
    """Replaces one member of a `.npz`."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, old in members.items():
            archive.writestr(member, content if member == name else old)


def as_npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("ids.npy", b"no array"),
        ("parents.npy", as_npy(np.full(17, np.inf))),
        ("format_version.npy", as_npy(np.inf)),
        ("persons.npy", as_npy(np.array([-1]))),
        ("poses.npy", as_npy(np.ones(5))),
        ("ids.npy", as_npy(np.array(["a"])).replace("a".encode("utf-32-le"), b"\xff\xff\xff\xff")),
    ],
    ids=["no array", "parents", "version", "negative", "flat", "unicode"],
)
def test_members_of_our_own_file_that_are_damaged(tmp_path, member, content):
    Poses([walking("coco-17")], "coco-17", ["a"]).save(tmp_path / "a.npz")
    changed(tmp_path / "a.npz", member, content)
    with pytest.raises(ValueError, match=r"a\.npz"):
        read(tmp_path / "a.npz")


def test_invalid_ctrgcn_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.ones(3), y_train=np.ones(3))
    changed(tmp_path / "a.npz", "x_train.npy", b"no array")
    with pytest.raises(ValueError, match=r"a\.npz.*'x_train'"):
        read(tmp_path / "a.npz")


def test_nested_lists_with_billions_of_items_are_refused(tmp_path):
    nested = ["ha"]
    for _ in range(40):
        nested = [nested, nested]
    for content in ([{"frame_dir": nested, "keypoint": np.ones((1, 2, 17, 2))}], [{"keypoint": nested}], nested):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=r"a\.pkl .*more than 1048576 items"):
            load_pickle(tmp_path / "a.pkl")
    endless: list = []
    endless.append(endless)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(endless))
    with pytest.raises(ValueError, match=r"a\.pkl .*contains itself"):
        load_pickle(tmp_path / "a.pkl")


def test_parts_that_lists_share_are_read(tmp_path):
    shared = list(range(100))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([shared] * 100))
    assert load_pickle(tmp_path / "a.pkl") == [shared] * 100


def test_columns_of_objects_are_strings_numbers_or_refused():
    clips = [walking("coco-17", 4)] * 2
    assert Poses(clips, "coco-17", labels=np.array(["a", "bc"], dtype=object)).labels.dtype.kind == "U"
    assert Poses(clips, "coco-17", labels=np.array([1, 2], dtype=object)).labels.dtype.kind == "i"
    for labels in ([None, 1], np.array(["a", 1], dtype=object), [2**80, 1]):
        with pytest.raises(ValueError, match="labels hold"):
            Poses(clips, "coco-17", labels=labels)


def test_cells_that_are_too_long_are_one_sentence(tmp_path):
    """Python's csv refuses them with an error that is no ValueError."""
    Poses([walking("coco-17")], "coco-17").save(tmp_path / "poses.npz")
    (tmp_path / "labels.csv").write_text("id,label\n" + "0," + "x" * 200_000 + "\n")
    with pytest.raises(ValueError, match=r"labels\.csv is not a text table"):
        read(tmp_path / "poses.npz", labels=str(tmp_path / "labels.csv"))
    (tmp_path / "poses.csv").write_text("clip,hips_x,hips_y," + "x" * 2_000_000 + "\n")
    found = sources(tmp_path / "poses.csv")
    assert list(pieces(found, None, Declared().options(None), most=1)) == [Piece((tmp_path / "poses.csv",))]
    with pytest.raises(ValueError, match=r"poses\.csv"):
        read(tmp_path / "poses.csv")
