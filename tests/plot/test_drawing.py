"""Strips of moments: depth, persons, ranges, and what cannot be drawn."""

from __future__ import annotations

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from skelrep import SKELETONS, Poses
from skelrep.cli import main
from skelrep.plot import animate, draw, save
from tests.plot.bodies import COMMON, colours, walking


def test_nearer_limbs_are_thicker_and_darker():
    figure = draw(walking(), frames=1, view=0)
    limbs = figure.axes[0].collections[0]
    widths, shades = limbs.get_linewidths()[1::2], limbs.get_colors()[1::2]
    assert list(widths) == sorted(widths) and widths[-1] > 1.1 * widths[0]  # from the back to the front
    blue = shades[:, 2] - shades[:, 0] > 0.2
    assert shades[blue][-1].sum() < shades[blue][0].sum()
    assert draw(walking(), frames=1, view=0, fps=10).axes[0].texts[0].get_text() == "0.0 s"


def test_png_shows_moments_in_columns(tmp_path):
    poses = walking(frames=20, persons=2, skeleton=SKELETONS["ntu-25"])
    clip = poses.clips[0].copy()
    clip[1, :10] = np.nan  # a person who appears later
    clip[0, ::2, 5] = np.nan  # an elbow that is seen in some frames
    save(clip, tmp_path / "strip.png", skeleton="ntu-25")
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > 3 * image.height
        assert min(colours(image)) > 500
    figure = draw(poses, frames=4)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0 s", "0.2 s", "0.4 s", "0.6 s"]
    assert figure.texts[0].get_text() == "somebody · walk $x_"
    assert len(draw(walking(frames=2)).axes[0].texts) == 2


def test_figure_displays_itself_in_a_notebook_without_pyplot():
    formatters = pytest.importorskip("IPython.core.formatters")
    for figure in (draw(walking()), pickle.loads(pickle.dumps(draw(walking())))):
        data, _ = formatters.DisplayFormatter().format(figure)
        assert Image.open(io.BytesIO(data["image/png"])).size == tuple(figure.get_size_inches() * figure.dpi // 1)


@pytest.mark.parametrize(
    ("poses", "path", "options", "message"),
    [
        (walking(), "clip.jpg", {}, r"\.png, \.svg, \.pdf, \.gif, \.mp4, got .*clip.jpg"),
        (Poses.concatenate([walking(), walking()]), "clip.png", {}, "one clip, got 2"),
        (np.full((4, 15, 3), np.nan), "clip.gif", {"skeleton": COMMON}, "clip '0' shows nobody"),
        (walking(), "clip.gif", {"pictures": 100}, "0.01 to 50, got 100"),
        (walking(), "clip.gif", {"pictures": 1e-9}, "0.01 to 50, got 1e-09"),
        (walking(), "clip.png", {"view": float("nan")}, "view must be a number of degrees, got nan"),
        (walking(), "clip.png", {"start": -1}, "start=-1"),
        (walking(), "clip.png", {"end": float("nan")}, "end=nan"),
        (walking(), "clip.png", {"start": 0.2, "end": 0.1}, "start=0.2, end=0.1"),
        (walking(frames=30), "clip.gif", {"start": 2}, "lasts 1 s; start=2 "),
        (walking(), "clip.gif", {"placement": "side by side"}, "placement='side by side' .* 'side-by-side'"),
    ],
)
def test_bad_arguments_are_refused(poses, path, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save(poses, tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


def test_missing_matplotlib_is_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for function in (draw, animate):
        with pytest.raises(ModuleNotFoundError, match="pip install .matplotlib"):
            function(walking())
    walking().save(tmp_path / "clip.npz")
    assert main(["plot", str(tmp_path / "clip.npz"), "-o", str(tmp_path / "clip.gif")]) == 1
    assert 'pip install "matplotlib' in capsys.readouterr().err


def test_a_range_keeps_the_times_of_the_clip():
    poses = walking(frames=60, fps=30.0)
    figure = draw(poses, frames=3, start=0.5, end=1.5)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.5 s", "1.0 s", "1.5 s"]
    cut = Poses([poses.clips[0][:, 15:45]], COMMON, poses.ids, poses.labels, fps=30.0)
    for one, other in zip(*(figure.axes[0].collections for figure in (figure, draw(cut, frames=3))), strict=True):
        for path, expected in zip(one.get_paths(), other.get_paths(), strict=True):
            np.testing.assert_allclose(path.vertices, expected.vertices)


def test_a_range_without_persons_is_refused():
    clip = walking(frames=60).clips[0].copy()
    clip[:, 30:] = np.nan
    poses = Poses([clip], COMMON, fps=30.0)
    draw(poses, end=1)
    with pytest.raises(ValueError, match="nobody from 1 to 2 s"):
        draw(poses, start=1)
