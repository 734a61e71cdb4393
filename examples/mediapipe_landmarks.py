# %% [markdown]
# # From a camera to embeddings, with MediaPipe
#
# MediaPipe Pose finds 33 landmarks of a person in each picture, and its results go into skelrep as they come. This page
# needs neither a camera nor MediaPipe: its results have the same structure and are made up.
# `pip install '.[examples]'`, then `python examples/mediapipe_landmarks.py`; and after it a JSON file of your own
# landmarks, written as below.
#
# ## With a camera
# These lines fill `results` for ten seconds. They need `pip install mediapipe` and its
# [model file](https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker).
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

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # the arguments in a notebook are its kernel's
folder = Path(tempfile.mkdtemp())
encoder = load_pretrained()

# %% [markdown]
# ## Without one
# The same fields as in MediaPipe's own classes. World landmarks are in metres about the middle of the hips, those in
# the picture are fractions of its width and height.

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


def person(points):
    visible = np.where(np.isnan(points).any(axis=1), 0.0, 0.9)
    return [Landmark(*row) for row in np.column_stack([np.nan_to_num(points), visible]).round(4).tolist()]


def filmed(clip):
    """A result for each frame of a made-up clip."""
    world, picture = mediapipe_landmarks(clip, size=(WIDTH, HEIGHT))
    return [PoseLandmarkerResult([person(flat)], [person(deep)]) for flat, deep in zip(picture, world)]


# %% [markdown]
# ## Results, poses, embeddings
# A list of results is a clip. World landmarks are taken where there are any.

# %%
clips = make_clips(120)
archive, strangers = clips.select(split="train"), clips.select(split="test")
films = [filmed(clip) for clip in strangers.clips]
print(len(films[0]), "results; the nose in the first:", films[0][0].pose_world_landmarks[0][0])
poses = Poses.concatenate([from_mediapipe(results, fps=30) for results in films])
print(poses)

# %%
strip = draw(poses[9], frames=6)
strip.savefig(folder / "clip.png")
print("drawn:", folder / "clip.png")
strip  # noqa: B018 - a notebook shows it

# %% [markdown]
# ## What is lost on the way?
# The archive was recorded by a depth sensor. Strangers are named after their nearest neighbour in it: seen by the depth
# sensor, for comparison; by world landmarks; and by landmarks in the picture, in pixels and without their depth, which
# is rough. The made-up world landmarks have a sensor's errors only; MediaPipe's depth, from one camera, has more.

# %%
pixels = [from_mediapipe([r.pose_landmarks for r in results], fps=30, scale=(WIDTH, HEIGHT, 0)) for results in films]
known = encoder.embed(archive)
for name, seen in {"depth sensor": strangers, "world": poses, "picture": Poses.concatenate(pixels)}.items():
    result = knn_eval(known, archive.labels, encoder.embed(seen), strangers.labels, k=1)
    print(f"{name:12} {result.accuracy[1]:.1%} of {len(strangers)} clips")

# %% [markdown]
# ## A file
# A list of frames of landmarks, written as JSON, is read by `skelrep.read`, and by commands: `skelrep embed
# landmarks.json`. There `min_score` leaves out landmarks of low visibility, where MediaPipe guesses.

# %%
file = folder / "landmarks.json"
file.write_text(json.dumps([[asdict(landmark) for landmark in r.pose_world_landmarks[0]] for r in films[0]]))
again = read(file, fps=30, min_score=0.5)
print("written:", file)
print("the file gives the same row:", np.allclose(encoder.embed(again), encoder.embed(poses[0]), atol=1e-5))

# %% [markdown]
# ## What are they doing?
# A longer recording in windows of two seconds, each named after the most similar clip of the archive. Live, embed the
# last two seconds again and again: `encoder.embed(from_mediapipe(results[-60:]))`.

# %%
if files:
    recording = read(files[0], fps=30, min_score=0.5)
else:
    actions = ["walk", "wave", "bow", "kick"]
    made_up, spans = make_recording(actions, seed=5)
    recording = from_mediapipe(filmed(made_up.clips[0]), fps=30)
    print("in truth:", ", ".join(f"{a} {begin:.1f} to {end:.1f} s" for a, (begin, end) in zip(actions, spans)))
windows = recording.windows(2.0, 0.5)
found = retrieve(encoder.embed(windows), known, k=1)
for start, end, row, cosine in zip(
    windows.info["start"], windows.info["end"], found.indices[:, 0], found.similarities[:, 0]
):
    print(f"  {start:4.1f} to {end:4.1f} s: {archive.labels[row]:12} {cosine:.2f}")
