"""Files of poses: `read` and `write`, and one module for each family of formats.

A format is a `Reader`; `skelrep.io.registry` lists them and decides which one reads a file.
"""

from __future__ import annotations

from skelrep.io.mediapipe import from_mediapipe as from_mediapipe
from skelrep.io.reader import Reader as Reader
from skelrep.io.reader import ReadOptions as ReadOptions
from skelrep.io.reading import read as read
from skelrep.io.reading import read_parts as read_parts
from skelrep.io.registry import READERS as READERS
from skelrep.io.registry import readers as readers
from skelrep.io.report import ReadReport as ReadReport
from skelrep.io.sources import EMBEDDINGS as EMBEDDINGS
from skelrep.io.video import MediaPipePose as MediaPipePose
from skelrep.io.video import PoseEstimator as PoseEstimator
from skelrep.io.video import Sighting as Sighting
from skelrep.io.writing import write as write
from skelrep.splits import members as members
