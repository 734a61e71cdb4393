"""Seeds of folders: recordings with labels, lists of files, what `skelrep.corpus` makes of them, and videos."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from skelrep import Encoder, save_pretrained, write
from tests.corpus_data import small
from tests.fuzz.seeds.arrays import npz, smpl
from tests.fuzz.seeds.documents import json_lines
from tests.fuzz.seeds.seed import Seed, body, single

_OPTIONS: dict[str, Any] = {"labels": "folder", "on_error": "skip", "shard_size": 2}


def labelled_folder(folder: Path) -> Seed:
    """Recordings of several formats in folders that name their labels, and a table of subjects."""
    root, files = _recordings(folder)
    return Seed("poses", root, files, {"labels": "folder", "subjects": str(folder / "people.csv")})


def list_of_files(folder: Path) -> Seed:
    _recordings(folder)
    (folder / "list.txt").write_text("recordings/wave/a.jsonl\nrecordings/walk/b.csv\n")
    return Seed("poses", Path(f"@{folder}/list.txt"), (folder / "list.txt",), {})


def embedded_folder(folder: Path) -> Seed:
    root, files = _recordings(folder)
    options = {"model": _model(folder), "labels": "folder", "subjects": str(folder / "people.csv")}
    return Seed("embedded_folder", root, files, options)


def embedded_folder_with_skips(folder: Path) -> Seed:
    root, files = _recordings(folder)
    options = {"model": _model(folder), "on_error": "skip", "subjects": str(folder / "people.csv")}
    return Seed("embedded_folder", root, files, options)


def shards(folder: Path) -> Seed:
    """The embeddings of a folder: two shards, and a list of what was skipped."""
    return Seed("shards", folder / "rows", _shards(folder), {})


def shards_info(folder: Path) -> Seed:
    return Seed("command", folder / "rows", _shards(folder), {"words": ["info", "PATH"]})


def shards_resumed(folder: Path) -> Seed:
    files = _shards(folder)
    options = {"inputs": str(folder / "recordings"), "model": str(folder / "model")} | _OPTIONS
    return Seed("resumed_folder", folder / "rows", files, options)


def pieces_npz(folder: Path) -> Seed:
    npz(folder)
    return single(folder / "a.npz", kind="pieces")


def pieces_npy(folder: Path) -> Seed:
    np.save(folder / "a.npy", np.stack([clip[:, :12] for clip in body("kinect-20").clips]))
    return single(folder / "a.npy", kind="pieces")


def pieces_json_lines(folder: Path) -> Seed:
    json_lines(folder)
    return single(folder / "a.jsonl", kind="pieces")


def smpl_pickle(folder: Path) -> Seed:
    """Rotations, and a body model as its authors distribute it, in a pickle."""
    made = smpl(folder)
    with np.load(folder / "model.npz") as arrays:
        (folder / "model.pkl").write_bytes(pickle.dumps(dict(arrays), protocol=2))
    return Seed("poses", made.path, (folder / "model.pkl",), {"body_model": str(folder / "model.pkl")})


def video_mp4(folder: Path) -> Seed:
    return _video(folder / "a.mp4")


def video_avi(folder: Path) -> Seed:
    return _video(folder / "a.avi")


def video_mkv(folder: Path) -> Seed:
    return _video(folder / "a.mkv")


def _video(path: Path) -> Seed:
    from tests.videos import picture, write_video

    return single(write_video(path, [picture((40 + 4 * i, 60)) for i in range(8)]), kind="video")


def _recordings(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    root = folder / "recordings"
    for name in ("wave/a.jsonl", "walk/b.csv", "walk/c.npz"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(body("kinect-20", clips=1), root / name)
    people = folder / "people.csv"
    people.write_text("file,subject\na.jsonl,1\nb.csv,2\nc.npz,2\n")
    return root, (root / "wave" / "a.jsonl", root / "walk" / "b.csv", root / "walk" / "c.npz", people)


def _model(folder: Path) -> str:
    import torch

    torch.manual_seed(0)
    save_pretrained(Encoder(small().encoder), folder / "model")
    return str(folder / "model")


def _shards(folder: Path) -> tuple[Path, ...]:
    from skelrep import corpus

    root, _ = _recordings(folder)
    (root / "walk" / "d.npz").write_bytes(b"PK")
    corpus.embed(root, folder / "rows", _model(folder), device="cpu", **_OPTIONS)
    return tuple(sorted((folder / "rows").iterdir()))
