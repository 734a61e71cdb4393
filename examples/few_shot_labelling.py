# %% [markdown]
# # A few labels for many clips
#
# Labelling is slow. Which clips to label first, and how far do one, three or five labels a class go? Each unlabelled
# clip takes the label of its nearest labelled neighbour. `pip install '.[examples]'`, then
# `python examples/few_shot_labelling.py`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips  # examples/motion.py
from sklearn.cluster import KMeans

from skelrep import load_pretrained, retrieve

# %% [markdown]
# Clips to label are those of some people; judged are the clips of others, none of whom is ever labelled. For comparison
# the poses as the encoder sees them, upright, facing ahead and of equal size.

# %%
clips = make_clips(480, noise=0.02)
pool, test = clips.select(split="train"), clips.select(split="test")
encoder = load_pretrained()
embeddings = encoder.embed(pool, normalize=True), encoder.embed(test, normalize=True)
poses = tuple(encoder.prepare(part, "cpu").flatten(1).numpy() for part in (pool, test))
classes = np.unique(clips.labels)
print(f"{len(pool)} clips to label, {len(test)} to judge, {len(classes)} classes")

# %% [markdown]
# ## Which to label
# - `random`: any clips, as one would without thinking. Some class may get none.
# - `balanced`: as many of each class, drawn at random. It is what papers report, and it cheats: who draws so knows the
#   labels.
# - `medoids`: k-means with as many clusters as labels that one can afford, and of each cluster the clip in its middle.
#   No label is looked at.


# %%
def random(rows, shots, seed):
    return np.random.default_rng(seed).choice(len(pool), shots * len(classes), replace=False)


def balanced(rows, shots, seed):
    draw = np.random.default_rng(seed).choice
    return np.concatenate([draw(np.flatnonzero(pool.labels == name), shots, replace=False) for name in classes])


def medoids(rows, shots, seed):
    clusters = KMeans(shots * len(classes), n_init=1, random_state=seed).fit(rows)
    return clusters.transform(rows).argmin(axis=0)


print("with twelve labels to give, label:", ", ".join(pool.ids[row] for row in medoids(embeddings[0], 1, 0)))

# %% [markdown]
# ## How far it goes
# The draw decides much where labels are few: hence the mean over ten seeds, and its standard deviation.


# %%
def propagated(rows, labelled):
    """For each clip to judge the label of its nearest labelled neighbour, and the cosine of the two."""
    found = retrieve(rows[1], rows[0][labelled], k=1)
    return pool.labels[labelled][found.indices[:, 0]], found.similarities[:, 0]


SHOTS, SEEDS = (1, 3, 5), range(10)
ways = {
    "poses, balanced": (poses, balanced),
    "embeddings, random": (embeddings, random),
    "embeddings, balanced": (embeddings, balanced),
    "embeddings, medoids": (embeddings, medoids),
}
accuracy = {
    way: [[np.mean(propagated(rows, choose(rows[0], k, seed))[0] == test.labels) for seed in SEEDS] for k in SHOTS]
    for way, (rows, choose) in ways.items()
}
print("labels:             ", "".join(f"{k * len(classes):15}" for k in SHOTS))
for way, scores in accuracy.items():
    print(f"{way:20}", "".join(f"{np.mean(of):7.1%} ± {np.std(of, ddof=1):5.1%}" for of in scores))

# %%
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for i, (way, scores) in enumerate(accuracy.items()):
    places = np.array(SHOTS) * len(classes) + 0.6 * (i - 1.5)  # side by side
    axes.errorbar(places, 100 * np.mean(scores, 1), 100 * np.std(scores, 1, ddof=1), marker="o", capsize=3, label=way)
axes.set(xlabel="labelled clips", ylabel="right, per cent of the others' clips", xticks=np.array(SHOTS) * len(classes))
axes.set_title(f"Mean and standard deviation over {len(SEEDS)} seeds")
axes.grid(alpha=0.3)
axes.legend(loc="lower right", frameon=False)
picture = Path(tempfile.mkdtemp()) / "labels.png"
figure.savefig(picture, dpi=130)
print("drawn:", picture)

# %% [markdown]
# ## Where to look again
# The cosine says how sure a propagated label is. Check the least similar ones by hand, and label these next.

# %%
labels, cosines = propagated(embeddings, medoids(embeddings[0], 3, 0))
order = np.argsort(cosines)
fifth = len(order) // 5
print(f"least similar fifth: {np.mean((labels == test.labels)[order[:fifth]]):.1%} right")
print(f"all others:          {np.mean((labels == test.labels)[order[fifth:]]):.1%} right")
