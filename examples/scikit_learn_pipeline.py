# %% [markdown]
# # In a scikit-learn pipeline
#
# `SkeletonEmbedder` is a transformer that maps clips to embeddings, so all tools of scikit-learn can be used, for
# example cross-validation in which no person is in both training and test. To run it, use `pip install '.[examples]'`
# and `python examples/scikit_learn_pipeline.py`.

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
clips = make_clips(240, noise=0.06)  # six times the usual sensor noise, so that there are some errors
print(clips)

# %% [markdown]
# ## Cross-validation by subject
# The encoder is frozen and was trained without these clips, so no information leaks through it. With shuffled folds,
# however, the classifier is trained on other clips of the persons on which it is tested, which inflates the scores.
# `Poses` can be indexed like an array; lists of clips work too, with `SkeletonEmbedder(skeleton=...)`.

# %%
pipeline = make_pipeline(SkeletonEmbedder(), StandardScaler(), LogisticRegression(C=0.01))
by_people = cross_val_score(pipeline, clips, clips.labels, groups=clips.info["subject"], cv=GroupKFold(5))
shuffled = cross_val_score(pipeline, clips, clips.labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
print(f"folds of people: {by_people.mean():.1%}, sd {by_people.std(ddof=1):.1%} over folds")
print(f"folds of clips:  {shuffled.mean():.1%}, sd {shuffled.std(ddof=1):.1%}")

# %% [markdown]
# ## A grid search, tested on new persons
# The streams and the regularisation are chosen by cross-validation over the training persons; the test persons are used
# once, at the end. `memory=` caches the outputs of the first steps for the training folds, which are therefore embedded
# once for each choice of streams; held-out clips are embedded for every candidate. If only the classifier varies, embed
# once and search on the embeddings.

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
print(f"{search.best_score_:.1%} in cross-validation, {search.score(test, test.labels):.1%} of the test clips")

# %% [markdown]
# ## Confusion matrix

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
# The best pipeline, which was fitted on all training persons, accepts the same inputs as `embed`.

# %%
recording, spans = make_recording(["squat"], seed=2)
print("a new person squats:", search.predict(recording)[0], f"({search.predict_proba(recording).max():.0%})")
