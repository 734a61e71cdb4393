# %% [markdown]
# # Clusters and a map
#
# Group clips by their movements without labels, and show them on a map. `pip install '.[examples]'`, then
# `python examples/clustering_and_map.py`. Append FILE for your own clips, at least 20, in any format that
# `skelrep.read` supports.

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
# Embeddings are scaled to length 1, so that Euclidean distances correspond to cosines. k-means needs the number of
# clusters; the silhouette (how much closer clips are to their own cluster than to the next) is a common, rough guide.

# %%
encoder = load_pretrained()
embeddings = encoder.embed(clips, normalize=True)
fits = {k: KMeans(k, n_init=10, random_state=0).fit(embeddings) for k in range(4, 17, 2)}
silhouettes = {k: silhouette_score(embeddings, fit.labels_) for k, fit in fits.items()}
print("silhouettes:", ", ".join(f"{k}: {silhouette:.3f}" for k, silhouette in silhouettes.items()))
k = max(silhouettes, key=silhouettes.get)
fit = fits[k]

# %% [markdown]
# Labels were not used, but are known here: they show which actions each cluster contains. The adjusted Rand index
# compares clusters with labels: 1 is the same partition, 0 is chance.

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
# Why are there two clusters of drinking? The encoder distinguishes left from right, and some persons use the left hand:
# a mirrored clip of drinking changes its cluster. If the side does not matter, use the mean of the embeddings of a clip
# and of its mirror image.

# %%
if not files:
    mirrored = [clip[:, :, clips.skeleton.mirror] * (-1, 1, 1) for clip in clips.clips]
    mirrored = encoder.embed(mirrored, skeleton=clips.skeleton, normalize=True)
    drink = clips.labels == "drink"
    changed = fit.predict(mirrored[drink]) != fit.labels_[drink]
    print(f"{changed.sum()} of {len(changed)} clips of drinking change their cluster when mirrored")
    both = KMeans(k, n_init=10, random_state=0).fit_predict(normalize(embeddings + mirrored))
    print(f"adjusted Rand index of means with the mirror image: {adjusted_rand_score(clips.labels, both):.2f}")

# %% [markdown]
# ## A representative clip of each cluster
# The medoid is the clip closest to the centre of its cluster. This is the medoid of the largest cluster:

# %%
medoids = fit.transform(embeddings).argmin(axis=0)  # the clip closest to the centre of each cluster
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
# ## An interactive page
# One HTML file that needs no network: point at a clip, and its skeleton plays beside its nearest neighbours.
# (`skelrep explore clips.npz -o explorer.html` writes the same, coloured by label.)

# %%
explorer = folder / "explorer.html"
explorer.write_text(page(clips, embeddings, labels=[f"cluster {cluster}" for cluster in fit.labels_]), encoding="utf-8")
print("written:", explorer)
