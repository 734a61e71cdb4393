"""Synthetic motion: labelled clips for the examples, because no data set is included.

Bodies of different size and proportions perform twelve actions. Each action is a loop of key poses (joint angles in
degrees) that are connected by smooth curves. Forward kinematics computes the joints, with the lower foot on the floor.
A simulated depth sensor records the joints from a random direction, with noise and occasional missing joints.

    python examples/motion.py clips.npz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skelrep import SKELETONS, Poses, Skeleton
from skelrep.skeletons import mapping, resolve

# The parts of a pose and their columns in an array of angles. If all angles are zero, the person stands at attention.
PARTS = {
    "arm": slice(0, 4),  # raised forwards, raised sideways, upper arm rotated outwards, elbow bent
    "other_arm": slice(4, 8),
    "leg": slice(8, 12),  # raised forwards, raised sideways, knee bent, toes pointed
    "other_leg": slice(12, 16),
    "trunk": slice(16, 20),  # bent forwards, leant to the leading side, leading shoulder forwards, head nodded
    "lift": slice(20, 21),  # metres above the floor
}
ONE_DIRECTION = [3, 7, 10, 14]  # elbows and knees bend in one direction only
# How much each angle varies between people and over time: legs and trunk vary less than arms, and `lift` not at all.
VARIABILITY = np.repeat([1.0, 0.4, 0.4, 0.0], [8, 8, 4, 1])
BOTH_SIDES = np.r_[0:4, 0:4, 8:12, 8:12, 16:21]  # columns of the leading side, used for both sides

Parts = dict[str, tuple[float, ...]]  # "arms" and "legs" stand for both sides
Key = tuple[float, Parts]
Spans = list[tuple[float, float]]  # seconds, from and to


def _key(seconds: float, **parts: tuple[float, ...]) -> Key:
    return seconds, parts


def _both_steps(*keys: Key) -> list[Key]:
    """The key poses of a step, followed by those of a step with the other leg."""
    twins = {"arm": "other_arm", "other_arm": "arm", "leg": "other_leg", "other_leg": "leg"}
    mirrored = []
    for seconds, parts in keys:
        swapped = {twins.get(part, part): angles for part, angles in parts.items()}
        bend, lean, turn, nod = parts["trunk"]
        mirrored.append((seconds, swapped | {"trunk": (bend, -lean, -turn, nod)}))
    return [*keys, *mirrored]


# The loop of each action: seconds to reach a key pose, and the parts that differ from the resting pose.
ACTIONS: dict[str, list[Key]] = {
    "wave": [_key(0.3, arm=(20, 85, 80, 55)), _key(0.3, arm=(20, 85, 80, 120))],
    "clap": [_key(0.25, arms=(35, 15, 20, 80)), _key(0.25, arms=(42, 8, -60, 85))],
    "drink": [
        _key(0.8, arm=(55, 22, -48, 138), trunk=(-4, 0, 0, -12)),
        _key(0.7, arm=(62, 24, -48, 138), trunk=(-6, 0, 0, -25)),
        _key(0.7, arm=(15, 5, -10, 80)),
    ],
    "punch": [
        _key(0.35, arms=(25, 15, -10, 135), trunk=(8, 0, -15, 0)),
        _key(0.25, arm=(85, -5, -10, 8), other_arm=(25, 15, -10, 135), trunk=(12, 0, 35, 0)),
    ],
    "throw": [
        _key(0.6, arm=(-10, 95, 85, 95), other_arm=(60, 20, 0, 20), trunk=(-8, 5, -40, 0)),
        _key(0.3, arm=(130, 30, 10, 25), trunk=(5, -8, 20, 0), other_leg=(25, 3, 20, 0)),
        _key(0.3, arm=(35, -15, 0, 15), trunk=(25, -5, 40, -10), other_leg=(15, 3, 25, 0)),
        _key(0.6, trunk=(5, 0, 0, 0)),
    ],
    "raise arms": [_key(0.8, arms=(20, 160, 60, 10)), _key(0.4, arms=(20, 165, 60, 10)), _key(0.7)],
    "bow": [
        _key(0.9, trunk=(65, 0, 0, 15), legs=(8, 3, 0, 0), arms=(35, 5, 0, 12)),
        _key(0.5, trunk=(68, 0, 0, 15), legs=(8, 3, 0, 0), arms=(38, 5, 0, 12)),
        _key(0.9),
    ],
    "squat": [
        _key(0.8, legs=(80, 12, 115, 0), trunk=(40, 0, 0, -20), arms=(75, 5, 0, 10)),
        _key(0.2, legs=(82, 12, 117, 0), trunk=(40, 0, 0, -20), arms=(78, 5, 0, 10)),
        _key(0.7),
    ],
    "jump": [
        _key(0.45, legs=(50, 5, 85, 0), trunk=(35, 0, 0, -10), arms=(-35, 8, 0, 15)),
        _key(0.22, legs=(0, 3, 3, 35), trunk=(0, 0, 0, 0), arms=(120, 15, 0, 20), lift=(0.12,)),
        _key(0.2, legs=(8, 3, 15, 30), trunk=(5, 0, 0, 0), arms=(130, 20, 0, 25), lift=(0.38,)),
        _key(0.2, legs=(10, 3, 15, 15), trunk=(8, 0, 0, 0), arms=(70, 20, 0, 25)),
        _key(0.25, legs=(35, 5, 60, 0), trunk=(25, 0, 0, -10), arms=(15, 15, 0, 30)),
        _key(0.5),
    ],
    "kick": [
        _key(0.4, leg=(-30, 3, 70, 10), trunk=(8, 0, -15, 0), other_arm=(30, 15, 0, 30)),
        _key(0.3, leg=(95, 0, 5, 25), trunk=(-14, -4, 20, 10), arm=(-25, 25, 0, 20), other_arm=(35, 30, 0, 30)),
        _key(0.1, leg=(95, 0, 5, 25), trunk=(-14, -4, 20, 10), arm=(-25, 25, 0, 20), other_arm=(35, 30, 0, 30)),
        _key(0.35, leg=(30, 3, 50, 5)),
        _key(0.4),
    ],
    "walk": _both_steps(
        _key(
            0.27,
            leg=(25, 1, 4, -8),
            other_leg=(-20, 1, 22, 25),
            arm=(-22, 6, 0, 10),
            other_arm=(24, 4, -8, 25),
            trunk=(3, 0, -6, 0),
        ),
        _key(0.27, leg=(4, 1, 8, 0), other_leg=(18, 1, 58, 5), arms=(2, 5, 0, 15), trunk=(4, 0, 0, 0)),
    ),
    "run in place": _both_steps(
        _key(
            0.2,
            leg=(55, 2, 85, 10),
            other_leg=(2, 2, 8, 12),
            arm=(-30, 10, 0, 85),
            other_arm=(35, 5, -10, 95),
            trunk=(7, 0, -8, 0),
            lift=(0.06,),
        ),
        _key(0.14, legs=(22, 2, 42, 5), arms=(5, 8, -5, 90), trunk=(7, 0, 0, 0)),
    ),
}

# Resting poses.
HANGING: Parts = {"arms": (0, 9, 0, 14), "legs": (0, 4, 3, 0), "trunk": (2, 0, 0, 0)}
RESTS: list[Parts] = [
    HANGING,
    HANGING | {"arms": (12, 6, -38, 70)},  # hands folded
    HANGING | {"arms": (-22, 38, -62, 95)},  # hands on the hips
    HANGING | {"other_arm": (12, 8, -20, 95)},  # holding something
]
REST_PROBABILITIES = [0.55, 0.15, 0.15, 0.15]

BODY = SKELETONS["kinect-20"]
# Vectors (left, up, forward) from each joint's parent to the joint at attention, as fractions of the body height, from
# Winter, Biomechanics and Motor Control of Human Movement, after Drillis and Contini 1966. The head joint is at eye
# level.
BONES = {
    "pelvis": (0, 0, 0),
    "spine": (0, 0.09, -0.01),
    "neck": (0, 0.198, 0.01),
    "head": (0, 0.118, 0.01),
    "shoulder": (0.118, 0, 0),
    "elbow": (0, -0.186, 0),
    "wrist": (0, -0.146, 0),
    "hand": (0, -0.054, 0),
    "hip": (0.052, -0.02, 0),
    "knee": (0, -0.245, 0),
    "ankle": (0, -0.246, 0),
    "foot": (0, -0.039, 0.075),
}
TRAIN_EVERY, PERFORMERS = 2, 10  # performers 0, 2, 4 ... are for training


class _Performer(NamedTuple):
    """The properties of a person that are the same in all clips."""

    bones: np.ndarray  # (V, 3) metres
    habits: np.ndarray  # (21,) deviation from the resting pose in degrees
    manners: dict[str, np.ndarray]  # for each action, (21,) deviation from the key poses in degrees
    pace: float
    vigour: float
    left_handed: bool


def _performer(rng: np.random.Generator) -> _Performer:
    height = np.clip(rng.normal(1.70, 0.09), 1.5, 1.92)  # adults of both sexes
    stretch = {name: rng.normal(1, 0.05) for name in BONES}
    bones = []
    for joint in BODY.joints:
        side, _, name = joint.rpartition("_")
        outwards = -1 if side == "right" else 1
        bones.append(np.array(BONES[name]) * (outwards, 1, 1) * height * stretch[name])
    return _Performer(
        bones=np.array(bones),
        habits=VARIABILITY * rng.normal(0, 3, 21),
        manners={action: (VARIABILITY * rng.normal(0, 12, 21))[BOTH_SIDES] for action in ACTIONS},
        pace=rng.uniform(0.75, 1.3),
        vigour=rng.uniform(0.75, 1.1),
        left_handed=rng.random() < 0.3,  # more than in reality, so that there are enough examples
    )


def _pose(rest: np.ndarray, parts: Parts) -> np.ndarray:
    pose = rest.copy()
    for part, angles in parts.items():
        for name in {"arms": ("arm", "other_arm"), "legs": ("leg", "other_leg")}.get(part, (part,)):
            pose[PARTS[name]] = angles
    return pose


def _act(
    performer: _Performer, actions: Sequence[str], fps: float, rng: np.random.Generator
) -> tuple[np.ndarray, Spans]:
    """Angles (T, 21) of consecutive actions, and the time in seconds when each begins and ends."""
    rest = _pose(np.zeros(21), RESTS[rng.choice(len(RESTS), p=REST_PROBABILITIES)]) + performer.habits
    pace, vigour = performer.pace * rng.uniform(0.85, 1.15), performer.vigour * rng.uniform(0.9, 1.1)
    time, times, poses, spans = 0.0, [0.0], [rest], []
    for action in actions:
        begin, loop = time, ACTIONS[action]
        repeats = max(1, round(rng.uniform(1.5, 3.0) / sum(seconds for seconds, _ in loop)))
        for i, (seconds, parts) in enumerate(loop * repeats):
            pose = _pose(rest, parts)
            change = (pose - rest) + np.where(pose != rest, performer.manners[action], 0)
            time += (max(seconds, 0.4) if i == 0 else seconds) / pace * rng.uniform(0.85, 1.15)
            times.append(time)
            poses.append(rest + vigour * change + VARIABILITY * rng.normal(0, 3, 21))
        spans.append((begin, time))
        for seconds in (0.5 / pace, rng.uniform(0.1, 0.6)):  # return to the resting pose and stay there
            time += seconds
            times.append(time)
            poses.append(rest)
    frames = np.arange(0, time, 1 / fps)
    angles = np.stack([np.interp(frames, times, column) for column in np.transpose(poses)], axis=1)
    angles = _smooth(angles, 0.22 * fps) + VARIABILITY * 2.5 * _wander(len(frames), 21, fps, rng)
    angles[:, ONE_DIRECTION] = np.maximum(angles[:, ONE_DIRECTION], 0)
    return angles, spans


def _smooth(curves: np.ndarray, width: float) -> np.ndarray:
    """(T, D) curves, averaged over a window of `width` frames."""
    half = max(1, round(width / 2))
    kernel = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(curves, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1)


def _wander(frames: int, columns: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """(T, D) slow random curves around zero, with about one random value per second."""
    knots = np.arange(int(frames / fps) + 2) * fps
    values = rng.normal(size=(columns, len(knots)))
    return _smooth(np.stack([np.interp(np.arange(frames), knots, row) for row in values], axis=1), fps)


def _rotations(degrees: np.ndarray) -> np.ndarray:
    """(T, 3) rotation vectors to matrices (T, 3, 3), by Rodrigues' formula."""
    vectors = np.radians(degrees)
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[:, 0], 1e-9)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _joints(angles: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Forward kinematics: angles (T, 21) of a right-hander to joints (T, V, 3), with x left, y up and z forward."""
    still = np.zeros(len(angles))
    part = {name: angles[:, where].T for name, where in PARTS.items()}
    bend, lean, turn, nod = part["trunk"]
    # Rotation of the bone that ends at a joint relative to the bone before it: a twist, then a swing.
    swings = {"spine": (0.6 * bend, still, lean), "neck": (0.4 * bend, still, still), "head": (nod, still, still)}
    twists = {"spine": 0.4 * turn, "neck": 0.6 * turn, "head": -0.7 * turn}  # the head faces forward
    for side, outwards, arm, leg in (("right", -1, "arm", "leg"), ("left", 1, "other_arm", "other_leg")):
        ahead, aside, turned, elbow = part[arm]
        swings[f"{side}_elbow"], twists[f"{side}_elbow"] = (-ahead, still, outwards * aside), outwards * turned
        swings[f"{side}_wrist"] = (-elbow, still, still)
        ahead, aside, knee, pointed = part[leg]
        swings[f"{side}_knee"] = (-ahead, still, outwards * aside)
        swings[f"{side}_ankle"] = (knee, still, still)
        swings[f"{side}_foot"] = (ahead - knee + pointed, still, still)  # level unless the toes are pointed
    position, turned = np.zeros((len(angles), len(BODY), 3)), np.tile(np.eye(3), (len(BODY), len(angles), 1, 1))
    for i, (joint, parent) in enumerate(zip(BODY.joints, BODY.parents)):
        if i == parent:
            continue
        turned[i] = turned[parent]
        if joint in swings:
            turned[i] = turned[i] @ _rotations(np.stack(swings[joint], axis=1))
        if joint in twists:
            turned[i] = turned[i] @ _rotations(np.stack([still, twists[joint], still], axis=1))
        position[:, i] = position[:, parent] + turned[i] @ bones[i]
    return position + _ground(position, part["lift"][0])[:, None]


def _ground(position: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Positions of the pelvis (T, 3) for which the lower foot stays in place on the floor."""
    feet = position[:, [BODY.joints.index("left_foot"), BODY.joints.index("right_foot")]]
    load = np.exp(-(feet[..., 1] - feet[..., 1].min(axis=1, keepdims=True)) / 0.02)  # 2 cm: heels lift gradually
    load = (load / load.sum(axis=1, keepdims=True))[..., None]
    steps = -(np.diff(feet, axis=0, prepend=feet[:1]) * load).sum(axis=1)
    root = np.cumsum(steps, axis=0)
    root[:, 1] = np.maximum(lift, 0) - (feet * load).sum(axis=1)[:, 1]
    return root


def _seen(body: np.ndarray, skeleton: Skeleton, fps: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """A recording (1, T, W, 3) of joints (T, V, 3) by a sensor at the origin, about a metre above the floor."""
    body = body - body[:, :1].mean(axis=0) * (1, 0, 1)
    yaw = 180 + rng.uniform(-60, 60)  # roughly towards the sensor; at larger angles, arms would hide each other
    camera = _rotations(np.array([[rng.normal(0, 5), 0, rng.normal(0, 2)]]))[0]
    position = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-1.2, -0.7), rng.uniform(2.2, 3.8)])
    body = (body @ _rotations(np.array([[0, yaw, 0]]))[0].T + position) @ camera.T
    joints = mapping(BODY, skeleton) @ body
    frames, count = joints.shape[:2]
    drift = _wander(frames, 3 * count, fps, rng).reshape(joints.shape)  # trackers drift more than they jitter
    joints = joints + noise * (2 * drift + rng.uniform(0.5, 1.5) * rng.normal(size=joints.shape))
    for _ in range(rng.choice(3, p=[0.7, 0.2, 0.1]) if noise else 0):
        begin, length = rng.integers(frames), rng.integers(fps / 3, fps)
        joints[begin : begin + length, rng.integers(count)] = np.nan
    return joints[None].astype(np.float32)


