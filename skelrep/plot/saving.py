"""Saving a clip as a picture or as an animation.

Pictures are written one at a time, so memory does not grow with their number.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm.auto import tqdm

from skelrep.files import check_parent, replacing
from skelrep.messages import optional
from skelrep.plot.animation import Film
from skelrep.plot.drawing import draw
from skelrep.plot.timeline import timeline
from skelrep.recordings.events import Events
from skelrep.skeletons import Skeleton

PICTURES, ANIMATIONS = (".png", ".svg", ".pdf"), (".gif", ".mp4")

_COLOURS = 128  # of a .gif: two persons, their shades and the smooth edges of lines need about 100
_PALETTE_PICTURES = 8  # number of pictures from which the palette is computed


def save(
    poses: Any,
    path: str | os.PathLike,
    *,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    view: float = 30.0,
    fps: float | None = None,
    pictures: float | None = None,
    start: float | None = None,
    end: float | None = None,
    placement: str = "auto",
    events: Events | None = None,
    show_progress: bool | None = None,
) -> None:
    """Draws one clip into a file: an animation as `.gif` or `.mp4`, or a row of moments as `.png`, `.svg` or `.pdf`.

    Examples:
        >>> save(clips[7], "clip.mp4", start=60, end=80)
        >>> save(session, "timeline.png", events=Events.load("events.csv"))

    Args:
        poses: One clip, as `embed` takes it; with `events`, a picture shows several recordings.
        path: The file; its suffix decides the format.
        skeleton: The joints of an array.
        view: Camera angle in degrees, as in `draw`.
        fps: Frames per second of the clip, if it has none.
        pictures: Pictures per second of a `.gif` or `.mp4`; by default those of the clip, at most 25.
        start: Start time in seconds.
        end: End time in seconds.
        placement: As in `draw`.
        events: Events of the clip: an animation shows their labels while they last, and a picture is a `timeline`
            instead of a row of moments.
        show_progress: A progress bar on stderr; by default only in a terminal or notebook.

    Raises:
        ValueError: for another suffix, and as `animate` and `timeline`.
        ModuleNotFoundError: without matplotlib, or without PyAV for `.mp4`.
    """
    check_output(path)
    path = Path(path)
    suffix = path.suffix.lower()
    look: dict[str, Any] = {"skeleton": skeleton, "view": view, "fps": fps, "start": start, "end": end}
    if suffix in PICTURES:
        figure = draw(poses, placement=placement, **look) if events is None else timeline(poses, events, **look)
        with replacing(path) as file:
            figure.savefig(file, format=suffix[1:])
        return
    av = optional("av", "video") if suffix == ".mp4" else None
    film = Film.of(poses, pictures=pictures, placement=placement, events=events, **look)
    disable = None if show_progress is None else not show_progress
    with replacing(path) as file:
        pictures_shown = tqdm(film.render(), total=len(film.frames), desc="plot", unit="picture", disable=disable)
        if av is None:
            _write_gif(file, film, pictures_shown)
        else:
            write_mp4(file, film.rate, pictures_shown, av)


def check_output(path: str | os.PathLike) -> None:
    """Raises the errors of `save` that concern the path, for callers who read videos before they draw.

    Raises:
        ValueError: for an unknown suffix.
        FileNotFoundError: for a folder that does not exist.
        ModuleNotFoundError: for `.mp4` without PyAV.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURES + ANIMATIONS:
        raise ValueError(f"the file must end in {', '.join(PICTURES + ANIMATIONS)}, got {str(path)!r}")
    check_parent(path)
    if path.suffix.lower() == ".mp4":
        optional("av", "video")


def _write_gif(file: IO[bytes], film: Film, pictures: Iterable[np.ndarray]) -> None:
    """Writes pictures one at a time; Pillow's own writer of animations keeps all of them in memory.

    All pictures share one palette, because separate palettes make colours flicker. There is no dithering, which would
    look like noise.
    """
    from PIL import GifImagePlugin, Image  # matplotlib needs Pillow

    sample = list(film.render(film.frames[:: max(1, len(film.frames) // _PALETTE_PICTURES)]))
    height, width = sample[0].shape[:2]
    palette = Image.fromarray(np.concatenate(sample)).quantize(_COLOURS)
    colours = np.zeros((_COLOURS, 3), dtype=np.uint8)
    used = np.array(palette.getpalette(), dtype=np.uint8).reshape(-1, 3)[:_COLOURS]
    colours[: len(used)] = used
    first = Image.fromarray(sample[0]).quantize(palette=palette, dither=Image.Dither.NONE)
    colours[np.asarray(first)[0, 0]] = 255  # quantisation makes white only nearly white

    # The flags announce a table of 2^(6 + 1) colours with 8 bits per channel.
    file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0b1_111_0_110, 0, 0) + colours.tobytes())
    file.write(b"!\xff\x0bNETSCAPE2.0" + struct.pack("<BBHB", 3, 1, 0, 0))  # repeated without end
    before = None
    for picture, delay in zip(pictures, _hundredths(film.rate)):
        image = Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        now = np.asarray(image)
        top, bottom, left, right = _changed(before, now)
        part = image.crop((left, top, right, bottom))
        for block in GifImagePlugin.getdata(part, (left, top), duration=10 * delay, include_color_table=False):
            file.write(block)
        before = now
    file.write(b";")


def _hundredths(rate: float) -> Iterator[int]:
    """How long each picture is shown, in hundredths of a second; rounding errors do not accumulate."""
    shown, count = 0, 0
    while True:
        count += 1
        yield round(100 * count / rate) - shown
        shown = round(100 * count / rate)


def _changed(before: np.ndarray | None, now: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the region in which two pictures differ; at least one pixel."""
    if before is None:
        return 0, now.shape[0], 0, now.shape[1]
    rows, columns = np.flatnonzero((before != now).any(axis=1)), np.flatnonzero((before != now).any(axis=0))
    if not len(rows):
        return 0, 1, 0, 1
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def write_mp4(file: IO[bytes], rate: float, pictures: Iterable[np.ndarray], av: Any) -> None:
    """Writes H.264 if PyAV was built with it, else MPEG-4; players on all systems support both."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        for i, picture in enumerate(pictures):
            height, width = (side // 2 * 2 for side in picture.shape[:2])  # yuv420p needs even sides
            if i == 0:
                stream.height, stream.width = height, width
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
