"""Answers about recordings: classifiers that are kept, detection by example, segments."""

from __future__ import annotations

from skelrep.recordings.events import Event as Event
from skelrep.recordings.events import Events as Events
