"""Videos drawn for tests, and a pose estimator that finds what is drawn in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import ndimage

from skelrep.io import Sighting
from skelrep.skeletons import SKELETONS
from tests.bodies import walking

WIDTH, HEIGHT = 160, 120
#: A standing person in pixels with y down, relative to the middle of the body.
BODY = walking("coco-17", 1)[0, 0, :, :2] * [30, -30]
BODY -= BODY.mean(axis=0)


def write_video(
    path: Path, images: Sequence[np.ndarray], seconds: Sequence[float] | None = None, rate: int = 30, turned: int = 0
) -> Path:
    """An H.264 or MPEG-4 video of (H, W, 3) images, with a flag that players turn it clockwise by quarter turns."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if "libx264" in av.codecs_available else "mpeg4", rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if seconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if seconds is not None:
                frame.pts, frame.time_base = round(1000 * seconds[i]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if turned:
        content = bytearray(path.read_bytes())
        # The matrix of the track header (ISO 14496-12, 8.3.2): 36 bytes, 40 after the header's version.
        matrix = content.index(b"tkhd") + 4 + 40
        cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turned % 4]
        one = 1 << 16
        content[matrix : matrix + 36] = struct.pack(
            ">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30
        )
        path.write_bytes(content)
    return path


def picture(*people: tuple[float, float]) -> np.ndarray:
    """A black (120, 160, 3) picture with a white square of 9 pixels around each (x, y)."""
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for x, y in people:
        image[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5] = 255
    return image


class Squares:
    """Finds the squares of `picture`; each is the middle of a standing person.

    With `deep` it gives coordinates in metres relative to the person's middle, as MediaPipe does.
    """

    skeleton = "coco-17"
    assert len(SKELETONS["coco-17"]) == len(BODY)

    def __init__(self, deep: bool = False, hidden: Sequence[int] = ()) -> None:
        self.deep, self.hidden = deep, list(hidden)
        self.began = self.ended = 0

    def begin(self) -> None:
        self.began += 1

    def end(self) -> None:
        self.ended += 1

    def __call__(self, image: np.ndarray, seconds: float) -> list[Sighting]:
        labelled, count = ndimage.label(image[..., 1] > 128)
        middles = [np.argwhere(labelled == i + 1).mean(axis=0)[::-1] for i in range(count)]
        return [self._sighting(middle) for middle in middles]

    def _sighting(self, middle: np.ndarray) -> Sighting:
        seen = BODY + middle
        points = np.column_stack([BODY * [1 / 30, -1 / 30], np.linspace(-0.2, 0.2, len(BODY))]) if self.deep else seen
        scores = np.full(len(BODY), 0.9)
        scores[self.hidden] = 0.2
        return Sighting(points, seen, scores)
