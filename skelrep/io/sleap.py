"""SLEAP's projects and predictions, `.slp`: tables of frames, instances and points in an HDF5 file, read with h5py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from skelrep.io.people import Person, Recording, poses_of
from skelrep.io.reader import Reader, ReadOptions
from skelrep.memory_budget import bounded
from skelrep.messages import one_line, optional
from skelrep.poses import Poses

_BY_HAND = 0  # an instance_type; 1 is predicted


def read_slp(path: Path, options: ReadOptions) -> Poses:
    """Reads the instances in a `.slp`, with the extra `hdf5`. Tracks become person ids.

    An instance that was annotated or corrected by hand replaces a predicted one of the same track in the same frame,
    and its points have the score 1.

    Args:
        path: The file.
        options: `skeleton`: other names for the nodes.

    Returns:
        One clip (M, T, V, 2) for each video, in pixels with scores; frames without an instance are NaN.

    Raises:
        ValueError: for other content, instances of several skeletons, or a damaged file.
    """
    h5py = optional("h5py", "hdf5")
    try:
        with h5py.File(path, "r") as file:
            about = json.loads(file["metadata"].attrs["json"])
            videos = [json.loads(video) for video in file["videos_json"][()]] if "videos_json" in file else []
            tracks = [_track(json.loads(track)) for track in file["tracks_json"][()]] if "tracks_json" in file else []
            names = [name for name in ("frames", "instances", "points", "pred_points") if name in file]
            bounded(sum(len(file[name]) * len(file[name].dtype) for name in names))
            tables = {name: file[name][()] for name in names}
            recordings = list(_recordings(about, videos, tracks, tables))
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or not a SLEAP file ({one_line(error)})") from error
    if not recordings:
        raise ValueError(f"{path} contains no instances")
    return poses_of(recordings, str(path), path.stem, options)


READER = Reader("sleap", (".slp",), read_slp)


def _recordings(about: dict, videos: list, tracks: list[str], tables: dict[str, np.ndarray]) -> Iterator[Recording]:
    frames, instances = tables["frames"], tables["instances"]
    kinds = np.unique(instances["skeleton"])
    if len(kinds) > 1:
        raise ValueError(f"it contains instances of {len(kinds)} skeletons, expected one")
    if not len(kinds):
        return
    nodes = [about["nodes"][node["id"]]["name"] for node in about["skeletons"][int(kinds[0])]["nodes"]]
    bounded(len(instances), len(nodes), 3)
    for video in np.unique(frames["video"]).tolist():
        rows = frames[frames["video"] == video]
        starts, ends = rows["instance_id_start"], rows["instance_id_end"]
        people = [_people(instances[a:b], len(nodes), tracks, tables) for a, b in zip(starts, ends)]
        name = PurePosixPath(_filename(videos[video] if video < len(videos) else {}).replace("\\", "/")).stem
        yield Recording(people, nodes, numbers=rows["frame_idx"].tolist(), name=name or f"video{video}")


def _people(instances: np.ndarray, nodes: int, tracks: list[str], tables: dict[str, np.ndarray]) -> list[Person]:
    """The persons of a frame."""
    placed = instances[instances["instance_type"] == _BY_HAND]
    replaced = (np.isin(instances["track"], placed["track"]) & (instances["track"] >= 0)) | np.isin(
        instances["instance_id"], placed["from_predicted"][placed["from_predicted"] >= 0]
    )
    people = []
    for instance in instances[(instances["instance_type"] == _BY_HAND) | ~replaced]:
        by_hand = instance["instance_type"] == _BY_HAND
        rows = tables["points" if by_hand else "pred_points"][instance["point_id_start"] : instance["point_id_end"]]
        if len(rows) != nodes:
            raise ValueError(f"an instance has {len(rows)} points, expected {nodes}")
        points = np.stack([rows["x"], rows["y"]], axis=1).astype(np.float32)
        points[~rows["visible"]] = np.nan
        scores = np.ones(len(rows)) if by_hand else np.nan_to_num(rows["score"])
        track = int(instance["track"])
        person = Person(tracks[track] if 0 <= track < len(tracks) else None, points, scores.astype(np.float32))
        people.append(person)
    return people


def _track(found: Any) -> str:
    return str(found[1] if isinstance(found, list) else found)


def _filename(video: dict) -> str:
    name = video.get("filename") or video.get("backend", {}).get("filename") or ""
    return str(name[0] if isinstance(name, list) and name else name)
