# %% [markdown]
# # Search by example
#
# This example finds clips that are similar to a query: among other clips, across sensors, and within a long recording.
# To run it, use `pip install '.[examples]'` and `python examples/retrieval.py`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from motion import make_clips, make_recording  # examples/motion.py

from skelrep import Poses, load_pretrained, retrieve

encoder = load_pretrained()
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A bank
# Embed the clips once to search them often. The bank is an array. If it is stored in a file, it does not need to fit
# into memory.

# %%
clips = make_clips(240)
archive, queries = clips.select(split="train"), clips.select(split="test")
np.save(folder / "bank.npy", encoder.embed(archive))
bank = np.load(folder / "bank.npy", mmap_mode="r")
print("bank:", bank.shape, f"{bank.nbytes / 1e6:.1f} MB")

# %%
query = queries[queries.ids.index("kick-s1-21")]
found = retrieve(encoder.embed(query), bank, k=5)
print(f"most like {query.ids[0]}:")
for row, similarity in zip(found.indices[0], found.similarities[0]):
    print(f"  {archive.ids[row]:20} {similarity:.3f}")

# %% [markdown]
# ## Queries from another sensor
# The bank was recorded with Kinect's 20 joints. The queries have the 17 joints of COCO, which pose estimators provide,
# in 3-D and in 2-D. Precision@k is the fraction of correct labels among the first k results. The mean average precision
# evaluates the ranking of the whole bank, in which one clip in twelve is correct.

# %%
coco = make_clips(240, skeleton="coco-17").select(split="test")  # the same movements, other sensor noise
flat = Poses([clip[..., :2] for clip in coco.clips], coco.skeleton, coco.ids, coco.labels, coco.fps)
for name, query in {"kinect-20": queries, "coco-17": coco, "coco-17, 2-D": flat}.items():
    found = retrieve(encoder.embed(query), bank, k=5, query_labels=query.labels, bank_labels=archive.labels)
    print(
        f"{name:12} precision@1 {found.precision[0]:.1%}, precision@5 {found.precision[4]:.1%}, "
        f"mean average precision {found.mean_average_precision:.1%}"
    )

# %% [markdown]
# ## Search within a recording
# The bank consists of windows of a long recording of another person: two seconds each, five per second. The query is a
# clip of the archive, and the most similar window is the result. To detect events, compare the similarity with a
# threshold instead; the curves show a suitable value.

# %%
actions = ["walk", "squat", "wave", "walk", "kick", "bow"]
recording, spans = make_recording(actions, seed=4)
windows = recording.windows(2.0, 0.2)
rows, middles = encoder.embed(windows), (windows.info["start"] + windows.info["end"]) / 2
curves = {}
for action in ("wave", "kick", "bow"):
    example = archive.select(labels=action)[0]
    found = retrieve(encoder.embed(example), rows, k=len(rows))
    curves[action] = np.empty(len(rows))
    curves[action][found.indices[0]] = found.similarities[0]
    begin, end = spans[actions.index(action)]
    best = middles[found.indices[0, 0]]
    print(f"most like {example.ids[0]}: {best:.1f} s; truth: {action} from {begin:.1f} to {end:.1f} s")

# %%
figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
colours = {action: axes.plot(middles, curve, label=action)[0].get_color() for action, curve in curves.items()}
for action, (begin, end) in zip(actions, spans):
    axes.axvspan(begin, end, color=colours.get(action, "0.6"), alpha=0.2, lw=0)
    axes.text((begin + end) / 2, 1.0, action, ha="center", va="bottom")
axes.set(xlabel="seconds, middle of the window", ylabel="cosine", ylim=(None, 1))
axes.legend(title="most like", frameon=False)
figure.savefig(folder / "where.png", dpi=130)
print("drawn:", folder / "where.png")
