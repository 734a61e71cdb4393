"""From the frames of a video to poses, with any pose estimator."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from skelrep.io.people import Person, Recording, poses_of, shown
from skelrep.io.reader import ReadOptions
from skelrep.io.video.decoding import open_video
from skelrep.io.video.estimator import PoseEstimator, Sighting
from skelrep.io.video.landmarker import MediaPipePose
from skelrep.io.video.sides import find_exchanges
from skelrep.messages import warn
from skelrep.poses import Poses
from skelrep.skeletons import resolve
from skelrep.tracking import Tracks, identify

# Below it a landmark is hidden or outside the picture, and its position is a guess of the model.
VISIBLE = 0.5


class Detections(NamedTuple):
    """The persons in all frames of a video.

    Attributes:
        seconds: (T,) when each frame is shown.
        people: For each frame the sightings.
        tracks: Who is who over time.
        skeleton: Of the sightings' joints.
    """

    seconds: list[float]
    people: list[list[Sighting]]
    tracks: Tracks
    skeleton: str


def read(path: Path, options: ReadOptions) -> Poses:
    """One clip of all persons in a video; see `skelrep.read` for `pose_model`."""
    found = detect(path, estimator(options.pose_model))
    if not any(found.people):
        raise ValueError(f"no person is detected in the {len(found.people)} frames of {path}")
    people = [
        [Person(found.tracks.ids[who], sighting.points, sighting.scores) for who, sighting in zip(persons, frame)]
        for persons, frame in zip(found.tracks.persons, _placed(found))
    ]
    recording = Recording(people, found.skeleton, times=found.seconds, unit=1.0)
    return poses_of([recording], f"{path}", path.stem, options)


def detect(path: Path, estimator: PoseEstimator) -> Detections:
    """The persons in all frames of a video, and who is who.

    Joints below a confidence of 0.5 count as not seen: their score is 0. Left and right are exchanged again where the
    estimator exchanged them (see `skelrep.io.video.sides`).

    Raises:
        ValueError: if the file is no video, or contains no frame.
    """
    seconds, people = [], []
    estimator.begin()
    try:
        with open_video(path) as video:
            frames = tqdm(video.frames(), total=video.count, desc="poses", unit="frame", delay=1, disable=None)
            for frame in frames:
                seconds.append(frame.seconds)
                people.append([_visible(sighting) for sighting in estimator(frame.image, frame.seconds)])
    finally:
        estimator.end()
    if not seconds:
        raise ValueError(f"{path} contains no frame that can be decoded")
    # Persons are matched by their positions in the picture, because the points of each may have a different origin.
    pictures = [[shown(Person(None, s.picture, s.scores)) for s in frame] for frame in people]
    tracks = identify([[None] * len(frame) for frame in people], pictures)
    if getattr(estimator, "undo_exchanges", True):
        people = _with_sides(people, tracks, seconds, estimator.skeleton, path)
    return Detections(seconds, people, tracks, estimator.skeleton)


def _with_sides(
    people: list[list[Sighting]], tracks: Tracks, seconds: list[float], skeleton: str, path: Path
) -> list[list[Sighting]]:
    """The sightings, with left and right exchanged again if the estimator confused front and back."""
    table = resolve(skeleton)
    between = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    fps = 1 / between if between > 0 else None  # damaged videos repeat a time
    people, mirror, found = [list(frame) for frame in people], list(table.mirror), 0
    for who in range(len(tracks.ids)):
        at = [(t, persons.index(who)) for t, persons in enumerate(tracks.persons) if who in persons]
        points = np.stack([shown(Person(None, people[t][i].points, people[t][i].scores)) for t, i in at])
        exchanged = find_exchanges(points, table, fps)
        found += int(exchanged.sum())
        for (t, i), wrong in zip(at, exchanged):
            if wrong:
                one = people[t][i]
                people[t][i] = Sighting(one.points[mirror], one.picture[mirror], one.scores[mirror])
    if found:
        warn(
            f"{path}: in {found} of {len(seconds)} frames the pose estimator exchanged left and right, because nobody "
            "can turn so fast; this is corrected (MediaPipePose(undo_exchanges=False) keeps it)"
        )
    return people


def estimator(pose_model: str | os.PathLike[str] | PoseEstimator | None) -> PoseEstimator:
    """The estimator that `pose_model` names: MediaPipe with this bundle, or what is an estimator already."""
    if pose_model is None or isinstance(pose_model, (str, os.PathLike)):
        return MediaPipePose(pose_model)
    if isinstance(pose_model, PoseEstimator):
        return pose_model
    raise TypeError(
        "pose_model must be the path of a MediaPipe bundle or a PoseEstimator (skeleton, begin, end, __call__), got "
        f"{type(pose_model).__name__}"
    )


def _visible(sighting: Sighting) -> Sighting:
    scores = np.asarray(sighting.scores, dtype=np.float32)
    return Sighting(
        np.asarray(sighting.points, dtype=np.float32),
        np.asarray(sighting.picture, dtype=np.float32),
        np.where(scores < VISIBLE, np.float32(0), scores),
    )


def _placed(found: Detections) -> Iterable[list[Sighting]]:
    """The sightings; several persons in space where they stand beside each other in the picture.

    An estimator of one camera gives each person's joints relative to its own hips. Of one person that is kept; several
    would all stand at one point. They are moved by their positions in the picture, with one factor of metres per pixel
    for the whole video, that is, as if they were equally far from the camera.
    """
    several = any(len(frame) > 1 for frame in found.people)
    everybody = [sighting for frame in found.people for sighting in frame]
    if not several or everybody[0].points.shape[1] < 3:
        return found.people
    metres = float(np.nanmedian([_extent(s, s.points[:, :2]) / max(_extent(s, s.picture), 1e-9) for s in everybody]))
    return [[_moved(sighting, metres) for sighting in frame] for frame in found.people]


def _extent(sighting: Sighting, points: np.ndarray) -> float:
    seen = points[sighting.scores > 0]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) > 1 else np.nan


def _moved(sighting: Sighting, metres: float) -> Sighting:
    seen = sighting.scores > 0
    if not seen.any():
        return sighting
    there = sighting.picture[seen].mean(axis=0) * np.array([metres, -metres])
    here = sighting.points[seen, :2].mean(axis=0)
    move = np.array([*(there - here), 0.0], dtype=np.float32)
    return sighting._replace(points=sighting.points + move)
