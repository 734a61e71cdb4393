# %% [markdown]
# # Quickstart
#
# This example embeds skeleton sequences and shows how embeddings are used. It runs on a CPU in a few seconds. To run
# it, use `pip install '.[examples]'` and `python examples/quickstart.py`, or run it cell by cell in Jupyter.

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

folder = Path(tempfile.mkdtemp())  # for images

# %% [markdown]
# ## Poses
# Ten synthetic persons perform twelve actions. Each clip is an array (persons, frames, joints, xyz) of any length.
# `skelrep.read` returns such clips for files of many formats.

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
# Each clip becomes one row. The encoder was trained without labels, on other persons and other sensors.

# %%
encoder = load_pretrained()  # or your own encoder: a folder, or organisation/name on the Hub
print(encoder)
embeddings = encoder.embed(clips)
print("embeddings:", embeddings.shape, embeddings.dtype)

# %% [markdown]
# For an array, pass the names of its joints in order; common spellings are understood. For a known skeleton, its name
# is enough: `skeleton="kinect-20"`.

# %%
array = clips.clips[0][0]  # (frames, joints, 3)
joints = ["Hips", "Spine", "Neck", "Head", "LeftShoulder", "LeftElbow", "LeftWrist", "LeftHand"]
joints += ["RightShoulder", "RightElbow", "RightWrist", "RightHand", "LeftHip", "LeftKnee", "LeftAnkle", "LeftFoot"]
joints += ["RightHip", "RightKnee", "RightAnkle", "RightFoot"]
row = encoder.embed(array, skeleton=joints)
print("the first clip as an array gives the same row:", np.allclose(row[0], embeddings[0], atol=1e-5))

# %% [markdown]
# ## Nearest-neighbour accuracy
# Each clip of `test` is assigned the label of the most similar clip of `train`, which shows other persons. The brackets
# contain a 95 % confidence interval; chance level is 8 %.

# %%
train, test = clips.info["train"], clips.info["test"]
print(knn_eval(embeddings[train], clips.labels[train], embeddings[test], clips.labels[test], k=1))

# %% [markdown]
# ## Search by example
# These clips are most similar to the first one. Its performer uses one hand; others may use the other hand.

# %%
found = retrieve(embeddings[:1], embeddings[1:], k=5)
print(f"most like {clips.ids[0]}:")
for row, similarity in zip(found.indices[0], found.similarities[0]):
    print(f"  {clips.ids[1 + row]:20} {similarity:.3f}")

# %% [markdown]
# ## A long recording
# A new person performs five actions in turn. Windows of two seconds, one every half second, are embedded and assigned
# the label of the most similar clip. A window that contains the end of one action and the beginning of the next may be
# assigned the label of a third.

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
# The map shows the first two principal components of the embeddings. Clips of one action are close together; actions
# that overlap here are separated by other components.

# %%
pca = PCA(2)
plane = pca.fit_transform(embeddings)
print(f"two of {embeddings.shape[1]} components explain {pca.explained_variance_ratio_.sum():.0%} of the variance")
figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
for i, action in enumerate(np.unique(clips.labels)):
    axes.scatter(*plane[clips.labels == action].T, color=f"C{i // 2}", marker="o^"[i % 2], label=action)
axes.set(title=f"{len(clips)} clips", xlabel="first principal component", ylabel="second principal component")
figure.legend(loc="outside right upper", frameon=False)
figure.savefig(folder / "map.png", dpi=130)
print("drawn:", folder / "map.png")
