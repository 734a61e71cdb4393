# %% [markdown]
# # How good is an embedding?
#
# Two customary judges of self-supervised representations: nearest neighbours, which take the geometry as it is, and a
# linear probe, which may weigh the dimensions. Both know the labels of some people only and are asked about others.

# %%
import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from motion import make_clips  # examples/motion.py
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skelrep import SkeletonEmbedder, knn_eval, linear_eval, load_pretrained

clips = make_clips(240)
train, test = clips.select(split="train"), clips.select(split="test")
encoder = load_pretrained()

# %% [markdown]
# ## Something to compare with
# The poses themselves, as plainly as one can: gaps bridged, 32 frames, the pelvis at the origin, flattened. And the
# poses as this encoder sees them, upright, facing ahead and of equal size: what is gained beyond that, it has learned.


# %%
def flattened(poses, frames=32):
    rows = []
    for clip in poses.clips:
        time, joints = np.linspace(0, 1, clip.shape[1]), clip[0] - clip[0, :, :1]  # the first joint is the pelvis
        seen = [column[~np.isnan(column)] for column in joints.reshape(len(time), -1).T]
        when = [time[~np.isnan(column)] for column in joints.reshape(len(time), -1).T]
        rows.append([np.interp(np.linspace(0, 1, frames), t, x) for t, x in zip(when, seen)])
    return np.array(rows).reshape(len(poses), -1)


def prepared(poses):
    return encoder.prepare(poses, "cpu").flatten(1)


# %% [markdown]
# ## Nearest neighbours
# The brackets hold 95 % intervals: with so few clips, differences of a few points mean nothing.

# %%
for name, rows_of in {"poses": flattened, "poses, prepared": prepared, "embeddings": encoder.embed}.items():
    neighbours = knn_eval(rows_of(train), train.labels, rows_of(test), test.labels, k=(1, 5))
    print(f"{name}: {neighbours}\n")

# %% [markdown]
# ## A linear probe
# Its regularisation is chosen by cross-validation over the training people; `groups` keeps each of them on one side.

# %%
probe = linear_eval(
    encoder.embed(train), train.labels, encoder.embed(test), test.labels, groups=train.info["subject"], C=(0.01, 0.1, 1)
)
print(probe)

# %% [markdown]
# ## Which streams?
# The encoder looks at joints, bones and motion, each with a network of its own.

# %%
for stream in encoder.config.modalities:
    rows = encoder.embed(clips, streams=stream)
    alone = knn_eval(rows, clips.labels, leave_one_out=True, groups=clips.info["subject"], k=1)
    print(f"{stream:6} {alone.accuracy[1]:.1%}, each person judged by all others")

# %% [markdown]
# ## In a scikit-learn pipeline
# `SkeletonEmbedder` is a transformer like any other.

# %%
pipeline = make_pipeline(SkeletonEmbedder(encoder), StandardScaler(), LogisticRegression(C=0.1))
scores = cross_val_score(pipeline, clips, clips.labels, groups=clips.info["subject"], cv=GroupKFold(3))
print("pipeline, three folds of people:", ", ".join(f"{score:.1%}" for score in scores))

# %% [markdown]
# ## What is mistaken for what?

# %%
if importlib.util.find_spec("matplotlib"):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
    axes.imshow(neighbours.confusion, cmap="Blues")
    axes.set_xticks(range(len(neighbours.classes)), neighbours.classes, rotation=90)
    axes.set_yticks(range(len(neighbours.classes)), neighbours.classes)
    axes.set(title="1-NN on embeddings", xlabel="taken for", ylabel="truth")
    picture = Path(tempfile.mkdtemp()) / "confusion.png"
    figure.savefig(picture)
    print("drawn:", picture)
