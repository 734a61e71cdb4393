"""A small BVH, a small ASF with its AMC, and helpers for the tests that read them."""

import numpy as np

# A thigh of length 2 and a shank of length 1; the channels of the knee and the hip have different orders.
LEG = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Leg { OFFSET 0 -2 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site { OFFSET 0 -1 0 }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0 0 0 0  0 0 0
1 2 3 90 0 0  0 0 0
0 0 0 90 0 90  90 90 0
"""

SKELETON = """:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    name lfemur
    direction 0 -1 0
    length 2
    axis 0 0 90 XYZ
    dof rx ry
  end
  begin
    name ltibia  # follows
    direction 0 -1 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
  end
"""
MOTION = """:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
lfemur 0 0
2
root 1 2 3 0 90 0
lfemur 0 90
"""


def bone_lengths(poses) -> np.ndarray:
    points, parents = poses.clips[0][0].astype(float), list(poses.skeleton.parents)
    return np.linalg.norm(points - points[:, parents], axis=-1)


def joint(poses, name: str) -> np.ndarray:
    return poses.clips[0][0, :, poses.skeleton.joints.index(name)]
