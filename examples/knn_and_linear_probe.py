# %% [markdown]
# # How good is an embedding?
#
# Two customary judges of self-supervised representations: nearest neighbours, which take the geometry as it is, and a
# linear probe, which may weigh the dimensions. Both know the labels of some people only and are asked about others.
# `pip install '.[examples]'`, then `python examples/knn_and_linear_probe.py`, or cell by cell in Jupyter.

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
results = {}
for name, rows_of in {"poses": flattened, "poses, prepared": prepared, "embeddings": encoder.embed}.items():
    results[name] = knn_eval(rows_of(train), train.labels, rows_of(test), test.labels, k=(1, 5))
    print(f"{name}: {results[name]}\n")

# %% [markdown]
# ## A linear probe
# Its regularisation is chosen by cross-validation over the training people; `groups` keeps each of them on one side.

# %%
x, y = encoder.embed(train), encoder.embed(test)
print(linear_eval(x, train.labels, y, test.labels, groups=train.info["subject"], C=(0.001, 0.01)))

# %% [markdown]
# ## Which streams?
# The encoder looks at joints, bones and motion, each with a network of its own.

# %%
for stream in encoder.config.modalities:
    rows = encoder.embed(clips, streams=stream)
    alone = knn_eval(rows, clips.labels, leave_one_out=True, groups=clips.info["subject"], k=1)
    print(f"{stream:6} {alone.accuracy[1]:.1%}, each person judged by all others")

# %% [markdown]
# ## What is mistaken for what?
# Of the poses, prepared, by one neighbour: here there is something to see. Rows are the truth, in per cent. (For the
# embeddings write `results["embeddings"]`; how to tune a whole pipeline honestly is in `scikit_learn_pipeline.py`.)

# %%
figure = confusion(results["poses, prepared"])
picture = Path(tempfile.mkdtemp()) / "confusion.png"
figure.savefig(picture)
print("drawn:", picture)
figure  # noqa: B018 - a notebook shows it
