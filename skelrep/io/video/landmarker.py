"""MediaPipe Pose as a pose estimator, by whichever of its two interfaces is installed.

mediapipe 0.10.30 and later take a model bundle (a `.task` file) and detect several persons; until 0.10.21 the wheel
contains a model for one person, which is used when no bundle is given.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from skelrep.io.mediapipe import UPRIGHT, people_in
from skelrep.io.video.estimator import Sighting
from skelrep.messages import one_line, optional

#: The environment variable that names the model bundle.
VARIABLE = "SKELREP_POSE_MODEL"
_PUBLISHED = "https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker"


class MediaPipePose:
    """MediaPipe's pose landmarks: 33 joints in metres, relative to the middle of the hips.

    Args:
        model: A model bundle such as `pose_landmarker_full.task`; by default the one that the environment variable
            SKELREP_POSE_MODEL names, or the model that mediapipe contains, until 0.10.21.
        persons: The largest number of persons in a frame. MediaPipe smooths landmarks over time for one person only.
        undo_exchanges: Whether left and right are exchanged again in frames in which MediaPipe takes somebody's front
            for the back.

    Raises:
        FileNotFoundError: if there is no such bundle.
        ValueError: if no bundle is given and mediapipe contains no model, or MediaPipe cannot read the bundle.
        ModuleNotFoundError: without mediapipe (the extra `video`).

    Examples:
        >>> poses = skelrep.read("clip.mp4", pose_model=MediaPipePose("pose_landmarker_full.task", persons=1))
    """

    skeleton = "mediapipe-33"

    def __init__(
        self, model: str | os.PathLike[str] | None = None, persons: int = 2, undo_exchanges: bool = True
    ) -> None:
        """Loads nothing yet; `begin` does."""
        # Its messages on stderr are about its own internals; the variables are read when it is loaded.
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        self._mediapipe = optional("mediapipe", "video")
        model = model if model is not None else os.environ.get(VARIABLE) or None
        if model is not None and not Path(model).is_file():
            raise FileNotFoundError(f"there is no pose model at {model}")
        if model is None and not hasattr(self._mediapipe, "solutions"):
            raise ValueError(
                f"mediapipe {self._mediapipe.__version__} contains no pose model: download a bundle such as "
                f"pose_landmarker_full.task from {_PUBLISHED} and name it by pose_model= or the environment variable "
                f"{VARIABLE}"
            )
        self.model, self.persons, self.undo_exchanges = model, persons, undo_exchanges
        self._landmarker: Any = None
        self._last = -1

    def begin(self) -> None:
        """Forgets the previous video."""
        self.end()
        self._landmarker = self._bundled() if self.model is None else self._from_bundle()
        self._last = -1

    def end(self) -> None:
        """Frees the model."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def __call__(self, image: np.ndarray, seconds: float) -> list[Sighting]:
        """The persons in one frame; see `PoseEstimator`."""
        if self._landmarker is None:
            self.begin()
        assert self._landmarker is not None
        if self.model is None:
            result = self._landmarker.process(image)
        else:
            self._last = max(self._last + 1, round(1000 * seconds))  # milliseconds that increase
            picture = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=image)
            result = self._landmarker.detect_for_video(picture, self._last)
        world = people_in({"pose_world_landmarks": result.pose_world_landmarks})
        picture = people_in({"pose_landmarks": result.pose_landmarks})  # fractions of the picture
        size = (image.shape[1], image.shape[0])
        return [
            Sighting(deep.points * UPRIGHT, flat.points[:, :2] * size, flat.scores)
            for deep, flat in zip(world, picture)
            if flat.scores is not None
        ]

    def _bundled(self) -> Any:
        return self._mediapipe.solutions.pose.Pose(model_complexity=1)

    def _from_bundle(self) -> Any:
        tasks = self._mediapipe.tasks
        vision = tasks.vision
        options = vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(self.model)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=self.persons,
        )
        try:
            return vision.PoseLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"MediaPipe cannot use {self.model} as a pose model ({one_line(error)})") from error