def make_clips(
    clips: int = 120, *, seed: int = 0, skeleton: str = "kinect-20", fps: float = 30.0, noise: float = 0.01
) -> Poses:
    """Labelled clips of twelve actions by up to ten performers.

    Args:
        clips: Number of clips. Actions and performers alternate, so multiples of 12 are balanced.
        seed: Random seed.
        skeleton: Name of a known skeleton that kinect-20 can be mapped to.
        fps: Frames per second.
        noise: Error of the sensor in metres; about 0.01 for a Kinect. If it is 0, no joint is missing either.

    Returns:
        Clips of 1 to 6 seconds, in metres with y up. `info` has the columns `subject` (integers), `train` and `test`
        (splits without common performers).

    Raises:
        ValueError: for fewer than 24 clips, which would not contain every action in both splits.
    """
    actions = list(ACTIONS)
    if clips < 2 * len(actions):
        raise ValueError(f"clips={clips} is too few: give at least {2 * len(actions)}, every action in both splits")
    target = resolve(skeleton)
    labels = [actions[i % len(actions)] for i in range(clips)]
    subjects = np.arange(clips) // len(actions) % PERFORMERS
    performers = [_performer(np.random.default_rng((seed, 0, number))) for number in range(PERFORMERS)]
    seen = []
    for i, (label, subject) in enumerate(zip(labels, subjects)):
        rng = np.random.default_rng((seed, 1, i))
        angles, _ = _act(performers[subject], [label], fps, rng)
        cut = (rng.uniform(0, 0.25, 2) * len(angles)).astype(int)  # recordings are not cut exactly at actions
        body = _joints(angles[cut[0] : len(angles) - cut[1]], performers[subject].bones)
        if performers[subject].left_handed ^ (rng.random() < 0.15):  # some people use either hand
            body = body[:, BODY.mirror] * (-1, 1, 1)
        seen.append(_seen(body, target, fps, noise, rng))
    train = subjects % TRAIN_EVERY == 0
    ids = [f"{label.replace(' ', '-')}-s{subject}-{i}" for i, (label, subject) in enumerate(zip(labels, subjects))]
    return Poses(
        seen, target, ids=ids, labels=labels, fps=fps, info={"subject": subjects, "train": train, "test": ~train}
    )


