"""Videos: people are detected in each frame by a pose estimator, and tracked over time."""

from __future__ import annotations

from skelrep.io.reader import Reader
from skelrep.io.video.decoding import SUFFIXES
from skelrep.io.video.estimation import read
from skelrep.io.video.estimator import PoseEstimator as PoseEstimator
from skelrep.io.video.estimator import Sighting as Sighting
from skelrep.io.video.landmarker import MediaPipePose as MediaPipePose

READER = Reader("video", SUFFIXES, read, last_resort=True)
