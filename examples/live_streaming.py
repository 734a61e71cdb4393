# %% [markdown]
# # Live recognition
#
# This example compares two methods to recognise the current action at any time: windows over the last few seconds, with
# any encoder, and a stream, with a causal encoder. It also trains a small encoder, which takes about 15 seconds. To run
# it, use `pip install '.[examples]'` and `python examples/live_streaming.py`.

# %%
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips, make_recording  # examples/motion.py

from skelrep import EncoderConfig, embed, load_pretrained, retrieve
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.preprocess_config import PreprocessConfig
from skelrep.train.augment import AugmentConfig
from skelrep.train.data import Corpus
from skelrep.train.loop import pretrain
from skelrep.train.prepare import prepare
from skelrep.train.recipes import i2md_small

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# Eight new persons perform eight actions in turn, recorded at 30 frames per second. Labelled clips of other persons,
# cut to two seconds, are the references: each moment is assigned the label of the most similar reference.

# %%
actions = ["walk", "wave", "squat", "raise arms", "kick", "bow", "punch", "drink"]
recordings = [make_recording(actions, seed=seed) for seed in range(1, 9)]
examples = make_clips(240).windows(2.0, 0.5)
print(f"{sum(recording.clips[0].shape[1] for recording, _ in recordings) / 30:.0f} seconds of eight people")


def named(rows, known):
    return examples.labels[retrieve(rows, known, k=1).indices[:, 0]]


def right(names, seconds, spans):
    """Fraction of correct labels; the first half second of an action and the time between actions are not counted."""
    correct = []
    for name, second in zip(names, seconds):
        truth = [action for action, (begin, end) in zip(actions, spans) if begin + 0.5 <= second <= end]
        correct += [name == truth[0]] if truth else []
    return np.mean(correct)


def report(what, accuracies):
    print(f"{what:38} {np.mean(accuracies):.0%} correct, sd {np.std(accuracies, ddof=1):.0%} over persons")


# %% [markdown]
# ## Windows
# The bundled encoder needs whole clips, so the last two seconds are embedded repeatedly. The result describes the
# middle of the window, which is one second in the past.

# %%
bundled = load_pretrained()
known, by_windows = bundled.embed(examples), []
for recording, _ in recordings:
    windows = recording.windows(2.0, 0.2)
    by_windows.append((named(bundled.embed(windows), known), windows.info["end"]))
begin = time.perf_counter()
for window in windows:  # one by one, as they would arrive
    bundled.embed(window)
print(f"{1000 * (time.perf_counter() - begin) / len(windows):.0f} ms per window")
ends = [right(names, end, spans) for (names, end), (_, spans) in zip(by_windows, recordings)]
middles = [right(names, end - 1, spans) for (names, end), (_, spans) in zip(by_windows, recordings)]
report("windows, what is done now:", ends)
report("windows, what was done a second ago:", middles)

# %% [markdown]
# ## A causal encoder
# A recurrent encoder that takes the rotation from the first frame does not need future frames. No such encoder is
# bundled, so a small one is trained without labels on other synthetic persons. It uses the recipe `i2md_small`, but
# with 12 frames per two seconds, two layers of two GRUs of 48 units, and 150 small steps.

# %%
make_clips(480, seed=1).save(folder / "people.npz")
prepare([folder / "people.npz"], folder / "corpus", skeleton="common-15")
config = EncoderConfig(
    preprocess=PreprocessConfig(frames=12, persons=1, align="first", scale=None),
    backbone=RecurrentConfig(hidden=48, layers=2),
)
recipe = i2md_small()
recipe = replace(
    recipe,
    encoder=config,
    augment=AugmentConfig(offset=0.1),  # the synthetic sensor sees all persons from the front
    window=(2.0, 2.0),  # seconds; a view is 80 to 100 % of the window
    crop=(0.8, 1.0),
    shortest=8,
    batch=32,
    steps=150,
    warmup=15,
    learning_rate=5e-3,
    decay=1.0,
    precision="float32",
)
begin = time.perf_counter()
causal = pretrain(recipe, Corpus.load(folder / "corpus", config, "cpu"), folder / "run")
print(f"trained for {time.perf_counter() - begin:.0f} s")

# %% [markdown]
# ## The stream
# `step` is called once per frame, at constant cost. A stream is not resampled, so frames must have the rate at which
# the encoder was trained: six per second, which is every fifth frame of the sensor.

# %%
known, by_stream, spent = causal.embed(examples), [], []
for recording, _ in recordings:
    stream, rows = causal.stream(skeleton=recording.skeleton), []
    for frame in recording.clips[0][0, ::5]:  # for frame in camera
        begin = time.perf_counter()
        rows.append(stream.step(frame))  # None until a person is visible; here there is one in the first frame
        spent.append(time.perf_counter() - begin)
    by_stream.append((named(np.array(rows), known), np.arange(len(rows)) / 6))
print(f"{1000 * np.median(spent):.0f} ms per frame")
clip = embed(recording.clips[0][:, ::5][:, :12], causal, skeleton=recording.skeleton)
print("after 12 frames the same as embedding these as a clip:", np.allclose(rows[11], clip[0], atol=1e-5))

# %% [markdown]
# The state of a stream depends mostly on the latest frames, whereas a window weights its beginning and its end equally.
# On average, this small network therefore recognises the current action better than windows with a much better encoder.
# If a delay of one second is acceptable, windows are better. The first frame determines the rotation of a stream, so
# create a new stream for each person.

# %%
later = [(names[seconds >= 2], seconds[seconds >= 2]) for names, seconds in by_stream]  # the first window ends there
now = [right(names, seconds, spans) for (names, seconds), (_, spans) in zip(later, recordings)]
report("stream, what is done now:", now)
report("windows, what is done now:", ends)
print(f"the stream is better for {np.sum(np.array(now) > ends)} of {len(now)} people")

# %%
colours = dict(zip(actions, plt.cm.Dark2.colors))
figure, axes = plt.subplots(figsize=(10, 2.8), layout="constrained")
for action, (begin, end) in zip(actions, recordings[0][1]):
    axes.barh("truth", end - begin, left=begin, color=colours[action])
    axes.text((begin + end) / 2, -0.55, action, ha="center", va="bottom")
for name, (names, seconds), step in (("windows", by_windows[0], 0.2), ("stream", by_stream[0], 1 / 6)):
    axes.barh(name, step, left=seconds - step, color=[colours.get(name, "0.87") for name in names])
axes.invert_yaxis()
axes.set(xlabel="seconds", xlim=(0, None))
axes.set_title("Recognised action (grey: an action that was not performed)", pad=22)
axes.spines[["top", "right", "left"]].set_visible(False)
axes.tick_params(left=False)
figure.savefig(folder / "live.png", dpi=130)
print("drawn:", folder / "live.png")
