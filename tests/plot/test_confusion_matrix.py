"""The confusion matrix: order, colours, numbers, and readable labels."""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import knn_eval, linear_eval, retrieve
from skelrep.plot import confusion


def evaluated(classes, wrong=0.3):
    rng = np.random.default_rng(0)
    labels = np.repeat([f"action {i} $" for i in range(classes)], 6)
    rows = np.repeat(np.eye(classes), 6, axis=0) + rng.normal(scale=wrong, size=(6 * classes, classes))
    return knn_eval(rows, labels, leave_one_out=True, k=(1, 3))


def test_best_classes_come_first():
    result = evaluated(8)
    axes = confusion(result).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    accuracy = dict(zip(result.classes, result.per_class[1]))
    assert rows == [f"{name}  {100 * share:.0f} %" for name, share in sorted(accuracy.items(), key=lambda kv: -kv[1])]
    assert [label.get_text() for label in axes.get_xticklabels()] == [row.rsplit("  ")[0] for row in rows]
    image = np.asarray(axes.images[0].get_array())
    right = np.eye(8, dtype=bool)
    blue = image[..., 2] > image[..., 0]
    assert blue[right].all() and not blue[~right].any()
    numbers = np.zeros((8, 8))
    for text in axes.texts:
        column, row = text.get_position()
        numbers[int(row), int(column)] = float(text.get_text())
    order = [result.classes.tolist().index(row.rsplit("  ")[0]) for row in rows]
    np.testing.assert_allclose(numbers, 100 * result.confusion[np.ix_(order, order)] / 6, atol=0.5)
    assert axes.get_title() == f"1-NN: {100 * result.accuracy[1]:.1f} % of 48 clips"


def test_labels_of_sixty_classes_do_not_overlap():
    figure = confusion(evaluated(60))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ticks = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 - 1 for above, below in zip(ticks, ticks[1:]))  # no label covers another
    assert min(box.height for box in ticks) >= 8
    assert not axes.texts


def test_confusion_of_a_probe_and_of_classes_without_clips():
    rows = np.random.default_rng(0).normal(size=(12, 4))
    labels = np.arange(12) % 3
    figure = confusion(linear_eval(rows, labels, rows[labels > 0], labels[labels > 0], C=1.0))
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "0  no clips"
    with pytest.raises(TypeError, match="got RetrievalResult"):
        confusion(retrieve(rows, rows, k=2))  # type: ignore[arg-type]
