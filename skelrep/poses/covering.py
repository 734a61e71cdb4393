"""Poses of part of a body, such as sign language without legs, on a skeleton that has the missing joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skelrep.messages import warn
from skelrep.poses.poses import Poses
from skelrep.skeletons import Skeleton, covering


def covering_joints(poses: Poses, target: Skeleton) -> Poses:
    """The poses, with the joints that `target` needs and their skeleton lacks as never seen (NaN), with a warning.

    Raises:
        ValueError: if the skeleton has too few joints of a body (see `skelrep.skeletons.covering`).
    """
    skeleton = covering(poses.skeleton, target)
    added = len(skeleton) - len(poses.skeleton)
    if not added:
        return poses
    warn(
        f"the skeleton {poses.skeleton.name!r} has no {', '.join(skeleton.joints[-added:])}; these joints count as "
        "never seen"
    )
    space = [(0, 0), (0, 0), (0, added)]
    clips = [np.pad(clip, [*space, (0, 0)], constant_values=np.nan) for clip in poses.clips]
    scores = None if poses.scores is None else [np.pad(score, space) for score in poses.scores]
    return replace(poses, clips=clips, scores=scores, skeleton=skeleton)