def make_recording(
    actions: Sequence[str], *, seed: int = 0, skeleton: str = "kinect-20", fps: float = 30.0, noise: float = 0.01
) -> tuple[Poses, Spans]:
    """One long clip of a new person who performs several actions, and the time in seconds when each begins and ends."""
    rng = np.random.default_rng((seed, 2))
    performer = _performer(rng)
    angles, spans = _act(performer, actions, fps, rng)
    body = _joints(angles, performer.bones)
    target = resolve(skeleton)
    return Poses([_seen(body, target, fps, noise, rng)], target, ids=["recording"], fps=fps), spans


# Landmarks of MediaPipe Pose on the face, as offsets in metres (left, up, forward) from the head joint; the right side
# is mirrored. Landmarks on hands and feet are placed at the given joint.
ON_FACE = {"nose": (0, -0.04, 0.1), "mouth": (0.03, -0.07, 0.08), "ear": (0.075, -0.02, 0)}
ON_FACE |= {"eye_inner": (0.015, 0, 0.085), "eye": (0.03, 0, 0.08), "eye_outer": (0.045, 0, 0.075)}
ON_LIMBS = {"pinky": "hand", "index": "hand", "thumb": "hand", "heel": "ankle", "toe": "foot"}


def mediapipe_landmarks(clip: np.ndarray, size: tuple[int, int], focal: float = 600.0) -> tuple[np.ndarray, ...]:
    """Landmarks as MediaPipe Pose would estimate them if a camera replaced the sensor.

    Args:
        clip: (1, T, 20, 3) on kinect-20.
        size: Width and height of the image in pixels.
        focal: Focal length in pixels; with 600, a person at three metres fits into an image of 720 lines.

    Returns:
        World landmarks (T, 33, 3), in metres relative to the middle of the hips, and image landmarks (T, 33, 3), as
        fractions of the width, height and width of the image. In both, x points to the right of the image, y down and
        z away from the camera. Missing joints are NaN.
    """
    joints = dict(zip(BODY.joints, clip[0].swapaxes(0, 1)))
    left, up = joints["left_shoulder"] - joints["right_shoulder"], joints["head"] - joints["neck"]
    ahead = np.cross(left, up)
    axes = np.stack([left, np.cross(ahead, left), ahead], axis=1)  # (T, 3 axes, 3)
    axes /= np.linalg.norm(axes, axis=2, keepdims=True)
    points = []
    for name in SKELETONS["mediapipe-33"].joints:
        side, _, part = name.rpartition("_") if name == "nose" else name.partition("_")
        if part in ON_FACE:
            offset = np.array(ON_FACE[part]) * (-1 if side == "right" else 1, 1, 1)
            points.append(joints["head"] + offset @ axes)
        else:
            points.append(joints[f"{side}_{ON_LIMBS.get(part, part)}"])
    space = np.stack(points, axis=1) * (-1, -1, 1)  # in the coordinates of the sensor, x is left and y up
    hips = space[:, 23:25].mean(axis=1, keepdims=True)
    across = space[..., :2] / space[..., 2:]
    depth = (space[..., 2:] - hips[..., 2:]) / hips[..., 2:]
    picture = focal * np.concatenate([across, depth], axis=-1) / (*size, size[0]) + (0.5, 0.5, 0)
    return space - hips, picture


def main() -> None:
    """Writes clips to a file."""
    parser = argparse.ArgumentParser(description="Generate labelled clips of synthetic motion.")
    parser.add_argument("output", help=".npz file to write")
    parser.add_argument("--clips", type=int, default=120, help="number of clips (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--skeleton", default="kinect-20", help="skeleton of the clips (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        clips = make_clips(arguments.clips, seed=arguments.seed, skeleton=arguments.skeleton)
    except ValueError as error:
        parser.error(str(error))
    clips.save(arguments.output)
    print(f"{arguments.output}: {clips}", file=sys.stderr)


if __name__ == "__main__":
    main()
