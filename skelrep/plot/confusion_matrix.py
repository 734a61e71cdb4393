"""The confusion matrix of an evaluation as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skelrep.evaluate import KNNResult, LinearResult
from skelrep.messages import caption
from skelrep.plot.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES_PER_CLASS = 0.36
_SIDE = (2.5, 9.0)  # smallest side of the matrix in inches, so that a title fits, and largest, so that it fits a screen
_ROOM_FOR_LABELS = (2.2, 2.0)  # inches to the left of the matrix and below it
_FONT = (4.0, 10.0)  # smallest and largest size of class names in points
_LINE_HEIGHT = 0.62  # font size relative to the height of a row, so that names do not touch
_MOST_NUMBERED = 30  # largest number of classes for which numbers are readable in the cells
_LEAST_NUMBER = 0.005  # fraction of a row from which a cell shows a number, which is then at least 1 %
_DARK_CELL = 0.3  # fraction of a row from which white numbers are easier to read than dark ones


def confusion(result: KNNResult | LinearResult) -> Figure:
    """The confusion matrix of an evaluation: true classes as rows, predicted classes as columns.

    Classes are sorted by accuracy, the best first. Each row is in per cent of the class's clips; correct predictions
    are blue and wrong ones orange. A class without test clips comes last.

    Examples:
        >>> confusion(knn_eval(train, labels, test, test_labels)).savefig("confusion.png")

    Args:
        result: The result of `knn_eval` (the matrix is for its first k) or of `linear_eval`.

    Raises:
        TypeError: for any other result, because it has no confusion matrix.
        ModuleNotFoundError: without matplotlib.
    """
    if not isinstance(result, (KNNResult, LinearResult)):
        raise TypeError(f"only knn_eval and linear_eval give a confusion matrix, got {type(result).__name__}")
    figure = new_figure(layout="constrained", dpi=130)
    from matplotlib import colormaps

    counts = result.confusion
    clips = counts.sum(axis=1)
    fraction = np.divide(counts, clips[:, None], out=np.zeros(counts.shape), where=clips[:, None] > 0)
    order = np.lexsort((-fraction.diagonal(), clips == 0))
    fraction, names = fraction[np.ix_(order, order)], [caption(str(name), 60) for name in result.classes[order]]
    # The square root makes a few per cent visible.
    correct = np.eye(len(fraction), dtype=bool)[..., None]
    image = np.where(correct, colormaps["Blues"](fraction**0.5), colormaps["Oranges"](fraction**0.5))
    image[fraction == 0] = (1, 1, 1, 1)
    if isinstance(result, LinearResult):
        what, accuracy = "linear probe", result.accuracy
    else:
        k, accuracy = next(iter(result.accuracy.items()))
        what = f"{k}-NN"
    side = float(np.clip(_INCHES_PER_CLASS * len(names), *_SIDE))
    font = float(np.clip(_LINE_HEIGHT * 72 * side / len(names), *_FONT))
    figure.set_size_inches(side + _ROOM_FOR_LABELS[0], side + _ROOM_FOR_LABELS[1])
    axes = figure.add_subplot()
    axes.imshow(image, interpolation="nearest")
    rows = [f"{name}  {100 * own:.0f} %" for name, own in zip(names, fraction.diagonal())]
    rows = [row if clips[i] else f"{name}  no clips" for row, name, i in zip(rows, names, order)]
    axes.set_xticks(range(len(names)), names, rotation=90, size=font, parse_math=False)
    axes.set_yticks(range(len(names)), rows, size=font, parse_math=False)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#EEEEEE", lw=0.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
    axes.set(title=f"{what}: {100 * accuracy:.1f} % of {clips.sum()} clips", xlabel="predicted class")
    axes.set_ylabel("true class")
    if len(names) <= _MOST_NUMBERED:
        for row, column in np.argwhere(fraction >= _LEAST_NUMBER):
            colour = "white" if fraction[row, column] > _DARK_CELL else "#333333"
            text = f"{100 * fraction[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", size=0.8 * font, color=colour)
    return figure
