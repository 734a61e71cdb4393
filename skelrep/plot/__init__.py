"""Pictures of skeletons, of results, and the explorer page."""

from __future__ import annotations

from skelrep.plot.drawing import animate as animate
from skelrep.plot.drawing import confusion as confusion
from skelrep.plot.drawing import draw as draw
from skelrep.plot.drawing import save as save
