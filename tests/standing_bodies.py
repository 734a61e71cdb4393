"""A standing person on the skeletons of NTU, Kinect and the encoders, still or with every joint in motion."""

from __future__ import annotations

import numpy as np

from skelrep.skeletons import SKELETONS, Skeleton

NTU, KINECT, COMMON = SKELETONS["ntu-25"], SKELETONS["kinect-20"], SKELETONS["common-15"]

# Metres; z up, the body's right on +x.
STANDING = {
    "pelvis": (0, 0, 1.0),
    "spine": (0, 0, 1.2),
    "chest": (0, 0, 1.45),
    "neck": (0, 0, 1.5),
    "head": (0, 0.05, 1.7),
    "shoulder": (0.2, 0, 1.45),
    "elbow": (0.3, 0, 1.2),
    "wrist": (0.3, 0.1, 1.0),
    "hand": (0.3, 0.15, 0.95),
    "hand_tip": (0.3, 0.2, 0.9),
    "thumb": (0.25, 0.18, 0.95),
    "hip": (0.1, 0, 0.95),
    "knee": (0.12, 0.02, 0.5),
    "ankle": (0.12, 0, 0.1),
    "foot": (0.12, 0.15, 0.0),
}


def standing(skeleton: Skeleton) -> np.ndarray:
    """(V, 3): a person who stands upright."""
    pose = np.array([STANDING[joint.removeprefix("left_").removeprefix("right_")] for joint in skeleton.joints])
    pose[[joint.startswith("left_") for joint in skeleton.joints], 0] *= -1
    return pose


def moving(frames: int, seed: int = 0, skeleton: Skeleton = NTU) -> np.ndarray:
    """(T, V, 3): a standing person whose joints each move by about 10 cm."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None]
    phase, speed = random.uniform(0, 6, (len(skeleton), 3)), random.uniform(0.05, 0.3, (len(skeleton), 3))
    return standing(skeleton) + 0.1 * random.uniform(0.2, 1, (len(skeleton), 3)) * np.sin(phase + speed * time)
