"""Pictures of skeletons and of confusion matrices: what is up, left and near, and what is in the files."""

from __future__ import annotations

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from skelrep import SKELETONS, Poses, knn_eval, linear_eval, retrieve
from skelrep.cli import main
from skelrep.plot import drawing as plot
from skelrep.skeletons import custom, mapping

COMMON = SKELETONS["common-15"]
# Somebody who faces ahead, metres: to their left, up, ahead.
BODY = {
    "mid_hips": (0, 0.9, 0),
    "mid_shoulders": (0, 1.4, 0),
    "head": (0, 1.6, 0.05),
    "left_shoulder": (0.2, 1.4, 0),
    "left_elbow": (0.3, 1.15, 0),
    "left_wrist": (0.3, 1.2, 0.25),
    "right_shoulder": (-0.2, 1.4, 0),
    "right_elbow": (-0.3, 1.15, 0),
    "right_wrist": (-0.3, 0.9, 0),
    "left_hip": (0.1, 0.9, 0),
    "left_knee": (0.1, 0.5, 0.05),
    "left_ankle": (0.1, 0.1, 0),
    "right_hip": (-0.1, 0.9, 0),
    "right_knee": (-0.1, 0.5, 0.05),
    "right_ankle": (-0.1, 0.1, 0),
}
STANDING = np.array([BODY[joint] for joint in COMMON.joints], dtype=np.float32)


def walking(frames=10, persons=1, skeleton=COMMON, fps=30.0):
    """Clips in which the left hand rises and everybody drifts to the left."""
    clip = np.tile(STANDING, (persons, frames, 1, 1))
    clip[:, :, COMMON.joints.index("left_wrist"), 1] += np.linspace(0, 0.6, frames)
    clip[..., 0] += np.arange(persons)[:, None, None] + np.linspace(0, 0.3, frames)[:, None]
    return Poses([mapping(COMMON, skeleton) @ clip], skeleton, ["somebody"], ["walk $x_"], fps)


def turned(clip, columns):
    """The axes of a right-handed file, each a row of (left, up, ahead)."""
    matrix = np.array(columns, dtype=np.float32)
    assert np.linalg.det(matrix) == pytest.approx(1)
    return clip @ matrix.T


