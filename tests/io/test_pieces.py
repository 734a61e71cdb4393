"""Pieces of many files and of large ones give, together, what is read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read, write
from skelrep.io.pieces import pieces
from skelrep.io.reading import Declared, read_pieces
from skelrep.io.sources import sources
from skelrep.poses import Poses
from skelrep.skeletons import SKELETONS
from tests.pose_files import agcn_folder, assert_same, moving, pku_frames, skeleton_text, write_pku_recording


def clips(count: int = 7) -> Poses:
    rng = np.random.default_rng(0)
    shapes = [(int(rng.integers(1, 3)), int(rng.integers(3, 9)), 17, 3) for _ in range(count)]
    return Poses(
        [rng.normal(size=shape).astype(np.float32) for shape in shapes],
        SKELETONS["coco-17"],
        labels=np.arange(count) % 3,
        fps=30.0,
        scores=[rng.random(shape[:3]).astype(np.float32) for shape in shapes],
        info={"subject": np.arange(count)},
        person_ids=[tuple("ab"[: shape[0]]) for shape in shapes],
    )


def ntu(folder: Path) -> None:
    for subject in range(1, 6):
        text = skeleton_text([{"1": points} for points in moving(5, 0.1, subject)])
        (folder / f"S001C001P00{subject}R001A013.skeleton").write_text(text)


def pku(folder: Path) -> None:
    for name in ("0002-L", "0002-M", "0291-R"):
        write_pku_recording(folder / "poses", folder / "labels", name, pku_frames(40), "3,2,12,2\n51,15,35,1\n")
    (folder / "cross-subject.txt").write_text("Training videos: \n0002-L, 0002-M, \nValidataion videos: \n0291-R\n")


def agcn(folder: Path) -> None:
    agcn_folder(folder)
    agcn_folder(folder, half="val")


def ctrgcn(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 10, 150))
    np.savez(folder / "ctrgcn.npz", x_train=x, y_train=np.eye(4), x_test=-x[:3], y_test=np.eye(4)[:3])


def files_of_one_name(folder: Path) -> None:
    clips(2).save(folder / "a.npz")
    write(clips(2), folder / "a.jsonl")


MADE: dict[str, tuple[Callable[[Path], object], int]] = {
    "skelrep's npz": (lambda folder: clips().save(folder / "own.npz"), 4),
    "json lines": (lambda folder: write(clips(), folder / "lines.jsonl"), 4),
    "CTR-GCN": (ctrgcn, 4),
    "NTU": (ntu, 5),
    "PKU-MMD": (pku, 3),
    "files of one name": (files_of_one_name, 4),
}


def in_pieces(path: Path, **declared) -> tuple[int, Poses]:
    """How many pieces there are, and what they hold, each read from a list of its own files alone."""
    found, told = sources(path), Declared(**declared)
    found = found._replace(ids=found.names())
    parts, count = [], 0
    smaller = min(file.stat().st_size for file in found.files) - 1
    for piece in pieces(found, None, told.options(None), most=2, piece_bytes=smaller):
        count += 1
        parts += read_pieces(found._replace(files=list(piece.files)), [piece], told)
    return count, Poses.concatenate(parts)


@pytest.mark.parametrize("kind", MADE)
def test_pieces_give_what_the_whole_gives(kind, tmp_path):
    make, count = MADE[kind]
    make(tmp_path)
    found, poses = in_pieces(tmp_path)
    assert found == count
    assert_same(poses, read(tmp_path))
    assert poses.person_ids == read(tmp_path).person_ids


def test_pieces_of_agcn_are_named_after_their_file(tmp_path):
    agcn(tmp_path)
    found, poses = in_pieces(tmp_path)
    assert found == 6
    assert_same(poses, read(tmp_path))


def test_pieces_of_one_file(tmp_path):
    clips().save(tmp_path / "own.npz")
    found, poses = in_pieces(tmp_path / "own.npz")
    assert found == 4 and poses.ids == clips().ids
    np.save(tmp_path / "batch.npy", np.stack([moving(9, 0.1, seed) for seed in range(5)])[:, None])
    found, poses = in_pieces(tmp_path / "batch.npy", skeleton="ntu-25")
    assert found == 3
    assert_same(poses, read(tmp_path / "batch.npy", skeleton="ntu-25"))


def test_a_compressed_archive_is_one_piece(tmp_path):
    clips().save(tmp_path / "own.npz")
    with np.load(tmp_path / "own.npz") as arrays:
        np.savez_compressed(tmp_path / "small.npz", **arrays)
    found, poses = in_pieces(tmp_path / "small.npz")
    assert found == 1
    assert_same(poses, clips())
