"""Poses: clips of one skeleton, and how arrays, lists and files become them."""

from __future__ import annotations

from skelrep.persons import motion_energy as motion_energy
from skelrep.poses.arrays import as_poses as as_poses
from skelrep.poses.poses import Poses as Poses
