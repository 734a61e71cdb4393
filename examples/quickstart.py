# %% [markdown]
# # Quickstart
#
# From skeletons to embeddings, and what embeddings are good for. Runs on a CPU in seconds:
# `pip install '.[examples]'`, then `python examples/quickstart.py`, or cell by cell in Jupyter.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips, make_recording  # examples/motion.py
from sklearn.decomposition import PCA

from skelrep import knn_eval, load_pretrained, retrieve
from skelrep.plot import draw

folder = Path(tempfile.mkdtemp())  # for pictures

# %% [markdown]
# ## Poses
# Twelve actions by ten people who were made up for these examples, each clip (persons, frames, joints, xyz) and of its
# own length. `skelrep.read` gives the same for files of many formats.

# %%
clips = make_clips(120)
print(clips)
print("the first clip:", clips.ids[0], clips.clips[0].shape)

# %%
strip = draw(clips[0], frames=6)
strip.savefig(folder / "clip.png")
print("drawn:", folder / "clip.png")
strip  # noqa: B018 - a notebook shows it

# %% [markdown]
# ## Embeddings
# One row a clip. The encoder was trained on other people in front of other sensors, without labels.

# %%
encoder = load_pretrained()  # or an encoder of your own: a folder, or organisation/name on the Hub
print(encoder)
embeddings = encoder.embed(clips)
print("embeddings:", embeddings.shape, embeddings.dtype)

# %% [markdown]
# An array of your own needs the names of its joints, in its own order and any common spelling. Where the skeleton is a
# known one its name will do: `skeleton="kinect-20"`.

# %%
array = clips.clips[0][0]  # (frames, joints, 3)
joints = ["Hips", "Spine", "Neck", "Head", "LeftShoulder", "LeftElbow", "LeftWrist", "LeftHand"]
joints += ["RightShoulder", "RightElbow", "RightWrist", "RightHand", "LeftHip", "LeftKnee", "LeftAnkle", "LeftFoot"]
joints += ["RightHip", "RightKnee", "RightAnkle", "RightFoot"]
row = encoder.embed(array, skeleton=joints)
print("the first clip as an array gives the same row:", np.allclose(row[0], embeddings[0], atol=1e-5))

# %% [markdown]
# ## Do neighbours do the same?
# Every clip of the people in `test` takes the label of the most similar one of other people, in `train`. The brackets
# hold a 95 % interval; guessing would be right in 8 % of the clips.

# %%
train, test = clips.info["train"], clips.info["test"]
print(knn_eval(embeddings[train], clips.labels[train], embeddings[test], clips.labels[test], k=1))

# %% [markdown]
# ## Search by example
# The clips that move most like the first one. Its performer uses one hand; the others may use either.

# %%
found = retrieve(embeddings[:1], embeddings[1:], k=5)
print(f"most like {clips.ids[0]}:")
for row, similarity in zip(found.indices[0], found.similarities[0]):
    print(f"  {clips.ids[1 + row]:20} {similarity:.3f}")

# %% [markdown]
# ## A long recording
# Somebody new does five things in turn. Windows of two seconds, one every half second, are embedded and named after
# the clip that each is most similar to. Where a window shows the end of one action and the beginning of the next, its
# name may be that of a third.

# %%
actions = ["walk", "wave", "squat", "raise arms", "kick"]
recording, spans = make_recording(actions, seed=1)
windows = recording.windows(2.0, 0.5)
nearest = retrieve(encoder.embed(windows), embeddings, k=1).indices[:, 0]
print(f"{recording.clips[0].shape[1] / recording.fps:.0f} seconds in {len(windows)} windows")
for row, start, end in zip(nearest, windows.info["start"], windows.info["end"]):
    truth = [action for action, (begin, stop) in zip(actions, spans) if begin <= (start + end) / 2 <= stop]
    print(f"  {start:4.1f} to {end:4.1f} s: {clips.labels[row]:14} truth: {''.join(truth) or '(between two)'}")

# %% [markdown]
# ## A map
# The two main directions of the embeddings, a part of what they tell: clips of one action lie together, and the other
# directions keep apart what overlaps here.

# %%
pca = PCA(2)
plane = pca.fit_transform(embeddings)
print(f"two of {embeddings.shape[1]} directions hold {pca.explained_variance_ratio_.sum():.0%} of the variance")
figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
for i, action in enumerate(np.unique(clips.labels)):
    axes.scatter(*plane[clips.labels == action].T, color=f"C{i // 2}", marker="o^"[i % 2], label=action)
axes.set(title=f"{len(clips)} clips", xlabel="first principal component", ylabel="second principal component")
figure.legend(loc="outside right upper", frameon=False)
figure.savefig(folder / "map.png", dpi=130)
print("drawn:", folder / "map.png")
