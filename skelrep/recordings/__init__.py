"""Classification, detection by example and segmentation of recordings."""

from __future__ import annotations

from skelrep.recordings.annotations import annotated as annotated
from skelrep.recordings.changes import change_segments as change_segments
from skelrep.recordings.classifier import Classifier as Classifier
from skelrep.recordings.detection import detect as detect
from skelrep.recordings.events import Event as Event
from skelrep.recordings.events import Events as Events
from skelrep.recordings.fitting import fit as fit
from skelrep.recordings.live import LiveSegments as LiveSegments
from skelrep.recordings.segments import SegmentRules as SegmentRules
