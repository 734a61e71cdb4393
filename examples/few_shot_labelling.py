# %% [markdown]
# # A few labels for many clips
#
# Labelling is slow. This example compares ways to select the clips to label, and measures the accuracy with one, three
# and five labels per class. Each unlabelled clip is assigned the label of its nearest labelled neighbour. To run it,
# use `pip install '.[examples]'` and `python examples/few_shot_labelling.py`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips  # examples/motion.py
from sklearn.cluster import KMeans

from skelrep import load_pretrained, retrieve

# %% [markdown]
# Accuracy is measured on clips of persons who are not in the clips to label. The baseline uses the prepared poses,
# which are the input of the encoder: upright, facing forward and of equal size.

# %%
clips = make_clips(480, noise=0.02)
pool, test = clips.select(split="train"), clips.select(split="test")
encoder = load_pretrained()
embeddings = encoder.embed(pool, normalize=True), encoder.embed(test, normalize=True)
poses = tuple(encoder.prepare(part, "cpu").flatten(1).numpy() for part in (pool, test))
classes = np.unique(clips.labels)
print(f"{len(pool)} clips to label, {len(test)} to test, {len(classes)} classes")

# %% [markdown]
# ## Which clips to label
# - `random`: clips drawn at random. Some classes may get no label.
# - `balanced`: the same number of clips of each class, drawn at random. Papers report this, although it requires the
#   labels to be known in advance.
# - `medoids`: the clip closest to the centre of each k-means cluster, with as many clusters as clips to label. This
#   uses no labels.


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
# ## Accuracy
# With few labels, the accuracy depends on the selected clips. The table shows mean and standard deviation over ten
# seeds.


# %%
def propagated(rows, labelled):
    """The label of the nearest labelled neighbour of each test clip, and the cosine of the two."""
    found = retrieve(rows[1], rows[0][labelled], k=1)
    return pool.labels[labelled][found.indices[:, 0]], found.similarities[:, 0]


SHOTS, SEEDS = (1, 3, 5), range(10)
methods = {
    "poses, balanced": (poses, balanced),
    "embeddings, random": (embeddings, random),
    "embeddings, balanced": (embeddings, balanced),
    "embeddings, medoids": (embeddings, medoids),
}
accuracy = {
    method: [[np.mean(propagated(rows, choose(rows[0], k, seed))[0] == test.labels) for seed in SEEDS] for k in SHOTS]
    for method, (rows, choose) in methods.items()
}
print("labels:             ", "".join(f"{k * len(classes):15}" for k in SHOTS))
for method, scores in accuracy.items():
    print(f"{method:20}", "".join(f"{np.mean(of):7.1%} ± {np.std(of, ddof=1):5.1%}" for of in scores))

# %%
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for i, (method, scores) in enumerate(accuracy.items()):
    positions = np.array(SHOTS) * len(classes) + 0.6 * (i - 1.5)  # side by side
    axes.errorbar(
        positions, 100 * np.mean(scores, 1), 100 * np.std(scores, 1, ddof=1), marker="o", capsize=3, label=method
    )
axes.set(xlabel="labelled clips", ylabel="accuracy on other persons, per cent", xticks=np.array(SHOTS) * len(classes))
axes.set_title(f"Mean and standard deviation over {len(SEEDS)} seeds")
axes.grid(alpha=0.3)
axes.legend(loc="lower right", frameon=False)
picture = Path(tempfile.mkdtemp()) / "labels.png"
figure.savefig(picture, dpi=130)
print("drawn:", picture)

# %% [markdown]
# ## Labels to check
# The cosine similarity indicates how reliable an assigned label is. Check the least similar clips by hand, and label
# them next.

# %%
labels, cosines = propagated(embeddings, medoids(embeddings[0], 3, 0))
order = np.argsort(cosines)
fifth = len(order) // 5
print(f"least similar fifth: {np.mean((labels == test.labels)[order[:fifth]]):.1%} right")
print(f"all others:          {np.mean((labels == test.labels)[order[fifth:]]):.1%} right")
