"""What the tutorials of the documentation begin with: a video of exercises, a library of BVH files, gestures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, ImageDraw

from skelrep import Poses, write
from skelrep.io import Sighting
from skelrep.skeletons import SKELETONS
from tests.videos import write_video

SIZE = (320, 240)  # of the drawn video
RATE = 15
_BITS, _SIDE = 12, 16  # a frame's number is drawn as black and white squares, which survive compression


def exercises(motion: ModuleType, squats: int = 6) -> np.ndarray:
    """A person who squats, and raises the arms afterwards: (1, T, 20, 3) in front of a sensor."""
    script = ["squat"] * squats + ["raise arms"] * 4
    return motion.make_recording(script, seed=3, fps=RATE, noise=0.0)[0].clips[0]


def write_exercises(path: Path, clip: np.ndarray, motion: ModuleType) -> Path:
    """A video of the person as lines."""
    _, seen = motion.mediapipe_landmarks(clip, SIZE, focal=200.0)
    skeleton = SKELETONS["mediapipe-33"]
    images = []
    for number, points in enumerate(seen[..., :2] * SIZE):
        image = Image.new("RGB", SIZE, (225, 228, 232))
        pencil = ImageDraw.Draw(image)
        for joint, parent in enumerate(skeleton.parents):
            pencil.line([tuple(points[parent]), tuple(points[joint])], fill=(60, 70, 90), width=4)
        for bit in range(_BITS):
            white = 255 * (number >> bit & 1)
            pencil.rectangle((bit * _SIDE, 0, bit * _SIDE + _SIDE - 1, _SIDE - 1), fill=(white,) * 3)
        images.append(np.asarray(image))
    return write_video(path, images, rate=RATE)


class Drawn:
    """Stands in for a pose estimator: reads a frame's number in the video and knows what was drawn in it."""

    skeleton = "mediapipe-33"

    def __init__(self, clip: np.ndarray, motion: ModuleType) -> None:
        self.world, self.seen = motion.mediapipe_landmarks(clip, SIZE, focal=200.0)

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass

    def __call__(self, image: np.ndarray, seconds: float) -> Sequence[Sighting]:
        middle = _SIDE // 2
        bits = [image[middle, bit * _SIDE + middle].mean() > 128 for bit in range(_BITS)]
        number = sum(int(bit) << i for i, bit in enumerate(bits))
        picture = self.seen[number, :, :2] * SIZE
        return [Sighting(self.world[number] * (1, -1, -1), picture, np.full(len(picture), 0.95))]


def bvh_text(clip: np.ndarray, joints: Sequence[str], parents: Sequence[int], fps: float) -> str:
    """A BVH of joints (T, V, 3) in centimetres whose positions are channels, so that they are kept exactly."""
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        if joint != parent:
            children.setdefault(parent, []).append(joint)
    [root] = [joint for joint, parent in enumerate(parents) if joint == parent]
    order: list[int] = []
    lines: list[str] = ["HIERARCHY"]

    def add(joint: int, depth: int) -> None:
        order.append(joint)
        offset = np.zeros(3) if joint == root else (clip[:, joint] - clip[:, parents[joint]]).mean(axis=0)
        indent = "  " * depth
        lines.append(f"{indent}{'JOINT' if depth else 'ROOT'} {joints[joint]}")
        lines.append(indent + "{")
        lines.append(f"{indent}  OFFSET {' '.join(f'{value:.4f}' for value in offset)}")
        lines.append(f"{indent}  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation")
        for child in children.get(joint, []):
            add(child, depth + 1)
        if joint not in children:
            lines.append(f"{indent}  End Site {{ OFFSET 0 0 0 }}")
        lines.append(indent + "}")

    add(root, 0)
    lines += ["MOTION", f"Frames: {len(clip)}", f"Frame Time: {1 / fps:.6f}"]
    for frame in clip:
        moved = [frame[joint] - (0 if joint == root else frame[parents[joint]]) for joint in order]
        lines.append(" ".join(f"{x:.4f} {y:.4f} {z:.4f} 0 0 0" for x, y, z in moved))
    return "\n".join(lines) + "\n"


def write_motions(folder: Path, motion: ModuleType) -> None:
    """A library of BVH files in a folder for each action, with copies that have crept in."""
    clips = motion.make_clips(48, noise=0.0)
    skeleton = clips.skeleton

    def save(path: Path, clip: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(bvh_text(100 * clip[0], skeleton.joints, skeleton.parents, clips.fps))

    for label, name, clip in zip(clips.labels, clips.ids, clips.clips):
        save(folder / str(label).replace(" ", "-") / f"{name}.bvh", clip)
    save(folder / "delivery" / "take-07.bvh", clips.clips[0])  # the same
    save(folder / "delivery" / "take-08.bvh", clips.clips[13][:, 3:-2])  # trimmed
    save(folder / "old" / "squat-final-2.bvh", clips.clips[7][:, ::2])  # at half the rate
    save(folder / "old" / "jump-final.bvh", clips.clips[8] + np.float32(0.5))  # moved


def write_gestures(folder: Path, motion: ModuleType) -> None:
    """Five clips of each of four gestures as CSV files, and a recording in which all of them occur."""
    clips = motion.make_clips(60)
    for label in ("wave", "clap", "punch", "bow"):
        for i, clip in enumerate(clips.select(labels=label)):
            path = folder / "gestures" / label / f"{i + 1}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(clip, path)
    recording, _ = motion.make_recording(["wave", "bow", "punch", "clap", "wave"], seed=5)
    Poses(recording.clips, recording.skeleton, ids=["session"], fps=recording.fps).save(folder / "session.npz")
