"""Figures of matplotlib that need no display."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from skelrep.messages import install

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**options: Any) -> Figure:
    """An empty figure that is displayed in a notebook, whether or not pyplot is used there.

    Args:
        **options: Arguments of `matplotlib.figure.Figure`.

    Raises:
        ModuleNotFoundError: without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"drawing needs {install('matplotlib', 'plot')}", name="matplotlib") from error
    figure = Figure(facecolor="white", **options)
    FigureCanvasAgg(figure)
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