def colours(image):
    """How many pixels are blue, for left, and how many vermilion, for right."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    bluer = pixels[..., 2] - pixels[..., 0]
    return [int((bluer > 60).sum()), int((bluer < -60).sum())]


# -- what a spectator sees --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes",
    [
        [(1, 0, 0), (0, 1, 0), (0, 0, 1)],  # y up
        [(0, 0, 1), (1, 0, 0), (0, 1, 0)],  # z up, as motion capture has it
        [(-1, 0, 0), (0, -1, 0), (0, 0, 1)],  # y down, as images and MediaPipe have it
        [(0, 0, -1), (0, 1, 0), (1, 0, 0)],  # y up, seen from the side
        [(0.6, 0, 0.8), (0, 1, 0), (-0.8, 0, 0.6)],
    ],
)
def test_up_is_up_and_the_person_faces_the_spectator(axes):
    clip = walking().clips[0]
    seen = plot.oriented(turned(clip, axes), COMMON)
    expected = clip - (clip.min(axis=(0, 1, 2)) + clip.max(axis=(0, 1, 2))) / 2
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_a_tilted_sensor_is_set_upright_but_nobody_who_lies_is():
    clip = np.tile(STANDING, (1, 4, 1, 1))

    def leaning(degrees):
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return plot.oriented(turned(clip, [(1, 0, 0), (0, cos, -sin), (0, sin, cos)]), COMMON)

    np.testing.assert_allclose(leaning(15), leaning(0), atol=1e-5)
    assert np.abs(leaning(40) - leaning(0)).max() > 0.3


def test_images_are_turned_upright_and_keep_left_and_right():
    clip = walking().clips[0][..., :2] * (-200, -200) + (320, 240)  # who faces a camera has the left hand on its right
    seen = plot.oriented(clip.astype(np.float32), COMMON)
    assert seen.shape == (1, 10, 15, 3)
    head, ankle = (seen[0, 0, COMMON.joints.index(joint)] for joint in ("head", "left_ankle"))
    assert head[1] - ankle[1] == pytest.approx(300, abs=1)
    np.testing.assert_allclose(np.diff(seen[0, 0, :, 0]), np.diff(clip[0, 0, :, 0]), atol=1e-3)
    assert plot.ground(seen, COMMON) == pytest.approx(ankle[1])


def test_missing_joints_stay_missing_and_unknown_joints_do_no_harm():
    clip = walking().clips[0].copy()
    clip[0, 3:6, 4] = np.nan
    seen = plot.oriented(clip, COMMON)
    np.testing.assert_array_equal(np.isnan(seen), np.isnan(clip))
    strange = custom(["a", "b", "c"], [0, 0, 1])
    seen = plot.oriented(np.random.default_rng(0).normal(size=(1, 5, 3, 3)).astype(np.float32), strange)
    assert np.isfinite(seen).all() and plot.ground(seen, strange) is None
    assert np.isnan(plot.oriented(np.full((1, 2, 3, 3), np.nan), strange)).all()


@pytest.mark.parametrize("name", SKELETONS)
def test_every_body_is_drawn_in_one_piece(name):
    skeleton = SKELETONS[name]
    pairs = plot.bones(skeleton)
    body = {i for i, joint in enumerate(skeleton.joints) if joint not in plot.FACE}
    reached, before = {skeleton.joints.index("left_hip")}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {i for pair in pairs if reached & set(pair) for i in pair}
    assert body <= reached
    assert plot.head(skeleton)
    assert [skeleton.joints[i] for i, side in enumerate(plot.sides(skeleton)) if side == 1] == [
        joint for joint in skeleton.joints if joint.startswith("left_")
    ]


def test_coco_has_a_shoulder_line_and_no_line_from_the_nose():
    coco = SKELETONS["coco-17"]
    named = {frozenset(coco.joints[i] for i in pair) for pair in plot.bones(coco)}
    assert {"left_shoulder", "right_shoulder"} in named and {"left_hip", "right_hip"} in named
    assert not any("nose" in pair for pair in named)


def test_a_skeleton_without_a_tree_is_drawn_on_the_common_one():
    poses = walking()
    star = custom(COMMON.joints)
    drawn = plot.drawable(Poses(poses.clips, star))
    assert drawn.skeleton is COMMON
    np.testing.assert_allclose(drawn.clips[0], poses.clips[0], atol=1e-6)
    assert plot.drawable(poses) is poses


def test_nearer_is_thicker_and_darker():
    figure = plot.draw(walking(), frames=1, view=0)
    limbs = figure.axes[0].collections[0]
    widths, shades = limbs.get_linewidths()[1::2], limbs.get_colors()[1::2]
    assert list(widths) == sorted(widths) and widths[-1] > 1.1 * widths[0]  # from the back to the front
    blue = shades[:, 2] - shades[:, 0] > 0.2
    assert shades[blue][-1].sum() < shades[blue][0].sum()
    assert plot.draw(walking(), frames=1, view=0, fps=10).axes[0].texts[0].get_text() == "0.0 s"


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_gif_moves_at_the_clips_speed(tmp_path):
    plot.save(walking(frames=30, fps=30.0), tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 25 and image.info["duration"] == 40 and image.info["loop"] == 0  # 1 s
        first = image.convert("RGB")
        image.seek(image.n_frames - 1)
        last = image.convert("RGB")
    assert first.getpixel((0, 0)) == (255, 255, 255)
    assert min(colours(first)) > 50 and min(colours(last)) > 50
    assert (np.asarray(first) != np.asarray(last)).any(axis=-1).mean() > 0.02
    plot.save(walking(frames=30), tmp_path / "slow.gif", pictures=5)
    with Image.open(tmp_path / "slow.gif") as image:
        assert image.n_frames == 5 and image.info["duration"] == 200


def test_a_png_shows_moments_side_by_side(tmp_path):
    poses = walking(frames=20, persons=2, skeleton=SKELETONS["ntu-25"])
    clip = poses.clips[0].copy()
    clip[1, :10] = np.nan  # who comes later
    clip[0, ::2, 5] = np.nan  # an elbow that comes and goes
    plot.save(clip, tmp_path / "strip.png", skeleton="ntu-25")
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > 3 * image.height
        assert min(colours(image)) > 500
    figure = plot.draw(poses, frames=4)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0 s", "0.2 s", "0.4 s", "0.6 s"]
    assert figure.texts[0].get_text() == "somebody · walk $x_"
    assert len(plot.draw(walking(frames=2)).axes[0].texts) == 2


def test_a_drawing_shows_itself_in_a_notebook_without_pyplot():
    formatters = pytest.importorskip("IPython.core.formatters")
    for figure in (plot.draw(walking()), pickle.loads(pickle.dumps(plot.draw(walking())))):
        data, _ = formatters.DisplayFormatter().format(figure)
        assert Image.open(io.BytesIO(data["image/png"])).size == tuple(figure.get_size_inches() * figure.dpi // 1)


def test_animate_gives_matplotlibs_animation():
    figure_animation = plot.animate(walking(frames=6, fps=10.0))
    page = figure_animation.to_jshtml()
    assert page.count("frames[") >= 6


@pytest.mark.parametrize(
    ("poses", "path", "options", "message"),
    [
        (walking(), "clip.jpg", {}, "a .gif or a .png, got"),
        (Poses.concatenate([walking(), walking()]), "clip.png", {}, "one clip is drawn at a time, got 2"),
        (np.full((4, 15, 3), np.nan), "clip.gif", {"skeleton": COMMON}, "clip '0' shows nobody"),
        (walking(), "clip.gif", {"pictures": 100}, "must be 0.01 to 50, which viewers can show, got 100"),
        (walking(), "clip.gif", {"pictures": 1e-9}, "must be 0.01 to 50, which viewers can show, got 1e-09"),
        (walking(), "clip.png", {"view": float("nan")}, "view must be a number of degrees, got nan"),
    ],
)
def test_what_cannot_be_drawn_is_refused(poses, path, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plot.save(poses, tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (plot.draw, plot.animate):
        with pytest.raises(ModuleNotFoundError, match="pip install .matplotlib"):
            draw(walking())
    walking().save(tmp_path / "clip.npz")
    assert main(["plot", str(tmp_path / "clip.npz"), "-o", str(tmp_path / "clip.gif")]) == 1
    assert 'pip install "matplotlib' in capsys.readouterr().err


def test_the_command_draws_the_clip_that_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clips = [walking().clips[0], walking(frames=25).clips[0]]
    Poses(clips, COMMON, ["one", "other"], fps=25.0).save("clips.npz")
    for clip, frames in (("one", 10), ("1", 25)):
        assert main(["plot", "clips.npz", "-o", "clip.gif", "--clip", clip, "--view", "80"]) == 0
        with Image.open("clip.gif") as image:
            assert image.n_frames == frames
    assert "other, one of 2 clips, -> clip.gif" in capsys.readouterr().err
    assert main(["plot", "clips.npz", "-o", "clip.gif", "--clip", "othr"]) == 1
    assert "no clip 'othr': give an id or a position within 0..1; did you mean 'other'?" in capsys.readouterr().err


# -- confusion matrices -----------------------------------------------------------------------------------------------


def judged(classes, wrong=0.3):
    rng = np.random.default_rng(0)
    labels = np.repeat([f"action {i} $" for i in range(classes)], 6)
    rows = np.repeat(np.eye(classes), 6, axis=0) + rng.normal(scale=wrong, size=(6 * classes, classes))
    return knn_eval(rows, labels, leave_one_out=True, k=(1, 3))


def test_a_confusion_matrix_has_the_best_classes_first():
    result = judged(8)
    axes = plot.confusion(result).axes[0]
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


def test_sixty_classes_are_readable():
    figure = plot.confusion(judged(60))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ticks = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 - 1 for above, below in zip(ticks, ticks[1:]))  # no label covers another
    assert min(box.height for box in ticks) >= 8
    assert not axes.texts


def test_confusion_of_a_probe_and_of_classes_without_clips():
    rows = np.random.default_rng(0).normal(size=(12, 4))
    labels = np.arange(12) % 3
    figure = plot.confusion(linear_eval(rows, labels, rows[labels > 0], labels[labels > 0], C=1.0))
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "0  no clips"
    with pytest.raises(TypeError, match="only knn_eval and linear_eval give a confusion matrix, got RetrievalResult"):
        plot.confusion(retrieve(rows, rows, k=2))  # type: ignore[arg-type]
