# %% [markdown]
# # In a scikit-learn pipeline
#
# `SkeletonEmbedder` is a transformer: clips in, embeddings out. So everything of scikit-learn is at hand, and with it
# the care that is customary there: what is known of a person must not help to judge that person.
# `pip install '.[examples]'`, then `python examples/scikit_learn_pipeline.py`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from motion import make_clips, make_recording  # examples/motion.py
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skelrep import SkeletonEmbedder

folder = Path(tempfile.mkdtemp())
clips = make_clips(240, noise=0.06)  # a sensor six times as bad as usual, so that something is left to mistake
print(clips)

# %% [markdown]
# ## Cross-validation by subject
# The encoder is frozen and knows no labels, so nothing leaks through it. Through the classifier it may: shuffled folds
# show it other clips of the people that it is judged on. `Poses` are indexed like an array; lists of clips do as well,
# with `SkeletonEmbedder(skeleton=...)`.

# %%
pipeline = make_pipeline(SkeletonEmbedder(), StandardScaler(), LogisticRegression(C=0.01))
by_people = cross_val_score(pipeline, clips, clips.labels, groups=clips.info["subject"], cv=GroupKFold(5))
shuffled = cross_val_score(pipeline, clips, clips.labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
print(f"folds of people: {by_people.mean():.1%}, sd {by_people.std(ddof=1):.1%} over folds")
print(f"folds of clips:  {shuffled.mean():.1%}, sd {shuffled.std(ddof=1):.1%}")

# %% [markdown]
# ## A grid search, judged on people it has not seen
# Which streams, and how much regularisation? Chosen by folds of the training people; the test people are asked once, at
# the end. `memory=` keeps what the first steps make of training folds: they are embedded once for each choice of
# streams, held-out clips for every candidate. (Where only the classifier varies, embed once and search on the rows.)

# %%
train, test = clips.select(split="train"), clips.select(split="test")
steps = SkeletonEmbedder(), StandardScaler(), LogisticRegression(max_iter=500)
pipeline = make_pipeline(*steps, memory=str(folder / "cache"))
candidates = {"skeletonembedder__streams": [None, "joint", "motion"], "logisticregression__C": [0.001, 0.1]}
search = GridSearchCV(pipeline, candidates, cv=GroupKFold(3))
search.fit(train, train.labels, groups=train.info["subject"])
for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
    print(f"  {score:.1%} {parameters}")
print("chosen:", search.best_params_)
print(f"{search.best_score_:.1%} in cross-validation, {search.score(test, test.labels):.1%} of the test people's clips")

# %% [markdown]
# ## What is mistaken for what?

# %%
figure, axes = plt.subplots(figsize=(6.5, 6), layout="constrained")
display = ConfusionMatrixDisplay.from_predictions(
    test.labels, search.predict(test), xticks_rotation="vertical", cmap="Blues", colorbar=False, ax=axes
)
for count in display.text_.ravel():
    count.set_visible(count.get_text() != "0")
figure.savefig(folder / "confusion.png", dpi=130)
print("drawn:", folder / "confusion.png")

# %% [markdown]
# ## New clips
# The chosen pipeline, fitted on all training people, takes what `embed` takes.

# %%
recording, spans = make_recording(["squat"], seed=2)
print("somebody new squats:", search.predict(recording)[0], f"({search.predict_proba(recording).max():.0%})")
