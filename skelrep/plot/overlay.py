"""The detected persons drawn on the pictures of their video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from skelrep.files import replacing
from skelrep.io.video.decoding import Frame, open_video
from skelrep.io.video.estimation import Detections, detect, estimator
from skelrep.io.video.estimator import PoseEstimator, Sighting
from skelrep.messages import caption, optional
from skelrep.plot.body import bones, sides
from skelrep.plot.drawing import LEFT, RIGHT
from skelrep.plot.saving import write_mp4
from skelrep.recordings.events import Events
from skelrep.skeletons import resolve

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_TRUNK = "#FFFFFF"  # pictures are seldom white, and black is lost in shadows
_RIM = "#000000"
_LINES_PER_HEIGHT, _LETTERS_PER_HEIGHT = 150, 30  # of the picture
_RATE = 25.0  # pictures per second where a video does not state its own


def overlay(
    video: str | os.PathLike,
    path: str | os.PathLike,
    *,
    pose_model: str | os.PathLike | PoseEstimator | None = None,
    events: Events | None = None,
    show_progress: bool | None = None,
) -> None:
    """Draws the skeletons of detected persons, their ids, and labels on the pictures of a video.

    Examples:
        >>> overlay("squat.mp4", "check.mp4", pose_model="pose_landmarker_full.task", events=Events.load("events.csv"))

    Args:
        video: The video; it is decoded twice, so that memory does not grow with its length.
        path: The `.mp4` file to write, at the average rate of the video.
        pose_model: As in `skelrep.read`.
        events: Labels that are shown while they last: with the person whose id they name, or in a corner of the
            picture. Events that name another clip than the stem of the video are left out.
        show_progress: A progress bar on stderr; by default only in a terminal or notebook.

    Raises:
        ValueError: for another suffix, and as `skelrep.read` for a video.
        ModuleNotFoundError: without PyAV, or without Pillow.
    """
    video, path = Path(video), Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"a video with an overlay is an .mp4 file, got {str(path)!r}")
    av = optional("av", "video")
    optional("PIL", "video")
    with replacing(path) as file:  # before the work, so that a missing folder is reported at once
        found = detect(video, estimator(pose_model))
        with open_video(video) as source:
            disable = None if show_progress is None else not show_progress
            frames = tqdm(source.frames(), total=len(found.seconds), desc="plot", unit="picture", disable=disable)
            write_mp4(file, source.rate or _RATE, _painted(frames, found, _of_clip(events, video.stem)), av)


def _of_clip(events: Events | None, name: str) -> Events:
    if events is None:
        return Events.of([])
    return events[(events.clip == name) | (events.clip == "")]


def _painted(frames: Iterable[Frame], found: Detections, events: Events) -> Iterator[np.ndarray]:
    from PIL import Image, ImageDraw, ImageFont

    skeleton = resolve(found.skeleton)
    pairs, side = bones(skeleton), sides(skeleton)
    for frame, people, persons in zip(frames, found.people, found.tracks.persons):
        picture = Image.fromarray(frame.image)
        draw, height = ImageDraw.Draw(picture), picture.height
        font = ImageFont.load_default(max(10, height // _LETTERS_PER_HEIGHT))
        now = events[(events.start <= frame.seconds) & (frame.seconds < events.end)]
        for sighting, person in zip(people, persons):
            name = found.tracks.ids[person]
            _draw_person(draw, sighting, pairs, side, max(2, height // _LINES_PER_HEIGHT))
            if (sighting.scores > 0).any():
                seen = sighting.picture[sighting.scores > 0]
                label = ", ".join([name, *now.label[now.person == name]])
                above = (float(seen[:, 0].mean()), float(seen[:, 1].min()))
                draw.text(above, caption(label), _TRUNK, font, "mb", stroke_width=2, stroke_fill=_RIM)
        corner = ", ".join(now.label[now.person == ""])
        draw.text((height // 40, height // 40), caption(corner), _TRUNK, font, stroke_width=2, stroke_fill=_RIM)
        yield np.asarray(picture)


def _draw_person(
    draw: ImageDraw, sighting: Sighting, pairs: Sequence[tuple[int, int]], side: Sequence[int], width: int
) -> None:
    """Lines between the joints that are seen, with a dark rim."""
    colours = (_TRUNK, LEFT, RIGHT)
    lines = [(i, j) for i, j in pairs if sighting.scores[i] > 0 and sighting.scores[j] > 0]
    for extra, rim in ((2, True), (0, False)):
        for i, j in lines:
            ends = [tuple(sighting.picture[i].tolist()), tuple(sighting.picture[j].tolist())]
            draw.line(ends, _RIM if rim else colours[side[i] if side[i] == side[j] else 0], width + extra)
