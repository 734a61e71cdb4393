"""Rows and recordings of made-up classes."""

from __future__ import annotations

import numpy as np

from skelrep import Poses
from skelrep.skeletons import SKELETONS

CLASSES = ("bow", "run", "sit")


def rows_of_classes(per_class: int, seed: int = 0, dim: int = 12, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Rows (3 * per_class, dim) float32 around three points, and their labels."""
    points = np.random.default_rng(99).normal(size=(3, dim))
    rng = np.random.default_rng(seed)
    codes = np.arange(3 * per_class) % 3
    return (points[codes] + noise * rng.normal(size=(len(codes), dim))).astype(np.float32), np.array(CLASSES)[codes]


def strange_rows(count: int, dim: int = 12) -> np.ndarray:
    """Rows around a point on the other side of the mean of the three classes."""
    mean = np.random.default_rng(99).normal(size=(3, dim)).mean(axis=0)
    point = mean + 3 * np.random.default_rng(6).normal(size=dim)
    return (point + 0.3 * np.random.default_rng(7).normal(size=(count, dim))).astype(np.float32)


def movement(label: str, seconds: float, seed: int = 0, fps: float = 20.0, begin: float = 0.0) -> np.ndarray:
    """A person (T, 17, 3) who stands, squats, waves or kicks once a second, with a little noise."""
    rng = np.random.default_rng(seed)
    body = np.random.default_rng(5).normal(size=(17, 3)).astype(np.float32)
    time = begin + np.arange(round(seconds * fps)) / fps
    pose = np.repeat(body[None], len(time), axis=0) + 0.01 * rng.normal(size=(len(time), 17, 3))
    swing = np.sin(np.pi * time) ** 2
    if label == "squat":
        pose[:, 5:, 1] -= 0.8 * swing[:, None]
    elif label == "wave":
        pose[:, 9:11, 0] += 1.2 * np.sin(4 * np.pi * time)[:, None]
    elif label == "kick":
        pose[:, 15:, 2] += 1.5 * swing[:, None]
    return pose


def session(script: list[tuple[str, float]], seed: int = 0, fps: float = 20.0) -> Poses:
    """One recording of one person who does one thing after the other for so many seconds."""
    parts = [movement(label, seconds, seed + i, fps) for i, (label, seconds) in enumerate(script)]
    return Poses([np.concatenate(parts)[None]], SKELETONS["coco-17"], ids=["session"], fps=fps)


def clips_of(labels: tuple[str, ...], per_class: int, seconds: float = 2.0, fps: float = 20.0) -> Poses:
    """Labelled clips, class after class, of subjects in turn."""
    every = [label for label in labels for _ in range(per_class)]
    clips = [movement(label, seconds, 100 + i, fps, begin=i / 4)[None] for i, label in enumerate(every)]
    subject = np.arange(len(every)) % per_class
    return Poses(clips, SKELETONS["coco-17"], labels=np.array(every), fps=fps, info={"subject": subject})


def nobody_seen(seconds: float = 3.0, fps: float = 20.0) -> Poses:
    """A recording in which no joint is seen."""
    clip = np.full((1, round(seconds * fps), 17, 3), np.nan)
    return Poses([clip], SKELETONS["coco-17"], ids=["empty"], fps=fps)
