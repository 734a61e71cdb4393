"""Pictures of skeletons and of results, and the explorer page."""

from __future__ import annotations

from skelrep.plot.animation import animate as animate
from skelrep.plot.confusion_matrix import confusion as confusion
from skelrep.plot.drawing import draw as draw
from skelrep.plot.overlay import overlay as overlay
from skelrep.plot.saving import save as save
from skelrep.plot.timeline import timeline as timeline
