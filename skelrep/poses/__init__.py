"""Poses: clips of one skeleton, and their construction from arrays, lists and files."""

from __future__ import annotations

from skelrep.persons import motion_energy as motion_energy
from skelrep.poses.arrays import as_poses as as_poses
from skelrep.poses.poses import Poses as Poses
