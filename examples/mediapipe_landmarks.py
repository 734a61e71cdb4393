# %% [markdown]
# # From a camera to embeddings, with MediaPipe
#
# MediaPipe Pose detects 33 landmarks of a person in each image, and skelrep accepts its results directly. This example
# needs neither a camera nor MediaPipe, because it uses synthetic results with the same structure. To run it, use
# `pip install '.[examples]'` and `python examples/mediapipe_landmarks.py`. To use your own landmarks, append a JSON
# file that was written as below.
#
# ## With a camera
# This code records `results` for ten seconds. It needs `pip install mediapipe` and its [model
# file](https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker).
#
# ```python
# import cv2, mediapipe, time
#
# vision = mediapipe.tasks.vision
# options = vision.PoseLandmarkerOptions(
#     base_options=mediapipe.tasks.BaseOptions(model_asset_path="pose_landmarker_full.task"),
#     running_mode=vision.RunningMode.VIDEO,
# )
# camera, results, begin = cv2.VideoCapture(0), [], time.monotonic()
# with vision.PoseLandmarker.create_from_options(options) as landmarker:
#     while (seconds := time.monotonic() - begin) < 10:
#         picture = cv2.cvtColor(camera.read()[1], cv2.COLOR_BGR2RGB)
#         image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
#         results.append(landmarker.detect_for_video(image, round(1000 * seconds)))
# fps = len(results) / seconds
# ```

# %%
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from motion import make_clips, make_recording, mediapipe_landmarks  # examples/motion.py

from skelrep import Poses, knn_eval, load_pretrained, read, retrieve
from skelrep.io import from_mediapipe
from skelrep.plot import draw

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # in a notebook, the arguments belong to the kernel
folder = Path(tempfile.mkdtemp())
encoder = load_pretrained()

# %% [markdown]
# ## Without a camera
# These classes have the same fields as MediaPipe's. World landmarks are in metres relative to the middle of the hips;
# image landmarks are fractions of the width and height of the image.

# %%
WIDTH, HEIGHT = 1280, 720


@dataclass
class Landmark:
    x: float
    y: float
    z: float
    visibility: float


@dataclass
class PoseLandmarkerResult:  # lists of people, each a list of 33 landmarks
    pose_landmarks: list[list[Landmark]]
    pose_world_landmarks: list[list[Landmark]]


def guessed(points):
    """(T, 33, 3) landmarks in which lost ones are interpolated over time: MediaPipe returns a guess for each."""
    columns = points.reshape(len(points), -1).copy()
    for column in columns.T:
        lost = np.isnan(column)
        column[lost] = np.interp(np.flatnonzero(lost), np.flatnonzero(~lost), column[~lost])
    return columns.reshape(points.shape)


def persons(points):
    """For each frame a list of 33 landmarks."""
    visible = np.where(np.isnan(points).any(axis=2), 0.1, 0.9)
    frames = np.dstack([guessed(points), visible]).round(4).tolist()
    return [[Landmark(*row) for row in frame] for frame in frames]


def filmed(clip):
    """A result for each frame of a synthetic clip."""
    world, image = mediapipe_landmarks(clip, size=(WIDTH, HEIGHT))
    return [PoseLandmarkerResult([flat], [deep]) for flat, deep in zip(persons(image), persons(world))]


# %% [markdown]
# ## Results, poses, embeddings
# A list of results becomes a clip. World landmarks are used if there are any.

# %%
clips = make_clips(120)
archive, new = clips.select(split="train"), clips.select(split="test")
films = [filmed(clip) for clip in new.clips]
print(len(films[0]), "results; the nose in the first:", films[0][0].pose_world_landmarks[0][0])
poses = Poses.concatenate([from_mediapipe(results, fps=30) for results in films])
print(poses)

# %%
strip = draw(poses[9], frames=6)
strip.savefig(folder / "clip.png")
print("drawn:", folder / "clip.png")
strip  # noqa: B018 - a notebook shows it

# %% [markdown]
# ## Accuracy
# The archive contains clips of a depth sensor. Clips of new persons are assigned the label of their nearest neighbour
# in the archive. Three versions of these clips are compared: recorded by the depth sensor, as world landmarks, and as
# image landmarks in pixels without their inaccurate depth. The synthetic world landmarks have the errors of a depth
# sensor; the depth of MediaPipe, which is estimated from a single camera, has larger errors.

# %%
pixels = [from_mediapipe([r.pose_landmarks for r in results], fps=30, scale=(WIDTH, HEIGHT, 0)) for results in films]
known = encoder.embed(archive)
for name, seen in {"depth sensor": new, "world": poses, "picture": Poses.concatenate(pixels)}.items():
    result = knn_eval(known, archive.labels, encoder.embed(seen), new.labels, k=1)
    print(f"{name:12} {result.accuracy[1]:.1%} of {len(new)} clips")

# %% [markdown]
# ## A file
# `skelrep.read` and all commands can read landmarks as JSON: `skelrep embed landmarks.json`. `min_score` discards
# landmarks of low visibility, which MediaPipe only guesses.

# %%
file = folder / "landmarks.json"
file.write_text(json.dumps([[asdict(landmark) for landmark in r.pose_world_landmarks[0]] for r in films[0]]))
again = read(file, fps=30, min_score=0.5)
print("written:", file)
print("the file gives the same row:", np.allclose(encoder.embed(again), encoder.embed(poses[0]), atol=1e-5))

# %% [markdown]
# ## A longer recording
# Windows of two seconds are assigned the label of the most similar clip of the archive. For live recognition, embed the
# last two seconds repeatedly: `encoder.embed(from_mediapipe(results[-60:]))`.

# %%
if files:
    recording = read(files[0], fps=30, min_score=0.5)
else:
    actions = ["walk", "wave", "bow", "kick"]
    synthetic, spans = make_recording(actions, seed=5)
    recording = from_mediapipe(filmed(synthetic.clips[0]), fps=30)
    print("truth:", ", ".join(f"{a} {begin:.1f} to {end:.1f} s" for a, (begin, end) in zip(actions, spans)))
windows = recording.windows(2.0, 0.5)
found = retrieve(encoder.embed(windows), known, k=1)
for start, end, row, cosine in zip(
    windows.info["start"], windows.info["end"], found.indices[:, 0], found.similarities[:, 0]
):
    print(f"  {start:4.1f} to {end:4.1f} s: {archive.labels[row]:12} {cosine:.2f}")
