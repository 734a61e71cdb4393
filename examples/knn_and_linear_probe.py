# %% [markdown]
# # Nearest neighbours and a linear probe
#
# This example shows two common evaluations of self-supervised representations: nearest neighbours, which use the
# distances between embeddings directly, and a linear probe, which learns a weight for each dimension. Both are trained
# on some persons and tested on others. To run it, use `pip install '.[examples]'` and
# `python examples/knn_and_linear_probe.py`, or run it cell by cell in Jupyter.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np
from motion import make_clips  # examples/motion.py

from skelrep import knn_eval, linear_eval, load_pretrained
from skelrep.plot import confusion

clips = make_clips(240)
train, test = clips.select(split="train"), clips.select(split="test")
encoder = load_pretrained()

# %% [markdown]
# ## Baselines
# There are two baselines. Raw poses are interpolated, resampled to 32 frames, centred at the pelvis and flattened.
# Prepared poses are the input of the encoder: upright, facing forward and of equal size.


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
# The brackets contain 95 % confidence intervals. With so few clips, differences of a few points are not significant.

# %%
results = {}
for name, rows_of in {"poses": flattened, "poses, prepared": prepared, "embeddings": encoder.embed}.items():
    results[name] = knn_eval(rows_of(train), train.labels, rows_of(test), test.labels, k=(1, 5))
    print(f"{name}: {results[name]}\n")

# %% [markdown]
# ## A linear probe
# The regularisation is chosen by cross-validation on the training clips; `groups` keeps all clips of a person in one
# fold.

# %%
x, y = encoder.embed(train), encoder.embed(test)
print(linear_eval(x, train.labels, y, test.labels, groups=train.info["subject"], C=(0.001, 0.01)))

# %% [markdown]
# ## Single streams
# The encoder has one network each for joints, bones and motion.

# %%
for stream in encoder.config.modalities:
    rows = encoder.embed(clips, streams=stream)
    alone = knn_eval(rows, clips.labels, leave_one_out=True, groups=clips.info["subject"], k=1)
    print(f"{stream:6} {alone.accuracy[1]:.1%}, each person against all others")

# %% [markdown]
# ## Confusion matrix
# This is the confusion matrix of prepared poses with one neighbour, which cause more errors than embeddings. Rows are
# true classes, in per cent. For embeddings, use `results["embeddings"]`. `scikit_learn_pipeline.py` shows how to tune a
# pipeline without using test labels.

# %%
figure = confusion(results["poses, prepared"])
picture = Path(tempfile.mkdtemp()) / "confusion.png"
figure.savefig(picture)
print("drawn:", picture)
figure  # noqa: B018 - a notebook shows it
