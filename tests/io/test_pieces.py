"""Pieces of many files and of large ones give, together, what is read as a whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelrep.io import read, read_parts, write
from skelrep.io.pieces import pieces
from skelrep.io.reading import Declared, read_pieces
from skelrep.io.sources import sources
from skelrep.poses import Poses, npz
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


def annotations(folder: Path, protocol: int = pickle.HIGHEST_PROTOCOL, size: tuple[int, int] = (1080, 1920)) -> None:
    found = []
    for i, clip in enumerate(clips().clips):
        clip = clip[..., :2].astype(np.float16 if i % 2 else np.float32)
        about = {"frame_dir": f"S001C001P00{i + 1}R001A00{i % 3 + 1}", "label": i % 3, "total_frames": clip.shape[1]}
        found.append(about | {"img_shape": size, "keypoint": clip, "keypoint_score": np.ones(clip.shape[:3])})
    splits = {half: [found[i]["frame_dir"] for i in rows] for half, rows in (("train", (0, 3)), ("val", (1, 6)))}
    (folder / "coco.pkl").write_bytes(pickle.dumps({"split": splits, "annotations": found}, protocol))


def compressed(folder: Path) -> None:
    clips().save(folder / "own.npz")
    with np.load(folder / "own.npz") as arrays:
        content = dict(arrays)
    np.savez_compressed(folder / "own.npz", **content)


def compressed_ctrgcn(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 10, 150))
    np.savez_compressed(folder / "ctrgcn.npz", x_train=x, y_train=np.eye(4), x_test=-x[:3], y_test=np.eye(4)[:3])


def with_subjects(folder: Path) -> None:
    """A table with subjects, which are part of the ids where they are several."""
    write(clips(), folder / "table.csv")
    header, *lines = (folder / "table.csv").read_text().splitlines()
    rows = ["aabbccd"[int(line.partition(",")[0])] + "," + line for line in lines]
    (folder / "table.csv").write_text("\n".join(["subject," + header, *rows]))


def files_of_one_name(folder: Path) -> None:
    clips(2).save(folder / "a.npz")
    write(clips(2), folder / "a.jsonl")


MADE: dict[str, tuple[Callable[[Path], object], int]] = {
    "skelrep's npz": (lambda folder: clips().save(folder / "own.npz"), 4),
    "json lines": (lambda folder: write(clips(), folder / "lines.jsonl"), 4),
    "CTR-GCN": (ctrgcn, 4),
    "a compressed archive": (compressed, 4),
    "CTR-GCN, compressed": (compressed_ctrgcn, 4),
    "annotations": (annotations, 4),
    "annotations by protocol 2": (lambda folder: annotations(folder, protocol=2), 4),
    "Parquet": (lambda folder: write(clips(), folder / "table.parquet"), 4),
    "CSV": (lambda folder: write(clips(), folder / "table.csv"), 4),
    "CSV with subjects": (with_subjects, 4),
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


def test_pieces_of_an_archive_with_a_clip_in_each_array(tmp_path):
    named = {f"clip {i}": clip for i, clip in enumerate(clips().clips)}
    np.savez(tmp_path / "named.npz", **named, labels=np.arange(7), fps=25.0)
    found, poses = in_pieces(tmp_path / "named.npz", skeleton="coco-17")
    assert found == 4
    assert_same(poses, read(tmp_path / "named.npz", skeleton="coco-17"))


def test_row_groups_and_rows_within_them(tmp_path):
    from pyarrow import parquet

    write(clips(), tmp_path / "table.parquet")
    table = parquet.read_table(tmp_path / "table.parquet")
    for size in (1, 4, len(table)):
        parquet.write_table(table, tmp_path / "table.parquet", row_group_size=size)
        found, poses = in_pieces(tmp_path)
        assert found == 4
        assert_same(poses, read(tmp_path))


@pytest.mark.parametrize("kind", ["mixed", "restarts", "labels", "without clips"])
def test_tables_that_only_the_whole_explains_are_one_piece(kind, tmp_path):
    write(clips(2), tmp_path / "table.csv")
    header, *rows = [line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()]
    if kind == "mixed":
        rows = [*rows[::2], *rows[1::2]]
    elif kind == "restarts":
        header, rows = [name for name in header if name != "person"], [[*row[:2], *row[3:]] for row in rows]
        rows = [["0", *row[1:]] for _ in range(2) for row in rows]
    elif kind == "labels":
        rows = [[row[0], "1" if row[header.index("frame")] == "0" else "2", *row[2:]] for row in rows]
    else:
        header, rows = header[1:], [row[1:] for row in rows]
    (tmp_path / "table.csv").write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    found, poses = in_pieces(tmp_path / "table.csv")
    assert found == 1
    assert_same(poses, read(tmp_path / "table.csv"))


def test_annotations_that_share_arrays_are_one_piece(tmp_path):
    shared = np.ones((1, 5, 17, 3), np.float32)
    listed = [{"frame_dir": str(i), "label": 0, "keypoint": shared} for i in range(5)]
    (tmp_path / "list.pkl").write_bytes(pickle.dumps(listed))
    found, poses = in_pieces(tmp_path / "list.pkl", skeleton="coco-17")
    assert found == 1 and len(poses) == 5


def test_large_files_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("skelrep.io.pieces.PIECE_BYTES", 2000)
    annotations(tmp_path)
    write(clips(), tmp_path / "table.csv")
    for name, options in (("coco.pkl", {}), ("coco.pkl", {"split": "val"}), ("table.csv", {})):
        parts = list(read_parts(tmp_path / name, **options))
        assert len(parts) > 1
        assert_same(Poses.concatenate(parts), read(tmp_path / name, **options))


def test_a_fault_in_a_range_names_its_line(tmp_path):
    write(clips(), tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    lines[-2] = f"{lines[-2]}?"
    (tmp_path / "table.csv").write_text("\n".join(lines))
    for call in (lambda: in_pieces(tmp_path / "table.csv"), lambda: read(tmp_path / "table.csv")):
        with pytest.raises(ValueError, match=f"line {len(lines) - 1}:"):
            call()


@pytest.mark.parametrize("name", ["poses", "persons", "frames", "scores", "ids", "fps", "person_ids"])
@pytest.mark.parametrize("content", [np.array(1.0), np.zeros((0, 1)), np.array("x"), np.full(2, -1)])
def test_pieces_of_a_damaged_file_are_one_sentence(content, name, tmp_path):
    clips().save(tmp_path / "poses.npz")
    with np.load(tmp_path / "poses.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "poses.npz", **(arrays | {name: content}))
    try:
        in_pieces(tmp_path / "poses.npz")
    except ValueError as error:
        assert "\n" not in str(error) and "poses.npz" in str(error)


@pytest.mark.parametrize(
    "frames", [np.full(4, 2**60), np.full(4, -1), np.array(7), np.full(4, 2.5), np.array(["x"] * 4)]
)
def test_stretches_of_a_damaged_file_are_none(frames, tmp_path):
    """The damage is said when the clips are read."""
    clips().save(tmp_path / "poses.npz")
    with np.load(tmp_path / "poses.npz") as stored:
        arrays = dict(stored) | {"frames": frames}
    np.savez(tmp_path / "poses.npz", **arrays)
    assert list(npz.stretches(tmp_path / "poses.npz", (0, 4), 100)) in (
        [],
        [(i, k, k + 1) for i in range(4) for k in range(2)],
    )
