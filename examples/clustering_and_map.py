# %% [markdown]
# # What is in these recordings?
#
# Clips grouped by what is done in them, without any label, and laid out on a map.
# `pip install '.[examples]'`, then `python examples/clustering_and_map.py`; and FILE after it for your own clips, 20 at
# least, in any format that `skelrep.read` knows.

# %%
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips  # examples/motion.py
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import normalize

from skelrep import load_pretrained, read
from skelrep.plot import draw
from skelrep.plot.explore import page

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # the arguments in a notebook are its kernel's
clips = read(files[0]) if files else make_clips(240)
folder = Path(tempfile.mkdtemp())
print(clips)

# %% [markdown]
# ## Clusters
# Rows of length 1, so that Euclidean distances go with cosines. How many clusters there are k-means does not say; the
# silhouette (how much nearer clips are to their own cluster than to the next) is a usual guide, and a rough one.

# %%
encoder = load_pretrained()
embeddings = encoder.embed(clips, normalize=True)
fits = {k: KMeans(k, n_init=10, random_state=0).fit(embeddings) for k in range(4, 17, 2)}
silhouettes = {k: silhouette_score(embeddings, fit.labels_) for k, fit in fits.items()}
print("silhouettes:", ", ".join(f"{k}: {silhouette:.3f}" for k, silhouette in silhouettes.items()))
k = max(silhouettes, key=silhouettes.get)
fit = fits[k]

# %% [markdown]
# Here the truth is known, and no label was used: what is in each cluster? A cluster of two actions is one to look into.
# The adjusted Rand index compares clusters with labels: 1 is the same partition, 0 is chance.

# %%
for cluster in range(k):
    members = np.flatnonzero(fit.labels_ == cluster)
    names = ["clips"] * len(members) if clips.labels is None else clips.labels[members]
    names, counts = np.unique(names, return_counts=True)
    found = ", ".join(f"{counts[i]} {names[i]}" for i in np.argsort(-counts))
    print(f"cluster {cluster:2}: {found}")
if clips.labels is not None:
    print(f"adjusted Rand index: {adjusted_rand_score(clips.labels, fit.labels_):.2f}")

# %% [markdown]
# ## Left and right
# Why does drinking make two clusters? Left is not right to the encoder, and some people use the left: in a mirror each
# such clip changes its cluster. Where the side does not matter take the mean of a clip and its mirror image.

# %%
if not files:
    mirrored = [clip[:, :, clips.skeleton.mirror] * (-1, 1, 1) for clip in clips.clips]
    mirrored = encoder.embed(mirrored, skeleton=clips.skeleton, normalize=True)
    drink = clips.labels == "drink"
    changed = fit.predict(mirrored[drink]) != fit.labels_[drink]
    print(f"{changed.sum()} of {len(changed)} clips of drinking change their cluster in a mirror")
    both = KMeans(k, n_init=10, random_state=0).fit_predict(normalize(embeddings + mirrored))
    print(f"adjusted Rand index of means with the mirror image: {adjusted_rand_score(clips.labels, both):.2f}")

# %% [markdown]
# ## One clip that stands for each
# The clip nearest to the middle of its cluster, its medoid, tells more than a number. Of the largest cluster:

# %%
medoids = fit.transform(embeddings).argmin(axis=0)  # of each cluster the clip nearest to its centre
print("medoids:", ", ".join(clips.ids[i] for i in medoids))
strip = draw(clips[int(medoids[np.bincount(fit.labels_).argmax()])], frames=6)
strip.savefig(folder / "medoid.png")
print("drawn:", folder / "medoid.png")

# %% [markdown]
# ## The map
# t-SNE keeps neighbours together; distances between groups, and their sizes, mean little. Crosses are the medoids.

# %%
tsne = TSNE(metric="cosine", init="random", random_state=0, perplexity=min(30, len(clips) // 4))
plane = tsne.fit_transform(embeddings)
figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
axes.scatter(*plane.T, c=fit.labels_, cmap="tab20", s=22)
axes.scatter(*plane[medoids].T, color="black", marker="x", s=45)
for i in medoids:
    name = clips.ids[i] if clips.labels is None else clips.labels[i]
    axes.annotate(name, plane[i], xytext=(6, 6), textcoords="offset points")
axes.set(title=f"{len(clips)} clips in {k} clusters", xticks=[], yticks=[])
figure.savefig(folder / "map.png", dpi=130)
print("drawn:", folder / "map.png")

# %% [markdown]
# ## A page to look through
# One HTML file that needs no network: point at a clip, and its skeleton plays beside its nearest neighbours.
# (`skelrep explore clips.npz -o explorer.html` writes the same, coloured by label.)

# %%
explorer = folder / "explorer.html"
explorer.write_text(page(clips, embeddings, labels=[f"cluster {cluster}" for cluster in fit.labels_]), encoding="utf-8")
print("written:", explorer)
