# %% [markdown]
# # Clusters and a map
#
# This example groups clips by their movements, without labels, and shows them on a map. To run it, use
# `pip install '.[examples]'` and `python examples/clustering_and_map.py`. To use your own clips, append a file with at
# least 20 clips in any format that `skelrep.read` supports.

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

files = [] if hasattr(sys, "ps1") else sys.argv[1:]  # in a notebook, the arguments belong to the kernel
clips = read(files[0]) if files else make_clips(240)
folder = Path(tempfile.mkdtemp())
print(clips)

# %% [markdown]
# ## Clusters
# Embeddings are scaled to length 1, so that Euclidean distances correspond to cosines. k-means needs the number of
# clusters. The silhouette score, which compares the distance of clips to their own cluster and to the nearest other
# one, is a rough guide.

# %%
encoder = load_pretrained()
embeddings = encoder.embed(clips, normalize=True)
fits = {k: KMeans(k, n_init=10, random_state=0).fit(embeddings) for k in range(4, 17, 2)}
silhouettes = {k: silhouette_score(embeddings, fit.labels_) for k, fit in fits.items()}
print("silhouettes:", ", ".join(f"{k}: {silhouette:.3f}" for k, silhouette in silhouettes.items()))
k = max(silhouettes, key=silhouettes.get)
fit = fits[k]

# %% [markdown]
# Labels were not used for clustering, but they are known and show which actions each cluster contains. The adjusted
# Rand index compares clusters and labels: 1 means identical, 0 means chance level.

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
# There are two clusters of throwing, because the encoder distinguishes left from right and some persons use the left
# hand. If a clip of throwing is mirrored, it changes its cluster. If the side does not matter, use the mean of the
# embeddings of a clip and its mirror image.

# %%
if not files:
    mirrored = [clip[:, :, clips.skeleton.mirror] * (-1, 1, 1) for clip in clips.clips]
    mirrored = encoder.embed(mirrored, skeleton=clips.skeleton, normalize=True)
    throw = clips.labels == "throw"
    changed = fit.predict(mirrored[throw]) != fit.labels_[throw]
    print(f"{changed.sum()} of {len(changed)} clips of throwing change their cluster when mirrored")
    both = KMeans(k, n_init=10, random_state=0).fit_predict(normalize(embeddings + mirrored))
    print(f"adjusted Rand index of means with the mirror image: {adjusted_rand_score(clips.labels, both):.2f}")

# %% [markdown]
# ## A representative clip of each cluster
# The medoid of a cluster is the clip closest to its centre. The figure shows the medoid of the largest cluster.

# %%
medoids = fit.transform(embeddings).argmin(axis=0)  # the clip closest to the centre of each cluster
print("medoids:", ", ".join(clips.ids[i] for i in medoids))
strip = draw(clips[int(medoids[np.bincount(fit.labels_).argmax()])], frames=6)
strip.savefig(folder / "medoid.png")
print("drawn:", folder / "medoid.png")

# %% [markdown]
# ## The map
# t-SNE preserves neighbourhoods, but the sizes of groups and the distances between them mean little. Crosses mark the
# medoids.

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
# The page is a single HTML file that needs no network. Hover over a clip to play it and to list its nearest neighbours.
# `skelrep explore clips.npz -o explorer.html` writes the same page, coloured by label.

# %%
explorer = folder / "explorer.html"
explorer.write_text(page(clips, embeddings, labels=[f"cluster {cluster}" for cluster in fit.labels_]), encoding="utf-8")
print("written:", explorer)
