"""What a pose estimator is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


class Sighting(NamedTuple):
    """One person in one frame, as a pose estimator sees it.

    Attributes:
        points: (V, 3) or (V, 2): in metres with y up, the origin anywhere; or pixels of the picture with y down.
        picture: (V, 2) the same joints in pixels of the picture, for identities over time and drawings.
        scores: (V,) confidence of each joint, 0 to 1.
    """

    points: np.ndarray
    picture: np.ndarray
    scores: np.ndarray


@runtime_checkable
class PoseEstimator(Protocol):
    """What detects people in the frames of a video, such as `MediaPipePose`.

    Attributes:
        skeleton: The skeleton of its joints, as `skelrep.skeletons.resolve` takes it.

    Examples:
        >>> class Rtmlib:
        ...     skeleton = "coco-17"
        ...     def __init__(self):
        ...         self.body = rtmlib.Body()
        ...     def begin(self):
        ...         pass
        ...     def end(self):
        ...         pass
        ...     def __call__(self, image, seconds):
        ...         people = zip(*self.body(image[..., ::-1]))
        ...         return [Sighting(points, points, scores) for points, scores in people]
        >>> poses = skelrep.read("clip.mp4", pose_model=Rtmlib())
    """

    skeleton: str

    def begin(self) -> None:
        """Called before the first frame of each video, for estimators that use earlier frames."""
        ...

    def end(self) -> None:
        """Called after the last frame, or an error."""
        ...

    def __call__(self, image: np.ndarray, seconds: float) -> Sequence[Sighting]:
        """The persons in one frame: (H, W, 3) uint8, red, green and blue, and its time in the video."""
        ...
