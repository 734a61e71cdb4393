"""How bodies are drawn, in pictures and on the explorer page: lines between joints, the upward direction, the floor."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from skelrep.alignment import map_joints
from skelrep.poses import Poses
from skelrep.poses.covering import covering_joints
from skelrep.skeletons import SKELETONS, Skeleton, mapping

_FACE = {"nose", "head", "head_top"}
_FACE |= {f"{side}_{part}" for side in ("left", "right") for part in ("eye", "ear", "eye_inner", "eye_outer", "mouth")}

DEFAULT_FPS = 30.0  # for clips without a frame rate: the rate of most cameras and depth sensors

_LARGEST_TILT = 25.0  # degrees: sensors are tilted less, and a person who leans more is not standing
_TRUNKS_PER_HEIGHT = 3  # height of a standing person in trunks, for clips without shoulders or hips


def drawable(poses: Poses) -> Poses:
    """The poses, mapped to the common skeleton if their own has no tree of bones.

    Raises:
        ValueError: if it cannot be mapped; the message lists the joints.
    """
    parents = set(poses.skeleton.parents)
    if len(parents) > 1 or len(poses.skeleton) < 3:
        return poses
    common = SKELETONS["common-15"]
    poses = covering_joints(poses, common)
    matrix = torch.from_numpy(mapping(poses.skeleton, common))
    clips = [map_joints(torch.from_numpy(clip), matrix).numpy() for clip in poses.clips]
    return Poses(clips, common, poses.ids, poses.labels, poses.fps, info=poses.info)


def bones(skeleton: Skeleton) -> list[tuple[int, int]]:
    """The pairs of joints that are connected by a line.

    These are the edges of the tree, except those inside a face, for which a head is drawn. If shoulders are children of
    the nose and hips are children of the shoulders, as in COCO's tree, both shoulders and both hips are connected,
    through the neck and the pelvis if there are such joints.
    """
    index = {joint: i for i, joint in enumerate(skeleton.joints)}
    pairs = []
    for i, parent in enumerate(skeleton.parents):
        joint, upper = skeleton.joints[i], skeleton.joints[parent]
        from_face = is_face(upper) and (is_face(joint) or joint.endswith("_shoulder"))
        if i != parent and not from_face:
            pairs.append((i, parent))
        if joint == "left_shoulder" and from_face or joint == "left_hip" and upper == "left_shoulder":
            other, middle = (
                index[joint.replace("left", "right")],
                index.get("neck" if "shoulder" in joint else "pelvis"),
            )
            pairs += [(i, other)] if middle is None else [(i, middle), (other, middle)]
    return pairs


def is_face(joint: str) -> bool:
    """Whether a joint belongs to the face, which is drawn as a head."""
    return joint in _FACE or joint.startswith("face_")


def sides(skeleton: Skeleton) -> list[int]:
    """The side of every joint: 0 (trunk), 1 (left) or 2 (right)."""
    return [1 if joint.startswith("left_") else 2 if joint.startswith("right_") else 0 for joint in skeleton.joints]


def head(skeleton: Skeleton) -> list[int]:
    """The joints whose mean is the centre of the head."""
    names = ("head", "left_ear", "right_ear", "left_eye", "right_eye", "nose", "head_top")
    found = [i for i, joint in enumerate(skeleton.joints) if joint in names[:5]]
    return found or [i for i, joint in enumerate(skeleton.joints) if joint in names[5:]][:1]


def tips(skeleton: Skeleton) -> list[int]:
    """The joints that leave a trail: hands and feet."""
    return [i for i, joint in enumerate(skeleton.joints) if joint.endswith(("_wrist", "_ankle"))]


def oriented(clip: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """A clip as seen by a viewer in front of the first person.

    Up is first the coordinate axis, with a sign, along which the shoulders are above the legs on average: y up, z up,
    or y down as in images. Because a sensor may be tilted, the mean direction from ankles to hips replaces this axis if
    it is within 25 degrees of it. The front is the mean direction that the shoulders face.

    Args:
        clip: (M, T, V, C), C of 2 or 3.
        skeleton: The skeleton of the clip.

    Returns:
        (M, T, V, 3) in the clip's unit: to the right, up, and towards the viewer (0 for two-dimensional poses). The
        origin is the centre of the bounding box.
    """
    upwards = _mean_of(clip, skeleton, "shoulder", "neck", "mid_shoulders", "head", "nose")
    upwards = upwards - _mean_of(clip, skeleton, "knee", "ankle", "hip", "pelvis", "mid_hips")
    across = _mean_of(clip[:1], skeleton, "left_shoulder", "left_hip")
    across = across - _mean_of(clip[:1], skeleton, "right_shoulder", "right_hip")
    if clip.shape[3] == 2:
        sign = 1.0 if upwards[1] > 0 else -1.0  # NaN, from unknown joints, counts as an image with y down
        turned = np.concatenate([clip * (1, sign), np.where(np.isnan(clip[..., :1]), np.nan, 0.0)], axis=-1)
    else:
        axis = 1 if np.isnan(upwards).any() else int(np.abs(upwards).argmax())
        up = np.eye(3)[axis] * (-1.0 if upwards[axis] < 0 else 1.0)
        standing = _unit(_mean_of(clip, skeleton, "hip", "pelvis", "mid_hips") - _mean_of(clip, skeleton, "ankle"))
        if standing @ up > np.cos(np.radians(_LARGEST_TILT)):
            up = standing
        across = across - (across @ up) * up
        # If no left and right joints were seen, the front is arbitrary.
        right = _unit(across if np.abs(across).max() > 0 else np.cross(up, np.eye(3)[axis - 1]))
        turned = clip @ np.stack([right, up, np.cross(right, up)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a clip in which nobody is seen
        low, high = np.nanmin(turned, axis=(0, 1, 2)), np.nanmax(turned, axis=(0, 1, 2))
    return turned - np.nan_to_num((low + high) / 2)


def turns(turned: np.ndarray, skeleton: Skeleton, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The angles by which parts of an oriented recording must be turned so that the first person faces the viewer.

    Args:
        turned: (M, T, V, 3) as `oriented` returns it.
        skeleton: The skeleton of the recording.
        first: (n,) first frame of each part.
        last: (n,) frame after its last one.

    Returns:
        (n,) degrees around the vertical axis; 0 if neither shoulders nor hips are seen.
    """
    left, right = (
        [i for i, joint in enumerate(skeleton.joints) if joint in (f"{side}_shoulder", f"{side}_hip")]
        for side in ("left", "right")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames and skeletons without these joints
        across = np.nanmean(turned[0][:, left], axis=1) - np.nanmean(turned[0][:, right], axis=1)  # (T, 3)
    total = np.concatenate([np.zeros((1, 3)), np.cumsum(np.nan_to_num(across), axis=0)])
    to_the_right, _, to_the_viewer = (total[last] - total[first]).T
    return -np.degrees(np.arctan2(to_the_viewer, to_the_right))


def ground(turned: np.ndarray, skeleton: Skeleton) -> float | None:
    """The height of the floor in an oriented clip: the lowest position of a foot, or None if no foot is seen."""
    feet = [i for i, joint in enumerate(skeleton.joints) if joint.endswith(("ankle", "foot", "heel", "toe"))]
    heights = turned[:, :, feet, 1]
    return None if np.isnan(heights).all() else float(np.nanmin(heights))


def trunk_length(turned: np.ndarray, skeleton: Skeleton) -> float:
    """The length of the first person's trunk, the unit of heads and lines; if not seen, a third of the height."""
    upper = _mean_of(turned[:1], skeleton, "shoulder", "shoulders", "neck")
    lower = _mean_of(turned[:1], skeleton, "hip", "hips", "pelvis")
    length = float(np.linalg.norm(upper - lower))
    if not length > 0:  # NaN as well
        heights = turned[..., 1]
        height = float(np.fmax.reduce(heights, axis=None) - np.fmin.reduce(heights, axis=None))
        length = height / _TRUNKS_PER_HEIGHT
    return length if length > 0 else 1.0


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _mean_of(clip: np.ndarray, skeleton: Skeleton, *endings: str) -> np.ndarray:
    """(C,) mean of the joints whose names have one of the endings; NaN if there is none."""
    rows = [i for i, joint in enumerate(skeleton.joints) if joint.endswith(endings)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(clip[:, :, rows].astype(np.float64), axis=(0, 1, 2))
