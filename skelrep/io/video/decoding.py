"""The frames of a video file as they are shown: upright, each with its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelrep.memory_budget import COPIES, budget_of
from skelrep.messages import one_line, optional

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
# FFmpeg chooses the format by content, and knows lists of addresses and files, such as playlists, which it would fetch.
_CONTAINERS = "mov,mp4,matroska,webm,avi"
_PIXEL_BYTES = 3 * COPIES  # of a frame in memory: red, green and blue, and copies of them


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        seconds: When it is shown, since the beginning of the video.
        image: (H, W, 3) uint8, red, green and blue, contiguous.
    """

    seconds: float
    image: np.ndarray


@dataclass(frozen=True)
class Video:
    """An open video.

    Attributes:
        rate: Frames per second on average; None if the file does not say.
        count: The number of frames that the file states; None if it does not.
    """

    rate: float | None
    count: int | None
    _container: Any
    _stream: Any

    def frames(self) -> Iterator[Frame]:
        """The frames in order of time, one at a time.

        Times are the file's own, so a variable frame rate is kept. Frames are turned as the file's rotation flag says
        (phones record upright videos lying on the side).
        """
        first = None
        for index, frame in enumerate(self._container.decode(self._stream)):
            seconds = self._seconds(frame, index)
            first = seconds if first is None else first
            yield Frame(seconds - first, _upright(frame))

    def _seconds(self, frame: Any, index: int) -> float:
        if frame.time is not None:
            return float(frame.time)
        if not self.rate:
            raise ValueError("the video has neither times nor a frame rate; convert it, for example to .mp4")
        return index / self.rate


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """The first video stream of a file.

    Raises:
        ValueError: if the file contains no video, or is damaged; also from within the `with` block.
        ModuleNotFoundError: without PyAV (the extra `video`).
    """
    av = optional("av", "video")
    budget = budget_of(path)
    # The decoder refuses larger frames, which a damaged header may claim.
    most = {"max_pixels": str(int(min(budget.limit / _PIXEL_BYTES, 2**31 - 1)))}
    only = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}
    try:
        # An open file, because FFmpeg takes a name such as "http:/walk.mp4" for an address.
        with path.open("rb") as file, av.open(file, options=only | most, stream_options=[most]) as container:
            if not container.streams.video:
                raise ValueError(f"{path} contains no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError(
                    f"{path} is encoded in a way that FFmpeg does not know; convert it, for example to .mp4"
                )
            stream.thread_type = "AUTO"
            stream.codec_context.options = most
            budget.claim(stream.codec_context.width * stream.codec_context.height * _PIXEL_BYTES)
            rate = float(stream.average_rate) if stream.average_rate else None
            yield Video(rate, stream.frames or None, container, stream)
    except av.FFmpegError as error:
        raise ValueError(f"{path} is damaged or not a video ({one_line(error)})") from error


def _upright(frame: Any) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    # The rotation is counterclockwise, in degrees. Rows of a decoded frame may be padded, but pose estimators need
    # contiguous memory.
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
