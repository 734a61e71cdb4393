# %% [markdown]
# # Live recognition
#
# This example compares two methods to recognise the current action at any time: windows over the last few seconds, with
# any encoder, and a stream, with a causal encoder. To run it, use `pip install '.[examples]'` and
# `python examples/live_streaming.py`.

# %%
import tempfile
import time
from collections import deque
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips, make_recording  # examples/motion.py

from skelrep import embed, load_pretrained, retrieve

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
# ## A stream
# The causal encoder `i2md-stream` needs no future frames: `step` is called once per frame, at constant cost, and
# returns the embedding of all frames since the stream was created. Therefore a new stream is started every second, and
# the older one of the last two is used, which has seen the last one to two seconds.

# %%
causal = load_pretrained("i2md-stream")
known, by_stream, spent = causal.embed(examples), [], []
for recording, _ in recordings:
    streams, rows = deque(maxlen=2), []
    for number, frame in enumerate(recording.clips[0][0]):  # for frame in camera
        begin = time.perf_counter()
        if number % 30 == 0:
            streams.append(causal.stream(recording.skeleton, fps=30))
        rows.append([stream.step(frame) for stream in streams][0])  # None until a person is visible
        spent.append(time.perf_counter() - begin)
    by_stream.append((named(np.array(rows), known), np.arange(len(rows)) / 30))
print(f"{1000 * np.mean(spent):.1f} ms per frame, for both streams")
clip = embed(recording.clips[0][:, :45], causal, skeleton=recording.skeleton, fps=30)
print("after 45 frames the same as embedding these as a clip:", np.allclose(rows[44], clip[0], atol=1e-5))

# %% [markdown]
# A stream describes frames that end now, whereas a window of two seconds describes its middle. If a delay of one second
# is acceptable, windows with the better encoder are better.

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
for name, (names, seconds), step in (("windows", by_windows[0], 0.2), ("stream", by_stream[0], 1 / 30)):
    axes.barh(name, step, left=seconds - step, color=[colours.get(name, "0.87") for name in names])
axes.invert_yaxis()
axes.set(xlabel="seconds", xlim=(0, None))
axes.set_title("Recognised action (grey: an action that was not performed)", pad=22)
axes.spines[["top", "right", "left"]].set_visible(False)
axes.tick_params(left=False)
figure.savefig(folder / "live.png", dpi=130)
print("drawn:", folder / "live.png")
